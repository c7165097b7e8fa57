/* Second moments of rows.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CURVATURE_GRAM_H
#define TAMIS_CURVATURE_GRAM_H

#include "curvature/rows.h"

/* The lower triangle of sum over rows i of scale_i^2 x_i x_i^T, row-major [columns, columns]; what
 * is above it has no meaning. Products and sums in double; the same bits for any number of
 * threads, memory limit and sharding, since an entry is one thread's and the rows come in fixed
 * blocks.
 * Errors: NOMEM (before anything is read, when the blocks do not fit the memory limit),
 * NUMERIC (the sum is not finite), IO, CANCELLED. */
tamis_status tamis__gram(const tamis__rows *r, double *ret_sum, tamis_error *err);

/* The same from row `first` on, where a block starts, added to what is there; after() as in
 * tamis__pass (curvature/kronecker.h). */
tamis_status tamis__gram_add(const tamis__rows *r, uint64_t first, double *sum,
                             tamis_status (*after)(void *arg, uint64_t row, tamis_error *err),
                             void *arg, tamis_error *err);

/* Bytes that tamis__gram() needs besides the sum. */
uint64_t tamis__gram_bytes(const tamis__rows *r);

/* Sum of the diagonal. */
double tamis__trace(const double *sum, uint64_t columns);

/* For each layer the sum of squares of its columns over the rows: ret_sum [layers]. The range of
 * columns is not looked at. Errors as tamis__gram(). */
tamis_status tamis__layer_squares(const tamis__rows *r, double *ret_sum, tamis_error *err);

#endif
