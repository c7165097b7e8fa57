/* Costs between two sides, wherever they come from, by tiles.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TRANSPORT_COST_H
#define TAMIS_TRANSPORT_COST_H

#include "transport/points.h"

/* Rows and columns of a tile, at most; columns are a multiple of a panel. */
enum { TAMIS__COST_ROWS = 32, TAMIS__COST_COLUMNS = 512 };

typedef struct tamis__cost {
    tamis_context *context;
    const tamis_transport_problem *problem;
    tamis__softmin_kernels softmin;
    uint64_t n, m;
    const double *f64; /* [n, stride]: the caller's or `held`, or */
    const float *f32;  /* [n, stride] the caller's or `held_floats`, times `unit` */
    double unit;       /* a power of two; 1 of the caller's */
    size_t stride;
    double *held;         /* owned; NULL = not held */
    float *held_floats;   /* owned; NULL = not held */
    uint64_t bytes;       /* of `held` and of the points made ready */
    tamis__points points; /* zeroed = none */
    bool online;          /* computed when asked for */
    double least, most;   /* of all costs */
    double largest;       /* of their magnitudes */
    double mean;
    double diameter; /* of points; 0 with other costs */
} tamis__cost;

/* Look at all costs once. `both`: tiles of side b's rows will be asked for. Costs of points or of a
 * function are held when they take at most half of the memory limit; those of a function must be,
 * with `both`. They are held as floats, unless the points are few or it is a function. Errors: ARG,
 * NUMERIC, NOMEM, CANCELLED. */
tamis_status tamis__cost_open(tamis__cost *ret_cost, tamis_context *context,
                              const tamis_transport_problem *problem, bool both, tamis_error *err);
/* The problem, and that its float costs are finite. Errors: ARG, NUMERIC. */
tamis_status tamis__cost_check_floats(const tamis_transport_problem *problem, tamis_error *err);

/* Accepts a zeroed struct. */
void tamis__cost_close(tamis__cost *cost);

/* Doubles that a worker needs for tiles of `rows` rows. */
size_t tamis__cost_scratch(const tamis__cost *cost, size_t rows);

/* Costs of rows of side 0 (a) or 1 (b) with columns of the other; *ret_stride doubles from row to
 * row, in scratch or in place. At most TAMIS__COST_ROWS by TAMIS__COST_COLUMNS. Thread-safe but for
 * costs of a function that are not held. */
const double *tamis__cost_tile(const tamis__cost *cost, int side, uint64_t first_row, size_t rows,
                               uint64_t first, size_t columns, double *scratch, size_t *ret_stride);

#endif
