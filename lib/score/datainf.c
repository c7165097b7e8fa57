/* DataInf: influence with a curvature whose inverse has a closed form.
 *
 *     score(i, q) = sum_k w_k sum over layers l of < r_{q,l}^k, g_{i,l}^k >
 *     r_{q,l} = (1/n) sum_j (g_{j,l} g_{j,l}^T + lambda_l I)^-1 g_{q,l}
 *             = (1 / (n lambda_l)) sum_j [ g_{q,l} - g_{j,l} (g_{j,l} . g_{q,l}) / (lambda_l + ||g_{j,l}||^2) ]
 *     lambda_l = damping * mean over j and columns of g_{j,l}^2
 *
 * The inverse of the mean is replaced by the mean of the inverses.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/registry.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "curvature/gram.h"
#include "curvature/rank_one.h"

enum { DAMPING, WEIGHTS };

static const tamis_param_desc params[] = {
    {.name = "damping",
     .help = "lambda of a layer, in units of the mean square of its gradients",
     .type = TAMIS_PARAM_REAL,
     .min = 1e-30,
     .max = 1e30,
     .fallback = 0.1},
    {.name = "weights",
     .help = TAMIS__WEIGHTS_HELP,
     .type = TAMIS_PARAM_CHOICE,
     .fallback = TAMIS__WEIGHTS_EQUAL,
     .choices = tamis__weights_choices},
};

/* A layer whose gradients are all zero adds nothing; what is held is zero to begin with. */
static tamis_status prepare_checkpoint(const tamis__score_call *call, uint32_t k, double *square,
                                       const tamis__held_queries *held, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(call->train);
    tamis__rows x = {.context = call->context,
                     .store = call->train,
                     .checkpoint = k,
                     .skip = tamis__score_skipped(call),
                     .phase = "preparing queries"};
    tamis__rows v = x;
    v.store = call->query;
    v.skip = NULL;
    x.reserved = tamis__held_queries_bytes(held);
    TAMIS_TRY(tamis__layer_squares(&x, square, err));
    for (uint32_t l = 0; l < info->layers; l++) {
        tamis__rows_layer(&x, l);
        tamis__rows_layer(&v, l);
        double count = (double)tamis__rows_count(&x) * (double)x.columns;
        double damping = call->values[DAMPING].number * square[l] / count;
        if (damping > 0.0)
            TAMIS_TRY(tamis__rank_one_solve(&x, &v, damping, held->values[k] + x.first_column,
                                            info->columns, err));
    }
    return TAMIS_OK;
}

static tamis_status prepare(const tamis__score_call *call, tamis__held_queries *held,
                            tamis_error *err)
{
    uint32_t layers = tamis_store_info_get(call->train)->layers;
    const float *norms;
    double *square = tamis__calloc(layers, sizeof *square);
    if (!square) return tamis__fail_memory(err, "sums of layers", layers * sizeof *square);
    tamis_status status = TAMIS_OK;
    for (uint32_t k = 0; k < held->checkpoints && status == TAMIS_OK; k++) {
        status = tamis__finite_norms(call->query, k, false, &norms, err);
        if (status == TAMIS_OK) status = prepare_checkpoint(call, k, square, held, err);
    }
    free(square);
    if (status != TAMIS_OK) return status;
    return tamis__held_queries_ready(held, call->context, "a query under the curvature", err);
}

static tamis_status run(const tamis__score_call *call, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(call->train);
    tamis__held_queries held = {0};
    TAMIS_TRY(tamis__score_weights(call, (int)call->values[WEIGHTS].number, err));
    TAMIS_TRY(tamis__score_rows(call, false, err));
    TAMIS_TRY(tamis__held_queries_init(&held, call->context, info->checkpoints,
                                       tamis_store_info_get(call->query)->rows, info->columns,
                                       err));
    tamis_status status = prepare(call, &held, err);
    tamis__product product = {.queries = &held.queries, .weight = call->weight};
    if (status == TAMIS_OK) status = tamis__score_product(call, &product, err);
    tamis__held_queries_fini(&held);
    return status;
}

const tamis__scorer_class tamis__scorer_datainf = {
    .info = {.name = "datainf",
             .summary = "influence with the mean of inverses in place of the inverse Hessian",
             .citation = "Kwon, Wu, Wu and Zou, DataInf: Efficiently Estimating Data Influence in "
                         "LoRA-tuned LLMs and Diffusion Models, ICLR 2024: with the opposite sign",
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .run = run,
};
