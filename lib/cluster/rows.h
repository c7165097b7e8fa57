/* Points to be clustered: rows of a store, summed over its checkpoints, whitened or of unit length
 * where that is wanted.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLUSTER_ROWS_H
#define TAMIS_CLUSTER_ROWS_H

#include "curvature/whitening.h"
#include "kernels/row_dots.h"

/* Zero-initialise, set the first five, then tamis__cluster_rows_open(). Do not copy it afterwards.
 */
typedef struct tamis__cluster_rows {
    tamis_context *context;
    tamis_store *store;
    const tamis__whitening *whitening; /* NULL = none */
    bool unit;                         /* divided by their norms; a zero row stays zero */
    const uint64_t *row;               /* [n] ascending; NULL = all of the store */
    uint64_t n, columns;               /* n: set with `row` only */
    uint64_t chunk;                    /* most rows of tamis__cluster_rows_some() */
    double *square;                    /* [n] |x|^2 */
    float *held;                       /* [n, columns]; NULL = made when they are wanted */
    float *some;                       /* [chunk, columns] otherwise */
    tamis__feature_scratch *scratch;   /* [threads] */
    tamis__row_dots dots;
    uint64_t bytes; /* of the memory limit that all this takes */
} tamis__cluster_rows;

/* Check all rows and take their squares. They are held when they fit a quarter of the memory limit:
 * only a matter of time. Errors: SHAPE (of the whitening), NUMERIC (a row is not finite: names it),
 * NOMEM, IO, CANCELLED. */
tamis_status tamis__cluster_rows_open(tamis__cluster_rows *rows, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__cluster_rows_close(tamis__cluster_rows *rows);

/* At most rows->chunk points from the first-th on, [rows, columns] packed; valid until the next
 * call. All threads. */
tamis_status tamis__cluster_rows_some(tamis__cluster_rows *rows, uint64_t first, uint64_t n,
                                      const float **ret_points, tamis_error *err);

/* Points `at` [n], ascending, into `out` [n, columns]. On the calling thread, with that worker's
 * scratch; between tamis__blas_begin() and _end(). */
tamis_status tamis__cluster_rows_take(const tamis__cluster_rows *rows, const uint64_t *at,
                                      uint64_t n, unsigned worker, float *out, tamis_error *err);

#endif
