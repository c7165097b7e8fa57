/* datainf against the mean of dense inverses.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "scene.h"

#include "linalg/lapack.h"

static const double rates[3] = {0.5, 0.1, 0.02};
static const double equal[3] = {1, 1, 1};
static const double sum_to_one[3] = {0.5 / 0.62, 0.1 / 0.62, 0.02 / 0.62};

/* Adds one layer of one checkpoint: an inverse for each training row, by its own Cholesky factor.
 * Row `bad` - 1 is in no sum. */
static void add_layer(const store_plan *t, const store_plan *q, uint32_t k,
                      const tamis_layer *layer, uint64_t at, double damping, double weight,
                      uint64_t bad, double *scores)
{
    uint64_t n = tamis_layer_columns(layer), count = t->rows - (bad > 0);
    double *a = calloc(n * n, sizeof *a), *sum = calloc(q->rows * n, sizeof *sum),
           *x = calloc(q->rows * n, sizeof *x), lambda = 0;
    for (uint64_t r = 0; r < t->rows; r++)
        for (uint64_t c = 0; c < n && r + 1 != bad; c++)
            lambda += damping * pow((double)plan_value(t, k, r, at + c), 2) / (double)(count * n);
    for (uint64_t r = 0; r < t->rows && lambda > 0; r++) {
        if (r + 1 == bad) continue;
        for (uint64_t i = 0; i < n; i++)
            for (uint64_t j = 0; j < n; j++)
                a[i * n + j] = (double)plan_value(t, k, r, at + i) *
                                   (double)plan_value(t, k, r, at + j) +
                               (i == j ? lambda : 0.0);
        for (uint64_t i = 0; i < q->rows * n; i++)
            x[i] = (double)plan_value(q, k, i / n, at + i % n);
        ck_ok(tamis__cholesky(n, a, n, "A", "", &err));
        ck_ok(tamis__cholesky_solve(n, q->rows, a, n, x, n, &err));
        for (uint64_t i = 0; i < q->rows * n; i++) sum[i] += x[i] / (double)count;
    }
    for (uint64_t r = 0; r < t->rows; r++)
        for (uint64_t j = 0; j < q->rows; j++)
            for (uint64_t c = 0; c < n; c++)
                scores[r * q->rows + j] += weight * (double)plan_value(t, k, r, at + c) *
                                           sum[j * n + c];
    free(a), free(sum), free(x);
}

static double *naive_datainf(const store_plan *t, const store_plan *q, double damping,
                             const double *weight, uint64_t bad)
{
    tamis_layer layers[2];
    uint32_t n = plan_layers(t, layers);
    double *scores = calloc(t->rows * q->rows, sizeof *scores);
    for (uint32_t k = 0; k < t->checkpoints; k++) {
        uint64_t at = 0;
        for (uint32_t l = 0; l < n; at += tamis_layer_columns(&layers[l++]))
            add_layer(t, q, k, &layers[l], at, damping, weight[k], bad, scores);
    }
    return scores;
}

static const struct {
    store_plan train, query;
    const char *scorer;
    double damping;
    const double *weight;
} plans[] = {
    {{.rows = 1, .columns = 1, .checkpoints = 1, .seed = 3},
     {.rows = 1, .columns = 1, .checkpoints = 1, .seed = 4},
     "datainf",
     0.1,
     equal},
    {{.rows = 259, .columns = 40, .checkpoints = 3, .seed = 1, .zero_row = 9},
     {.rows = 19, .columns = 40, .checkpoints = 3, .seed = 2, .zero_row = 2},
     "datainf:damping=0.01,weights=learning-rate",
     0.01,
     rates},
    {{.rows = 30, .columns = 170, .checkpoints = 2, .seed = 5},
     {.rows = 2, .columns = 170, .checkpoints = 2, .seed = 6},
     "datainf:damping=5",
     5,
     equal},
    {{.rows = 30, .columns = 19, .checkpoints = 3, .seed = 5, .size = 1e-18},
     {.rows = 3, .columns = 19, .checkpoints = 3, .seed = 6, .size = 1e-18},
     "datainf:weights=normalised",
     0.1,
     sum_to_one},
};
enum { N_PLANS = sizeof plans / sizeof *plans };

START_TEST(test_formula)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    store_plan t = plans[_i].train, q = plans[_i].query;
    t.path = "t.h5", q.path = "q.h5";
    tamis_store *train = make_rich(context, &t, &(extras){0}),
                *query = make_rich(context, &q, &(extras){0});
    double *want = naive_datainf(&t, &q, plans[_i].damping, plans[_i].weight, 0);
    float *got = score_now(context, plans[_i].scorer, train, query, q.rows);
    ck_assert_double_lt(worst_difference(got, want, t.rows * q.rows), 1e-6);
    free(got), free(want);
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

/* A layer without any gradient has no damping either: it adds nothing, and no NaN. */
START_TEST(test_empty_layer)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    store_plan t = {.path = "t.h5", .rows = 20, .columns = 30, .checkpoints = 1, .seed = 1}, q = t;
    q.path = "q.h5", q.rows = 3, q.seed = 2;
    float *x = plan_values(&t, 0);
    for (int i = 0; i < 20; i++)
        for (int c = 18; c < 30; c++) x[i * 30 + c] = 0.0f;
    tamis_store *train = make_rich(context, &t, &(extras){.gradient = {x}}),
                *query = make_rich(context, &q, &(extras){0});
    tamis_layer layers[2];
    double *want = calloc(60, sizeof *want);
    plan_layers(&t, layers);
    add_layer(&t, &q, 0, &layers[0], 0, 0.1, 1, 0, want);
    float *got = score_now(context, "datainf", train, query, 3);
    ck_assert_double_lt(worst_difference(got, want, 60), 1e-6);
    free(got), free(want), free(x);
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
    store_plan t = {.path = "t.h5", .rows = 40, .columns = 30, .checkpoints = 1, .seed = 1}, q = t;
    q.path = "q.h5", q.rows = 3, q.seed = 2;
    write_store(context, &t);
    poison(context, &t, 9);
    tamis_store *train = open_store(context, "t.h5"), *query = make_rich(context, &q, &(extras){0});
    ck_fails(score_to(context, "datainf", train, query, "s.h5", false), TAMIS_ERR_NUMERIC, "row 9");
    ck_fails(score_to(context, "datainf", query, train, "s.h5", false), TAMIS_ERR_NUMERIC, "row 9");
    ck_ok(score_to(context, "datainf", train, query, "s.h5", true));
    float *got = load_scores(context, "s.h5", 3);
    double *want = naive_datainf(&t, &q, 0.1, equal, 10);
    for (int j = 27; j < 30; j++) {
        ck_assert(isnan(got[j]));
        got[j] = 0, want[j] = 0;
    }
    ck_assert_double_lt(worst_difference(got, want, 120), 1e-6);
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
    t.path = "t.h5", q.path = "q.h5", q.rows = 70, shards.path = "shards", shards.shard_rows = 64;
    write_store(context, &shards);
    tamis_store *train = make_rich(context, &t, &(extras){0}),
                *query = make_rich(context, &q, &(extras){0});
    ck_same_bits("datainf", true);
    ck_cancels("datainf", true, "preparing queries");
    ck_faults(context, "datainf", train, query);
    ck_fails(score_to(context, "datainf:damping=0", train, query, "s.h5", false), TAMIS_ERR_ARG,
             "damping");
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("datainf");
    TCase *tc = tcase_create("datainf");
    tcase_set_timeout(tc, 100);
    tcase_add_loop_test(tc, test_formula, 0, N_PLANS);
    tcase_add_test(tc, test_empty_layer);
    tcase_add_test(tc, test_bad_rows);
    tcase_add_test(tc, test_same_bits);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
