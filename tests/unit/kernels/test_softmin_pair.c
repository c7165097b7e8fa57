/* The loops that take a row's softmin and the columns' at once, at every level this processor has,
 * against the plain C version to the bit, and that against the C library.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <math.h>
#include <stdbool.h>
#include <tamis/context.h>

#include "base/context.h"
#include "base/rng.h"
#include "kernels/softmin_pair.h"

enum { MOST = 70 };

static const unsigned levels[] = {0, TAMIS_CPU_AVX2, TAMIS_CPU_AVX2 | TAMIS_CPU_AVX512};
enum { LEVELS = sizeof levels / sizeof *levels };

static gsl_rng *rng;
static tamis__softmin_pair plain, other;

/* False when this machine lacks the level. */
static bool get_level(int i)
{
    tamis__softmin_pair_init(&plain, 0);
    if ((levels[i] & tamis__cpu_detect()) != levels[i]) return false;
    tamis__softmin_pair_init(&other, levels[i]);
    rng = tamis__rng_create();
    tamis__rng_key(rng, 12, TAMIS__STREAM_TEST, (uint64_t)i);
    return true;
}

static void fill(float *x, size_t n, double low, double high)
{
    for (size_t i = 0; i < n; i++) x[i] = (float)(low + (high - low) * gsl_rng_uniform(rng));
}

static void ck_same(const void *a, const void *b, size_t bytes)
{
    ck_assert_int_eq(memcmp(a, b, bytes), 0);
}

/* An exponential alone: a row of one cost, whose only term is exp(h - most). */
static float exponential_of(float x)
{
    float c = 0, top = 0, sum = 0;
    float found = other.sums(&c, &x, 0, 1, 0, &top, &sum, 1);
    ck_assert(sum == 1.0f);
    return found;
}

START_TEST(exponential)
{
    double worst = 0;
    if (!get_level(_i)) return;
    for (int repeat = 0; repeat < 200000; repeat++) {
        float x;
        fill(&x, 1, repeat % 2 ? -87 : -2, 0);
        double wanted = exp((double)x), off = fabs((double)exponential_of(x) - wanted) / wanted;
        worst = off > worst ? off : worst;
    }
    ck_assert_msg(worst < 2e-7 && worst > 0, "off by %g", worst);
    ck_assert(exponential_of(0) == 1.0f);
    ck_assert(exponential_of(-87) > 0);
    ck_assert(exponential_of(-87.1f) == 0);
    ck_assert(exponential_of(-HUGE_VALF) == 0);
    gsl_rng_free(rng);
}
END_TEST

/* Rates at which all exponentials count, some, and nearly none. */
static const float rates[] = {0.5f, 40, 3000};

START_TEST(same_bits)
{
    float c[MOST], h[MOST], top[2][MOST], sum[2][MOST], part[MOST];
    double all[2][MOST];
    if (!get_level(_i)) return;
    for (size_t n = 1; n <= MOST; n++)
        for (int repeat = 0; repeat < 21; repeat++) {
            float rate = rates[repeat % 3], own = repeat == 4 ? -HUGE_VALF : -1.5f;
            fill(c, n, 0, 3);
            fill(h, n, -9, 5);
            fill(top[0], n, -9, 5);
            fill(sum[0], n, 0, 7);
            if (repeat % 5 == 0) h[n / 2] = top[0][n / 2] = -HUGE_VALF;
            memcpy(top[1], top[0], sizeof top[0]);
            memcpy(sum[1], sum[0], sizeof sum[0]);
            float most = plain.tops(c, h, own, rate, top[0], n);
            ck_assert(other.tops(c, h, own, rate, top[1], n) == most);
            ck_same(top[0], top[1], n * sizeof *top[0]);
            float a = plain.sums(c, h, own, rate, most, top[0], sum[0], n);
            float b = other.sums(c, h, own, rate, most, top[1], sum[1], n);
            ck_same(&a, &b, sizeof a);
            ck_same(sum[0], sum[1], n * sizeof *sum[0]);
            for (size_t i = 0; i < n; i++) all[0][i] = all[1][i] = (double)c[i];
            fill(part, n, -30, 30);
            if (repeat % 5 == 0) part[0] = -HUGE_VALF;
            plain.join(top[0], all[0], part, sum[0], n);
            other.join(top[1], all[1], part, sum[1], n);
            ck_same(top[0], top[1], n * sizeof *top[0]);
            ck_same(all[0], all[1], n * sizeof *all[0]);
        }
    gsl_rng_free(rng);
}
END_TEST

/* Against the formulas in double: a block of rows, as a pass does it. */
START_TEST(meaning)
{
    enum { ROWS = 9 };
    float c[ROWS][MOST], h[MOST], own[ROWS], top[MOST], sum[MOST] = {0}, most[ROWS];
    if (!get_level(_i)) return;
    for (size_t k = 0; k < sizeof rates / sizeof *rates; k++) {
        double rate = (double)rates[k];
        fill(&c[0][0], ROWS * MOST, 0, 3);
        fill(h, MOST, -1, 1);
        fill(own, ROWS, -1, 1);
        for (size_t j = 0; j < MOST; j++) top[j] = -HUGE_VALF, sum[j] = 0;
        for (size_t i = 0; i < ROWS; i++)
            most[i] = other.tops(c[i], h, own[i], rates[k], top, MOST);
        for (size_t i = 0; i < ROWS; i++) {
            double wanted = 0;
            float found = other.sums(c[i], h, own[i], rates[k], most[i], top, sum, MOST);
            for (size_t j = 0; j < MOST; j++)
                wanted += exp((double)h[j] - (double)c[i][j] * rate - (double)most[i]);
            ck_assert_double_eq_tol((double)found / wanted, 1, 2e-6 + 1e-6 * rate);
        }
        for (size_t j = 0; j < MOST; j++) {
            double wanted = 0;
            for (size_t i = 0; i < ROWS; i++)
                wanted += exp((double)own[i] - (double)c[i][j] * rate - (double)top[j]);
            ck_assert_double_eq_tol((double)sum[j] / wanted, 1, 2e-6 + 1e-6 * rate);
        }
    }
    gsl_rng_free(rng);
}
END_TEST

/* Sums about two points become one about the higher. */
START_TEST(joining)
{
    float top[MOST], part[MOST], sum[MOST], before[MOST];
    double all[MOST];
    if (!get_level(_i)) return;
    fill(top, MOST, -20, 20);
    fill(part, MOST, -20, 20);
    fill(sum, MOST, 1, 5);
    memcpy(before, top, sizeof top);
    for (size_t j = 0; j < MOST; j++) all[j] = 2.0;
    part[3] = -HUGE_VALF;
    other.join(top, all, part, sum, MOST);
    for (size_t j = 0; j < MOST; j++) {
        double wanted = 2 * exp((double)before[j] - (double)top[j]) +
                        (double)sum[j] * exp((double)part[j] - (double)top[j]);
        ck_assert(top[j] == fmaxf(before[j], part[j]));
        ck_assert_double_eq_tol(all[j] / wanted, 1, 1e-6);
    }
    gsl_rng_free(rng);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernels softmin pair");
    TCase *c = tcase_create("all");
    tcase_add_loop_test(c, exponential, 0, LEVELS);
    tcase_add_loop_test(c, same_bits, 0, LEVELS);
    tcase_add_loop_test(c, meaning, 0, LEVELS);
    tcase_add_loop_test(c, joining, 0, LEVELS);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
