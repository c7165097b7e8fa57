/* Matrices cut off at a rank.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_LINALG_LOW_RANK_H
#define TAMIS_LINALG_LOW_RANK_H

#include <stddef.h>
#include <stdint.h>
#include <tamis/common.h>

/* A [m, n], row-major without gaps, m <= n, is nearly the sum over r < rank of left_r right_r^T:
 * left [rank, m] has orthonormal rows, the first singular vectors, and right [rank, n] = left A, so
 * that the singular values are its rows' norms, in descending order. rank <= m. Rows beyond the
 * rank of A are zeros, or as good as that. Call between tamis__blas_begin() and _end(). Errors:
 * NUMERIC (a value is not finite; no convergence), NOMEM, UNSUPPORTED. */

/* From the eigenvectors of A A^T: the nearest matrix of this rank (Eckart and Young 1936), but for
 * singular values below 1e-8 of the largest. */
tamis_status tamis__low_rank(size_t m, size_t n, const double *a, size_t rank, double *ret_left,
                             double *ret_right, tamis_error *err);
/* Bytes that it allocates meanwhile. */
uint64_t tamis__low_rank_bytes(size_t m);

/* By a randomised range finder with `power` iterations: Halko, Martinsson and Tropp 2011, Finding
 * Structure with Randomness, algorithms 4.4 and 5.1. `start` [width, n] are random rows, rank <=
 * width <= m; more of them than `rank` find it better. */
tamis_status tamis__low_rank_sketch(size_t m, size_t n, const double *a, size_t rank,
                                    unsigned power, size_t width, const double *start,
                                    double *ret_left, double *ret_right, tamis_error *err);
uint64_t tamis__low_rank_sketch_bytes(size_t m, size_t n, size_t width);

/* Standard normal numbers for `start`: a function of seed and item. Errors: NOMEM. */
tamis_status tamis__low_rank_start(uint64_t seed, uint64_t item, size_t width, size_t n,
                                   double *ret_start, tamis_error *err);

#endif
