/* trackstar against plain loops in double.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "scene.h"

#include "linalg/lapack.h"

typedef struct variant {
    const char *scorer;
    double mix; /* < 0 = auto */
    uint64_t component;
    double damping;
    bool rows;
    double eps;
} variant;

/* A set's second moment of columns at .. at + n - 1, with columns divided by `scale`. */
static double *moment(const store_plan *p, uint32_t k, uint64_t at, uint64_t n, uint64_t bad,
                      const double *scale)
{
    double *r = calloc(n * n, sizeof *r);
    for (uint64_t row = 0; row < p->rows; row++)
        for (uint64_t i = 0; i < n && row + 1 != bad; i++)
            for (uint64_t j = 0; j < n; j++)
                r[i * n + j] += (double)plan_value(p, k, row, at + i) *
                                (double)plan_value(p, k, row, at + j) /
                                (scale[at + i] * scale[at + j]) / (double)(p->rows - (bad > 0));
    return r;
}

static void scales(const store_plan *t, uint32_t k, uint64_t bad, const variant *v, double *scale)
{
    double mean = 0;
    for (uint64_t c = 0; c < t->columns; c++) {
        double sum = 0;
        for (uint64_t r = 0; r < t->rows; r++)
            if (r + 1 != bad) sum += pow((double)plan_value(t, k, r, c), 2);
        scale[c] = v->rows ? sqrt(sum / (double)(t->rows - (bad > 0))) : 1.0;
        mean += scale[c] / (double)t->columns;
    }
    for (uint64_t c = 0; v->rows && c < t->columns; c++) scale[c] += v->eps * mean;
}

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* The pooled spectra's values at the component, or at the last that both sets can have. */
static double find_mix(const store_plan *t, const store_plan *q, uint32_t k, uint64_t bad,
                       const double *scale, uint64_t component)
{
    const store_plan *plans[2] = {t, q};
    tamis_layer layers[2];
    uint32_t n_layers = plan_layers(t, layers);
    double *values = calloc(t->columns, sizeof *values), found[2];
    uint64_t rows = q->rows < t->rows - (bad > 0) ? q->rows : t->rows - (bad > 0), most = 0;
    for (uint32_t l = 0; l < n_layers; l++) {
        uint64_t n = tamis_layer_columns(&layers[l]);
        most += rows < n ? rows : n;
    }
    component = component < most ? component : most;
    for (int set = 0; set < 2; set++) {
        uint64_t at = 0;
        for (uint32_t l = 0; l < n_layers; l++) {
            uint64_t n = tamis_layer_columns(&layers[l]);
            double *r = moment(plans[set], k, at, n, set ? 0 : bad, scale);
            ck_ok(tamis__symmetric_eigen(n, r, n, false, values + at, &err));
            at += n;
            free(r);
        }
        qsort(values, t->columns, sizeof *values, descending);
        found[set] = values[component - 1];
    }
    free(values);
    return found[0] / (found[0] + found[1]);
}

/* Adds a layer's <x, R^-1 q>, <x, R^-1 x> and <q, R^-1 q>. */
static void add_layer(const store_plan *t, const store_plan *q, uint32_t k, uint64_t at, uint64_t n,
                      uint64_t bad, const double *scale, double mix, double damping, double *xq,
                      double *xx, double *qq)
{
    double *r = moment(t, k, at, n, bad, scale), *s = moment(q, k, at, n, 0, scale), trace = 0;
    double *x = calloc(n, sizeof *x), *y = calloc(n, sizeof *y);
    for (uint64_t i = 0; i < n * n; i++) r[i] = mix * s[i] + (1 - mix) * r[i];
    for (uint64_t i = 0; i < n; i++) trace += r[i * n + i];
    for (uint64_t i = 0; i < n; i++) r[i * n + i] += damping * trace / (double)n;
    ck_ok(tamis__cholesky(n, r, n, "R", "", &err));
    for (uint64_t j = 0; j < q->rows; j++) {
        for (uint64_t i = 0; i < n; i++)
            x[i] = y[i] = (double)plan_value(q, k, j, at + i) / scale[at + i];
        ck_ok(tamis__cholesky_solve(n, 1, r, n, y, n, &err));
        for (uint64_t i = 0; i < n; i++) qq[j] += x[i] * y[i];
        for (uint64_t row = 0; row < t->rows; row++)
            for (uint64_t i = 0; i < n; i++)
                xq[row * q->rows + j] += (double)plan_value(t, k, row, at + i) / scale[at + i] *
                                         y[i];
    }
    for (uint64_t row = 0; row < t->rows; row++) {
        for (uint64_t i = 0; i < n; i++)
            x[i] = y[i] = (double)plan_value(t, k, row, at + i) / scale[at + i];
        ck_ok(tamis__cholesky_solve(n, 1, r, n, y, n, &err));
        for (uint64_t i = 0; i < n; i++) xx[row] += x[i] * y[i];
    }
    free(r), free(s), free(x), free(y);
}

static double *naive_trackstar(const store_plan *t, const store_plan *q, const variant *v,
                               uint64_t bad)
{
    tamis_layer layers[2];
    uint32_t n_layers = plan_layers(t, layers);
    double *scores = calloc(t->rows * q->rows, sizeof *scores), rates = 0;
    double *scale = calloc(t->columns, sizeof *scale);
    for (uint32_t k = 0; k < t->checkpoints; k++) rates += plan_checkpoints[k].learning_rate;
    for (uint32_t k = 0; k < t->checkpoints; k++) {
        double *xq = calloc(t->rows * q->rows, sizeof *xq), *xx = calloc(t->rows, sizeof *xx),
               *qq = calloc(q->rows, sizeof *qq);
        uint64_t at = 0;
        scales(t, k, bad, v, scale);
        double mix = v->mix < 0 ? find_mix(t, q, k, bad, scale, v->component) : v->mix;
        for (uint32_t l = 0; l < n_layers; at += tamis_layer_columns(&layers[l++]))
            add_layer(t, q, k, at, tamis_layer_columns(&layers[l]), bad, scale, mix, v->damping, xq,
                      xx, qq);
        for (uint64_t i = 0; i < t->rows; i++)
            for (uint64_t j = 0; j < q->rows; j++)
                if (xx[i] > 0 && qq[j] > 0)
                    scores[i * q->rows + j] += plan_checkpoints[k].learning_rate / rates *
                                               xq[i * q->rows + j] / sqrt(xx[i] * qq[j]);
        free(xq), free(xx), free(qq);
    }
    free(scale);
    return scores;
}

static const variant variants[] = {
    {"trackstar:zero=score0", -1, 1000, 0.1, false, 0},
    {"trackstar:component=5,zero=score0", -1, 5, 0.1, false, 0},
    {"trackstar:mix=0.3,damping=0.5,zero=score0", 0.3, 0, 0.5, false, 0},
    {"trackstar:mix=0,second-moment=rows,zero=score0", 0, 0, 0.1, true, 1e-3},
    {"trackstar:mix=1,second-moment=rows,eps=0.2,damping=1,zero=score0", 1, 0, 1, true, 0.2},
    {"trackstar:second-moment=rows,component=3,zero=score0", -1, 3, 0.1, true, 1e-3},
};

static const store_plan plans[][2] = {
    {{.rows = 1, .columns = 1, .checkpoints = 1, .seed = 3},
     {.rows = 1, .columns = 1, .checkpoints = 1, .seed = 4}},
    {{.rows = 259, .columns = 60, .checkpoints = 3, .seed = 1, .zero_row = 9},
     {.rows = 80, .columns = 60, .checkpoints = 3, .seed = 2, .zero_row = 2}},
    {{.rows = 30, .columns = 150, .checkpoints = 2, .seed = 5},
     {.rows = 7, .columns = 150, .checkpoints = 2, .seed = 6}},
};
enum { N_PLANS = sizeof plans / sizeof *plans };

START_TEST(test_formula)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    store_plan t = plans[_i][0], q = plans[_i][1];
    t.path = "t.h5", q.path = "q.h5";
    tamis_store *train = make_rich(context, &t, &(extras){0}),
                *query = make_rich(context, &q, &(extras){0});
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        if (t.columns == 1 && variants[v].component > 1 && variants[v].component < 1000) continue;
        double *want = naive_trackstar(&t, &q, &variants[v], 0);
        float *got = score_now(context, variants[v].scorer, train, query, q.rows);
        ck_assert_double_lt(worst_difference(got, want, t.rows * q.rows), 2e-6);
        free(got), free(want);
    }
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

static const store_plan small = {
    .path = "t.h5", .rows = 70, .columns = 30, .checkpoints = 1, .seed = 1};

START_TEST(test_bad_rows)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    store_plan q = small;
    q.path = "q.h5", q.rows = 40, q.seed = 2;
    write_store(context, &small);
    poison(context, &small, 9);
    tamis_store *train = open_store(context, "t.h5"), *query = make_rich(context, &q, &(extras){0});
    ck_fails(score_to(context, "trackstar", train, query, "s.h5", false), TAMIS_ERR_NUMERIC,
             "row 9");
    ck_ok(score_to(context, "trackstar:component=4", train, query, "s.h5", true));
    float *got = load_scores(context, "s.h5", 40);
    const variant v = {.mix = -1, .component = 4, .damping = 0.1};
    double *want = naive_trackstar(&small, &q, &v, 10);
    for (int j = 360; j < 400; j++) {
        ck_assert(isnan(got[j]));
        got[j] = 0, want[j] = 0;
    }
    ck_assert_double_lt(worst_difference(got, want, 70 * 40), 2e-6);
    free(got), free(want);
    tamis_store_close(&query);
    q.zero_row = 3;
    query = make_rich(context, &q, &(extras){0});
    ck_fails(score_to(context, "trackstar", train, query, "s.h5", true), TAMIS_ERR_NUMERIC,
             "'q.h5': row 2");
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

static char lines[4096];

static void keep_line(void *cookie, tamis_log_level level, const char *line)
{
    (void)cookie, (void)level;
    strncat(lines, line, sizeof lines - strlen(lines) - 1);
}

START_TEST(test_words)
{
    enter_scratch();
    tamis_context *context = NULL, *tight = make_context(1, 10000);
    tamis_context_params params = {.threads = 1, .log = keep_line};
    ck_ok(tamis_context_create(&context, &params, &err));
    store_plan q = small, few = small;
    q.path = "q.h5", q.rows = 2, q.seed = 2, few.path = "few.h5", few.rows = 3;
    tamis_store *train = make_rich(context, &small, &(extras){0}),
                *query = make_rich(context, &q, &(extras){0}),
                *three = make_rich(context, &few, &(extras){0});
    ck_ok(score_to(context, "trackstar", train, query, "s.h5", false));
    ck_assert_ptr_nonnull(strstr(lines, "there are 4 components, so the last is compared"));
    ck_assert_ptr_nonnull(strstr(lines, "the queries' share of R is 0."));
    ck_fails(score_to(context, "trackstar:mix=half", train, query, "s.h5", false), TAMIS_ERR_ARG,
             "mix is auto or a number");
    ck_fails(score_to(context, "trackstar:mix=1.5", train, query, "s.h5", false), TAMIS_ERR_ARG,
             "mix is auto or a number");
    ck_fails(score_to(context, "trackstar:mix=0,damping=0", three, query, "s.h5", false),
             TAMIS_ERR_NUMERIC, "the second moment of layer 'first' at checkpoint 0");
    ck_assert_ptr_nonnull(strstr(err.message, "raise damping"));
    ck_fails(score_to(tight, "trackstar", train, query, "s.h5", false), TAMIS_ERR_NOMEM,
             "project the rows first");
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_store_close(&three);
    tamis_context_destroy(&context);
    tamis_context_destroy(&tight);
    leave_scratch();
}
END_TEST

START_TEST(test_same_bits)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    store_plan t = plans[1][0], shards = t, q = plans[1][1];
    t.path = "t.h5", q.path = "q.h5", shards.path = "shards", shards.shard_rows = 64;
    t.zero_row = shards.zero_row = q.zero_row = 0;
    write_store(context, &shards);
    tamis_store *train = make_rich(context, &t, &(extras){0}),
                *query = make_rich(context, &q, &(extras){0});
    ck_same_bits("trackstar:component=5", true);
    ck_same_bits("trackstar:mix=0.5,second-moment=rows", true);
    ck_cancels("trackstar", true, "second moments");
    ck_cancels("trackstar", true, "whitening");
    ck_faults(context, "trackstar", train, query);
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trackstar");
    TCase *tc = tcase_create("trackstar");
    tcase_set_timeout(tc, 100);
    tcase_add_loop_test(tc, test_formula, 0, N_PLANS);
    tcase_add_test(tc, test_bad_rows);
    tcase_add_test(tc, test_words);
    tcase_add_test(tc, test_same_bits);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
