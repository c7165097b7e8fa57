/* LAVA's values against differences of the distance of transport.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/scene.h"

#include <tamis/transport.h>

/* Neither number has a divisor with the other, or with one row less, so that potentials are
 * unique. */
enum { ROWS = 41, QUERIES = 11, COLUMNS = 6, CHECKPOINTS = 2 };

static store_plan train_plan = {
    .path = "t.h5", .rows = ROWS, .columns = COLUMNS, .checkpoints = CHECKPOINTS, .seed = 1};
static const store_plan query_plan = {
    .path = "q.h5", .rows = QUERIES, .columns = COLUMNS, .checkpoints = CHECKPOINTS, .seed = 2};

static tamis_context *context;
static tamis_store *train, *query;

static void setup(void)
{
    enter_scratch();
    context = make_context(2, 0);
    train_plan.zero_row = 0;
    train = make_rich(context, &train_plan, &(extras){0});
    query = make_rich(context, &query_plan, &(extras){0});
}

static void teardown(void)
{
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}

static const struct {
    const char *scorer;
    int cost; /* 0 of unit rows, 1 distance, 2 squared */
    double epsilon;
} cases[] = {
    {"lava:epsilon=0.05,tolerance=1e-12", 0, 0.05},
    {"lava:cost=euclidean,epsilon=0.2,tolerance=1e-12", 1, 0.2},
    {"lava:cost=sqeuclidean,epsilon=0.5,tolerance=1e-12", 2, 0.5},
    {"lava:solver=exact", 0, 0},
    {"lava:solver=exact,cost=sqeuclidean", 2, 0},
};
enum { N_CASES = sizeof cases / sizeof *cases };

/* --- brute force ------------------------------------------------------------------------------ */

static double summed(const store_plan *p, int row, int column)
{
    double sum = 0;
    for (uint32_t k = 0; k < CHECKPOINTS; k++)
        sum += (double)plan_value(p, k, (uint64_t)row, (uint64_t)column);
    return sum;
}

static double cost_between(int i, int q, int kind)
{
    double xx = 0, yy = 0, xy = 0;
    for (int c = 0; c < COLUMNS; c++) {
        double x = summed(&train_plan, i, c), y = summed(&query_plan, q, c);
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    if (kind == 0) return sqrt(2 - 2 * xy / sqrt(xx * yy));
    double square = xx + yy - 2 * xy;
    return kind == 1 ? sqrt(square) : square;
}

/* The distance when `moved` of the mass went from the rows `from` in equal parts to row `to`. */
static double distance_with(int which, const bool *out, int to, double moved)
{
    double cost[ROWS * QUERIES], a[ROWS], value;
    int n = 0, at = 0;
    for (int i = 0; i < ROWS; i++) n += !out[i];
    for (int i = 0; i < ROWS; i++) {
        if (out[i]) continue;
        for (int q = 0; q < QUERIES; q++)
            cost[at * QUERIES + q] = cost_between(i, q, cases[which].cost);
        a[at++] = 1.0 / n + (i == to ? moved : -moved / (n - 1));
    }
    const tamis_transport_problem problem = {
        .n = (uint64_t)n, .m = QUERIES, .a = a, .cost_f64 = cost};
    if (cases[which].epsilon > 0) {
        const tamis_transport_entropic_params how = {.epsilon = cases[which].epsilon,
                                                     .tolerance = 1e-13};
        tamis_transport_entropic_result result = {0};
        ck_ok(tamis_transport_entropic(context, &problem, &how, &result, &err));
        value = result.regularised;
        tamis_transport_entropic_fini(&result);
    } else {
        tamis_transport_exact_result result = {0};
        ck_ok(tamis_transport_exact(context, &problem, &result, &err));
        value = result.distance;
        tamis_transport_exact_fini(&result);
    }
    return value;
}

/* --- the values ------------------------------------------------------------------------------- */

START_TEST(scores_are_minus_the_slope)
{
    const double step = 1e-5;
    const bool out[ROWS] = {false};
    float *score = score_now(context, cases[_i].scorer, train, query, 1);
    double sum = 0;
    for (int i = 0; i < ROWS; i++) {
        double slope = (distance_with(_i, out, i, step) - distance_with(_i, out, i, -step)) /
                       (2 * step);
        ck_assert_double_eq_tol((double)score[i], -slope, 1e-4);
        sum += (double)score[i];
    }
    ck_assert_double_eq_tol(sum, 0, 1e-4);
    free(score);
}
END_TEST

/* In words: mass on the best row brings the rows nearer, mass on the worst takes them further
 * away. */
START_TEST(positive_is_nearer)
{
    const bool out[ROWS] = {false};
    float *score = score_now(context, cases[_i].scorer, train, query, 1);
    int best = 0, worst = 0;
    for (int i = 1; i < ROWS; i++) {
        if (score[i] > score[best]) best = i;
        if (score[i] < score[worst]) worst = i;
    }
    double now = distance_with(_i, out, 0, 0);
    ck_assert(score[best] > 0.0f && score[worst] < 0.0f);
    ck_assert_double_lt(distance_with(_i, out, best, 0.01), now);
    ck_assert_double_gt(distance_with(_i, out, worst, 0.01), now);
    free(score);
}
END_TEST

/* Copies of the queries have more worth than rows that are far from all of them. */
START_TEST(far_rows_are_worth_less)
{
    float rows[30 * COLUMNS];
    extras e = {0};
    store_plan p = train_plan;
    p.rows = 30, p.path = "mixed.h5", p.checkpoints = 1;
    for (int i = 0; i < 30; i++)
        for (int c = 0; c < COLUMNS; c++)
            rows[i * COLUMNS + c] = (i % 3 ? 1.0f : -3.0f) *
                                    (float)summed(&query_plan, i % QUERIES, c);
    e.gradient[0] = rows;
    tamis_store *mixed = make_rich(context, &p, &e), *one = NULL;
    extras f = {0};
    float queries[QUERIES * COLUMNS];
    for (int q = 0; q < QUERIES; q++)
        for (int c = 0; c < COLUMNS; c++)
            queries[q * COLUMNS + c] = (float)summed(&query_plan, q, c);
    store_plan r = query_plan;
    r.path = "sum.h5", r.checkpoints = 1;
    f.gradient[0] = queries;
    one = make_rich(context, &r, &f);
    float *score = score_now(context, "lava:cost=euclidean", mixed, one, 1);
    double good = 0, bad = 0;
    for (int i = 0; i < 30; i++) *(i % 3 ? &good : &bad) += (double)score[i];
    ck_assert_double_gt(good, 0);
    ck_assert_double_lt(bad, 0);
    free(score);
    tamis_store_close(&mixed);
    tamis_store_close(&one);
}
END_TEST

/* --- rows that are left out ------------------------------------------------------------------- */

/* A row that is skipped has no mass: the others are as if it was not there. */
START_TEST(skipped_rows_have_no_mass)
{
    bool out[ROWS] = {false};
    tamis_store_close(&train);
    poison(context, &train_plan, 7);
    train = open_store(context, "t.h5");
    ck_fails(score_to(context, cases[_i].scorer, train, query, "s.h5", false), TAMIS_ERR_NUMERIC,
             "row 7 (id 7007)");
    ck_ok(score_to(context, cases[_i].scorer, train, query, "s.h5", true));
    float *score = load_scores(context, "s.h5", 1);
    ck_assert(isnan(score[7]));
    out[7] = true;
    for (int i = 0; i < ROWS; i += 6) {
        double slope = (distance_with(_i, out, i, 1e-5) - distance_with(_i, out, i, -1e-5)) / 2e-5;
        if (i != 7) ck_assert_double_eq_tol((double)score[i], -slope, 1e-4);
    }
    free(score);
}
END_TEST

START_TEST(zero_rows_have_no_direction)
{
    tamis_store_close(&train);
    train_plan.zero_row = 4;
    train = make_rich(context, &train_plan, &(extras){0});
    ck_fails(score_to(context, "lava", train, query, "s.h5", false), TAMIS_ERR_NUMERIC,
             "row 3 (id 7003)");
    ck_ok(score_to(context, "lava", train, query, "s.h5", true));
    ck_ok(score_to(context, "lava:cost=euclidean", train, query, "s.h5", false));
    ck_fails(score_to(context, "lava", query, train, "s.h5", false), TAMIS_ERR_NUMERIC, "");
}
END_TEST

START_TEST(one_row_has_nothing_to_gain)
{
    store_plan p = train_plan;
    p.rows = 1, p.path = "one.h5";
    tamis_store *one = make_rich(context, &p, &(extras){0});
    float *score = score_now(context, "lava", one, query, 1);
    ck_assert(score[0] == 0.0f);
    free(score);
    score = score_now(context, "lava:solver=exact", train, one, 1);
    ck_assert(isfinite(score[0]));
    free(score);
    tamis_store_close(&one);
}
END_TEST

/* Candidates are not what mass lies on, only what scores are wanted of; lists hold the same
 * values. */
START_TEST(lists_and_candidates_hold_the_same_values)
{
    uint64_t first[2] = {0, 3}, row[3] = {2, 20, 40}, top[5];
    float value[5];
    tamis_candidates list = {.queries = 1, .first = first, .row = row};
    tamis_scores *s = NULL;
    float *all = score_now(context, "lava", train, query, 1);
    tamis_score_params params = {.scorer = "lava",
                                 .train = train,
                                 .query = query,
                                 .candidates = &list,
                                 .path = "s.h5",
                                 .force = true};
    ck_ok(tamis_score(context, &params, NULL, &err));
    float *some = load_scores(context, "s.h5", 1);
    for (uint64_t i = 0; i < ROWS; i++) {
        bool listed = i == 2 || i == 20 || i == 40;
        ck_assert(listed ? some[i] == all[i] : isnan(some[i]));
    }
    params.candidates = NULL;
    params.top = 5;
    ck_ok(tamis_score(context, &params, NULL, &err));
    ck_ok(tamis_scores_open(&s, context, "s.h5", &err));
    ck_ok(tamis_scores_read_list(s, TAMIS_SCORES_TOP, 0, 1, top, value, &err));
    for (int k = 0; k < 5; k++) {
        int before = 0;
        for (uint64_t i = 0; i < ROWS; i++) before += all[i] > value[k];
        ck_assert_int_eq(before, k);
        ck_assert(value[k] == all[top[k]]);
    }
    tamis_scores_close(&s);
    free(all);
    free(some);
}
END_TEST

/* --- the same bits, refusals, faults ---------------------------------------------------------- */

START_TEST(same_bits)
{
    store_plan shards = train_plan;
    shards.path = "shards", shards.shard_rows = 16;
    write_rich(context, &shards, &(extras){0});
    ck_same_bits(cases[_i].scorer, true);
}
END_TEST

START_TEST(refuses_what_is_wrong)
{
    static const char *const wrong[][2] = {
        {"lava:cost=manhattan", "cost"},
        {"lava:epsilon=-1", "epsilon"},
        {"lava:solver=exact,epsilon=0.1", "epsilon goes with solver=entropic"},
        {"lava:solver=exact,iterations=9", "iterations goes with solver=entropic"}};
    for (int i = 0; i < 4; i++)
        ck_fails(score_to(context, wrong[i][0], train, query, "o.h5", false), TAMIS_ERR_ARG,
                 wrong[i][1]);
    ck_fails(score_to(context, "lava", train, NULL, "o.h5", false), TAMIS_ERR_ARG, "query");
    ck_fails(score_to(context, "lava:iterations=1,tolerance=1e-14,epsilon=0.001", train, query,
                      "o.h5", false),
             TAMIS_ERR_NUMERIC, "out of place after");
    tamis_score_params params = {.scorer = "lava",
                                 .train = train,
                                 .query = query,
                                 .reduce = TAMIS_REDUCE_MEAN,
                                 .path = "o.h5"};
    ck_fails(tamis_score(context, &params, NULL, &err), TAMIS_ERR_ARG, "leave out reduce");
    ck_assert_int_ne(access("o.h5", F_OK), 0);
    ck_assert_int_ne(access("o.h5.part", F_OK), 0);
}
END_TEST

START_TEST(faults)
{
    ck_faults(context, _i ? "lava:solver=exact" : "lava", train, query);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("score lava");
    TCase *tc = tcase_create("lava");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, scores_are_minus_the_slope, 0, N_CASES);
    tcase_add_loop_test(tc, positive_is_nearer, 0, N_CASES);
    tcase_add_test(tc, far_rows_are_worth_less);
    tcase_add_loop_test(tc, skipped_rows_have_no_mass, 0, N_CASES);
    tcase_add_test(tc, zero_rows_have_no_direction);
    tcase_add_test(tc, one_row_has_nothing_to_gain);
    tcase_add_test(tc, lists_and_candidates_hold_the_same_values);
    tcase_add_loop_test(tc, same_bits, 0, N_CASES);
    tcase_add_test(tc, refuses_what_is_wrong);
    tcase_add_loop_test(tc, faults, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
