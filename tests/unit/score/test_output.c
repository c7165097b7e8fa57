/* Lists, statistics, reductions, rows without a score and resumed runs, against the whole matrix.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/scene.h"

enum { ROWS = 1100, QUERIES = 70, COLUMNS = 40 };
#define MIB (UINT64_C(1) << 20)

static const store_plan train_plan = {
    .path = "t.h5", .rows = ROWS, .columns = COLUMNS, .checkpoints = 2, .seed = 1};
static const store_plan query_plan = {
    .path = "q.h5", .rows = QUERIES, .columns = COLUMNS, .checkpoints = 2, .seed = 2};

static const char *const names[] = {"a", "b", "c"};
static int32_t group_of[QUERIES];

typedef struct scene {
    tamis_context *context;
    tamis_store *train, *query;
    float *matrix; /* [ROWS, QUERIES] of tracin */
} scene;

static tamis_score_params params_of(const scene *s, const char *path)
{
    return (tamis_score_params){.scorer = "tracin",
                                .train = s->train,
                                .query = s->query,
                                .path = path,
                                .panel = TAMIS_PANEL_EXACT,
                                .force = true};
}

static scene open_scene(void)
{
    scene s = {.context = make_context(2, 0)};
    extras e = {.group = group_of, .group_name = names, .groups = 3};
    enter_scratch();
    for (int q = 0; q < QUERIES; q++) group_of[q] = q % 7 == 0 ? 2 : q % 2;
    s.train = make_store(s.context, &train_plan);
    s.query = make_rich(s.context, &query_plan, &e);
    tamis_score_params params = params_of(&s, "matrix.h5");
    ck_ok(tamis_score(s.context, &params, NULL, &err));
    s.matrix = load_scores(s.context, "matrix.h5", QUERIES);
    return s;
}

static void close_scene(scene *s)
{
    free(s->matrix);
    tamis_store_close(&s->train);
    tamis_store_close(&s->query);
    tamis_context_destroy(&s->context);
    leave_scratch();
}

/* --- lists ------------------------------------------------------------------------------------ */

/* How many rows go before this one in the list of a query. */
static uint64_t rank_of(const scene *s, uint64_t row, uint64_t query, bool lowest)
{
    uint64_t rank = 0;
    float own = s->matrix[row * QUERIES + query];
    for (uint64_t i = 0; i < ROWS; i++) {
        float other = s->matrix[i * QUERIES + query];
        bool beyond = lowest ? other < own : other > own;
        rank += beyond || (other == own && i < row);
    }
    return rank;
}

static void check_lists(const scene *s, const char *path, uint64_t k, tamis_scores_list which)
{
    tamis_scores *scores = NULL;
    uint64_t *rows = calloc(QUERIES * k, sizeof *rows);
    float *values = calloc(QUERIES * k, sizeof *values);
    ck_ok(tamis_scores_open(&scores, s->context, path, &err));
    ck_ok(tamis_scores_read_list(scores, which, 0, QUERIES, rows, values, &err));
    for (uint64_t q = 0; q < QUERIES; q++)
        for (uint64_t i = 0; i < k; i++) {
            uint64_t row = rows[q * k + i];
            ck_assert_uint_eq(rank_of(s, row, q, which == TAMIS_SCORES_BOTTOM), i);
            ck_assert(values[q * k + i] == s->matrix[row * QUERIES + q]);
        }
    free(rows);
    free(values);
    tamis_scores_close(&scores);
}

START_TEST(test_lists)
{
    static const uint64_t sizes[] = {1, 2, 7, 256, ROWS};
    scene s = open_scene();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        tamis_score_params params = params_of(&s, "lists.h5");
        params.top = sizes[i];
        params.bottom = i % 2 ? 0 : sizes[i];
        ck_ok(tamis_score(s.context, &params, NULL, &err));
        check_lists(&s, "lists.h5", params.top, TAMIS_SCORES_TOP);
        if (params.bottom) check_lists(&s, "lists.h5", params.bottom, TAMIS_SCORES_BOTTOM);
    }
    tamis_score_params params = params_of(&s, "no.h5");
    params.top = ROWS + 1;
    ck_fails(tamis_score(s.context, &params, NULL, &err), TAMIS_ERR_ARG, "1100");
    close_scene(&s);
}
END_TEST

/* Whole numbers in rows and queries: many scores are equal, and the lower row goes first. */
START_TEST(test_ties)
{
    enter_scratch();
    enum { N = 600 };
    static float row[N], query[1] = {1.0f};
    for (int i = 0; i < N; i++) row[i] = (float)(i * 37 % 5 - 2);
    tamis_context *context = make_context(2, 0);
    store_plan t = {.path = "t.h5", .rows = N, .columns = 1, .checkpoints = 1};
    store_plan q = {.path = "q.h5", .rows = 1, .columns = 1, .checkpoints = 1};
    extras rows = {.gradient = {row}}, one = {.gradient = {query}};
    tamis_store *train = make_rich(context, &t, &rows), *queries = make_rich(context, &q, &one);
    tamis_score_params params = {.scorer = "tracin:weights=equal",
                                 .train = train,
                                 .query = queries,
                                 .path = "l.h5",
                                 .top = 200,
                                 .bottom = 200};
    ck_ok(tamis_score(context, &params, NULL, &err));
    tamis_scores *scores = NULL;
    ck_ok(tamis_scores_open(&scores, context, "l.h5", &err));
    for (int which = 0; which < 2; which++) {
        uint64_t list[200];
        float value[200];
        ck_ok(tamis_scores_read_list(scores, (tamis_scores_list)which, 0, 1, list, value, &err));
        for (int i = 1; i < 200; i++)
            if (value[i] == value[i - 1]) ck_assert_uint_gt(list[i], list[i - 1]);
        ck_assert(value[0] == (which ? -2.0f : 2.0f) && value[199] == (which ? -1.0f : 1.0f));
    }
    tamis_scores_close(&scores);
    tamis_store_close(&train);
    tamis_store_close(&queries);
    tamis_context_destroy(&context);
    leave_scratch();
}
END_TEST

/* --- statistics ------------------------------------------------------------------------------- */

static void check_statistics(const scene *s, const char *path, const unsigned char *skip)
{
    tamis_scores *scores = NULL;
    ck_ok(tamis_scores_open(&scores, s->context, path, &err));
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    for (uint64_t q = 0; q < QUERIES; q++) {
        double sum = 0, square = 0;
        uint64_t n = 0;
        for (uint64_t i = 0; i < ROWS; i++) {
            if (skip && skip[i]) continue;
            sum += (double)s->matrix[i * QUERIES + q];
            n++;
        }
        for (uint64_t i = 0; i < ROWS; i++) {
            double off = (double)s->matrix[i * QUERIES + q] - sum / (double)n;
            if (!skip || !skip[i]) square += off * off;
        }
        double variance = square / (double)n;
        ck_assert_uint_eq(info->column_count[q], n);
        ck_assert_double_eq_tol(info->column_mean[q], sum / (double)n, 1e-12 * sqrt(variance));
        ck_assert_double_eq_tol(info->column_variance[q], variance, 1e-12 * variance);
    }
    tamis_scores_close(&scores);
}

START_TEST(test_statistics)
{
    scene s = open_scene();
    check_statistics(&s, "matrix.h5", NULL);
    tamis_score_params params = params_of(&s, "lists.h5");
    params.top = 3;
    ck_ok(tamis_score(s.context, &params, NULL, &err));
    check_statistics(&s, "lists.h5", NULL);
    close_scene(&s);
}
END_TEST

/* --- reductions ------------------------------------------------------------------------------- */

/* Means of the groups of row i: a, b, c. */
static void group_means(const float *scores, double mean[3])
{
    double n[3] = {0};
    memset(mean, 0, 3 * sizeof *mean);
    for (int q = 0; q < QUERIES; q++) {
        mean[group_of[q]] += (double)scores[q];
        n[group_of[q]] += 1;
    }
    for (int g = 0; g < 3; g++) mean[g] /= n[g];
}

static double reduced(const float *scores, tamis_reduce reduce, uint64_t column)
{
    double mean[3], sum = 0, most = -HUGE_VAL;
    group_means(scores, mean);
    for (int q = 0; q < QUERIES; q++) {
        sum += (double)scores[q];
        most = fmax(most, (double)scores[q]);
    }
    switch (reduce) {
    case TAMIS_REDUCE_MEAN: return sum / QUERIES;
    case TAMIS_REDUCE_SUM: return sum;
    case TAMIS_REDUCE_MAX: return most;
    case TAMIS_REDUCE_GROUP_MEAN: return mean[column];
    default: return fmax(mean[0], fmax(mean[1], mean[2]));
    }
}

START_TEST(test_reductions)
{
    tamis_reduce reduce = (tamis_reduce)_i;
    uint64_t columns = reduce == TAMIS_REDUCE_GROUP_MEAN ? 3 : 1;
    scene s = open_scene();
    tamis_score_params params = params_of(&s, "reduced.h5");
    params.reduce = reduce;
    ck_ok(tamis_score(s.context, &params, NULL, &err));
    float *got = load_scores(s.context, "reduced.h5", columns);
    double largest = 0;
    for (uint64_t i = 0; i < ROWS * QUERIES; i++)
        largest = fmax(largest, fabs((double)s.matrix[i]));
    for (uint64_t i = 0; i < ROWS; i++)
        for (uint64_t c = 0; c < columns; c++) {
            double want = reduced(s.matrix + i * QUERIES, reduce, c);
            double room = largest * (reduce == TAMIS_REDUCE_SUM ? QUERIES : 1);
            ck_assert_double_eq_tol((double)got[i * columns + c], want, 1e-6 * room);
        }
    free(got);

    /* The best of each, and the same bytes when queries come in several passes. */
    params.top = 5;
    ck_ok(tamis_score(s.context, &params, NULL, &err));
    tamis_context *small = make_context(3, 2 * MIB);
    tamis_store *train = open_store(small, "t.h5"), *query = open_store(small, "q.h5");
    params.train = train, params.query = query, params.path = "small.h5";
    ck_ok(tamis_score(small, &params, NULL, &err));
    ck_same_bytes("reduced.h5", "small.h5");
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&small);
    close_scene(&s);
}
END_TEST

START_TEST(test_reductions_refused)
{
    scene s = open_scene();
    tamis_score_params params = params_of(&s, "no.h5");
    params.scorer = "self", params.query = NULL, params.reduce = TAMIS_REDUCE_MEAN;
    ck_fails(tamis_score(s.context, &params, NULL, &err), TAMIS_ERR_ARG, "no columns");
    params = params_of(&s, "no.h5");
    params.query = s.train, params.reduce = TAMIS_REDUCE_GROUP_MAX;
    ck_fails(tamis_score(s.context, &params, NULL, &err), TAMIS_ERR_ARG, "has no groups");
    close_scene(&s);
}
END_TEST

/* --- rows without a score --------------------------------------------------------------------- */

START_TEST(test_bad_rows)
{
    static const unsigned char bad[ROWS] = {[0] = 1, [300] = 1, [ROWS - 2] = 1};
    scene s = open_scene();
    tamis_store_close(&s.train);
    for (uint64_t i = 0; i < ROWS; i++)
        if (bad[i]) poison(s.context, &train_plan, i);
    s.train = open_store(s.context, "t.h5");
    tamis_score_params params = params_of(&s, "skipped.h5");
    tamis_score_report report;
    ck_fails(tamis_score(s.context, &params, NULL, &err), TAMIS_ERR_NUMERIC,
             "row 0 (id 7000) at checkpoint 0 is not finite");
    params.skip_bad_rows = true;
    ck_ok(tamis_score(s.context, &params, &report, &err));
    ck_assert_uint_eq(report.skipped, 3);
    float *got = load_scores(s.context, "skipped.h5", QUERIES);
    for (uint64_t i = 0; i < ROWS * QUERIES; i++)
        ck_assert(bad[i / QUERIES] ? isnan(got[i]) : got[i] == s.matrix[i]);
    check_statistics(&s, "skipped.h5", bad);
    free(got);
    params.top = ROWS, params.path = "lists.h5";
    ck_ok(tamis_score(s.context, &params, NULL, &err));
    tamis_scores *scores = NULL;
    uint64_t *rows = calloc(ROWS, sizeof *rows);
    float *values = calloc(ROWS, sizeof *values);
    ck_ok(tamis_scores_open(&scores, s.context, "lists.h5", &err));
    ck_ok(tamis_scores_read_list(scores, TAMIS_SCORES_TOP, 5, 1, rows, values, &err));
    for (uint64_t i = 0; i < ROWS; i++)
        ck_assert(i < ROWS - 3 ? !bad[rows[i]] : rows[i] == TAMIS_SCORES_NO_ROW);
    free(rows);
    free(values);
    tamis_scores_close(&scores);
    close_scene(&s);
}
END_TEST

/* --- resuming --------------------------------------------------------------------------------- */

static int stop_after(void *cookie, const char *phase, uint64_t done, uint64_t total,
                      const char *unit, const char *note)
{
    int *left = cookie;
    (void)done, (void)total, (void)unit, (void)note;
    return !strcmp(phase, "scoring") && --*left <= 0;
}

/* One run that is stopped after so many blocks. */
static tamis_status run_some(int blocks, unsigned threads, uint64_t memory, const char *scorer,
                             uint64_t *ret_resumed)
{
    tamis_context *context = NULL;
    tamis_context_params params = {
        .threads = threads, .memory = memory, .progress = stop_after, .cookie = &blocks};
    ck_ok(tamis_context_create(&context, &params, &err));
    scene s = {.train = open_store(context, "t.h5"), .query = open_store(context, "q.h5")};
    tamis_score_params run = params_of(&s, "resumed.h5");
    tamis_score_report report = {0};
    run.scorer = scorer, run.resume = true, run.force = false;
    tamis_status status = tamis_score(context, &run, &report, &err);
    if (ret_resumed) *ret_resumed = report.resumed;
    tamis_store_close(&s.train);
    tamis_store_close(&s.query);
    tamis_context_destroy(&context);
    return status;
}

/* Stopped after every block, with other threads and memory each time; in one pass and in
 * several. */
START_TEST(test_resume)
{
    scene s = open_scene();
    uint64_t first = _i ? MIB * 6 / 10 : 0, resumed = 0;
    int runs = 0;
    for (;; runs++) {
        ck_assert_int_lt(runs, 40);
        uint64_t memory = runs == 0 ? first : runs % 2 ? 0 : 8 * MIB;
        tamis_status status = run_some(1, 1 + (unsigned)runs % 3, memory, "tracin", &resumed);
        if (status == TAMIS_OK) break;
        ck_assert_int_eq(status, TAMIS_ERR_CANCELLED);
        ck_assert_int_eq(access("resumed.h5.spool", F_OK), 0);
        ck_assert_int_ne(access("resumed.h5", F_OK), 0);
        ck_assert_int_ne(access("resumed.h5.part", F_OK), 0);
    }
    ck_assert_int_ge(runs, _i ? 9 : 4);
    ck_assert_uint_ge(resumed, _i ? 8 : 4);
    ck_same_bytes("matrix.h5", "resumed.h5");
    ck_assert_int_ne(access("resumed.h5.spool", F_OK), 0);
    close_scene(&s);
}
END_TEST

START_TEST(test_resume_refused)
{
    scene s = open_scene();
    ck_assert_int_eq(run_some(2, 1, 0, "tracin", NULL), TAMIS_ERR_CANCELLED);
    ck_fails(run_some(99, 1, 0, "cosine", NULL), TAMIS_ERR_SHAPE, "resumed.h5.spool");
    ck_ok(run_some(99, 1, 0, "tracin", NULL));
    /* The same rows with other learning rates. */
    static const double rates[] = {0.25, 0.1, 0.3};
    ck_assert_int_eq(unlink("resumed.h5"), 0);
    ck_assert_int_eq(run_some(2, 1, 0, "tracin", NULL), TAMIS_ERR_CANCELLED);
    tamis_store_close(&s.train);
    write_rich(s.context, &train_plan, &(extras){.rate = rates});
    s.train = open_store(s.context, "t.h5");
    ck_fails(run_some(99, 1, 0, "tracin", NULL), TAMIS_ERR_SHAPE, "resumed.h5.spool");
    tamis_score_params params = params_of(&s, "no.h5");
    params.resume = true, params.top = 3;
    ck_fails(tamis_score(s.context, &params, NULL, &err), TAMIS_ERR_ARG, "leave out resume");
    params.top = 0, params.reduce = TAMIS_REDUCE_MAX;
    ck_fails(tamis_score(s.context, &params, NULL, &err), TAMIS_ERR_ARG, "leave out resume");
    /* The best group may be one of an earlier pass. */
    params.reduce = TAMIS_REDUCE_NONE, params.scorer = "less";
    ck_fails(tamis_score(s.context, &params, NULL, &err), TAMIS_ERR_ARG, "leave out resume");
    close_scene(&s);
}
END_TEST

/* Without resume a cancelled run leaves nothing. */
START_TEST(test_cancel)
{
    scene s = open_scene();
    ck_cancels("tracin", true, "scoring");
    ck_assert_int_ne(access("cancelled.h5.spool", F_OK), 0);
    close_scene(&s);
}
END_TEST

/* What a scorer holds at once counts together against the memory limit: here the kernel of trak,
 * the blocks that it is summed from, and the prepared queries. */
START_TEST(test_memory_is_added_up)
{
    enter_scratch();
    const uint64_t n = 150, queries = 70;
    const uint64_t kernel = n * n * sizeof(double), held = queries * n * sizeof(float);
    const uint64_t blocks = n * (512 * sizeof(double) + 32 * sizeof(float));
    store_plan t = {.path = "t.h5", .rows = 300, .columns = n, .checkpoints = 1, .seed = 1},
               q = {.path = "q.h5", .rows = queries, .columns = n, .checkpoints = 1, .seed = 2};
    for (int enough = 0; enough < 2; enough++) {
        tamis_context *context = make_context(1, kernel + held + blocks - (enough ? 0 : 64));
        if (!enough) write_store(context, &t), write_store(context, &q);
        tamis_store *train = open_store(context, "t.h5"), *query = open_store(context, "q.h5");
        tamis_status status = score_to(context, "trak:out-to-loss=false", train, query, "s.h5",
                                       false);
        ck_assert_int_eq(status, enough ? TAMIS_OK : TAMIS_ERR_NOMEM);
        tamis_store_close(&train);
        tamis_store_close(&query);
        tamis_context_destroy(&context);
    }
    leave_scratch();
}
END_TEST

/* Every allocation and every write of a run with everything. */
START_TEST(test_faults)
{
    scene s = open_scene();
    void (*const faults[2])(long) = {tamis__fault_memory_after, tamis__fault_io_after};
    for (int f = 0; f < 2; f++)
        for (long n = 0;; n++) {
            tamis_score_params params = params_of(&s, "faults.h5");
            params.top = 3, params.bottom = 2;
            params.reduce = TAMIS_REDUCE_GROUP_MEAN, params.panel = TAMIS_PANEL_FAST;
            err = (tamis_error){0};
            ck_assert_int_lt(n, 3000);
            faults[f](n);
            tamis_status status = tamis_score(s.context, &params, NULL, &err);
            faults[f](-1);
            ck_assert_int_ne(access("faults.h5.part", F_OK), 0);
            if (status == TAMIS_OK) break;
            ck_assert(status == TAMIS_ERR_NOMEM || status == TAMIS_ERR_IO);
            ck_assert_str_ne(err.message, "");
        }
    close_scene(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("output");
    TCase *tc = tcase_create("output");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_lists);
    tcase_add_test(tc, test_ties);
    tcase_add_test(tc, test_statistics);
    tcase_add_loop_test(tc, test_reductions, TAMIS_REDUCE_MEAN, TAMIS_REDUCE_GROUP_MAX + 1);
    tcase_add_test(tc, test_reductions_refused);
    tcase_add_test(tc, test_bad_rows);
    tcase_add_loop_test(tc, test_resume, 0, 2);
    tcase_add_test(tc, test_resume_refused);
    tcase_add_test(tc, test_cancel);
    tcase_add_test(tc, test_memory_is_added_up);
    tcase_add_test(tc, test_faults);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
