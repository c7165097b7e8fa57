/* Numbers as text, independent of the locale.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/text.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

/* strtod() obeys the process's locale, which is the application's: a private "C" locale is used
 * instead. It lives as long as the process. */
static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static double to_double(const char *text, char **end)
{
    pthread_once(&c_locale_once, make_c_locale);
    if (c_locale == (locale_t)0) return strtod(text, end);
    return strtod_l(text, end, c_locale);
}

static size_t format_special(char *buffer, double value)
{
    const char *name = isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
    strcpy(buffer, name);
    return strlen(name);
}

/* printf obeys the locale too, so this thread borrows the private one. */
static size_t format_digits(char *buffer, double value, int digits)
{
    pthread_once(&c_locale_once, make_c_locale);
    locale_t callers = c_locale ? uselocale(c_locale) : (locale_t)0;
    int n = snprintf(buffer, TAMIS__NUMBER_SIZE, "%.*g", digits, value);
    if (callers) uselocale(callers);
    return (size_t)n;
}

size_t tamis__format_float(char buffer[TAMIS__NUMBER_SIZE], float value)
{
    if (!isfinite(value)) return format_special(buffer, (double)value);
    /* Every decimal of 6 digits survives the way through a float and back, so no shorter one needs
     * to be tried; this does not hold where a float has fewer bits. */
    for (int digits = fabsf(value) < FLT_MIN ? 1 : 6; digits < 9; digits++) {
        size_t n = format_digits(buffer, (double)value, digits);
        if ((float)to_double(buffer, NULL) == value) return n;
    }
    return format_digits(buffer, (double)value, 9);
}

size_t tamis__format_double(char buffer[TAMIS__NUMBER_SIZE], double value)
{
    if (!isfinite(value)) return format_special(buffer, value);
    for (int digits = fabs(value) < DBL_MIN ? 1 : 15; digits < 17; digits++) {
        size_t n = format_digits(buffer, value, digits);
        if (to_double(buffer, NULL) == value) return n;
    }
    return format_digits(buffer, value, 17);
}

static bool is_word(const char *text, size_t size, const char *word)
{
    return size == strlen(word) && strncasecmp(text, word, size) == 0;
}

/* Digits with at most one point; *ret_digits counts the digits. */
static size_t scan_mantissa(const char *text, size_t size, size_t *ret_digits)
{
    size_t i = 0, digits = 0;
    bool point = false;
    for (; i < size; i++) {
        if (text[i] >= '0' && text[i] <= '9')
            digits++;
        else if (text[i] == '.' && !point)
            point = true;
        else
            break;
    }
    *ret_digits = digits;
    return i;
}

static bool looks_like_number(const char *text, size_t size)
{
    size_t i = size && (*text == '+' || *text == '-') ? 1 : 0, digits;
    if (is_word(text + i, size - i, "nan") || is_word(text + i, size - i, "inf") ||
        is_word(text + i, size - i, "infinity"))
        return true;
    i += scan_mantissa(text + i, size - i, &digits);
    if (digits == 0) return false;
    if (i == size) return true;
    if (text[i] != 'e' && text[i] != 'E') return false;
    i++;
    if (i < size && (text[i] == '+' || text[i] == '-')) i++;
    size_t start = i;
    while (i < size && text[i] >= '0' && text[i] <= '9') i++;
    return i == size && i > start;
}

/* Up to 15 digits and small powers of ten are exact in double arithmetic (Clinger 1990), which
 * serves nearly every number of a data file; the rest goes to strtod(). */
static bool parse_fast(const char *text, size_t size, double *ret_value)
{
    static const double power[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    size_t i = 0, digits = 0, fraction = 0;
    bool negative = false, point = false;
    uint64_t mantissa = 0;
    if (size && (*text == '-' || *text == '+')) negative = text[i++] == '-';
    for (; i < size; i++) {
        if (text[i] == '.' && !point) {
            point = true;
        } else if (text[i] >= '0' && text[i] <= '9') {
            mantissa = mantissa * 10 + (uint64_t)(text[i] - '0');
            if (++digits > 15) return false;
            fraction += point;
        } else {
            return false;
        }
    }
    if (digits == 0) return false;
    double value = (double)mantissa / power[fraction];
    *ret_value = negative ? -value : value;
    return true;
}

bool tamis__parse_double(const char *text, size_t size, double *ret_value)
{
    if (parse_fast(text, size, ret_value)) return true;
    if (size == 0 || !looks_like_number(text, size)) return false;
    char local[128], *copy = size < sizeof local ? local : tamis__malloc(size + 1, 1);
    if (!copy) return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    *ret_value = to_double(copy, NULL);
    if (copy != local) free(copy);
    return true;
}

bool tamis__parse_uint64(const char *text, size_t size, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (size && *text == '+') text++, size--;
    if (size == 0) return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}

bool tamis__parse_int64(const char *text, size_t size, int64_t *ret_value)
{
    bool negative = size && *text == '-';
    uint64_t value;
    if (negative && size > 1 && text[1] == '+') return false;
    if (!tamis__parse_uint64(text + negative, size - negative, &value)) return false;
    if (value > (uint64_t)INT64_MAX + negative) return false;
    *ret_value = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

const char *tamis__show(char *buffer, size_t room, const char *text, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        bool plain = c >= ' ' && c <= '~';
        size_t takes = plain ? 1 : 4;
        if (at + takes >= room) break;
        if (plain)
            buffer[at] = (char)c;
        else
            snprintf(buffer + at, takes + 1, "\\x%02X", (unsigned)c);
        at += takes;
    }
    buffer[at] = '\0';
    return buffer;
}
