/* Tests of leave-one-out and of removal.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/evaluate.h>

#include <math.h>

#include "base/rng.h"
#include "brute.h"
#include "model/fixture.h"
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

/* --- leave one out ---------------------------------------------------------------------------- */

enum { ALL = 9, LEFT = 5, QUERIES = 3, SEEDS = 2 };

static const uint64_t row[LEFT] = {0, 2, 3, 6, 8};
static double loss[(LEFT + 1) * SEEDS * QUERIES];
static float score[ALL * QUERIES];
static tamis_retrained retrained = {.subsets = LEFT + 1, .seeds = SEEDS, .queries = QUERIES};
static tamis_bootstrap bootstrap = {.draws = 50, .seed = 2, .normal = true};

static void fill(void)
{
    gsl_rng *rng = tamis__rng_create();
    tamis__rng_key(rng, 4, TAMIS__STREAM_TEST, 0);
    for (size_t i = 0; i < (LEFT + 1) * SEEDS * QUERIES; i++) loss[i] = gsl_rng_uniform(rng);
    for (size_t i = 0; i < ALL * QUERIES; i++) score[i] = (float)gsl_rng_uniform(rng);
    gsl_rng_free(rng);
    retrained.loss = loss;
    small_scores(context, "s.h5", ALL, QUERIES, score, NULL, NULL);
}

static tamis_status evaluate(const char *path, tamis_loo *loo, tamis_error *err)
{
    tamis_scores *scores = NULL;
    tamis_status status = tamis_scores_open(&scores, context, path, err);
    if (status == TAMIS_OK)
        status = tamis_evaluate_loo(loo, context, scores, row, LEFT, &retrained, &bootstrap, err);
    tamis_scores_close(&scores);
    return status;
}

static double at(size_t subset, size_t seed, size_t query)
{
    return loss[(subset * SEEDS + seed) * QUERIES + query];
}

START_TEST(correlates_effects_and_scores)
{
    tamis_error err = {0};
    tamis_loo loo = {0};
    double pearson = 0, spearman = 0, spread = 0, noise = 0;
    fill();
    ck_ok(evaluate("s.h5", &loo, &err));
    for (size_t q = 0; q < QUERIES; q++) {
        double effect[LEFT], one[LEFT], mean = 0, squares = 0;
        for (size_t i = 0; i < LEFT; i++) {
            double a = at(i + 1, 0, q) - at(0, 0, q), b = at(i + 1, 1, q) - at(0, 1, q);
            effect[i] = (a + b) / 2;
            one[i] = (double)score[row[i] * QUERIES + q];
            ck_assert_double_eq_tol(loo.effect[i * QUERIES + q], effect[i], 1e-14);
            ck_assert_double_eq(loo.score[i * QUERIES + q], one[i]);
            mean += effect[i] / LEFT;
            noise += (a - b) * (a - b) / 4 / (LEFT * QUERIES); /* variance / 2 of two values */
        }
        for (size_t i = 0; i < LEFT; i++) squares += (effect[i] - mean) * (effect[i] - mean);
        spread += squares / (LEFT - 1) / QUERIES;
        ck_assert_double_eq_tol(loo.query_pearson[q], brute_pearson(one, effect, LEFT), 1e-12);
        ck_assert_double_eq_tol(loo.query_spearman[q], brute_spearman(one, effect, LEFT), 1e-12);
        pearson += loo.query_pearson[q] / QUERIES;
        spearman += loo.query_spearman[q] / QUERIES;
    }
    ck_assert_double_eq_tol(loo.pearson.value, pearson, 1e-14);
    ck_assert_double_eq_tol(loo.spearman.value, spearman, 1e-14);
    ck_assert_double_eq_tol(loo.spread, sqrt(spread), 1e-12);
    ck_assert_double_eq_tol(loo.noise, sqrt(noise), 1e-12);
    ck_assert_double_eq_tol(loo.ceiling, spread > noise ? sqrt(1 - noise / spread) : 0, 1e-12);
    ck_assert(loo.pearson.low < pearson && pearson < loo.pearson.high);
    tamis_loo_free(&loo);
}
END_TEST

/* Seeds that agree: no noise, and a perfect score has correlation 1. */
START_TEST(perfect_scores)
{
    tamis_error err = {0};
    tamis_loo loo = {0};
    fill();
    for (size_t i = 0; i <= LEFT; i++)
        for (size_t q = 0; q < QUERIES; q++) {
            double effect = i ? (double)score[row[i - 1] * QUERIES + q] : 0;
            for (size_t s = 0; s < SEEDS; s++)
                loss[(i * SEEDS + s) * QUERIES + q] = 1 + (double)s + effect;
        }
    ck_ok(evaluate("s.h5", &loo, &err));
    ck_assert_double_eq_tol(loo.pearson.value, 1, 1e-12);
    ck_assert_double_eq_tol(loo.spearman.value, 1, 1e-12);
    ck_assert_double_eq_tol(loo.ceiling, 1, 1e-12);
    ck_assert(loo.noise < 1e-12);
    tamis_loo_free(&loo);
}
END_TEST

static tamis_status evaluate_and_drop(tamis_error *err)
{
    tamis_loo loo = {0};
    tamis_status status = evaluate("s.h5", &loo, err);
    tamis_loo_free(&loo);
    return status;
}

START_TEST(loo_refusals_and_failures)
{
    tamis_error err = {0};
    fill();
    retrained.subsets = LEFT;
    ck_fails(evaluate_and_drop(&err), TAMIS_ERR_SHAPE, "retrained are 5 subsets");
    retrained.subsets = LEFT + 1;
    retrained.queries = 2;
    ck_fails(evaluate_and_drop(&err), TAMIS_ERR_SHAPE, "3 queries");
    retrained.queries = QUERIES;
    for (size_t q = 0; q < QUERIES; q++) score[6 * QUERIES + q] = NAN;
    small_scores(context, "s.h5", ALL, QUERIES, score, NULL, NULL);
    ck_fails(evaluate_and_drop(&err), TAMIS_ERR_NUMERIC, "row 6 has no score");
    small_scores(context, "s.h5", 8, QUERIES, score, NULL, NULL);
    ck_fails(evaluate_and_drop(&err), TAMIS_ERR_ARG, "no row 8");
    fill();
    bootstrap.draws = 2;
    ck_survives(tamis__fault_memory_after, evaluate_and_drop(&err), "x");
}
END_TEST

/* --- removal ---------------------------------------------------------------------------------- */

enum { ROWS = 40, ASKED = 8, RUNS = 3 };

static tamis_data *data, *query;
static tamis_train_params train;
static tamis_retrain_params retrain;
static const double fraction[] = {0, 0.26, 0.5}; /* 0, 10 and 20 rows */
static tamis_removal_params removal_params;

static void begin_removal(void)
{
    float value[ROWS];
    data = fixture_separable(ROWS, 3, 1);
    query = fixture_separable(ASKED, 3, 2);
    removal_params = (tamis_removal_params){.fraction = fraction, .points = 3, .random_seed = 6};
    tamis_train_defaults(&train);
    train.epochs = 2;
    retrain = (tamis_retrain_params){.train = &train, .data = data, .query = query, .seeds = RUNS};
    for (size_t i = 0; i < ROWS; i++) value[i] = (float)(i * 7 % ROWS) - 10;
    small_scores(context, "s.h5", ROWS, 1, value, NULL, NULL);
}

static void end_removal(void)
{
    fixture_data_free(data);
    fixture_data_free(query);
}

static tamis_status remove_rows(bool random, tamis_removal *removal, tamis_error *err)
{
    tamis_scores *scores = NULL;
    tamis_status status = TAMIS_OK;
    if (!random) status = tamis_scores_open(&scores, context, "s.h5", err);
    removal_params.scores = scores;
    if (status == TAMIS_OK)
        status = tamis_evaluate_removal(removal, context, &removal_params, &retrain, err);
    tamis_scores_close(&scores);
    return status;
}

/* The value of row i is 7 i mod 40 - 10; those in [from, to) are trained on. */
static void ck_point(const tamis_removal_point *point, double from, double to)
{
    tamis_error err = {0};
    tamis_subsets subset = {1, ROWS, calloc(ROWS, 1)};
    tamis_retrained r = {0};
    double value[RUNS], mean = 0, accuracy = 0, squares = 0;
    for (size_t i = 0; i < ROWS; i++) {
        double v = (double)(i * 7 % ROWS) - 10;
        subset.member[i] = v >= from && v < to;
    }
    ck_ok(tamis_retrain(&r, context, &retrain, &subset, &err));
    for (size_t s = 0; s < RUNS; s++) {
        value[s] = 0;
        for (size_t q = 0; q < ASKED; q++) {
            value[s] += r.loss[s * ASKED + q] / ASKED;
            accuracy += r.correct[s * ASKED + q] / (double)(RUNS * ASKED);
        }
        mean += value[s] / RUNS;
    }
    for (size_t s = 0; s < RUNS; s++) squares += (value[s] - mean) * (value[s] - mean);
    double deviation = sqrt(squares / (RUNS - 1));
    ck_assert_double_eq_tol(point->loss.value, mean, 1e-12);
    ck_assert_double_eq_tol(point->accuracy.value, accuracy, 1e-12);
    ck_assert_double_eq_tol(point->loss_deviation, deviation, 1e-12);
    ck_assert_double_eq_tol(point->loss.high - mean, 4.30265273 * deviation / sqrt(RUNS), 1e-7);
    tamis_retrained_free(&r);
    tamis_subsets_free(&subset);
}

START_TEST(drops_from_either_end)
{
    tamis_error err = {0};
    tamis_removal r = {0};
    begin_removal();
    ck_ok(remove_rows(false, &r, &err));
    ck_assert_uint_eq(r.point[1].rows, 30);
    ck_point(&r.point[0], -10, 30);
    ck_point(&r.point[1], -10, 20);
    ck_point(&r.point[2], -10, 10);
    tamis_removal_free(&r);
    removal_params.lowest_first = true;
    ck_ok(remove_rows(false, &r, &err));
    ck_point(&r.point[1], 0, 30);
    ck_point(&r.point[2], 10, 30);
    tamis_removal_free(&r);
    removal_params.keep = true;
    removal_params.fraction = fraction + 1;
    removal_params.points = 2;
    ck_ok(remove_rows(false, &r, &err));
    ck_assert_uint_eq(r.point[0].rows, 10);
    ck_point(&r.point[0], -10, 0);
    ck_point(&r.point[1], -10, 10);
    tamis_removal_free(&r);
    end_removal();
}
END_TEST

/* At random: as many rows, other ones for every seed; a file of runs gives the same back. */
START_TEST(drops_at_random)
{
    tamis_error err = {0};
    tamis_removal r = {0}, again = {0};
    begin_removal();
    retrain.runs = "r.runs";
    ck_ok(remove_rows(true, &r, &err));
    ck_assert_uint_eq(r.point[1].rows, 30);
    ck_assert_uint_eq(r.reused, 0);
    ck_point(&r.point[0], -10, 30);
    ck_ok(remove_rows(true, &again, &err));
    ck_assert_uint_eq(again.reused, 3 * RUNS);
    ck_assert_mem_eq(r.point, again.point, 3 * sizeof *r.point);
    tamis_removal_free(&again);
    removal_params.random_seed++;
    ck_ok(remove_rows(true, &again, &err));
    ck_assert_uint_eq(again.reused, RUNS); /* those on all rows */
    ck_assert(again.point[1].loss.value != r.point[1].loss.value);
    tamis_removal_free(&again);
    tamis_removal_free(&r);
    end_removal();
}
END_TEST

static tamis_status remove_and_drop(tamis_error *err)
{
    tamis_removal r = {0};
    tamis_status status = remove_rows(false, &r, err);
    tamis_removal_free(&r);
    return status;
}

START_TEST(removal_refusals_and_failures)
{
    static const double whole[] = {1}, back[] = {0.5, 0.25}, nothing[] = {0};
    tamis_error err = {0};
    begin_removal();
    removal_params.points = 1;
    removal_params.fraction = whole;
    ck_fails(remove_and_drop(&err), TAMIS_ERR_ARG, "cannot drop 100%");
    removal_params.keep = true;
    removal_params.fraction = nothing;
    ck_fails(remove_and_drop(&err), TAMIS_ERR_ARG, "cannot keep 0%");
    removal_params.fraction = back;
    removal_params.points = 2;
    ck_fails(remove_and_drop(&err), TAMIS_ERR_ARG, "fractions must ascend");
    removal_params.points = 1;
    retrain.seeds = 0;
    ck_fails(remove_and_drop(&err), TAMIS_ERR_ARG, "at least one seed");
    retrain.seeds = 1;
    train.epochs = 1;
    tamis_context_destroy(&context);
    context = small_context(1);
    ck_survives(tamis__fault_memory_after, remove_and_drop(&err), "x");
    const float value[] = {1, 2, 3};
    small_scores(context, "s.h5", 3, 1, value, NULL, NULL);
    ck_fails(remove_and_drop(&err), TAMIS_ERR_SHAPE, "scores of 3 rows");
    end_removal();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loo");
    TCase *tcase = tcase_create("loo");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 100);
    tcase_add_test(tcase, correlates_effects_and_scores);
    tcase_add_test(tcase, perfect_scores);
    tcase_add_test(tcase, loo_refusals_and_failures);
    tcase_add_test(tcase, drops_from_either_end);
    tcase_add_test(tcase, drops_at_random);
    tcase_add_test(tcase, removal_refusals_and_failures);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
