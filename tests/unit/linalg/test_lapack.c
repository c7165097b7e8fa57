/* The factorisations against what they promise: products put together again, and refusals.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <math.h>
#include <stdint.h>

#include "base/mem.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"

static tamis_error err;

static double value(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (double)(*state >> 8) / (double)(1 << 23) - 1.0;
}

/* A positive definite matrix with stride n + 3; above its diagonal there is no number. */
typedef struct matrix {
    size_t n, stride;
    double *a, *whole; /* [n, stride], [n, n] */
} matrix;

static matrix make(size_t n, unsigned seed)
{
    matrix m = {.n = n, .stride = n + 3};
    unsigned state = seed;
    double *b = calloc(n * n, sizeof *b);
    m.a = calloc(n * m.stride, sizeof *m.a);
    m.whole = calloc(n * n, sizeof *m.whole);
    ck_assert(b && m.a && m.whole);
    for (size_t i = 0; i < n * n; i++) b[i] = value(&state);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = i == j ? 0.5 : 0.0;
            for (size_t k = 0; k < n; k++) sum += b[i * n + k] * b[j * n + k];
            m.whole[i * n + j] = sum;
            m.a[i * m.stride + j] = j <= i ? sum : (double)NAN;
        }
    free(b);
    return m;
}

static void drop(matrix *m)
{
    free(m->a);
    free(m->whole);
}

static const size_t sizes[] = {1, 2, 7, 64, 131};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

START_TEST(test_cholesky)
{
    size_t n = sizes[_i];
    matrix m = make(n, 3), inverse = make(n, 3);
    ck_ok(tamis__cholesky(n, m.a, m.stride, "A", "B", &err));
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = 0;
            for (size_t k = 0; k <= j; k++) sum += m.a[i * m.stride + k] * m.a[j * m.stride + k];
            ck_assert_double_eq_tol(sum, m.whole[i * n + j], 1e-12 * (double)n);
        }
    for (size_t i = 0; i + 1 < n; i++) ck_assert(isnan(m.a[i * m.stride + i + 1]));
    ck_ok(tamis__cholesky(n, inverse.a, m.stride, "A", "B", &err));
    ck_ok(tamis__cholesky_inverse(n, inverse.a, m.stride, &err));
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t k = 0; k < n; k++)
                sum += m.whole[i * n + k] * inverse.a[(k > j ? k : j) * m.stride + (k > j ? j : k)];
            ck_assert_double_eq_tol(sum, i == j, 1e-9);
        }
    drop(&m);
    drop(&inverse);
}
END_TEST

START_TEST(test_solves)
{
    size_t n = sizes[_i], rows = 5, stride = n + 2;
    matrix m = make(n, 4);
    unsigned state = 8;
    double *b = calloc(rows * stride, sizeof *b), *x = calloc(rows * stride, sizeof *x),
           *y = calloc(rows * stride, sizeof *y);
    for (size_t i = 0; i < rows * stride; i++) x[i] = y[i] = b[i] = value(&state);
    ck_ok(tamis__cholesky(n, m.a, m.stride, "A", "B", &err));
    ck_ok(tamis__cholesky_solve(n, rows, m.a, m.stride, x, stride, &err));
    ck_ok(tamis__triangular_solve(n, rows, m.a, m.stride, y, stride, &err));
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++) {
            double ax = 0, ly = 0;
            for (size_t j = 0; j < n; j++) ax += m.whole[i * n + j] * x[r * stride + j];
            for (size_t j = 0; j <= i; j++) ly += m.a[i * m.stride + j] * y[r * stride + j];
            ck_assert_double_eq_tol(ax, b[r * stride + i], 1e-10);
            ck_assert_double_eq_tol(ly, b[r * stride + i], 1e-11);
        }
    for (size_t r = 0; r < rows; r++)
        for (size_t i = n; i < stride; i++) ck_assert(x[r * stride + i] == b[r * stride + i]);
    free(b);
    free(x);
    free(y);
    drop(&m);
}
END_TEST

START_TEST(test_eigen)
{
    size_t n = sizes[_i];
    matrix m = make(n, 5), bare = make(n, 5);
    double *values = calloc(n, sizeof *values), *alone = calloc(n, sizeof *alone);
    ck_ok(tamis__symmetric_eigen(n, m.a, m.stride, true, values, &err));
    ck_ok(tamis__symmetric_eigen(n, bare.a, m.stride, false, alone, &err));
    for (size_t e = 0; e < n; e++) {
        double norm = 0;
        ck_assert_double_eq_tol(values[e], alone[e], 1e-11 * (double)n);
        if (e > 0) ck_assert_double_ge(values[e], values[e - 1]);
        for (size_t i = 0; i < n; i++) {
            double sum = 0, v = m.a[e * m.stride + i];
            norm += v * v;
            for (size_t j = 0; j < n; j++) sum += m.whole[i * n + j] * m.a[e * m.stride + j];
            ck_assert_double_eq_tol(sum, values[e] * v, 1e-10);
        }
        ck_assert_double_eq_tol(norm, 1.0, 1e-12);
    }
    free(values);
    free(alone);
    drop(&m);
    drop(&bare);
}
END_TEST

START_TEST(test_refusals)
{
    double a[4] = {1, 0, 2, 1}, b[2] = {0}, values[2]; /* eigenvalues 3 and -1 */
    ck_fails(tamis__cholesky(2, a, 2, "the kernel", "raise ridge", &err), TAMIS_ERR_NUMERIC,
             "the kernel is not positive definite (row 1 of 2): raise ridge");
    a[0] = (double)NAN;
    ck_fails(tamis__cholesky(2, a, 2, "the kernel", "raise ridge", &err), TAMIS_ERR_NUMERIC,
             "(row 0 of 2)");
    ck_fails(tamis__symmetric_eigen(2, a, 2, false, values, &err), TAMIS_ERR_NUMERIC, "(0, 0)");
    ck_fails(tamis__cholesky(2, a, 1, "", "", &err), TAMIS_ERR_ARG, "overlap");
    ck_fails(tamis__cholesky_solve(2, 1, a, 2, b, 1, &err), TAMIS_ERR_ARG, "overlap");
    size_t big = (size_t)INT32_MAX + 1;
    ck_fails(tamis__cholesky(big, a, big, "", "", &err), TAMIS_ERR_UNSUPPORTED, "beyond");
    ck_fails(tamis__triangular_solve(2, big, a, 2, b, 2, &err), TAMIS_ERR_UNSUPPORTED, "beyond");
    /* A workspace of 2 n^2 values that a 32-bit count cannot hold: refused before it is taken. */
    ck_fails(tamis__symmetric_eigen(40000, a, 40000, true, values, &err), TAMIS_ERR_UNSUPPORTED,
             "beyond");
    ck_ok(tamis__cholesky(0, NULL, 0, "", "", &err));
    ck_ok(tamis__cholesky_solve(0, 3, NULL, 0, NULL, 0, &err));
    ck_ok(tamis__symmetric_eigen(0, NULL, 0, true, NULL, &err));
    a[0] = 1, a[2] = 0, a[3] = 1;
    tamis__fault_memory_after(0);
    tamis_status status = tamis__symmetric_eigen(2, a, 2, true, values, &err);
    tamis__fault_memory_after(-1);
    ck_assert_int_eq(status, TAMIS_ERR_NOMEM);
}
END_TEST

/* Larger than a block of LAPACK. */
START_TEST(test_large_eigen)
{
    size_t n = 600;
    double *a = calloc(n * n, sizeof *a), *values = calloc(n, sizeof *values);
    for (size_t i = 0; i < n; i++) a[i * n + i] = (double)(n - i);
    ck_ok(tamis__symmetric_eigen(n, a, n, true, values, &err));
    for (size_t i = 0; i < n; i++) ck_assert_double_eq_tol(values[i], (double)(i + 1), 1e-9);
    free(a);
    free(values);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lapack");
    TCase *tc = tcase_create("lapack");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_cholesky, 0, N_SIZES);
    tcase_add_loop_test(tc, test_solves, 0, N_SIZES);
    tcase_add_loop_test(tc, test_eigen, 0, N_SIZES);
    tcase_add_test(tc, test_refusals);
    tcase_add_test(tc, test_large_eigen);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
