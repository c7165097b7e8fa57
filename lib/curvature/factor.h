/* What a Cholesky factor of a range of columns does to rows.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CURVATURE_FACTOR_H
#define TAMIS_CURVATURE_FACTOR_H

#include "curvature/rows.h"

/* ret_squares[i] += ||L^-1 x_i||^2 for every row of the store, L [columns, columns] lower
 * triangular. Rows that are skipped add 0. A block of rows is one thread's: the same bits for any
 * number of threads. Errors: NOMEM, IO, CANCELLED. */
tamis_status tamis__factor_norms(const tamis__rows *r, const double *l, double *ret_squares,
                                 tamis_error *err);

/* Row q of `out`, at columns first_column .. of the range, becomes factor * (L L^T)^-1 x_q, rounded
 * to float; `stride` floats from row to row. Errors: NOMEM, IO, CANCELLED. */
tamis_status tamis__factor_solve(const tamis__rows *r, const double *l, double factor, float *out,
                                 size_t stride, tamis_error *err);

#endif
