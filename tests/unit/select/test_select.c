/* Tests of the selectors.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/select.h>

#include <float.h>
#include <math.h>

#include "base/rng.h"
#include "select/registry.h"
#include "select/values.h"
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

/* --- values ----------------------------------------------------------------------------------- */

/* More than one block of rows, so that blocks join up. */
START_TEST(aggregates_as_brute_force)
{
    enum { ROWS = 1000, QUERIES = 700 };
    tamis_error err = {0};
    float *values = malloc(sizeof(float) * ROWS * QUERIES);
    gsl_rng *rng = tamis__rng_create();
    for (size_t i = 0; i < (size_t)ROWS * QUERIES; i++)
        values[i] = (float)(gsl_rng_uniform(rng) - 0.5);
    gsl_rng_free(rng);
    small_scores(context, "s.h5", ROWS, QUERIES, values, NULL, NULL);
    for (unsigned threads = 1; threads <= 7; threads += 3) {
        tamis_context *other = small_context(threads);
        tamis_scores *scores;
        double *total, *mean, *max;
        ck_ok(tamis_scores_open(&scores, other, "s.h5", &err));
        ck_ok(tamis__aggregate(other, scores, TAMIS_AGGREGATE_TOTAL, &total, &err));
        ck_ok(tamis__aggregate(other, scores, TAMIS_AGGREGATE_MEAN, &mean, &err));
        ck_ok(tamis__aggregate(other, scores, TAMIS_AGGREGATE_MAX, &max, &err));
        for (size_t i = 0; i < ROWS; i++) {
            double sum = 0, highest = -DBL_MAX;
            for (size_t q = 0; q < QUERIES; q++) {
                sum += (double)values[i * QUERIES + q];
                highest = fmax(highest, (double)values[i * QUERIES + q]);
            }
            ck_assert(total[i] == sum);
            ck_assert(mean[i] == sum / QUERIES);
            ck_assert(max[i] == highest);
        }
        free(total);
        free(mean);
        free(max);
        tamis_scores_close(&scores);
        tamis_context_destroy(&other);
    }
    free(values);
}
END_TEST

START_TEST(refuses_nan_and_names_the_row)
{
    tamis_error err = {0};
    static const char *const ids[] = {"first", "second", "third"};
    tamis_examples examples = {.id_text = ids};
    float values[6] = {1, 2, 3, NAN, 5, 6};
    for (int by = TAMIS_AGGREGATE_TOTAL; by <= TAMIS_AGGREGATE_MAX; by++) {
        tamis_scores *scores;
        double *value;
        foreign_scores(context, "s.h5", 3, 2, values, &examples, NULL);
        ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
        ck_fails(tamis__aggregate(context, scores, (tamis_aggregate)by, &value, &err),
                 TAMIS_ERR_NUMERIC, "row 1 (id second): the score of query 1");
        tamis_scores_close(&scores);
    }
    tamis_scores *scores;
    double *value;
    values[2] = INFINITY;
    values[3] = -INFINITY;
    small_scores(context, "s.h5", 3, 2, values, NULL, NULL);
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    ck_fails(tamis__aggregate(context, scores, TAMIS_AGGREGATE_MEAN, &value, &err),
             TAMIS_ERR_NUMERIC, "row 1 (id 1): its scores hold both infinities");
    ck_ok(tamis__aggregate(context, scores, TAMIS_AGGREGATE_MAX, &value, &err));
    free(value);
    tamis_scores_close(&scores);
}
END_TEST

START_TEST(orders_ties_by_the_lower_row)
{
    tamis_error err = {0};
    double values[] = {1, 3, 1, 2, 3, -0.0, 0.0, -HUGE_VAL, HUGE_VAL};
    uint64_t high[] = {8, 1, 4, 3, 0, 2, 5, 6, 7}, low[] = {7, 5, 6, 0, 2, 3, 1, 4, 8}, *order;
    ck_ok(tamis__order(values, 9, true, &order, &err));
    ck_assert_mem_eq(order, high, sizeof high);
    free(order);
    ck_ok(tamis__order(values, 9, false, &order, &err));
    ck_assert_mem_eq(order, low, sizeof low);
    free(order);
}
END_TEST

/* Those without a value stand last from either end, in the order of rows. */
START_TEST(orders_rows_without_a_value_last)
{
    tamis_error err = {0};
    const double nan = (double)NAN;
    double values[] = {nan, 1, nan, HUGE_VAL, -HUGE_VAL, nan, 1};
    uint64_t high[] = {3, 1, 6, 4, 0, 2, 5}, low[] = {4, 1, 6, 3, 0, 2, 5}, *order;
    ck_ok(tamis__order(values, 7, true, &order, &err));
    ck_assert_mem_eq(order, high, sizeof high);
    free(order);
    ck_ok(tamis__order(values, 7, false, &order, &err));
    ck_assert_mem_eq(order, low, sizeof low);
    free(order);
    ck_assert_uint_eq(tamis__count_scored(values, 7), 4);
}
END_TEST

/* --- selectors -------------------------------------------------------------------------------- */

static tamis_selection *choose_by(const char *selector, const char *budget, tamis_aggregate by,
                                  uint64_t rows, uint64_t queries, const float *values)
{
    tamis_error err = {0};
    tamis_scores *scores;
    tamis_selection *selection = NULL;
    small_scores(context, "s.h5", rows, queries, values, NULL, NULL);
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    tamis_select_params params = {
        .selector = selector, .scores = scores, .budget = budget, .by = by, .seed = 7};
    ck_ok(tamis_select(&selection, context, &params, &err));
    tamis_scores_close(&scores);
    return selection;
}

static tamis_selection *choose(const char *selector, const char *budget, uint64_t rows,
                               const float *values)
{
    return choose_by(selector, budget, TAMIS_AGGREGATE_TOTAL, rows, 1, values);
}

static void ck_ranks(const tamis_selection *s, const uint64_t *ranks, uint64_t kept)
{
    ck_assert_uint_eq(s->kept, kept);
    for (uint64_t i = 0; i < s->rows; i++) {
        ck_assert_uint_eq(s->rank[i], ranks[i]);
        ck_assert_uint_eq(s->keep[i], ranks[i] < kept);
        ck_float(s->weight[i], ranks[i] < kept ? 1.0f : 0.0f);
        ck_assert_uint_lt(s->reason[i], s->reasons);
    }
}

static const char *reason(const tamis_selection *s, uint64_t row)
{
    return s->reason_text[s->reason[row]];
}

START_TEST(top_and_bottom)
{
    const float values[] = {0.5f, 2, -1, 2, 0};
    tamis_selection *s = choose("top", "40%", 5, values);
    ck_ranks(s, (uint64_t[]){2, 0, 4, 1, 3}, 2);
    ck_assert_str_eq(reason(s, 1), "in the top 40% (2 of 5) by score");
    ck_assert_str_eq(reason(s, 0), "below the top 40% (2 of 5) by score");
    ck_assert_uint_eq(s->reasons, 2);
    ck_assert_str_eq(s->selector, "top");
    ck_float(s->score[2], -1);
    tamis_selection_free(&s);
    s = choose("bottom", "3", 5, values);
    ck_ranks(s, (uint64_t[]){2, 3, 0, 4, 1}, 3);
    ck_assert_str_eq(reason(s, 2), "in the bottom 3 (3 of 5) by score");
    ck_assert_str_eq(reason(s, 1), "above the bottom 3 (3 of 5) by score");
    tamis_selection_free(&s);
    s = choose("top", "100%", 5, values);
    ck_assert_uint_eq(s->kept, 5);
    ck_assert_uint_eq(s->reasons, 1);
    tamis_selection_free(&s);
}
END_TEST

/* --- rows without a score --------------------------------------------------------------------- */

/* The selection from a file that is there. */
static tamis_status choose_from(const char *path, const char *selector, const char *budget,
                                tamis_aggregate by, tamis_selection **selection, tamis_error *err)
{
    tamis_scores *scores = NULL;
    tamis_status status = tamis_scores_open(&scores, context, path, err);
    tamis_select_params params = {
        .selector = selector, .scores = scores, .budget = budget, .by = by, .seed = 7};
    if (status == TAMIS_OK) status = tamis_select(selection, context, &params, err);
    tamis_scores_close(&scores);
    return status;
}

typedef struct missing_case {
    const char *selector, *budget;
    uint64_t rank[6], kept;
} missing_case;

/* Of 6 rows, 0 and 3 have no score. */
static const missing_case missing_cases[] = {
    {"top", "2", {4, 2, 0, 5, 3, 1}, 2},
    {"bottom", "50%", {4, 1, 3, 5, 0, 2}, 3},
    {"threshold:min=2", NULL, {4, 2, 0, 5, 3, 1}, 3},
    {"threshold:max=3", NULL, {4, 1, 3, 5, 0, 2}, 3},
    {"threshold:min=-9,max=9", NULL, {4, 2, 0, 5, 3, 1}, 4},
};

START_TEST(never_keeps_rows_without_a_score)
{
    tamis_error err = {0};
    const missing_case *m = &missing_cases[_i];
    const float values[] = {NAN, NAN, 1, 1, 3, 2, NAN, NAN, 0, 1, 1, 2};
    tamis_selection *s = NULL;
    small_scores(context, "s.h5", 6, 2, values, NULL, NULL);
    ck_ok(choose_from("s.h5", m->selector, m->budget, TAMIS_AGGREGATE_TOTAL, &s, &err));
    ck_ranks(s, m->rank, m->kept);
    for (uint64_t row = 0; row < 6; row++) {
        bool missing = row == 0 || row == 3;
        ck_assert_int_eq(isnan(s->score[row]) != 0, missing);
        ck_assert_int_eq(!strncmp(reason(s, row), "no score: ", 10), missing);
    }
    tamis_selection_free(&s);
}
END_TEST

/* At random too, and a row that can be drawn keeps its number. */
START_TEST(random_leaves_them_out)
{
    tamis_error err = {0};
    enum { N = 50 };
    float values[N], all[N] = {0};
    tamis_selection *some = NULL, *every = NULL;
    for (int i = 0; i < N; i++) values[i] = i % 3 ? 1 : NAN;
    small_scores(context, "s.h5", N, 1, values, NULL, NULL);
    small_scores(context, "t.h5", N, 1, all, NULL, NULL);
    ck_ok(choose_from("s.h5", "random", "33", TAMIS_AGGREGATE_TOTAL, &some, &err));
    ck_ok(choose_from("t.h5", "random", "33", TAMIS_AGGREGATE_TOTAL, &every, &err));
    for (uint64_t i = 0; i < N; i++) {
        ck_assert_uint_eq(some->keep[i], i % 3 != 0);
        if (i % 3) ck_float(some->score[i], every->score[i]);
        if (i % 3 == 0)
            ck_assert_str_eq(reason(some, i), "no score: left out when the scores were made");
    }
    tamis_selection_free(&some);
    ck_fails(choose_from("s.h5", "random", "34", TAMIS_AGGREGATE_TOTAL, &some, &err), TAMIS_ERR_ARG,
             "budget '34' is 34 rows, but only 33 have a score");
    ck_fails(choose_from("s.h5", "top", "68%", TAMIS_AGGREGATE_TOTAL, &some, &err), TAMIS_ERR_ARG,
             "budget '68%' is 34 rows");
    tamis_selection_free(&every);
    for (int i = 0; i < N; i++) values[i] = NAN;
    small_scores(context, "s.h5", N, 1, values, NULL, NULL);
    ck_fails(choose_from("s.h5", "threshold:min=0", NULL, TAMIS_AGGREGATE_TOTAL, &some, &err),
             TAMIS_ERR_ARG, "none of its 50 rows has a score");
}
END_TEST

/* A NaN that the file does not speak of is an error, and so is one too many. */
START_TEST(refuses_other_rows_without_a_score)
{
    tamis_error err = {0};
    tamis_selection *s = NULL;
    size_t size;
    const float values[] = {NAN, 7, 8, 9}, more[] = {NAN, 7, NAN, 9};
    foreign_scores(context, "s.h5", 4, 1, more, NULL, NULL);
    ck_fails(choose_from("s.h5", "top", "1", TAMIS_AGGREGATE_TOTAL, &s, &err), TAMIS_ERR_NUMERIC,
             "row 0");
    small_scores(context, "s.h5", 4, 1, values, NULL, NULL);
    char *bytes = slurp("s.h5", &size), *at = memmem(bytes, size, values, sizeof values);
    memcpy(at, more, sizeof more);
    spill("s.h5", bytes, size);
    free(bytes);
    ck_fails(choose_from("s.h5", "top", "1", TAMIS_AGGREGATE_TOTAL, &s, &err), TAMIS_ERR_FORMAT,
             "says that 1 rows have no score, but 2 have none");
}
END_TEST

/* --- lists ------------------------------------------------------------------------------------ */

/* Against the largest score of each row over the lists, and all others out. */
START_TEST(chooses_from_lists)
{
    tamis_error err = {0};
    tamis_selection *s = NULL;
    const uint64_t row[] = {1, 4, 5, 1, 2, 4};
    const float score[] = {3, 2, -1, 9, 2.5f, 2.25f};
    small_lists(context, "s.h5", 7, 2, 3, row, score, 0, NULL, NULL);
    ck_ok(choose_from("s.h5", "top", "2", TAMIS_AGGREGATE_MAX, &s, &err));
    ck_ranks(s, (uint64_t[]){4, 0, 1, 5, 2, 3, 6}, 2);
    const float wanted[] = {NAN, 9, 2.5f, NAN, 2.25f, -1, NAN};
    for (uint64_t i = 0; i < 7; i++) {
        if (!isnan(wanted[i])) ck_float(s->score[i], wanted[i]);
        ck_assert_int_eq(isnan(s->score[i]) != 0, isnan(wanted[i]) != 0);
        ck_assert_int_eq(!strcmp(reason(s, i), "in no query's top 3"), isnan(wanted[i]) != 0);
    }
    ck_assert_str_eq(reason(s, 4), "below the top 2 (2 of 7) by max score");
    tamis_selection_free(&s);
    ck_ok(choose_from("s.h5", "threshold:min=2.25", NULL, TAMIS_AGGREGATE_MAX, &s, &err));
    ck_assert_uint_eq(s->kept, 3);
    tamis_selection_free(&s);
    ck_ok(choose_from("s.h5", "random", "4", TAMIS_AGGREGATE_TOTAL, &s, &err));
    for (uint64_t i = 0; i < 7; i++) ck_assert_uint_eq(s->keep[i], !isnan(wanted[i]));
    tamis_selection_free(&s);
}
END_TEST

START_TEST(refuses_what_lists_do_not_tell)
{
    tamis_error err = {0};
    tamis_selection *s = NULL;
    const uint64_t row[] = {1, 4, 5, 1, 2, 4};
    const float score[] = {3, 2, -1, 9, 2.5f, 2.25f};
    small_lists(context, "s.h5", 7, 2, 3, row, score, 0, NULL, NULL);
    ck_fails(choose_from("s.h5", "top", "2", TAMIS_AGGREGATE_TOTAL, &s, &err), TAMIS_ERR_ARG,
             "do not tell the total of a row's scores: use --by max, or score without --top");
    ck_fails(choose_from("s.h5", "top", "2", TAMIS_AGGREGATE_MEAN, &s, &err), TAMIS_ERR_ARG,
             "mean");
    ck_fails(choose_from("s.h5", "top", "5", TAMIS_AGGREGATE_MAX, &s, &err), TAMIS_ERR_ARG,
             "only 4 rows stand in some query's top 3");
    small_lists(context, "s.h5", 7, 1, 3, row, score, 0, NULL, NULL);
    ck_ok(choose_from("s.h5", "bottom", "1", TAMIS_AGGREGATE_TOTAL, &s, &err));
    ck_ranks(s, (uint64_t[]){3, 2, 4, 5, 1, 0, 6}, 1);
    tamis_selection_free(&s);
}
END_TEST

/* As many queries as need several reads: the same as from the whole matrix. */
START_TEST(many_lists)
{
    tamis_error err = {0};
    enum { N = 40, Q = 30000, K = 3 };
    uint64_t *row = malloc(sizeof *row * Q * K);
    float *score = malloc(sizeof *score * Q * K), best[N];
    for (int i = 0; i < N; i++) best[i] = -1;
    for (uint64_t q = 0; q < Q; q++)
        for (uint64_t k = 0; k < K; k++) {
            uint64_t r = (q * 7 + k * 5) % (N - 3);
            float v = (float)(q * 7919 % 100003) + (float)(K - k);
            row[q * K + k] = r;
            score[q * K + k] = v;
            if (v > best[r]) best[r] = v;
        }
    tamis_selection *s = NULL;
    small_lists(context, "s.h5", N, Q, K, row, score, 0, NULL, NULL);
    ck_ok(choose_from("s.h5", "top", "37", TAMIS_AGGREGATE_MAX, &s, &err));
    for (int i = 0; i < N - 3; i++) ck_float(s->score[i], best[i]);
    ck_assert(isnan(s->score[N - 1]));
    tamis_selection_free(&s);
    free(row);
    free(score);
}
END_TEST

START_TEST(all_equal_goes_by_row)
{
    const float values[6] = {0};
    static const char *const names[] = {"top", "bottom"};
    for (int i = 0; i < 2; i++) {
        tamis_selection *s = choose(names[i], "4", 6, values);
        ck_ranks(s, (uint64_t[]){0, 1, 2, 3, 4, 5}, 4);
        tamis_selection_free(&s);
    }
}
END_TEST

START_TEST(aggregates_decide)
{
    const float values[] = {1, 1, 5, -5, 0, 3};
    tamis_selection *s = choose_by("top", "1", TAMIS_AGGREGATE_TOTAL, 3, 2, values);
    ck_ranks(s, (uint64_t[]){1, 2, 0}, 1);
    ck_assert_str_eq(reason(s, 2), "in the top 1 (1 of 3) by total score");
    tamis_selection_free(&s);
    s = choose_by("top", "1", TAMIS_AGGREGATE_MAX, 3, 2, values);
    ck_ranks(s, (uint64_t[]){2, 0, 1}, 1);
    tamis_selection_free(&s);
    s = choose_by("bottom", "1", TAMIS_AGGREGATE_MEAN, 3, 2, values);
    ck_ranks(s, (uint64_t[]){1, 0, 2}, 1);
    ck_float(s->score[2], 1.5f);
    tamis_selection_free(&s);
}
END_TEST

START_TEST(threshold_keeps_between_its_bounds)
{
    const float values[] = {0.5f, 2, -1, 2, 0};
    tamis_selection *s = choose("threshold:min=0.5", NULL, 5, values);
    ck_ranks(s, (uint64_t[]){2, 0, 4, 1, 3}, 3);
    ck_assert_str_eq(reason(s, 0), "score of at least 0.5");
    ck_assert_str_eq(reason(s, 4), "score below 0.5");
    tamis_selection_free(&s);
    s = choose("threshold:max=0", NULL, 5, values);
    ck_ranks(s, (uint64_t[]){2, 3, 0, 4, 1}, 2);
    ck_assert_str_eq(reason(s, 2), "score of at most 0");
    ck_assert_str_eq(reason(s, 1), "score above 0");
    tamis_selection_free(&s);
    s = choose("threshold:min=0,max=1", NULL, 5, values);
    ck_ranks(s, (uint64_t[]){0, 2, 4, 3, 1}, 2);
    ck_assert_str_eq(reason(s, 0), "score from 0 to 1");
    ck_assert_str_eq(reason(s, 1), "score above 1");
    ck_assert_str_eq(reason(s, 2), "score below 0");
    tamis_selection_free(&s);
    s = choose("threshold:min=100", NULL, 5, values);
    ck_assert_uint_eq(s->kept, 0);
    tamis_selection_free(&s);
}
END_TEST

START_TEST(random_is_seeded_and_even)
{
    enum { ROWS = 20000 };
    float *values = calloc(ROWS, sizeof *values);
    tamis_selection *a = choose("random", "25%", ROWS, values),
                    *b = choose("random", "25%", ROWS, values);
    tamis_selection *fewer = choose("random", "25%", ROWS / 2, values);
    ck_assert_uint_eq(a->kept, ROWS / 4);
    ck_assert_mem_eq(a->rank, b->rank, ROWS * sizeof *a->rank);
    ck_assert_mem_eq(a->score, fewer->score, ROWS / 2 * sizeof *a->score);
    uint64_t low_half = 0;
    for (uint64_t i = 0; i < ROWS / 2; i++) low_half += a->keep[i];
    /* Half of 5,000 is expected; the hypergeometric's standard deviation is 31. */
    ck_assert_msg(low_half > 2300 && low_half < 2700, "%llu", (unsigned long long)low_half);
    ck_assert_str_eq(a->reason_text[a->reasons - 1], "not drawn (5000 of 20000 at random, seed 7)");
    tamis_selection_free(&a);
    tamis_selection_free(&b);
    tamis_selection_free(&fewer);
    free(values);
}
END_TEST

START_TEST(large_values_stay_finite)
{
    const float values[] = {FLT_MAX, FLT_MAX, -FLT_MAX, -FLT_MAX};
    tamis_selection *s = choose_by("top", "1", TAMIS_AGGREGATE_TOTAL, 2, 2, values);
    ck_float(s->score[0], FLT_MAX);
    ck_float(s->score[1], -FLT_MAX);
    tamis_selection_free(&s);
    s = choose_by("sum", "1", TAMIS_AGGREGATE_TOTAL, 2, 2, values);
    ck_float(s->score[0], FLT_MAX);
    ck_float(s->score[1], -FLT_MAX);
    tamis_selection_free(&s);
}
END_TEST

typedef struct wrong_case {
    const char *selector, *budget, *column, *says;
} wrong_case;

static const wrong_case wrong[] = {
    {"tip", "1", NULL, "did you mean 'top'"},
    {"zzzzzzzz", "1", NULL, "there is bids, bottom, doubly-greedy, "},
    {"", "1", NULL, "no selector"},
    {NULL, "1", NULL, "no selector"},
    {"top", NULL, NULL, "needs a budget"},
    {"top", "0", NULL, "nothing"},
    {"top", "6", NULL, "more than the 5"},
    {"top:by=max", "1", NULL, "takes no parameters"},
    {"threshold", NULL, NULL, "needs a bound"},
    {"threshold:min=1", "3", NULL, "leave the budget out"},
    {"threshold:min=2,max=1", NULL, NULL, "is above"},
    {"threshold:min=nan", NULL, NULL, "not valid"},
    {"threshold:mni=1", NULL, NULL, "did you mean 'min'"},
    {"top", "1", "loss", "is of a gradient store"},
};

START_TEST(refuses_wrong_arguments)
{
    tamis_error err = {0};
    const float values[] = {1, 2, 3, 4, 5};
    tamis_scores *scores;
    tamis_selection *selection = NULL;
    const wrong_case *c = &wrong[_i];
    small_scores(context, "s.h5", 5, 1, values, NULL, NULL);
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    tamis_select_params params = {
        .selector = c->selector, .scores = scores, .budget = c->budget, .column = c->column};
    ck_fails(tamis_select(&selection, context, &params, &err), TAMIS_ERR_ARG, c->says);
    ck_assert_ptr_null(selection);
    params.scores = NULL;
    ck_assert_int_eq(tamis_select(&selection, context, &params, &err), TAMIS_ERR_ARG);
    tamis_scores_close(&scores);
}
END_TEST

START_TEST(registry_is_sound)
{
    const tamis_selector_info *info;
    const char *last = "";
    size_t n = 0;
    for (; (info = tamis_selector_at(n)); n++) {
        ck_assert_int_lt(strcmp(last, info->name), 0);
        ck_assert(info->summary && *info->summary && info->citation && *info->citation);
        ck_assert_uint_le(info->n_params, TAMIS__SELECTOR_PARAMS);
        last = info->name;
    }
    ck_assert_uint_eq(n, 17);
    ck_assert_uint_eq(tamis__selector_top.abi, TAMIS__SELECTOR_ABI);
}
END_TEST

/* --- gradient stores -------------------------------------------------------------------------- */

static tamis_selection *choose_column(const char *selector, const char *column, const char *budget,
                                      tamis_store *store)
{
    tamis_error err = {0};
    tamis_selection *selection = NULL;
    tamis_select_params params = {
        .selector = selector, .store = store, .budget = budget, .column = column};
    ck_ok(tamis_select(&selection, context, &params, &err));
    return selection;
}

START_TEST(columns_of_a_store)
{
    tamis_error err = {0};
    tamis_store *store;
    const float values[] = {3, 4, 0, 0, 6, 8, 1, 0};
    static const uint64_t ids[] = {40, 41, 42, 43};
    tamis_examples examples = {.id_number = ids};
    small_store(context, "g.h5", TAMIS_F32, 4, 2, 2, values, &examples, 0);
    ck_ok(tamis_store_open(&store, context, "g.h5", &err));
    tamis_selection *s = choose_column("top", "norm", "2", store);
    ck_ranks(s, (uint64_t[]){1, 3, 0, 2}, 2);
    ck_float(s->score[0], 10); /* of the last checkpoint: twice the row */
    ck_assert_uint_eq(s->examples.id_number[3], 43);
    tamis_selection_free(&s);
    s = choose_column("top", "self", "2", store);
    ck_assert_double_eq_tol((double)s->score[0], 0.1 * 25 + 0.2 * 100, 1e-5);
    ck_assert_str_eq(reason(s, 2), "in the top 2 (2 of 4) by self");
    tamis_selection_free(&s);
    s = choose_column("bottom", "loss", "1", store);
    ck_ranks(s, (uint64_t[]){0, 1, 2, 3}, 1);
    tamis_selection_free(&s);
    s = choose_column("bottom", "margin", "1", store);
    ck_ranks(s, (uint64_t[]){3, 2, 1, 0}, 1);
    tamis_selection_free(&s);
    s = choose_column("random", NULL, "3", store);
    ck_assert_uint_eq(s->kept, 3);
    tamis_selection_free(&s);
    tamis_select_params params = {
        .selector = "top", .store = store, .budget = "1", .column = "los"};
    ck_fails(tamis_select(&s, context, &params, &err), TAMIS_ERR_ARG, "did you mean 'loss'");
    params.column = NULL;
    ck_fails(tamis_select(&s, context, &params, &err), TAMIS_ERR_ARG, "say which column");
    tamis_store_close(&store);
}
END_TEST

/* loss and margin are those of the last checkpoint. */
START_TEST(columns_of_the_last_checkpoint)
{
    tamis_error err = {0};
    tamis_store *store = NULL;
    tamis_store_writer *writer = NULL;
    const float row[] = {1, 2, 3}, first[] = {3, 2, 1}, last[] = {5, 9, 7};
    const float *rows[] = {row, row}, *loss[] = {first, last}, *margin[] = {last, first};
    tamis_layer layer = {.name = "rows", .out = 1, .in = 1};
    tamis_checkpoint checkpoint[] = {{.step = 1, .learning_rate = 1},
                                     {.step = 2, .learning_rate = 1}};
    tamis_store_spec spec = {.path = "g.h5",
                             .dtype = TAMIS_F32,
                             .rows = 3,
                             .layer = &layer,
                             .layers = 1,
                             .checkpoint = checkpoint,
                             .checkpoints = 2,
                             .outputs = true,
                             .force = true};
    ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
    ck_ok(tamis_store_writer_append(writer, 3, rows, NULL, loss, margin, NULL, &err));
    ck_ok(tamis_store_writer_commit(&writer, &err));
    ck_ok(tamis_store_open(&store, context, "g.h5", &err));
    tamis_selection *s = choose_column("top", "loss", "1", store);
    ck_ranks(s, (uint64_t[]){2, 0, 1}, 1);
    ck_float(s->score[1], 9);
    tamis_selection_free(&s);
    s = choose_column("top", "margin", "1", store);
    ck_ranks(s, (uint64_t[]){0, 1, 2}, 1);
    tamis_selection_free(&s);
    tamis_store_close(&store);
}
END_TEST

/* --- failures --------------------------------------------------------------------------------- */

static tamis_status select_once(const char *selector, const char *budget, tamis_error *err)
{
    tamis_scores *scores = NULL;
    tamis_selection *selection = NULL;
    tamis_status status = tamis_scores_open(&scores, context, "s.h5", err);
    tamis_select_params params = {.selector = selector, .scores = scores, .budget = budget};
    if (status == TAMIS_OK) status = tamis_select(&selection, context, &params, err);
    tamis_selection_free(&selection);
    tamis_scores_close(&scores);
    return status;
}

START_TEST(survives_failing_memory)
{
    tamis_error err = {0};
    static const char *const ids[] = {"a", "b", "c", "d"};
    tamis_examples examples = {.id_text = ids};
    const float values[] = {1, 2, 3, 4, 5, 6, 7, 8};
    small_scores(context, "s.h5", 4, 2, values, &examples, NULL);
    ck_survives(tamis__fault_memory_after, select_once("top", "2", &err), "s.h5");
    ck_survives(tamis__fault_memory_after, select_once("random", "2", &err), "s.h5");
    ck_survives(tamis__fault_memory_after, select_once("threshold:min=4,max=8", NULL, &err),
                "s.h5");
}
END_TEST

START_TEST(respects_the_memory_limit)
{
    tamis_error err = {0};
    enum { ROWS = 100000 };
    float *values = calloc(ROWS, sizeof *values);
    tamis_context_params limits = {.threads = 1, .memory = 100000};
    tamis_context *poor = NULL;
    tamis_scores *scores;
    double *value;
    small_scores(context, "s.h5", ROWS, 1, values, NULL, NULL);
    ck_ok(tamis_context_create(&poor, &limits, &err));
    ck_ok(tamis_scores_open(&scores, poor, "s.h5", &err));
    ck_fails(tamis__aggregate(poor, scores, TAMIS_AGGREGATE_TOTAL, &value, &err), TAMIS_ERR_NOMEM,
             "--memory");
    tamis_scores_close(&scores);
    tamis_context_destroy(&poor);
    free(values);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("select");
    TCase *tcase = tcase_create("select");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, aggregates_as_brute_force);
    tcase_add_test(tcase, refuses_nan_and_names_the_row);
    tcase_add_test(tcase, orders_rows_without_a_value_last);
    tcase_add_loop_test(tcase, never_keeps_rows_without_a_score, 0,
                        sizeof missing_cases / sizeof *missing_cases);
    tcase_add_test(tcase, random_leaves_them_out);
    tcase_add_test(tcase, refuses_other_rows_without_a_score);
    tcase_add_test(tcase, chooses_from_lists);
    tcase_add_test(tcase, refuses_what_lists_do_not_tell);
    tcase_add_test(tcase, many_lists);
    tcase_add_test(tcase, orders_ties_by_the_lower_row);
    tcase_add_test(tcase, top_and_bottom);
    tcase_add_test(tcase, all_equal_goes_by_row);
    tcase_add_test(tcase, aggregates_decide);
    tcase_add_test(tcase, threshold_keeps_between_its_bounds);
    tcase_add_test(tcase, random_is_seeded_and_even);
    tcase_add_test(tcase, large_values_stay_finite);
    tcase_add_loop_test(tcase, refuses_wrong_arguments, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(tcase, registry_is_sound);
    tcase_add_test(tcase, columns_of_a_store);
    tcase_add_test(tcase, columns_of_the_last_checkpoint);
    tcase_add_test(tcase, survives_failing_memory);
    tcase_add_test(tcase, respects_the_memory_limit);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
