/* Scores against proximal Bregman responses, and the damping that both go by.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "curvature/spectrum.h"
#include "evaluate/pbrf.h"
#include "evaluate/scores.h"

/* --- damping ---------------------------------------------------------------------------------- */

static tamis_status check_layers(const tamis_curvature *curvature, const tamis_model *model,
                                 tamis_error *err)
{
    const tamis_curvature_info *c = tamis_curvature_info_get(curvature);
    const tamis_model_info *m = tamis_model_info_get(model);
    const char *path = tamis_curvature_path(curvature);
    if (c->kind == TAMIS_CURVATURE_GRAM || c->kind == TAMIS_CURVATURE_WHITEN)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "'%s' is a curvature of whole rows: damping by layer takes one of ekfac, "
            "kfac or diagonal",
            path);
    if (c->layers != m->layers)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' is of %" PRIu32 " layers, the model has %" PRIu32
                           ": fit it on gradients of all layers",
                           path, c->layers, m->layers);
    for (uint32_t l = 0; l < m->layers; l++) {
        const tamis_layer *a = &c->layer[l], *b = &m->layer[l];
        if (strcmp(a->name, b->name) == 0 && a->out == b->out && a->in == b->in &&
            a->bias == b->bias)
            continue;
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s': layer %" PRIu32 " is %s, %" PRIu64 " x %" PRIu64
                           "%s, in the model %s, %" PRIu64 " x %" PRIu64
                           "%s: take the curvature of this model",
                           path, l, a->name, a->out, a->in, a->bias ? " + bias" : "", b->name,
                           b->out, b->in, b->bias ? " + bias" : "");
    }
    return TAMIS_OK;
}

tamis_status tamis_pbrf_damping(const tamis_curvature *curvature, const tamis_model *model,
                                double relative, double *ret_damping, tamis_error *err)
{
    if (!(relative > 0.0) || !isfinite(relative))
        return tamis__fail(err, TAMIS_ERR_ARG, "damping %g is out of range: it must be above 0",
                           relative);
    TAMIS_TRY(check_layers(curvature, model, err));
    const tamis_curvature_info *info = tamis_curvature_info_get(curvature);
    for (uint32_t l = 0; l < info->layers; l++) {
        tamis__spectrum spectrum = {0};
        tamis__damping damping = {.value = relative, .relative = true};
        TAMIS_TRY(tamis__spectrum_load(&spectrum, curvature, l, info->kind, damping, err));
        ret_damping[l] = spectrum.damping;
        tamis__spectrum_fini(&spectrum);
    }
    return TAMIS_OK;
}

/* --- correlations ----------------------------------------------------------------------------- */

/* An effect is the loss without a row minus the loss with it: what leaving out is to retraining,
 * minus the response is here. */
tamis_status tamis_evaluate_pbrf(tamis_loo *ret_loo, tamis_context *context,
                                 const tamis_scores *scores, const tamis_pbrf *pbrf,
                                 const tamis_bootstrap *bootstrap, tamis_error *err)
{
    uint64_t queries = pbrf->queries, n = pbrf->rows * queries;
    TAMIS_TRY(tamis__need_all_pairs(scores, err));
    TAMIS_TRY(tamis__need_shape(scores, pbrf->train_rows, queries, "responses", err));
    tamis_retrained as = {.subsets = pbrf->rows + 1, .seeds = 1, .queries = queries};
    as.loss = tamis__calloc((size_t)(n + queries), sizeof *as.loss);
    if (!as.loss) return tamis__fail_memory(err, "responses", (n + queries) * sizeof *as.loss);
    for (uint64_t i = 0; i < n; i++) as.loss[queries + i] = -pbrf->response[i];
    tamis_status status = tamis_evaluate_loo(ret_loo, context, scores, pbrf->row, pbrf->rows, &as,
                                             bootstrap, err);
    free(as.loss);
    return status;
}
