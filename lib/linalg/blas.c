/* Checked BLAS calls.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "linalg/blas.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "base/error.h"
#include "linalg/call.h"

/* What openblas_get_parallel() returns. */
enum { SERIAL = 0, PTHREAD = 1, OPENMP = 2 };

/* OpenBLAS has one number of threads for the whole process, and so has its user: how many scopes
 * of tamis__blas_begin() are open, and what to go back to when the last one closes. */
static pthread_mutex_t scope_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned scopes;
static int threads_before;

/* In the OpenMP flavour the number belongs to the calling thread, and lowering it for longer than a
 * call would also slow down OpenMP regions of the application. The OpenMP runtime is there when
 * that flavour is; it is not linked otherwise. */
extern int omp_get_max_threads(void) __attribute__((weak));
extern void omp_set_num_threads(int) __attribute__((weak));

static bool per_call(void)
{
    return openblas_get_parallel() == OPENMP && omp_get_max_threads && omp_set_num_threads;
}

void tamis__blas_begin(void)
{
    pthread_mutex_lock(&scope_lock);
    if (scopes++ == 0 && openblas_get_parallel() != SERIAL && !per_call()) {
        threads_before = openblas_get_num_threads();
        if (threads_before != 1) openblas_set_num_threads(1);
    }
    pthread_mutex_unlock(&scope_lock);
}

void tamis__blas_end(void)
{
    pthread_mutex_lock(&scope_lock);
    if (scopes > 0 && --scopes == 0 && openblas_get_parallel() != SERIAL && !per_call()) {
        if (threads_before != 1) openblas_set_num_threads(threads_before);
    }
    pthread_mutex_unlock(&scope_lock);
}

int tamis__blas_enter_call(void)
{
    if (!per_call()) return 0;
    pthread_mutex_lock(&scope_lock);
    bool alone = scopes > 0;
    pthread_mutex_unlock(&scope_lock);
    int threads = omp_get_max_threads();
    if (!alone || threads == 1) return 0;
    omp_set_num_threads(1);
    return threads;
}

void tamis__blas_leave_call(int threads)
{
    if (threads) omp_set_num_threads(threads);
}

typedef struct sizes {
    blasint m, n, k, lda, ldb, ldc;
} sizes;

bool tamis__blas_size(size_t size, blasint *ret_size)
{
    const size_t limit = sizeof(blasint) == 4 ? INT32_MAX : INT64_MAX;
    if (size > limit) return false;
    *ret_size = (blasint)size;
    return true;
}

/* Leading dimensions are checked too: BLAS prints to stderr and goes on when they are too small.
 * It also wants them at least 1 where the matrix has no columns. */
static tamis_status check(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k,
                          size_t lda, size_t ldb, size_t ldc, sizes *ret_sizes, tamis_error *err)
{
    sizes s = {0};
    if (!tamis__blas_size(m, &s.m) || !tamis__blas_size(n, &s.n) || !tamis__blas_size(k, &s.k) ||
        !tamis__blas_size(lda, &s.lda) || !tamis__blas_size(ldb, &s.ldb) ||
        !tamis__blas_size(ldc, &s.ldc))
        return tamis__fail(
            err, TAMIS_ERR_UNSUPPORTED,
            "a product of [%zu, %zu] and [%zu, %zu] is beyond the sizes of this BLAS", m, k, k, n);
    if (lda < (transpose_a ? m : k) || ldb < (transpose_b ? k : n) || ldc < n)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "a product of [%zu, %zu] and [%zu, %zu]: rows overlap (strides %zu, %zu, %zu)", m, k, k,
            n, lda, ldb, ldc);
    *ret_sizes = s;
    return TAMIS_OK;
}

/* Nothing to add up: C = beta * C, where beta = 0 also clears what is not finite. */
static void scale_float(size_t m, size_t n, float beta, float *c, size_t ldc)
{
    for (size_t i = 0; i < m; i++) {
        if (beta == 0.0f) memset(c + i * ldc, 0, n * sizeof *c);
        for (size_t j = 0; j < n && beta != 0.0f; j++) c[i * ldc + j] *= beta;
    }
}

static void scale_double(size_t m, size_t n, double beta, double *c, size_t ldc)
{
    for (size_t i = 0; i < m; i++) {
        if (beta == 0.0) memset(c + i * ldc, 0, n * sizeof *c);
        for (size_t j = 0; j < n && beta != 0.0; j++) c[i * ldc + j] *= beta;
    }
}

tamis_status tamis__sgemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k,
                          float alpha, const float *a, size_t lda, const float *b, size_t ldb,
                          float beta, float *c, size_t ldc, tamis_error *err)
{
    sizes s = {0};
    TAMIS_TRY(check(transpose_a, transpose_b, m, n, k, lda, ldb, ldc, &s, err));
    if (m == 0 || n == 0) return TAMIS_OK;
    if (k == 0) {
        scale_float(m, n, beta, c, ldc);
        return TAMIS_OK;
    }
    int threads = tamis__blas_enter_call();
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                transpose_b ? CblasTrans : CblasNoTrans, s.m, s.n, s.k, alpha, a, s.lda, b, s.ldb,
                beta, c, s.ldc);
    tamis__blas_leave_call(threads);
    return TAMIS_OK;
}

tamis_status tamis__dgemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k,
                          double alpha, const double *a, size_t lda, const double *b, size_t ldb,
                          double beta, double *c, size_t ldc, tamis_error *err)
{
    sizes s = {0};
    TAMIS_TRY(check(transpose_a, transpose_b, m, n, k, lda, ldb, ldc, &s, err));
    if (m == 0 || n == 0) return TAMIS_OK;
    if (k == 0) {
        scale_double(m, n, beta, c, ldc);
        return TAMIS_OK;
    }
    int threads = tamis__blas_enter_call();
    cblas_dgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                transpose_b ? CblasTrans : CblasNoTrans, s.m, s.n, s.k, alpha, a, s.lda, b, s.ldb,
                beta, c, s.ldc);
    tamis__blas_leave_call(threads);
    return TAMIS_OK;
}

tamis_status tamis__dsyrk(bool transpose, size_t n, size_t k, double alpha, const double *a,
                          size_t lda, double beta, double *c, size_t ldc, tamis_error *err)
{
    sizes s = {0};
    TAMIS_TRY(check(transpose, !transpose, n, n, k, lda, lda, ldc, &s, err));
    if (n == 0) return TAMIS_OK;
    int threads = tamis__blas_enter_call();
    cblas_dsyrk(CblasRowMajor, CblasLower, transpose ? CblasTrans : CblasNoTrans, s.n, s.k, alpha,
                a, s.lda, beta, c, s.ldc);
    tamis__blas_leave_call(threads);
    return TAMIS_OK;
}

const char *tamis__blas_config(void)
{
    return openblas_get_config();
}

const char *tamis__blas_threading(void)
{
    switch (openblas_get_parallel()) {
    case PTHREAD: return "pthread";
    case OPENMP: return "OpenMP";
    default: return "serial";
    }
}
