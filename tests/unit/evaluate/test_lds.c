/* Tests of the linear datamodelling score: plain loops, the reference's numbers, streaming.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/evaluate.h>

#include <math.h>
#include <tamis/import.h>

#include "base/rng.h"
#include "brute.h"
#include "import/npy.h"
#include "small_files.h"

enum { ROWS = 30, QUERIES = 4, SUBSETS = 12 };

static tamis_context *context;
static float score[ROWS * QUERIES];
static double outputs[SUBSETS * QUERIES];
static tamis_subsets subsets;
static tamis_lds_params params;

static void setup(void)
{
    tamis_error err = {0};
    enter_scratch();
    context = small_context(2);
    gsl_rng *rng = tamis__rng_create();
    tamis__rng_key(rng, 1, TAMIS__STREAM_TEST, 0);
    for (size_t i = 0; i < ROWS * QUERIES; i++) score[i] = (float)gsl_rng_uniform(rng) - 0.5f;
    for (size_t i = 0; i < SUBSETS * QUERIES; i++) outputs[i] = gsl_rng_uniform(rng);
    gsl_rng_free(rng);
    ck_ok(tamis_subsets_draw(&subsets, context, ROWS, SUBSETS, 0.5, 2, &err));
    params = (tamis_lds_params){.subsets = &subsets,
                                .outputs = outputs,
                                .queries = QUERIES,
                                .bootstrap = {.draws = 100, .seed = 1}};
    small_scores(context, "s.h5", ROWS, QUERIES, score, NULL, NULL);
}

static void teardown(void)
{
    tamis_subsets_free(&subsets);
    tamis_context_destroy(&context);
    leave_scratch();
}

static tamis_status evaluate_with(tamis_context *with, const char *path, tamis_lds *lds,
                                  tamis_error *err)
{
    tamis_scores *scores = NULL;
    tamis_status status = tamis_scores_open(&scores, with, path, err);
    if (status == TAMIS_OK) status = tamis_evaluate_lds(lds, with, scores, &params, err);
    tamis_scores_close(&scores);
    return status;
}

static tamis_status evaluate(const char *path, tamis_lds *lds, tamis_error *err)
{
    return evaluate_with(context, path, lds, err);
}

static double brute(size_t query, size_t n)
{
    double sum[SUBSETS], output[SUBSETS];
    for (size_t j = 0; j < n; j++) {
        sum[j] = 0;
        for (size_t i = 0; i < ROWS; i++)
            if (subsets.member[j * ROWS + i] && !isnan(score[i * QUERIES + query]))
                sum[j] += (double)score[i * QUERIES + query];
        output[j] = outputs[j * QUERIES + query];
    }
    return brute_spearman(sum, output, n);
}

START_TEST(is_the_mean_of_rank_correlations)
{
    tamis_error err = {0};
    tamis_lds lds = {0};
    const uint64_t at[] = {5, SUBSETS};
    params.at = at;
    params.points = 2;
    ck_ok(evaluate("s.h5", &lds, &err));
    double mean = 0, five = 0;
    for (size_t q = 0; q < QUERIES; q++) {
        ck_assert_double_eq_tol(lds.query[q], brute(q, SUBSETS), 1e-12);
        mean += brute(q, SUBSETS) / QUERIES;
        five += brute(q, 5) / QUERIES;
    }
    ck_assert_double_eq_tol(lds.lds.value, mean, 1e-12);
    ck_assert_double_eq_tol(lds.point[0].value, five, 1e-12);
    ck_assert_double_eq(lds.point[1].value, lds.lds.value);
    ck_assert_double_eq(lds.point[1].low, lds.lds.low);
    ck_assert(lds.lds.low < lds.lds.high && lds.lds.error > 0);
    tamis_lds_free(&lds);
}
END_TEST

/* Outputs that are the sums themselves, or turned around. */
START_TEST(perfect_and_opposite)
{
    tamis_error err = {0};
    tamis_lds lds = {0};
    for (int sign = -1; sign < 2; sign += 2) {
        for (size_t j = 0; j < SUBSETS; j++)
            for (size_t q = 0; q < QUERIES; q++) {
                outputs[j * QUERIES + q] = 3;
                for (size_t i = 0; i < ROWS; i++)
                    if (subsets.member[j * ROWS + i])
                        outputs[j * QUERIES + q] += sign * (double)score[i * QUERIES + q];
            }
        ck_ok(evaluate("s.h5", &lds, &err));
        ck_assert_double_eq_tol(lds.lds.value, sign, 1e-12);
        ck_assert_double_eq_tol(lds.lds.low, sign, 1e-12);
        ck_assert_double_eq_tol(lds.lds.high, sign, 1e-12);
        tamis_lds_free(&lds);
    }
}
END_TEST

/* Queries that cannot be ranked count as 0; rows without a score too. */
START_TEST(constant_and_skipped)
{
    tamis_error err = {0};
    tamis_lds lds = {0};
    for (size_t q = 0; q < QUERIES; q++) score[7 * QUERIES + q] = NAN;
    small_scores(context, "s.h5", ROWS, QUERIES, score, NULL, NULL);
    for (size_t j = 0; j < SUBSETS; j++) outputs[j * QUERIES + 1] = 0.25;
    ck_ok(evaluate("s.h5", &lds, &err));
    ck_assert_uint_eq(lds.skipped, 1);
    ck_assert_uint_eq(lds.constant, 1);
    ck_assert_double_eq(lds.query[1], 0);
    ck_assert_double_eq_tol(lds.query[2], brute(2, SUBSETS), 1e-12);
    tamis_lds_free(&lds);
}
END_TEST

/* More rows than are read at once, any number of threads: the same bits. */
START_TEST(threads_change_no_bit)
{
    enum { MANY = 3000, WIDE = 200 };
    tamis_error err = {0};
    tamis_subsets many = {0};
    float *wide = calloc((size_t)MANY * WIDE, sizeof *wide);
    double *out = calloc((size_t)5 * WIDE, sizeof *out), sum[5];
    for (size_t i = 0; i < (size_t)MANY * WIDE; i++) wide[i] = (float)sin((double)(i * i % 100003));
    for (size_t i = 0; i < 5 * WIDE; i++) out[i] = cos((double)i);
    small_scores(context, "w.h5", MANY, WIDE, wide, NULL, NULL);
    ck_ok(tamis_subsets_draw(&many, context, MANY, 5, 0.3, 1, &err));
    params.subsets = &many;
    params.outputs = out;
    params.queries = WIDE;
    tamis_lds first = {0}, other = {0};
    ck_ok(evaluate("w.h5", &first, &err));
    for (unsigned threads = 1; threads < 4; threads++) {
        tamis_context *more = small_context(threads);
        ck_ok(evaluate_with(more, "w.h5", &other, &err));
        ck_assert_mem_eq(first.query, other.query, WIDE * sizeof(double));
        ck_assert_mem_eq(first.draw, other.draw, 100 * sizeof(double));
        ck_assert_mem_eq(&first.lds, &other.lds, sizeof first.lds);
        tamis_lds_free(&other);
        tamis_context_destroy(&more);
    }
    for (size_t j = 0; j < 5; j++) {
        sum[j] = 0;
        for (size_t i = 0; i < MANY; i++)
            if (many.member[j * MANY + i]) sum[j] += (double)wide[i * WIDE + 150];
    }
    double column[5];
    for (size_t j = 0; j < 5; j++) column[j] = out[j * WIDE + 150];
    ck_assert_double_eq_tol(first.query[150], brute_spearman(sum, column, 5), 1e-12);
    tamis_lds_free(&first);
    tamis_subsets_free(&many);
    free(wide);
    free(out);
}
END_TEST

/* --- reference -------------------------------------------------------------------------------- */

/* The reference's scores are [50, 1200]. */
static void import_turned(const char *path, const char *to)
{
    tamis_error err = {0};
    tamis__npy npy;
    ck_ok(tamis__npy_open(&npy, context, path, &err));
    float *turned = calloc(npy.rows * npy.cols, sizeof *turned);
    for (uint64_t q = 0; q < npy.rows; q++)
        for (uint64_t i = 0; i < npy.cols; i++)
            turned[i * npy.rows + q] = (float)tamis__npy_double(&npy, q, i);
    small_scores(context, to, npy.cols, npy.rows, turned, NULL, NULL);
    free(turned);
    tamis__npy_close(&npy);
}

static const struct {
    const char *file;
    double loss, margin;
} published[] = {
    {"reference/ekfac/pairwise_ekfac_sampled_damp0.1mean.npy", 0.4331, 0.4516},
    {"reference/ekfac/pairwise_identity.npy", 0.1663, 0.1791},
};

START_TEST(agrees_with_the_reference)
{
    tamis_error err = {0};
    tamis_subsets read = {0};
    tamis_lds lds = {0};
    double *out = NULL;
    params.bootstrap.draws = 500;
    ck_ok(tamis_subsets_read(&read, context, test_data("reference/lds/subsets.npy"), 1200, &err));
    import_turned(test_data(published[_i].file), "r.h5");
    params.subsets = &read;
    params.queries = 50;
    for (int margin = 0; margin < 2; margin++) {
        const char *name = margin ? "reference/lds/query_margin.npy"
                                  : "reference/lds/query_loss.npy";
        ck_ok(tamis_outputs_read(&out, context, test_data(name),
                                 margin ? TAMIS_OUTPUT_MARGIN : TAMIS_OUTPUT_LOSS, 100, 50, &err));
        params.outputs = out;
        ck_ok(evaluate("r.h5", &lds, &err));
        ck_assert_double_eq_tol(lds.lds.value, margin ? published[_i].margin : published[_i].loss,
                                1e-3);
        /* "Bootstrap standard error over subsets 0.013-0.022", rounded. */
        ck_assert(lds.lds.error > 0.012 && lds.lds.error < 0.026);
        tamis_lds_free(&lds);
        free(out);
    }
    tamis_subsets_free(&read);
}
END_TEST

/* --- refusals --------------------------------------------------------------------------------- */

START_TEST(refuses_what_does_not_fit)
{
    tamis_error err = {0};
    tamis_lds lds = {0};
    const uint64_t one[] = {1};
    params.queries = QUERIES + 1;
    ck_fails(evaluate("s.h5", &lds, &err), TAMIS_ERR_SHAPE, "4 queries, but the outputs are of 5");
    params.queries = QUERIES;
    subsets.rows = ROWS - 1;
    ck_fails(evaluate("s.h5", &lds, &err), TAMIS_ERR_SHAPE, "30 rows, but the subsets are of 29");
    subsets.rows = ROWS;
    outputs[5] = (double)NAN;
    ck_fails(evaluate("s.h5", &lds, &err), TAMIS_ERR_NUMERIC, "subset 1, query 1");
    outputs[5] = 0;
    params.at = one;
    params.points = 1;
    ck_fails(evaluate("s.h5", &lds, &err), TAMIS_ERR_ARG, "over 1 subsets");
    params.points = 0;
    params.bootstrap.level = 2;
    ck_fails(evaluate("s.h5", &lds, &err), TAMIS_ERR_ARG, "level 2");
    params.bootstrap.level = 0;
    subsets.subsets = 1;
    ck_fails(evaluate("s.h5", &lds, &err), TAMIS_ERR_ARG, "at least two subsets");
    subsets.subsets = SUBSETS;
    score[9] = NAN;
    foreign_scores(context, "s.h5", ROWS, QUERIES, score, NULL, NULL);
    ck_fails(evaluate("s.h5", &lds, &err), TAMIS_ERR_NUMERIC, "row 2: the score of query 1");
    score[9] = INFINITY;
    foreign_scores(context, "s.h5", ROWS, QUERIES, score, NULL, NULL);
    ck_fails(evaluate("s.h5", &lds, &err), TAMIS_ERR_NUMERIC, "row 2: the score of query 1");
    const uint64_t row[] = {1};
    const float best[] = {2};
    small_lists(context, "l.h5", ROWS, 1, 1, row, best, 0, NULL, NULL);
    ck_fails(evaluate("l.h5", &lds, &err), TAMIS_ERR_ARG, "without --top");
}
END_TEST

static tamis_status evaluate_and_drop(tamis_error *err)
{
    tamis_lds lds = {0};
    tamis_status status = evaluate("s.h5", &lds, err);
    tamis_lds_free(&lds);
    return status;
}

START_TEST(survives_failures)
{
    tamis_error err = {0};
    params.bootstrap.draws = 3;
    ck_survives(tamis__fault_memory_after, evaluate_and_drop(&err), "s.h5.part");
}
END_TEST

START_TEST(reads_outputs)
{
    tamis_error err = {0};
    double *out = NULL;
    const char *path = test_data("reference/lds/query_loss.npy");
    ck_fails(tamis_outputs_read(&out, context, path, TAMIS_OUTPUT_LOSS, 99, 50, &err),
             TAMIS_ERR_SHAPE, "outputs [100, 50], wanted are 99 subsets and 50 queries");
    ck_ok(tamis_outputs_read(&out, context, path, TAMIS_OUTPUT_LOSS, 100, 50, &err));
    for (size_t i = 0; i < 5000; i++) ck_assert(out[i] < 0);
    free(out);
    size_t size;
    char *bytes = slurp(path, &size);
    const double nan = (double)NAN;
    memcpy(bytes + 128 + 8 * 60, &nan, 8);
    spill("o.npy", bytes, size);
    free(bytes);
    ck_fails(tamis_outputs_read(&out, context, "o.npy", TAMIS_OUTPUT_LOSS, 100, 50, &err),
             TAMIS_ERR_NUMERIC, "subset 1, query 10");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lds");
    TCase *tcase = tcase_create("lds");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, is_the_mean_of_rank_correlations);
    tcase_add_test(tcase, perfect_and_opposite);
    tcase_add_test(tcase, constant_and_skipped);
    tcase_add_test(tcase, threads_change_no_bit);
    tcase_add_loop_test(tcase, agrees_with_the_reference, 0, 2);
    tcase_add_test(tcase, refuses_what_does_not_fit);
    tcase_add_test(tcase, survives_failures);
    tcase_add_test(tcase, reads_outputs);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
