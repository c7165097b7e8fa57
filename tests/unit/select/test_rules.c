/* Tests of lists, filters, costs and added columns, of columns from files, and of explaining and
 * comparing selections; against plain loops.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/columns.h>
#include <tamis/select.h>

#include <math.h>

#include "base/mem.h"
#include "base/rng.h"
#include "small_files.h"

enum { ROWS = 40, QUERIES = 3 };

static tamis_context *context;
static tamis_scores *scores;
static float value[ROWS * QUERIES];
static tamis_error err;

/* Few different values, so that there are ties. */
static void setup(void)
{
    enter_scratch();
    context = small_context(2);
    gsl_rng *rng = tamis__rng_create();
    tamis__rng_key(rng, 5, TAMIS__STREAM_TEST, 0);
    for (size_t i = 0; i < ROWS * QUERIES; i++)
        value[i] = (float)(int)(gsl_rng_uniform(rng) * 9) - 4;
    gsl_rng_free(rng);
    uint64_t id[ROWS], digest[ROWS];
    for (uint64_t i = 0; i < ROWS; i++) id[i] = 100 + i;
    for (uint64_t i = 0; i < ROWS; i++) digest[i] = 7 + i % 37; /* the last three are twins */
    tamis_examples examples = {.id_number = id, .digest = digest};
    small_scores(context, "s.h5", ROWS, QUERIES, value, &examples, NULL);
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
}

static void teardown(void)
{
    tamis_scores_close(&scores);
    tamis_context_destroy(&context);
    leave_scratch();
}

static double total(uint64_t row)
{
    double sum = 0;
    for (size_t q = 0; q < QUERIES; q++) sum += (double)value[row * QUERIES + q];
    return sum;
}

static tamis_selection *choose(tamis_select_params params)
{
    tamis_selection *selection = NULL;
    params.scores = scores;
    ck_ok(tamis_select(&selection, context, &params, &err));
    return selection;
}

static void check_fails(tamis_select_params params, const char *text)
{
    tamis_selection *selection = NULL;
    params.scores = scores;
    ck_fails(tamis_select(&selection, context, &params, &err), TAMIS_ERR_ARG, text);
    ck_assert_ptr_null(selection);
}

static const char *reason_of(const tamis_selection *s, uint64_t row)
{
    return s->reason_text[s->reason[row]];
}

/* --- lists and filters ------------------------------------------------------------------------ */

/* Kept by a plain loop: those that must be first, then free rows by value, ties to the lower
 * row. */
static void plain_pick(const double *worth, const uint8_t *standing, uint64_t budget, uint8_t *keep)
{
    memset(keep, 0, ROWS);
    for (uint64_t i = 0; i < ROWS; i++)
        if (standing[i] == 1 && budget > 0) {
            keep[i] = 1;
            budget--;
        }
    for (; budget > 0; budget--) {
        int64_t best = -1;
        for (int64_t i = 0; i < ROWS; i++)
            if (!keep[i] && standing[i] == 0 && (best < 0 || worth[i] > worth[best])) best = i;
        keep[best] = 1;
    }
}

START_TEST(lists_are_heeded)
{
    static const char *const selector[] = {"top", "bottom", "random", "sum"};
    static const uint64_t must_keep[] = {3, 17, 30}, must_drop[] = {0, 5, 6, 39};
    uint8_t standing[ROWS] = {0}, wanted[ROWS];
    for (size_t i = 0; i < 3; i++) standing[must_keep[i]] = 1;
    for (size_t i = 0; i < 4; i++) standing[must_drop[i]] = 2;
    for (size_t k = 0; k < sizeof selector / sizeof *selector; k++) {
        double worth[ROWS];
        tamis_selection *s = choose((tamis_select_params){.selector = selector[k],
                                                          .budget = "12",
                                                          .seed = 3,
                                                          .must_keep = must_keep,
                                                          .n_must_keep = 3,
                                                          .must_drop = must_drop,
                                                          .n_must_drop = 4});
        for (uint64_t i = 0; i < ROWS; i++)
            worth[i] = k == 1 ? -total(i) : k == 2 ? (double)s->score[i] : total(i);
        plain_pick(worth, standing, 12, wanted);
        ck_assert_msg(!memcmp(s->keep, wanted, ROWS), "%s keeps others", selector[k]);
        ck_assert_uint_eq(s->kept, 12);
        ck_assert_str_eq(reason_of(s, 0), "must be dropped");
        ck_assert_str_eq(reason_of(s, 17), "must be kept");
        ck_assert_uint_lt(s->rank[3], 3);
        tamis_selection_free(&s);
    }
}
END_TEST

START_TEST(filters_bar_rows)
{
    double column[ROWS], worth[ROWS];
    uint8_t standing[ROWS] = {0}, wanted[ROWS];
    for (uint64_t i = 0; i < ROWS; i++) {
        column[i] = i == 9 ? (double)NAN : (double)((i * 17) % ROWS);
        worth[i] = total(i);
        standing[i] = !(column[i] >= 5 && column[i] <= 30) ? 2 : 0;
    }
    tamis_select_filter filter = {.value = column, .name = "length", .low = 5, .high = 30};
    tamis_selection *s = choose(
        (tamis_select_params){.selector = "top", .budget = "10", .filter = &filter, .filters = 1});
    plain_pick(worth, standing, 10, wanted);
    ck_assert_mem_eq(s->keep, wanted, ROWS);
    ck_assert_str_eq(reason_of(s, 9), "no value of length");
    tamis_selection_free(&s);
    /* The quantile .5 of 39 values that are 0..39 without one is the 20th of them. */
    filter.low = .5;
    filter.high = HUGE_VAL;
    filter.quantiles = true;
    double sorted[ROWS], middle;
    uint64_t n = 0;
    for (double v = 0; v < ROWS; v++)
        for (uint64_t i = 0; i < ROWS; i++)
            if (column[i] == v) sorted[n++] = v;
    middle = sorted[(n - 1) / 2];
    s = choose(
        (tamis_select_params){.selector = "threshold:min=-100", .filter = &filter, .filters = 1});
    for (uint64_t i = 0; i < ROWS; i++) ck_assert_int_eq(s->keep[i], column[i] >= middle);
    char why[96];
    snprintf(why, sizeof why, "fails the filter length: below quantile 0.5 (%.0f)", middle);
    for (uint64_t i = 0; i < ROWS; i++)
        if (column[i] < middle) ck_assert_str_eq(reason_of(s, i), why);
    ck_assert_str_eq(reason_of(s, 9), "no value of length");
    tamis_selection_free(&s);
    filter.low = 2;
    check_fails(
        (tamis_select_params){.selector = "top", .budget = "1", .filter = &filter, .filters = 1},
        "quantiles lie between 0 and 1");
    filter.quantiles = false;
    filter.low = 38;
    check_fails(
        (tamis_select_params){.selector = "top", .budget = "10", .filter = &filter, .filters = 1},
        "may be kept");
}
END_TEST

/* Infinities at the ends of a column are values like others: a quantile among them is one, and
 * elsewhere it is what it would be. */
START_TEST(quantiles_know_infinities)
{
    static const double share[] = {0, 0.01, 0.05, 0.06, 0.5, 0.94, 0.97, 1};
    double column[ROWS];
    for (uint64_t i = 0; i < ROWS; i++)
        column[i] = i < 3           ? -HUGE_VAL
                    : i >= ROWS - 2 ? HUGE_VAL
                    : i == 3        ? -1.5e308
                    : i == 4        ? 1.5e308
                                    : (double)i;
    for (size_t k = 0; k < sizeof share / sizeof *share; k++) {
        double sorted[ROWS];
        for (uint64_t i = 0; i < ROWS; i++) sorted[i] = column[i];
        for (uint64_t i = 0; i < ROWS; i++)
            for (uint64_t j = i + 1; j < ROWS; j++)
                if (sorted[j] < sorted[i]) {
                    double held = sorted[i];
                    sorted[i] = sorted[j];
                    sorted[j] = held;
                }
        double at = share[k] * (ROWS - 1), part = at - floor(at), a = sorted[(int)at],
               b = sorted[at < ROWS - 1 ? (int)at + 1 : ROWS - 1];
        double bound = part == 0 || a == b || isinf(a) ? a : (1 - part) * a + part * b;
        tamis_select_filter filter = {.value = column,
                                      .name = "length",
                                      .low = share[k],
                                      .high = HUGE_VAL,
                                      .quantiles = true};
        tamis_selection *s = choose((tamis_select_params){
            .selector = "threshold:min=-100", .filter = &filter, .filters = 1});
        for (uint64_t i = 0; i < ROWS; i++)
            ck_assert_msg(s->keep[i] == (column[i] >= bound), "%g: row %d", share[k], (int)i);
        tamis_selection_free(&s);
    }
}
END_TEST

/* A row that its value alone would let in may be left out by those that must be kept: the reason
 * says how many they are. */
START_TEST(reasons_count_required_rows)
{
    static const uint64_t keep[] = {0, 1};
    tamis_selection *s = choose((tamis_select_params){
        .selector = "top", .budget = "3", .must_keep = keep, .n_must_keep = 2});
    uint64_t best = 2, second = ROWS;
    for (uint64_t i = 2; i < ROWS; i++)
        if (total(i) > total(best)) best = i;
    for (uint64_t i = 2; i < ROWS; i++)
        if (i != best && (second == ROWS || total(i) > total(second))) second = i;
    ck_assert_str_eq(reason_of(s, best),
                     "in the top 3 (3 of 40, 2 of them must be kept) by total score");
    ck_assert_str_eq(reason_of(s, second),
                     "below the top 3 (3 of 40, 2 of them must be kept) by total score");
    tamis_selection_free(&s);
    double cost[ROWS];
    for (uint64_t i = 0; i < ROWS; i++) cost[i] = 2;
    s = choose((tamis_select_params){.selector = "sum",
                                     .budget = "5",
                                     .cost = cost,
                                     .cost_name = "tokens",
                                     .must_keep = keep,
                                     .n_must_keep = 2});
    ck_assert_str_eq(reason_of(s, best), "low sum of scores for its tokens: the 5 are used up");
    tamis_selection_free(&s);
}
END_TEST

/* --- costs ------------------------------------------------------------------------------------ */

/* By value over cost, moved to be at least 0, ties by value and then row; what does not fit is
 * passed over. */
static void plain_knapsack(const double *cost, double allowance, uint8_t *keep)
{
    double low = HUGE_VAL;
    uint8_t seen[ROWS] = {0};
    memset(keep, 0, ROWS);
    for (uint64_t i = 0; i < ROWS; i++) low = fmin(low, total(i));
    for (int n = 0; n < ROWS; n++) {
        int64_t best = -1;
        for (int64_t i = 0; i < ROWS; i++) {
            if (seen[i]) continue;
            double a = cost[i] > 0 ? (total((uint64_t)i) - low) / cost[i] : HUGE_VAL;
            double b = best < 0         ? -1
                       : cost[best] > 0 ? (total((uint64_t)best) - low) / cost[best]
                                        : HUGE_VAL;
            if (best < 0 || a > b || (a == b && total((uint64_t)i) > total((uint64_t)best)))
                best = i;
        }
        seen[best] = 1;
        if (cost[best] > allowance) continue;
        allowance -= cost[best];
        keep[best] = 1;
    }
}

START_TEST(costs_are_a_greedy_knapsack)
{
    double cost[ROWS], sum = 0;
    uint8_t wanted[ROWS];
    for (uint64_t i = 0; i < ROWS; i++) cost[i] = (double)((i * 7) % 11);
    tamis_selection *s = choose((tamis_select_params){
        .selector = "top", .budget = "50", .cost = cost, .cost_name = "tokens"});
    plain_knapsack(cost, 50, wanted);
    ck_assert_mem_eq(s->keep, wanted, ROWS);
    for (uint64_t i = 0; i < ROWS; i++) sum += s->keep[i] ? cost[i] : 0;
    ck_assert(sum <= 50);
    tamis_selection_free(&s);
    sum = 0;
    for (uint64_t i = 0; i < ROWS; i++) sum += cost[i];
    s = choose((tamis_select_params){
        .selector = "top", .budget = "25%", .cost = cost, .cost_name = "tokens"});
    plain_knapsack(cost, sum / 4, wanted);
    ck_assert_mem_eq(s->keep, wanted, ROWS);
    tamis_selection_free(&s);
    check_fails(
        (tamis_select_params){
            .selector = "top", .budget = "1e9", .cost = cost, .cost_name = "tokens"},
        "more than all rows cost");
    check_fails(
        (tamis_select_params){.selector = "threshold:min=0", .cost = cost, .cost_name = "tokens"},
        "does not heed costs");
    cost[4] = cost[5] = 1.5e308;
    check_fails(
        (tamis_select_params){
            .selector = "top", .budget = "5%", .cost = cost, .cost_name = "tokens"},
        "take a larger unit");
    for (uint64_t i = 0; i < ROWS; i++) cost[i] = i < 10 ? 0.1 : 0;
    s = choose((tamis_select_params){
        .selector = "top", .budget = "1", .cost = cost, .cost_name = "tokens"});
    ck_assert_uint_eq(s->kept, ROWS);
    tamis_selection_free(&s);
    cost[4] = (double)NAN;
    check_fails(
        (tamis_select_params){
            .selector = "top", .budget = "5", .cost = cost, .cost_name = "tokens"},
        "row 4 has no value of tokens");
    cost[4] = -1;
    check_fails(
        (tamis_select_params){
            .selector = "top", .budget = "5", .cost = cost, .cost_name = "tokens"},
        "row 4 costs -1");
}
END_TEST

/* --- columns that are added ------------------------------------------------------------------- */

START_TEST(terms_are_added_after_normalising)
{
    double column[ROWS], low = HUGE_VAL, high = -HUGE_VAL, wanted[ROWS];
    for (uint64_t i = 0; i < ROWS; i++) {
        column[i] = (double)((i * 13) % 29);
        low = fmin(low, column[i]);
        high = fmax(high, column[i]);
    }
    tamis_select_term term = {
        .value = column, .name = "effort", .weight = .3, .normalise = TAMIS_NORMALISE_MINMAX};
    tamis_selection *s = choose(
        (tamis_select_params){.selector = "top", .budget = "7", .term = &term, .terms = 1});
    for (uint64_t i = 0; i < ROWS; i++) {
        wanted[i] = total(i) + .3 * ((column[i] - low) / (high - low));
        ck_assert(fabs((double)s->score[i] - wanted[i]) < 1e-6);
    }
    tamis_selection_free(&s);
    term.weight = (double)INFINITY;
    check_fails((tamis_select_params){.selector = "top", .budget = "7", .term = &term, .terms = 1},
                "the weight of effort is not finite");
    term.weight = 1;
    check_fails((tamis_select_params){.selector = "bids", .budget = "7", .term = &term, .terms = 1},
                "does not heed added columns");
}
END_TEST

/* Each query's column by itself, and then their sum. */
START_TEST(scores_are_normalised_by_query)
{
    double wanted[ROWS] = {0};
    for (size_t q = 0; q < QUERIES; q++) {
        double mean = 0, square = 0;
        for (size_t i = 0; i < ROWS; i++) mean += (double)value[i * QUERIES + q] / ROWS;
        for (size_t i = 0; i < ROWS; i++) square += pow((double)value[i * QUERIES + q] - mean, 2);
        for (size_t i = 0; i < ROWS; i++)
            wanted[i] += ((double)value[i * QUERIES + q] - mean) / sqrt(square / ROWS);
    }
    tamis_selection *s = choose((tamis_select_params){
        .selector = "top", .budget = "7", .normalise = TAMIS_NORMALISE_ZSCORE});
    for (uint64_t i = 0; i < ROWS; i++) ck_assert(fabs((double)s->score[i] - wanted[i]) < 1e-5);
    tamis_selection_free(&s);
}
END_TEST

START_TEST(lists_that_make_no_sense_are_refused)
{
    static const uint64_t far[] = {40}, twice[] = {4, 4}, many[] = {1, 2, 3};
    check_fails(
        (tamis_select_params){.selector = "top", .budget = "5", .must_keep = far, .n_must_keep = 1},
        "there are 40 rows");
    check_fails(
        (tamis_select_params){
            .selector = "top", .budget = "5", .must_drop = twice, .n_must_drop = 2},
        "not ascending");
    check_fails((tamis_select_params){.selector = "top",
                                      .budget = "5",
                                      .must_keep = many,
                                      .n_must_keep = 3,
                                      .must_drop = many,
                                      .n_must_drop = 1},
                "row 1 (id 101) must be kept and must be dropped");
    check_fails(
        (tamis_select_params){
            .selector = "top", .budget = "2", .must_keep = many, .n_must_keep = 3},
        "must be kept");
    check_fails(
        (tamis_select_params){.selector = "stratified:by=group", .budget = "2", .group_by = "task"},
        "not by 'task'");
}
END_TEST

/* --- columns, lists and groups from files ----------------------------------------------------- */

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(columns_come_from_files)
{
    double *column = NULL;
    put("t.csv", "id,\"n,1\"\na,1.5\nb,\nc,-2e3\n");
    put("t.jsonl", "{\"n\": 4}\n\n{\"n\": null}\n{\"m\": 1, \"n\": true}\n");
    put("bad.csv", "n\n1\nx\n");
    ck_ok(tamis_column_load(context, "t.csv#n,1", 3, &column, &err));
    ck_assert(column[0] == 1.5 && isnan(column[1]) && column[2] == -2000);
    free(column);
    ck_ok(tamis_column_load(context, "t.jsonl#n", 3, &column, &err));
    ck_assert(column[0] == 4 && isnan(column[1]) && column[2] == 1);
    free(column);
    ck_ok(tamis_column_load(context, "s.h5", ROWS, &column, &err));
    for (uint64_t i = 0; i < ROWS; i++) ck_assert(column[i] == total(i));
    free(column);
    ck_fails(tamis_column_load(context, "bad.csv#n", 2, &column, &err), TAMIS_ERR_FORMAT,
             "'bad.csv' line 3: 'n' is 'x'");
    ck_fails(tamis_column_load(context, "t.csv#z", 3, &column, &err), TAMIS_ERR_FORMAT,
             "no column 'z'");
    ck_fails(tamis_column_load(context, "t.csv", 3, &column, &err), TAMIS_ERR_ARG, "which column");
    ck_fails(tamis_column_load(context, "t.csv#id", 4, &column, &err), TAMIS_ERR_FORMAT,
             "no number");
    ck_fails(tamis_column_load(context, "t.jsonl#n", 4, &column, &err), TAMIS_ERR_SHAPE,
             "has 3 rows, and there are 4");
    ck_fails(tamis_column_load(context, "s.h5#sum", ROWS, &column, &err), TAMIS_ERR_ARG,
             "total, mean, max or length");
}
END_TEST

/* Records of any order, and more of them than rows. */
START_TEST(columns_are_joined_by_id)
{
    const tamis_examples *e = &tamis_scores_info_get(scores)->examples;
    double *column = NULL;
    char text[4096];
    static const char *const header[] = {"n,id\n", "", "id\tx\tn\n"};
    static const char *const file[] = {"t.csv", "t.jsonl", "t.tsv"};
    static const char *const spec[] = {"t.csv#n", "t.jsonl#n", "t.tsv#n"};
    for (int kind = 0; kind < 3; kind++) {
        size_t n = (size_t)snprintf(text, sizeof text, "%s", header[kind]);
        for (int i = 0; i < ROWS + 2; i++) {
            int id = 100 + (i * 11) % (ROWS + 2); /* two of them are of no row */
            n += (size_t)(kind == 0 ? snprintf(text + n, sizeof text - n, "%d,%d\n", id * 2, id)
                          : kind == 1
                              ? snprintf(text + n, sizeof text - n,
                                         i % 2 ? "{\"id\": %d, \"n\": %d}\n"
                                               : "{\"id\": \"%d\", \"n\": %d}\n",
                                         id, id * 2)
                              : snprintf(text + n, sizeof text - n, "%d\t\t%d\n", id, id * 2));
        }
        put(file[kind], text);
        ck_ok(tamis_column_join(context, spec[kind], "id", e, ROWS, &column, &err));
        for (uint64_t i = 0; i < ROWS; i++) ck_assert(column[i] == (double)(2 * (100 + i)));
        free(column);
    }
    ck_fails(tamis_column_join(context, "t.csv#n", "key", e, ROWS, &column, &err), TAMIS_ERR_FORMAT,
             "no column 'key'");
    ck_fails(tamis_column_join(context, "t.jsonl#n", "key", e, ROWS, &column, &err),
             TAMIS_ERR_FORMAT, "line 1: 'key' is neither a text nor a whole number");
    ck_fails(tamis_column_join(context, "s.h5#total", "id", e, ROWS, &column, &err),
             TAMIS_ERR_UNSUPPORTED, "no records with ids");
    put("t.csv", "id,n\n101,1\n100,2\n101,3\n");
    ck_fails(tamis_column_join(context, "t.csv#n", "id", e, ROWS, &column, &err), TAMIS_ERR_FORMAT,
             "line 4: the id '101' stands on line 2 too");
    put("t.csv", "id,n\n101,1\n100,2\n");
    ck_fails(tamis_column_join(context, "t.csv#n", "id", e, ROWS, &column, &err), TAMIS_ERR_FORMAT,
             "no record whose 'id' is '102', the id of candidate 2");
    /* Without ids rows have their numbers. */
    ck_ok(tamis_column_join(context, "t.csv#n", "n", NULL, 0, &column, &err));
    free(column);
    put("t.csv", "id,n\n1,7\n0,8\n");
    ck_ok(tamis_column_join(context, "t.csv#n", "id", NULL, 2, &column, &err));
    ck_assert(column[0] == 8 && column[1] == 7);
    free(column);
    bool done = false;
    for (long n = 0; !done; n++) {
        tamis__fault_memory_after(n);
        tamis_status status = tamis_column_join(context, "t.csv#n", "id", NULL, 2, &column, &err);
        tamis__fault_memory_after(-1);
        done = status == TAMIS_OK;
        if (!done) ck_assert_int_eq(status, TAMIS_ERR_NOMEM);
    }
    free(column);
}
END_TEST

START_TEST(rows_come_by_id)
{
    const tamis_examples *e = &tamis_scores_info_get(scores)->examples;
    uint64_t *row = NULL, n = 0, one = 0;
    put("ids.txt", "\xef\xbb\xbf" /* as some editors begin a file */
                   "117\r\n\n103\n130");
    ck_ok(tamis_rows_load(context, "ids.txt", e, ROWS, &row, &n, &err));
    ck_assert_uint_eq(n, 3);
    ck_assert(row[0] == 3 && row[1] == 17 && row[2] == 30);
    free(row);
    put("ids.txt", "117\n99\n");
    ck_fails(tamis_rows_load(context, "ids.txt", e, ROWS, &row, &n, &err), TAMIS_ERR_FORMAT,
             "'ids.txt' line 2: no candidate has the id '99'");
    put("ids.txt", "117\n104\n117\n");
    ck_fails(tamis_rows_load(context, "ids.txt", e, ROWS, &row, &n, &err), TAMIS_ERR_FORMAT,
             "line 3: the id '117' stands on line 1 too");
    ck_ok(tamis_row_find(e, ROWS, "139", &one, &err));
    ck_assert_uint_eq(one, 39);
    ck_fails(tamis_row_find(e, ROWS, "x", &one, &err), TAMIS_ERR_ARG,
             "no candidate has the id 'x'");
}
END_TEST

START_TEST(groups_come_by_name)
{
    tamis_group_list list;
    put("g.txt", "b\na\n\nb\n");
    ck_ok(tamis_group_list_load(&list, context, "g.txt", 4, &err));
    ck_assert_uint_eq(list.groups, 2);
    ck_assert_str_eq(list.name[0], "a");
    ck_assert(list.group[0] == 1 && list.group[1] == 0 && list.group[2] == -1 &&
              list.group[3] == 1);
    tamis_group_list_fini(&list);
    ck_fails(tamis_group_list_load(&list, context, "g.txt", 5, &err), TAMIS_ERR_SHAPE,
             "has 4 groups, one a line, and 5 are wanted");
}
END_TEST

/* --- explaining and comparing ----------------------------------------------------------------- */

START_TEST(rows_are_explained)
{
    tamis_explanation e;
    tamis_selection *s = choose((tamis_select_params){.selector = "top", .budget = "10"});
    float border = HUGE_VALF;
    for (uint64_t i = 0; i < ROWS; i++)
        if (s->keep[i]) border = fminf(border, s->score[i]);
    for (uint64_t i = 0; i < ROWS; i++) {
        uint64_t twin = i < 3 ? i + 37 : i >= 37 ? i - 37 : TAMIS_NO_ROW;
        ck_ok(tamis_selection_explain(s, i, &e, &err));
        ck_assert(e.keep == (s->keep[i] != 0) && e.border == border && e.rank == s->rank[i]);
        ck_assert_uint_eq(e.twin, twin);
        if (twin != TAMIS_NO_ROW) ck_assert(e.twin_kept == (s->keep[twin] != 0));
    }
    ck_fails(tamis_selection_explain(s, ROWS, &e, &err), TAMIS_ERR_ARG, "no row 40");
    tamis_selection_free(&s);
}
END_TEST

START_TEST(selections_are_compared)
{
    tamis_selection_diff d;
    tamis_selection *a = choose((tamis_select_params){.selector = "top", .budget = "10"});
    tamis_selection *b = choose((tamis_select_params){.selector = "bottom", .budget = "35"});
    uint64_t both = 0;
    for (uint64_t i = 0; i < ROWS; i++) both += a->keep[i] && b->keep[i];
    ck_ok(tamis_selection_compare(a, b, &d, &err));
    ck_assert(d.both == both && d.kept_a == 10 && d.kept_b == 35);
    ck_assert(d.jaccard == (double)both / (double)(45 - both));
    for (uint64_t i = 0; i < 10 - both; i++) {
        ck_assert(a->keep[d.only_a[i]] && !b->keep[d.only_a[i]]);
        if (i) ck_assert_uint_gt(a->rank[d.only_a[i]], a->rank[d.only_a[i - 1]]);
    }
    for (uint64_t i = 1; i < ROWS; i++) {
        int64_t far = llabs((int64_t)a->rank[d.moved[i]] - (int64_t)b->rank[d.moved[i]]);
        int64_t farther = llabs((int64_t)a->rank[d.moved[i - 1]] -
                                (int64_t)b->rank[d.moved[i - 1]]);
        ck_assert(far < farther || (far == farther && d.moved[i] > d.moved[i - 1]));
    }
    tamis_selection_diff_fini(&d);
    ck_ok(tamis_selection_compare(a, a, &d, &err));
    ck_assert(d.jaccard == 1 && fabs(d.spearman - 1) < 1e-12 && d.both == 10);
    tamis_selection_diff_fini(&d);
    tamis_selection *other = NULL;
    ck_ok(tamis_selection_create(&other, ROWS, NULL, &err));
    ck_fails(tamis_selection_compare(a, other, &d, &err), TAMIS_ERR_FORMAT, "row 0");
    tamis_selection_free(&other);
    ck_ok(tamis_selection_create(&other, 3, NULL, &err));
    ck_fails(tamis_selection_compare(a, other, &d, &err), TAMIS_ERR_SHAPE, "of 40 and of 3");
    tamis_selection_free(&other);
    tamis_selection_free(&a);
    tamis_selection_free(&b);
}
END_TEST

/* Every allocation fails once, and each failure is told. */
START_TEST(memory_failures_are_errors)
{
    double column[ROWS], cost[ROWS];
    static const uint64_t keep[] = {3}, drop[] = {5};
    for (uint64_t i = 0; i < ROWS; i++) column[i] = cost[i] = (double)(i % 7) + 1;
    tamis_select_term term = {
        .value = column, .name = "c", .weight = 1, .normalise = TAMIS_NORMALISE_RANK};
    tamis_select_filter filter = {
        .value = column, .name = "c", .low = .1, .high = 1, .quantiles = true};
    tamis_select_params params = {.selector = "top",
                                  .scores = scores,
                                  .budget = "30",
                                  .term = &term,
                                  .terms = 1,
                                  .filter = &filter,
                                  .filters = 1,
                                  .cost = cost,
                                  .cost_name = "c",
                                  .must_keep = keep,
                                  .n_must_keep = 1,
                                  .must_drop = drop,
                                  .n_must_drop = 1};
    bool done = false;
    for (long n = 0; !done; n++) {
        tamis_selection *selection = NULL;
        ck_assert_int_lt(n, 10000);
        tamis__fault_memory_after(n);
        tamis_status status = tamis_select(&selection, context, &params, &err);
        tamis__fault_memory_after(-1);
        done = status == TAMIS_OK;
        if (!done) ck_assert_int_eq(status, TAMIS_ERR_NOMEM);
        tamis_selection_free(&selection);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("select rules");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, lists_are_heeded);
    tcase_add_test(all, filters_bar_rows);
    tcase_add_test(all, quantiles_know_infinities);
    tcase_add_test(all, reasons_count_required_rows);
    tcase_add_test(all, costs_are_a_greedy_knapsack);
    tcase_add_test(all, terms_are_added_after_normalising);
    tcase_add_test(all, scores_are_normalised_by_query);
    tcase_add_test(all, lists_that_make_no_sense_are_refused);
    tcase_add_test(all, columns_come_from_files);
    tcase_add_test(all, columns_are_joined_by_id);
    tcase_add_test(all, rows_come_by_id);
    tcase_add_test(all, groups_come_by_name);
    tcase_add_test(all, rows_are_explained);
    tcase_add_test(all, selections_are_compared);
    tcase_add_test(all, memory_failures_are_errors);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
