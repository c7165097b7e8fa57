/* less against plain loops, and against the released code's numbers.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "scene.h"

#include "import/npy.h"

static const char *const names[] = {"unused", "one", "two", "three"};
static const int32_t groups_of_11[] = {1, 3, 2, 3, 1, 3, 3, 2, 3, 3, 3}; /* sizes 2, 2, 7 */

static const store_plan train_plan = {
    .path = "t.h5", .rows = 259, .columns = 60, .checkpoints = 3, .seed = 1};
static const store_plan query_plan = {
    .path = "q.h5", .rows = 11, .columns = 60, .checkpoints = 3, .seed = 2};

/* --- plain loops ------------------------------------------------------------------------------ */

/* Scores [rows, 3] of three groups, by a mean of cosines or by the cosine with a mean. */
static double *naive_less(const store_plan *t, const store_plan *q, const int32_t *group,
                          int n_groups, bool gradient)
{
    double *scores = calloc(t->rows * (uint64_t)n_groups, sizeof *scores);
    double *mean = calloc(t->columns, sizeof *mean), rates = 0;
    for (uint32_t k = 0; k < t->checkpoints; k++) rates += plan_checkpoints[k].learning_rate;
    for (uint32_t k = 0; k < t->checkpoints; k++)
        for (int g = 0; g < n_groups; g++) {
            double size = 0, norm = 0;
            memset(mean, 0, t->columns * sizeof *mean);
            for (uint64_t j = 0; j < q->rows; j++) {
                if (group && group[j] != g + 1) continue;
                double unit = gradient ? 1.0 : naive_norm(q, k, j);
                size += 1;
                for (uint64_t c = 0; c < t->columns && unit > 0; c++)
                    mean[c] += (double)plan_value(q, k, j, c) / unit;
            }
            for (uint64_t c = 0; c < t->columns; c++) norm += mean[c] * mean[c];
            norm = gradient ? sqrt(norm) : size;
            for (uint64_t i = 0; i < t->rows; i++) {
                double sum = 0, length = naive_norm(t, k, i);
                for (uint64_t c = 0; c < t->columns; c++)
                    sum += (double)plan_value(t, k, i, c) * mean[c];
                scores[i * (uint64_t)n_groups + (uint64_t)g] +=
                    length > 0 && norm > 0
                        ? plan_checkpoints[k].learning_rate / rates * sum / length / norm
                        : 0.0;
            }
        }
    free(mean);
    return scores;
}

static double *row_max(const double *scores, uint64_t rows, uint64_t columns)
{
    double *top = calloc(rows, sizeof *top);
    for (uint64_t i = 0; i < rows; i++) {
        top[i] = scores[i * columns];
        for (uint64_t j = 1; j < columns; j++) top[i] = fmax(top[i], scores[i * columns + j]);
    }
    return top;
}

START_TEST(test_formula)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    const extras e = {.group = groups_of_11, .group_name = names, .groups = 4};
    tamis_store *train = make_store(context, &train_plan),
                *query = make_rich(context, &query_plan, &e);
    char scorer[100];
    for (int gradient = 0; gradient < 2; gradient++) {
        const char *mean = gradient ? "gradient" : "cosines";
        double *want = naive_less(&train_plan, &query_plan, groups_of_11, 3, gradient);
        double *top = row_max(want, 259, 3);
        snprintf(scorer, sizeof scorer, "less:mean=%s,aggregate=groups", mean);
        float *got = score_now(context, scorer, train, query, 3);
        ck_assert_double_lt(worst_difference(got, want, 259 * 3), 5e-7);
        free(got);
        snprintf(scorer, sizeof scorer, "less:mean=%s", mean);
        got = score_now(context, scorer, train, query, 1);
        ck_assert_double_lt(worst_difference(got, top, 259), 5e-7);
        free(got), free(want), free(top);
    }
    /* Groups without a query have no column; the others keep their names and order. */
    tamis_scores *scores = NULL;
    ck_ok(score_to(context, "less:aggregate=groups", train, query, "s.h5", false));
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    for (int g = 0; g < 3; g++)
        ck_assert_str_eq(tamis_scores_info_get(scores)->query.id_text[g], names[g + 1]);
    tamis_scores_close(&scores);
    tamis_store_close(&query);
    query = make_rich(context, &query_plan, &(extras){0}); /* no groups: all are one */
    double *want = naive_less(&train_plan, &query_plan, NULL, 1, false);
    float *got = score_now(context, "less", train, query, 1);
    ck_assert_double_lt(worst_difference(got, want, 259), 5e-7);
    free(got);
    got = score_now(context, "less:aggregate=groups", train, query, 1);
    ck_assert_double_lt(worst_difference(got, want, 259), 5e-7);
    free(got), free(want);
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

/* A single row, query and column: the cosine is 1 or -1. */
START_TEST(test_smallest)
{
    enter_scratch();
    tamis_context *context = make_context(1, 0);
    store_plan t = {.path = "t.h5", .rows = 1, .columns = 1, .checkpoints = 1, .seed = 3}, q = t;
    q.path = "q.h5", q.seed = 5;
    tamis_store *train = make_store(context, &t), *query = make_store(context, &q);
    float *got = score_now(context, "less", train, query, 1);
    ck_assert(got[0] == (plan_value(&t, 0, 0, 0) * plan_value(&q, 0, 0, 0) > 0.0f ? 1.0f : -1.0f));
    free(got);
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

/* 130 groups, which do not fit the smallest memory limit together. */
START_TEST(test_same_bits)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    store_plan shards = train_plan, q = query_plan;
    int32_t group[260];
    char text[130][8];
    const char *name[130];
    for (int g = 0; g < 130; g++) {
        snprintf(text[g], sizeof text[g], "g%d", g);
        name[g] = text[g];
    }
    for (int i = 0; i < 260; i++) group[i] = i % 130;
    const extras e = {.group = group, .group_name = name, .groups = 130};
    shards.path = "shards", shards.shard_rows = 64, q.rows = 260;
    write_store(context, &shards);
    write_rich(context, &q, &e);
    tamis_store *train = make_store(context, &train_plan), *query = open_store(context, "q.h5");
    ck_same_bits("less", true);
    ck_same_bits("less:aggregate=groups,mean=gradient", true);
    ck_cancels("less", true, "averaging queries");
    ck_cancels("less", true, "scoring");
    ck_faults(context, "less", train, query);
    ck_faults(context, "less:aggregate=groups", train, query);
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

START_TEST(test_bad_rows)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    store_plan t = train_plan, q = query_plan;
    int32_t group[11];
    memcpy(group, groups_of_11, sizeof group);
    const extras e = {.group = group, .group_name = names, .groups = 4};
    q.zero_row = 2;
    tamis_store *train = make_store(context, &t), *query = make_rich(context, &q, &e);
    ck_fails(score_to(context, "less", train, query, "s.h5", false), TAMIS_ERR_NUMERIC,
             "row 1 (id 7001)");
    double *want = naive_less(&t, &q, group, 3, false), *top = row_max(want, 259, 3);
    float *got = score_now(context, "less:zero=score0", train, query, 1); /* counts in its group */
    ck_assert_double_lt(worst_difference(got, top, 259), 5e-7);
    free(want), free(top), free(got);
    /* A zero row does no harm to a mean gradient, unless the mean is zero. */
    ck_ok(score_to(context, "less:mean=gradient", train, query, "s.h5", false));
    tamis_store_close(&query);
    q.rows = 2, q.zero_row = 2;
    group[0] = 1, group[1] = 2;
    query = make_rich(context, &q, &e);
    ck_fails(score_to(context, "less:mean=gradient", train, query, "s.h5", false),
             TAMIS_ERR_NUMERIC, "group 'two' at checkpoint 0 is zero");
    got = score_now(context, "less:mean=gradient,zero=score0,aggregate=groups", train, query, 2);
    ck_assert(got[1] == 0.0f && got[0] != 0.0f);
    free(got);
    tamis_store_close(&query);
    group[1] = -1;
    query = make_rich(context, &q, &e);
    ck_fails(score_to(context, "less", train, query, "s.h5", false), TAMIS_ERR_ARG,
             "row 1 (id 7001) is in no group");
    tamis_store_close(&query);
    tamis_store_close(&train);
    poison(context, &t, 9);
    train = open_store(context, "t.h5");
    query = make_rich(context, &query_plan, &(extras){0});
    ck_fails(score_to(context, "less", train, query, "s.h5", false), TAMIS_ERR_NUMERIC, "row 9");
    ck_ok(score_to(context, "less", train, query, "s.h5", true));
    got = load_scores(context, "s.h5", 1);
    for (int i = 0; i < 259; i++) ck_assert(!isnan(got[i]) == (i != 9));
    free(got);
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

/* --- the released code ------------------------------------------------------------------------ */

static float *load_npy(tamis_context *context, const char *name, float *out, uint64_t *ret_rows)
{
    char path[200];
    tamis__npy npy;
    snprintf(path, sizeof path, "reference/less/%s", name);
    ck_ok(tamis__npy_open(&npy, context, test_data(path), &err));
    tamis__npy_rows(&npy, 0, npy.rows, out, npy.cols);
    *ret_rows = npy.rows;
    out += npy.rows * npy.cols;
    tamis__npy_close(&npy);
    return out;
}

/* dolly, then cot. */
static float *load_pair(tamis_context *context, const char *dolly, const char *cot,
                        uint64_t columns)
{
    uint64_t rows;
    float *values = calloc(55 * columns, sizeof *values);
    load_npy(context, cot, load_npy(context, dolly, values, &rows), &rows);
    return values;
}

/* Rows of sorted_correct.csv: "name, index, score", best first. */
static void check_order(const float *scores)
{
    char line[100], file[10];
    FILE *csv = fopen(test_data("reference/less/sorted_correct.csv"), "r");
    bool used[55] = {false};
    ck_assert(csv && fgets(line, sizeof line, csv));
    for (int i = 0; i < 55; i++) {
        int index, top = -1;
        for (int j = 0; j < 55; j++)
            if (!used[j] && (top < 0 || scores[j] > scores[top])) top = j;
        ck_assert_int_eq(fscanf(csv, "%9[a-z], %d, %*f\n", file, &index), 2);
        ck_assert_int_eq(index + (strcmp(file, "cot") ? 0 : 30), top);
        used[top] = true;
    }
    fclose(csv);
}

static void check_against(const float *got, const float *want, double tolerance)
{
    for (int i = 0; i < 55; i++)
        ck_assert_double_eq_tol((double)got[i], (double)want[i], tolerance);
}

START_TEST(test_reference)
{
    static const char *const subtasks[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8"};
    static const double rate[] = {1.6877e-05, 1.2859e-05};
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    store_plan t = {.path = "t.h5", .rows = 55, .columns = 512, .checkpoints = 2}, q = t;
    int32_t group[18];
    uint64_t rows;
    for (int i = 0; i < 18; i++) group[i] = i / 2;
    extras te = {.rate = rate},
           qe = {.rate = rate, .group = group, .group_name = subtasks, .groups = 9};
    float *first = load_pair(context, "train_dolly_105.npy", "train_cot_105.npy", 512),
          *second = load_pair(context, "train_dolly_211.npy", "train_cot_211.npy", 512);
    float *v1 = calloc(18 * 512, sizeof *v1), *v2 = calloc(18 * 512, sizeof *v2);
    load_npy(context, "val_tydiqa_105.npy", v1, &rows);
    load_npy(context, "val_tydiqa_211.npy", v2, &rows);
    te.gradient[0] = first, te.gradient[1] = second, qe.gradient[0] = v1, qe.gradient[1] = v2;
    q.path = "q.h5", q.rows = 18;
    tamis_store *train = make_rich(context, &t, &te), *query = make_rich(context, &q, &qe);
    float *got = score_now(context, "less", train, query, 1);
    float *library = load_pair(context, "dolly_score_library.npy", "cot_score_library.npy", 1),
          *exact = load_pair(context, "dolly_score_f64.npy", "cot_score_f64.npy", 1),
          *of_mean = load_pair(context, "dolly_score_cos_of_mean_f64.npy",
                               "cot_score_cos_of_mean_f64.npy", 1);
    check_against(got, library, 1e-7);
    check_against(got, exact, 1e-7);
    check_order(got);
    free(got);
    got = score_now(context, "less:mean=gradient", train, query, 1);
    check_against(got, of_mean, 1e-7);
    free(got), free(library), free(exact), free(of_mean);
    free(first), free(second), free(v1), free(v2);
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("less");
    TCase *tc = tcase_create("less");
    tcase_set_timeout(tc, 100);
    tcase_add_test(tc, test_formula);
    tcase_add_test(tc, test_smallest);
    tcase_add_test(tc, test_same_bits);
    tcase_add_test(tc, test_bad_rows);
    tcase_add_test(tc, test_reference);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
