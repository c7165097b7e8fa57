/* The spectra of all layers of a curvature file.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "curvature/spectra.h"

#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "curvature/match.h"

tamis_status tamis__spectra_load(tamis__spectra *ret_spectra, const tamis_context *context,
                                 const tamis_curvature *curvature, tamis_curvature_kind kind,
                                 tamis__damping damping, tamis_error *err)
{
    tamis__spectra s = {.layers = tamis_curvature_info_get(curvature)->layers,
                        .bytes = tamis__spectrum_bytes(curvature, UINT32_MAX)};
    tamis_status status = TAMIS_OK;
    TAMIS_TRY(tamis__memory_check(context, s.bytes, "the eigenvectors of the curvature", err));
    s.layer = tamis__calloc(s.layers, sizeof *s.layer);
    if (!s.layer) return tamis__fail_memory(err, "spectra", s.layers * sizeof *s.layer);
    for (uint32_t l = 0; l < s.layers && status == TAMIS_OK; l++)
        status = tamis__spectrum_load(&s.layer[l], curvature, l, kind, damping, err);
    if (status == TAMIS_OK)
        *ret_spectra = s;
    else
        tamis__spectra_fini(&s);
    return status;
}

void tamis__spectra_fini(tamis__spectra *spectra)
{
    for (uint32_t l = 0; spectra->layer && l < spectra->layers; l++)
        tamis__spectrum_fini(&spectra->layer[l]);
    free(spectra->layer);
    *spectra = (tamis__spectra){0};
}

tamis_status tamis__curvature_checkpoint(const tamis_curvature *curvature, const tamis_store *store,
                                         uint32_t *ret_checkpoint, tamis_error *err)
{
    uint32_t wanted = tamis_curvature_info_get(curvature)->checkpoint,
             there = tamis_store_info_get(store)->checkpoints;
    *ret_checkpoint = there == 1 ? 0 : wanted;
    if (*ret_checkpoint < there) return tamis__match_steps(curvature, store, *ret_checkpoint, err);
    return tamis__fail(err, TAMIS_ERR_SHAPE,
                       "'%s' was fitted on checkpoint %u, and '%s' has %u checkpoints: fit one of "
                       "these, or take the store of that checkpoint alone",
                       tamis_curvature_path(curvature), wanted, tamis_store_path(store), there);
}
