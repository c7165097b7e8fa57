/* One layer's damped curvature, ready to be applied:
 *
 *     H^-1 V = Q_S [ (Q_S^T V Q_A) / (lambda + damping) ] Q_A^T
 *
 * for ekfac (lambda measured), kfac (outer product of eigenvalues), diagonal (no rotation).
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CURVATURE_SPECTRUM_H
#define TAMIS_CURVATURE_SPECTRUM_H

#include <tamis/curvature.h>

#include "curvature/basis.h"

typedef struct tamis__spectrum {
    tamis_layer layer;          /* as in the curvature file */
    uint64_t out, in;           /* of the block: `in` counts the bias */
    tamis__basis output, input; /* Q_S, Q_A */
    double *lambda;             /* [out, in], >= 0 */
    double damping;             /* in force, absolute, >= 0 */
    double *inverse;            /* [out, in] 1 / (lambda + damping), finite */
} tamis__spectrum;

/* How a layer's damping is given. */
typedef struct tamis__damping {
    double value;
    bool relative; /* to the layer's mean lambda */
} tamis__damping;

/* Fill in damping and inverse from lambda. NUMERIC, naming the layer and a remedy, when
 * lambda + damping is zero somewhere. */
tamis_status tamis__spectrum_damp(tamis__spectrum *spectrum, tamis__damping damping,
                                  tamis_error *err);

/* Load a layer as `kind` sees it: an ekfac file also serves kfac. Errors: ARG (a file of another
 * kind, or not final), NUMERIC (tamis__spectrum_damp()), FORMAT, IO, NOMEM. */
tamis_status tamis__spectrum_load(tamis__spectrum *ret_spectrum, const tamis_curvature *curvature,
                                  uint32_t layer, tamis_curvature_kind kind, tamis__damping damping,
                                  tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__spectrum_fini(tamis__spectrum *spectrum);

/* Bytes that a loaded layer takes, all layers' sum with layer == UINT32_MAX. */
uint64_t tamis__spectrum_bytes(const tamis_curvature *curvature, uint32_t layer);

/* Error unless the curvature fits rows of this store: SHAPE naming what differs (layers by name and
 * size, projection), ARG for kinds that do not serve. */
tamis_status tamis__curvature_fits(const tamis_curvature *curvature, const tamis_store *store,
                                   tamis_error *err);

/* GRAM: the mean of x x^T, both triangles, [columns, columns] into ret_gram. */
tamis_status tamis__curvature_gram(const tamis_curvature *curvature, double *ret_gram,
                                   tamis_error *err);

#endif
