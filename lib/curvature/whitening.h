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

/* Bytes that it takes. */
uint64_t tamis__whitening_bytes(const tamis_curvature *curvature);

/* Rows first .. first + rows - 1 of the store, summed over its checkpoints, then whitened in double
 * and with `unit` divided by their norms (a zero row stays zero), as floats into `out` [rows,
 * columns] packed. `whitening` NULL: as they are. All threads of the context; the same bits for any
 * number of them. Errors: SHAPE (columns), NUMERIC (a row is not finite: names it), IO, NOMEM,
 * CANCELLED. */
tamis_status tamis__features(tamis_context *context, tamis_store *store,
                             const tamis__whitening *whitening, bool unit, uint64_t first,
                             uint64_t rows, float *out, tamis_error *err);

/* --- on one thread ---------------------------------------------------------------------------- */

/* Rows are solved for by so many, zeros where there are fewer, so that a row's bits do not depend
 * on what it is solved with. */
enum { TAMIS__FEATURE_ROWS = 64 };

/* What a thread needs meanwhile. */
typedef struct tamis__feature_scratch {
    float *row;     /* [TAMIS__FEATURE_ROWS, columns] */
    double *values; /* [TAMIS__FEATURE_ROWS, columns]: the features */
    double norm[TAMIS__FEATURE_ROWS];
} tamis__feature_scratch;
uint64_t tamis__feature_scratch_bytes(uint64_t columns);
tamis_status tamis__feature_scratch_init(tamis__feature_scratch *ret_scratch, uint64_t columns,
                                         tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__feature_scratch_fini(tamis__feature_scratch *scratch);

/* Sums over checkpoints of rows first .. first + rows - 1 in double, into `out` [rows, columns]
 * packed; NUMERIC naming the first that is not finite. `row` is of as many floats. */
tamis_status tamis__rows_summed(const tamis_store *store, uint64_t first, uint64_t rows, float *row,
                                double *out, tamis_error *err);

/* The same of rows `row` [rows], ascending. */
tamis_status tamis__rows_listed(const tamis_store *store, const uint64_t *row, uint64_t rows,
                                float *scratch, double *out, tamis_error *err);

/* Features of at most TAMIS__FEATURE_ROWS rows into scratch->values, and their norms before they
 * are divided by them. On the calling thread, between tamis__blas_begin() and _end(). */
tamis_status tamis__features_some(const tamis_store *store, const tamis__whitening *whitening,
                                  bool unit, uint64_t first, uint64_t rows,
                                  tamis__feature_scratch *scratch, tamis_error *err);
/* The same of rows `row` [rows], ascending. */
tamis_status tamis__features_listed(const tamis_store *store, const tamis__whitening *whitening,
                                    bool unit, const uint64_t *row, uint64_t rows,
                                    tamis__feature_scratch *scratch, tamis_error *err);

#endif
