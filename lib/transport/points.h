/* Costs between points, by tiles of inner products.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TRANSPORT_POINTS_H
#define TAMIS_TRANSPORT_POINTS_H

#include <tamis/transport.h>

#include "base/context.h"
#include "kernels/kernels.h"
#include "kernels/product.h"
#include "kernels/softmin.h"

/* Columns of a tile start and end at whole panels. */
enum { TAMIS__POINT_PANEL = TAMIS__MAX_TILE };

/* One side, made ready: unit rows with cosine, less the mean of both sides where that matters,
 * scaled by a power of two so that none is longer than 1. */
typedef struct tamis__point_side {
    uint64_t n;
    float *rows;  /* [n, columns] */
    double *norm; /* [n, to whole panels] squares of the rows' lengths */
    char *panels; /* the rows as panels of the multiplier; NULL = not wanted */
} tamis__point_side;

typedef struct tamis__points {
    tamis__kernels kernels;
    tamis__softmin_kernels softmin;
    uint64_t columns;
    bool root;       /* distances, else their squares */
    bool direct;     /* few enough to be done from differences, in double */
    double unit;     /* of a cost of the scaled rows */
    double diameter; /* diagonal of the box around all of them */
    size_t panel_bytes;
    tamis__point_side side[2]; /* a, b */
} tamis__points;

/* Bytes that a pair of sides takes. */
uint64_t tamis__points_bytes(const tamis_transport_problem *problem);

/* Is it small enough to be done from differences, in double? */
bool tamis__points_direct(const tamis_transport_problem *problem);

/* `both`: tiles of side b's rows will be asked for too. Errors: NUMERIC (a value is not finite, a
 * row of zeros with cosine), NOMEM. */
tamis_status tamis__points_init(tamis__points *ret_points, const tamis_context *context,
                                const tamis_transport_problem *problem, bool both,
                                tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__points_fini(tamis__points *points);

/* Costs of rows of a side with columns of the other: out [rows, stride]; `first` is a multiple of a
 * panel, `stride` too and at least `columns` rounded up to one. Unless `direct`, they are floats
 * times `unit`. The same bits for (i, j) of one side as for (j, i) of the other, and however tiles
 * are cut. Thread-safe. */
void tamis__points_tile(const tamis__points *points, int side, uint64_t first_row, size_t rows,
                        uint64_t first, size_t columns, double *out, size_t stride);

#endif
