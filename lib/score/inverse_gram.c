/* Influence under the inverse of a dense second moment.
 *
 *     score(i, q) = < g_i , (K + damping I)^-1 g_q >,   K = mean of x x^T over the rows it was fitted on
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "curvature/factor.h"
#include "curvature/gram.h"
#include "curvature/spectra.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"
#include "score/damped_gram.h"
#include "score/damping.h"
#include "score/registry.h"

enum { DAMPING };

static const tamis_param_desc params[] = {TAMIS__DAMPING_PARAMS};

/* --- the factor ------------------------------------------------------------------------------- */

static tamis_status factorise(const tamis_curvature *curvature, tamis__damping damping,
                              uint64_t columns, double *k, tamis_error *err)
{
    char what[512];
    double added = damping.value;
    TAMIS_TRY(tamis__curvature_gram(curvature, k, err));
    if (damping.relative) added *= tamis__trace(k, columns) / (double)columns;
    for (uint64_t i = 0; i < columns; i++) k[i * columns + i] += added;
    snprintf(what, sizeof what, "'%s': the second moment with its damping",
             tamis_curvature_path(curvature));
    tamis__blas_begin();
    tamis_status status = tamis__cholesky(columns, k, columns, what, "raise damping", err);
    tamis__blas_end();
    return status;
}

tamis_status tamis__damped_gram(tamis__rows *rows, const tamis_curvature *curvature,
                                tamis__damping damping, double **ret_factor, tamis_error *err)
{
    uint64_t n = rows->columns, bytes = n * n * sizeof(double);
    TAMIS_TRY(tamis__rows_memory(rows, bytes, "the second moment", err));
    rows->reserved += bytes;
    double *k = tamis__aligned(n * n, sizeof *k);
    if (!k) return tamis__fail_memory(err, "the second moment", bytes);
    tamis_status status = factorise(curvature, damping, n, k, err);
    if (status == TAMIS_OK)
        *ret_factor = k;
    else
        free(k);
    return status;
}

/* --- the run ---------------------------------------------------------------------------------- */

static tamis_status prepare(const tamis__score_call *call, uint32_t checkpoint,
                            tamis__held_queries *held, tamis_error *err)
{
    tamis__rows v = {.context = call->context,
                     .store = call->query,
                     .columns = held->columns,
                     .phase = "preparing queries",
                     .reserved = tamis__held_queries_bytes(held)};
    const float *norms = NULL;
    double *factor = NULL;
    TAMIS_TRY(tamis__curvature_checkpoint(call->curvature, call->query, &v.checkpoint, err));
    TAMIS_TRY(tamis__finite_norms(call->query, v.checkpoint, false, &norms, err));
    TAMIS_TRY(tamis__damped_gram(&v, call->curvature, tamis__damping_of(&call->values[DAMPING]),
                                 &factor, err));
    tamis_status status = tamis__factor_solve(&v, factor, 1.0, held->values[checkpoint],
                                              held->columns, err);
    free(factor);
    if (status != TAMIS_OK) return status;
    return tamis__held_queries_ready(held, call->context, "a query under the inverse", err);
}

static tamis_status run(const tamis__score_call *call, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(call->train);
    tamis__held_queries held = {0};
    uint32_t checkpoint = 0;
    TAMIS_TRY(tamis__curvature_checkpoint(call->curvature, call->train, &checkpoint, err));
    TAMIS_TRY(tamis__score_rows_at(call, checkpoint, err));
    call->weight[checkpoint] = 1.0;
    TAMIS_TRY(tamis__held_queries_init(&held, call->context, info->checkpoints,
                                       tamis_store_info_get(call->query)->rows, info->columns,
                                       err));
    tamis_status status = prepare(call, checkpoint, &held, err);
    tamis__product product = {.queries = &held.queries, .weight = call->weight};
    if (status == TAMIS_OK) status = tamis__score_product(call, &product, err);
    tamis__held_queries_fini(&held);
    return status;
}

const tamis__scorer_class tamis__scorer_inverse_gram = {
    .info = {.name = "inverse-gram",
             .summary = "influence: rows under the inverse of their dense second moment",
             .citation = "Choe et al., What is Your Data Worth to GPT?, 2024, section 3: projected "
                         "gradients under the inverse of their second moment",
             .flags = TAMIS_SCORER_CURVATURE,
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .run = run,
};
