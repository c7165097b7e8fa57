/* Tests of ranks, correlations and intervals against plain loops and closed forms.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/statistics.h"

#include "base/rng.h"
#include "brute.h"
#include "small_files.h"

enum { N = 60 };

/* Few distinct values: many ties. */
static void draw_values(uint64_t key, unsigned distinct, double *value)
{
    gsl_rng *rng = tamis__rng_create();
    tamis__rng_key(rng, 7, TAMIS__STREAM_TEST, key);
    for (size_t i = 0; i < N; i++) value[i] = (double)gsl_rng_uniform_int(rng, distinct) / 4 - 1;
    gsl_rng_free(rng);
}

static double spearman(const double *x, const double *y, const double *weight, size_t n)
{
    uint32_t a[N], b[N];
    double scratch[2 * N], found;
    tamis__sort_items(x, n, a);
    tamis__sort_items(y, n, b);
    const tamis__two_columns pair = {x, y, a, b, n};
    (void)tamis__spearman(&pair, weight, scratch, &found);
    return found;
}

START_TEST(spearman_is_that_of_plain_loops)
{
    static const unsigned distinct[] = {2, 5, 1000000};
    double x[N], y[N];
    draw_values(1, distinct[_i], x);
    draw_values(2, distinct[_i], y);
    ck_assert_double_eq_tol(spearman(x, y, NULL, N), brute_spearman(x, y, N), 1e-12);
    for (size_t i = 0; i < N; i++) y[i] = -3 * x[i] + 2;
    ck_assert_double_eq_tol(spearman(x, y, NULL, N), -1, 1e-12);
}
END_TEST

/* An item of weight 3 stands there three times. */
START_TEST(weights_are_copies)
{
    double x[N], y[N], weight[N] = {0}, copy_x[4 * N], copy_y[4 * N], found;
    size_t n = 0;
    draw_values(3, 9, x);
    draw_values(4, 9, y);
    for (size_t i = 0; i < N; i++) {
        weight[i] = (double)(i * 7 % 4);
        for (size_t k = 0; k < i * 7 % 4; k++, n++) {
            copy_x[n] = x[i];
            copy_y[n] = y[i];
        }
    }
    ck_assert_double_eq_tol(spearman(x, y, weight, N), brute_spearman(copy_x, copy_y, n), 1e-12);
    ck_assert(tamis__correlation(x, y, weight, N, &found));
    ck_assert_double_eq_tol(found, brute_pearson(copy_x, copy_y, n), 1e-12);
}
END_TEST

START_TEST(constant_columns_have_no_correlation)
{
    double x[N], y[N], found = 5;
    for (size_t i = 0; i < N; i++) {
        x[i] = 0.1;
        y[i] = (double)i;
    }
    ck_assert(!tamis__correlation(x, y, NULL, N, &found));
    ck_assert_double_eq(found, 0);
    ck_assert_double_eq(spearman(x, y, NULL, N), 0);
}
END_TEST

START_TEST(quantiles_and_student)
{
    const double sorted[] = {1, 2, 4, 8};
    ck_assert_double_eq(tamis__quantile(sorted, 4, 0), 1);
    ck_assert_double_eq(tamis__quantile(sorted, 4, 1), 8);
    ck_assert_double_eq_tol(tamis__quantile(sorted, 4, 0.5), 3, 1e-12);
    ck_assert_double_eq_tol(tamis__quantile(sorted, 4, 0.9), 6.8, 1e-12);
    ck_assert_double_eq(tamis__quantile(sorted, 1, 0.3), 1);
    ck_assert_double_eq_tol(tamis__student(1), 12.706204736, 1e-8);
    ck_assert_double_eq_tol(tamis__student(4), 2.776445105, 1e-8);
    ck_assert_double_eq_tol(tamis__deviation(sorted, 4, 1), sqrt(28.75 / 3), 1e-12);
}
END_TEST

/* --- resampling ------------------------------------------------------------------------------- */

typedef struct column {
    double value[N];
} column;

static void mean(const void *arg, const double *weight, void *scratch, double *ret_values)
{
    const column *c = arg;
    double sum = 0, total = 0;
    memset(scratch, 1, 8);
    for (size_t i = 0; i < N; i++) {
        sum += weight[i] * c->value[i];
        total += weight[i];
    }
    ck_assert_double_eq(total, N);
    ret_values[0] = sum / total;
    ret_values[1] = -sum;
}

static tamis_status resample(unsigned threads, const column *c, const tamis_bootstrap *bootstrap,
                             double *draw, tamis_error *err)
{
    tamis_context *context = small_context(threads);
    const tamis__resampling resampling = {c, mean, N, 2, 8, bootstrap};
    tamis_status status = tamis__resample(context, &resampling, draw, err);
    tamis_context_destroy(&context);
    return status;
}

/* The standard error of a mean is known; intervals have the size that goes with it. */
START_TEST(interval_of_a_mean)
{
    enum { DRAWS = 4000 };
    tamis_error err = {0};
    tamis_bootstrap bootstrap = {.draws = DRAWS, .seed = 3};
    tamis_estimate e, normal, none;
    static double draw[2 * DRAWS], again[2 * DRAWS];
    column c;
    draw_values(5, 1000000, c.value);
    double value = 0, squares = 0;
    for (size_t i = 0; i < N; i++) value += c.value[i] / N;
    for (size_t i = 0; i < N; i++) squares += (c.value[i] - value) * (c.value[i] - value) / N;
    double error = sqrt(squares / N);
    ck_ok(resample(1, &c, &bootstrap, draw, &err));
    ck_ok(tamis__estimate(value, draw, 2, &bootstrap, &e, &err));
    ck_assert_double_eq(e.value, value);
    ck_assert_double_eq_tol(e.error / error, 1, 0.05);
    ck_assert_double_eq_tol((e.high - e.low) / (2 * 1.96 * error), 1, 0.06);
    ck_assert(e.low < value && value < e.high);
    bootstrap.normal = true;
    ck_ok(tamis__estimate(value, draw, 2, &bootstrap, &normal, &err));
    ck_assert_double_eq_tol(normal.high - value, 1.959963985 * e.error, 1e-6 * e.error);
    ck_assert_double_eq_tol(value - normal.low, 1.959963985 * e.error, 1e-6 * e.error);
    for (unsigned threads = 2; threads < 4; threads++) {
        ck_ok(resample(threads, &c, &bootstrap, again, &err));
        ck_assert_mem_eq(draw, again, sizeof draw);
    }
    bootstrap.seed = 4;
    ck_ok(resample(2, &c, &bootstrap, again, &err));
    ck_assert_int_ne(memcmp(draw, again, sizeof draw), 0);
    bootstrap.draws = 0;
    ck_ok(tamis__estimate(value, draw, 2, &bootstrap, &none, &err));
    ck_assert(isnan(none.low) && isnan(none.high) && isnan(none.error));
}
END_TEST

START_TEST(differences_are_paired)
{
    tamis_error err = {0};
    const tamis_bootstrap bootstrap = {.draws = 3};
    const tamis_bootstrap wrong = {.draws = 3, .level = 1.5};
    const tamis_estimate a = {.value = 5}, b = {.value = 2};
    const double draw_a[] = {6, 4, 9}, draw_b[] = {3, 1, 6};
    tamis_estimate difference;
    ck_ok(tamis_estimate_difference(&a, draw_a, &b, draw_b, &bootstrap, &difference, &err));
    ck_assert_double_eq(difference.value, 3);
    ck_assert_double_eq(difference.low, 3);
    ck_assert_double_eq(difference.high, 3);
    ck_assert_double_eq(difference.error, 0);
    ck_fails(tamis_estimate_difference(&a, draw_a, &b, draw_b, &wrong, &difference, &err),
             TAMIS_ERR_ARG, "level 1.5");
}
END_TEST

START_TEST(survives_failures)
{
    tamis_error err = {0};
    tamis_context *context = small_context(2);
    const tamis_bootstrap bootstrap = {.draws = 5};
    double draw[10];
    column c = {{0}};
    const tamis__resampling resampling = {&c, mean, N, 2, 8, &bootstrap};
    ck_survives(tamis__fault_memory_after, tamis__resample(context, &resampling, draw, &err), "x");
    tamis_context_destroy(&context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("statistics");
    TCase *tcase = tcase_create("statistics");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, spearman_is_that_of_plain_loops, 0, 3);
    tcase_add_test(tcase, weights_are_copies);
    tcase_add_test(tcase, constant_columns_have_no_correlation);
    tcase_add_test(tcase, quantiles_and_student);
    tcase_add_test(tcase, interval_of_a_mean);
    tcase_add_test(tcase, differences_are_paired);
    tcase_add_test(tcase, survives_failures);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
