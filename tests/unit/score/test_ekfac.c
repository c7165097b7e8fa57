/* How ekfac runs: the same bits whatever the threads, memory and shards, resuming, lists, rows
 * without a score, and what is refused.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "digits.h"

#include "base/mem.h"

static digits d;
static tamis_store *train, *query;
static tamis_curvature *curvature;

static void open_all(void)
{
    enter_scratch();
    digits_open(&d, false);
    write_sampled(&d);
    curvature = open_curvature(&d, "sampled.h5");
    train = gradients(&d, "X_train.npy", "y_train.npy", TAMIS_F32, "t.h5");
    query = gradients(&d, "X_test.npy", "y_test.npy", TAMIS_F32, "q.h5");
}

static void close_all(void)
{
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_curvature_close(&curvature);
    digits_close(&d);
    leave_scratch();
}

static tamis_status try_score(const char *scorer, tamis_store *t, tamis_store *q,
                              const tamis_curvature *c)
{
    tamis_score_params params = score_params(scorer, t, q, c);
    return tamis_score(d.context, &params, NULL, &err);
}

/* --- the same bytes --------------------------------------------------------------------------- */

static char *file_bytes(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    fseek(file, 0, SEEK_END);
    *ret_size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*ret_size + 1);
    ck_assert_uint_eq(fread(bytes, 1, *ret_size, file), *ret_size);
    fclose(file);
    return bytes;
}

static void same_bytes(const char *a, const char *b)
{
    size_t n, m;
    char *left = file_bytes(a, &n), *right = file_bytes(b, &m);
    ck_assert_uint_eq(n, m);
    ck_assert_int_eq(memcmp(left, right, n), 0);
    free(left), free(right);
}

static const struct {
    const char *scorer;
    bool query;
    tamis_score_by by;
    tamis_reduce reduce;
    uint64_t top;
    tamis_dtype dtype;
} runs[] = {
    {"ekfac", true, TAMIS_BY_EXAMPLE, TAMIS_REDUCE_NONE, 0, TAMIS_F32},
    {"ekfac", true, TAMIS_BY_EXAMPLE, TAMIS_REDUCE_NONE, 0, TAMIS_BF16},
    {"ekfac", true, TAMIS_BY_EXAMPLE, TAMIS_REDUCE_NONE, 0, TAMIS_I8},
    {"kfac:query-rank=3", true, TAMIS_BY_EXAMPLE, TAMIS_REDUCE_NONE, 17, TAMIS_F32},
    {"ekfac", true, TAMIS_BY_LAYER, TAMIS_REDUCE_NONE, 0, TAMIS_F32},
    {"ekfac", true, TAMIS_BY_EXAMPLE, TAMIS_REDUCE_MEAN, 0, TAMIS_F32},
    {"ekfac", true, TAMIS_BY_EXAMPLE, TAMIS_REDUCE_MAX, 0, TAMIS_F32},
    {"self", false, TAMIS_BY_EXAMPLE, TAMIS_REDUCE_NONE, 0, TAMIS_F32},
};
enum { RUNS = sizeof runs / sizeof *runs };

/* One run with its own context; NOMEM is passed on. */
static tamis_status run_in(int i, unsigned threads, uint64_t memory, const char *t, const char *to)
{
    tamis_context *context = NULL;
    tamis_store *rows = NULL, *queries = NULL;
    const tamis_context_params limits = {.threads = threads, .memory = memory};
    ck_ok(tamis_context_create(&context, &limits, &err));
    ck_ok(tamis_store_open(&rows, context, t, &err));
    /* Training rows are queries too: many more than a tile. */
    if (runs[i].query) ck_ok(tamis_store_open(&queries, context, "many.h5", &err));
    tamis_score_params params = score_params(runs[i].scorer, rows, queries, curvature);
    params.path = to;
    params.by = runs[i].by;
    params.reduce = runs[i].reduce;
    params.top = runs[i].top;
    params.panel = TAMIS_PANEL_AUTO;
    params.panel_error = 0.02;
    tamis_status status = tamis_score(context, &params, NULL, &err);
    tamis_store_close(&rows);
    tamis_store_close(&queries);
    tamis_context_destroy(&context);
    return status;
}

static tamis_store *part_of(tamis_store *store, const char *path, tamis_dtype dtype,
                            uint64_t shard_rows)
{
    tamis_store *made = NULL;
    tamis_convert_params params = {.store = store,
                                   .path = path,
                                   .retype = true,
                                   .dtype = dtype,
                                   .shard_rows = shard_rows,
                                   .force = true};
    ck_ok(tamis_convert(d.context, &params, NULL, &err));
    ck_ok(tamis_store_open(&made, d.context, path, &err));
    return made;
}

/* Rows of the training store after one another, so many of them. */
static void write_queries(uint64_t rows)
{
    float *values = calloc(rows * DIGIT_COLUMNS, sizeof *values);
    ck_ok(tamis_store_read(train, 0, 3, rows, 0, DIGIT_COLUMNS, values, DIGIT_COLUMNS, &err));
    tamis_store_spec spec = {.path = "many.h5",
                             .rows = rows,
                             .layer = d.info->layer,
                             .layers = 3,
                             .checkpoint = tamis_store_info_get(train)->checkpoint,
                             .checkpoints = 1};
    tamis_store_writer *writer = NULL;
    const float *const gradient[1] = {values};
    ck_ok(tamis_store_writer_open(&writer, d.context, &spec, &err));
    ck_ok(tamis_store_writer_append(writer, rows, gradient, &(tamis_examples){0}, NULL, NULL, NULL,
                                    &err));
    ck_ok(tamis_store_writer_commit(&writer, &err));
    free(values);
}

START_TEST(test_same_bits)
{
    static const unsigned threads[] = {1, 2, 3, 7};
    tamis_store *one = part_of(train, "one.h5", runs[_i].dtype, 0),
                *shards = part_of(train, "shards", runs[_i].dtype, 512);
    ck_assert_uint_gt(tamis_store_info_get(shards)->shards, 1);
    write_queries(150);
    ck_ok(run_in(_i, 2, 0, "one.h5", "first.h5"));
    for (int i = 0; i < 4; i++) {
        ck_ok(run_in(_i, threads[i], 0, i % 2 ? "shards" : "one.h5", "other.h5"));
        same_bytes("first.h5", "other.h5");
    }
    /* The smallest limit that does: several passes over the rows. */
    uint64_t memory = 1 << 20;
    tamis_status status = TAMIS_ERR_NOMEM;
    while ((status = run_in(_i, 1, memory, "shards", "other.h5")) == TAMIS_ERR_NOMEM)
        memory += memory / 16;
    ck_ok(status);
    same_bytes("first.h5", "other.h5");
    tamis_store_close(&one);
    tamis_store_close(&shards);
}
END_TEST

/* --- resuming --------------------------------------------------------------------------------- */

static int stop_late(void *cookie, const char *phase, uint64_t done, uint64_t total,
                     const char *unit, const char *note)
{
    (void)total, (void)unit, (void)note, (void)cookie;
    return !strcmp(phase, "scoring") && done > 500;
}

static tamis_status run_resumed(const char *scorer, bool stop, uint64_t *ret_resumed)
{
    tamis_context *context = NULL;
    tamis_score_report report = {0};
    tamis_context_params limits = {.threads = 2, .progress = stop ? stop_late : NULL};
    ck_ok(tamis_context_create(&context, &limits, &err));
    tamis_score_params params = score_params(scorer, train, query, curvature);
    params.path = "resumed.h5";
    params.resume = true;
    tamis_status status = tamis_score(context, &params, &report, &err);
    tamis_context_destroy(&context);
    *ret_resumed = report.resumed;
    return status;
}

START_TEST(test_resume)
{
    uint64_t resumed = 0;
    ck_ok(try_score("ekfac", train, query, curvature));
    ck_fails(run_resumed("ekfac", true, &resumed), TAMIS_ERR_CANCELLED, "");
    ck_assert_int_eq(access("resumed.h5.spool", F_OK), 0);
    ck_fails(run_resumed("ekfac:damping=0.3", false, &resumed), TAMIS_ERR_SHAPE, "spool");
    ck_ok(run_resumed("ekfac", false, &resumed));
    ck_assert_uint_gt(resumed, 0);
    same_bytes("s.h5", "resumed.h5");
}
END_TEST

/* --- lists, rows without a score, panels ------------------------------------------------------ */

START_TEST(test_lists)
{
    tamis_score_params params = score_params("ekfac", train, query, curvature);
    double *all = scores_of(&d, &params, DIGIT_QUERIES);
    tamis_scores *scores = NULL;
    uint64_t row[20];
    float score[20];
    params.top = 20, params.bottom = 5;
    ck_ok(tamis_score(d.context, &params, NULL, &err));
    ck_ok(tamis_scores_open(&scores, d.context, "s.h5", &err));
    for (uint64_t q = 0; q < DIGIT_QUERIES; q++) {
        ck_ok(tamis_scores_read_list(scores, TAMIS_SCORES_TOP, q, 1, row, score, &err));
        for (int i = 0; i < 20; i++) {
            int above = 0;
            ck_assert_double_eq((double)score[i], all[q * DIGITS + row[i]]);
            for (int r = 0; r < DIGITS; r++) above += all[q * DIGITS + r] > (double)score[i];
            ck_assert_int_le(above, i);
        }
    }
    tamis_scores_close(&scores);
    free(all);
}
END_TEST

/* Rounded queries where rows are bf16: reported, and as far off as said. */
START_TEST(test_panel)
{
    tamis_store *small = part_of(train, "small.h5", TAMIS_BF16, 0);
    tamis_score_params params = score_params("ekfac", small, query, curvature);
    tamis_score_report report;
    double *exact = scores_of(&d, &params, DIGIT_QUERIES);
    params.panel = TAMIS_PANEL_FAST;
    ck_ok(tamis_score(d.context, &params, &report, &err));
    double *fast = load_scores_of(&d, "s.h5", DIGITS, DIGIT_QUERIES);
    double worst = distance(fast, exact, DIGITS * DIGIT_QUERIES);
    ck_assert_double_lt(worst, 1e-2);
    if (!strcmp(report.panel, "f32")) ck_assert_double_lt(worst, 1e-6);
    free(exact), free(fast);
    tamis_store_close(&small);
}
END_TEST

/* --- refusals --------------------------------------------------------------------------------- */

static void write_with(tamis_curvature_kind kind, double lambda, const char *path)
{
    factors cov;
    digit_curvature c;
    factors_of(&d, &cov, "X_train.npy", "y_train.npy");
    curvature_of(&c, &cov, &cov, false);
    for (int l = 0; l < 3 && lambda >= 0; l++)
        for (uint64_t i = 0; i < digit_out[l] * digit_in[l]; i++) c.lambda[l][i] = lambda;
    curvature_write(&d, &c, kind, path);
    factors_free(&cov), curvature_free(&c);
}

START_TEST(test_refusals)
{
    static const struct {
        const char *scorer, *message;
        bool query, curvature;
        tamis_status status;
    } bad[] = {
        {"ekfac", "ekfac needs a curvature file", true, false, TAMIS_ERR_ARG},
        {"inverse-gram", "inverse-gram needs a curvature file", true, false, TAMIS_ERR_ARG},
        {"tracin", "tracin takes no curvature file", true, true, TAMIS_ERR_ARG},
        {"ekfac", "needs a query store", false, true, TAMIS_ERR_ARG},
        {"diagonal", "'sampled.h5' is of kind ekfac: fit one of kind diagonal", true, true,
         TAMIS_ERR_ARG},
        {"inverse-gram", "'sampled.h5' is of kind ekfac: fit one of kind gram", true, true,
         TAMIS_ERR_ARG},
        {"ekfac:spectral-rank=4", "'t.h5' holds whole gradients", true, true, TAMIS_ERR_ARG},
        {"ekfac:rescore=4", "ask for them with --top", true, true, TAMIS_ERR_ARG},
        {"ekfac:damping=-1", "damping", true, true, TAMIS_ERR_ARG},
        {"self:damping=1", "self:damping goes with a curvature file", false, false, TAMIS_ERR_ARG},
        {"self:weights=equal", "self:weights goes without a curvature file", false, true,
         TAMIS_ERR_ARG},
        {"self:kind=diagonal", "is of kind ekfac", false, true, TAMIS_ERR_ARG},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_fails(try_score(bad[i].scorer, train, bad[i].query ? query : NULL,
                           bad[i].curvature ? curvature : NULL),
                 bad[i].status, bad[i].message);
}
END_TEST

START_TEST(test_parts_refused)
{
    tamis_score_params params = score_params("tracin", train, query, NULL);
    params.by = TAMIS_BY_LAYER;
    ck_fails(tamis_score(d.context, &params, NULL, &err), TAMIS_ERR_ARG, "have no parts");
    params = score_params("ekfac", train, query, curvature);
    params.by = TAMIS_BY_TOKEN;
    ck_fails(tamis_score(d.context, &params, NULL, &err), TAMIS_ERR_ARG,
             "tamis grad --form factors");
    params.by = TAMIS_BY_LAYER, params.reduce = TAMIS_REDUCE_MEAN;
    ck_fails(tamis_score(d.context, &params, NULL, &err), TAMIS_ERR_ARG, "leave out --reduce");
    params.reduce = TAMIS_REDUCE_NONE, params.resume = true;
    ck_fails(tamis_score(d.context, &params, NULL, &err), TAMIS_ERR_ARG, "leave out --resume");
}
END_TEST

START_TEST(test_curvature_refused)
{
    /* Nothing to invert. */
    write_with(TAMIS_CURVATURE_EKFAC, 0.0, "zero.h5");
    tamis_curvature *zero = open_curvature(&d, "zero.h5");
    ck_fails(try_score("ekfac", train, query, zero), TAMIS_ERR_NUMERIC, "use a larger damping");
    ck_fails(try_score("ekfac:damping=0,damping-unit=absolute", train, query, zero),
             TAMIS_ERR_NUMERIC, "layer 'layers.0'");
    ck_ok(try_score("ekfac:damping=1,damping-unit=absolute", train, query, zero));
    tamis_curvature_close(&zero);
    /* Rows of other layers, and rows that were projected. */
    tamis_store *other = NULL;
    tamis_convert_params params = {.store = query, .path = "few.h5", .layers = "0-1"};
    ck_ok(tamis_convert(d.context, &params, NULL, &err));
    ck_ok(tamis_store_open(&other, d.context, "few.h5", &err));
    ck_fails(try_score("ekfac", train, other, curvature), TAMIS_ERR_SHAPE, "'few.h5' of 2");
    tamis_store_close(&other);
    params = (tamis_convert_params){.store = train, .path = "narrow.h5", .project = "64"};
    ck_ok(tamis_convert(d.context, &params, NULL, &err));
    ck_ok(tamis_store_open(&other, d.context, "narrow.h5", &err));
    ck_fails(try_score("ekfac", other, query, curvature), TAMIS_ERR_SHAPE,
             "'narrow.h5' is of rows that were projected");
    tamis_store_close(&other);
}
END_TEST

/* --- failures --------------------------------------------------------------------------------- */

static const struct {
    const char *scorer;
    bool query;
    tamis_score_by by;
    tamis_reduce reduce;
} failing[] = {
    {"ekfac", true, TAMIS_BY_EXAMPLE, TAMIS_REDUCE_NONE},
    {"ekfac:query-rank=2", true, TAMIS_BY_LAYER, TAMIS_REDUCE_NONE},
    {"kfac", true, TAMIS_BY_EXAMPLE, TAMIS_REDUCE_MEAN},
    {"self", false, TAMIS_BY_EXAMPLE, TAMIS_REDUCE_NONE},
};

START_TEST(test_faults)
{
    void (*const faults[2])(long) = {tamis__fault_memory_after, tamis__fault_io_after};
    tamis_store *few = NULL;
    write_queries(2);
    ck_ok(tamis_store_open(&few, d.context, "many.h5", &err));
    tamis_score_params params = score_params(failing[_i].scorer, train,
                                             failing[_i].query ? few : NULL, curvature);
    params.path = "faults.h5";
    params.by = failing[_i].by;
    params.reduce = failing[_i].reduce;
    for (int f = 0; f < 2; f++)
        for (long n = 0;; n++) {
            ck_assert_int_lt(n, 3000);
            err = (tamis_error){0};
            faults[f](n);
            tamis_status status = tamis_score(d.context, &params, NULL, &err);
            faults[f](-1);
            ck_assert_int_ne(access("faults.h5.part", F_OK), 0);
            if (status == TAMIS_OK) break;
            ck_assert(status == TAMIS_ERR_NOMEM || status == TAMIS_ERR_IO);
            ck_assert_str_ne(err.message, "");
        }
    tamis_store_close(&few);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ekfac");
    TCase *tc = tcase_create("ekfac");
    tcase_set_timeout(tc, 100);
    tcase_add_checked_fixture(tc, open_all, close_all);
    tcase_add_loop_test(tc, test_same_bits, 0, RUNS);
    tcase_add_test(tc, test_resume);
    tcase_add_test(tc, test_lists);
    tcase_add_test(tc, test_panel);
    tcase_add_test(tc, test_refusals);
    tcase_add_test(tc, test_parts_refused);
    tcase_add_test(tc, test_curvature_refused);
    tcase_add_loop_test(tc, test_faults, 0, 4);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
