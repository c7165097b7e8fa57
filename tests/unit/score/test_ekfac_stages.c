/* Products of factors: lists in two stages; the same bits whatever is done at once; resuming; rows
 * that are skipped; faults.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "factor_scene.h"

static const tamis__damping tenth = {0.1, true};

static const factor_plan train_plan = {.path = "t.h5", .rows = 300, .seed = 1};
static const factor_plan shard_plan = {.path = "shards", .rows = 300, .seed = 1, .shard_rows = 40};
static const factor_plan query_plan = {.path = "q.h5", .rows = 11, .seed = 3};

static tamis__spectrum *spectra;

static void begin(tamis_context *context)
{
    enter_scratch();
    write_factors(context, &train_plan);
    write_factors(context, &shard_plan);
    write_factors(context, &query_plan);
    spectra = scene_spectra(3, tenth);
}

static void end(tamis_context *context)
{
    spectra_free(spectra, SCENE_LAYERS);
    tamis_context_destroy(&context);
    leave_scratch();
}

static tamis_status run_on(tamis_context *context, const char *train, const factor_run *like,
                           const char *path, tamis__score_stages *ret_stages)
{
    factor_run run = *like;
    run.train = open_store(context, train);
    run.query = open_store(context, "q.h5");
    run.job.spectrum = spectra;
    run.params.path = path;
    tamis_status status = run_factors(context, &run);
    if (ret_stages) *ret_stages = run.stages;
    tamis_store_close(&run.train);
    tamis_store_close(&run.query);
    return status;
}

/* --- two stages ------------------------------------------------------------------------------- */

static void ck_same_lists(tamis_context *context, const char *a, const char *b, uint64_t k)
{
    tamis_scores *x = NULL, *y = NULL;
    uint64_t rows[2][11 * 20];
    float values[2][11 * 20];
    ck_ok(tamis_scores_open(&x, context, a, &err));
    ck_ok(tamis_scores_open(&y, context, b, &err));
    for (int list = 0; list < 2; list++) {
        ck_ok(tamis_scores_read_list(x, list, 0, 11, rows[0], values[0], &err));
        ck_ok(tamis_scores_read_list(y, list, 0, 11, rows[1], values[1], &err));
        ck_assert_mem_eq(rows[0], rows[1], 11 * k * sizeof **rows);
        ck_assert_mem_eq(values[0], values[1], 11 * k * sizeof **values);
    }
    tamis_scores_close(&x);
    tamis_scores_close(&y);
}

/* With enough candidates the lists have the exact product's very bits. */
START_TEST(test_all_candidates)
{
    tamis_context *context = make_context(2, 0);
    begin(context);
    factor_run run = {.params = {.top = 20, .bottom = 20}};
    tamis__score_stages stages;
    ck_ok(run_on(context, "t.h5", &run, "s.h5", NULL));
    run.job.rescore = 15;
    run.job.sample = 100;
    run.job.spectral_rank = _i == 1 ? 1 : 0;
    run.job.query_rank = _i == 2 ? 1 : 0;
    ck_ok(run_on(context, "t.h5", &run, "r.h5", &stages));
    ck_same_lists(context, "s.h5", "r.h5", 20);
    ck_assert_uint_eq(stages.spectral_rank, _i == 0 ? 16 : _i == 1);
    ck_assert_uint_eq(stages.query_rank, _i == 2);
    ck_assert_uint_eq(stages.rescored, 300 * 11);
    ck_assert_uint_eq(stages.sample, 11);
    ck_assert_double_eq(stages.recall_mean, 1.0);
    ck_assert_double_eq(stages.recall_min, 1.0);
    end(context);
}
END_TEST

/* What is reported is the share of the exact lists that is there. */
START_TEST(test_recall)
{
    tamis_context *context = make_context(2, 0);
    begin(context);
    factor_run run = {.params = {.top = 20, .bottom = 20}};
    tamis__score_stages stages;
    tamis_scores *x = NULL, *y = NULL;
    uint64_t rows[2][11 * 20];
    float values[11 * 20];
    double sum = 0, least = 1;
    ck_ok(run_on(context, "t.h5", &run, "s.h5", NULL));
    run.job = (tamis__ekfac_job){.rescore = 1, .sample = 4, .query_rank = 1};
    ck_ok(run_on(context, "t.h5", &run, "r.h5", &stages));
    ck_ok(tamis_scores_open(&x, context, "s.h5", &err));
    ck_ok(tamis_scores_open(&y, context, "r.h5", &err));
    for (int list = 0; list < 2; list++) {
        ck_ok(tamis_scores_read_list(x, list, 0, 11, rows[0], values, &err));
        ck_ok(tamis_scores_read_list(y, list, 0, 11, rows[1], values, &err));
        for (int i = 0; i < 4; i++) {
            int q = i * 11 / 4, found = 0;
            for (int a = 0; a < 20; a++)
                for (int b = 0; b < 20; b++) found += rows[0][q * 20 + a] == rows[1][q * 20 + b];
            sum += found / 20.0;
            least = fmin(least, found / 20.0);
        }
    }
    tamis_scores_close(&x);
    tamis_scores_close(&y);
    ck_assert_uint_eq(stages.sample, 4);
    ck_assert_double_eq_tol(stages.recall_mean, sum / 8, 1e-12);
    ck_assert_double_eq_tol(stages.recall_min, least, 1e-12);
    ck_assert_double_lt(least, 1.0); /* or it would prove nothing */
    end(context);
}
END_TEST

/* Means of queries are queries too. */
START_TEST(test_reduced)
{
    tamis_context *context = make_context(2, 0);
    begin(context);
    factor_run run = {.params = {.top = 20, .reduce = TAMIS_REDUCE_GROUP_MEAN}};
    tamis__score_stages stages;
    uint64_t rows[2][40];
    float values[2][40];
    tamis_scores *x = NULL, *y = NULL;
    ck_ok(run_on(context, "t.h5", &run, "s.h5", NULL));
    run.job = (tamis__ekfac_job){.rescore = 15, .sample = 2, .query_rank = 2};
    ck_ok(run_on(context, "t.h5", &run, "r.h5", &stages));
    ck_assert_double_eq(stages.recall_min, 1.0);
    ck_ok(tamis_scores_open(&x, context, "s.h5", &err));
    ck_ok(tamis_scores_open(&y, context, "r.h5", &err));
    ck_ok(tamis_scores_read_list(x, TAMIS_SCORES_TOP, 0, 2, rows[0], values[0], &err));
    ck_ok(tamis_scores_read_list(y, TAMIS_SCORES_TOP, 0, 2, rows[1], values[1], &err));
    ck_assert_mem_eq(rows[0], rows[1], sizeof *rows);
    ck_assert_mem_eq(values[0], values[1], sizeof *values);
    tamis_scores_close(&x);
    tamis_scores_close(&y);
    end(context);
}
END_TEST

START_TEST(test_refusals)
{
    tamis_context *context = make_context(1, 0);
    begin(context);
    factor_run run = {.job = {.rescore = 2}};
    ck_fails(run_on(context, "t.h5", &run, "s.h5", NULL), TAMIS_ERR_ARG, "add top");
    run.params.top = 5;
    run.job.by = TAMIS_BY_LAYER;
    ck_fails(run_on(context, "t.h5", &run, "s.h5", NULL), TAMIS_ERR_ARG,
             "leave out rescore, or by");
    run.job.by = TAMIS_BY_EXAMPLE;
    run.params.reduce = TAMIS_REDUCE_MAX;
    ck_fails(run_on(context, "t.h5", &run, "s.h5", NULL), TAMIS_ERR_ARG, "largest score");
    ck_assert_int_ne(access("s.h5", F_OK), 0);
    end(context);
}
END_TEST

/* --- the same bits ---------------------------------------------------------------------------- */

static const factor_run cases[] = {
    {.params = {.path = ""}},
    {.job = {.spectral_rank = 2}},
    {.job = {.query_rank = 3}},
    {.job = {.spectral_rank = 1, .query_rank = 2, .by = TAMIS_BY_LAYER}},
    {.job = {.by = TAMIS_BY_TOKEN}},
    {.params = {.reduce = TAMIS_REDUCE_MAX}},
    {.params = {.reduce = TAMIS_REDUCE_GROUP_MEAN}},
    {.params = {.top = 7, .bottom = 5}},
    {.job = {.rescore = 3, .query_rank = 2, .sample = 3}, .params = {.top = 7, .bottom = 5}},
};
enum { CASES = sizeof cases / sizeof *cases };

/* The smallest limit that does, to a kilobyte: then queries are taken one by one. */
static uint64_t least_memory(const char *train, const factor_run *run)
{
    uint64_t fails = 0, does = 1 << 30;
    while (does - fails > 1024) {
        uint64_t memory = fails + (does - fails) / 2;
        tamis_context *context = make_context(2, memory);
        tamis_status status = run_on(context, train, run, "o.h5", NULL);
        tamis_context_destroy(&context);
        ck_assert(status == TAMIS_OK || status == TAMIS_ERR_NOMEM);
        *(status == TAMIS_OK ? &does : &fails) = memory;
    }
    return does;
}

START_TEST(test_same_bits)
{
    tamis_context *context = make_context(2, 0);
    begin(context);
    ck_ok(run_on(context, "t.h5", &cases[_i], "s.h5", NULL));
    uint64_t least = least_memory("t.h5", &cases[_i]);
    const struct {
        unsigned threads;
        uint64_t memory;
    } other[] = {
        {1, 0},    {3, 0}, {7, 0}, {2, least}, {2, least + (40 << 10)}, {2, least + (200 << 10)},
        {1, least}};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        tamis_context *c = make_context(other[i].threads, other[i].memory);
        ck_ok(run_on(c, i % 2 ? "shards" : "t.h5", &cases[_i], "o.h5", NULL));
        ck_same_bytes("s.h5", "o.h5");
        tamis_context_destroy(&c);
    }
    end(context);
}
END_TEST

/* --- resuming --------------------------------------------------------------------------------- */

static int stop_late(void *cookie, const char *phase, uint64_t done, uint64_t total,
                     const char *unit, const char *note)
{
    (void)total, (void)unit, (void)note;
    return !strcmp(phase, "scoring") && done >= *(uint64_t *)cookie;
}

/* Stopped before anything is kept, in the only pass, or in one of several; the rest makes the same
 * file, whatever memory it has. */
START_TEST(test_resume)
{
    uint64_t stop = _i == 0 ? 100 : _i == 1 ? 650 : 400, memory = 0;
    tamis_context *context = make_context(2, 0), *stopped = NULL;
    begin(context);
    factor_plan plan = train_plan;
    factor_run run = {.params = {.resume = true}};
    plan.rows = 700;
    write_factors(context, &plan);
    memory = least_memory("t.h5", &run) + (_i == 2 ? 0 : 400 << 10);
    ck_ok(run_on(context, "t.h5", &run, "s.h5", NULL));
    tamis_context_params params = {
        .threads = 2, .memory = memory, .progress = stop_late, .cookie = &stop};
    ck_ok(tamis_context_create(&stopped, &params, &err));
    run.params.path = "r.h5";
    ck_fails(run_on(stopped, "t.h5", &run, "r.h5", NULL), TAMIS_ERR_CANCELLED, "");
    ck_assert_int_eq(access("r.h5.spool", F_OK), _i ? 0 : -1);
    ck_ok(run_on(context, "t.h5", &run, "r.h5", NULL));
    ck_assert_int_ne(access("r.h5.spool", F_OK), 0);
    ck_same_bytes("s.h5", "r.h5");
    tamis_context_destroy(&stopped);
    end(context);
}
END_TEST

/* --- rows that are not finite ----------------------------------------------------------------- */

START_TEST(test_skipped)
{
    tamis_context *context = make_context(2, 0);
    begin(context);
    /* An input of row 9 becomes infinite, and the row's norm. */
    const float *norms;
    const uint64_t *offset;
    float value[2], bad[2] = {INFINITY, INFINITY}, norm[2], bad_norm[2];
    tamis_store *store = open_store(context, "t.h5");
    ck_ok(tamis_store_norms(store, 0, &norms, &err));
    ck_ok(tamis_store_tokens(store, 0, &offset, &err));
    ck_assert_uint_gt(offset[10], offset[9]);
    float *input = calloc(4, sizeof *input);
    ck_ok(tamis_store_read_factors(store, 0, 0, offset[9], 1, input, 4, NULL, 0, &err));
    memcpy(value, input, sizeof value);
    memcpy(norm, norms + 9, sizeof norm);
    memcpy(bad_norm, (float[]){INFINITY, norm[1]}, sizeof bad_norm);
    tamis_store_close(&store);
    patch_file("t.h5", value, bad, sizeof value);
    patch_file("t.h5", norm, bad_norm, sizeof norm);
    factor_run run = {.params = {.path = ""}};
    ck_fails(run_on(context, "t.h5", &run, "s.h5", NULL), TAMIS_ERR_NUMERIC, "row 9");
    ck_ok(run_on(context, "shards", &run, "whole.h5", NULL));
    run.params.skip_bad_rows = true;
    ck_ok(run_on(context, "t.h5", &run, "s.h5", NULL));
    float *got = load_scores(context, "s.h5", 11), *want = load_scores(context, "whole.h5", 11);
    for (int i = 0; i < 300 * 11; i++)
        if (i / 11 == 9)
            ck_assert(isnan(got[i]));
        else
            ck_assert(got[i] == want[i]);
    free(input), free(got), free(want);
    end(context);
}
END_TEST

/* --- candidates ------------------------------------------------------------------------------- */

/* Whole chunks of tokens hold no candidate; the others have the scores they have among all. */
START_TEST(test_candidates)
{
    static const uint64_t row[] = {3, 250, 251, 260, 299}, first[] = {0, 5};
    static const uint64_t few[] = {255, 256}, few_first[] = {0, 2};
    const tamis_candidates lists[] = {{1, first, row}, {1, few_first, few}}, *list = &lists[_i];
    tamis_context *context = make_context(2, 0);
    begin(context);
    factor_run run = {.params = {.path = ""}};
    ck_ok(run_on(context, "t.h5", &run, "whole.h5", NULL));
    run.params.candidates = list;
    ck_ok(run_on(context, "t.h5", &run, "s.h5", NULL));
    float *got = load_scores(context, "s.h5", 11), *want = load_scores(context, "whole.h5", 11);
    for (uint64_t i = 0; i < 300; i++) {
        bool in = false;
        for (uint64_t c = 0; c < list->first[1]; c++) in |= list->row[c] == i;
        for (uint64_t at = i * 11; at < i * 11 + 11; at++)
            ck_assert(in ? got[at] == want[at] : isnan(got[at]));
    }
    free(got), free(want);
    end(context);
}
END_TEST

/* --- faults ----------------------------------------------------------------------------------- */

START_TEST(test_faults)
{
    void (*const faults[2])(long) = {tamis__fault_memory_after, tamis__fault_io_after};
    tamis_context *context = make_context(2, 0);
    begin(context);
    factor_run run = cases[_i];
    run.train = open_store(context, "t.h5");
    run.query = open_store(context, "q.h5");
    run.job.spectrum = spectra;
    run.params.path = "faults.h5";
    for (int f = 0; f < 2; f++)
        for (long n = 0;; n++) {
            ck_assert_int_lt(n, 3000);
            err = (tamis_error){0};
            faults[f](n);
            tamis_status status = run_factors(context, &run);
            faults[f](-1);
            ck_assert_int_ne(access("faults.h5.part", F_OK), 0);
            if (status == TAMIS_OK) break;
            ck_assert(status == TAMIS_ERR_NOMEM || status == TAMIS_ERR_IO);
            ck_assert_str_ne(err.message, "");
        }
    tamis_store_close(&run.train);
    tamis_store_close(&run.query);
    end(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ekfac stages");
    TCase *tc = tcase_create("ekfac stages");
    tcase_set_timeout(tc, 300);
    tcase_add_loop_test(tc, test_all_candidates, 0, 3);
    tcase_add_test(tc, test_recall);
    tcase_add_test(tc, test_reduced);
    tcase_add_test(tc, test_refusals);
    tcase_add_loop_test(tc, test_same_bits, 0, CASES);
    tcase_add_loop_test(tc, test_resume, 0, 3);
    tcase_add_test(tc, test_skipped);
    tcase_add_loop_test(tc, test_candidates, 0, 2);
    tcase_add_loop_test(tc, test_faults, 0, CASES);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
