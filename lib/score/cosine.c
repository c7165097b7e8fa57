/* Cosine of gradients, averaged over checkpoints by learning rate.
 *
 *     score(i, q) = sum_k w_k <g_i^k, g_q^k> / (||g_i^k|| ||g_q^k||),   w_k = lr_k / sum_j lr_j
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/registry.h"

#include "base/error.h"

static const char *const zero_choices[] = {"error", "score0", NULL};

static const tamis_param_desc params[] = {
    {.name = "zero",
     .help = "a zero gradient has no direction: stop with an error, or give it the score 0",
     .type = TAMIS_PARAM_CHOICE,
     .choices = zero_choices},
};

static tamis_status run(const tamis__score_call *call, tamis_error *err)
{
    tamis__unit_queries query = {0};
    bool direction = call->values[0].number == 0;
    TAMIS_TRY(tamis__score_weights(call, TAMIS__WEIGHTS_NORMALISED, err));
    TAMIS_TRY(tamis__score_rows(call, direction, err));
    TAMIS_TRY(tamis__unit_queries_of_store(&query, call->query, direction, err));
    tamis__product product = {.queries = &query.rows.queries,
                              .weight = call->weight,
                              .query_scale = query.scale,
                              .row_divisor = tamis__score_norms(call),
                              .bound = 1.0};
    tamis_status status = tamis__score_product(call, &product, err);
    tamis__unit_queries_fini(&query);
    return status;
}

const tamis__scorer_class tamis__scorer_cosine = {
    .info = {.name = "cosine",
             .summary = "cosine of gradients, averaged over checkpoints by learning rate",
             .citation =
                 "Xia, Malladi, Gururangan, Arora and Chen, LESS: Selecting Influential Data for "
                 "Targeted Instruction Tuning, ICML 2024: the score of one query, with "
                 "weights that sum to 1",
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .run = run,
};
