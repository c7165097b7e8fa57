/* trak against plain loops, and against the released library's numbers.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "scene.h"

#include "import/npy.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"

/* --- plain loops ------------------------------------------------------------------------------ */

/* `others` [checkpoints] of [rows]: 1 - p, or NULL. */
static double *naive_trak(const store_plan *t, const store_plan *q, double ridge, bool relative,
                          double scale, bool released, double *const *others)
{
    uint64_t n = t->columns;
    double *scores = calloc(t->rows * q->rows, sizeof *scores), *k = calloc(n * n, sizeof *k),
           *inverse = calloc(n * n, sizeof *inverse), *y = calloc(n, sizeof *y);
    for (uint32_t c = 0; c < t->checkpoints; c++) {
        double trace = 0, mean = 0;
        memset(k, 0, n * n * sizeof *k);
        for (uint64_t r = 0; r < t->rows; r++)
            for (uint64_t i = 0; i < n; i++)
                for (uint64_t j = 0; j < n; j++)
                    k[i * n + j] += scale * scale * (double)plan_value(t, c, r, i) *
                                    (double)plan_value(t, c, r, j);
        for (uint64_t i = 0; i < n; i++) trace += k[i * n + i];
        for (uint64_t i = 0; i < n; i++)
            k[i * n + i] += relative ? ridge * trace / (double)n : ridge;
        ck_ok(tamis__cholesky(n, k, n, "K", "", &err));
        memset(inverse, 0, n * n * sizeof *inverse);
        for (uint64_t i = 0; i < n; i++) inverse[i * n + i] = 1;
        ck_ok(tamis__cholesky_solve(n, n, k, n, inverse, n, &err));
        for (uint64_t i = 0; i < n * n; i++) mean += fabs(inverse[i]) / (double)(n * n);
        for (uint64_t j = 0; j < q->rows; j++) {
            for (uint64_t i = 0; i < n; i++) {
                y[i] = 0;
                for (uint64_t l = 0; l < n; l++)
                    y[i] += inverse[i * n + l] * (double)plan_value(q, c, j, l);
            }
            for (uint64_t r = 0; r < t->rows; r++)
                for (uint64_t i = 0; i < n; i++)
                    scores[r * q->rows + j] += scale * scale * (double)plan_value(t, c, r, i) *
                                               y[i] / (released ? mean : 1.0) / t->checkpoints;
        }
    }
    for (uint64_t r = 0; others && r < t->rows; r++) {
        double mean = 0;
        for (uint32_t c = 0; c < t->checkpoints; c++) mean += others[c][r] / t->checkpoints;
        for (uint64_t j = 0; j < q->rows; j++) scores[r * q->rows + j] *= mean;
    }
    free(k), free(inverse), free(y);
    return scores;
}

static const struct {
    store_plan train, query;
    double tolerance;
} plans[] = {
    {{.rows = 1, .columns = 1, .checkpoints = 1, .seed = 3},
     {.rows = 1, .columns = 1, .checkpoints = 1, .seed = 4},
     1e-6},
    {{.rows = 259, .columns = 60, .checkpoints = 3, .seed = 1, .zero_row = 9},
     {.rows = 7, .columns = 60, .checkpoints = 3, .seed = 2, .zero_row = 2},
     1e-6},
    {{.rows = 40, .columns = 140, .checkpoints = 2, .seed = 5}, /* K is singular but for ridge */
     {.rows = 70, .columns = 140, .checkpoints = 2, .seed = 6},
     1e-5}, /* queries are held in floats, and most of K^-1 q is where no row is */
};
enum { N_PLANS = sizeof plans / sizeof *plans };

static const struct {
    const char *scorer;
    double ridge, scale;
    bool relative, released, others;
} variants[] = {
    {"trak", 0.1, 1, true, false, true},
    {"trak:out-to-loss=false", 0.1, 1, true, false, false},
    {"trak:ridge=3,ridge-unit=absolute,scale=0.5", 3, 0.5, false, false, true},
    {"trak:scaling=released,ridge=0.5,scale=0.01", 0.5, 0.01, true, true, true},
};

START_TEST(test_formula)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    store_plan t = plans[_i].train, q = plans[_i].query;
    t.path = "t.h5", q.path = "q.h5";
    extras e = {.function = "margin"};
    float *margin[3];
    double *others[3];
    for (uint32_t c = 0; c < t.checkpoints; c++) {
        e.margin[c] = margin[c] = calloc(t.rows, sizeof **margin);
        others[c] = calloc(t.rows, sizeof **others);
        for (uint64_t i = 0; i < t.rows; i++) {
            margin[c][i] = (float)(i % 40) - 15.0f + (float)c;
            others[c][i] = 1.0 / (1.0 + exp((double)margin[c][i]));
        }
    }
    tamis_store *train = make_rich(context, &t, &e), *query = make_rich(context, &q, &(extras){0});
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        double *want = naive_trak(&t, &q, variants[v].ridge, variants[v].relative,
                                  variants[v].scale, variants[v].released,
                                  variants[v].others ? others : NULL);
        float *got = score_now(context, variants[v].scorer, train, query, q.rows);
        ck_assert_double_lt(worst_difference(got, want, t.rows * q.rows), plans[_i].tolerance);
        free(got), free(want);
    }
    for (uint32_t c = 0; c < t.checkpoints; c++) free(margin[c]), free(others[c]);
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

static const store_plan small = {
    .path = "t.h5", .rows = 70, .columns = 20, .checkpoints = 1, .seed = 1};

/* 1 - p from probabilities does not cancel: with p = 1 in floats, the others still count. */
START_TEST(test_probabilities)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    store_plan q = small;
    q.path = "q.h5", q.rows = 2;
    float *probability = calloc(70 * 3, sizeof *probability);
    int32_t *label = calloc(70, sizeof *label);
    double *others = calloc(70, sizeof *others);
    for (int i = 0; i < 70; i++) {
        label[i] = i % 3;
        for (int c = 0; c < 3; c++)
            probability[i * 3 + c] = c == label[i] ? 1.0f : 1e-12f * (float)(i + 1);
        others[i] = 2 * (double)(1e-12f * (float)(i + 1));
    }
    extras e = {.label = label, .probability = {probability}, .classes = 3};
    tamis_store *train = make_rich(context, &small, &e),
                *query = make_rich(context, &q, &(extras){0});
    double *const all[3] = {others};
    double *want = naive_trak(&small, &q, 0.1, true, 1, false, all);
    float *got = score_now(context, "trak", train, query, 2);
    ck_assert_double_lt(worst_difference(got, want, 140), 1e-6);
    free(got), free(want);
    tamis_store_close(&train);
    label[4] = 3; /* not a class */
    train = make_rich(context, &small, &e);
    ck_fails(score_to(context, "trak", train, query, "s.h5", false), TAMIS_ERR_NUMERIC,
             "row 4 (id 7004)");
    tamis_store_close(&train);
    e.label = NULL;
    train = make_rich(context, &small, &e);
    ck_fails(score_to(context, "trak", train, query, "s.h5", false), TAMIS_ERR_ARG,
             "neither margins nor probabilities with labels");
    ck_ok(score_to(context, "trak:out-to-loss=false", train, query, "s.h5", false));
    tamis_store_close(&train);
    free(probability), free(label), free(others);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

START_TEST(test_refusals)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0), *tight = make_context(1, 20000);
    store_plan few = small, q = small;
    few.rows = 10, q.path = "q.h5", q.rows = 2;
    extras loss = {.function = "loss"}, said = {.function = "margin"};
    tamis_store *train = make_rich(context, &few, &loss), *query = make_rich(context, &q, &said);
    ck_fails(score_to(context, "trak", train, query, "s.h5", false), TAMIS_ERR_ARG,
             "tamis grad --function margin");
    ck_fails(score_to(context, "trak", query, train, "s.h5", false), TAMIS_ERR_ARG, "'t.h5' holds");
    tamis_store_close(&train);
    train = make_rich(context, &few, &said);
    ck_fails(score_to(context, "trak:out-to-loss=false,ridge=0", train, query, "s.h5", false),
             TAMIS_ERR_NUMERIC, "'t.h5': the kernel at checkpoint 0 is not positive definite");
    ck_assert_ptr_nonnull(strstr(err.message, "raise ridge"));
    ck_fails(score_to(tight, "trak:out-to-loss=false", train, query, "s.h5", false),
             TAMIS_ERR_NOMEM, "project the rows first");
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    tamis_context_destroy(&tight);
    leave_scratch();
}
END_TEST

/* A row that is not finite is in no sum: the others score as if it were zero. */
START_TEST(test_bad_rows)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    store_plan q = small, zero = small;
    q.path = "q.h5", q.rows = 2, zero.zero_row = 9 + 1;
    float margin[70] = {0};
    double others[70], *const all[3] = {others};
    for (int i = 0; i < 70; i++) others[i] = 0.5;
    const extras e = {.margin = {margin}};
    write_rich(context, &small, &e);
    poison(context, &small, 9);
    tamis_store *train = open_store(context, "t.h5"), *query = make_rich(context, &q, &(extras){0});
    ck_fails(score_to(context, "trak", train, query, "s.h5", false), TAMIS_ERR_NUMERIC, "row 9");
    ck_ok(score_to(context, "trak", train, query, "s.h5", true));
    float *got = load_scores(context, "s.h5", 2);
    double *want = naive_trak(&zero, &q, 0.1, true, 1, false, all);
    ck_assert(isnan(got[18]) && isnan(got[19]));
    got[18] = got[19] = 0;
    ck_assert_double_lt(worst_difference(got, want, 140), 1e-6);
    free(got), free(want);
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

START_TEST(test_same_bits)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    store_plan t = plans[1].train, shards = t, q = plans[1].query;
    float margin[259];
    for (int i = 0; i < 259; i++) margin[i] = (float)i * 0.01f;
    const extras e = {.margin = {margin, margin, margin}};
    t.path = "t.h5", q.path = "q.h5", q.rows = 70, shards.path = "shards", shards.shard_rows = 64;
    write_rich(context, &shards, &e);
    tamis_store *train = make_rich(context, &t, &e), *query = make_rich(context, &q, &(extras){0});
    ck_same_bits("trak", true);
    ck_same_bits("trak:scaling=released", true);
    ck_cancels("trak", true, "second moments");
    ck_cancels("trak", true, "preparing queries");
    ck_faults(context, "trak:scaling=released", train, query);
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

/* --- the released library --------------------------------------------------------------------- */

static float *load_reference(tamis_context *context, const char *name, uint64_t rows,
                             uint64_t columns, float *out)
{
    char path[200];
    tamis__npy npy;
    snprintf(path, sizeof path, "reference/trak/%s", name);
    ck_ok(tamis__npy_open(&npy, context, test_data(path), &err));
    ck_assert_uint_eq(npy.rows, rows);
    ck_assert_uint_eq(npy.cols, columns);
    if (!out) out = calloc(rows * columns, sizeof *out);
    tamis__npy_rows(&npy, 0, rows, out, columns);
    tamis__npy_close(&npy);
    return out;
}

static double against(tamis_context *context, const float *got, const char *name)
{
    float *values = load_reference(context, name, 1200, 50, NULL);
    double *want = calloc(1200 * 50, sizeof *want), worst;
    for (int i = 0; i < 1200 * 50; i++) want[i] = (double)values[i];
    worst = worst_difference(got, want, 1200 * 50);
    free(values), free(want);
    return worst;
}

/* Margins whose 1 - p are the reference's. */
static float *reference_margins(tamis_context *context)
{
    float *margin = load_reference(context, "out_to_loss.npy", 1200, 1, NULL);
    for (int i = 0; i < 1200; i++)
        margin[i] = (float)(log1p(-(double)margin[i]) - log((double)margin[i]));
    return margin;
}

START_TEST(test_reference)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    store_plan t = {.path = "t.h5", .rows = 1200, .columns = 256, .checkpoints = 1}, q = t;
    float *x = calloc(1200 * 256, sizeof *x), *margin = reference_margins(context),
          *y = load_reference(context, "test_proj256.npy", 50, 256, NULL);
    load_reference(context, "train_proj256_1.npy", 600, 256, x);
    load_reference(context, "train_proj256_2.npy", 600, 256, x + 600 * 256);
    q.path = "q.h5", q.rows = 50;
    tamis_store *train = make_rich(context, &t, &(extras){.gradient = {x}, .margin = {margin}}),
                *query = make_rich(context, &q, &(extras){.gradient = {y}});
    float *got = score_now(context, "trak:ridge=1e-3,ridge-unit=absolute", train, query, 50);
    ck_assert_double_lt(against(context, got, "scores_proj256_f64_unscaled_train_x_test.npy"),
                        1e-6);
    free(got);
    got = score_now(context, "trak:ridge=1e-3,ridge-unit=absolute,scaling=released", train, query,
                    50);
    ck_assert_double_lt(against(context, got, "scores_proj256_train_x_test.npy"), 1e-4);
    free(got), free(x), free(y), free(margin);
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trak");
    TCase *tc = tcase_create("trak");
    tcase_set_timeout(tc, 100);
    tcase_add_loop_test(tc, test_formula, 0, N_PLANS);
    tcase_add_test(tc, test_probabilities);
    tcase_add_test(tc, test_refusals);
    tcase_add_test(tc, test_bad_rows);
    tcase_add_test(tc, test_same_bits);
    tcase_add_test(tc, test_reference);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
