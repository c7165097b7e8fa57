/* Do two files have rows of the same layers, projected alike?
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CURVATURE_MATCH_H
#define TAMIS_CURVATURE_MATCH_H

#include <tamis/curvature.h>

typedef struct tamis__columns_of {
    const char *path;
    const tamis_layer *layer;
    uint32_t layers;
    const tamis_projection *projected_by; /* NULL = not projected */
} tamis__columns_of;

static inline tamis__columns_of tamis__columns_of_store(const tamis_store *store)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    return (tamis__columns_of){tamis_store_path(store), info->layer, info->layers,
                               info->projected_by};
}

static inline tamis__columns_of tamis__columns_of_curvature(const tamis_curvature *curvature)
{
    const tamis_curvature_info *info = tamis_curvature_info_get(curvature);
    return (tamis__columns_of){tamis_curvature_path(curvature), info->layer, info->layers,
                               info->projected_by};
}

/* SHAPE, naming both files and the first thing that differs. */
tamis_status tamis__match_columns(const tamis__columns_of *a, const tamis__columns_of *b,
                                  tamis_error *err);

/* SHAPE when the store's rows are whitened coordinates. A curvature file is of gradients and does
 * not say otherwise, so that one of such rows would pass for one of the gradients they were made
 * of. */
tamis_status tamis__refuse_whitened(const tamis_store *store, tamis_error *err);

/* SHAPE, naming both files, when the curvature is of another step than the store's checkpoint. A
 * step of 0 is not known: imported gradients and weights may not say theirs. */
tamis_status tamis__match_steps(const tamis_curvature *curvature, const tamis_store *store,
                                uint32_t checkpoint, tamis_error *err);

#endif
