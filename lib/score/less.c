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

/* --- the best group --------------------------------------------------------------------------- */

typedef struct best {
    const tamis__score_call *call;
    uint64_t rows, groups;
    float *kept;  /* [rows] of earlier passes; NULL while there is one pass */
    float *block; /* [block_rows] */
    uint64_t block_rows;
} best;

static tamis_status make_room(best *b, uint64_t rows, bool passes, tamis_error *err)
{
    if (b->block_rows < rows) {
        free(b->block);
        b->block = tamis__malloc(rows, sizeof *b->block);
        b->block_rows = b->block ? rows : 0;
        if (!b->block) return tamis__fail_memory(err, "scores", rows * sizeof *b->block);
    }
    if (!passes || b->kept) return TAMIS_OK;
    b->kept = tamis__malloc(b->rows, sizeof *b->kept);
    return b->kept ? TAMIS_OK : tamis__fail_memory(err, "scores", b->rows * sizeof *b->kept);
}

/* A row without a score is NaN in every group, and stays so. */
static tamis_status put(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                        uint64_t queries, const float *values, size_t stride, tamis_error *err)
{
    best *b = arg;
    bool last = first_query + queries == b->groups;
    TAMIS_TRY(make_room(b, rows, first_query > 0 || !last, err));
    for (uint64_t i = 0; i < rows; i++) {
        float top = first_query ? b->kept[first_row + i] : values[i * stride];
        for (uint64_t q = 0; q < queries; q++)
            if (values[i * stride + q] > top) top = values[i * stride + q];
        b->block[i] = top;
        if (!last) b->kept[first_row + i] = top;
    }
    return last ? tamis__score_put(b->call, first_row, rows, b->block, err) : TAMIS_OK;
}

static tamis_status run_best(const tamis__score_call *call, const tamis__product *product,
                             tamis_error *err)
{
    best b = {.call = call,
              .rows = tamis_store_info_get(call->train)->rows,
              .groups = product->queries->rows};
    tamis__sink sink = {.arg = &b, .put = put};
    tamis_status status = tamis__score_product_to(call, product, sink, err);
    free(b.kept);
    free(b.block);
    return status;
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
                 ? run_best(call, &product, err)
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
