/* Whitened eigen-coordinates: z = (Q_S^T G Q_A) / sqrt(lambda + damping), in which the influence of
 * one gradient on another is a plain dot product.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CURVATURE_WHITENER_H
#define TAMIS_CURVATURE_WHITENER_H

#include "curvature/eigen_rows.h"
#include "curvature/spectra.h"

typedef struct tamis__whitener {
    tamis__spectra spectra; /* `inverse` of each layer holds the roots of what it held */
    tamis_whitening by;     /* `kind` is static */
    uint64_t **kept;        /* [layers]: coordinates that stay, ascending; NULL = all of them do */
    uint64_t *count;        /* [layers]: how many */
    uint64_t *first;        /* [layers]: where they begin in a whitened row */
    uint64_t columns;       /* of a whitened row */
    tamis_layer *table;     /* [tables]: layer table of whitened rows; a layer of which nothing
                               stayed is not in it */
    uint32_t tables;
    uint64_t bytes; /* of the memory limit that all this takes */
} tamis__whitener;

/* "kind" as in tamis_whitening. Errors: ARG (no such kind, keep not in (0, 1]; those of the
 * spectra), NOMEM. */
tamis_status tamis__whitener_init(tamis__whitener *ret_whitener, const tamis_context *context,
                                  const tamis_curvature *curvature, const tamis_whitening *by,
                                  tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__whitener_fini(tamis__whitener *whitener);

/* Whitened rows first .. first + rows - 1 as floats, `stride` from row to row; `r` has the
 * whitener's spectra. As tamis__eigen_rows_visit(). */
tamis_status tamis__whitener_rows(const tamis__whitener *whitener, const tamis__eigen_rows *r,
                                  tamis__eigen_work *work, uint64_t first, uint64_t rows,
                                  float *out, size_t stride, tamis_error *err);

/* One layer of them. */
tamis_status tamis__whitener_layer(const tamis__whitener *whitener, const tamis__eigen_rows *r,
                                   tamis__eigen_work *work, uint32_t layer, uint64_t first,
                                   uint64_t rows, float *out, size_t stride, tamis_error *err);

/* All of them the same? */
bool tamis__whitened_alike(const tamis_whitening *a, const tamis_whitening *b);

/* "0.1 of the mean eigenvalue" or "0.001", for messages. */
enum { TAMIS__DAMPING_TEXT = 64 };
void tamis__damping_text(double damping, bool relative, char text[TAMIS__DAMPING_TEXT]);

#endif
