/* The streaming product against plain loops, and the same bits however it is run.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "stream/stores.h"

#include "base/error.h"
#include "stream/engine.h"

#define MIB (UINT64_C(1) << 20)

/* --- a sink in memory that checks what it is given -------------------------------------------- */

typedef struct grid {
    float *score;
    unsigned char *seen;
    uint64_t rows, queries;
    uint64_t next_row;
    int puts, fail_after; /* 0 = never */
} grid;

static tamis_status take(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                         uint64_t queries, const float *values, size_t stride, tamis_error *e)
{
    grid *g = arg;
    ck_assert_uint_eq(first_row, g->next_row % g->rows);
    g->next_row = first_row + rows;
    for (uint64_t i = 0; i < rows; i++)
        for (uint64_t j = 0; j < queries; j++) {
            uint64_t at = (first_row + i) * g->queries + first_query + j;
            g->score[at] = values[i * stride + j];
            g->seen[at]++;
        }
    if (++g->puts != g->fail_after) return TAMIS_OK;
    if (e) snprintf(e->message, sizeof e->message, "the sink is full");
    return TAMIS_ERR_IO;
}

static grid make_grid(uint64_t rows, uint64_t queries)
{
    grid g = {.score = calloc(rows * queries, sizeof(float)),
              .seen = calloc(rows * queries, 1),
              .rows = rows,
              .queries = queries};
    ck_assert(g.score && g.seen);
    return g;
}

static void free_grid(grid *g)
{
    free(g->score);
    free(g->seen);
}

static const double weights[3] = {0.5, -0.25, 2.0};

typedef struct manner {
    bool unit, zero_scores_zero;
    tamis__panel_mode panel;
    tamis__product_report *report;
    const double *weight; /* NULL = weights */
} manner;

/* What tracin and cosine do. */
static tamis_status run_stores(tamis_context *context, tamis_store *train, tamis_store *query,
                               manner how, grid *g)
{
    const float *norm[3];
    tamis__unit_queries unit = {0};
    bool direction = how.unit && !how.zero_scores_zero;
    uint32_t checkpoints = tamis_store_info_get(train)->checkpoints;
    TAMIS_TRY(tamis__unit_queries_of_store(&unit, query, direction, &err));
    tamis_status status = TAMIS_OK;
    for (uint32_t k = 0; k < checkpoints && status == TAMIS_OK; k++)
        status = tamis__finite_norms(train, k, direction, &norm[k], &err);
    tamis__product product = {.context = context,
                              .train = train,
                              .queries = &unit.rows.queries,
                              .weight = how.weight ? how.weight : weights,
                              .query_scale = how.unit ? unit.scale : NULL,
                              .row_divisor = how.unit ? norm : NULL,
                              .panel = how.panel,
                              .sink = {.arg = g, .put = take}};
    if (status == TAMIS_OK) status = tamis__product_run(&product, how.report, &err);
    tamis__unit_queries_fini(&unit);
    return status;
}

/* --- values ----------------------------------------------------------------------------------- */

typedef struct shape {
    uint64_t rows, columns, queries;
    uint32_t checkpoints;
    tamis_dtype dtype;
} shape;

static const shape shapes[] = {
    {1, 1, 1, 1, TAMIS_F32},       {257, 19, 65, 3, TAMIS_F32},    {257, 19, 65, 3, TAMIS_F16},
    {257, 19, 65, 3, TAMIS_BF16},  {1, 1025, 1, 2, TAMIS_F32},     {600, 1024, 64, 1, TAMIS_F32},
    {300, 2500, 3, 2, TAMIS_F16},  {255, 1023, 66, 1, TAMIS_BF16}, {256, 40, 130, 2, TAMIS_F32},
    {20, 30000, 70, 1, TAMIS_F32}, {257, 19, 65, 3, TAMIS_I8},     {300, 5000, 8, 2, TAMIS_I8},
    {19, 9001, 7, 2, TAMIS_BF16},  {2, 70000, 2, 1, TAMIS_F32},    {1, 3, 300, 1, TAMIS_I8},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

START_TEST(test_equals_plain_loops)
{
    shape s = shapes[_i / 2];
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    store_plan t = {.path = "t.h5",
                    .rows = s.rows,
                    .columns = s.columns,
                    .checkpoints = s.checkpoints,
                    .dtype = s.dtype,
                    .seed = 1};
    store_plan q = t;
    q.path = "q.h5", q.rows = s.queries, q.seed = 2, q.dtype = TAMIS_F32;
    tamis_store *train = make_store(context, &t), *query = make_store(context, &q);
    grid g = make_grid(s.rows, s.queries);
    manner how = {.unit = _i % 2, .panel = TAMIS__PANEL_EXACT};
    ck_ok(run_stores(context, train, query, how, &g));
    for (uint64_t i = 0; i < s.rows * s.queries; i++) ck_assert_uint_eq(g.seen[i], 1);
    double *want = naive_scores(train, &t, query, &q, weights, how.unit);
    double worst = worst_difference(g.score, want, s.rows * s.queries);
    ck_assert_msg(worst < 1e-6, "differs by %g of the largest score", worst);
    free(want);
    free_grid(&g);
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

/* Rows that resemble the queries: the largest scores stand out, as they do in real stores. */
static void write_like(tamis_context *context, const store_plan *p, const store_plan *query)
{
    tamis_layer layer = {.name = "rows", .out = 1, .in = p->columns};
    tamis_store_spec spec = {.path = p->path,
                             .dtype = p->dtype,
                             .rows = p->rows,
                             .layer = &layer,
                             .layers = 1,
                             .checkpoint = plan_checkpoints,
                             .checkpoints = 1};
    tamis_store_writer *writer = NULL;
    float *row = calloc(p->columns, sizeof *row);
    const float *rows = row;
    tamis_examples none = {0};
    ck_assert_ptr_nonnull(row);
    ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
    for (uint64_t i = 0; i < p->rows; i++) {
        for (uint64_t c = 0; c < p->columns; c++)
            row[c] = plan_value(p, 0, i, c) + plan_value(query, 0, i % query->rows, c);
        ck_ok(tamis_store_writer_append(writer, 1, &rows, &none, NULL, NULL, NULL, &err));
    }
    ck_ok(tamis_store_writer_commit(&writer, &err));
    free(row);
}

/* What the report says of a panel's error is what it is, and a panel that is too coarse is not
 * taken. */
START_TEST(test_panel_error)
{
    static const uint64_t queries[] = {3, 70};
    tamis_dtype dtype = _i % 2 ? TAMIS_I8 : TAMIS_BF16;
    tamis__product_report report;
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    store_plan t = {.path = "t.h5", .rows = 300, .columns = 5000, .seed = 1, .dtype = dtype};
    store_plan q = {.path = "q.h5",
                    .rows = queries[_i / 2],
                    .columns = t.columns,
                    .checkpoints = 1,
                    .seed = 2,
                    .layer = "rows"};
    t.checkpoints = 1;
    write_like(context, &t, &q);
    q.path = "q.h5";
    tamis_store *train = NULL, *query = make_store(context, &q);
    ck_ok(tamis_store_open(&train, context, "t.h5", &err));
    grid g = make_grid(t.rows, q.rows);
    manner how = {.report = &report};
    ck_ok(run_stores(context, train, query, how, &g));
    double *want = naive_scores(train, &t, query, &q, weights, false);
    double worst = worst_difference(g.score, want, t.rows * q.rows);
    bool rounds = strcmp(report.panel, "f32");
    ck_assert(report.rejected == 0);
    ck_assert_double_lt(worst, !rounds ? 1e-6 : dtype == TAMIS_I8 ? 1e-4 : 1e-3);
    if (rounds) ck_assert(report.error > worst / 4 && report.error < worst * 1.01 + 1e-7);

    how.panel = TAMIS__PANEL_EXACT;
    g.next_row = 0;
    ck_ok(run_stores(context, train, query, how, &g));
    ck_assert_str_eq(report.panel, "f32");
    ck_assert_double_lt(worst_difference(g.score, want, t.rows * q.rows), 1e-6);
    free(want);
    tamis_store_close(&train);

    /* Rows that are nothing but noise. */
    t.path = "noise.h5";
    train = make_store(context, &t);
    how.panel = TAMIS__PANEL_AUTO;
    g.next_row = 0;
    ck_ok(run_stores(context, train, query, how, &g));
    if (dtype == TAMIS_BF16 && rounds) {
        ck_assert(report.rejected > 1e-3);
        ck_assert_str_eq(report.panel, "f32");
    }
    free_grid(&g);
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

/* 128 noisy rows of bf16 times one query, by a panel of this mode. */
static tamis__product_report run_noise(tamis__product *product, tamis__panel_mode mode, grid *g)
{
    tamis__product_report report;
    product->panel = mode;
    g->next_row = 0;
    ck_ok(tamis__product_run(product, &report, &err));
    return report;
}

/* Rows count in a panel's error as they count in scores, and a sample of nothing is no proof. */
START_TEST(test_panel_sample)
{
    enter_scratch();
    tamis_context *context = make_context(2, 0);
    store_plan t = {.path = "t.h5",
                    .rows = 128,
                    .columns = 500,
                    .checkpoints = 1,
                    .seed = 1,
                    .dtype = TAMIS_BF16},
               q = {.path = "q.h5", .rows = 1, .columns = 500, .checkpoints = 1, .seed = 2};
    tamis_store *train = make_store(context, &t), *query = make_store(context, &q);
    float ones[128], multiplier[128];
    const float *divisor[] = {ones};
    grid g = make_grid(t.rows, 1);
    tamis__store_queries queries = {0};
    ck_ok(tamis__queries_of_store(&queries, query, false, &err));
    tamis__product product = {.context = context,
                              .train = train,
                              .queries = &queries.queries,
                              .weight = weights,
                              .panel_error = 1,
                              .sink = {&g, take}};
    run_noise(&product, TAMIS__PANEL_EXACT, &g);
    uint64_t least = 0;
    for (uint64_t i = 0; i < t.rows; i += 2)
        if (fabsf(g.score[i]) < fabsf(g.score[least])) least = i;
    double exact = (double)g.score[least];
    for (uint64_t i = 0; i < t.rows; i++) multiplier[i] = i == least ? 1e6f : 1.0f;
    product.row_multiplier = multiplier;
    tamis__product_report report = run_noise(&product, TAMIS__PANEL_FAST, &g);
    double worst = fabs((double)g.score[least] * 1e-6 - exact) / fabs(exact);
    if (strcmp(report.panel, "f32")) ck_assert_double_gt(report.error, worst / 4);

    for (uint64_t i = 0; i < t.rows; i++) ones[i] = (float)(i % 2);
    product.row_divisor = divisor;
    report = run_noise(&product, TAMIS__PANEL_AUTO, &g);
    ck_assert_str_eq(report.panel, "f32");
    ck_assert(report.error == 0 && report.rejected == 0);
    tamis__store_queries_fini(&queries);
    free_grid(&g);
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

/* Products of values near 1e-25 are far below the smallest float; the scores need not be. */
START_TEST(test_small_values)
{
    enter_scratch();
    tamis_context *context = make_context(1, 0);
    store_plan t = {
        .path = "t.h5", .rows = 5, .columns = 50, .checkpoints = 1, .seed = 1, .size = 1e-15};
    store_plan q = {
        .path = "q.h5", .rows = 2, .columns = 50, .checkpoints = 1, .seed = 2, .size = 1e-25};
    tamis_store *train = make_store(context, &t), *query = make_store(context, &q);
    grid g = make_grid(5, 2);
    const double large[1] = {1e20};
    manner how = {.weight = large};
    ck_ok(run_stores(context, train, query, how, &g));
    double *want = naive_scores(train, &t, query, &q, large, false);
    ck_assert_double_lt(worst_difference(g.score, want, 10), 5e-7);
    free(want);
    free_grid(&g);
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

/* --- the same bits ---------------------------------------------------------------------------- */

static void run_variant(const char *train_path, unsigned threads, uint64_t memory, unsigned cpu,
                        bool unit, grid *g)
{
    tamis_context *context = NULL;
    tamis_context_params params = {
        .threads = threads, .memory = memory, .limit_cpu = true, .cpu_mask = cpu};
    tamis_store *train = NULL, *query = NULL;
    ck_ok(tamis_context_create(&context, &params, &err));
    ck_ok(tamis_store_open(&train, context, train_path, &err));
    ck_ok(tamis_store_open(&query, context, "q.h5", &err));
    *g = make_grid(tamis_store_info_get(train)->rows, tamis_store_info_get(query)->rows);
    ck_ok(run_stores(context, train, query, (manner){.unit = unit}, g));
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
}

static const struct {
    const char *train;
    unsigned threads;
    uint64_t memory; /* 0 = enough for one pass over the 3 blocks of 700 rows */
} variants[] = {
    {"t.h5", 2, 0},       {"t.h5", 3, 0},         {"t.h5", 7, 0},
    {"shards", 1, 0},     {"shards", 3, 0},       {"t.h5", 1, MIB * 14 / 10},
    {"t.h5", 2, 2 * MIB}, {"shards", 2, 2 * MIB},
};

static const unsigned masks[] = {~0u, 0, TAMIS_CPU_AVX2, TAMIS_CPU_AVX2 | TAMIS_CPU_AVX512};
static const tamis_dtype dtypes[] = {TAMIS_F32, TAMIS_F16, TAMIS_BF16, TAMIS_I8};

/* Few queries and many, every stored type, every kernel. */
START_TEST(test_same_bits)
{
    unsigned cpu = masks[_i / 8];
    uint64_t queries = _i / 4 % 2 ? 5 : 150;
    enter_scratch();
    tamis_context *context = make_context(1, 0);
    store_plan t = {.path = "t.h5",
                    .rows = 700,
                    .columns = 1500,
                    .checkpoints = 2,
                    .seed = 3,
                    .dtype = dtypes[_i % 4]};
    store_plan shards = t, q = t;
    shards.path = "shards", shards.shard_rows = 100;
    q.path = "q.h5", q.rows = queries, q.seed = 4;
    write_store(context, &t);
    write_store(context, &shards);
    write_store(context, &q);
    tamis_context_destroy(&context);
    for (int unit = 0; unit < 2; unit++) {
        grid first, other;
        run_variant("t.h5", 1, 0, cpu, unit, &first);
        ck_assert_int_eq(first.puts, 3);
        for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
            run_variant(variants[v].train, variants[v].threads, variants[v].memory, cpu, unit,
                        &other);
            if (queries > 8 && variants[v].memory) ck_assert_int_gt(other.puts, 3);
            ck_assert_mem_eq(first.score, other.score, 700 * queries * sizeof(float));
            free_grid(&other);
        }
        free_grid(&first);
    }
    leave_scratch();
}
END_TEST

/* --- refusals --------------------------------------------------------------------------------- */

typedef struct scene {
    tamis_context *context;
    tamis_store *train, *query;
    grid g;
    manner how;
} scene;

static scene open_scene(const store_plan *t, const store_plan *q, uint64_t memory)
{
    scene s = {.context = make_context(2, memory)};
    s.train = make_store(s.context, t);
    s.query = make_store(s.context, q);
    s.g = make_grid(t->rows, q->rows);
    return s;
}

static tamis_status run_scene(scene *s)
{
    s->g.next_row = 0;
    return run_stores(s->context, s->train, s->query, s->how, &s->g);
}

static void close_scene(scene *s)
{
    free_grid(&s->g);
    tamis_store_close(&s->train);
    tamis_store_close(&s->query);
    tamis_context_destroy(&s->context);
}

static const store_plan small_train = {
    .path = "t.h5", .rows = 600, .columns = 30, .checkpoints = 2, .seed = 5};
static const store_plan small_query = {
    .path = "q.h5", .rows = 4, .columns = 30, .checkpoints = 2, .seed = 6};

START_TEST(test_zero_rows)
{
    enter_scratch();
    store_plan t = small_train, q = small_query;
    t.zero_row = 301;
    scene s = open_scene(&t, &q, 0);
    ck_ok(run_scene(&s)); /* a product of zero is zero */
    ck_assert(s.g.score[300 * 4] == 0.0f);
    s.how.unit = true;
    ck_fails(run_scene(&s), TAMIS_ERR_NUMERIC, "'t.h5': row 300 (id 7300) at checkpoint 0 is zero");
    s.how.zero_scores_zero = true;
    ck_ok(run_scene(&s));
    ck_assert(s.g.score[300 * 4] == 0.0f && s.g.score[301 * 4] != 0.0f);
    close_scene(&s);

    t.path = "t2.h5", t.zero_row = 0, q.path = "q2.h5", q.zero_row = 3;
    s = open_scene(&t, &q, 0);
    s.how.unit = true;
    ck_fails(run_scene(&s), TAMIS_ERR_NUMERIC, "'q2.h5': row 2 (id 7002)");
    s.how.zero_scores_zero = true;
    ck_ok(run_scene(&s));
    ck_assert(s.g.score[2] == 0.0f && s.g.score[1] != 0.0f);
    close_scene(&s);
    leave_scratch();
}
END_TEST

START_TEST(test_scores_beyond_float)
{
    enter_scratch();
    store_plan t = small_train, q = small_query;
    t.size = 1e30, q.size = 1e30;
    scene s = open_scene(&t, &q, 0);
    ck_fails(run_scene(&s), TAMIS_ERR_NUMERIC,
             "the score of row 0 (id 7000) for query 0 is not finite");
    s.how.unit = true;
    ck_ok(run_scene(&s));
    close_scene(&s);
    leave_scratch();
}
END_TEST

/* Put other bytes in the place of the only four like these. */
static void patch(const char *path, float old, float new)
{
    FILE *file = fopen(path, "r+b");
    ck_assert_ptr_nonnull(file);
    static unsigned char bytes[1 << 20];
    size_t size = fread(bytes, 1, sizeof bytes, file), found = 0;
    for (size_t i = 0; i + 4 <= size; i++)
        if (!memcmp(bytes + i, &old, 4)) {
            ck_assert_int_eq(fseek(file, (long)i, SEEK_SET), 0);
            ck_assert_uint_eq(fwrite(&new, 4, 1, file), 1);
            found++;
        }
    ck_assert_uint_eq(found, 1);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(test_rows_that_are_not_finite)
{
    enter_scratch();
    scene s = open_scene(&small_train, &small_query, 0);
    tamis_store_close(&s.train);
    patch("t.h5", plan_value(&small_train, 1, 400, 7), NAN);
    ck_ok(tamis_store_open(&s.train, s.context, "t.h5", &err));
    ck_fails(run_scene(&s), TAMIS_ERR_NUMERIC, "row 400 (id 7400) at checkpoint 1 is not finite");
    tamis_store_close(&s.train);
    patch("t.h5", (float)naive_norm(&small_train, 1, 400), NAN);
    ck_ok(tamis_store_open(&s.train, s.context, "t.h5", &err));
    ck_fails(run_scene(&s), TAMIS_ERR_NUMERIC, "row 400 (id 7400) at checkpoint 1 is not finite");
    close_scene(&s);
    leave_scratch();
}
END_TEST

START_TEST(test_memory_limit)
{
    enter_scratch();
    scene s = open_scene(&small_train, &small_query, MIB / 8);
    ck_fails(run_scene(&s), TAMIS_ERR_NOMEM, "raise --memory");
    ck_assert_int_eq(s.g.puts, 0);
    close_scene(&s);
    leave_scratch();
}
END_TEST

START_TEST(test_sink_failure)
{
    enter_scratch();
    scene s = open_scene(&small_train, &small_query, 0);
    s.g.fail_after = 2;
    ck_fails(run_scene(&s), TAMIS_ERR_IO, "the sink is full");
    ck_assert_int_eq(s.g.puts, 2);
    close_scene(&s);
    leave_scratch();
}
END_TEST

/* --- progress and cancellation ---------------------------------------------------------------- */

typedef struct tale {
    uint64_t last, total;
    int calls, stop_at;
} tale;

static int listen(void *cookie, const char *phase, uint64_t done, uint64_t total, const char *unit,
                  const char *note)
{
    tale *t = cookie;
    (void)note;
    if (strcmp(phase, "scoring")) return 0;
    ck_assert_str_eq(unit, "rows");
    ck_assert_uint_gt(done, t->last);
    t->last = done;
    t->total = total;
    return ++t->calls == t->stop_at;
}

START_TEST(test_progress)
{
    enter_scratch();
    tale t = {0};
    tamis_context *writer = make_context(1, 0), *context = NULL;
    store_plan many = small_query;
    many.rows = 130;
    write_store(writer, &small_train);
    write_store(writer, &many);
    tamis_context_params params = {
        .threads = 1, .memory = MIB * 6 / 10, .progress = listen, .cookie = &t};
    tamis_store *train = NULL, *query = NULL;
    ck_ok(tamis_context_create(&context, &params, &err));
    ck_ok(tamis_store_open(&train, context, "t.h5", &err));
    ck_ok(tamis_store_open(&query, context, "q.h5", &err));
    grid g = make_grid(600, 130);
    ck_ok(run_stores(context, train, query, (manner){0}, &g));
    ck_assert_int_gt(t.calls, 3); /* more than one pass */
    ck_assert_uint_eq(t.last, t.total);
    ck_assert_uint_eq(t.last % 600, 0);
    t = (tale){.stop_at = 2};
    g.next_row = 0;
    ck_fails(run_stores(context, train, query, (manner){0}, &g), TAMIS_ERR_CANCELLED,
             "stopped while scoring");
    ck_assert_int_eq(t.calls, 2);
    free_grid(&g);
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    tamis_context_destroy(&writer);
    leave_scratch();
}
END_TEST

START_TEST(test_out_of_memory)
{
    enter_scratch();
    scene s = open_scene(&small_train, &small_query, 0);
    tamis_status status = TAMIS_ERR_NOMEM;
    int n = 0;
    for (; status != TAMIS_OK; n++) {
        ck_assert_int_lt(n, 1000);
        err = (tamis_error){0};
        tamis__fault_memory_after(n);
        status = run_scene(&s);
        tamis__fault_memory_after(-1);
        if (status == TAMIS_OK) break;
        ck_assert_int_eq(status, TAMIS_ERR_NOMEM);
        ck_assert_str_ne(err.message, "");
    }
    ck_assert_int_gt(n, 5);
    close_scene(&s);
    leave_scratch();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine");
    TCase *tc = tcase_create("engine");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_equals_plain_loops, 0, 2 * N_SHAPES);
    tcase_add_test(tc, test_small_values);
    tcase_add_loop_test(tc, test_panel_error, 0, 4);
    tcase_add_test(tc, test_panel_sample);
    tcase_add_loop_test(tc, test_same_bits, 0, 32);
    tcase_add_test(tc, test_zero_rows);
    tcase_add_test(tc, test_scores_beyond_float);
    tcase_add_test(tc, test_rows_that_are_not_finite);
    tcase_add_test(tc, test_memory_limit);
    tcase_add_test(tc, test_sink_failure);
    tcase_add_test(tc, test_progress);
    tcase_add_test(tc, test_out_of_memory);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
