/* Inner products of rows with rows: against sums in long double, and the same bits in every
 * version.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <math.h>
#include <tamis/context.h>

#include "base/context.h"
#include "kernels/row_dots.h"

enum { ROWS = 9, STRIDE = 80 };

static const unsigned features[] = {0, TAMIS_CPU_AVX2, TAMIS_CPU_AVX2 | TAMIS_CPU_AVX512};

/* Strides may be longer than rows; what is beside a row has no number. */
START_TEST(test_row_dots)
{
    static double a[ROWS * STRIDE], b[ROWS * STRIDE];
    static float narrow[ROWS * STRIDE];
    unsigned cpu = tamis__cpu_detect();
    for (size_t n = 0; n <= 70; n++) {
        double first[2][ROWS];
        for (size_t i = 0; i < ROWS * STRIDE; i++) {
            a[i] = i % STRIDE < n ? sin((double)(i * 7 + n)) : (double)NAN;
            narrow[i] = i % STRIDE < n ? (float)cos((double)(i * 3 + n)) : (float)NAN;
            b[i] = (double)narrow[i];
        }
        for (size_t f = 0; f < sizeof features / sizeof *features; f++) {
            tamis__row_dots dots;
            double out[2][ROWS];
            if (features[f] & ~cpu) continue;
            tamis__row_dots_init(&dots, features[f]);
            for (size_t r = 0; r < ROWS; r++) out[0][r] = out[1][r] = (double)r;
            dots.floats(out[0], 0.5, a, STRIDE, narrow, STRIDE, ROWS, n);
            dots.doubles(out[1], 0.5, a, STRIDE, b, STRIDE, ROWS, n);
            if (f == 0) memcpy(first, out, sizeof out);
            ck_assert_mem_eq(out, first, sizeof out);
            ck_assert_mem_eq(out[0], out[1], sizeof *out); /* floats are doubles, too */
            double sums[STRIDE] = {0};
            for (size_t r = 0; r < ROWS; r++) dots.add(sums, narrow + r * STRIDE, n);
            for (size_t c = 0; c < n; c++) {
                double sum = 0;
                for (size_t r = 0; r < ROWS; r++) sum += b[r * STRIDE + c];
                ck_assert(sums[c] == sum);
            }
            for (size_t c = n; c < STRIDE; c++) ck_assert(sums[c] == 0);
            for (size_t r = 0; r < ROWS; r++) {
                long double sum = 0;
                for (size_t c = 0; c < n; c++)
                    sum += (long double)a[r * STRIDE + c] * (long double)b[r * STRIDE + c];
                ck_assert_double_eq_tol(out[0][r], (double)((long double)r + 0.5L * sum), 1e-13);
            }
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("row dots");
    TCase *tc = tcase_create("row dots");
    tcase_add_test(tc, test_row_dots);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
