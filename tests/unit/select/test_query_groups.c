/* Tests of selectors that look at groups of queries where rows lack scores or queries are in no
 * group, and of who picked a row.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/select.h>

#include <inttypes.h>
#include <math.h>

#include "base/mem.h"
#include "base/rng.h"
#include "small_files.h"

enum { ROWS = 5, QUERIES = 4, MANY = 40 };

static tamis_context *context;
static tamis_error err;

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

static tamis_scores *scores_of(uint64_t rows, uint64_t queries, const float *value, bool partial,
                               const tamis_examples *query)
{
    tamis_scores *scores = NULL;
    tamis_scores_writer *writer = NULL;
    tamis_scores_spec spec = {.path = "s.h5",
                              .rows = rows,
                              .queries = queries,
                              .scorer = "test",
                              .partial = partial,
                              .query = query,
                              .force = true};
    ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
    ck_ok(tamis_scores_writer_put(writer, 0, rows, 0, queries, value, queries, &err));
    ck_ok(tamis_scores_writer_commit(&writer, &err));
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    return scores;
}

static const char *reason_of(const tamis_selection *s, uint64_t row)
{
    return s->reason_text[s->reason[row]];
}

/* The third query is in no group: rows 1 and 3 have scores of that one alone, row 4 has none at
 * all. */
static const int32_t in_group[QUERIES] = {0, 1, -1, 1};
static const float some[ROWS * QUERIES] = {1,   NAN, 9,   NAN, NAN, NAN, 8,   NAN, NAN, 3,
                                           NAN, 1,   NAN, NAN, 7,   NAN, NAN, NAN, NAN, NAN};
static const char *const by_group[] = {"task-max", "bids:by=group", "round-robin:by=group",
                                       "round-robin:by=group,best=mean"};

START_TEST(rows_without_a_grouped_score_are_not_kept)
{
    const uint64_t must[] = {3};
    tamis_selection *s = NULL;
    const tamis_examples query = {
        .group = in_group, .groups = 2, .group_name = (const char *const[]){"math", "code"}};
    tamis_scores *scores = scores_of(ROWS, QUERIES, some, true, &query);
    tamis_select_params params = {
        .selector = by_group[_i], .scores = scores, .normalise_given = true, .budget = "2"};
    ck_ok(tamis_select(&s, context, &params, &err));
    ck_assert_uint_eq(s->kept, 2);
    ck_assert(s->keep[0] && s->keep[2]);
    ck_assert_str_eq(reason_of(s, 1), "no score of a query that is in a group");
    ck_assert_str_eq(reason_of(s, 3), "no score of a query that is in a group");
    ck_assert_str_eq(reason_of(s, 4), "no score: left out when the scores were made");
    tamis_selection_free(&s);
    params.budget = "3";
    ck_fails(tamis_select(&s, context, &params, &err), TAMIS_ERR_ARG,
             "only 2 rows have a score of a query that is in a group");
    /* Unless they must be. */
    params.must_keep = must;
    params.n_must_keep = 1;
    ck_ok(tamis_select(&s, context, &params, &err));
    ck_assert(s->kept == 3 && s->keep[3] && s->rank[3] == 0);
    ck_assert_str_eq(reason_of(s, 3), "must be kept");
    tamis_selection_free(&s);
    tamis_scores_close(&scores);
}
END_TEST

/* A group with both infinities has no mean, which must not pass for a row without scores. */
START_TEST(means_of_both_infinities_are_errors)
{
    tamis_selection *s = NULL;
    const float value[] = {1, 2, 3, 4, HUGE_VALF, -HUGE_VALF, 5, 7, 0, 0, 0, HUGE_VALF};
    tamis_scores *scores = scores_of(3, 4, value, false, NULL);
    const int32_t group[] = {0, 0, _i == 0 ? 0 : 1, 1};
    tamis_select_params params = {.selector = "task-max",
                                  .scores = scores,
                                  .budget = "1",
                                  .query_group = group,
                                  .query_groups = 2};
    ck_fails(tamis_select(&s, context, &params, &err), TAMIS_ERR_NUMERIC,
             "row 1: its scores hold both infinities");
    tamis_scores_close(&scores);
}
END_TEST

/* Pairs without a score do not count in a group's mean, and the best of a group is its highest
 * score unless a mean is asked for. */
START_TEST(groups_judge_by_mean_or_maximum)
{
    tamis_selection *s = NULL;
    const int32_t group[] = {0, 0, 0, 1};
    const float value[] = {4, NAN, NAN, NAN, 9, 0, 1, 0, 3, 3, 3, 1};
    tamis_scores *scores = scores_of(3, 4, value, true, NULL);
    tamis_select_params params = {.selector = "task-max",
                                  .scores = scores,
                                  .budget = "1",
                                  .query_group = group,
                                  .query_groups = 2};
    ck_ok(tamis_select(&s, context, &params, &err));
    ck_assert(s->keep[0]);
    ck_float(s->score[0], 4);
    ck_float(s->score[1], 10.0f / 3);
    ck_float(s->score[2], 3);
    tamis_selection_free(&s);
    params.selector = "round-robin:by=group";
    ck_ok(tamis_select(&s, context, &params, &err));
    ck_assert(s->keep[1]);
    tamis_selection_free(&s);
    params.selector = "round-robin:by=group,best=mean";
    ck_ok(tamis_select(&s, context, &params, &err));
    ck_assert(s->keep[0]);
    tamis_selection_free(&s);
    /* One value a row: the mean of the scores that there are. */
    params = (tamis_select_params){
        .selector = "top", .scores = scores, .budget = "1", .by = TAMIS_AGGREGATE_MEAN};
    ck_ok(tamis_select(&s, context, &params, &err));
    ck_float(s->score[0], 4);
    ck_float(s->score[1], 2.5f);
    tamis_selection_free(&s);
    tamis_scores_close(&scores);
}
END_TEST

static unsigned warnings;
static char warning[256];

static void log_warning(void *cookie, tamis_log_level level, const char *text)
{
    (void)cookie;
    if (level != TAMIS_LOG_WARNING) return;
    warnings++;
    snprintf(warning, sizeof warning, "%s", text);
}

/* by=group without groups is a mean over all queries, which hardly anybody wants; LESS of one task
 * is. */
START_TEST(groups_that_are_not_known_are_warned_of)
{
    tamis_context *loud = NULL;
    tamis_context_params settings = {.threads = 1, .log = log_warning};
    const float value[] = {1, 2, 3, 4};
    const int32_t one[] = {0, 1};
    ck_ok(tamis_context_create(&loud, &settings, &err));
    tamis_scores *scores = scores_of(2, 2, value, false, NULL);
    for (unsigned i = 0; i < 4; i++) {
        tamis_selection *s = NULL;
        tamis_select_params params = {.selector = by_group[i], .scores = scores, .budget = "1"};
        warnings = 0;
        ck_ok(tamis_select(&s, loud, &params, &err));
        ck_assert_uint_eq(warnings, i > 0);
        if (i > 0) ck_assert_ptr_nonnull(strstr(warning, "no groups of queries are known"));
        tamis_selection_free(&s);
        params.query_group = one;
        params.query_groups = 2;
        warnings = 0;
        ck_ok(tamis_select(&s, loud, &params, &err));
        ck_assert_uint_eq(warnings, 0);
        tamis_selection_free(&s);
    }
    tamis_scores_close(&scores);
    tamis_context_destroy(&loud);
}
END_TEST

/* --- who picked it ---------------------------------------------------------------------------- */

/* The query that a reason names, by its id. */
static uint64_t picker_of(const tamis_selection *s, uint64_t row)
{
    uint64_t id = 0;
    ck_assert_msg(sscanf(reason_of(s, row), "picked by query %" SCNu64, &id) == 1, "%s",
                  reason_of(s, row));
    return id - 70;
}

/* Of bids: no query wants any row more than the one that is named wants its pick; of round-robin
 * they take turns. */
START_TEST(reasons_name_who_picked)
{
    enum { Q = 5 };
    float value[MANY * Q];
    double sum[Q] = {0};
    uint64_t id[Q] = {70, 71, 72, 73, 74}, at[MANY];
    const uint64_t must[] = {6, 9};
    const bool bids = _i == 0;
    gsl_rng *rng = tamis__rng_create();
    tamis__rng_key(rng, 8, TAMIS__STREAM_TEST, 0);
    for (size_t i = 0; i < MANY * Q; i++) value[i] = (float)gsl_rng_uniform_int(rng, 12);
    gsl_rng_free(rng);
    const tamis_examples query = {.id_number = id};
    tamis_scores *scores = scores_of(MANY, Q, value, false, &query);
    tamis_select_params params = {.selector = bids ? "bids" : "round-robin",
                                  .scores = scores,
                                  .budget = "20",
                                  .normalise_given = true,
                                  .must_keep = must,
                                  .n_must_keep = 2};
    tamis_selection *s = NULL;
    ck_ok(tamis_select(&s, context, &params, &err));
    for (uint64_t i = 0; i < MANY; i++)
        if (s->keep[i]) at[s->rank[i]] = i;
    for (uint64_t n = 0; n < 20; n++) {
        if (n >= 2) {
            uint64_t q = picker_of(s, at[n]);
            double mine = (double)value[at[n] * Q + q] - sum[q] / (double)n;
            if (!bids) ck_assert_uint_eq(q, (n - 2) % Q);
            for (uint64_t i = 0; bids && i < MANY; i++)
                for (uint64_t p = 0; p < Q; p++)
                    if (!s->keep[i] || s->rank[i] >= n)
                        ck_assert((double)value[i * Q + p] - sum[p] / (double)n <= mine + 1e-9);
        } else {
            ck_assert_str_eq(reason_of(s, at[n]), "must be kept");
        }
        for (uint64_t q = 0; q < Q; q++) sum[q] += (double)value[at[n] * Q + q];
    }
    ck_assert_ptr_nonnull(strstr(reason_of(s, at[2]), bids ? " when served worst (20 of 40)"
                                                           : " in its turn (20 of 40)"));
    tamis_selection_free(&s);
    tamis_scores_close(&scores);
}
END_TEST

/* Groups go by their names, and more queries than reasons are worth by none. */
START_TEST(reasons_name_groups)
{
    static float value[2 * 1001];
    tamis_selection *s = NULL;
    const tamis_examples query = {
        .group = in_group, .groups = 2, .group_name = (const char *const[]){"math", "code"}};
    tamis_scores *scores = scores_of(ROWS, QUERIES, some, true, &query);
    tamis_select_params params = {
        .selector = "round-robin:by=group", .scores = scores, .budget = "2"};
    ck_ok(tamis_select(&s, context, &params, &err));
    ck_assert_str_eq(reason_of(s, 0), "picked by group math in its turn (2 of 5)");
    ck_assert_str_eq(reason_of(s, 2), "picked by group code in its turn (2 of 5)");
    tamis_selection_free(&s);
    tamis_scores_close(&scores);
    for (size_t i = 0; i < 2 * 1001; i++) value[i] = (float)(i % 7);
    scores = scores_of(2, 1001, value, false, NULL);
    params = (tamis_select_params){.selector = "bids", .scores = scores, .budget = "1"};
    ck_ok(tamis_select(&s, context, &params, &err));
    uint64_t kept = s->keep[1];
    ck_assert_str_eq(reason_of(s, kept), "picked by a query when served worst (1 of 2)");
    tamis_selection_free(&s);
    tamis_scores_close(&scores);
}
END_TEST

/* --- lack of memory --------------------------------------------------------------------------- */

static tamis_status select_once(const tamis_scores *scores, const char *selector)
{
    tamis_selection *s = NULL;
    tamis_select_params params = {
        .selector = selector, .scores = (tamis_scores *)(uintptr_t)scores, .budget = "2"};
    tamis_status status = tamis_select(&s, context, &params, &err);
    tamis_selection_free(&s);
    return status;
}

START_TEST(survives_lack_of_memory)
{
    const tamis_examples query = {
        .group = in_group, .groups = 2, .group_name = (const char *const[]){"math", "code"}};
    tamis_scores *scores = scores_of(ROWS, QUERIES, some, true, &query);
    ck_survives(tamis__fault_memory_after, select_once(scores, by_group[_i]), "none");
    ck_survives(tamis__fault_memory_after, select_once(scores, "bids"), "none");
    ck_survives(tamis__fault_memory_after, select_once(scores, "round-robin"), "none");
    tamis_scores_close(&scores);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("query groups");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, rows_without_a_grouped_score_are_not_kept, 0, 4);
    tcase_add_loop_test(all, means_of_both_infinities_are_errors, 0, 2);
    tcase_add_test(all, groups_judge_by_mean_or_maximum);
    tcase_add_test(all, groups_that_are_not_known_are_warned_of);
    tcase_add_loop_test(all, reasons_name_who_picked, 0, 2);
    tcase_add_test(all, reasons_name_groups);
    tcase_add_loop_test(all, survives_lack_of_memory, 0, 4);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
