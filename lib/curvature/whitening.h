/* Features of rows under the inverse of their covariance: z = L^-1 (x - mean), L L^T the damped
 * covariance. Any other whitening differs by a rotation, so distances and cosines do not.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CURVATURE_WHITENING_H
#define TAMIS_CURVATURE_WHITENING_H

#include <tamis/curvature.h>

typedef struct tamis__whitening {
    uint64_t columns;
    double *mean;   /* [columns] */
    double *factor; /* [columns, columns] L, lower triangle */
} tamis__whitening;

/* From a curvature file of kind TAMIS_CURVATURE_WHITEN that is final. Errors: ARG (another kind or
 * stage), FORMAT, IO, NOMEM. */
tamis_status tamis__whitening_load(tamis__whitening *ret_whitening,
                                   const tamis_curvature *curvature, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__whitening_fini(tamis__whitening *whitening);

/* Rows first .. first + rows - 1 of the store, summed over its checkpoints, then whitened in double
 * and with `unit` divided by their norms (a zero row stays zero), as floats into `out` [rows, columns]
 * packed. `whitening` NULL: as they are. All threads of the context; the same bits for any number of
 * them. Errors: SHAPE (columns), NUMERIC (a row is not finite: names it), IO, NOMEM, CANCELLED. */
tamis_status tamis__features(tamis_context *context, tamis_store *store,
                             const tamis__whitening *whitening, bool unit, uint64_t first,
                             uint64_t rows, float *out, tamis_error *err);

#endif
