/* Softmins over the rows and over the columns of a matrix of float costs in one pass over it.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TRANSPORT_PAIR_H
#define TAMIS_TRANSPORT_PAIR_H

#include <tamis/transport.h>

#include "kernels/softmin_pair.h"

/* Memory of a pass, for any number of them. */
typedef struct tamis__pair {
    tamis_context *context;
    const float *cost; /* [n, stride] */
    size_t stride;
    uint64_t n, m;
    tamis__softmin_pair kernels;
    const char *phase; /* for progress */
    uint64_t done, total;
    float *own, *h;             /* [n], [m]: what exponents start from, and log sums of rows */
    float *top;                 /* [m] */
    double *all;                /* [m] */
    float *part_top, *part_sum; /* [slots, m] of a block of rows */
} tamis__pair;

/* Costs are the problem's floats, and are looked at once. Errors: ARG, NUMERIC (a cost is not
 * finite), NOMEM. */
tamis_status tamis__pair_begin(tamis__pair *ret_pair, tamis_context *context,
                               const tamis_transport_problem *problem, const char *phase,
                               tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__pair_end(tamis__pair *pair);

/* rows[i] = log sum_j exp(h[j] - rate C_ij), columns[j] = log sum_i exp(own[i] - rate C_ij). A
 * block of rows is one thread's, and what blocks give the columns is joined in their order: the
 * same bits for any number of threads. Exponents are floats, right to 6e-8 of themselves. Errors:
 * CANCELLED. */
tamis_status tamis__pair_pass(tamis__pair *pair, const double *own, const double *h, double rate,
                              double *rows, double *columns, tamis_error *err);

#endif
