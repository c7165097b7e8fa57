/* The loops of transport, at every level this processor has, against the plain C version to the
 * bit, and that against the C library.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <math.h>
#include <stdbool.h>
#include <tamis/context.h>

#include "base/context.h"
#include "base/rng.h"
#include "kernels/softmin.h"

enum { MOST = 70 };

static const unsigned levels[] = {0, TAMIS_CPU_AVX2, TAMIS_CPU_AVX2 | TAMIS_CPU_AVX512};
enum { LEVELS = sizeof levels / sizeof *levels };

static gsl_rng *rng;
static tamis__softmin_kernels plain, other;

/* False when this machine lacks the level. */
static bool get_level(int i)
{
    tamis__softmin_init(&plain, 0);
    if ((levels[i] & tamis__cpu_detect()) != levels[i]) return false;
    tamis__softmin_init(&other, levels[i]);
    rng = tamis__rng_create();
    tamis__rng_key(rng, 11, TAMIS__STREAM_TEST, (uint64_t)i);
    return true;
}

static void fill(double *x, size_t n, double low, double high)
{
    for (size_t i = 0; i < n; i++) x[i] = low + (high - low) * gsl_rng_uniform(rng);
}

static void ck_bits(double a, double b)
{
    ck_assert_msg(memcmp(&a, &b, sizeof a) == 0, "%a, not %a", b, a);
}

/* 5e-16 of itself from -708 to 709; 0 below, and as of 709 above. */
START_TEST(exponential)
{
    double x[MOST], z[MOST], worst = 0;
    if (!get_level(_i)) return;
    for (int repeat = 0; repeat < 4000; repeat++) {
        fill(x, MOST, repeat % 2 ? -708 : -2, repeat % 2 ? 709 : 2);
        memcpy(z, x, sizeof z);
        other.exp(z, 0.0, MOST);
        for (size_t i = 0; i < MOST; i++) {
            long double wanted = expl((long double)x[i]);
            double off = (double)fabsl(((long double)z[i] - wanted) / wanted);
            worst = off > worst ? off : worst;
        }
    }
    ck_assert_msg(worst < 5e-16 && worst > 0, "off by %g", worst);
    double ends[] = {-708.5, -1e300, -(double)INFINITY, (double)NAN, 800, (double)INFINITY,
                     0,      -708};
    other.exp(ends, 0.0, 8);
    for (size_t i = 0; i < 4; i++) ck_bits(0.0, ends[i]);
    ck_assert_double_eq_tol(ends[4] / exp(709), 1, 1e-15);
    ck_bits(ends[4], ends[5]);
    ck_bits(1.0, ends[6]);
    ck_assert(ends[7] > 0);
    gsl_rng_free(rng);
}
END_TEST

START_TEST(same_bits)
{
    double c[MOST], h[MOST], w[MOST], a[MOST], b[MOST], left = 0, right = 0;
    float narrow[MOST];
    if (!get_level(_i)) return;
    for (size_t n = 1; n <= MOST; n++)
        for (int repeat = 0; repeat < 20; repeat++) {
            fill(c, n, 0, 3);
            fill(h, n, -40, 5);
            fill(w, n, -1, 1);
            if (repeat % 3 == 0) h[n / 2] = -(double)INFINITY;
            double rate = repeat % 2 ? 1.7 : 300;
            ck_bits(plain.shift(a, h, c, rate, n), other.shift(b, h, c, rate, n));
            ck_assert_int_eq(memcmp(a, b, n * sizeof *a), 0);
            ck_bits(plain.sum_exp(a, 1.5, n), other.sum_exp(b, 1.5, n));
            plain.exp(a, 1.5, n);
            other.exp(b, 1.5, n);
            ck_assert_int_eq(memcmp(a, b, n * sizeof *a), 0);
            fill(a, n, -1, 1);
            memcpy(b, a, n * sizeof *a);
            if (repeat % 3 == 1) a[n - 1] = b[n - 1] = (c[n - 1] + 0.5) / 2;
            bool root = repeat % 2 == 0;
            ck_bits(plain.distance(a, c, 0.5, 2.0, root, n),
                    other.distance(b, c, 0.5, 2.0, root, n));
            ck_assert_int_eq(memcmp(a, b, n * sizeof *a), 0);
            if (repeat % 4 == 0) /* ties */
                for (size_t i = 0; i < n; i++) c[i] = floor(c[i]), w[i] = floor(w[i] * 2);
            for (int bounded = 0; bounded < 2; bounded++) {
                double bound = bounded ? 0.1 : (double)INFINITY;
                size_t at = plain.least(c, w, n, bound, &left);
                ck_assert_uint_eq(other.least(c, w, n, bound, &right), at);
                ck_assert(at == n || left == right);
                for (size_t i = 0; i < n; i++) narrow[i] = (float)c[i];
                at = plain.least_float(narrow, 0.25, w, n, bound, &left);
                ck_assert_uint_eq(other.least_float(narrow, 0.25, w, n, bound, &right), at);
                ck_assert(at == n || left == right);
                plain.widen(a, narrow, 0.25, n);
                other.widen(b, narrow, 0.25, n);
                ck_assert_int_eq(memcmp(a, b, n * sizeof *a), 0);
            }
        }
    gsl_rng_free(rng);
}
END_TEST

/* Against the formulas written down. */
START_TEST(meaning)
{
    double z[MOST], h[MOST], c[MOST], inner[MOST], value;
    float narrow[MOST];
    if (!get_level(_i)) return;
    fill(c, MOST, 0, 3);
    fill(h, MOST, -4, 5);
    fill(inner, MOST, -1, 1);
    double top = other.shift(z, h, c, 2.0, MOST), sum = 0, most = -1e300, least = 1e300;
    size_t where = 0;
    for (size_t i = 0; i < MOST; i++) {
        ck_assert_double_eq_tol(z[i], h[i] - 2 * c[i], 1e-14);
        sum += exp(z[i] - top);
        most = fmax(most, z[i]);
        if (c[i] + h[i] < least) {
            least = c[i] + h[i];
            where = i;
        }
    }
    ck_bits(most, top);
    ck_assert_double_eq_tol(other.sum_exp(z, top, MOST), sum, 1e-13);
    ck_assert_uint_eq(other.least(c, h, MOST, 1e9, &value), where);
    ck_assert_double_eq_tol(value, least, 1e-15);
    ck_assert_uint_eq(other.least(c, h, MOST, least, &value), MOST);
    for (size_t i = 0; i < MOST; i++) narrow[i] = (float)c[i];
    other.widen(z, narrow, 8.0, MOST);
    least = 1e300;
    for (size_t i = 0; i < MOST; i++) {
        ck_bits((double)narrow[i] * 8.0, z[i]);
        if (z[i] + h[i] < least) least = z[where = i] + h[i];
    }
    ck_assert_uint_eq(other.least_float(narrow, 8.0, h, MOST, 1e9, &value), where);
    ck_bits(least, value);
    ck_assert_uint_eq(other.least_float(narrow, 8.0, h, MOST, least, &value), MOST);
    memcpy(z, inner, sizeof z);
    double spare = other.distance(z, c, 1.25, 0.5, true, MOST), wanted = 1e300;
    for (size_t i = 0; i < MOST; i++) {
        double square = 1.25 + c[i] - 2 * inner[i];
        wanted = fmin(wanted, square - TAMIS__NEAR * (1.25 + c[i]));
        ck_assert_double_eq_tol(z[i], 0.5 * sqrt(fmax(square, 0)), 1e-7);
        ck_bits((double)(float)(z[i] / 0.5) * 0.5, z[i]);
    }
    ck_assert_double_eq_tol(spare, wanted, 1e-14);
    gsl_rng_free(rng);
}
END_TEST

/* Any number of rows and columns; nothing is written beside them. */
START_TEST(turning)
{
    enum { STRIDE = 41, OUT = 37 };
    float c[32 * STRIDE];
    double a[OUT * OUT], b[OUT * OUT];
    if (!get_level(_i)) return;
    for (int i = 0; i < 32 * STRIDE; i++) c[i] = (float)gsl_rng_uniform(rng);
    for (size_t rows = 0; rows <= 33; rows++)
        for (size_t columns = 0; columns <= 32; columns++) {
            for (int i = 0; i < OUT * OUT; i++) a[i] = b[i] = -1;
            for (size_t i = 0; i < rows; i++)
                for (size_t j = 0; j < columns; j++)
                    a[i * OUT + j] = (double)c[j * STRIDE + i] * 0.25;
            other.turn(b, OUT, c, STRIDE, 0.25, rows, columns);
            ck_assert_int_eq(memcmp(a, b, sizeof a), 0);
        }
    gsl_rng_free(rng);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernels softmin");
    TCase *c = tcase_create("all");
    tcase_add_loop_test(c, exponential, 0, LEVELS);
    tcase_add_loop_test(c, same_bits, 0, LEVELS);
    tcase_add_loop_test(c, meaning, 0, LEVELS);
    tcase_add_loop_test(c, turning, 0, LEVELS);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
