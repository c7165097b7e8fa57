/* Keyed random numbers.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <gsl/gsl_cdf.h>
#include <math.h>

#include "base/mem.h"
#include "base/rng.h"

enum { STREAM = TAMIS__STREAM_TEST };

static gsl_rng *rng;

static void setup(void)
{
    rng = tamis__rng_create();
    ck_assert_ptr_nonnull(rng);
}

static void teardown(void)
{
    gsl_rng_free(rng);
}

/* These values are part of results: a change of them changes every trained model and selection. */
START_TEST(pinned)
{
    tamis__rng_key(rng, 1, 2, 3);
    unsigned long first = gsl_rng_get(rng), second = gsl_rng_get(rng);
    tamis__rng_key(rng, 1, 2, 3);
    ck_assert_uint_eq(gsl_rng_get(rng), first);
    ck_assert_uint_eq(gsl_rng_get(rng), second);
    ck_assert_uint_eq(first, UINT64_C(0x3583a447ba87706d));
    ck_assert_uint_eq(second, UINT64_C(0x9849152076925353));
}
END_TEST

/* An item's numbers do not depend on what was drawn before, nor on the generator they come from. */
START_TEST(any_order)
{
    enum { ITEMS = 50, DRAWS = 5 };
    static unsigned long forward[ITEMS][DRAWS];
    for (unsigned i = 0; i < ITEMS; i++) {
        tamis__rng_key(rng, 9, STREAM, i);
        for (int d = 0; d < DRAWS; d++) forward[i][d] = gsl_rng_get(rng);
    }
    gsl_rng *other = tamis__rng_create();
    for (unsigned i = ITEMS; i-- > 0;) {
        for (unsigned skip = 0; skip < i % 7; skip++) (void)gsl_rng_get(other);
        tamis__rng_key(other, 9, STREAM, i);
        for (int d = 0; d < DRAWS; d++) ck_assert_uint_eq(gsl_rng_get(other), forward[i][d]);
    }
    gsl_rng_free(other);
}
END_TEST

/* Each part of the key counts, and its parts are not interchangeable. */
START_TEST(keys_differ)
{
    enum { N = 6 };
    static double seen[N * N * N];
    size_t n = 0;
    for (uint64_t seed = 0; seed < N; seed++)
        for (uint64_t stream = 0; stream < N; stream++)
            for (uint64_t item = 0; item < N; item++) {
                tamis__rng_key(rng, seed, stream, item);
                seen[n] = gsl_rng_uniform(rng);
                for (size_t i = 0; i < n; i++) ck_assert(seen[i] < seen[n] || seen[i] > seen[n]);
                n++;
            }
}
END_TEST

/* Numbers of neighbouring keys are uncorrelated: |r| of n pairs stays within 5 / sqrt(n). */
START_TEST(independent)
{
    enum { N = 20000 };
    static const uint64_t step[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    for (int k = 0; k < 3; k++) {
        double sum = 0;
        for (uint64_t i = 0; i < N; i++) {
            tamis__rng_key(rng, 3 + i * step[k][0], STREAM + i * step[k][1], i * step[k][2]);
            double a = gsl_rng_uniform(rng) - 0.5;
            tamis__rng_key(rng, 3 + (i + 1) * step[k][0], STREAM + (i + 1) * step[k][1],
                           (i + 1) * step[k][2]);
            sum += a * (gsl_rng_uniform(rng) - 0.5) * 12;
        }
        ck_assert_double_lt(fabs(sum / N), 5 / sqrt(N));
    }
}
END_TEST

static double chi_square(const unsigned *count, size_t cells, double expected)
{
    double sum = 0;
    for (size_t i = 0; i < cells; i++)
        sum += (count[i] - expected) * (count[i] - expected) / expected;
    return sum;
}

/* The statistic's two tails are both improbable; the seed is fixed, so this never fails by
 * chance. */
static void check_chi_square(const unsigned *count, size_t cells, double expected)
{
    double p = gsl_cdf_chisq_Q(chi_square(count, cells, expected), (double)(cells - 1));
    ck_assert_msg(p > 1e-4 && p < 1 - 1e-4, "p = %g", p);
}

START_TEST(uniform)
{
    enum { CELLS = 256, DRAWS = 256 * 400 };
    static unsigned along[CELLS], across[CELLS], low[CELLS];
    tamis__rng_key(rng, 4, STREAM, 0);
    for (int i = 0; i < DRAWS; i++) {
        double u = gsl_rng_uniform(rng);
        ck_assert(u >= 0 && u < 1);
        along[(size_t)(u * CELLS)]++;
    }
    check_chi_square(along, CELLS, DRAWS / CELLS);
    for (uint64_t i = 0; i < DRAWS; i++) {
        tamis__rng_key(rng, 4, STREAM, i);
        across[(size_t)(gsl_rng_uniform(rng) * CELLS)]++;
    }
    check_chi_square(across, CELLS, DRAWS / CELLS);
    tamis__rng_key(rng, 4, STREAM, 1);
    for (int i = 0; i < DRAWS; i++) low[gsl_rng_get(rng) % CELLS]++;
    check_chi_square(low, CELLS, DRAWS / CELLS);
}
END_TEST

START_TEST(permutation)
{
    uint64_t order[100];
    for (uint64_t n = 0; n <= 100; n++) {
        unsigned seen[100] = {0};
        tamis__rng_key(rng, 5, STREAM, n);
        tamis__rng_permutation(rng, order, n);
        for (uint64_t i = 0; i < n; i++) {
            ck_assert_uint_lt(order[i], n);
            ck_assert_uint_eq(seen[order[i]]++, 0);
        }
    }
}
END_TEST

/* All 24 orders of four are equally frequent. */
START_TEST(permutation_uniform)
{
    enum { DRAWS = 24 * 1000 };
    static unsigned count[256], orders[24];
    for (uint64_t i = 0; i < DRAWS; i++) {
        uint64_t o[4];
        tamis__rng_key(rng, 6, STREAM, i);
        tamis__rng_permutation(rng, o, 4);
        count[o[0] | o[1] << 2 | o[2] << 4 | o[3] << 6]++;
    }
    size_t n = 0;
    for (size_t i = 0; i < 256; i++)
        if (count[i]) {
            ck_assert_uint_lt(n, 24);
            orders[n++] = count[i];
        }
    ck_assert_uint_eq(n, 24);
    check_chi_square(orders, 24, DRAWS / 24);
}
END_TEST

START_TEST(gsl_seed)
{
    tamis__rng_key(rng, 77, 0, 0);
    unsigned long wanted = gsl_rng_get(rng);
    gsl_rng_set(rng, 77);
    ck_assert_uint_eq(gsl_rng_get(rng), wanted);
}
END_TEST

START_TEST(no_memory)
{
    long n = 0;
    for (;; n++) {
        tamis__fault_memory_after(n);
        gsl_rng *made = tamis__rng_create();
        tamis__fault_memory_after(-1);
        if (made) {
            gsl_rng_free(made);
            break;
        }
    }
    ck_assert_int_eq(n, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rng");
    TCase *tests = tcase_create("rng");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, pinned);
    tcase_add_test(tests, any_order);
    tcase_add_test(tests, keys_differ);
    tcase_add_test(tests, independent);
    tcase_add_test(tests, uniform);
    tcase_add_test(tests, permutation);
    tcase_add_test(tests, permutation_uniform);
    tcase_add_test(tests, gsl_seed);
    tcase_add_test(tests, no_memory);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
