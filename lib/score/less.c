/* LESS: cosine with the mean query of each group of queries, the best group counts.
 *
 *     score(i) = max over groups D of sum_k w_k < u_i^k, (1/|D|) sum_{q in D} u_q^k >,
 *     u = g / ||g||,   w_k = lr_k / sum_j lr_j
 *
 * A mean of products is the product with the mean, so the queries are averaged first.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "score/less_groups.h"

enum { MEAN, AGGREGATE, ZERO };
enum { MEAN_COSINES, MEAN_GRADIENT };
enum { AGGREGATE_MAX, AGGREGATE_GROUPS };
enum { ZERO_ERROR };

static const char *const mean_choices[] = {"cosines", "gradient", NULL};
static const char *const aggregate_choices[] = {"max", "groups", NULL};
static const char *const zero_choices[] = {"error", "score0", NULL};

static const tamis_param_desc params[] = {
    {.name = "mean",
     .help = "within a group: mean of the cosines, or cosine with the mean gradient",
     .type = TAMIS_PARAM_CHOICE,
     .choices = mean_choices},
    {.name = "aggregate",
     .help = "the best group's score, or a score for each group",
     .type = TAMIS_PARAM_CHOICE,
     .choices = aggregate_choices},
    {.name = "zero",
     .help = "a zero gradient has no direction: stop with an error, or give it the score 0",
     .type = TAMIS_PARAM_CHOICE,
     .choices = zero_choices},
};

static tamis_status columns(const tamis__score_call *call, tamis_examples *ret_columns,
                            uint64_t *ret_n, tamis_error *err)
{
    tamis__query_groups groups = {0};
    TAMIS_TRY(tamis__query_groups_init(&groups, call->query, err));
    *ret_columns = (tamis_examples){0};
    *ret_n = 1;
    if (call->values[AGGREGATE].number == AGGREGATE_GROUPS) {
        *ret_n = groups.n;
        ret_columns->id_text = groups.name;
        *call->column_memory = groups.name;
        groups.name = NULL;
    }
    tamis__query_groups_fini(&groups);
    return TAMIS_OK;
}

static tamis_status run(const tamis__score_call *call, tamis_error *err)
{
    tamis__query_groups groups = {0};
    tamis__held_queries held = {0};
    bool direction = call->values[ZERO].number == ZERO_ERROR;
    TAMIS_TRY(tamis__score_weights(call, TAMIS__WEIGHTS_NORMALISED, err));
    TAMIS_TRY(tamis__score_rows(call, direction, err));
    TAMIS_TRY(tamis__query_groups_init(&groups, call->query, err));
    tamis_status status = tamis__query_means(
        call, &groups, call->values[MEAN].number == MEAN_GRADIENT, direction, &held, err);
    tamis__query_groups_fini(&groups);
    if (status != TAMIS_OK) return status;
    tamis__product product = {.queries = &held.queries,
                              .weight = call->weight,
                              .row_divisor = tamis__score_norms(call),
                              .bound = 1.0};
    status = call->values[AGGREGATE].number == AGGREGATE_MAX
                 ? tamis__score_best(call, &product, err)
                 : tamis__score_product(call, &product, err);
    tamis__held_queries_fini(&held);
    return status;
}

const tamis__scorer_class tamis__scorer_less = {
    .info = {.name = "less",
             .summary = "cosine with the mean query of a group, the best group counts",
             .citation =
                 "Xia, Malladi, Gururangan, Arora and Chen, LESS: Selecting Influential Data for "
                 "Targeted Instruction Tuning, ICML 2024: with weights that sum to 1",
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .columns = columns,
    .run = run,
};
