/* Sums over rows against plain loops in double, and the same bits however they are made.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "stream/stores.h"

#include "curvature/factor.h"
#include "curvature/gram.h"
#include "curvature/rank_one.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"

/* Rows beyond a block of every kind, columns beyond a tile. */
static const store_plan plans[] = {
    {.path = "a.h5", .rows = 1, .columns = 1, .checkpoints = 1, .seed = 1},
    {.path = "b.h5", .rows = 40, .columns = 17, .checkpoints = 2, .seed = 2, .zero_row = 3},
    {.path = "c.h5", .rows = 1100, .columns = 150, .checkpoints = 1, .seed = 3, .zero_row = 700},
};
enum { N_PLANS = sizeof plans / sizeof *plans };

typedef struct scene {
    tamis_context *context;
    tamis_store *store;
    unsigned char *skip;
    double *scale, *x; /* x: [rows, columns], scaled, skipped rows zero */
    tamis__rows rows;
} scene;

/* All columns but the first, where there are several; some rows scaled, some left out. */
static scene open_scene(const store_plan *p, unsigned threads, uint64_t memory, bool scaled)
{
    scene s = {.context = make_context(threads, memory)};
    s.store = make_store(s.context, p);
    s.skip = calloc(p->rows, 1);
    s.scale = calloc(p->rows, sizeof *s.scale);
    ck_assert(s.skip && s.scale);
    s.rows = (tamis__rows){.context = s.context,
                           .store = s.store,
                           .checkpoint = p->checkpoints - 1,
                           .first_column = p->columns > 1,
                           .columns = p->columns - (p->columns > 1),
                           .skip = scaled ? s.skip : NULL,
                           .scale = scaled ? s.scale : NULL,
                           .phase = "testing"};
    double *all = read_rows(s.store, p->checkpoints - 1);
    s.x = calloc(p->rows * s.rows.columns, sizeof *s.x);
    for (uint64_t i = 0; i < p->rows; i++) {
        s.skip[i] = i % 7 == 5;
        s.scale[i] = 1.0 + (double)(i % 3);
        for (uint64_t c = 0; c < s.rows.columns; c++) {
            double value = all[i * p->columns + s.rows.first_column + c];
            s.x[i * s.rows.columns + c] = scaled ? s.skip[i] ? 0.0 : value * s.scale[i] : value;
        }
    }
    free(all);
    return s;
}

static void close_scene(scene *s)
{
    tamis_store_close(&s->store);
    tamis_context_destroy(&s->context);
    free(s->skip);
    free(s->scale);
    free(s->x);
}

static double *naive_gram(const scene *s, uint64_t rows)
{
    uint64_t n = s->rows.columns;
    double *sum = calloc(n * n, sizeof *sum);
    ck_assert_ptr_nonnull(sum);
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t i = 0; i < n; i++)
            for (uint64_t j = 0; j < n; j++) sum[i * n + j] += s->x[r * n + i] * s->x[r * n + j];
    return sum;
}

START_TEST(test_gram)
{
    enter_scratch();
    for (int scaled = 0; scaled < 2; scaled++) {
        const store_plan *p = &plans[_i];
        scene s = open_scene(p, 2, 0, scaled);
        uint64_t n = s.rows.columns;
        double *want = naive_gram(&s, p->rows), *got = calloc(n * n, sizeof *got), trace = 0;
        ck_ok(tamis__gram(&s.rows, got, &err));
        for (uint64_t i = 0; i < n; i++) {
            trace += want[i * n + i];
            for (uint64_t j = 0; j <= i; j++)
                ck_assert_double_eq_tol(got[i * n + j], want[i * n + j],
                                        1e-14 * (double)p->rows * 9.0);
        }
        ck_assert_double_eq_tol(tamis__trace(got, n), trace, 1e-11 * trace);
        uint64_t count = p->rows;
        for (uint64_t i = 0; scaled && i < p->rows; i++) count -= s.skip[i];
        ck_assert_uint_eq(tamis__rows_count(&s.rows), count);
        free(got);
        free(want);
        close_scene(&s);
        ck_assert_int_eq(unlink(p->path), 0);
    }
    leave_scratch();
}
END_TEST

START_TEST(test_layer_squares)
{
    enter_scratch();
    const store_plan *p = &plans[_i];
    scene s = open_scene(p, 3, 0, true);
    const tamis_store_info *info = tamis_store_info_get(s.store);
    double *all = read_rows(s.store, s.rows.checkpoint), got[2];
    ck_ok(tamis__layer_squares(&s.rows, got, &err));
    for (uint32_t l = 0; l < info->layers; l++) {
        double want = 0;
        for (uint64_t i = 0; i < p->rows; i++)
            for (uint64_t c = 0; c < tamis_layer_columns(&info->layer[l]); c++)
                want += s.skip[i] ? 0.0
                                  : pow(s.scale[i] *
                                            all[i * p->columns + info->layer[l].first_column + c],
                                        2);
        ck_assert_double_eq_tol(got[l], want, 1e-12 * want);
    }
    free(all);
    close_scene(&s);
    leave_scratch();
}
END_TEST

START_TEST(test_factor)
{
    enter_scratch();
    const store_plan *p = &plans[_i];
    scene s = open_scene(p, 2, 0, true);
    uint64_t n = s.rows.columns, stride = n + 2;
    double *k = naive_gram(&s, p->rows), *l = naive_gram(&s, p->rows),
           *square = calloc(p->rows, sizeof *square);
    float *out = calloc(p->rows * stride, sizeof *out);
    for (uint64_t i = 0; i < n; i++) k[i * n + i] = l[i * n + i] += 1.0;
    tamis__blas_begin();
    ck_ok(tamis__cholesky(n, l, n, "K", "", &err));
    tamis__blas_end();
    for (uint64_t i = 0; i < p->rows; i++) square[i] = 0.25; /* is added to */
    ck_ok(tamis__factor_norms(&s.rows, l, square, &err));
    ck_ok(tamis__factor_solve(&s.rows, l, 2.0, out, stride, &err));
    for (uint64_t r = 0; r < p->rows; r++) {
        double quadratic = 0;
        for (uint64_t i = 0; i < n; i++) {
            double back = 0;
            for (uint64_t j = 0; j < n; j++)
                back += k[i * n + j] * (double)out[r * stride + j] / 2.0;
            ck_assert_double_eq_tol(back, s.x[r * n + i], 2e-4);
            quadratic += s.x[r * n + i] * (double)out[r * stride + i] / 2.0;
        }
        ck_assert_double_eq_tol(square[r] - 0.25, quadratic, 1e-6);
        ck_assert(out[r * stride + n] == 0.0f);
    }
    free(k);
    free(l);
    free(square);
    free(out);
    close_scene(&s);
    leave_scratch();
}
END_TEST

/* The mean of the dense inverses, each by its own Cholesky factor. */
static double *naive_rank_one(const scene *s, uint64_t rows, const double *v, uint64_t queries,
                              double damping)
{
    uint64_t n = s->rows.columns, count = 0;
    double *sum = calloc(queries * n, sizeof *sum), *a = calloc(n * n, sizeof *a),
           *x = calloc(queries * n, sizeof *x);
    for (uint64_t r = 0; r < rows; r++) {
        if (s->rows.skip && s->rows.skip[r]) continue;
        count++;
        for (uint64_t i = 0; i < n; i++)
            for (uint64_t j = 0; j < n; j++)
                a[i * n + j] = s->x[r * n + i] * s->x[r * n + j] + (i == j ? damping : 0.0);
        memcpy(x, v, queries * n * sizeof *x);
        ck_ok(tamis__cholesky(n, a, n, "A", "", &err));
        ck_ok(tamis__cholesky_solve(n, queries, a, n, x, n, &err));
        for (uint64_t i = 0; i < queries * n; i++) sum[i] += x[i];
    }
    for (uint64_t i = 0; i < queries * n; i++) sum[i] /= (double)count;
    free(a);
    free(x);
    return sum;
}

START_TEST(test_rank_one)
{
    static const uint64_t queries[N_PLANS] = {1, 37, 3};
    enter_scratch();
    store_plan q = plans[_i];
    q.path = "q.h5", q.rows = queries[_i], q.seed = 9, q.zero_row = 2;
    scene s = open_scene(&plans[_i], 2, 0, _i != 1), v = open_scene(&q, 1, 0, false);
    uint64_t n = s.rows.columns;
    double *want = naive_rank_one(&s, plans[_i].rows, v.x, q.rows, 0.03);
    float *got = calloc(q.rows * n, sizeof *got);
    ck_ok(tamis__rank_one_solve(&s.rows, &v.rows, 0.03, got, n, &err));
    ck_assert_double_lt(worst_difference(got, want, q.rows * n), 1e-7);
    free(got);
    free(want);
    close_scene(&s);
    close_scene(&v);
    leave_scratch();
}
END_TEST

typedef struct results {
    double *gram, *norm, layer[2];
    float *solved, *rank_one;
} results;

static results all_results(scene *s, uint64_t rows)
{
    uint64_t n = s->rows.columns;
    results r = {.gram = calloc(n * n, sizeof *r.gram),
                 .norm = calloc(rows, sizeof *r.norm),
                 .solved = calloc(rows * n, sizeof *r.solved),
                 .rank_one = calloc(rows * n, sizeof *r.rank_one)};
    ck_ok(tamis__gram(&s->rows, r.gram, &err));
    ck_ok(tamis__layer_squares(&s->rows, r.layer, &err));
    for (uint64_t i = 0; i < n; i++) r.gram[i * n + i] += 1.0;
    tamis__blas_begin();
    ck_ok(tamis__cholesky(n, r.gram, n, "K", "", &err));
    tamis__blas_end();
    for (uint64_t i = 0; i < n; i++) /* above it there is nothing */
        for (uint64_t j = i + 1; j < n; j++) r.gram[i * n + j] = 0;
    ck_ok(tamis__factor_norms(&s->rows, r.gram, r.norm, &err));
    ck_ok(tamis__factor_solve(&s->rows, r.gram, 1.0, r.solved, n, &err));
    ck_ok(tamis__rank_one_solve(&s->rows, &s->rows, 0.5, r.rank_one, n, &err));
    return r;
}

static void drop(results *r)
{
    free(r->gram);
    free(r->norm);
    free(r->solved);
    free(r->rank_one);
}

/* Threads, shards and a memory limit that asks for many batches of queries. */
START_TEST(test_same_bits)
{
    static const unsigned threads[] = {1, 2, 3, 7};
    enter_scratch();
    store_plan p = plans[2], shards = plans[2];
    shards.path = "shards", shards.shard_rows = 100;
    scene s = open_scene(&p, 2, 0, true);
    uint64_t n = s.rows.columns;
    results want = all_results(&s, p.rows);
    for (int i = 0; i < 8; i++) {
        const store_plan *plan = i % 2 ? &shards : &p;
        ck_assert_int_eq(system("rm -rf c.h5 shards"), 0);
        scene other = open_scene(plan, threads[i / 2], i < 2 ? UINT64_C(2) << 20 : 0, true);
        results got = all_results(&other, p.rows);
        ck_assert_mem_eq(got.gram, want.gram, n * n * sizeof *got.gram);
        ck_assert_mem_eq(got.norm, want.norm, p.rows * sizeof *got.norm);
        ck_assert_mem_eq(got.layer, want.layer, sizeof got.layer);
        ck_assert_mem_eq(got.solved, want.solved, p.rows * n * sizeof *got.solved);
        ck_assert_mem_eq(got.rank_one, want.rank_one, p.rows * n * sizeof *got.rank_one);
        drop(&got);
        close_scene(&other);
    }
    drop(&want);
    close_scene(&s);
    leave_scratch();
}
END_TEST

static int stop(void *cookie, const char *phase, uint64_t done, uint64_t total, const char *unit,
                const char *note)
{
    (void)cookie, (void)done, (void)total, (void)unit, (void)note;
    return !strcmp(phase, "testing");
}

static tamis_status call_one(int which, scene *s, double *square, float *out)
{
    switch (which) {
    case 0: return tamis__gram(&s->rows, square, &err);
    case 1: return tamis__factor_norms(&s->rows, square, square, &err);
    case 2: return tamis__factor_solve(&s->rows, square, 1.0, out, s->rows.columns, &err);
    case 3: return tamis__rank_one_solve(&s->rows, &s->rows, 1.0, out, s->rows.columns, &err);
    default: return tamis__layer_squares(&s->rows, square, &err);
    }
}

START_TEST(test_stops)
{
    enter_scratch();
    scene s = open_scene(&plans[1], 2, 0, false);
    double *square = calloc(2000, sizeof *square);
    float *out = calloc(2000, sizeof *out);
    for (int i = 0; i < 2000; i++) square[i] = 1.0;
    for (long n = 0;; n++) { /* every allocation fails once */
        tamis__fault_memory_after(n);
        tamis_status status = call_one(_i, &s, square, out);
        tamis__fault_memory_after(-1);
        if (status == TAMIS_OK) break;
        ck_assert_int_eq(status, TAMIS_ERR_NOMEM);
    }
    tamis_context_params params = {.threads = 1, .progress = stop};
    tamis_context *other = NULL;
    ck_ok(tamis_context_create(&other, &params, &err));
    s.rows.context = other;
    ck_fails(call_one(_i, &s, square, out), TAMIS_ERR_CANCELLED, "stopped while testing");
    tamis_context_destroy(&other);
    if (_i < 4) {
        other = make_context(1, 512);
        s.rows.context = other;
        ck_fails(call_one(_i, &s, square, out), TAMIS_ERR_NOMEM, "--memory");
        if (_i < 3)
            ck_assert_ptr_nonnull(strstr(err.message, "project the rows first (tamis convert"));
        tamis_context_destroy(&other);
    }
    free(square);
    free(out);
    close_scene(&s);
    leave_scratch();
}
END_TEST

START_TEST(test_too_large)
{
    enter_scratch();
    store_plan p = {.path = "l.h5", .rows = 3, .columns = 4, .checkpoints = 1, .size = 1e38};
    scene s = open_scene(&p, 1, 0, false);
    double square[16], scale[3] = {1e200, 1, 1};
    s.rows.scale = scale;
    ck_fails(tamis__gram(&s.rows, square, &err), TAMIS_ERR_NUMERIC, "l.h5");
    ck_fails(tamis__layer_squares(&s.rows, square, &err), TAMIS_ERR_NUMERIC, "layer 'first'");
    close_scene(&s);
    leave_scratch();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("curvature");
    TCase *tc = tcase_create("curvature");
    tcase_set_timeout(tc, 100);
    tcase_add_loop_test(tc, test_gram, 0, N_PLANS);
    tcase_add_loop_test(tc, test_layer_squares, 0, N_PLANS);
    tcase_add_loop_test(tc, test_factor, 0, N_PLANS);
    tcase_add_loop_test(tc, test_rank_one, 0, N_PLANS);
    tcase_add_test(tc, test_same_bits);
    tcase_add_loop_test(tc, test_stops, 0, 5);
    tcase_add_test(tc, test_too_large);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
