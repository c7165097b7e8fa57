/* Matrices cut off at a rank: what is found is orthonormal, in order, and as near as can be.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "harness.h"

#include <math.h>

#include "base/mem.h"
#include "base/rng.h"
#include "linalg/blas.h"
#include "linalg/low_rank.h"

static tamis_error err;

enum { M = 60, N = 90, WIDTH = 20 };

/* Rows that are orthonormal (Gram and Schmidt, twice). */
static void orthonormal(double *rows, size_t k, size_t n, uint64_t item)
{
    ck_ok(tamis__low_rank_start(9, item, k, n, rows, &err));
    for (size_t i = 0; i < k; i++)
        for (int pass = 0; pass < 2; pass++) {
            double norm = 0;
            for (size_t j = 0; j < i; j++) {
                double dot = 0;
                for (size_t c = 0; c < n; c++) dot += rows[i * n + c] * rows[j * n + c];
                for (size_t c = 0; c < n; c++) rows[i * n + c] -= dot * rows[j * n + c];
            }
            for (size_t c = 0; c < n; c++) norm += rows[i * n + c] * rows[i * n + c];
            for (size_t c = 0; c < n; c++) rows[i * n + c] /= sqrt(norm);
        }
}

/* A matrix of known singular values: half of the one before, or zero from `rank` on. */
static void make(double *a, double *values, size_t rank)
{
    static double u[M * M], v[M * N];
    orthonormal(u, M, M, 1);
    orthonormal(v, M, N, 2);
    memset(a, 0, M * N * sizeof *a);
    for (size_t r = 0; r < M; r++) {
        values[r] = r < rank ? pow(0.5, (double)r) : 0;
        for (size_t i = 0; i < M; i++)
            for (size_t j = 0; j < N; j++) a[i * N + j] += u[r * M + i] * values[r] * v[r * N + j];
    }
}

/* The Frobenius norm of what is missing. */
static double missing(const double *a, size_t rank, const double *left, const double *right)
{
    double sum = 0;
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < N; j++) {
            double rest = a[i * N + j];
            for (size_t r = 0; r < rank; r++) rest -= left[r * M + i] * right[r * N + j];
            sum += rest * rest;
        }
    return sqrt(sum);
}

static void look(const double *a, const double *values, size_t rank, const double *left,
                 const double *right, double slack)
{
    double least = 0;
    for (size_t r = rank; r < M; r++) least += values[r] * values[r];
    ck_assert_double_lt(missing(a, rank, left, right), slack * sqrt(least) + 1e-7);
    for (size_t r = 0; r < rank; r++) {
        double norm = 0;
        for (size_t j = 0; j < N; j++) norm += right[r * N + j] * right[r * N + j];
        ck_assert_double_eq_tol(sqrt(norm), values[r], 1e-6);
        for (size_t s = 0; s <= r && values[r] > 0; s++) {
            double dot = 0;
            for (size_t i = 0; i < M; i++) dot += left[r * M + i] * left[s * M + i];
            ck_assert_double_eq_tol(dot, r == s, 1e-10);
        }
    }
}

START_TEST(test_ranks)
{
    static double a[M * N], values[M], left[M * M], right[M * N], start[WIDTH * N];
    static const size_t of[] = {M, 5, 0}, ranks[] = {1, 7, 12};
    size_t rank = ranks[_i % 3];
    make(a, values, of[_i / 3]);
    tamis__blas_begin();
    ck_ok(tamis__low_rank(M, N, a, rank, left, right, &err));
    look(a, values, rank, left, right, 1.0001);
    ck_ok(tamis__low_rank_start(3, 4, WIDTH, N, start, &err));
    ck_ok(tamis__low_rank_sketch(M, N, a, rank, 2, WIDTH, start, left, right, &err));
    look(a, values, rank, left, right, 1.01);
    tamis__blas_end();
}
END_TEST

/* A number is a function of seed, item and place in the stream. */
START_TEST(test_start)
{
    double a[300], b[300], sum = 0, squares = 0;
    ck_ok(tamis__low_rank_start(1, 2, 10, 30, a, &err));
    ck_ok(tamis__low_rank_start(1, 2, 5, 30, b, &err));
    ck_assert_mem_eq(a, b, 150 * sizeof *a);
    ck_ok(tamis__low_rank_start(1, 3, 5, 30, b, &err));
    ck_assert_double_ne(a[0], b[0]);
    for (int i = 0; i < 300; i++) sum += a[i], squares += a[i] * a[i];
    ck_assert_double_lt(fabs(sum), 4 * sqrt(300.0));
    ck_assert_double_lt(fabs(squares - 300), 4 * sqrt(600.0));
}
END_TEST

START_TEST(test_failures)
{
    static double a[M * N], values[M], left[M * M], right[M * N], start[WIDTH * N];
    make(a, values, M);
    ck_ok(tamis__low_rank_start(3, 4, WIDTH, N, start, &err));
    tamis__blas_begin();
    for (int kind = 0; kind < 2; kind++)
        for (long n = 0;; n++) {
            tamis__fault_memory_after(n);
            tamis_status status = kind ? tamis__low_rank_sketch(M, N, a, 4, 1, WIDTH, start, left,
                                                                right, &err)
                                       : tamis__low_rank(M, N, a, 4, left, right, &err);
            tamis__fault_memory_after(-1);
            if (status == TAMIS_OK) break;
            ck_assert_int_eq(status, TAMIS_ERR_NOMEM);
        }
    a[7] = (double)NAN;
    ck_fails(tamis__low_rank(M, N, a, 4, left, right, &err), TAMIS_ERR_NUMERIC, "not finite");
    ck_fails(tamis__low_rank_sketch(M, N, a, 4, 1, WIDTH, start, left, right, &err),
             TAMIS_ERR_NUMERIC, "not finite");
    tamis__blas_end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("low rank");
    TCase *tc = tcase_create("low rank");
    tcase_add_loop_test(tc, test_ranks, 0, 9);
    tcase_add_test(tc, test_start);
    tcase_add_test(tc, test_failures);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
