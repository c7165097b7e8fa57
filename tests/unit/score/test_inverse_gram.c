/* inverse-gram, self under a dense curvature and curvatures of one checkpoint among several,
 * against plain loops.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "scene.h"

#include <tamis/convert.h>

#include "base/context.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"
#include "store/curvature_file.h"

enum { ROWS = 90, COLUMNS = 40, QUERIES = 5, CHECKPOINTS = 3, AT = 1 };

static const store_plan train_plan = {
    .path = "t.h5", .rows = ROWS, .columns = COLUMNS, .checkpoints = CHECKPOINTS, .seed = 1};
static const store_plan query_plan = {
    .path = "q.h5", .rows = QUERIES, .columns = COLUMNS, .checkpoints = CHECKPOINTS, .seed = 2};

static tamis_context *context;
static tamis_store *train, *query;

/* A curvature of checkpoint AT: the mean of x x^T, or of x^2. */
static void write_curvature(tamis_curvature_kind kind, const char *path)
{
    tamis_layer layer[2];
    bool started = false;
    uint32_t layers = plan_layers(&train_plan, layer);
    double k[COLUMNS * COLUMNS] = {0};
    tamis__curvature_writer *writer = NULL;
    tamis__curvature_place place;
    layer[1].first_column = tamis_layer_columns(&layer[0]);
    for (uint64_t r = 0; r < ROWS; r++)
        for (uint64_t i = 0; i < COLUMNS; i++)
            for (uint64_t j = 0; j < COLUMNS; j++) {
                double x = (double)plan_value(&train_plan, AT, r, i),
                       y = (double)plan_value(&train_plan, AT, r, j);
                if (kind == TAMIS_CURVATURE_GRAM) k[i * COLUMNS + j] += x * y / ROWS;
                if (kind == TAMIS_CURVATURE_DIAGONAL && i == j) k[i] += x * y / ROWS;
            }
    tamis_curvature_info info = {.kind = kind,
                                 .stage = TAMIS_STAGE_FINAL,
                                 .columns = COLUMNS,
                                 .layers = layers,
                                 .layer = layer,
                                 .checkpoint = AT,
                                 .provenance = "{}"};
    ck_ok(tamis__curvature_create(&writer, context, path, &info, true, &err));
    while (tamis__curvature_next(&info, &place, &started))
        ck_ok(tamis__curvature_put(
            writer, &place, kind == TAMIS_CURVATURE_GRAM ? k : k + layer[place.layer].first_column,
            &err));
    ck_ok(tamis__curvature_commit(&writer, ROWS, ROWS, &err));
}

static void setup(void)
{
    enter_scratch();
    context = make_context(2, 0);
    train = make_rich(context, &train_plan, &(extras){0});
    query = make_rich(context, &query_plan, &(extras){0});
    write_curvature(TAMIS_CURVATURE_GRAM, "gram.h5");
    write_curvature(TAMIS_CURVATURE_DIAGONAL, "diagonal.h5");
}

static void teardown(void)
{
    tamis_store_close(&train);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    leave_scratch();
}

static tamis_status score_with(const char *scorer, const char *curvature, tamis_store *t,
                               tamis_store *q)
{
    tamis_curvature *c = NULL;
    ck_ok(tamis_curvature_open(&c, context, curvature, &err));
    tamis_score_params params = {
        .scorer = scorer, .train = t, .query = q, .curvature = c, .path = "s.h5", .force = true};
    tamis_status status = tamis_score(context, &params, NULL, &err);
    tamis_curvature_close(&c);
    return status;
}

/* (K + damping)^-1, K dense or with only its diagonal, by elimination. */
static void inverse(double damping, bool relative, bool diagonal, double *out)
{
    double k[COLUMNS][2 * COLUMNS] = {{0}}, trace[2] = {0};
    for (int i = 0; i < COLUMNS; i++)
        for (int j = 0; j < COLUMNS; j++)
            for (uint64_t r = 0; r < ROWS; r++)
                if (!diagonal || i == j)
                    k[i][j] += (double)plan_value(&train_plan, AT, r, (uint64_t)i) *
                               (double)plan_value(&train_plan, AT, r, (uint64_t)j) / ROWS;
    /* A diagonal curvature is damped by layers, the first of 18 columns. */
    for (int i = 0; i < COLUMNS; i++) trace[diagonal && i >= 18] += k[i][i];
    for (int i = 0; i < COLUMNS; i++) {
        int second = diagonal && i >= 18, width = diagonal ? (second ? COLUMNS - 18 : 18) : COLUMNS;
        k[i][i] += damping * (relative ? trace[second] / width : 1);
        k[i][COLUMNS + i] = 1;
    }
    for (int p = 0; p < COLUMNS; p++) {
        double pivot = k[p][p];
        for (int j = 0; j < 2 * COLUMNS; j++) k[p][j] /= pivot;
        for (int i = 0; i < COLUMNS; i++) {
            double factor = k[i][p];
            for (int j = 0; i != p && j < 2 * COLUMNS; j++) k[i][j] -= factor * k[p][j];
        }
    }
    for (int i = 0; i < COLUMNS; i++)
        memcpy(out + i * COLUMNS, &k[i][COLUMNS], COLUMNS * sizeof *out);
}

static double form(const double *k, const store_plan *a, uint64_t i, const store_plan *b,
                   uint64_t j)
{
    double sum = 0;
    for (uint64_t c = 0; c < COLUMNS; c++)
        for (uint64_t e = 0; e < COLUMNS; e++)
            sum += (double)plan_value(a, AT, i, c) * k[c * COLUMNS + e] *
                   (double)plan_value(b, AT, j, e);
    return sum;
}

static const struct {
    const char *scorer, *self, *curvature;
    double damping;
    bool relative, diagonal;
} cases[] = {
    {"inverse-gram", "self", "gram.h5", 0.1, true, false},
    {"inverse-gram:damping=0.5,damping-unit=absolute", "self:damping=0.5,damping-unit=absolute",
     "gram.h5", 0.5, false, false},
    {"diagonal", "self:kind=diagonal", "diagonal.h5", 0.1, true, true},
    {"diagonal:damping=0.02,damping-unit=absolute", "self:damping=0.02,damping-unit=absolute",
     "diagonal.h5", 0.02, false, true},
};

/* A store of that checkpoint alone scores the same. */
START_TEST(test_formula)
{
    double k[COLUMNS * COLUMNS], want[ROWS * QUERIES], self[ROWS];
    tamis_store *one = NULL;
    tamis_convert_params params = {.store = train, .path = "one.h5", .checkpoints = "1"};
    inverse(cases[_i].damping, cases[_i].relative, cases[_i].diagonal, k);
    for (uint64_t i = 0; i < ROWS; i++) {
        self[i] = form(k, &train_plan, i, &train_plan, i);
        for (uint64_t q = 0; q < QUERIES; q++)
            want[i * QUERIES + q] = form(k, &train_plan, i, &query_plan, q);
    }
    ck_ok(tamis_convert(context, &params, NULL, &err));
    ck_ok(tamis_store_open(&one, context, "one.h5", &err));
    tamis_store *stores[2] = {train, one};
    for (int i = 0; i < 2; i++) {
        ck_ok(score_with(cases[_i].scorer, cases[_i].curvature, stores[i], query));
        float *got = load_scores(context, "s.h5", QUERIES);
        ck_assert_double_lt(worst_difference(got, want, ROWS * QUERIES), 1e-6);
        free(got);
        ck_ok(score_with(cases[_i].self, cases[_i].curvature, stores[i], NULL));
        got = load_scores(context, "s.h5", 1);
        ck_assert_double_lt(worst_difference(got, self, ROWS), 1e-6);
        free(got);
    }
    tamis_store_close(&one);
}
END_TEST

START_TEST(test_bad_rows)
{
    double k[COLUMNS * COLUMNS], want[ROWS * QUERIES];
    inverse(0.1, true, true, k);
    for (uint64_t i = 0; i < ROWS; i++)
        for (uint64_t q = 0; q < QUERIES; q++)
            want[i * QUERIES + q] = form(k, &train_plan, i, &query_plan, q);
    tamis_store_close(&train);
    /* A row that is bad at another checkpoint does not matter. */
    poison(context, &train_plan, 7);
    train = open_store(context, "t.h5");
    ck_ok(score_with("diagonal", "diagonal.h5", train, query));
    float *got = load_scores(context, "s.h5", QUERIES);
    ck_assert_double_lt(worst_difference(got, want, ROWS * QUERIES), 1e-6);
    free(got);
}
END_TEST

START_TEST(test_refusals)
{
    tamis_store *two = NULL;
    tamis_convert_params params = {.store = train, .path = "two.h5", .checkpoints = "0-1"};
    ck_fails(score_with("inverse-gram:damping=0", "diagonal.h5", train, query), TAMIS_ERR_ARG,
             "of kind diagonal: fit one of kind gram");
    ck_fails(score_with("ekfac", "gram.h5", train, query), TAMIS_ERR_ARG, "of kind gram");
    /* Checkpoint 1 is there, but of a store with one less; of the query store it is not. */
    ck_ok(tamis_convert(context, &params, NULL, &err));
    ck_ok(tamis_store_open(&two, context, "two.h5", &err));
    ck_ok(score_with("diagonal", "diagonal.h5", two, query));
    tamis_store_close(&two);
    context->memory = 20000;
    ck_fails(score_with("inverse-gram", "gram.h5", train, query), TAMIS_ERR_NOMEM, "project");
    context->memory = UINT64_C(1) << 30;
}
END_TEST

START_TEST(test_faults)
{
    void (*const faults[2])(long) = {tamis__fault_memory_after, tamis__fault_io_after};
    const char *scorer = _i ? "self" : "inverse-gram";
    tamis_curvature *c = NULL;
    ck_ok(tamis_curvature_open(&c, context, "gram.h5", &err));
    tamis_score_params params = {.scorer = scorer,
                                 .train = train,
                                 .query = _i ? NULL : query,
                                 .curvature = c,
                                 .path = "faults.h5",
                                 .force = true};
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
    tamis_curvature_close(&c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("inverse gram");
    TCase *tc = tcase_create("inverse gram");
    tcase_set_timeout(tc, 100);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_formula, 0, 4);
    tcase_add_test(tc, test_bad_rows);
    tcase_add_test(tc, test_refusals);
    tcase_add_loop_test(tc, test_faults, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
