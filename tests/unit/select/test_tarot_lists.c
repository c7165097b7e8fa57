/* The TAROT selectors with rows that must be kept or dropped, and filters.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>

#include "tarot_scene.h"
#include "select/folds.h"

#include <tamis/transport.h>

static tamis_error err;
static float train[N * COLUMNS], query[M * COLUMNS];

/* Row 4 is among the nearest of no target, 7 and 8 are the same, 9 is kept though a filter bars
 * it. */
static const uint64_t keep[] = {4, 7, 9}, drop[] = {0, 11, 50, 51, 52};
enum { KEPT = 3, DROPPED = 5 };
static double length[N];
static const tamis_select_filter filter = {.value = length, .name = "length", .low = 1, .high = 98};

static tamis_select_params with_lists(const inputs *in, const char *selector, const char *budget)
{
    for (int i = 0; i < N; i++) length[i] = i % 9 == 0 ? 0 : 5;
    return (tamis_select_params){.selector = selector,
                                 .train = in->train,
                                 .query = in->query,
                                 .budget = budget,
                                 .seed = 3,
                                 .must_keep = keep,
                                 .n_must_keep = KEPT,
                                 .must_drop = drop,
                                 .n_must_drop = DROPPED,
                                 .filter = &filter,
                                 .filters = 1};
}

static bool is_kept(int row)
{
    for (int i = 0; i < KEPT; i++)
        if (keep[i] == (uint64_t)row) return true;
    return false;
}

static bool is_barred(int row)
{
    for (int i = 0; i < DROPPED; i++)
        if (drop[i] == (uint64_t)row) return true;
    return row % 9 == 0 && !is_kept(row);
}

static int free_rows(void)
{
    int n = 0;
    for (int i = 0; i < N; i++) n += !is_barred(i);
    return n;
}

/* Candidates of each target, nearest first, barred ones left out. */
static int ordered[M][N];

static void order_candidates(void)
{
    for (int j = 0; j < M; j++)
        for (int i = 0, n = 0; i < N; i++) {
            int row = place(train, query + j * COLUMNS, i);
            if (!is_barred(row)) ordered[j][n++] = row;
        }
}

static double nearest(int row)
{
    double best = -2;
    for (int j = 0; j < M; j++)
        best = fmax(best, cosine(train + row * COLUMNS, query + j * COLUMNS));
    return best;
}

static const char *reason_of(const tamis_selection *s, int row)
{
    return s->reason_text[s->reason[row]];
}

/* --- tarot-fixed ------------------------------------------------------------------------------ */

/* Rows that must be kept, whole layers while they fit, then the best scores. */
static void fixed_by_loops(int budget, int *step)
{
    int chosen = KEPT;
    for (int i = 0; i < N; i++) step[i] = is_kept(i);
    for (int layer = 0; chosen < budget; layer++) {
        double best[N];
        int fresh = 0;
        for (int i = 0; i < N; i++) best[i] = -9;
        for (int j = 0; j < M; j++) {
            int i = ordered[j][layer];
            if (step[i]) continue;
            fresh += best[i] < -8;
            best[i] = fmax(best[i], cosine(train + i * COLUMNS, query + j * COLUMNS));
        }
        int take = fresh < budget - chosen ? fresh : budget - chosen;
        for (int n = 0; n < take; n++) {
            int top = 0;
            for (int i = 1; i < N; i++)
                if (best[i] > best[top]) top = i;
            step[top] = take == fresh ? 2 : 3;
            best[top] = -9;
        }
        chosen += take;
    }
}

static void check_fixed(const tamis_selection *s, const int *step, int budget)
{
    static const char *const reason[] = {"not among", "must be kept", "among the", "number "};
    ck_assert_uint_eq(s->kept, (unsigned)budget);
    for (int i = 0; i < N; i++) {
        const char *found = reason_of(s, i);
        ck_assert_msg(s->keep[i] == (step[i] > 0), "budget %d, row %d", budget, i);
        ck_assert(step[i] == 0 || s->rank[i] < (unsigned)budget);
        ck_assert(step[i] != 1 || s->rank[i] < KEPT);
        if (is_barred(i)) {
            ck_assert(isnan(s->score[i]));
            ck_assert_msg(!strcmp(found, "must be dropped") || !strncmp(found, "fails the", 9),
                          "%s", found);
        } else {
            ck_assert_double_eq_tol((double)s->score[i], nearest(i), 1e-6);
            ck_assert_msg(!strncmp(found, reason[step[i]], strlen(reason[step[i]])), "row %d: %s",
                          i, found);
        }
    }
}

/* Every budget from what must be kept to all that may be. */
START_TEST(fixed_is_as_plain_loops)
{
    int step[N];
    inputs in;
    small_pair(train, query);
    order_candidates();
    open_inputs(&in, context, "c.h5", "t.h5", NULL);
    for (int budget = KEPT; budget <= free_rows(); budget++) {
        char text[16];
        tamis_selection *s = NULL;
        snprintf(text, sizeof text, "%d", budget);
        tamis_select_params params = with_lists(&in, "tarot-fixed:whiten=none", text);
        ck_ok(tamis_select(&s, context, &params, &err));
        fixed_by_loops(budget, step);
        check_fixed(s, step, budget);
        tamis_selection_free(&s);
    }
    close_inputs(&in);
}
END_TEST

/* --- tarot-otm -------------------------------------------------------------------------------- */

static double exact_distance(const int *picked, int n, const bool *judge)
{
    static double cost[N * M];
    int judges = 0;
    for (int j = 0; j < M; j++) judges += judge[j];
    for (int i = 0; i < n; i++)
        for (int j = 0, at = 0; j < M; j++)
            if (judge[j])
                cost[i * judges + at++] = sqrt(
                    fabs(2 - 2 * cosine(train + picked[i] * COLUMNS, query + j * COLUMNS)));
    const tamis_transport_problem p = {.n = (uint64_t)n, .m = (uint64_t)judges, .cost_f64 = cost};
    tamis_transport_exact_result r = {0};
    ck_ok(tamis_transport_exact(context, &p, &r, &err));
    double distance = r.distance;
    tamis_transport_exact_fini(&r);
    return distance;
}

/* What a fold picks, as the rule is written. */
static void fold_by_loops(const bool *judge, bool *step)
{
    int picked[N], n = KEPT, best_n = 0;
    bool in[N];
    double best = HUGE_VAL;
    for (int i = 0; i < N; i++) in[i] = is_kept(i);
    for (int i = 0; i < KEPT; i++) picked[i] = (int)keep[i];
    for (int k = 0; k < free_rows(); k++) {
        for (int j = 0; j < M; j++) {
            int row = ordered[j][k];
            double score = cosine(train + row * COLUMNS, query + j * COLUMNS);
            if (judge[j] || in[row] || !(score > 0)) continue;
            in[row] = true;
            picked[n++] = row;
        }
        double value = exact_distance(picked, n, judge);
        if (!(value < best - 1e-9)) break;
        best = value;
        best_n = n;
    }
    for (int i = 0; i < best_n; i++) step[picked[i]] = true;
}

START_TEST(otm_is_as_plain_loops)
{
    enum { FOLDS = 3 };
    uint64_t order[M];
    bool wanted[N] = {false};
    tamis_selection *s = NULL;
    inputs in;
    small_pair(train, query);
    order_candidates();
    open_inputs(&in, context, "c.h5", "t.h5", NULL);
    tamis_select_params params = with_lists(&in, "tarot-otm:whiten=none,solver=exact,folds=3",
                                            NULL);
    ck_ok(tamis_select(&s, context, &params, &err));
    ck_ok(tamis__shuffle_folds(M, params.seed, order, &err));
    for (uint64_t f = 0; f < FOLDS; f++) {
        bool judge[M];
        for (int j = 0; j < M; j++) judge[j] = true;
        for (uint64_t i = tamis__fold_start(M, FOLDS, f); i < tamis__fold_start(M, FOLDS, f + 1);
             i++)
            judge[order[i]] = false;
        fold_by_loops(judge, wanted);
    }
    for (int i = 0; i < N; i++) {
        ck_assert_msg(s->keep[i] == wanted[i], "row %d: %s", i, reason_of(s, i));
        if (is_kept(i)) ck_assert(s->rank[i] < KEPT && !strcmp(reason_of(s, i), "must be kept"));
        if (is_barred(i)) ck_assert(isnan(s->score[i]) && !s->keep[i]);
    }
    tamis_selection_free(&s);
    close_inputs(&in);
}
END_TEST

/* Candidates that have nothing in common with the targets are kept when they must be. */
START_TEST(otm_keeps_what_is_far)
{
    static const uint64_t far[] = {1, 2};
    float plus[6 * COLUMNS], minus[4 * COLUMNS];
    tamis_selection *s = NULL;
    inputs in;
    for (int i = 0; i < 6 * COLUMNS; i++) plus[i] = 1 + 0.1f * (float)(i % 7);
    for (int i = 0; i < 4 * COLUMNS; i++) minus[i] = -1 - 0.1f * (float)(i % 3);
    small_store(context, "plus.h5", TAMIS_F32, 6, COLUMNS, 1, plus, NULL, 0);
    small_store(context, "minus.h5", TAMIS_F32, 4, COLUMNS, 1, minus, NULL, 0);
    open_inputs(&in, context, "plus.h5", "minus.h5", NULL);
    tamis_select_params params = {.selector = "tarot-otm:whiten=none",
                                  .train = in.train,
                                  .query = in.query,
                                  .must_keep = far,
                                  .n_must_keep = 2};
    ck_ok(tamis_select(&s, context, &params, &err));
    ck_assert(s->kept == 2 && s->keep[1] && s->keep[2]);
    tamis_selection_free(&s);
    close_inputs(&in);
}
END_TEST

/* --- both ------------------------------------------------------------------------------------- */

static const char *const both[][2] = {
    {"tarot-fixed:whiten=none", "20"},
    {"tarot-fixed:whiten=none,last=potential-desc,weights=potential", "31"},
    {"tarot-otm:whiten=none,folds=3,weights=marginal", NULL},
    {"tarot-otm:whiten=none,solver=sinkhorn,patience=3", NULL},
    {"tarot-otm:whiten=none,solver=exact", NULL}};
enum { BOTH = sizeof both / sizeof *both };

/* Dropped rows are as if they were not there. */
START_TEST(dropped_rows_are_not_there)
{
    float fewer[N * COLUMNS];
    int row[N], n = 0;
    tamis_selection *s = NULL, *t = NULL;
    inputs in, less;
    small_pair(train, query);
    for (int i = 0; i < N; i++) {
        bool out = false;
        for (int k = 0; k < DROPPED; k++) out = out || drop[k] == (uint64_t)i;
        if (out) continue;
        memcpy(fewer + n * COLUMNS, train + i * COLUMNS, COLUMNS * sizeof *fewer);
        row[n++] = i;
    }
    small_store(context, "fewer.h5", TAMIS_F32, (uint64_t)n, COLUMNS, 2, fewer, NULL, 0);
    open_inputs(&in, context, "c.h5", "t.h5", NULL);
    open_inputs(&less, context, "fewer.h5", "t.h5", NULL);
    tamis_select_params params = {.selector = both[_i][0],
                                  .train = in.train,
                                  .query = in.query,
                                  .budget = both[_i][1],
                                  .must_drop = drop,
                                  .n_must_drop = DROPPED};
    ck_ok(tamis_select(&s, context, &params, &err));
    ck_ok(choose(context, &less, both[_i][0], both[_i][1], 0, &t, &err));
    ck_assert_uint_eq(s->kept, t->kept);
    for (int i = 0; i < n; i++) {
        ck_assert(s->keep[row[i]] == t->keep[i] && s->rank[row[i]] == t->rank[i]);
        ck_float(s->score[row[i]], t->score[i]);
        ck_float(s->weight[row[i]], t->weight[i]);
    }
    tamis_selection_free(&s);
    tamis_selection_free(&t);
    close_inputs(&in);
    close_inputs(&less);
}
END_TEST

START_TEST(same_bits_with_any_threads)
{
    tamis_context *many = small_context(5);
    tamis_selection *s = NULL, *t = NULL;
    inputs in, again;
    small_pair(train, query);
    open_inputs(&in, context, "c.h5", "t.h5", NULL);
    open_inputs(&again, many, "c.h5", "t.h5", NULL);
    tamis_select_params params = with_lists(&in, both[_i][0], both[_i][1]);
    ck_ok(tamis_select(&s, context, &params, &err));
    params.train = again.train;
    params.query = again.query;
    ck_ok(tamis_select(&t, many, &params, &err));
    ck_assert_mem_eq(s->keep, t->keep, N);
    ck_assert_mem_eq(s->rank, t->rank, N * sizeof *s->rank);
    ck_assert_mem_eq(s->weight, t->weight, N * sizeof *s->weight);
    ck_assert_str_eq(s->provenance, t->provenance);
    for (int i = 0; i < KEPT; i++) ck_assert(s->keep[keep[i]]);
    tamis_selection_free(&s);
    tamis_selection_free(&t);
    close_inputs(&in);
    close_inputs(&again);
    tamis_context_destroy(&many);
}
END_TEST

START_TEST(refuses_what_is_wrong)
{
    static const char *const compat[] = {"tarot-fixed:compat=tarot-2024-12",
                                         "tarot-otm:compat=tarot-2024-12"};
    uint64_t all[N];
    tamis_selection *s = NULL;
    inputs in;
    small_pair(train, query);
    open_inputs(&in, context, "c.h5", "t.h5", NULL);
    tamis_select_params params = with_lists(&in, "tarot-fixed", "2");
    ck_fails(tamis_select(&s, context, &params, &err), TAMIS_ERR_ARG,
             "3 rows must be kept, the budget '2' is 2");
    params.budget = "90";
    ck_fails(tamis_select(&s, context, &params, &err), TAMIS_ERR_ARG, "may be kept");
    for (int i = 0; i < 2; i++) {
        params = with_lists(&in, compat[i], i ? NULL : "9");
        ck_fails(tamis_select(&s, context, &params, &err), TAMIS_ERR_ARG, "leave out the lists");
        params.n_must_keep = params.n_must_drop = 0;
        ck_fails(tamis_select(&s, context, &params, &err), TAMIS_ERR_ARG, "leave out the lists");
    }
    for (int i = 0; i < N; i++) all[i] = (uint64_t)i;
    params = (tamis_select_params){.selector = "tarot-otm",
                                   .train = in.train,
                                   .query = in.query,
                                   .must_drop = all,
                                   .n_must_drop = N};
    ck_assert_int_ne(tamis_select(&s, context, &params, &err), TAMIS_OK);
    ck_assert_ptr_null(s);
    close_inputs(&in);
}
END_TEST

static const char *const short_runs[][2] = {
    {"tarot-fixed:whiten=none,last=potential-desc,weights=potential", "31"},
    {"tarot-otm:folds=2,neighbours=2,weights=marginal", NULL},
    {"tarot-otm:whiten=none,folds=2,neighbours=2,solver=sinkhorn", NULL},
    {"tarot-otm:whiten=none,folds=2,neighbours=2,solver=exact", NULL}};
enum { SHORT_RUNS = sizeof short_runs / sizeof *short_runs };

START_TEST(survives_failing_memory)
{
    tamis_selection *s = NULL;
    inputs in;
    small_pair(train, query);
    open_inputs(&in, context, "c.h5", "t.h5", NULL);
    tamis_select_params params = with_lists(&in, short_runs[_i][0], short_runs[_i][1]);
    ck_survives(tamis__fault_memory_after, tamis_select(&s, context, &params, &err), "sel.h5");
    tamis_selection_free(&s);
    close_inputs(&in);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tarot with lists");
    TCase *tcase = tcase_create("lists");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, fixed_is_as_plain_loops);
    tcase_add_test(tcase, otm_is_as_plain_loops);
    tcase_add_test(tcase, otm_keeps_what_is_far);
    tcase_add_loop_test(tcase, dropped_rows_are_not_there, 0, BOTH);
    tcase_add_loop_test(tcase, same_bits_with_any_threads, 0, BOTH);
    tcase_add_test(tcase, refuses_what_is_wrong);
    tcase_add_loop_test(tcase, survives_failing_memory, 0, SHORT_RUNS);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
