/* Fewer columns than queries.
 *
 * A score is linear in its query, so a mean of scores over queries is the score of the mean query:
 * sums and means cost as much as a single query.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "score/output.h"

enum { STEP = 4096, AT_ONCE = 16 };

bool tamis__reduce_to_one(tamis_reduce reduce)
{
    return reduce != TAMIS_REDUCE_NONE && reduce != TAMIS_REDUCE_GROUP_MEAN;
}

bool tamis__reduce_to_max(tamis_reduce reduce)
{
    return reduce == TAMIS_REDUCE_MAX || reduce == TAMIS_REDUCE_GROUP_MAX;
}

tamis_status tamis__reduce_groups(tamis__query_groups *ret_groups, tamis_reduce reduce,
                                  const tamis_store *query, tamis_error *err)
{
    if (reduce == TAMIS_REDUCE_GROUP_MEAN || reduce == TAMIS_REDUCE_GROUP_MAX) {
        if (tamis_store_examples(query)->group)
            return tamis__query_groups_init(ret_groups, query, err);
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' has no groups of queries: give them when the store is made, or "
                           "reduce by mean, sum or max",
                           tamis_store_path(query));
    }
    uint64_t rows = tamis_store_info_get(query)->rows;
    tamis__query_groups g = {.n = 1};
    g.member = tamis__calloc(rows, sizeof *g.member);
    g.size = tamis__calloc(1, sizeof *g.size);
    g.name = tamis__calloc(1, sizeof *g.name);
    if (!g.member || !g.size || !g.name) {
        tamis__query_groups_fini(&g);
        return tamis__fail_memory(err, "groups of queries", rows * sizeof *g.member);
    }
    g.size[0] = reduce == TAMIS_REDUCE_MEAN ? (double)rows : 1.0;
    g.name[0] = reduce == TAMIS_REDUCE_MEAN ? "mean" : reduce == TAMIS_REDUCE_SUM ? "sum" : "max";
    *ret_groups = g;
    return TAMIS_OK;
}

typedef struct reduction {
    const tamis__product *product;
    const tamis__query_groups *groups;
    tamis__held_queries *held;
    uint64_t steps;
    double *sum; /* [worker, groups, STEP] */
    float *row;  /* [worker, AT_ONCE, STEP] */
} reduction;

/* A step of columns of a checkpoint: all queries in their order. */
static tamis_status reduce_step(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                tamis_error *err)
{
    (void)slot;
    const reduction *r = arg;
    const tamis__queries *queries = r->product->queries;
    uint32_t k = (uint32_t)(item / r->steps);
    uint64_t column = item % r->steps * STEP, groups = r->groups->n, at = 0;
    uint64_t columns = r->held->columns - column < STEP ? r->held->columns - column : STEP;
    double *sum = r->sum + worker * groups * STEP;
    float *row = r->row + (size_t)worker * AT_ONCE * STEP;
    memset(sum, 0, groups * STEP * sizeof *sum);
    for (uint64_t q = 0; q < queries->rows; q++, at++) {
        uint64_t n = queries->rows - q < AT_ONCE ? queries->rows - q : AT_ONCE;
        if (q % AT_ONCE == 0) {
            TAMIS_TRY(queries->read(queries->arg, k, q, n, column, columns, row, STEP, err));
            at = 0;
        }
        double scale = r->product->query_scale ? r->product->query_scale[k][q] : 1.0;
        double *to = sum + r->groups->member[q] * STEP;
        for (uint64_t c = 0; c < columns; c++) to[c] += scale * (double)row[at * STEP + c];
    }
    for (uint64_t g = 0; g < groups; g++)
        for (uint64_t c = 0; c < columns; c++)
            r->held->values[k][g * r->held->columns + column + c] = (float)(sum[g * STEP + c] /
                                                                            r->groups->size[g]);
    return TAMIS_OK;
}

static tamis_status reduce(const tamis__score_call *call, reduction *r, tamis_error *err)
{
    unsigned workers = tamis_context_threads(call->context);
    uint64_t bytes = workers *
                     (r->groups->n * STEP * sizeof *r->sum + AT_ONCE * STEP * sizeof *r->row);
    uint64_t held = tamis__held_queries_bytes(r->held) + r->product->queries->bytes;
    TAMIS_TRY(tamis__memory_check(call->context, bytes + held, "averaging the queries", err));
    r->sum = tamis__malloc(workers * r->groups->n * STEP, sizeof *r->sum);
    r->row = tamis__malloc((size_t)workers * AT_ONCE * STEP, sizeof *r->row);
    tamis__pipeline pipeline = {
        .arg = r, .items = r->held->checkpoints * r->steps, .work = reduce_step};
    tamis_status status = r->sum && r->row ? tamis__pool_run(call->context->pool, &pipeline, err)
                                           : tamis__fail_memory(err, "mean queries", bytes);
    free(r->sum);
    free(r->row);
    if (status != TAMIS_OK) return status;
    return tamis__held_queries_ready(r->held, call->context, "a mean query", err);
}

tamis_status tamis__reduce_queries(const tamis__score_call *call, const tamis__product *product,
                                   uint32_t checkpoints, uint64_t columns,
                                   tamis__held_queries *ret_queries, tamis_error *err)
{
    reduction r = {.product = product,
                   .groups = &call->output->groups,
                   .held = ret_queries,
                   .steps = (columns + STEP - 1) / STEP};
    TAMIS_TRY(tamis__held_queries_init(ret_queries, call->context, checkpoints, r.groups->n,
                                       columns, err));
    tamis_status status = reduce(call, &r, err);
    if (status != TAMIS_OK) tamis__held_queries_fini(ret_queries);
    return status;
}
