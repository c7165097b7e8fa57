/* Checked factorisations of symmetric matrices.
 *
 * The lower triangle of a row-major matrix is the upper triangle of the same memory read by
 * columns, so LAPACK is called by columns and nothing is transposed. The _work functions are
 * called: the others would look at every value for NaN, and take the size of their workspace
 * through a floating-point number.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "linalg/lapack.h"

#include <math.h>
#include <stdlib.h>

#include "linalg/call.h"

#include <lapacke.h>

#include "base/error.h"
#include "base/mem.h"

static tamis_status fit(size_t n, size_t rows, size_t lda, size_t ldb, tamis_error *err)
{
    blasint size;
    if (!tamis__blas_size(n, &size) || !tamis__blas_size(rows, &size) ||
        !tamis__blas_size(lda, &size) || !tamis__blas_size(ldb, &size) ||
        (sizeof(lapack_int) == 4 && (n > INT32_MAX || rows > INT32_MAX)))
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "a matrix of [%zu, %zu] is beyond the sizes of this LAPACK", rows, n);
    if (lda < n || ldb < n)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "a matrix of [%zu, %zu]: rows overlap (strides %zu, %zu)", rows, n, lda,
                           ldb);
    return TAMIS_OK;
}

tamis_status tamis__cholesky(size_t n, double *a, size_t lda, const char *what, const char *remedy,
                             tamis_error *err)
{
    TAMIS_TRY(fit(n, n, lda, lda, err));
    if (n == 0) return TAMIS_OK;
    int threads = tamis__blas_enter_call();
    lapack_int info = LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (lapack_int)n, a, (lapack_int)lda);
    tamis__blas_leave_call(threads);
    /* A NaN on the diagonal passes through some versions. */
    for (size_t i = 0; i < n && info == 0; i++)
        if (!(a[i * lda + i] > 0.0) || !isfinite(a[i * lda + i])) info = (lapack_int)(i + 1);
    if (info == 0) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_NUMERIC, "%s is not positive definite (row %lld of %zu): %s",
                       what, (long long)info - 1, n, remedy);
}

tamis_status tamis__cholesky_solve(size_t n, size_t rows, const double *l, size_t ldl, double *b,
                                   size_t ldb, tamis_error *err)
{
    TAMIS_TRY(fit(n, rows, ldl, ldb, err));
    if (n == 0 || rows == 0) return TAMIS_OK;
    int threads = tamis__blas_enter_call();
    lapack_int info = LAPACKE_dpotrs_work(LAPACK_COL_MAJOR, 'U', (lapack_int)n, (lapack_int)rows, l,
                                          (lapack_int)ldl, b, (lapack_int)ldb);
    tamis__blas_leave_call(threads);
    if (info == 0) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_NUMERIC, "cannot solve a system of %zu equations (%lld)", n,
                       (long long)info);
}

tamis_status tamis__cholesky_inverse(size_t n, double *l, size_t ldl, tamis_error *err)
{
    TAMIS_TRY(fit(n, n, ldl, ldl, err));
    if (n == 0) return TAMIS_OK;
    int threads = tamis__blas_enter_call();
    lapack_int info = LAPACKE_dpotri_work(LAPACK_COL_MAJOR, 'U', (lapack_int)n, l, (lapack_int)ldl);
    tamis__blas_leave_call(threads);
    if (info == 0) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_NUMERIC, "cannot invert a matrix of %zu rows (%lld)", n,
                       (long long)info);
}

tamis_status tamis__triangular_solve(size_t n, size_t rows, const double *l, size_t ldl, double *b,
                                     size_t ldb, tamis_error *err)
{
    TAMIS_TRY(fit(n, rows, ldl, ldb, err));
    if (n == 0 || rows == 0) return TAMIS_OK;
    int threads = tamis__blas_enter_call();
    cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, (blasint)rows,
                (blasint)n, 1.0, l, (blasint)ldl, b, (blasint)ldb);
    tamis__blas_leave_call(threads);
    return TAMIS_OK;
}

/* Workspace of dsyevd, as its documentation gives it. */
static bool workspace(size_t n, bool vectors, lapack_int *ret_reals, lapack_int *ret_integers)
{
    uint64_t m = n, reals = vectors ? 1 + 6 * m + 2 * m * m : 2 * m + 1;
    uint64_t integers = vectors ? 3 + 5 * m : 1;
    if (n >= UINT32_MAX || (sizeof(lapack_int) == 4 && reals > INT32_MAX)) return false;
    *ret_reals = (lapack_int)reals;
    *ret_integers = (lapack_int)integers;
    return true;
}

static tamis_status refuse_values(size_t n, const double *a, size_t lda, tamis_error *err)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++)
            if (!isfinite(a[i * lda + j]))
                return tamis__fail(err, TAMIS_ERR_NUMERIC,
                                   "a matrix whose eigenvalues are wanted is not finite at (%zu, "
                                   "%zu): are its rows too large?",
                                   i, j);
    return TAMIS_OK;
}

tamis_status tamis__symmetric_eigen(size_t n, double *a, size_t lda, bool vectors,
                                    double *ret_values, tamis_error *err)
{
    lapack_int reals, integers;
    TAMIS_TRY(fit(n, n, lda, lda, err));
    if (n == 0) return TAMIS_OK;
    if (!workspace(n, vectors, &reals, &integers))
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "the eigenvalues of a matrix of %zu rows are beyond this LAPACK", n);
    TAMIS_TRY(refuse_values(n, a, lda, err));
    double *work = tamis__malloc((size_t)reals, sizeof *work);
    lapack_int *iwork = tamis__malloc((size_t)integers, sizeof *iwork);
    lapack_int info = 0;
    if (work && iwork) {
        int threads = tamis__blas_enter_call();
        info = LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, vectors ? 'V' : 'N', 'U', (lapack_int)n, a,
                                   (lapack_int)lda, ret_values, work, reals, iwork, integers);
        tamis__blas_leave_call(threads);
    }
    bool memory = work && iwork;
    free(work);
    free(iwork);
    if (!memory) return tamis__fail_memory(err, "eigenvalues", (size_t)reals * sizeof *work);
    if (info == 0) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "the eigenvalues of a matrix of %zu rows do not converge (%lld)", n,
                       (long long)info);
}
