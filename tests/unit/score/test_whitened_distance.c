/* Distances and cosines of whitened rows against plain loops in double.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/scene.h"

#include <tamis/curvature.h>

#include "base/context.h"
#include "store/curvature_file.h"

/* Rows beyond two blocks of the engine, columns beyond a step, queries beyond a tile. */
enum { ROWS = 600, QUERIES = 70, COLUMNS = 60, CHECKPOINTS = 2 };

static store_plan train_plan = {
    .path = "t.h5", .rows = ROWS, .columns = COLUMNS, .checkpoints = CHECKPOINTS, .seed = 1};
static const store_plan query_plan = {
    .path = "q.h5", .rows = QUERIES, .columns = COLUMNS, .checkpoints = CHECKPOINTS, .seed = 2};

static tamis_context *context;
static tamis_store *train, *query;
static tamis_curvature *white;
static const char *const names[] = {"a", "b", "c"};
static int32_t group_of[QUERIES];

static void fit(void)
{
    tamis_fit_curvature_params params = {.kind = TAMIS_CURVATURE_WHITEN,
                                         .train = train,
                                         .with = &query,
                                         .n_with = 1,
                                         .until = TAMIS_STAGE_FINAL,
                                         .path = "w.h5",
                                         .force = true};
    ck_ok(tamis_fit_curvature(context, &params, &err));
    ck_ok(tamis_curvature_open(&white, context, "w.h5", &err));
}

static void setup(void)
{
    enter_scratch();
    context = make_context(2, 0);
    for (int q = 0; q < QUERIES; q++) group_of[q] = q % 3;
    extras e = {.group = group_of, .group_name = names, .groups = 3};
    train_plan.dtype = TAMIS_F32;
    train = make_rich(context, &train_plan, &(extras){0});
    query = make_rich(context, &query_plan, &e);
    fit();
}

static void teardown(void)
{
    tamis_curvature_close(&white);
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}

static tamis_score_params params_of(const char *scorer, const char *path)
{
    return (tamis_score_params){.scorer = scorer,
                                .train = train,
                                .query = query,
                                .curvature = white,
                                .path = path,
                                .force = true};
}

/* --- brute force ------------------------------------------------------------------------------ */

/* [rows, COLUMNS] L^-1 (sum over checkpoints of x - mean), by substitution. */
static double *whitened(const tamis_store *store, bool unit)
{
    uint64_t rows = tamis_store_info_get(store)->rows;
    const tamis__curvature_place at_mean = {.array = TAMIS__WHITEN_MEAN},
                                 at_factor = {.array = TAMIS__WHITEN_FACTOR};
    double mean[COLUMNS], *l = calloc(COLUMNS * COLUMNS, sizeof *l),
                          *z = calloc(rows * COLUMNS, sizeof *z);
    ck_ok(tamis__curvature_read(white, &at_mean, mean, &err));
    ck_ok(tamis__curvature_read(white, &at_factor, l, &err));
    for (uint32_t k = 0; k < CHECKPOINTS; k++) {
        double *x = read_rows(store, k);
        for (uint64_t i = 0; i < rows * COLUMNS; i++) z[i] += x[i];
        free(x);
    }
    for (uint64_t r = 0; r < rows; r++) {
        double *row = z + r * COLUMNS, norm = 0;
        for (int i = 0; i < COLUMNS; i++) {
            row[i] -= mean[i];
            for (int j = 0; j < i; j++) row[i] -= l[i * COLUMNS + j] * row[j];
            row[i] /= l[i * COLUMNS + i];
            norm += row[i] * row[i];
        }
        for (int i = 0; i < COLUMNS && unit; i++) row[i] /= sqrt(norm);
    }
    free(l);
    return z;
}

static double product_of(const double *x, const double *y)
{
    double sum = 0;
    for (int i = 0; i < COLUMNS; i++) sum += x[i] * y[i];
    return sum;
}

static double distance_of(const double *x, const double *y)
{
    double sum = 0;
    for (int i = 0; i < COLUMNS; i++) sum += (x[i] - y[i]) * (x[i] - y[i]);
    return sqrt(sum);
}

static double *brute(bool unit, bool cosine)
{
    double *x = whitened(train, unit), *y = whitened(query, unit),
           *out = calloc(ROWS * QUERIES, sizeof *out);
    for (uint64_t i = 0; i < ROWS; i++)
        for (uint64_t q = 0; q < QUERIES; q++)
            out[i * QUERIES + q] = cosine ? product_of(x + i * COLUMNS, y + q * COLUMNS)
                                          : -distance_of(x + i * COLUMNS, y + q * COLUMNS);
    free(x);
    free(y);
    return out;
}

static const struct {
    const char *scorer;
    bool unit, cosine;
} cases[] = {
    {"whitened-distance", true, false},
    {"whitened-distance:unit=false", false, false},
    {"whitened-distance:metric=cosine", true, true},
};
enum { N_CASES = sizeof cases / sizeof *cases };

static const tamis_dtype dtypes[] = {TAMIS_F32, TAMIS_F16, TAMIS_BF16, TAMIS_I8};

static void ck_case(int i)
{
    tamis_score_params params = params_of(cases[i].scorer, "s.h5");
    double *want = brute(cases[i].unit, cases[i].cosine);
    ck_ok(tamis_score(context, &params, NULL, &err));
    float *got = load_scores(context, "s.h5", QUERIES);
    ck_assert_double_lt(worst_difference(got, want, ROWS * QUERIES), 1e-6);
    free(got);
    free(want);
}

START_TEST(test_formula)
{
    for (size_t d = 0; d < 4; d++) {
        tamis_store_close(&train);
        train_plan.dtype = dtypes[d];
        train = make_rich(context, &train_plan, &(extras){0});
        ck_case(_i);
    }
    /* In shards, the rows of one of them not mapped together with the others'. */
    tamis_store_close(&train);
    store_plan shards = train_plan;
    shards.path = "shards", shards.shard_rows = 256;
    train = make_rich(context, &shards, &(extras){0});
    ck_case(_i);
}
END_TEST

/* A row of the training store as a query is nearest to itself, at 0 but for the rounding of the
 * root of a difference. */
START_TEST(test_itself)
{
    for (int i = 0; i < 2; i++) {
        tamis_score_params params = params_of(cases[i].scorer, "s.h5");
        params.query = train;
        params.top = 2;
        ck_ok(tamis_score(context, &params, NULL, &err));
        tamis_scores *s = NULL;
        uint64_t row[2];
        float score[2];
        ck_ok(tamis_scores_open(&s, context, "s.h5", &err));
        for (uint64_t q = 0; q < ROWS; q++) {
            ck_ok(tamis_scores_read_list(s, TAMIS_SCORES_TOP, q, 1, row, score, &err));
            ck_assert_uint_eq(row[0], q);
            ck_assert(score[0] <= 0.0f && score[0] > (i ? -1e-2f : -1e-3f));
            ck_assert(score[1] < -0.5f);
        }
        tamis_scores_close(&s);
    }
}
END_TEST

/* --- the same bits ---------------------------------------------------------------------------- */

START_TEST(test_same_bits)
{
    store_plan shards = train_plan;
    uint64_t memory = 300000;
    unsigned refused = 0;
    tamis_score_params params = params_of(cases[_i].scorer, "s.h5");
    ck_ok(tamis_score(context, &params, NULL, &err));
    params.path = "other.h5";
    shards.path = "shards", shards.shard_rows = 256;
    write_rich(context, &shards, &(extras){0});
    for (unsigned n = 1; n < 9; n++) {
        tamis_context *other = make_context(n % 4 + 1, n < 6 ? 0 : memory);
        params.train = open_store(other, n % 2 ? "shards" : "t.h5");
        tamis_status status = tamis_score(other, &params, NULL, &err);
        if (status == TAMIS_ERR_NOMEM && n >= 6) {
            memory += memory / 3;
            refused++;
            n--;
        } else {
            ck_ok(status);
            ck_same_bytes("s.h5", "other.h5");
        }
        tamis_store_close(&params.train);
        tamis_context_destroy(&other);
    }
    ck_assert_uint_gt(refused, 0);
}
END_TEST

/* Candidates get the scores that they have among all rows. */
START_TEST(test_candidates)
{
    uint64_t first[2] = {0, 0}, row[ROWS];
    for (uint64_t i = 0; i < ROWS; i++)
        if (i % 7 == 3 || (i > 300 && i < 340)) row[first[1]++] = i;
    tamis_candidates list = {.queries = 1, .first = first, .row = row};
    tamis_score_params params = params_of(cases[_i].scorer, "s.h5");
    ck_ok(tamis_score(context, &params, NULL, &err));
    float *all = load_scores(context, "s.h5", QUERIES);
    params.candidates = &list;
    ck_ok(tamis_score(context, &params, NULL, &err));
    float *some = load_scores(context, "s.h5", QUERIES);
    for (uint64_t i = 0, at = 0; i < ROWS; i++) {
        bool listed = at < first[1] && row[at] == i;
        at += listed;
        for (uint64_t q = 0; q < QUERIES; q++) {
            float x = all[i * QUERIES + q], y = some[i * QUERIES + q];
            if (listed) ck_assert_int_eq(memcmp(&x, &y, sizeof x), 0);
            if (!listed) ck_assert(isnan(y));
        }
    }
    free(all);
    free(some);
}
END_TEST

/* --- rows and reductions ---------------------------------------------------------------------- */

START_TEST(test_bad_rows)
{
    tamis_score_params params = params_of(cases[_i].scorer, "s.h5");
    double *want = brute(cases[_i].unit, cases[_i].cosine);
    tamis_store_close(&train);
    poison(context, &train_plan, 270);
    params.train = train = open_store(context, "t.h5");
    ck_fails(tamis_score(context, &params, NULL, &err), TAMIS_ERR_NUMERIC, "row 270 (id 7270)");
    params.skip_bad_rows = true;
    ck_ok(tamis_score(context, &params, NULL, &err));
    float *got = load_scores(context, "s.h5", QUERIES);
    for (uint64_t i = 270 * QUERIES; i < 271 * QUERIES; i++) {
        ck_assert(isnan(got[i]));
        got[i] = 0;
        want[i] = 0;
    }
    ck_assert_double_lt(worst_difference(got, want, ROWS * QUERIES), 1e-6);
    free(got);
    free(want);
}
END_TEST

START_TEST(test_reductions)
{
    double *want = brute(true, true), group[ROWS * 3] = {0};
    tamis_score_params params = params_of("whitened-distance:metric=cosine", "s.h5");
    params.reduce = TAMIS_REDUCE_GROUP_MEAN;
    for (int i = 0; i < ROWS; i++)
        for (int q = 0; q < QUERIES; q++)
            group[i * 3 + q % 3] += want[i * QUERIES + q] / (q % 3 == 0 ? 24.0 : 23.0);
    ck_ok(tamis_score(context, &params, NULL, &err));
    float *got = load_scores(context, "s.h5", 3);
    ck_assert_double_lt(worst_difference(got, group, ROWS * 3), 1e-6);
    free(got);
    free(want);
    want = brute(true, false);
    params = params_of("whitened-distance", "s.h5");
    params.reduce = TAMIS_REDUCE_MAX;
    for (int i = 0; i < ROWS; i++) {
        group[i] = want[i * QUERIES];
        for (int q = 1; q < QUERIES; q++) group[i] = fmax(group[i], want[i * QUERIES + q]);
    }
    ck_ok(tamis_score(context, &params, NULL, &err));
    got = load_scores(context, "s.h5", 1);
    ck_assert_double_lt(worst_difference(got, group, ROWS), 1e-6);
    free(got);
    free(want);
}
END_TEST

/* --- refusals --------------------------------------------------------------------------------- */

START_TEST(test_refusals)
{
    tamis_score_params params = params_of("whitened-distance:metric=cosine,unit=false", "o.h5");
    ck_fails(tamis_score(context, &params, NULL, &err), TAMIS_ERR_ARG, "leave out unit=false");
    params.scorer = "whitened-distance";
    params.reduce = TAMIS_REDUCE_MEAN;
    ck_fails(tamis_score(context, &params, NULL, &err), TAMIS_ERR_ARG, "mean of distances");
    params.reduce = TAMIS_REDUCE_NONE;
    params.curvature = NULL;
    ck_fails(tamis_score(context, &params, NULL, &err), TAMIS_ERR_ARG, "needs a curvature file");
    static const char *const others[] = {"ekfac", "inverse-gram", "diagonal", "kfac"};
    for (int i = 0; i < 4; i++) {
        params = params_of(others[i], "o.h5");
        ck_fails(tamis_score(context, &params, NULL, &err), TAMIS_ERR_ARG, "is of kind whiten");
    }
    params = params_of("self", "o.h5");
    params.query = NULL;
    ck_fails(tamis_score(context, &params, NULL, &err), TAMIS_ERR_ARG, "is of kind whiten");
    /* The other way round. */
    tamis_curvature *gram = NULL;
    tamis_fit_curvature_params fit_params = {
        .kind = TAMIS_CURVATURE_GRAM, .train = train, .until = TAMIS_STAGE_FINAL, .path = "g.h5"};
    ck_ok(tamis_fit_curvature(context, &fit_params, &err));
    ck_ok(tamis_curvature_open(&gram, context, "g.h5", &err));
    params = params_of("whitened-distance", "o.h5");
    params.curvature = gram;
    ck_fails(tamis_score(context, &params, NULL, &err), TAMIS_ERR_ARG, "tamis fit whiten");
    tamis_curvature_close(&gram);
    params = params_of("whitened-distance", "o.h5");
    context->memory = 20000;
    ck_fails(tamis_score(context, &params, NULL, &err), TAMIS_ERR_NOMEM, "--memory");
    context->memory = UINT64_C(1) << 30;
    ck_assert_int_ne(access("o.h5", F_OK), 0);
    ck_assert_int_ne(access("o.h5.part", F_OK), 0);
}
END_TEST

/* Rows of one checkpoint under a whitening of two. */
START_TEST(test_checkpoints)
{
    store_plan one = train_plan, two = query_plan;
    one.path = "one.h5", two.path = "two.h5", one.checkpoints = two.checkpoints = 1;
    tamis_score_params params = params_of("whitened-distance", "o.h5");
    params.train = make_rich(context, &one, &(extras){0});
    params.query = make_rich(context, &two, &(extras){0});
    ck_fails(tamis_score(context, &params, NULL, &err), TAMIS_ERR_SHAPE,
             "summed over 2 checkpoints, 'one.h5' has 1");
    tamis_store_close(&params.train);
    tamis_store_close(&params.query);
}
END_TEST

START_TEST(test_faults)
{
    void (*const faults[2])(long) = {tamis__fault_memory_after, tamis__fault_io_after};
    tamis_score_params params = params_of(cases[_i].scorer, "faults.h5");
    for (int f = 0; f < 2; f++)
        for (long n = 0;; n++) {
            ck_assert_int_lt(n, 3000);
            err = (tamis_error){0};
            faults[f](n);
            tamis_status status = tamis_score(context, &params, NULL, &err);
            faults[f](-1);
            ck_assert_int_ne(access("faults.h5.part", F_OK), 0);
            if (status == TAMIS_OK) break;
            ck_assert(status == TAMIS_ERR_NOMEM || status == TAMIS_ERR_IO);
            ck_assert_str_ne(err.message, "");
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("score whitened-distance");
    TCase *tc = tcase_create("whitened-distance");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_formula, 0, N_CASES);
    tcase_add_test(tc, test_itself);
    tcase_add_loop_test(tc, test_same_bits, 0, N_CASES);
    tcase_add_loop_test(tc, test_candidates, 0, N_CASES);
    tcase_add_loop_test(tc, test_bad_rows, 0, N_CASES);
    tcase_add_test(tc, test_reductions);
    tcase_add_test(tc, test_refusals);
    tcase_add_test(tc, test_checkpoints);
    tcase_add_loop_test(tc, test_faults, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
