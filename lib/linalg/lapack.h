/* Checked factorisations of symmetric matrices.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_LINALG_LAPACK_H
#define TAMIS_LINALG_LAPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <tamis/common.h>

/* Everything is row-major and in double; ld* are the doubles from row to row. Only the lower
 * triangle of a symmetric matrix is read or written. Sizes beyond LAPACK's int are refused with
 * TAMIS_ERR_UNSUPPORTED, strides that are too short with TAMIS_ERR_ARG; size 0 is a no-op. Call
 * between tamis__blas_begin() and _end(): then every call runs on the calling thread alone, and the
 * same input gives the same bits whatever the number of threads. */

/* A = L L^T, L in place of the lower triangle. NUMERIC when A is not positive definite:
 * "<what> is not positive definite (row i of n): <remedy>". A is then lost. */
tamis_status tamis__cholesky(size_t n, double *a, size_t lda, const char *what, const char *remedy,
                             tamis_error *err);

/* Each row x of B [rows, n] becomes (L L^T)^-1 x. */
tamis_status tamis__cholesky_solve(size_t n, size_t rows, const double *l, size_t ldl, double *b,
                                   size_t ldb, tamis_error *err);

/* L becomes the lower triangle of (L L^T)^-1. */
tamis_status tamis__cholesky_inverse(size_t n, double *l, size_t ldl, tamis_error *err);

/* Each row x of B [rows, n] becomes L^-1 x: the rows' norms are then those under (L L^T)^-1. */
tamis_status tamis__triangular_solve(size_t n, size_t rows, const double *l, size_t ldl, double *b,
                                     size_t ldb, tamis_error *err);

/* Eigenvalues of A in ascending order into ret_values [n]. With `vectors`, row i of A becomes the
 * i-th eigenvector; without, A is lost. Errors: NUMERIC (no convergence; a value is not finite),
 * NOMEM. */
tamis_status tamis__symmetric_eigen(size_t n, double *a, size_t lda, bool vectors,
                                    double *ret_values, tamis_error *err);

#endif
