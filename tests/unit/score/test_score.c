/* The scorers against their formulas, the scores files they write, and what they refuse.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "stream/stores.h"

#include <tamis/score.h>

static const double rates[3] = {0.5, 0.1, 0.02};
static const double sum_to_one[3] = {0.5 / 0.62, 0.1 / 0.62, 0.02 / 0.62};
static const double equal[3] = {1, 1, 1};

static const store_plan train_plan = {
    .path = "t.h5", .rows = 257, .columns = 60, .checkpoints = 3, .seed = 1};
static const store_plan query_plan = {
    .path = "q.h5", .rows = 5, .columns = 60, .checkpoints = 3, .seed = 2};

typedef struct scene {
    tamis_context *context;
    tamis_store *train, *query;
} scene;

static scene open_scene(const store_plan *t, const store_plan *q)
{
    enter_scratch();
    scene s = {.context = make_context(2, 0)};
    s.train = make_store(s.context, t);
    s.query = make_store(s.context, q);
    return s;
}

static void close_scene(scene *s)
{
    tamis_store_close(&s->train);
    tamis_store_close(&s->query);
    tamis_context_destroy(&s->context);
    leave_scratch();
}

static tamis_status run_scorer(scene *s, const char *scorer, tamis_store *query)
{
    tamis_score_params params = {.scorer = scorer,
                                 .train = s->train,
                                 .query = query,
                                 .path = "s.h5",
                                 .force = true,
                                 .provenance = "{\"command\":\"a test\"}"};
    return tamis_score(s->context, &params, NULL, &err);
}

/* The file's matrix, and the name of the scorer in it. */
static float *read_scores(scene *s, uint64_t queries, const char *scorer)
{
    tamis_scores *scores = NULL;
    ck_ok(tamis_scores_open(&scores, s->context, "s.h5", &err));
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    ck_assert_uint_eq(info->rows, tamis_store_info_get(s->train)->rows);
    ck_assert_uint_eq(info->queries, queries);
    ck_assert_str_eq(info->scorer, scorer);
    ck_assert_ptr_nonnull(strstr(info->provenance, "a test"));
    ck_assert_ptr_nonnull(info->examples.id_number);
    for (uint64_t i = 0; i < info->rows; i++)
        ck_assert_uint_eq(info->examples.id_number[i], 7000 + i);
    if (queries > 1) ck_assert_uint_eq(info->query.id_number[queries - 1], 7000 + queries - 1);
    float *values = calloc(info->rows * queries, sizeof *values);
    ck_assert_ptr_nonnull(values);
    ck_ok(tamis_scores_read(scores, 0, info->rows, 0, queries, values, queries, &err));
    tamis_scores_close(&scores);
    return values;
}

static const struct {
    const char *given, *canonical;
    const double *weight;
    bool unit;
} products[] = {
    {"tracin", "tracin:weights=learning-rate", rates, false},
    {"tracin:", "tracin:weights=learning-rate", rates, false},
    {"tracin:weights=equal", "tracin:weights=equal", equal, false},
    {"tracin:weights=normalised", "tracin:weights=normalised", sum_to_one, false},
    {"cosine", "cosine:zero=error", sum_to_one, true},
    {"cosine:zero=score0", "cosine:zero=score0", sum_to_one, true},
};

START_TEST(test_products)
{
    scene s = open_scene(&train_plan, &query_plan);
    ck_ok(run_scorer(&s, products[_i].given, s.query));
    float *got = read_scores(&s, 5, products[_i].canonical);
    double *want = naive_scores(s.train, &train_plan, s.query, &query_plan, products[_i].weight,
                                products[_i].unit);
    ck_assert_double_lt(worst_difference(got, want, 257 * 5), 5e-7);
    free(got);
    free(want);
    close_scene(&s);
}
END_TEST

/* A store scored against itself: its diagonal is the self-influence, and a row's cosine with
 * itself is 1. */
START_TEST(test_self)
{
    static const char *const names[] = {"self", "self:weights=equal", "self:weights=normalised"};
    static const char *const canonical[] = {"self:weights=learning-rate", "self:weights=equal",
                                            "self:weights=normalised"};
    static const double *const weight[] = {rates, equal, sum_to_one};
    scene s = open_scene(&train_plan, &query_plan);
    ck_ok(run_scorer(&s, names[_i], NULL));
    float *got = read_scores(&s, 1, canonical[_i]);
    double *want = calloc(257, sizeof *want);
    for (uint32_t k = 0; k < 3; k++)
        for (uint64_t i = 0; i < 257; i++)
            want[i] += weight[_i][k] * pow(naive_norm(&train_plan, k, i), 2);
    ck_assert_double_lt(worst_difference(got, want, 257), 5e-7);
    free(got);
    free(want);
    ck_ok(run_scorer(&s, "cosine", s.train));
    got = read_scores(&s, 257, "cosine:zero=error");
    for (uint64_t i = 0; i < 257; i++) ck_assert_double_eq_tol((double)got[i * 257 + i], 1.0, 1e-6);
    free(got);
    close_scene(&s);
}
END_TEST

/* Positive helps: a step of gradient descent on a row with the query's own gradient lowers its
 * loss, a step on its opposite raises it. */
START_TEST(test_sign)
{
    enter_scratch();
    scene s = {.context = make_context(1, 0)};
    store_plan p = {.path = "t.h5", .rows = 2, .columns = 4, .checkpoints = 1};
    tamis_layer layers[2];
    const float rows[8] = {1, 2, 3, 4, -1, -2, -3, -4}, *gradient[1] = {rows};
    tamis_store_spec spec = {.path = "t.h5",
                             .rows = 2,
                             .layer = layers,
                             .layers = plan_layers(&p, layers),
                             .checkpoint = plan_checkpoints,
                             .checkpoints = 1};
    const uint64_t ids[2] = {7000, 7001};
    const tamis_examples examples = {.id_number = ids};
    tamis_store_writer *writer = NULL;
    ck_ok(tamis_store_writer_open(&writer, s.context, &spec, &err));
    ck_ok(tamis_store_writer_append(writer, 2, gradient, &examples, NULL, NULL, NULL, &err));
    ck_ok(tamis_store_writer_commit(&writer, &err));
    ck_ok(tamis_store_open(&s.train, s.context, "t.h5", &err));
    ck_ok(run_scorer(&s, "tracin", s.train));
    float *got = read_scores(&s, 2, "tracin:weights=learning-rate");
    ck_assert_double_eq((double)got[0], 15.0); /* 0.5 * 30 */
    ck_assert_double_eq((double)got[1], -15.0);
    free(got);
    close_scene(&s);
}
END_TEST

START_TEST(test_arguments)
{
    scene s = open_scene(&train_plan, &query_plan);
    ck_fails(run_scorer(&s, "tracn", s.query), TAMIS_ERR_ARG, "did you mean 'tracin'");
    ck_fails(run_scorer(&s, "zzzzzzzz", s.query), TAMIS_ERR_ARG, "tamis list scorers");
    ck_fails(run_scorer(&s, "", s.query), TAMIS_ERR_ARG, "there is no scorer ''");
    ck_fails(run_scorer(&s, "tracin:weight=equal", s.query), TAMIS_ERR_ARG,
             "did you mean 'weights'");
    ck_fails(run_scorer(&s, "tracin:weights=even", s.query), TAMIS_ERR_ARG, "learning-rate, equal");
    ck_fails(run_scorer(&s, "tracin", NULL), TAMIS_ERR_ARG, "tracin needs a query store");
    ck_fails(run_scorer(&s, "self", s.query), TAMIS_ERR_ARG, "leave out the query store");
    ck_assert_int_ne(access("s.h5", F_OK), 0);
    ck_assert_int_ne(access("s.h5.part", F_OK), 0);
    tamis_score_params params = {.scorer = "self", .train = s.train};
    ck_fails(tamis_score(s.context, &params, NULL, &err), TAMIS_ERR_ARG, "needed");
    params.path = "s.h5";
    ck_ok(tamis_score(s.context, &params, NULL, &err));
    ck_fails(tamis_score(s.context, &params, NULL, &err), TAMIS_ERR_IO, "s.h5");
    close_scene(&s);
}
END_TEST

/* Each way in which two stores do not fit has its own message. */
static const struct {
    uint64_t columns;
    uint32_t checkpoints;
    const char *layer, *message;
} misfits[] = {
    {61, 3, NULL, "rows have 60 columns in 't.h5' and 61 in 'q.h5'"},
    {60, 2, NULL, "there are 3 checkpoints in 't.h5' and 2 in 'q.h5'"},
    {60, 3, "other", "layer 0 is 'first' in 't.h5' and 'other' in 'q.h5'"},
};

START_TEST(test_stores_that_do_not_fit)
{
    store_plan q = query_plan;
    q.columns = misfits[_i].columns, q.checkpoints = misfits[_i].checkpoints,
    q.layer = misfits[_i].layer;
    scene s = open_scene(&train_plan, &q);
    ck_fails(run_scorer(&s, "tracin", s.query), TAMIS_ERR_SHAPE, misfits[_i].message);
    ck_fails(run_scorer(&s, "cosine", s.query), TAMIS_ERR_SHAPE, misfits[_i].message);
    ck_assert_int_ne(access("s.h5", F_OK), 0);
    close_scene(&s);
}
END_TEST

/* One row whose layers are as given. */
static tamis_store *odd_store(tamis_context *context, const char *path, const tamis_layer *layer,
                              uint32_t layers)
{
    static const float row[60] = {1};
    const float *gradient[3] = {row, row, row};
    const uint64_t id = 1;
    const tamis_examples examples = {.id_number = &id};
    tamis_store_spec spec = {.path = path,
                             .rows = 1,
                             .layer = layer,
                             .layers = layers,
                             .checkpoint = plan_checkpoints,
                             .checkpoints = 3};
    tamis_store_writer *writer = NULL;
    tamis_store *store = NULL;
    ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
    ck_ok(tamis_store_writer_append(writer, 1, gradient, &examples, NULL, NULL, NULL, &err));
    ck_ok(tamis_store_writer_commit(&writer, &err));
    ck_ok(tamis_store_open(&store, context, path, &err));
    return store;
}

START_TEST(test_layers_that_do_not_fit)
{
    scene s = open_scene(&train_plan, &query_plan);
    const tamis_layer one[1] = {{.name = "first", .out = 1, .in = 60}};
    const tamis_layer turned[2] = {{.name = "first", .out = 6, .in = 3},
                                   {.name = "second", .out = 1, .in = 42}};
    tamis_store *query = odd_store(s.context, "one.h5", one, 1);
    ck_fails(run_scorer(&s, "tracin", query), TAMIS_ERR_SHAPE,
             "there are 2 layers in 't.h5' and 1 in 'one.h5'");
    tamis_store_close(&query);
    query = odd_store(s.context, "turned.h5", turned, 2);
    ck_fails(run_scorer(&s, "tracin", query), TAMIS_ERR_SHAPE,
             "layer 'first' is [3, 5 + bias] in 't.h5' and [6, 3] in 'turned.h5'");
    tamis_store_close(&query);
    close_scene(&s);
}
END_TEST

START_TEST(test_zero_gradients)
{
    store_plan t = train_plan;
    t.zero_row = 100;
    scene s = open_scene(&t, &query_plan);
    ck_fails(run_scorer(&s, "cosine", s.query), TAMIS_ERR_NUMERIC, "row 99 (id 7099)");
    ck_assert_int_ne(access("s.h5", F_OK), 0);
    ck_assert_int_ne(access("s.h5.part", F_OK), 0);
    ck_ok(run_scorer(&s, "cosine:zero=score0", s.query));
    float *got = read_scores(&s, 5, "cosine:zero=score0");
    for (int j = 0; j < 5; j++) ck_assert(got[99 * 5 + j] == 0.0f && got[98 * 5 + j] != 0.0f);
    free(got);
    ck_ok(run_scorer(&s, "self", NULL));
    got = read_scores(&s, 1, "self:weights=learning-rate");
    ck_assert(got[99] == 0.0f && got[98] > 0.0f);
    free(got);
    close_scene(&s);
}
END_TEST

START_TEST(test_self_beyond_float)
{
    store_plan t = train_plan;
    t.size = 1e25;
    scene s = open_scene(&t, &query_plan);
    ck_fails(run_scorer(&s, "self", NULL), TAMIS_ERR_NUMERIC, "row 0 (id 7000)");
    close_scene(&s);
}
END_TEST

/* Files are the same, byte for byte, for any number of threads, memory limit and sharding. */
static void same_file(const char *a, const char *b)
{
    static char one[1 << 20], other[1 << 20];
    FILE *x = fopen(a, "rb"), *y = fopen(b, "rb");
    ck_assert(x && y);
    size_t n = fread(one, 1, sizeof one, x), m = fread(other, 1, sizeof other, y);
    ck_assert_uint_gt(n, 257 * 70 * 4);
    ck_assert_uint_eq(n, m);
    ck_assert_mem_eq(one, other, n);
    fclose(x);
    fclose(y);
}

START_TEST(test_same_file)
{
    static const unsigned threads[] = {1, 2, 3, 7};
    store_plan q = query_plan, shards = train_plan;
    q.rows = 70, shards.path = "shards", shards.shard_rows = 64;
    scene s = open_scene(&train_plan, &q);
    write_store(s.context, &shards);
    ck_ok(run_scorer(&s, "tracin", s.query));
    for (int i = 0; i < 8; i++) {
        /* Just enough for one tile of queries with one thread, then more. */
        tamis_context *context = make_context(threads[i / 2], i == 0 ? UINT64_C(1) << 20 : 0);
        tamis_store *train = NULL, *query = NULL;
        ck_ok(tamis_store_open(&train, context, i % 2 ? "shards" : "t.h5", &err));
        ck_ok(tamis_store_open(&query, context, "q.h5", &err));
        tamis_score_params params = {.scorer = "tracin",
                                     .train = train,
                                     .query = query,
                                     .path = "other.h5",
                                     .force = true,
                                     .provenance = "{\"command\":\"a test\"}"};
        ck_ok(tamis_score(context, &params, NULL, &err));
        same_file("s.h5", "other.h5");
        tamis_store_close(&train);
        tamis_store_close(&query);
        tamis_context_destroy(&context);
    }
    close_scene(&s);
}
END_TEST

static void inject(scene *s, const char *scorer, tamis_store *query, void (*fault)(long))
{
    for (long n = 0;; n++) {
        ck_assert_int_lt(n, 2000);
        err = (tamis_error){0};
        fault(n);
        tamis_status status = run_scorer(s, scorer, query);
        fault(-1);
        ck_assert_int_ne(access("s.h5.part", F_OK), 0);
        if (status == TAMIS_OK) break;
        ck_assert(status == TAMIS_ERR_NOMEM || status == TAMIS_ERR_IO);
        ck_assert_str_ne(err.message, "");
    }
    ck_assert_int_eq(unlink("s.h5"), 0);
}

START_TEST(test_failures)
{
    scene s = open_scene(&train_plan, &query_plan);
    inject(&s, "tracin", s.query, tamis__fault_memory_after);
    inject(&s, "tracin", s.query, tamis__fault_io_after);
    inject(&s, "self", NULL, tamis__fault_memory_after);
    inject(&s, "self", NULL, tamis__fault_io_after);
    close_scene(&s);
}
END_TEST

static int stop(void *cookie, const char *phase, uint64_t done, uint64_t total, const char *unit,
                const char *note)
{
    (void)cookie, (void)done, (void)total, (void)unit, (void)note;
    return !strcmp(phase, "scoring");
}

START_TEST(test_cancel)
{
    scene s = open_scene(&train_plan, &query_plan);
    tamis_context *own = s.context;
    tamis_context_params params = {.threads = 1, .progress = stop};
    ck_ok(tamis_context_create(&s.context, &params, &err));
    ck_fails(run_scorer(&s, "tracin", s.query), TAMIS_ERR_CANCELLED, "stopped");
    ck_fails(run_scorer(&s, "self", NULL), TAMIS_ERR_CANCELLED, "stopped");
    ck_assert_int_ne(access("s.h5", F_OK), 0);
    ck_assert_int_ne(access("s.h5.part", F_OK), 0);
    tamis_context_destroy(&s.context);
    s.context = own;
    close_scene(&s);
}
END_TEST

/* Alphabetical, with nothing left out, and every default is one that parses. */
START_TEST(test_table)
{
    size_t n = 0;
    for (const tamis_scorer_info *info; (info = tamis_scorer_at(n)); n++) {
        tamis_param_value values[16];
        ck_assert_ptr_nonnull(info->summary);
        ck_assert_ptr_nonnull(info->citation);
        ck_assert_uint_le(info->n_params, 16);
        ck_assert_ptr_null(strchr(info->summary, '\n'));
        if (n > 0) ck_assert_int_lt(strcmp(tamis_scorer_at(n - 1)->name, info->name), 0);
        ck_ok(tamis_params_parse(info->params, info->n_params, info->name, NULL, values, &err));
        for (size_t i = 0; i < info->n_params; i++) {
            char text[TAMIS_PARAM_TEXT_SIZE];
            snprintf(text, sizeof text, "%s", values[i].text);
            if (!text[0]) snprintf(text, sizeof text, "%.17g", values[i].number);
            ck_ok(tamis_param_parse_value(&info->params[i], info->name, text, &values[i], &err));
        }
    }
    ck_assert_uint_eq(n, 16);
}
END_TEST

/* Projected rows meet when the layers before were the same, as far as both stores say. */
static tamis_store *projected_store(tamis_context *context, const char *path, uint64_t layers)
{
    static const float row[4] = {1, 2, 3, 4};
    const float *rows = row;
    const tamis_projection by = {
        .kind = "sparse", .seed = 1, .from = 9, .to = 2, .nonzeros = 2, .layers = layers};
    tamis_layer layer = {.name = "projected", .out = 1, .in = 2};
    tamis_checkpoint checkpoint = {.learning_rate = 1};
    tamis_store_spec spec = {.path = path,
                             .rows = 2,
                             .layer = &layer,
                             .layers = 1,
                             .checkpoint = &checkpoint,
                             .checkpoints = 1,
                             .projection = &by};
    tamis_store_writer *writer = NULL;
    tamis_store *store = NULL;
    ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
    ck_ok(tamis_store_writer_append(writer, 2, &rows, NULL, NULL, NULL, NULL, &err));
    ck_ok(tamis_store_writer_commit(&writer, &err));
    ck_ok(tamis_store_open(&store, context, path, &err));
    return store;
}

START_TEST(test_layers_before_projection)
{
    static const uint64_t pair[][2] = {{0, 0}, {5, 0}, {0, 5}, {5, 5}, {5, 6}};
    enter_scratch();
    scene s = {.context = make_context(1, 0)};
    s.train = projected_store(s.context, "t.h5", pair[_i][0]);
    s.query = projected_store(s.context, "q.h5", pair[_i][1]);
    if (_i < 4)
        ck_ok(run_scorer(&s, "tracin", s.query));
    else
        ck_fails(run_scorer(&s, "tracin", s.query), TAMIS_ERR_SHAPE, "projected differently");
    close_scene(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("score");
    TCase *tc = tcase_create("score");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_products, 0, (int)(sizeof products / sizeof *products));
    tcase_add_loop_test(tc, test_self, 0, 3);
    tcase_add_test(tc, test_sign);
    tcase_add_test(tc, test_arguments);
    tcase_add_loop_test(tc, test_stores_that_do_not_fit, 0,
                        (int)(sizeof misfits / sizeof *misfits));
    tcase_add_test(tc, test_layers_that_do_not_fit);
    tcase_add_loop_test(tc, test_layers_before_projection, 0, 5);
    tcase_add_test(tc, test_zero_gradients);
    tcase_add_test(tc, test_self_beyond_float);
    tcase_add_test(tc, test_same_file);
    tcase_add_test(tc, test_failures);
    tcase_add_test(tc, test_cancel);
    tcase_add_test(tc, test_table);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
