/* Scores of candidates only, against those of all pairs.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/scene.h"

#include <tamis/inspect.h>
#include <tamis/select.h>

enum { ROWS = 900, QUERIES = 12, COLUMNS = 60 };

static const store_plan train_plan = {
    .path = "t.h5", .rows = ROWS, .columns = COLUMNS, .checkpoints = 2, .seed = 1};
static const store_plan query_plan = {
    .path = "q.h5", .rows = QUERIES, .columns = COLUMNS, .checkpoints = 2, .seed = 2};

static const char *const names[] = {"a", "b"};
static int32_t group_of[QUERIES];

typedef struct scene {
    tamis_context *context;
    tamis_store *train, *query;
    uint64_t first[QUERIES + 1], row[ROWS * QUERIES];
    tamis_candidates list;
    bool in[QUERIES][ROWS]; /* candidates */
} scene;

/* Lists that differ in length; that of query 4 is empty, and row 17 is in none. */
static scene *open_scene(bool shared)
{
    scene *s = calloc(1, sizeof *s);
    enter_scratch();
    s->context = make_context(2, 0);
    extras e = {.group = group_of, .group_name = names, .groups = 2};
    for (int q = 0; q < QUERIES; q++) group_of[q] = q % 2;
    s->train = make_store(s->context, &train_plan);
    s->query = make_rich(s->context, &query_plan, &e);
    uint64_t n = 0, lists = shared ? 1 : QUERIES;
    for (uint64_t q = 0; q < lists; q++) {
        for (uint64_t i = 0; i < ROWS; i++) {
            if (q == 4 || i % 17 == 0 || (i * 7 + q * 13) % (5 + 3 * q) > 2) continue;
            s->row[n++] = i;
            s->in[q][i] = true;
        }
        s->first[q + 1] = n;
    }
    for (uint64_t q = 1; shared && q < QUERIES; q++) memcpy(s->in[q], s->in[0], ROWS);
    s->list = (tamis_candidates){.queries = lists, .first = s->first, .row = s->row};
    return s;
}

static void close_scene(scene *s)
{
    tamis_store_close(&s->train);
    tamis_store_close(&s->query);
    tamis_context_destroy(&s->context);
    free(s);
    leave_scratch();
}

static tamis_score_params params_of(const scene *s, const char *scorer, const char *path)
{
    return (tamis_score_params){.scorer = scorer,
                                .train = s->train,
                                .query = s->query,
                                .path = path,
                                .seed = 11,
                                .force = true};
}

/* Without candidates and with them; the matrices [ROWS, columns]. */
static void score_both(const scene *s, tamis_score_params params, uint64_t columns, float **ret_all,
                       float **ret_some, tamis_score_report *ret_report)
{
    params.path = "all.h5";
    ck_ok(tamis_score(s->context, &params, NULL, &err));
    *ret_all = load_scores(s->context, "all.h5", columns);
    params.path = "some.h5";
    params.candidates = &s->list;
    ck_ok(tamis_score(s->context, &params, ret_report, &err));
    *ret_some = load_scores(s->context, "some.h5", columns);
}

static bool in_any(const scene *s, uint64_t row)
{
    bool any = false;
    for (int q = 0; q < QUERIES; q++) any |= s->in[q][row];
    return any;
}

static uint64_t count_any(const scene *s)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < ROWS; i++) n += in_any(s, i);
    return n;
}

static void ck_healthy(const scene *s, const char *path)
{
    tamis_inspection *inspection = NULL;
    ck_ok(tamis_inspect(&inspection, s->context, path, false, &err));
    ck_assert(inspection->healthy);
    tamis_inspection_free(&inspection);
}

static const char *const scorers[] = {"tracin", "cosine", "trak:out-to-loss=false", "trackstar",
                                      "datainf"};

START_TEST(the_same_bits_where_there_is_a_score)
{
    for (int shared = 0; shared < 2; shared++) {
        scene *s = open_scene(shared);
        float *all, *some;
        tamis_score_report report;
        score_both(s, params_of(s, scorers[_i], NULL), QUERIES, &all, &some, &report);
        for (uint64_t i = 0; i < ROWS; i++)
            for (uint64_t q = 0; q < QUERIES; q++) {
                float wanted = all[i * QUERIES + q], found = some[i * QUERIES + q];
                ck_assert(s->in[q][i] ? found == wanted : isnan(found));
            }
        ck_assert_uint_eq(report.listed, count_any(s));
        ck_assert_uint_eq(report.skipped, ROWS - count_any(s));
        tamis_scores *scores = NULL;
        ck_ok(tamis_scores_open(&scores, s->context, "some.h5", &err));
        const tamis_scores_info *info = tamis_scores_info_get(scores);
        ck_assert_int_eq(info->partial, !shared);
        ck_assert_uint_eq(info->skipped, ROWS - count_any(s));
        for (uint64_t q = 0; q < QUERIES; q++) {
            uint64_t list = shared ? 0 : q;
            ck_assert_uint_eq(info->column_count[q], s->first[list + 1] - s->first[list]);
        }
        tamis_scores_close(&scores);
        ck_healthy(s, "some.h5");
        free(all);
        free(some);
        close_scene(s);
    }
}
END_TEST

/* Lists hold the best of the candidates, and end where these do. */
START_TEST(lists_of_candidates)
{
    enum { TOP = 200 };
    scene *s = open_scene(false);
    float *all, *some;
    tamis_score_report report;
    score_both(s, params_of(s, "tracin", NULL), QUERIES, &all, &some, &report);
    tamis_score_params params = params_of(s, "tracin", "top.h5");
    params.candidates = &s->list;
    params.top = TOP;
    params.bottom = 3;
    ck_ok(tamis_score(s->context, &params, NULL, &err));
    tamis_scores *scores = NULL;
    uint64_t *rows = calloc(QUERIES * TOP, sizeof *rows);
    float *values = calloc(QUERIES * TOP, sizeof *values);
    ck_ok(tamis_scores_open(&scores, s->context, "top.h5", &err));
    ck_ok(tamis_scores_read_list(scores, TAMIS_SCORES_TOP, 0, QUERIES, rows, values, &err));
    for (uint64_t q = 0; q < QUERIES; q++) {
        uint64_t n = s->first[q + 1] - s->first[q];
        for (uint64_t k = 0; k < TOP; k++) {
            uint64_t row = rows[q * TOP + k], better = 0;
            if (k >= n) {
                ck_assert_uint_eq(row, TAMIS_SCORES_NO_ROW);
                continue;
            }
            ck_assert(s->in[q][row]);
            for (uint64_t i = 0; i < ROWS; i++)
                better += s->in[q][i] && all[i * QUERIES + q] > all[row * QUERIES + q];
            ck_assert_uint_eq(better, k);
        }
    }
    tamis_scores_close(&scores);
    ck_healthy(s, "top.h5");
    free(rows);
    free(values);
    free(all);
    free(some);
    close_scene(s);
}
END_TEST

/* The largest over the queries that have the row as a candidate. */
START_TEST(maximum_of_candidates)
{
    scene *s = open_scene(false);
    float *all, *most;
    tamis_score_params params = params_of(s, "tracin", "all.h5");
    ck_ok(tamis_score(s->context, &params, NULL, &err));
    all = load_scores(s->context, "all.h5", QUERIES);
    params.path = "max.h5";
    params.candidates = &s->list;
    params.reduce = TAMIS_REDUCE_MAX;
    ck_ok(tamis_score(s->context, &params, NULL, &err));
    most = load_scores(s->context, "max.h5", 1);
    for (uint64_t i = 0; i < ROWS; i++) {
        float wanted = NAN;
        for (uint64_t q = 0; q < QUERIES; q++)
            if (s->in[q][i] && !(wanted >= all[i * QUERIES + q])) wanted = all[i * QUERIES + q];
        ck_assert(isnan(wanted) ? isnan(most[i]) : most[i] == wanted);
    }
    ck_healthy(s, "max.h5");
    free(all);
    free(most);
    close_scene(s);
}
END_TEST

/* With one list for all, every reduction and every scorer of columns of its own goes on. */
START_TEST(one_list_and_reductions)
{
    static const tamis_reduce reduces[] = {TAMIS_REDUCE_MEAN, TAMIS_REDUCE_SUM, TAMIS_REDUCE_MAX,
                                           TAMIS_REDUCE_GROUP_MEAN, TAMIS_REDUCE_GROUP_MAX};
    scene *s = open_scene(true);
    for (size_t r = 0; r < 6; r++) {
        float *all, *some;
        tamis_score_report report;
        tamis_score_params params = params_of(s, r < 5 ? "tracin" : "less", NULL);
        if (r < 5) params.reduce = reduces[r];
        uint64_t columns = r == 3 ? 2 : 1;
        score_both(s, params, columns, &all, &some, &report);
        for (uint64_t i = 0; i < ROWS; i++)
            for (uint64_t c = 0; c < columns; c++) {
                float wanted = all[i * columns + c], found = some[i * columns + c];
                ck_assert(s->in[0][i] ? found == wanted : isnan(found));
            }
        free(all);
        free(some);
    }
    close_scene(s);
}
END_TEST

/* What is made of rows that some queries have no score for. */
START_TEST(selections_of_partial_scores)
{
    scene *s = open_scene(false);
    tamis_scores *scores = NULL;
    tamis_score_params params = params_of(s, "tracin", "s.h5");
    params.candidates = &s->list;
    ck_ok(tamis_score(s->context, &params, NULL, &err));
    float *values = load_scores(s->context, "s.h5", QUERIES);
    double best = -HUGE_VAL;
    uint64_t best_row = 0;
    for (uint64_t i = 0; i < ROWS; i++) {
        double sum = 0, n = 0;
        for (uint64_t q = 0; q < QUERIES; q++) {
            if (isnan(values[i * QUERIES + q])) continue;
            sum += (double)values[i * QUERIES + q];
            n++;
        }
        if (n > 0 && sum / n > best) {
            best = sum / n;
            best_row = i;
        }
    }
    ck_ok(tamis_scores_open(&scores, s->context, "s.h5", &err));
    tamis_select_params select = {
        .selector = "top", .scores = scores, .budget = "1", .by = TAMIS_AGGREGATE_MEAN};
    tamis_selection *selection = NULL;
    ck_ok(tamis_select(&selection, s->context, &select, &err));
    for (uint64_t i = 0; i < ROWS; i++) ck_assert_int_eq(selection->keep[i], i == best_row);
    tamis_selection_free(&selection);
    tamis_scores_close(&scores);
    free(values);
    close_scene(s);
}
END_TEST

/* An ended run goes on to the same bytes. */
static int stop_late(void *cookie, const char *phase, uint64_t done, uint64_t total,
                     const char *unit, const char *note)
{
    (void)cookie, (void)total, (void)unit, (void)note;
    return !strcmp(phase, "scoring") && done > 500;
}

START_TEST(resumed_runs)
{
    scene *s = open_scene(false);
    tamis_context *stopping = NULL;
    tamis_context_params c = {.threads = 2, .progress = stop_late};
    tamis_score_params params = params_of(s, "tracin", "whole.h5");
    params.candidates = &s->list;
    params.resume = true;
    ck_ok(tamis_score(s->context, &params, NULL, &err));
    params.path = "parts.h5";
    ck_ok(tamis_context_create(&stopping, &c, &err));
    ck_fails(tamis_score(stopping, &params, NULL, &err), TAMIS_ERR_CANCELLED, "scoring");
    tamis_context_destroy(&stopping);
    s->first[QUERIES]--; /* another list is another run */
    ck_fails(tamis_score(s->context, &params, NULL, &err), TAMIS_ERR_SHAPE, "spool");
    s->first[QUERIES]++;
    tamis_score_report report;
    ck_ok(tamis_score(s->context, &params, &report, &err));
    ck_assert_uint_ge(report.resumed, 1);
    ck_same_bytes("whole.h5", "parts.h5");
    close_scene(s);
}
END_TEST

START_TEST(what_is_refused)
{
    scene *s = open_scene(false);
    tamis_score_params params = params_of(s, "tracin", "s.h5");
    params.candidates = &s->list;
    params.reduce = TAMIS_REDUCE_MEAN;
    ck_fails(tamis_score(s->context, &params, NULL, &err), TAMIS_ERR_ARG, "no mean or sum");
    params.reduce = TAMIS_REDUCE_GROUP_MAX;
    ck_fails(tamis_score(s->context, &params, NULL, &err), TAMIS_ERR_ARG, "no mean or sum");
    params.reduce = TAMIS_REDUCE_NONE;
    params.scorer = "less";
    ck_fails(tamis_score(s->context, &params, NULL, &err), TAMIS_ERR_ARG, "no column for each");
    params.scorer = "self";
    params.query = NULL;
    ck_fails(tamis_score(s->context, &params, NULL, &err), TAMIS_ERR_ARG, "leave out the cand");
    params = params_of(s, "tracin", "s.h5");
    params.candidates = &s->list;
    s->list.queries = QUERIES - 1;
    ck_fails(tamis_score(s->context, &params, NULL, &err), TAMIS_ERR_ARG, "candidates of 11");
    s->list.queries = QUERIES;
    s->row[5] = s->row[4];
    ck_fails(tamis_score(s->context, &params, NULL, &err), TAMIS_ERR_ARG, "ascending");
    s->row[5] = ROWS;
    ck_fails(tamis_score(s->context, &params, NULL, &err), TAMIS_ERR_ARG, "row 900");
    ck_assert_int_ne(access("s.h5", F_OK), 0);
    ck_assert_int_ne(access("s.h5.part", F_OK), 0);
    close_scene(s);
}
END_TEST

START_TEST(out_of_memory)
{
    scene *s = open_scene(false);
    tamis_score_params params = params_of(s, "tracin", "s.h5");
    params.candidates = &s->list;
    for (long n = 0;; n++) {
        ck_assert_int_lt(n, 3000);
        tamis__fault_memory_after(n);
        tamis_status status = tamis_score(s->context, &params, NULL, &err);
        tamis__fault_memory_after(-1);
        if (status == TAMIS_OK) break;
        ck_assert(status == TAMIS_ERR_NOMEM || status == TAMIS_ERR_IO);
        ck_assert_int_ne(access("s.h5.part", F_OK), 0);
    }
    close_scene(s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("candidates");
    TCase *tc = tcase_create("candidates");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, the_same_bits_where_there_is_a_score, 0, 5);
    tcase_add_test(tc, lists_of_candidates);
    tcase_add_test(tc, maximum_of_candidates);
    tcase_add_test(tc, one_list_and_reductions);
    tcase_add_test(tc, selections_of_partial_scores);
    tcase_add_test(tc, resumed_runs);
    tcase_add_test(tc, what_is_refused);
    tcase_add_test(tc, out_of_memory);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
