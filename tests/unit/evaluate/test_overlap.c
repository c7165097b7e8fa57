/* Tests of overlap against plain loops.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/evaluate.h>

#include <math.h>

#include "base/rng.h"
#include "brute.h"
#include "small_files.h"

enum { ROWS = 25, QUERIES = 6 };

static tamis_context *context;
static float a[ROWS * QUERIES], b[ROWS * QUERIES];
static const uint64_t ks[] = {1, 4, 9};
static tamis_overlap_params params;

static void setup(void)
{
    enter_scratch();
    context = small_context(2);
    gsl_rng *rng = tamis__rng_create();
    tamis__rng_key(rng, 2, TAMIS__STREAM_TEST, 0);
    for (size_t i = 0; i < ROWS * QUERIES; i++) { /* with ties */
        a[i] = (float)gsl_rng_uniform_int(rng, 12);
        b[i] = a[i] + (float)gsl_rng_uniform_int(rng, 8);
    }
    gsl_rng_free(rng);
    params = (tamis_overlap_params){.k = ks, .points = 3, .bootstrap = {.draws = 40, .seed = 1}};
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

static tamis_status compare_with(tamis_context *with, const char *x, const char *y,
                                 tamis_overlap *overlap, tamis_error *err)
{
    tamis_scores *left = NULL, *right = NULL;
    tamis_status status = tamis_scores_open(&left, with, x, err);
    if (status == TAMIS_OK) status = tamis_scores_open(&right, with, y, err);
    if (status == TAMIS_OK)
        status = tamis_evaluate_overlap(overlap, with, left, right, &params, err);
    tamis_scores_close(&left);
    tamis_scores_close(&right);
    return status;
}

static tamis_status compare(const char *x, const char *y, tamis_overlap *overlap, tamis_error *err)
{
    return compare_with(context, x, y, overlap, err);
}

/* Is row i among the first k of a query? Rows before it are counted. */
static bool among(const float *score, size_t query, size_t i, size_t k, bool low)
{
    size_t before = 0;
    float own = score[i * QUERIES + query];
    if (isnan(own)) return false;
    for (size_t j = 0; j < ROWS; j++) {
        float other = score[j * QUERIES + query];
        before += low ? other < own : other > own;
        before += other == own && j < i;
    }
    return before < k;
}

static double brute_overlap(size_t query, size_t k, bool low)
{
    size_t both = 0;
    for (size_t i = 0; i < ROWS; i++)
        both += among(a, query, i, k, low) && among(b, query, i, k, low);
    return (double)both / (double)k;
}

static void ck_against_brute(const tamis_overlap *o, bool low)
{
    for (size_t p = 0; p < 3; p++) {
        double mean = 0, jaccard = 0;
        for (size_t q = 0; q < QUERIES; q++) {
            double one = brute_overlap(q, ks[p], low), both = one * (double)ks[p];
            ck_assert_double_eq_tol(o->query_overlap[q * 3 + p], one, 1e-14);
            mean += one / QUERIES;
            jaccard += both / (2 * (double)ks[p] - both) / QUERIES;
        }
        ck_assert_uint_eq(o->point[p].k, ks[p]);
        ck_assert_double_eq_tol(o->point[p].overlap.value, mean, 1e-12);
        ck_assert_double_eq_tol(o->point[p].jaccard.value, jaccard, 1e-12);
        ck_assert(o->point[p].overlap.low <= mean && mean <= o->point[p].overlap.high);
    }
}

START_TEST(matrices)
{
    tamis_error err = {0};
    tamis_overlap o = {0};
    for (size_t q = 0; q < QUERIES; q++) b[3 * QUERIES + q] = NAN;
    small_scores(context, "a.h5", ROWS, QUERIES, a, NULL, NULL);
    small_scores(context, "b.h5", ROWS, QUERIES, b, NULL, NULL);
    for (int low = 0; low < 2; low++) {
        params.end = low ? TAMIS_SCORES_BOTTOM : TAMIS_SCORES_TOP;
        ck_ok(compare("a.h5", "b.h5", &o, &err));
        ck_assert(o.ranked);
        ck_against_brute(&o, low);
        for (size_t q = 0; q < QUERIES; q++) {
            double x[ROWS], y[ROWS];
            size_t n = 0;
            for (size_t i = 0; i < ROWS; i++) {
                if (i == 3) continue;
                x[n] = (double)a[i * QUERIES + q];
                y[n++] = (double)b[i * QUERIES + q];
            }
            ck_assert_double_eq_tol(o.query_spearman[q], brute_spearman(x, y, n), 1e-12);
        }
        tamis_overlap_free(&o);
    }
    ck_ok(compare("a.h5", "a.h5", &o, &err));
    ck_assert_double_eq(o.point[2].overlap.value, 1);
    ck_assert_double_eq(o.point[2].jaccard.low, 1);
    ck_assert_double_eq_tol(o.spearman.value, 1, 1e-12);
    tamis_overlap_free(&o);
}
END_TEST

/* The first ten rows of every query of `score`. */
static void make_lists(const char *path, const float *score)
{
    uint64_t row[QUERIES * 10];
    float value[QUERIES * 10];
    for (size_t q = 0; q < QUERIES; q++)
        for (size_t i = 0; i < ROWS; i++) {
            size_t place = 0;
            while (!among(score, q, i, place + 1, false) && place < 10) place++;
            if (place == 10) continue;
            row[q * 10 + place] = i;
            value[q * 10 + place] = score[i * QUERIES + q];
        }
    small_lists(context, path, ROWS, QUERIES, 10, row, value, 0, NULL, NULL);
}

START_TEST(lists)
{
    tamis_error err = {0};
    tamis_overlap o = {0};
    small_scores(context, "a.h5", ROWS, QUERIES, a, NULL, NULL);
    make_lists("la.h5", a);
    make_lists("lb.h5", b);
    ck_ok(compare("a.h5", "lb.h5", &o, &err));
    ck_assert(!o.ranked);
    ck_against_brute(&o, false);
    tamis_overlap_free(&o);
    ck_ok(compare("la.h5", "lb.h5", &o, &err));
    ck_against_brute(&o, false);
    tamis_overlap_free(&o);
    const uint64_t more[] = {11};
    params.k = more;
    params.points = 1;
    ck_fails(compare("a.h5", "lb.h5", &o, &err), TAMIS_ERR_ARG, "top 10 rows");
    params.k = ks;
    params.end = TAMIS_SCORES_BOTTOM;
    ck_fails(compare("a.h5", "lb.h5", &o, &err), TAMIS_ERR_ARG, "bottom 0 rows");
}
END_TEST

/* Memory for a few columns at once only. */
START_TEST(threads_and_memory_change_no_bit)
{
    tamis_error err = {0};
    tamis_overlap first = {0}, other = {0};
    small_scores(context, "a.h5", ROWS, QUERIES, a, NULL, NULL);
    small_scores(context, "b.h5", ROWS, QUERIES, b, NULL, NULL);
    ck_ok(compare("a.h5", "b.h5", &first, &err));
    for (unsigned threads = 1; threads < 4; threads++) {
        tamis_context *more = NULL;
        tamis_context_params with = {.threads = threads, .memory = 4000};
        ck_ok(tamis_context_create(&more, &with, &err));
        ck_ok(compare_with(more, "a.h5", "b.h5", &other, &err));
        ck_assert_mem_eq(first.query_overlap, other.query_overlap, QUERIES * 3 * sizeof(double));
        ck_assert_mem_eq(first.query_spearman, other.query_spearman, QUERIES * sizeof(double));
        ck_assert_mem_eq(first.point, other.point, 3 * sizeof *first.point);
        tamis_overlap_free(&other);
        tamis_context_destroy(&more);
    }
    tamis_overlap_free(&first);
}
END_TEST

static tamis_status compare_and_drop(tamis_error *err)
{
    tamis_overlap o = {0};
    tamis_status status = compare("a.h5", "b.h5", &o, err);
    tamis_overlap_free(&o);
    return status;
}

START_TEST(refusals_and_failures)
{
    tamis_error err = {0};
    const uint64_t far[] = {ROWS + 1}, back[] = {4, 4};
    small_scores(context, "a.h5", ROWS, QUERIES, a, NULL, NULL);
    small_scores(context, "b.h5", ROWS, QUERIES - 1, b, NULL, NULL);
    ck_fails(compare_and_drop(&err), TAMIS_ERR_SHAPE, "5 queries");
    small_scores(context, "b.h5", ROWS - 1, QUERIES, b, NULL, NULL);
    ck_fails(compare_and_drop(&err), TAMIS_ERR_SHAPE, "24 rows");
    small_scores(context, "b.h5", ROWS, QUERIES, b, NULL, NULL);
    params.k = far;
    params.points = 1;
    ck_fails(compare_and_drop(&err), TAMIS_ERR_ARG, "k = 26");
    params.k = back;
    params.points = 2;
    ck_fails(compare_and_drop(&err), TAMIS_ERR_ARG, "k must ascend");
    params.points = 0;
    ck_fails(compare_and_drop(&err), TAMIS_ERR_ARG, "no k");
    params.k = ks;
    params.points = 3;
    ck_survives(tamis__fault_memory_after, compare_and_drop(&err), "x");
    float inf[ROWS * QUERIES];
    memcpy(inf, b, sizeof inf);
    inf[13] = INFINITY;
    foreign_scores(context, "b.h5", ROWS, QUERIES, inf, NULL, NULL);
    ck_fails(compare_and_drop(&err), TAMIS_ERR_NUMERIC, "row 2: the score of query 1");
    for (size_t i = 8; i < ROWS; i++)
        for (size_t q = 0; q < QUERIES; q++) b[i * QUERIES + q] = NAN;
    small_scores(context, "b.h5", ROWS, QUERIES, b, NULL, NULL);
    ck_fails(compare_and_drop(&err), TAMIS_ERR_SHAPE, "8 rows with a score, fewer than k = 9");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("overlap");
    TCase *tcase = tcase_create("overlap");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, matrices);
    tcase_add_test(tcase, lists);
    tcase_add_test(tcase, threads_and_memory_change_no_bit);
    tcase_add_test(tcase, refusals_and_failures);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
