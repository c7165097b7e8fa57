/* Tests of every selector that looks at scores, on tables that are small, equal or hostile: what
 * must hold of any selection holds.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/select.h>

#include <float.h>
#include <math.h>

#include "base/rng.h"
#include "small_files.h"

enum { MOST = 48, QUERIES = 3 };

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

/* --- selectors and tables --------------------------------------------------------------------- */

/* As it is written to keep what the budget says; NULL = it looks at stores. */
static const char *written(const tamis_selector_info *info)
{
    if (info->flags & TAMIS_SELECTOR_STORES) return NULL;
    return strcmp(info->name, "threshold") ? info->name : "threshold:min=-3e38,max=3e38";
}

typedef float (*cell_of)(gsl_rng *rng, uint64_t row, uint64_t query);

static float few_values(gsl_rng *rng, uint64_t row, uint64_t query)
{
    (void)row, (void)query;
    return (float)(int)(gsl_rng_uniform(rng) * 3) - 1;
}

static float one_value(gsl_rng *rng, uint64_t row, uint64_t query)
{
    (void)rng, (void)row, (void)query;
    return 2.5f;
}

/* -0 and 0 are equal: the lower row of the two comes first. */
static float zeros(gsl_rng *rng, uint64_t row, uint64_t query)
{
    (void)rng, (void)query;
    return row % 2 ? -0.0f : 0.0f;
}

/* Rows i and i + 8 are the same. */
static float duplicates(gsl_rng *rng, uint64_t row, uint64_t query)
{
    (void)rng;
    return (float)((row % 8) * 5 % 7) * (query == 1 ? -1.0f : 1.0f);
}

static float extremes(gsl_rng *rng, uint64_t row, uint64_t query)
{
    static const float some[] = {FLT_MAX, -FLT_MAX, FLT_MIN, 1e-45f, -1e-45f, 0, 1, -1};
    (void)rng;
    return some[(row * 3 + query) % 8];
}

/* The first query is all that differs; a quarter of the rows has no score. */
static float with_gaps(gsl_rng *rng, uint64_t row, uint64_t query)
{
    if (row % 4 == 3) return NAN;
    return query == 0 ? (float)gsl_rng_uniform(rng) : 1;
}

static const struct {
    const char *name;
    cell_of cell;
} tables[] = {{"few values", few_values}, {"one value", one_value}, {"zeros", zeros},
              {"duplicates", duplicates}, {"extremes", extremes},   {"with gaps", with_gaps}};

enum { TABLES = sizeof tables / sizeof *tables };

/* Some rows by group: of every size down to one, and in none. */
static tamis_scores *table(size_t t, uint64_t rows)
{
    float value[MOST * QUERIES];
    int32_t group[MOST];
    static const char *const name[] = {"a", "b", "c"};
    tamis_scores *scores = NULL;
    gsl_rng *rng = tamis__rng_create();
    tamis__rng_key(rng, 11, TAMIS__STREAM_TEST, t);
    for (uint64_t row = 0; row < rows; row++) {
        group[row] = row == 0 ? 2 : row % 5 == 4 ? -1 : (int32_t)(row % 2);
        for (uint64_t q = 0; q < QUERIES; q++)
            value[row * QUERIES + q] = tables[t].cell(rng, row, q);
    }
    gsl_rng_free(rng);
    tamis_examples examples = {.group = group, .group_name = name, .groups = 3};
    small_scores(context, "s.h5", rows, QUERIES, value, &examples, NULL);
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    return scores;
}

static bool has_score(size_t t, uint64_t row)
{
    return tables[t].cell != with_gaps || row % 4 != 3;
}

/* --- what holds of every selection ------------------------------------------------------------ */

static void check_sound(const tamis_selection *s, const char *what)
{
    bool seen[MOST] = {0};
    uint64_t kept = 0;
    for (uint64_t row = 0; row < s->rows; row++) {
        ck_assert_msg(s->rank[row] < s->rows && !seen[s->rank[row]], "%s: ranks", what);
        seen[s->rank[row]] = true;
        kept += s->keep[row];
    }
    ck_assert_msg(kept == s->kept, "%s: count", what);
    for (uint64_t row = 0; row < s->rows; row++) {
        ck_assert_msg(s->keep[row] == (s->rank[row] < kept), "%s: row %d: kept and rank", what,
                      (int)row);
        ck_assert_msg(s->reason[row] < s->reasons, "%s: row %d: reason", what, (int)row);
        ck_assert_msg((s->weight[row] != 0) == (s->keep[row] != 0), "%s: weight", what);
    }
}

static void check_same(const tamis_selection *a, const tamis_selection *b, const char *what)
{
    ck_assert_msg(!memcmp(a->keep, b->keep, a->rows) &&
                      !memcmp(a->rank, b->rank, a->rows * sizeof *a->rank) &&
                      !memcmp(a->score, b->score, a->rows * sizeof *a->score) &&
                      !memcmp(a->reason, b->reason, a->rows * sizeof *a->reason),
                  "%s: another selection with one thread", what);
}

static tamis_selection *choose(tamis_select_params params, const char *what)
{
    tamis_selection *selection = NULL, *again = NULL;
    tamis_status status = tamis_select(&selection, context, &params, &err);
    ck_assert_msg(status == TAMIS_OK, "%s: %s", what, err.message);
    check_sound(selection, what);
    tamis_context *alone = small_context(1);
    ck_ok(tamis_select(&again, alone, &params, &err));
    check_same(selection, again, what);
    tamis_selection_free(&again);
    tamis_context_destroy(&alone);
    return selection;
}

static const char *reason_of(const tamis_selection *s, uint64_t row)
{
    return s->reason_text[s->reason[row]];
}

/* One row, half of them, all that have a score. */
START_TEST(keeps_as_many_as_asked)
{
    static const uint64_t sizes[] = {1, 2, 5, MOST};
    const tamis_selector_info *info;
    for (size_t n = 0; n < 4; n++) {
        uint64_t rows = sizes[n], scored = 0;
        tamis_scores *scores = table((size_t)_i, rows);
        for (uint64_t row = 0; row < rows; row++) scored += has_score((size_t)_i, row);
        for (size_t i = 0; (info = tamis_selector_at(i)); i++) {
            char what[96], budget[24];
            uint64_t budgets[] = {1, (scored + 1) / 2, scored};
            if (!written(info)) continue;
            for (size_t b = 0; b < 3; b++) {
                bool none = info->flags & TAMIS_SELECTOR_NO_BUDGET;
                snprintf(budget, sizeof budget, "%d", (int)budgets[b]);
                snprintf(what, sizeof what, "%s, %s, %s of %d", info->name, tables[_i].name, budget,
                         (int)rows);
                tamis_selection *s = choose((tamis_select_params){.selector = written(info),
                                                                  .scores = scores,
                                                                  .budget = none ? NULL : budget},
                                            what);
                if (!none) ck_assert_msg(s->kept == budgets[b], "%s: %d", what, (int)s->kept);
                for (uint64_t row = 0; row < rows; row++) {
                    bool missing = !strncmp(reason_of(s, row), "no score: ", 10);
                    ck_assert_msg(missing == !has_score((size_t)_i, row), "%s: row %d: %s", what,
                                  (int)row, reason_of(s, row));
                    ck_assert_msg(!missing || !s->keep[row], "%s: row %d", what, (int)row);
                }
                tamis_selection_free(&s);
            }
        }
        tamis_scores_close(&scores);
    }
}
END_TEST

/* Nothing is no budget, and neither is one row more than there are. */
START_TEST(refuses_none_and_too_many)
{
    const tamis_selector_info *info;
    tamis_scores *scores = table(5, MOST);
    for (size_t i = 0; (info = tamis_selector_at(i)); i++) {
        tamis_selection *s = NULL;
        tamis_select_params params = {.selector = written(info), .scores = scores, .budget = "0"};
        if (!written(info)) continue;
        ck_assert_int_eq(tamis_select(&s, context, &params, &err), TAMIS_ERR_ARG);
        params.budget = "37"; /* 36 of 48 have a score */
        ck_assert_msg(tamis_select(&s, context, &params, &err) == TAMIS_ERR_ARG, "%s", info->name);
        params.budget = "49";
        ck_assert_int_eq(tamis_select(&s, context, &params, &err), TAMIS_ERR_ARG);
        ck_assert_ptr_null(s);
    }
    tamis_scores_close(&scores);
}
END_TEST

/* Rows that must be kept are, though they have no score or fail a filter, and are told so; rows
 * that are barred are told by what. Costs stay within the budget. */
START_TEST(heeds_what_it_says_it_heeds)
{
    static const uint64_t keep[] = {1, 2, 3, 8}, drop[] = {0, 5, 7};
    double column[MOST], cost[MOST];
    const tamis_selector_info *info;
    for (uint64_t row = 0; row < MOST; row++) {
        column[row] = row == 2 ? 99 : (double)(row % 9);
        cost[row] = (double)(row % 6);
    }
    tamis_select_filter filter = {.value = column, .name = "length", .low = 1, .high = 98};
    tamis_scores *scores = table((size_t)_i, MOST);
    for (size_t i = 0; (info = tamis_selector_at(i)); i++) {
        if (!written(info) || !(info->flags & TAMIS_SELECTOR_LISTS)) continue;
        for (int costs = 0; costs < 2; costs++) {
            char what[96];
            double spent = 0;
            bool none = info->flags & TAMIS_SELECTOR_NO_BUDGET;
            if (costs && !(info->flags & TAMIS_SELECTOR_COSTS)) continue;
            snprintf(what, sizeof what, "%s, %s, costs %d", info->name, tables[_i].name, costs);
            tamis_selection *s = choose((tamis_select_params){.selector = written(info),
                                                              .scores = scores,
                                                              .budget = none ? NULL : "12",
                                                              .cost = costs ? cost : NULL,
                                                              .cost_name = "tokens",
                                                              .filter = &filter,
                                                              .filters = 1,
                                                              .must_keep = keep,
                                                              .n_must_keep = 4,
                                                              .must_drop = drop,
                                                              .n_must_drop = 3},
                                        what);
            for (size_t k = 0; k < 4; k++)
                ck_assert_msg(s->keep[keep[k]] && !strcmp(reason_of(s, keep[k]), "must be kept"),
                              "%s: row %d: %s", what, (int)keep[k], reason_of(s, keep[k]));
            for (size_t k = 0; k < 3; k++)
                ck_assert_msg(!s->keep[drop[k]] &&
                                  !strcmp(reason_of(s, drop[k]), "must be dropped"),
                              "%s: row %d: %s", what, (int)drop[k], reason_of(s, drop[k]));
            for (uint64_t row = 9; row < MOST; row += 9)
                ck_assert_msg(!s->keep[row] && !strncmp(reason_of(s, row), "fails the filter", 16),
                              "%s: row %d: %s", what, (int)row, reason_of(s, row));
            for (uint64_t row = 0; row < MOST; row++) spent += s->keep[row] ? cost[row] : 0;
            if (costs) ck_assert_msg(spent <= 12, "%s: %g spent", what, spent);
            if (!costs && !none) ck_assert_msg(s->kept == 12, "%s: %d", what, (int)s->kept);
            tamis_selection_free(&s);
        }
    }
    tamis_scores_close(&scores);
}
END_TEST

/* Drawn rows come in the order of their draws, with costs as without, and what does not fit any
 * more is passed over: by plain loops. */
START_TEST(draws_keep_their_order_with_costs)
{
    static const char *const selector[] = {"random", "gumbel-top-k",
                                           "gumbel-top-k:temperature=0.01"};
    static const uint64_t keep[] = {6, 11};
    double cost[MOST];
    for (uint64_t row = 0; row < MOST; row++) cost[row] = (double)(row * 5 % 7) / 4;
    tamis_scores *scores = table((size_t)_i, MOST);
    for (size_t k = 0; k < 3; k++)
        for (int budget = 5; budget < 40; budget += 6) {
            char text[16];
            snprintf(text, sizeof text, "%d", budget);
            tamis_select_params p = {
                .selector = selector[k], .scores = scores, .budget = "30", .seed = 4};
            tamis_selection *order = choose(p, selector[k]);
            p.budget = text;
            p.cost = cost;
            p.cost_name = "tokens";
            p.must_keep = keep;
            p.n_must_keep = 2;
            tamis_selection *s = choose(p, selector[k]);
            double left = budget - cost[6] - cost[11];
            for (uint64_t rank = 0; rank < MOST; rank++)
                for (uint64_t row = 0; row < MOST; row++) {
                    if (order->rank[row] != rank) continue;
                    bool must = row == 6 || row == 11, fits = must;
                    if (!must && has_score((size_t)_i, row) && cost[row] <= left) {
                        left -= cost[row];
                        fits = true;
                    }
                    ck_assert_msg(s->keep[row] == fits, "%s, %d: row %d", selector[k], budget,
                                  (int)row);
                }
            tamis_selection_free(&s);
            tamis_selection_free(&order);
        }
    tamis_scores_close(&scores);
}
END_TEST

/* More that must be kept than the budget holds is an error, by count and by cost. */
START_TEST(required_rows_fit_the_budget)
{
    static const uint64_t keep[] = {1, 2, 4, 8};
    double cost[MOST];
    const tamis_selector_info *info;
    for (uint64_t row = 0; row < MOST; row++) cost[row] = 5;
    tamis_scores *scores = table(0, MOST);
    for (size_t i = 0; (info = tamis_selector_at(i)); i++) {
        tamis_selection *s = NULL;
        tamis_select_params params = {.selector = written(info),
                                      .scores = scores,
                                      .budget = "3",
                                      .must_keep = keep,
                                      .n_must_keep = 4};
        if (!written(info) || info->flags & TAMIS_SELECTOR_NO_BUDGET) continue;
        if (!(info->flags & TAMIS_SELECTOR_LISTS)) continue;
        ck_assert_msg(tamis_select(&s, context, &params, &err) == TAMIS_ERR_ARG, "%s", info->name);
        params.budget = "4";
        s = choose(params, info->name);
        ck_assert_int_eq(s->kept, 4);
        tamis_selection_free(&s);
        if (!(info->flags & TAMIS_SELECTOR_COSTS)) continue;
        params.cost = cost;
        params.cost_name = "tokens";
        params.budget = "19";
        ck_assert_msg(tamis_select(&s, context, &params, &err) == TAMIS_ERR_ARG, "%s", info->name);
        ck_assert_ptr_nonnull(strstr(err.message, "cost 20"));
    }
    tamis_scores_close(&scores);
}
END_TEST

/* A row with an infinite score stops what takes means of scores, and no longer once it is
 * dropped. */
START_TEST(dropped_rows_have_no_say)
{
    static const uint64_t drop[] = {9};
    float value[MOST * QUERIES];
    const tamis_selector_info *info;
    tamis_scores *scores = NULL;
    for (uint64_t i = 0; i < MOST * QUERIES; i++) value[i] = (float)(i * 7 % 31);
    value[9 * QUERIES + 1] = HUGE_VALF;
    value[9 * QUERIES + 2] = -HUGE_VALF;
    small_scores(context, "s.h5", MOST, QUERIES, value, NULL, NULL);
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    for (size_t i = 0; (info = tamis_selector_at(i)); i++) {
        if (!written(info)) continue;
        bool none = info->flags & TAMIS_SELECTOR_NO_BUDGET;
        tamis_select_params params = {.selector = written(info),
                                      .scores = scores,
                                      .budget = none ? NULL : "47",
                                      .must_drop = drop,
                                      .n_must_drop = 1};
        if (!(info->flags & (TAMIS_SELECTOR_MATRIX | TAMIS_SELECTOR_NO_VALUE)))
            params.by = TAMIS_AGGREGATE_MAX;
        tamis_selection *s = choose(params, info->name);
        ck_assert_msg(s->kept == 47 && !s->keep[9], "%s", info->name);
        tamis_selection_free(&s);
    }
    tamis_scores_close(&scores);
}
END_TEST

/* A row that an added column has no value for is told so, and infinities that cancel are an
 * error. */
START_TEST(added_columns_may_lack_rows)
{
    double column[MOST];
    float value[MOST];
    tamis_scores *scores = NULL;
    tamis_selection *s = NULL;
    tamis_select_term term = {.value = column, .name = "effort", .weight = -1};
    for (uint64_t row = 0; row < MOST; row++) {
        column[row] = row == 6 ? (double)NAN : row == 9 ? HUGE_VAL : 1;
        value[row] = row == 9 ? HUGE_VALF : row == 3 ? NAN : (float)row;
    }
    small_scores(context, "s.h5", MOST, 1, value, NULL, NULL);
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    tamis_select_params params = {
        .selector = "top", .scores = scores, .budget = "4", .term = &term, .terms = 1};
    ck_fails(tamis_select(&s, context, &params, &err), TAMIS_ERR_NUMERIC, "row 9");
    column[9] = 1;
    s = choose(params, "top");
    ck_assert_str_eq(reason_of(s, 6), "no value of effort");
    ck_assert_str_eq(reason_of(s, 3), "no score: left out when the scores were made");
    tamis_selection_free(&s);
    tamis_scores_close(&scores);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("every selector");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, keeps_as_many_as_asked, 0, TABLES);
    tcase_add_test(all, refuses_none_and_too_many);
    tcase_add_loop_test(all, heeds_what_it_says_it_heeds, 0, TABLES);
    tcase_add_loop_test(all, draws_keep_their_order_with_costs, 0, TABLES);
    tcase_add_test(all, required_rows_fit_the_budget);
    tcase_add_test(all, dropped_rows_have_no_say);
    tcase_add_test(all, added_columns_may_lack_rows);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
