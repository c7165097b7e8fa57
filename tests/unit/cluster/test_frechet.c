/* Frechet distances against closed forms, and against a root of the product of covariances.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "cluster/frechet.h"
#include "linalg/blas.h"
#include "points.h"

enum { MOST = 8 };

static tamis_context *context;

static void setup(void)
{
    enter_scratch();
    context = small_context(2);
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

/* Of rows b from target a. */
static double measure(const float *a, uint64_t na, const float *b, uint64_t nb, uint64_t p)
{
    tamis_error err = {0};
    tamis__cluster_rows target;
    tamis__frechet f = {0};
    tamis__frechet_set whole = {0}, part = {0};
    double found;
    open_points(&target, context, "t.h5", a, na, p, false);
    ck_ok(tamis__frechet_open(&f, &target, 0, &err));
    ck_ok(tamis__frechet_set_init(&whole, &f, &err));
    double *work = calloc(TAMIS__FEATURE_ROWS * (p + f.rank) + f.rank * (f.rank + 1), sizeof *work);
    for (uint64_t i = 0, n; i < nb; i += n) { /* parts of any size, put together */
        n = nb - i < 50 ? nb - i : 50;
        ck_ok(tamis__frechet_set_init(&part, &f, &err));
        ck_ok(tamis__frechet_set_add(&part, &f, b + i * p, n, work, &err));
        tamis__frechet_set_merge(&whole, &f, &part);
        tamis__frechet_set_fini(&part);
    }
    ck_ok(tamis__frechet_distance(&f, &whole, work, &found, &err));
    tamis__frechet_set_fini(&whole);
    tamis__frechet_close(&f);
    close_points(&target);
    free(work);
    return found;
}

static void moments_by_loops(const float *x, uint64_t n, uint64_t p, double *mean,
                             double *covariance)
{
    for (uint64_t c = 0; c < p; c++) {
        mean[c] = 0;
        for (uint64_t i = 0; i < n; i++) mean[c] += (double)x[i * p + c] / (double)n;
    }
    for (uint64_t a = 0; a < p; a++)
        for (uint64_t b = 0; b < p; b++) {
            covariance[a * p + b] = 0;
            for (uint64_t i = 0; i < n; i++)
                covariance[a * p + b] += ((double)x[i * p + a] - mean[a]) *
                                         ((double)x[i * p + b] - mean[b]) / (double)(n - 1);
        }
}

/* Gauss and Jordan. */
static void invert(double *m, uint64_t p)
{
    double wide[MOST][2 * MOST] = {{0}};
    for (uint64_t i = 0; i < p; i++) {
        for (uint64_t j = 0; j < p; j++) wide[i][j] = m[i * p + j];
        wide[i][p + i] = 1;
    }
    for (uint64_t c = 0; c < p; c++) {
        uint64_t pivot = c;
        for (uint64_t r = c; r < p; r++)
            if (fabs(wide[r][c]) > fabs(wide[pivot][c])) pivot = r;
        for (uint64_t j = 0; j < 2 * p; j++) {
            double swap = wide[c][j];
            wide[c][j] = wide[pivot][j];
            wide[pivot][j] = swap;
        }
        double divisor = wide[c][c];
        for (uint64_t j = 0; j < 2 * p; j++) wide[c][j] /= divisor;
        for (uint64_t r = 0; r < p; r++) {
            double times = wide[r][c];
            for (uint64_t j = 0; j < 2 * p && r != c; j++) wide[r][j] -= times * wide[c][j];
        }
    }
    for (uint64_t i = 0; i < p; i++)
        for (uint64_t j = 0; j < p; j++) m[i * p + j] = wide[i][p + j];
}

/* The trace of the root of a product, by Denman and Beavers' iteration. */
static double trace_of_root(const double *s, const double *t, uint64_t p)
{
    double y[MOST * MOST], z[MOST * MOST] = {0}, iy[MOST * MOST], iz[MOST * MOST], trace = 0;
    for (uint64_t i = 0; i < p; i++)
        for (uint64_t j = 0; j < p; j++) {
            y[i * p + j] = 0;
            for (uint64_t k = 0; k < p; k++) y[i * p + j] += s[i * p + k] * t[k * p + j];
            z[i * p + j] = i == j;
        }
    for (int round = 0; round < 40; round++) {
        memcpy(iy, y, sizeof y);
        memcpy(iz, z, sizeof z);
        invert(iy, p);
        invert(iz, p);
        for (uint64_t i = 0; i < p * p; i++) {
            y[i] = (y[i] + iz[i]) / 2;
            z[i] = (z[i] + iy[i]) / 2;
        }
    }
    for (uint64_t i = 0; i < p; i++) trace += y[i * p + i];
    return trace;
}

static double by_loops(const float *a, uint64_t na, const float *b, uint64_t nb, uint64_t p)
{
    double ma[MOST], mb[MOST], sa[MOST * MOST], sb[MOST * MOST], sum = 0;
    moments_by_loops(a, na, p, ma, sa);
    moments_by_loops(b, nb, p, mb, sb);
    for (uint64_t c = 0; c < p; c++) {
        sum += (ma[c] - mb[c]) * (ma[c] - mb[c]);
        sum += sa[c * p + c] + sb[c * p + c];
    }
    return sum - 2 * trace_of_root(sa, sb, p);
}

/* Rows whose columns depend on one another. */
static void make_rows(float *x, uint64_t n, uint64_t p, uint64_t seed, double spread)
{
    double mix[MOST * MOST], z[MOST];
    draws = seed;
    for (uint64_t i = 0; i < p * p; i++) mix[i] = normal();
    for (uint64_t i = 0; i < n; i++) {
        for (uint64_t c = 0; c < p; c++) z[c] = normal();
        for (uint64_t c = 0; c < p; c++) {
            double sum = 0.3 * (double)seed;
            for (uint64_t k = 0; k < p; k++) sum += spread * mix[c * p + k] * z[k];
            x[i * p + c] = (float)sum;
        }
    }
}

START_TEST(any_covariances_by_loops)
{
    for (uint64_t p = 1; p <= 6; p++) {
        float a[200 * MOST], b[300 * MOST];
        make_rows(a, 200, p, 1 + p, 1);
        make_rows(b, 300, p, 20 + p, 0.5);
        double found = measure(a, 200, b, 300, p), wanted = by_loops(a, 200, b, 300, p);
        ck_assert_double_eq_tol(found / wanted, 1, 1e-9);
        ck_assert_double_eq_tol(measure(b, 300, a, 200, p) / wanted, 1, 1e-9);
        ck_assert_double_eq_tol(measure(a, 200, a, 200, p), 0, 1e-7);
    }
}
END_TEST

/* One column: (m - m')^2 + (s - s')^2. */
START_TEST(one_column_in_closed_form)
{
    float a[] = {1, 2, 3, 4}, b[] = {10, 14};
    double s = sqrt(5.0 / 3), t = sqrt(8.0);
    ck_assert_double_eq_tol(measure(a, 4, b, 2, 1), 9.5 * 9.5 + (s - t) * (s - t), 1e-9);
    /* One row has no spread. */
    ck_assert_double_eq_tol(measure(a, 4, b, 1, 1), 7.5 * 7.5 + 5.0 / 3, 1e-9);
    ck_assert_double_eq_tol(measure(b, 1, a, 4, 1), 7.5 * 7.5 + 5.0 / 3, 1e-9);
}
END_TEST

/* Columns of zeros change nothing, though there are more columns than targets then; but roots of
 * eigenvalues that are rounding add up. */
START_TEST(few_targets_of_many_columns)
{
    enum { P = 5, WIDE = 40, A = 30, B = 70 };
    float a[A * P], b[B * P], wide_a[A * WIDE] = {0}, wide_b[B * WIDE] = {0};
    make_rows(a, A, P, 4, 1);
    make_rows(b, B, P, 7, 2);
    for (int i = 0; i < A; i++) memcpy(wide_a + i * WIDE, a + i * P, P * sizeof *a);
    for (int i = 0; i < B; i++) memcpy(wide_b + i * WIDE, b + i * P, P * sizeof *b);
    double wanted = by_loops(a, A, b, B, P);
    ck_assert_double_eq_tol(measure(wide_a, A, wide_b, B, WIDE) / wanted, 1, 1e-6);
    ck_assert_double_eq_tol(measure(wide_b, B, wide_a, A, WIDE) / wanted, 1, 1e-6);
}
END_TEST

static tamis_status open_and_close(tamis__cluster_rows *target, tamis_error *err)
{
    tamis__frechet f = {0};
    tamis__frechet_set m = {0};
    tamis_status status = tamis__frechet_open(&f, target, 0, err);
    if (status == TAMIS_OK) status = tamis__frechet_set_init(&m, &f, err);
    tamis__frechet_set_fini(&m);
    tamis__frechet_close(&f);
    return status;
}

START_TEST(every_allocation_may_fail)
{
    tamis_error err = {0};
    float a[30 * 3];
    tamis__cluster_rows target;
    make_rows(a, 30, 3, 1, 1);
    open_points(&target, context, "t.h5", a, 30, 3, false);
    ck_survives(tamis__fault_memory_after, open_and_close(&target, &err), "none");
    close_points(&target);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("Frechet");
    TCase *tc = tcase_create("Frechet");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, any_covariances_by_loops);
    tcase_add_test(tc, one_column_in_closed_form);
    tcase_add_test(tc, few_targets_of_many_columns);
    tcase_add_test(tc, every_allocation_may_fail);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
