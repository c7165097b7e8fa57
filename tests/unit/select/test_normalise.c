/* Tests of every normalisation, of a matrix and of one column, with classes, rows that are barred
 * and pairs without a score; against the definitions in plain loops.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/select.h>

#include <math.h>

#include "base/rng.h"
#include "select/matrix.h"
#include "small_files.h"

/* The last of the sizes is more than two blocks of rows. */
enum { MOST = 9000, QUERIES = 3, GROUPS = 4, SIZES = 4 };
static const uint64_t sizes[SIZES] = {1, 2, 61, MOST};

static float raw[MOST * QUERIES];
static double found[MOST * QUERIES], column[MOST], wanted[MOST];
static int32_t of[MOST];
static uint8_t standing[MOST];
static tamis_error err;

/* Ties, a column that is constant, groups of one row, of none and of rows in no group; of barred
 * rows values that would be noticed. */
static void fill(uint64_t rows, bool holes)
{
    gsl_rng *rng = tamis__rng_create();
    tamis__rng_key(rng, 4, TAMIS__STREAM_TEST, rows + holes);
    for (uint64_t i = 0; i < rows; i++) {
        double drawn = gsl_rng_uniform(rng);
        standing[i] = drawn < .2 ? TAMIS__BARRED : drawn < .4 ? TAMIS__MUST_KEEP : TAMIS__FREE;
        of[i] = i == 5 ? 3 : (int32_t)gsl_rng_uniform_int(rng, 3) - 1;
        for (uint64_t q = 0; q < QUERIES; q++) {
            float *x = &raw[i * QUERIES + q];
            *x = q == 2 ? 1.5f : (float)(int)(gsl_rng_uniform(rng) * 9) - (float)(3 * of[i]);
            if (standing[i] == TAMIS__BARRED) *x = 1000.0f * (float)(i + 1);
            if (holes && gsl_rng_uniform(rng) < .3) *x = NAN;
        }
    }
    gsl_rng_free(rng);
}

static bool counts(uint64_t i, double x)
{
    return standing[i] != TAMIS__BARRED && !isnan(x);
}

/* Among the rows of a set: those of the same class, or all. */
static double plain_one(const double *x, uint64_t rows, uint64_t row, tamis_normalise kind)
{
    bool classes = kind == TAMIS_NORMALISE_CLASS_ZSCORE;
    double n = 0, mean = 0, square = 0, low = HUGE_VAL, high = -HUGE_VAL, below = 0, tied = 0;
    double exponentials = 0;
    for (uint64_t i = 0; i < rows; i++) {
        if (!counts(i, x[i]) || (classes && of[i] != of[row])) continue;
        n++;
        mean += x[i];
        low = fmin(low, x[i]);
        high = fmax(high, x[i]);
        below += x[i] < x[row];
        tied += x[i] <= x[row] && x[i] >= x[row];
    }
    mean /= n;
    for (uint64_t i = 0; i < rows; i++) {
        if (!counts(i, x[i]) || (classes && of[i] != of[row])) continue;
        square += (x[i] - mean) * (x[i] - mean);
        exponentials += exp(x[i] - high);
    }
    switch (kind) {
    case TAMIS_NORMALISE_ZSCORE:
    case TAMIS_NORMALISE_CLASS_ZSCORE: return high > low ? (x[row] - mean) / sqrt(square / n) : 0;
    case TAMIS_NORMALISE_MINMAX: return high > low ? (x[row] - low) / (high - low) : 0;
    case TAMIS_NORMALISE_RANK: return n > 1 ? (below + (tied - 1) / 2) / (n - 1) : 0;
    case TAMIS_NORMALISE_SOFTMAX: return exp(x[row] - high) / exponentials;
    case TAMIS_NORMALISE_NONE: break;
    }
    return x[row];
}

static void check_column(uint64_t rows, uint64_t q, tamis_normalise kind,
                         const tamis__groups *group)
{
    for (uint64_t i = 0; i < rows; i++) column[i] = (double)raw[i * QUERIES + q];
    /* Every row of the small tables, some of the large one, whose loops take long. */
    uint64_t step = rows > 100 ? 97 : 1;
    for (uint64_t i = 0; i < rows; i += step) wanted[i] = plain_one(column, rows, i, kind);
    ck_ok(tamis__normalise(column, rows, kind, group, standing, &err));
    for (uint64_t i = 0; i < rows; i++) {
        double one = found[i * QUERIES + q];
        bool none = !counts(i, (double)raw[i * QUERIES + q]);
        ck_assert_msg((isnan(one) != 0) == none && (isnan(column[i]) != 0) == none,
                      "row %llu, kind %d", (unsigned long long)i, (int)kind);
        if (none) continue;
        ck_assert_double_eq_tol(column[i], one, 1e-11);
        if (i % step == 0) ck_assert_double_eq_tol(one, wanted[i], 1e-11);
    }
}

static void check_table(tamis_context *context, uint64_t rows, bool holes)
{
    tamis_scores *scores = NULL;
    tamis_scores_writer *writer = NULL;
    tamis__groups group = {rows, GROUPS, of, NULL};
    tamis_scores_spec spec = {.path = "s.h5",
                              .rows = rows,
                              .queries = QUERIES,
                              .scorer = "test",
                              .partial = holes,
                              .force = true};
    ck_ok(tamis_scores_writer_open(&writer, context, &spec, &err));
    ck_ok(tamis_scores_writer_put(writer, 0, rows, 0, QUERIES, raw, QUERIES, &err));
    ck_ok(tamis_scores_writer_commit(&writer, &err));
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    for (int kind = TAMIS_NORMALISE_NONE; kind <= TAMIS_NORMALISE_CLASS_ZSCORE; kind++) {
        tamis__query_matrix *m = NULL;
        ck_ok(tamis__query_matrix_open(&m, context, scores, (tamis_normalise)kind, &group, standing,
                                       &err));
        ck_ok(tamis__query_matrix_read(m, 0, rows, found, &err));
        for (uint64_t q = 0; q < QUERIES; q++) check_column(rows, q, (tamis_normalise)kind, &group);
        tamis__query_matrix_close(&m);
    }
    tamis_scores_close(&scores);
}

START_TEST(as_plain_loops)
{
    tamis_context *context = small_context(2);
    for (int holes = 0; holes < 2; holes++) {
        fill(sizes[_i], holes);
        check_table(context, sizes[_i], holes);
    }
    tamis_context_destroy(&context);
}
END_TEST

/* What a class has counts for it alone: the rows of the other one may be as large as they like. */
START_TEST(classes_do_not_mix)
{
    double x[6] = {1, 1e6, 3, 3e6, -4, 7};
    int32_t class[6] = {0, 1, 0, 1, -1, 2};
    tamis__groups group = {6, 3, class, NULL};
    const double z[6] = {-1, -1, 1, 1, 0, 0};
    ck_ok(tamis__normalise(x, 6, TAMIS_NORMALISE_CLASS_ZSCORE, &group, NULL, &err));
    for (int i = 0; i < 6; i++) ck_assert_double_eq_tol(x[i], z[i], 1e-12);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("normalise");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, enter_scratch, leave_scratch);
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, as_plain_loops, 0, SIZES);
    tcase_add_test(all, classes_do_not_mix);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
