/* The mean of the inverses of damped rank-one matrices.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CURVATURE_RANK_ONE_H
#define TAMIS_CURVATURE_RANK_ONE_H

#include "curvature/rows.h"

/* For each row q of `v` the vector
 *
 *     (1/n) sum over rows i of (x_i x_i^T + damping I)^-1 v_q
 *         = (1 / damping) [ v_q - (1/n) sum over i of x_i (x_i . v_q) / (damping + ||x_i||^2) ]
 *
 * (Sherman and Morrison), n rows that are not skipped, damping > 0. `v` are the rows of another
 * store with the same columns (its own skip and scale); row q of `out` gets the result at columns
 * first_column .. of the range, rounded to float, `stride` floats from row to row. In double. The
 * queries are taken in as many passes over the rows as the memory limit asks for; the same bits for
 * any of them, and for any number of threads.
 * Errors: NOMEM, IO, CANCELLED. */
tamis_status tamis__rank_one_solve(const tamis__rows *x, const tamis__rows *v, double damping,
                                   float *out, size_t stride, tamis_error *err);

#endif
