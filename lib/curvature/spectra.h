/* The spectra of all layers of a curvature file.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CURVATURE_SPECTRA_H
#define TAMIS_CURVATURE_SPECTRA_H

#include "curvature/spectrum.h"

typedef struct tamis__spectra {
    uint32_t layers;
    tamis__spectrum *layer; /* [layers] */
    uint64_t bytes;         /* of the memory limit that they take */
} tamis__spectra;

/* Errors: NOMEM (also the memory limit), and those of tamis__spectrum_load(). */
tamis_status tamis__spectra_load(tamis__spectra *ret_spectra, const tamis_context *context,
                                 const tamis_curvature *curvature, tamis_curvature_kind kind,
                                 tamis__damping damping, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__spectra_fini(tamis__spectra *spectra);

/* The checkpoint of a store that a curvature is of: the only one, or the one that the curvature
 * names. SHAPE when the store does not have it, or has
 * another step there. */
tamis_status tamis__curvature_checkpoint(const tamis_curvature *curvature, const tamis_store *store,
                                         uint32_t *ret_checkpoint, tamis_error *err);

#endif
