/* Self-influence: how much training on an example changes its own loss. Large for examples that
 * stand against the rest of the data, mislabelled ones among them.
 *
 *     score(i) = sum_k learning_rate_k ||g_i^k||^2, or with a curvature g_i^T (H + damping)^-1 g_i
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/registry.h"

#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "score/damping.h"
#include "score/self_curvature.h"

enum { BLOCK = 65536 };

enum { WEIGHTS, KIND, DAMPING, DAMPING_UNIT, N_PARAMS };

/* "fitted", then by tamis_curvature_kind. */
static const char *const kind_choices[] = {"fitted", "ekfac", "kfac", "diagonal", "gram", NULL};

static const tamis_param_desc params[N_PARAMS] = {
    {.name = "weights",
     .help = TAMIS__WEIGHTS_HELP,
     .type = TAMIS_PARAM_CHOICE,
     .choices = tamis__weights_choices},
    {.name = "kind",
     .help = "with a curvature file: how it is seen; one of ekfac serves kfac as well",
     .type = TAMIS_PARAM_CHOICE,
     .choices = kind_choices},
    TAMIS__DAMPING_PARAMS,
};

/* Scores of rows first .. first + n - 1. */
static tamis_status score_rows(const tamis__score_call *call, const float *const *norm,
                               uint64_t first, uint64_t n, float *scores, tamis_error *err)
{
    uint32_t checkpoints = tamis_store_info_get(call->train)->checkpoints;
    const unsigned char *skip = tamis__score_skipped(call);
    for (uint64_t i = 0; i < n; i++) {
        double sum = 0;
        for (uint32_t k = 0; k < checkpoints; k++)
            sum += call->weight[k] * ((double)norm[k][first + i] * (double)norm[k][first + i]);
        scores[i] = (float)sum;
        if (skip && skip[first + i]) {
            scores[i] = NAN;
            continue;
        }
        if (isfinite(scores[i])) continue;
        char id[256];
        tamis_store_id(call->train, first + i, id, sizeof id);
        return tamis__fail(err, TAMIS_ERR_NUMERIC,
                           "'%s': the self-influence of row %llu (id %s) is too large for a float",
                           tamis_store_path(call->train), (unsigned long long)(first + i), id);
    }
    return TAMIS_OK;
}

static tamis_status score_all(const tamis__score_call *call, float *scores, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(call->train);
    for (uint64_t first = 0; first < info->rows; first += BLOCK) {
        uint64_t n = info->rows - first < BLOCK ? info->rows - first : BLOCK;
        TAMIS_TRY(score_rows(call, tamis__score_norms(call), first, n, scores, err));
        TAMIS_TRY(tamis__score_put(call, first, n, scores, err));
        TAMIS_TRY(
            tamis__progress(call->context, "scoring", first + n, info->rows, "rows", NULL, err));
    }
    return TAMIS_OK;
}

/* Parameters that go with a curvature only, or without one only. */
static tamis_status check_params(const tamis__score_call *call, tamis_error *err)
{
    for (int i = 0; i < N_PARAMS; i++) {
        bool with = i != WEIGHTS, has = call->curvature != NULL;
        if (!call->values[i].given || with == has) continue;
        return tamis__fail(err, TAMIS_ERR_ARG, "self:%s goes with%s a curvature file: %s",
                           params[i].name, with ? "" : "out",
                           with ? "give one with --curvature" : "leave one of them out");
    }
    return TAMIS_OK;
}

static tamis_status run_curvature(const tamis__score_call *call, tamis_error *err)
{
    int kind = (int)call->values[KIND].number - 1;
    if (kind < 0) kind = (int)tamis_curvature_info_get(call->curvature)->kind;
    return tamis__self_under_curvature(call, (tamis_curvature_kind)kind,
                                       tamis__damping_of(&call->values[DAMPING]), err);
}

static tamis_status run(const tamis__score_call *call, tamis_error *err)
{
    TAMIS_TRY(check_params(call, err));
    if (call->curvature) return run_curvature(call, err);
    TAMIS_TRY(tamis__score_weights(call, (int)call->values[WEIGHTS].number, err));
    TAMIS_TRY(tamis__score_rows(call, false, err));
    float *scores = tamis__calloc(BLOCK, sizeof *scores);
    if (!scores) return tamis__fail_memory(err, "scores", BLOCK * sizeof *scores);
    tamis_status status = score_all(call, scores, err);
    free(scores);
    return status;
}

const tamis__scorer_class tamis__scorer_self = {
    .info = {.name = "self",
             .summary = "self-influence: squared gradient norms, or those under a curvature",
             .citation =
                 "Pruthi, Liu, Kale and Sundararajan, Estimating Training Data Influence by "
                 "Tracing Gradient Descent, NeurIPS 2020: TracInCP of an example with itself",
             .flags = TAMIS_SCORER_NO_QUERY | TAMIS_SCORER_MAY_CURVATURE,
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .plain = KIND,
    .run = run,
};
