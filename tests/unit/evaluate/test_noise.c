/* Tests of the noise yardstick: AUC against all pairs, budgets, and lists of bad rows.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/evaluate.h>

#include <math.h>

#include "base/rng.h"
#include "small_files.h"

static tamis_context *context;

static void setup(void)
{
    enter_scratch();
    context = small_context(2);
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

/* Every pair of a bad and a good row, ties a half. */
static double brute_auc(const float *value, const uint8_t *bad, size_t n, bool low)
{
    double wins = 0, pairs = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            if (!bad[i] || bad[j]) continue;
            double ahead = low ? (double)value[j] - (double)value[i]
                               : (double)value[i] - (double)value[j];
            wins += ahead > 0 ? 1 : ahead == 0 ? 0.5 : 0;
            pairs++;
        }
    return wins / pairs;
}

static tamis_status evaluate(const char *path, bool low, const uint8_t *bad, const char *budget,
                             tamis_noise *noise, tamis_error *err)
{
    tamis_scores *scores = NULL;
    tamis_status status = tamis_scores_open(&scores, context, path, err);
    if (status == TAMIS_OK)
        status = tamis_evaluate_noise(context, scores, TAMIS_AGGREGATE_TOTAL, low, bad, budget,
                                      noise, err);
    tamis_scores_close(&scores);
    return status;
}

/* The fewer distinct values, the more ties. */
START_TEST(auc_is_the_share_of_pairs)
{
    enum { ROWS = 300 };
    static const int distinct[] = {1, 2, 7, 100000};
    tamis_error err = {0};
    tamis_noise noise;
    float value[ROWS];
    uint8_t bad[ROWS];
    gsl_rng *rng = tamis__rng_create();
    tamis__rng_key(rng, 3, TAMIS__STREAM_TEST, (uint64_t)_i);
    for (size_t i = 0; i < ROWS; i++) {
        value[i] = (float)gsl_rng_uniform_int(rng, (unsigned long)distinct[_i]) - 1;
        bad[i] = gsl_rng_uniform(rng) < 0.2;
    }
    gsl_rng_free(rng);
    small_scores(context, "s.h5", ROWS, 1, value, NULL, NULL);
    for (int low = 0; low < 2; low++) {
        ck_ok(evaluate("s.h5", low, bad, "10%", &noise, &err));
        ck_assert_double_eq_tol(noise.auc, brute_auc(value, bad, ROWS, low), 1e-12);
        ck_assert_uint_eq(noise.k, 30);
    }
    if (distinct[_i] == 1) ck_assert_double_eq(noise.auc, 0.5);
}
END_TEST

START_TEST(counts_what_the_budget_holds)
{
    tamis_error err = {0};
    tamis_noise noise;
    const float value[] = {5, 1, 4, 1, 3, 1};
    const uint8_t bad[] = {1, 0, 0, 1, 0, 1};
    small_scores(context, "s.h5", 6, 1, value, NULL, NULL);
    ck_ok(evaluate("s.h5", false, bad, "1", &noise, &err));
    ck_assert_uint_eq(noise.found, 1);
    ck_assert_double_eq(noise.precision, 1);
    ck_assert_double_eq_tol(noise.recall, 1.0 / 3, 1e-15);
    ck_ok(evaluate("s.h5", true, bad, "2", &noise, &err)); /* ties by row: 1, 3 */
    ck_assert_uint_eq(noise.found, 1);
    ck_assert_uint_eq(noise.bad, 3);
    ck_assert_uint_eq(noise.rows, 6);
    ck_assert_double_eq(noise.precision, 0.5);
    ck_ok(evaluate("s.h5", true, bad, "100%", &noise, &err));
    ck_assert_uint_eq(noise.found, 3);
    ck_assert_double_eq(noise.recall, 1);
    ck_assert_double_eq(noise.precision, 0.5);
}
END_TEST

START_TEST(perfect_and_hopeless)
{
    tamis_error err = {0};
    tamis_noise noise;
    const float value[] = {9, 8, 1, 0};
    const uint8_t bad[] = {1, 1, 0, 0};
    small_scores(context, "s.h5", 4, 1, value, NULL, NULL);
    ck_ok(evaluate("s.h5", false, bad, "50%", &noise, &err));
    ck_assert_double_eq(noise.auc, 1);
    ck_ok(evaluate("s.h5", true, bad, "50%", &noise, &err));
    ck_assert_double_eq(noise.auc, 0);
    ck_assert_uint_eq(noise.found, 0);
}
END_TEST

START_TEST(refuses_what_cannot_be_measured)
{
    tamis_error err = {0};
    tamis_noise noise;
    const float value[] = {9, 8, 7}, nan[] = {9, 8, NAN};
    const uint8_t none[] = {0, 0, 0}, all[] = {1, 1, 1}, some[] = {1, 0, 0};
    small_scores(context, "s.h5", 3, 1, value, NULL, NULL);
    ck_fails(evaluate("s.h5", false, none, "1", &noise, &err), TAMIS_ERR_SHAPE,
             "none of the 3 rows");
    ck_fails(evaluate("s.h5", false, all, "1", &noise, &err), TAMIS_ERR_SHAPE, "all 3 rows");
    ck_fails(evaluate("s.h5", false, some, "4", &noise, &err), TAMIS_ERR_ARG, "more than");
    foreign_scores(context, "s.h5", 3, 1, nan, NULL, NULL);
    ck_fails(evaluate("s.h5", false, some, "1", &noise, &err), TAMIS_ERR_NUMERIC, "row 2");
}
END_TEST

/* As if the rows without a score were not there: among them one that is known to be bad. */
START_TEST(leaves_out_rows_without_a_score)
{
    tamis_error err = {0};
    tamis_noise with = {0}, without = {0};
    const float all[] = {NAN, 5, 1, NAN, 4, 2, 3, NAN}, scored[] = {5, 1, 4, 2, 3};
    const uint8_t bad[] = {1, 0, 1, 0, 1, 0, 0, 0}, bad_scored[] = {0, 1, 1, 0, 0};
    small_scores(context, "s.h5", 8, 1, all, NULL, NULL);
    small_scores(context, "t.h5", 5, 1, scored, NULL, NULL);
    for (int low = 0; low < 2; low++) {
        ck_ok(evaluate("s.h5", low, bad, "40%", &with, &err));
        ck_ok(evaluate("t.h5", low, bad_scored, "40%", &without, &err));
        ck_assert_uint_eq(with.skipped, 3);
        ck_assert_uint_eq(without.skipped, 0);
        ck_assert_uint_eq(with.rows, 5);
        ck_assert_uint_eq(with.bad, 2);
        ck_assert_uint_eq(with.k, 2);
        ck_assert_uint_eq(with.found, without.found);
        ck_assert_double_eq(with.auc, without.auc);
        ck_assert_double_eq(with.recall, without.recall);
    }
    const uint8_t only[] = {1, 0, 0, 0, 0, 0, 0, 1};
    ck_fails(evaluate("s.h5", true, only, "1", &with, &err), TAMIS_ERR_SHAPE, "none of the 5 rows");
    ck_fails(evaluate("s.h5", true, bad, "6", &with, &err), TAMIS_ERR_ARG, "the 5 rows");
    const float none[] = {NAN, NAN};
    small_scores(context, "s.h5", 2, 1, none, NULL, NULL);
    ck_fails(evaluate("s.h5", true, bad, "1", &with, &err), TAMIS_ERR_SHAPE, "none of its 2 rows");
}
END_TEST

START_TEST(refuses_lists)
{
    tamis_error err = {0};
    tamis_noise noise;
    const uint64_t row[] = {1, 0};
    const float score[] = {2, 1};
    const uint8_t bad[] = {1, 0, 0};
    small_lists(context, "s.h5", 3, 1, 2, row, score, 0, NULL, NULL);
    ck_fails(evaluate("s.h5", true, bad, "1", &noise, &err), TAMIS_ERR_ARG, "without --top");
}
END_TEST

/* --- curves and intervals --------------------------------------------------------------------- */

static const char *const budgets[] = {"1", "10%", "50%"};
static tamis_noise_params params = {
    .budget = "10%", .at = budgets, .points = 3, .bootstrap = {.draws = 2000, .seed = 1}};

static tamis_status curve_of(tamis_context *with, const char *path, tamis_noise_curve *curve,
                             tamis_error *err)
{
    tamis_scores *scores = NULL;
    tamis_status status = tamis_scores_open(&scores, with, path, err);
    if (status == TAMIS_OK) status = tamis_evaluate_noise_curve(curve, with, scores, &params, err);
    tamis_scores_close(&scores);
    return status;
}

/* The standard error of an AUC of two normal groups is known (Hanley and McNeil 1982). */
START_TEST(interval_of_the_auc)
{
    enum { ROWS = 400 };
    tamis_error err = {0};
    tamis_noise_curve curve = {0}, again = {0};
    float value[ROWS];
    uint8_t bad[ROWS];
    gsl_rng *rng = tamis__rng_create();
    tamis__rng_key(rng, 3, TAMIS__STREAM_TEST, 9);
    for (size_t i = 0; i < ROWS; i++) {
        double sum = -6;
        for (int k = 0; k < 12; k++) sum += gsl_rng_uniform(rng);
        bad[i] = i % 4 == 0;
        value[i] = (float)(sum + bad[i]);
    }
    gsl_rng_free(rng);
    small_scores(context, "s.h5", ROWS, 1, value, NULL, NULL);
    params.bad = bad;
    ck_ok(curve_of(context, "s.h5", &curve, &err));
    double auc = brute_auc(value, bad, ROWS, false), q1 = auc / (2 - auc),
           q2 = 2 * auc * auc / (1 + auc);
    double error = sqrt((auc * (1 - auc) + 99 * (q1 - auc * auc) + 299 * (q2 - auc * auc)) / 30000);
    ck_assert_double_eq_tol(curve.auc.value, auc, 1e-12);
    ck_assert_double_eq_tol(curve.auc.error / error, 1, 0.15);
    ck_assert(curve.auc.low < auc && auc < curve.auc.high);
    ck_assert_uint_eq(curve.point[1].k, 40);
    ck_assert_uint_eq(curve.point[1].found, curve.noise.found);
    ck_assert_double_eq(curve.point[1].precision.value, curve.noise.precision);
    ck_assert_double_eq(curve.point[1].recall.value, curve.noise.recall);
    double share = curve.noise.precision;
    ck_assert_double_eq_tol(curve.point[1].precision.error / sqrt(share * (1 - share) / 40), 1,
                            0.4);
    for (unsigned threads = 1; threads < 4; threads++) {
        tamis_context *more = small_context(threads);
        ck_ok(curve_of(more, "s.h5", &again, &err));
        ck_assert_mem_eq(curve.draw, again.draw, 2000 * sizeof(double));
        ck_assert_mem_eq(curve.point, again.point, 3 * sizeof *curve.point);
        tamis_noise_curve_free(&again);
        tamis_context_destroy(&more);
    }
    tamis_noise_curve_free(&curve);
}
END_TEST

/* Bad rows all stand first: so they do in every resample, whatever their number. */
START_TEST(certain_curves)
{
    tamis_error err = {0};
    tamis_noise_curve curve = {0};
    float value[41] = {NAN};
    uint8_t bad[41] = {1};
    for (size_t i = 1; i < 41; i++) {
        value[i] = -(float)i;
        bad[i] = i <= 15;
    }
    small_scores(context, "s.h5", 41, 1, value, NULL, NULL);
    static const char *const up[] = {"1", "50%"}, *const back[] = {"2", "1"};
    params.bad = bad;
    params.at = up;
    params.points = 2;
    ck_ok(curve_of(context, "s.h5", &curve, &err));
    ck_assert_double_eq_tol(curve.point[1].recall.value, 1, 1e-15);
    ck_assert_uint_eq(curve.noise.rows, 40);
    ck_assert_uint_eq(curve.noise.bad, 15);
    ck_assert_double_eq(curve.auc.value, 1);
    ck_assert_double_eq(curve.auc.low, 1);
    ck_assert_double_eq(curve.auc.high, 1);
    tamis_noise_curve_free(&curve);
    params.at = back;
    ck_fails(curve_of(context, "s.h5", &curve, &err), TAMIS_ERR_ARG, "budgets must ascend");
    params.points = 1;
    params.bootstrap.draws = 2;
    ck_survives(tamis__fault_memory_after, curve_of(context, "s.h5", &curve, &err), "x");
    tamis_noise_curve_free(&curve);
}
END_TEST

/* --- lists ------------------------------------------------------------------------------------ */

static tamis_status read_text(const char *text, uint8_t **bad, tamis_error *err)
{
    spill("bad.txt", text, strlen(text));
    return tamis_noise_read(context, "bad.txt", 5, bad, err);
}

START_TEST(reads_text)
{
    tamis_error err = {0};
    uint8_t *bad = NULL;
    ck_ok(read_text("# flipped\n3\r\n\n  0 # again\n3\n\t4", &bad, &err));
    ck_assert_mem_eq(bad, ((uint8_t[]){1, 0, 0, 1, 1}), 5);
    free(bad);
    ck_fails(read_text("", &bad, &err), TAMIS_ERR_SHAPE, "marks none of the rows");
    ck_fails(read_text("1\n5\n", &bad, &err), TAMIS_ERR_SHAPE, "line 2: there is no row 5");
    ck_fails(read_text("1\n\nx\n", &bad, &err), TAMIS_ERR_FORMAT,
             "line 3: 'x' is not a row number");
    ck_fails(read_text("-1\n", &bad, &err), TAMIS_ERR_FORMAT, "line 1");
    ck_fails(read_text("1.5\n", &bad, &err), TAMIS_ERR_FORMAT, "line 1");
    ck_fails(tamis_noise_read(context, "absent", 5, &bad, &err), TAMIS_ERR_IO, "absent");
}
END_TEST

static void write_npy(const char *path, const char *descr, const char *shape, const void *data,
                      size_t size)
{
    char header[128];
    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    int n = snprintf(header + 10, sizeof header - 10,
                     "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape);
    header[10 + n] = ' ';
    header[127] = '\n';
    FILE *file = fopen(path, "wb");
    fwrite(header, 1, sizeof header, file);
    fwrite(data, 1, size, file);
    fclose(file);
}

START_TEST(reads_npy)
{
    tamis_error err = {0};
    uint8_t *bad = NULL;
    const uint8_t flags[] = {0, 1, 1, 0, 0};
    const int64_t rows[] = {4, 0};
    write_npy("bad.npy", "|b1", "5,", flags, sizeof flags);
    ck_ok(tamis_noise_read(context, "bad.npy", 5, &bad, &err));
    ck_assert_mem_eq(bad, flags, 5);
    free(bad);
    ck_fails(tamis_noise_read(context, "bad.npy", 6, &bad, &err), TAMIS_ERR_SHAPE,
             "5 flags for 6 rows");
    write_npy("bad.npy", "<i8", "2,", rows, sizeof rows);
    ck_ok(tamis_noise_read(context, "bad.npy", 5, &bad, &err));
    ck_assert_mem_eq(bad, ((uint8_t[]){1, 0, 0, 0, 1}), 5);
    free(bad);
    ck_fails(tamis_noise_read(context, "bad.npy", 4, &bad, &err), TAMIS_ERR_SHAPE,
             "element 0: there is no row 4");
    write_npy("bad.npy", "<i8", "1, 2", rows, sizeof rows);
    ck_fails(tamis_noise_read(context, "bad.npy", 5, &bad, &err), TAMIS_ERR_SHAPE, "2 columns");
    write_npy("bad.npy", "<i8", "3,", rows, sizeof rows);
    ck_fails(tamis_noise_read(context, "bad.npy", 5, &bad, &err), TAMIS_ERR_FORMAT, "bad.npy");
}
END_TEST

/* --- failures --------------------------------------------------------------------------------- */

static tamis_status read_and_drop(const char *path, tamis_error *err)
{
    uint8_t *bad = NULL;
    tamis_status status = tamis_noise_read(context, path, 5, &bad, err);
    if (status == TAMIS_OK) free(bad);
    return status;
}

START_TEST(survives_failures)
{
    tamis_error err = {0};
    tamis_noise noise;
    const float value[] = {9, 8, 1, 0};
    const uint8_t bad[] = {1, 1, 0, 0};
    const int64_t rows[] = {4, 0};
    small_scores(context, "s.h5", 4, 1, value, NULL, NULL);
    ck_survives(tamis__fault_memory_after, evaluate("s.h5", false, bad, "1", &noise, &err), "s.h5");
    spill("bad.txt", "1\n2\n", 4);
    write_npy("bad.npy", "<i8", "2,", rows, sizeof rows);
    ck_survives(tamis__fault_memory_after, read_and_drop("bad.txt", &err), "bad.txt");
    ck_survives(tamis__fault_io_after, read_and_drop("bad.txt", &err), "bad.txt");
    ck_survives(tamis__fault_memory_after, read_and_drop("bad.npy", &err), "bad.npy");
    ck_survives(tamis__fault_io_after, read_and_drop("bad.npy", &err), "bad.npy");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("noise");
    TCase *tcase = tcase_create("noise");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, auc_is_the_share_of_pairs, 0, 4);
    tcase_add_test(tcase, counts_what_the_budget_holds);
    tcase_add_test(tcase, perfect_and_hopeless);
    tcase_add_test(tcase, refuses_what_cannot_be_measured);
    tcase_add_test(tcase, leaves_out_rows_without_a_score);
    tcase_add_test(tcase, refuses_lists);
    tcase_add_test(tcase, interval_of_the_auc);
    tcase_add_test(tcase, certain_curves);
    tcase_add_test(tcase, reads_text);
    tcase_add_test(tcase, reads_npy);
    tcase_add_test(tcase, survives_failures);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
