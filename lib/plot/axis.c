/* Ranges, ticks and their labels.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "plot/axis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plot/words.h"

/* --- ranges --------------------------------------------------------------------------------- */

/* Shifts for values whose differences or tick marks would leave the range of double. */
static int choose_shift(double low, double high)
{
    double most = fmax(fabs(low), fabs(high));
    if (most > 1e280) return -40;
    return most < 1e-280 && most > 0 ? 40 : 0;
}

static double scaled(const tamis__axis *axis, double value)
{
    if (axis->log) return log10(value);
    return axis->shift == 0 ? value : axis->shift > 0 ? value * 1e40 : value * 1e-40;
}

void tamis__axis_range(tamis__axis *axis, bool log, double low, double high, tamis__axis_room room)
{
    bool bars = room == TAMIS__AXIS_BARS && !log;
    if (bars) {
        low = fmin(low, 0);
        high = fmax(high, 0);
    }
    *axis = (tamis__axis){.log = log, .shift = log ? 0 : choose_shift(low, high)};
    double a = scaled(axis, low), b = scaled(axis, high), most = fmax(fabs(a), fabs(b));
    bool flat = log ? b - a < 1e-9 : b - a <= 1e-9 * most;
    double pad = (b - a) * (room == TAMIS__AXIS_NARROW ? 0.02 : 0.05);
    if (flat) pad = log ? 0.3 : most == 0 ? 1 : 0.25 * most;
    bool positive = !log && a >= 0, negative = !log && b <= 0;
    axis->low = positive && (a < pad || bars) ? 0 : a - pad;
    axis->high = negative && !flat && (-b < pad || bars) ? 0 : b + pad;
}

double tamis__axis_at(const tamis__axis *axis, double value)
{
    return (scaled(axis, value) - axis->low) / (axis->high - axis->low);
}

/* --- labels --------------------------------------------------------------------------------- */

/* 12340 * 10^-3 as 12.340. */
static void label_plain(tamis__tick *tick)
{
    char digits[24];
    bool negative = tick->digits < 0;
    int decimals = tick->exponent < 0 ? -tick->exponent : 0;
    int n = snprintf(digits, sizeof digits, "%0*lld", decimals + 1, llabs((long long)tick->digits));
    char *to = tick->label;
    if (negative) *to++ = '-';
    for (int i = 0; i < n; i++) {
        if (i == n - decimals) *to++ = '.';
        *to++ = digits[i];
    }
    if (tick->digits)
        for (int i = 0; i < tick->exponent; i++) *to++ = '0';
    *to = '\0';
}

/* 12340 * 10^-9 as 1.234e-5. */
static void label_scientific(tamis__tick *tick)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%lld", llabs((long long)tick->digits));
    int power = tick->exponent + n - 1;
    while (n > 1 && digits[n - 1] == '0') n--;
    if (tick->digits == 0)
        snprintf(tick->label, sizeof tick->label, "0");
    else
        snprintf(tick->label, sizeof tick->label, "%s%c%s%.*se%d", tick->digits < 0 ? "-" : "",
                 digits[0], n > 1 ? "." : "", n - 1, digits + 1, power);
}

/* All labels of an axis are of one kind. */
static void label_ticks(tamis__axis *axis)
{
    int least = 0, most = -400;
    for (unsigned i = 0; i < axis->ticks; i++) {
        const tamis__tick *t = &axis->tick[i];
        if (t->digits == 0 || t->minor) continue;
        int power = t->exponent + (int)floor(log10(fabs((double)t->digits)));
        if (t->exponent < least) least = t->exponent;
        if (power > most) most = power;
    }
    bool plain = most < 6 && least > (axis->log ? -5 : -7) && (most > -4 || most == -400);
    for (unsigned i = 0; i < axis->ticks; i++) {
        if (axis->tick[i].minor) continue;
        plain ? label_plain(&axis->tick[i]) : label_scientific(&axis->tick[i]);
    }
}

static bool labels_touch(const tamis__axis *axis, double length, bool upright, double size)
{
    double end = -1e9;
    for (unsigned i = 0; i < axis->ticks; i++) {
        if (axis->tick[i].minor) continue;
        double extent = upright ? size * 1.6 : tamis__words_width(axis->tick[i].label, size) + size;
        double at = axis->tick[i].at * length;
        if (at - extent / 2 < end) return true;
        end = at + extent / 2;
    }
    return false;
}

/* --- ticks ---------------------------------------------------------------------------------- */

static void add_tick(tamis__axis *axis, int64_t digits, int exponent, double at, bool minor)
{
    if (axis->ticks == TAMIS__AXIS_TICKS || at < -1e-9 || at > 1 + 1e-9) return;
    axis->tick[axis->ticks++] = (tamis__tick){
        .digits = digits, .exponent = exponent, .at = fmin(fmax(at, 0), 1), .minor = minor};
}

/* 1, 2 or 5 times a power of ten, about `target` of them in the range low .. high. */
static void linear_ticks(tamis__axis *axis, double low, double high, unsigned target)
{
    double raw = (high - low) / target;
    int exponent = (int)floor(log10(raw));
    double ten = pow(10, exponent), times = raw / ten;
    int factor = times < 1.5 ? 1 : times < 3.5 ? 2 : 5;
    if (times >= 7.5) {
        factor = 1;
        ten *= 10;
        exponent++;
    }
    axis->ticks = 0;
    double step = ten * factor, first = ceil(low / step - 1e-9);
    for (double n = first; n * step <= high + 1e-9 * step && n < first + TAMIS__AXIS_TICKS; n++) {
        double place = axis->log ? log10(n * step) : n * step;
        add_tick(axis, (int64_t)n * factor, exponent - axis->shift,
                 (place - axis->low) / (axis->high - axis->low), false);
    }
}

static double decade_at(const tamis__axis *axis, int factor, int decade)
{
    return (log10(factor) + decade - axis->low) / (axis->high - axis->low);
}

/* Powers of ten, every stride-th one; with `fine` 2 and 5 times these too. What is between is
 * minor. */
static void log_ticks(tamis__axis *axis, int stride, bool fine)
{
    /* A label that is no double is of no use. */
    int from = (int)fmax(floor(axis->low), -323), to = (int)fmin(ceil(axis->high), 308);
    bool minor = to - from <= 5;
    axis->ticks = 0;
    for (int decade = from; decade <= to; decade++) {
        if (decade % stride) continue;
        for (int factor = 1; factor < 10; factor++) {
            bool major = factor == 1 || (fine && (factor == 2 || factor == 5));
            if (major || (minor && stride == 1))
                add_tick(axis, factor, decade, decade_at(axis, factor, decade), !major);
        }
    }
}

static unsigned count_major(const tamis__axis *axis)
{
    unsigned n = 0;
    for (unsigned i = 0; i < axis->ticks; i++) n += !axis->tick[i].minor;
    return n;
}

void tamis__axis_set_ticks(tamis__axis *axis, double length, bool upright, double size)
{
    if (axis->log) {
        log_ticks(axis, 1, axis->high - axis->low < 2.5);
        for (int stride = 1; stride < 700 && count_major(axis) > 1; stride++) {
            if (stride > 1) log_ticks(axis, stride, false);
            label_ticks(axis);
            if (!labels_touch(axis, length, upright, size)) break;
        }
        if (count_major(axis) > 2 || axis->high - axis->low > 1) {
            label_ticks(axis);
            return;
        }
    }
    double low = axis->log ? pow(10, axis->low) : axis->low;
    double high = axis->log ? pow(10, axis->high) : axis->high;
    for (unsigned target = upright ? 7 : 9; target > 1; target--) {
        linear_ticks(axis, low, high, target);
        label_ticks(axis);
        if (!labels_touch(axis, length, upright, size)) break;
    }
}
