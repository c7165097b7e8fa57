/* The comparison with the source, against plain loops and Spearman's correlation by its definition.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "sources.h"

static void setup(void)
{
    enter_scratch();
}

static void teardown(void)
{
    leave_scratch();
}

/* Rows and queries of the sample, as the header says: evenly spaced. */
static uint64_t row_of(uint64_t i, uint64_t n)
{
    return i * ROWS / n;
}

/* Dot products [n, queries] of sampled rows over the given columns, added over checkpoints. */
static double *scores(const tamis_store *store, uint64_t n, uint64_t queries, const bool *column,
                      const bool *checkpoint)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    double *sum = calloc(n * queries, sizeof *sum);
    for (uint32_t k = 0; k < info->checkpoints; k++) {
        float *x = read_all(store, k);
        for (uint64_t i = 0; checkpoint[k] && i < n; i++)
            for (uint64_t q = 0; q < queries; q++)
                for (uint64_t c = 0; c < info->columns; c++)
                    if (column[c])
                        sum[i * queries + q] +=
                            (double)x[row_of(i, n) * info->columns + c] *
                            (double)x[row_of(q * n / queries, n) * info->columns + c];
        free(x);
    }
    return sum;
}

/* Twice the rank: values below and values below or equal. */
static double rank_of(const double *x, uint64_t i, uint64_t n, uint64_t stride)
{
    double rank = 0;
    for (uint64_t j = 0; j < n; j++)
        rank += (x[j * stride] < x[i * stride]) + (x[j * stride] <= x[i * stride]);
    return rank;
}

static double spearman(const double *x, const double *y, uint64_t n, uint64_t stride)
{
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (uint64_t i = 0; i < n; i++) {
        mx += rank_of(x, i, n, stride) / (double)n;
        my += rank_of(y, i, n, stride) / (double)n;
    }
    for (uint64_t i = 0; i < n; i++) {
        double a = rank_of(x, i, n, stride) - mx, b = rank_of(y, i, n, stride) - my;
        xx += a * a, yy += b * b, xy += a * b;
    }
    return xy / sqrt(xx * yy);
}

static void check_agreement(const tamis_agreement *got, const double *x, const double *y,
                            uint64_t n, uint64_t queries)
{
    double mean = 0, least = 1, difference = 0, largest = 0;
    for (uint64_t q = 0; q < queries; q++) {
        double s = spearman(x + q, y + q, n, queries);
        mean += s / (double)queries;
        least = fmin(least, s);
    }
    for (uint64_t i = 0; i < n * queries; i++) {
        difference = fmax(difference, fabs(x[i] - y[i]));
        largest = fmax(largest, fabs(x[i]));
    }
    ck_assert_double_eq_tol(got->mean_spearman, mean, 1e-12);
    ck_assert_double_eq_tol(got->least_spearman, least, 1e-12);
    ck_assert_double_eq_tol(got->largest_difference, difference / largest, 1e-12);
}

/* 0: rounded. 1: parts left out. 2: projected. 3: fewer rows than queries. 4: more than there
 * are. */
static const tamis_convert_params ways[] = {
    {.retype = true, .dtype = TAMIS_I8, .sample = 60},
    {.checkpoints = "1-2", .layers = "second", .sample = 50},
    {.project = "32", .checkpoints = "last", .sample = 100},
    {.retype = true, .dtype = TAMIS_BF16, .sample = 7},
    {.project = "rademacher:64", .sample = 1000},
};

START_TEST(agreement)
{
    bool every[256], columns[COLUMNS], checkpoints[CHECKPOINTS];
    tamis_convert_params params = ways[_i];
    memset(every, 1, sizeof every);
    for (int c = 0; c < COLUMNS; c++)
        columns[c] = !params.layers || (c >= FIRST && c < FIRST + SECOND);
    for (int k = 0; k < CHECKPOINTS; k++)
        checkpoints[k] = !params.checkpoints || k == 2 || (_i == 1 && k == 1);
    tamis_context *context = make_context(3, 0);
    tamis_store *source = open_source(context, "source.h5", TAMIS_F32, 0);
    params.store = source;
    params.path = "made.h5";
    tamis_convert_report report;
    tamis_store *made = convert(context, &params, &report);
    uint64_t n = params.sample < ROWS ? params.sample : ROWS, queries = n < 16 ? n : 16;
    ck_assert_uint_eq(report.sample_rows, n);
    ck_assert_uint_eq(report.sample_queries, queries);
    ck_assert(report.dropped == (params.layers || params.checkpoints));
    double *full = scores(source, n, queries, every, every);
    double *kept = scores(source, n, queries, columns, checkpoints);
    double *got = scores(made, n, queries, every, every);
    check_agreement(&report.kept, kept, got, n, queries);
    check_agreement(&report.full, full, got, n, queries);
    free(full), free(kept), free(got);
    tamis_store_close(&made);
    tamis_store_close(&source);
    tamis_context_destroy(&context);
}
END_TEST

START_TEST(copies_agree)
{
    tamis_context *context = make_context(2, 0);
    tamis_store *source = open_source(context, "source.h5", TAMIS_F16, 0);
    tamis_convert_params params = {.store = source, .path = "made.h5", .sample = 2000};
    tamis_convert_report report;
    tamis_store *made = convert(context, &params, &report);
    ck_assert_double_eq(report.kept.mean_spearman, 1.0);
    ck_assert_double_eq(report.kept.least_spearman, 1.0);
    ck_assert_double_eq(report.kept.largest_difference, 0.0);
    tamis_store_close(&made);
    params.path = "again.h5";
    params.sample = 0;
    made = convert(context, &params, &report);
    ck_assert_uint_eq(report.sample_rows, 0);
    tamis_store_close(&made);
    tamis_store_close(&source);
    tamis_context_destroy(&context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("compare");
    TCase *tcase = tcase_create("compare");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, agreement, 0, 5);
    tcase_add_test(tcase, copies_agree);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
