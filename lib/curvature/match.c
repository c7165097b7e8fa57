/* Do two files have rows of the same layers, projected alike?
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "curvature/match.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"

static bool same_projection(const tamis_projection *a, const tamis_projection *b)
{
    if (!a || !b) return a == b;
    bool layers = !a->layers || !b->layers || a->layers == b->layers;
    return !strcmp(a->kind, b->kind) && a->seed == b->seed && a->from == b->from &&
           a->to == b->to && a->nonzeros == b->nonzeros && layers;
}

static tamis_status match_projection(const tamis__columns_of *a, const tamis__columns_of *b,
                                     tamis_error *err)
{
    const tamis_projection *p = a->projected_by, *q = b->projected_by;
    if (same_projection(p, q)) return TAMIS_OK;
    if (p && q)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' and '%s' are of rows that were projected in different ways: "
                           "project both alike",
                           a->path, b->path);
    return tamis__fail(err, TAMIS_ERR_SHAPE,
                       "'%s' is of rows that were projected, '%s' of rows that were not: project "
                       "both or neither",
                       p ? a->path : b->path, p ? b->path : a->path);
}

tamis_status tamis__match_columns(const tamis__columns_of *a, const tamis__columns_of *b,
                                  tamis_error *err)
{
    TAMIS_TRY(match_projection(a, b, err));
    if (a->layers != b->layers)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' is of %u layers, '%s' of %u: they are not of one model", a->path,
                           (unsigned)a->layers, b->path, (unsigned)b->layers);
    for (uint32_t i = 0; i < a->layers; i++) {
        const tamis_layer *x = &a->layer[i], *y = &b->layer[i];
        if (!strcmp(x->name, y->name) && x->out == y->out && x->in == y->in && x->bias == y->bias)
            continue;
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "layer %u is '%.60s', %" PRIu64 " x (%" PRIu64
                           " + %u), in '%s', and '%.60s', %" PRIu64 " x (%" PRIu64
                           " + %u), in '%s': they are not of one model",
                           (unsigned)i, x->name, x->out, x->in, (unsigned)x->bias, a->path, y->name,
                           y->out, y->in, (unsigned)y->bias, b->path);
    }
    return TAMIS_OK;
}

tamis_status tamis__refuse_whitened(const tamis_store *store, tamis_error *err)
{
    if (!tamis_store_info_get(store)->whitened_by) return TAMIS_OK;
    return tamis__fail(
        err, TAMIS_ERR_SHAPE,
        "'%s' is whitened, and curvature files are of gradients: give the store that "
        "it was made of",
        tamis_store_path(store));
}

tamis_status tamis__match_steps(const tamis_curvature *curvature, const tamis_store *store,
                                uint32_t checkpoint, tamis_error *err)
{
    uint64_t fitted = tamis_curvature_info_get(curvature)->step,
             there = tamis_store_info_get(store)->checkpoint[checkpoint].step;
    if (fitted == 0 || there == 0 || fitted == there) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_SHAPE,
                       "'%s' was fitted at step %" PRIu64 ", checkpoint %u of '%s' is of step "
                       "%" PRIu64 ": fit one at that step, or take the store of the checkpoint at "
                       "step %" PRIu64 " (tamis convert --checkpoints)",
                       tamis_curvature_path(curvature), fitted, (unsigned)checkpoint,
                       tamis_store_path(store), there, fitted);
}
