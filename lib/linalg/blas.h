/* Checked BLAS calls. The only room that includes cblas.h and lapacke.h.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_LINALG_BLAS_H
#define TAMIS_LINALG_BLAS_H

#include <stdbool.h>
#include <stddef.h>
#include <tamis/common.h>

/* All matrices are row-major; ld* are the floats from row to row. Sizes beyond BLAS's int are
 * refused with TAMIS_ERR_UNSUPPORTED. Zero sizes are no-ops (beta is still applied). Call between
 * tamis__blas_begin() and _end(): then every call runs on the calling thread alone, and the same
 * sizes give the same bits whatever the number of threads. */

/* C [m, n] = alpha * op(A) op(B) + beta * C, op(A) [m, k], op(B) [k, n]. */
tamis_status tamis__sgemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k,
                          float alpha, const float *a, size_t lda, const float *b, size_t ldb,
                          float beta, float *c, size_t ldc, tamis_error *err);
tamis_status tamis__dgemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k,
                          double alpha, const double *a, size_t lda, const double *b, size_t ldb,
                          double beta, double *c, size_t ldc, tamis_error *err);

/* The lower triangle of C [n, n] = alpha * op(A) op(A)^T + beta * C, op(A) [n, k]; with `transpose`
 * A is [k, n]. What is above the diagonal stays as it is. */
tamis_status tamis__dsyrk(bool transpose, size_t n, size_t k, double alpha, const double *a,
                          size_t lda, double beta, double *c, size_t ldc, tamis_error *err);

/* Make BLAS single-threaded for a while; nests and is safe from several threads. Returns what
 * _end() needs to put things back. Branches on the OpenBLAS flavour: in the pthread flavour the
 * number of threads is lowered; in the OpenMP flavour too, since our own threads are not
 * OpenMP's. */
void tamis__blas_begin(void);
void tamis__blas_end(void);

/* Configuration string and threading model of the BLAS in use. */
const char *tamis__blas_config(void);
const char *tamis__blas_threading(void);

#endif
