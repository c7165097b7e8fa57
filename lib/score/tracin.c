/* TracIn: learning-rate-weighted gradient products over checkpoints.
 *
 *     score(i, q) = sum_k learning_rate_k <g_i^k, g_q^k>
 *
 * A step of gradient descent on example i with this rate lowers the query's loss by that much, to
 * first order: positive helps.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/registry.h"

#include "base/error.h"

static const tamis_param_desc params[] = {
    {.name = "weights",
     .help = TAMIS__WEIGHTS_HELP,
     .type = TAMIS_PARAM_CHOICE,
     .choices = tamis__weights_choices},
};

static tamis_status run(const tamis__score_call *call, tamis_error *err)
{
    tamis__store_queries query = {0};
    TAMIS_TRY(tamis__score_weights(call, (int)call->values[0].number, err));
    TAMIS_TRY(tamis__score_rows(call, false, err));
    TAMIS_TRY(tamis__queries_of_store(&query, call->query, false, err));
    tamis__product product = {.queries = &query.queries, .weight = call->weight};
    tamis_status status = tamis__score_product(call, &product, err);
    tamis__store_queries_fini(&query);
    return status;
}

const tamis__scorer_class tamis__scorer_tracin = {
    .info = {.name = "tracin",
             .summary = "gradient products summed over checkpoints, weighted by learning rate",
             .citation =
                 "Pruthi, Liu, Kale and Sundararajan, Estimating Training Data Influence by "
                 "Tracing Gradient Descent, NeurIPS 2020: TracInCP",
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .run = run,
};
