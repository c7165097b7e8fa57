/* The comparison of whitened rows: against plain loops over rows that were whitened and stored in
 * full, and the same report for any limits; every allocation fails once.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "small_factors.h"

#include <math.h>
#include <tamis/convert.h>

#include "base/mem.h"

static tamis_error err;

enum { ROWS = 90, SAMPLE = 40, QUERIES = 16, PAIRS = SAMPLE * QUERIES };

static tamis_context *context;
static tamis_store *source[2]; /* factors, and the same multiplied out */
static tamis_curvature *curvature;

static tamis_context *make_context(unsigned threads, uint64_t memory)
{
    tamis_context *made = NULL;
    tamis_context_params params = {.threads = threads, .memory = memory};
    ck_ok(tamis_context_create(&made, &params, &err));
    return made;
}

static void setup(void)
{
    enter_scratch();
    context = make_context(2, 0);
    const small_factors s = {
        .path = "f.h5", .rows = ROWS, .checkpoints = 2, .dtype = TAMIS_F32, .least = 1};
    ck_ok(factors_write(&s, context, 40, &err));
    ck_ok(tamis_store_open(&source[0], context, "f.h5", &err));
    const tamis_convert_params whole = {
        .store = source[0], .path = "g.h5", .reform = true, .form = TAMIS_FORM_FULL};
    ck_ok(tamis_convert(context, &whole, NULL, &err));
    ck_ok(tamis_store_open(&source[1], context, "g.h5", &err));
    const tamis_fit_curvature_params fit = {.kind = TAMIS_CURVATURE_EKFAC,
                                            .train = source[0],
                                            .until = TAMIS_STAGE_FINAL,
                                            .checkpoint = 0,
                                            .path = "c.h5"};
    ck_ok(tamis_fit_curvature(context, &fit, &err));
    ck_ok(tamis_curvature_open(&curvature, context, "c.h5", &err));
}

static void teardown(void)
{
    tamis__fault_memory_after(-1);
    tamis_curvature_close(&curvature);
    tamis_store_close(&source[0]);
    tamis_store_close(&source[1]);
    tamis_context_destroy(&context);
    leave_scratch();
}

static tamis_convert_params whitening(int full, tamis_dtype dtype, double keep, uint64_t sample)
{
    return (tamis_convert_params){.store = source[full],
                                  .path = "w.h5",
                                  .retype = true,
                                  .dtype = dtype,
                                  .whiten = curvature,
                                  .damping = 0.1,
                                  .keep = keep,
                                  .sample = sample,
                                  .force = true};
}

/* Scores [SAMPLE, QUERIES] of the stored rows, as the header says which. */
static void scores_of(const tamis_convert_params *params, tamis_convert_report *ret_report,
                      double *ret_scores)
{
    tamis_store *made = NULL;
    ck_ok(tamis_convert(context, params, ret_report, &err));
    ck_ok(tamis_store_open(&made, context, params->path, &err));
    const tamis_store_info *info = tamis_store_info_get(made);
    float *x = malloc(ROWS * info->columns * sizeof *x);
    ck_ok(tamis_store_read(made, 0, 0, ROWS, 0, info->columns, x, info->columns, &err));
    for (int i = 0; i < SAMPLE; i++)
        for (int q = 0; q < QUERIES; q++) {
            const float *a = x + (uint64_t)(i * ROWS / SAMPLE) * info->columns;
            const float *b = x + (uint64_t)(q * SAMPLE / QUERIES * ROWS / SAMPLE) * info->columns;
            double sum = 0;
            for (uint64_t c = 0; c < info->columns; c++) sum += (double)a[c] * (double)b[c];
            ret_scores[i * QUERIES + q] = sum;
        }
    free(x);
    tamis_store_close(&made);
}

static double difference_of(const double *x, const double *y)
{
    double difference = 0, largest = 0;
    for (int i = 0; i < PAIRS; i++) {
        difference = fmax(difference, fabs(x[i] - y[i]));
        largest = fmax(largest, fabs(x[i]));
    }
    return difference / largest;
}

/* Twice the rank of row i. */
static double rank_of(const double *x, int i)
{
    double rank = 0;
    for (int j = 0; j < SAMPLE; j++)
        rank += (x[j * QUERIES] < x[i * QUERIES]) + (x[j * QUERIES] <= x[i * QUERIES]);
    return rank;
}

static double mean_spearman(const double *x, const double *y)
{
    double mean = 0;
    for (int q = 0; q < QUERIES; q++) {
        double xx = 0, yy = 0, xy = 0;
        for (int i = 0; i < SAMPLE; i++) {
            double a = rank_of(x + q, i) - SAMPLE, b = rank_of(y + q, i) - SAMPLE;
            xx += a * a, yy += b * b, xy += a * b;
        }
        mean += xy / sqrt(xx * yy) / QUERIES;
    }
    return mean;
}

/* 0, 2: from factors. 1, 3: from gradients. 2, 3: a part of the coordinates. */
START_TEST(costs)
{
    static double all[PAIRS], kept[PAIRS], got[PAIRS];
    double keep = _i < 2 ? 1 : 0.3;
    tamis_convert_params exact = whitening(_i % 2, TAMIS_F32, 1, 0),
                         part = whitening(_i % 2, TAMIS_F32, keep, 0),
                         small = whitening(_i % 2, TAMIS_I8, keep, SAMPLE);
    tamis_convert_report report;
    scores_of(&exact, &report, all);
    ck_assert_uint_eq(report.sample_rows, 0);
    scores_of(&part, &report, kept);
    scores_of(&small, &report, got);
    ck_assert(report.whitened);
    ck_assert(report.dropped == (keep < 1));
    ck_assert_uint_eq(report.sample_rows, SAMPLE);
    ck_assert_uint_eq(report.sample_queries, QUERIES);
    ck_assert_double_eq_tol(report.kept.largest_difference, difference_of(kept, got), 1e-6);
    ck_assert_double_eq_tol(report.full.largest_difference, difference_of(all, got), 1e-6);
    ck_assert_double_eq_tol(report.kept.mean_spearman, mean_spearman(kept, got), 1e-3);
    ck_assert_double_eq_tol(report.full.mean_spearman, mean_spearman(all, got), 1e-3);
    ck_assert_double_gt(report.kept.largest_difference, 1e-4);
    if (keep < 1)
        ck_assert_double_gt(report.full.largest_difference, report.kept.largest_difference);
}
END_TEST

/* What is stored as it was made costs nothing; from gradients, where rows do not go in groups, to
 * the last bit. */
START_TEST(unrounded)
{
    tamis_convert_params params = whitening(_i, TAMIS_F32, 0.5, 1000);
    tamis_convert_report report;
    ck_ok(tamis_convert(context, &params, &report, &err));
    ck_assert_double_le(report.kept.largest_difference, _i ? 0 : 1e-6);
    ck_assert_double_gt(report.kept.mean_spearman, 0.99999);
    ck_assert_double_gt(report.full.largest_difference, 1e-4);
    params.keep = 1;
    ck_ok(tamis_convert(context, &params, &report, &err));
    ck_assert_double_le(report.full.largest_difference, _i ? 0 : 1e-6);
}
END_TEST

START_TEST(same_everywhere)
{
    tamis_convert_params params = whitening(_i, TAMIS_BF16, 0.4, SAMPLE);
    tamis_convert_report want, got;
    ck_ok(tamis_convert(context, &params, &want, &err));
    tamis_context *one = make_context(1, 2 << 20), *kept = context;
    tamis_store *again = NULL;
    ck_ok(tamis_store_open(&again, one, _i ? "g.h5" : "f.h5", &err));
    params.store = again;
    context = one;
    ck_ok(tamis_convert(context, &params, &got, &err));
    context = kept;
    ck_assert_mem_eq(&want.kept, &got.kept, sizeof want.kept);
    ck_assert_mem_eq(&want.full, &got.full, sizeof want.full);
    tamis_store_close(&again);
    tamis_context_destroy(&one);
}
END_TEST

START_TEST(faults)
{
    tamis_convert_params params = whitening(0, TAMIS_I8, 0.4, 20);
    tamis_status status = TAMIS_ERR_IO;
    for (long n = 0; status != TAMIS_OK; n++) {
        ck_assert_int_lt(n, 2000);
        tamis__fault_memory_after(n);
        status = tamis_convert(context, &params, NULL, &err);
        tamis__fault_memory_after(-1);
        if (status == TAMIS_OK) continue;
        ck_assert(status == TAMIS_ERR_NOMEM || status == TAMIS_ERR_IO); /* HDF5 cannot open */
        ck_assert_str_ne(err.message, "");
        err = (tamis_error){0};
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("compare_whitened");
    TCase *tcase = tcase_create("compare_whitened");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, costs, 0, 4);
    tcase_add_loop_test(tcase, unrounded, 0, 2);
    tcase_add_loop_test(tcase, same_everywhere, 0, 2);
    tcase_add_test(tcase, faults);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
