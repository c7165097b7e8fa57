/* Queries under a curvature, made when the engine wants them.
 *
 * In double throughout, and rounded to float at the end. A query is one thread's and by itself, so
 * its bits do not depend on how many are made at once.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/ekfac_queries.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"

/* --- one query -------------------------------------------------------------------------------- */

typedef struct visitor {
    const tamis__ekfac_queries *q;
    tamis__eigen_work *work;
    uint32_t layer;
    float *row;
} visitor;

/* z / (lambda + damping), rotated back. */
static tamis_status precondition(void *arg, uint64_t row, double *z, tamis_error *err)
{
    const visitor *v = arg;
    const tamis__ekfac_job *job = v->q->plan.job;
    const tamis__spectrum *s = &v->q->plan.rows.spectrum[v->layer];
    uint64_t n = s->out * s->in;
    double *made = v->work->v;
    for (uint64_t i = 0; i < n; i++) z[i] *= s->inverse[i];
    tamis__basis_rotate_both(&s->output, &s->input, true, z, v->work->scratch, made);
    if (job->query_rank)
        TAMIS_TRY(tamis__ekfac_cut(made, s->out, s->in, job->query_rank, job->call->seed,
                                   row * v->q->plan.rows.layers + v->layer, err));
    float *out = v->row + (s->layer.first_column - v->q->plan.first_column);
    for (uint64_t i = 0; i < n; i++) out[i] = (float)made[i];
    return TAMIS_OK;
}

static tamis_status make_layers(const tamis__ekfac_queries *q, tamis__eigen_work *work,
                                uint64_t query, float *row, tamis_error *err)
{
    const tamis__ekfac_plan *plan = &q->plan;
    visitor v = {.q = q, .work = work, .row = row};
    for (uint32_t l = plan->first_layer; l < plan->first_layer + plan->layers; l++) {
        v.layer = l;
        if (plan->whitener)
            TAMIS_TRY(tamis__whitener_layer(plan->whitener, &plan->rows, work, l, query, 1,
                                            row + (plan->whitener->first[l] - plan->first_column),
                                            plan->columns, err));
        else
            TAMIS_TRY(
                tamis__eigen_rows_visit(&plan->rows, work, l, query, 1, precondition, &v, err));
    }
    return TAMIS_OK;
}

static tamis_status make_query(void *arg, uint64_t item, unsigned slot, unsigned worker,
                               tamis_error *err)
{
    (void)slot;
    tamis__ekfac_queries *q = arg;
    uint64_t query = q->query[item], columns = q->plan.columns;
    float *row = q->values + item * columns;
    double sum = 0;
    TAMIS_TRY(make_layers(q, &q->work[worker], query, row, err));
    for (uint64_t c = 0; c < columns; c++) sum += (double)row[c] * (double)row[c];
    q->made[query] = (float)sqrt(sum);
    if (isfinite(q->made[query])) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "'%s': query %llu under the inverse curvature is too large for a float: "
                       "raise damping",
                       tamis_store_path(q->plan.job->call->query), (unsigned long long)query);
}

/* --- as the engine sees them ------------------------------------------------------------------ */

static tamis_status make_room(tamis__ekfac_queries *q, uint64_t n, tamis_error *err)
{
    if (n <= q->room) return TAMIS_OK;
    free(q->values);
    free(q->query);
    q->room = 0;
    q->values = tamis__malloc(n, q->plan.columns * sizeof *q->values);
    q->query = tamis__malloc(n, sizeof *q->query);
    if (!q->values || !q->query)
        return tamis__fail_memory(err, "prepared queries", n * q->plan.columns * sizeof *q->values);
    q->room = n;
    return TAMIS_OK;
}

static tamis_status tell(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)slot;
    const tamis__ekfac_queries *q = arg;
    return tamis__progress(q->plan.job->call->context, "preparing queries", item + 1, q->held,
                           "queries", NULL, err);
}

static tamis_status prepare(void *arg, const uint64_t *query, uint64_t n, tamis_error *err)
{
    tamis__ekfac_queries *q = arg;
    q->held = 0;
    TAMIS_TRY(make_room(q, n, err));
    memcpy(q->query, query, n * sizeof *query);
    q->held = n;
    tamis__pipeline make = {.arg = q, .items = n, .work = make_query, .consume = tell};
    tamis__blas_begin();
    tamis_status status = tamis__pool_run(q->plan.job->call->context->pool, &make, err);
    tamis__blas_end();
    return status;
}

/* Where a query lies; prepared queries are ascending. */
static uint64_t place_of(const tamis__ekfac_queries *q, uint64_t query)
{
    uint64_t low = 0, high = q->held;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (q->query[middle] <= query)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static tamis_status read_made(void *arg, uint32_t checkpoint, uint64_t first, uint64_t rows,
                              uint64_t first_column, uint64_t columns, float *out, size_t stride,
                              tamis_error *err)
{
    (void)checkpoint, (void)err;
    const tamis__ekfac_queries *q = arg;
    const float *from = q->values + place_of(q, first) * q->plan.columns +
                        (first_column - q->plan.first_column);
    for (uint64_t i = 0; i < rows; i++)
        memcpy(out + i * stride, from + i * q->plan.columns, columns * sizeof *out);
    return TAMIS_OK;
}

/* --- the whole -------------------------------------------------------------------------------- */

/* Of the memory limit, besides the queries themselves. */
static uint64_t fixed_bytes(const tamis__ekfac_queries *q)
{
    const tamis__ekfac_plan *plan = &q->plan;
    const tamis__ekfac_job *job = plan->job;
    uint64_t worker = tamis__eigen_work_bytes(&plan->rows), cut = 0;
    for (uint32_t l = 0; job->query_rank && l < plan->rows.layers; l++) {
        const tamis__spectrum *s = &plan->rows.spectrum[l];
        uint64_t bytes = tamis__ekfac_cut_bytes(s->out, s->in, job->query_rank);
        cut = bytes > cut ? bytes : cut;
    }
    return q->threads * (worker + cut) + job->spectrum_bytes +
           (plan->whitener ? plan->whitener->bytes : 0) + 2 * plan->queries * sizeof(float);
}

static tamis_status init(tamis__ekfac_queries *q, tamis_error *err)
{
    const tamis__ekfac_job *job = q->plan.job;
    uint32_t checkpoints = tamis_store_info_get(job->call->train)->checkpoints;
    q->threads = tamis_context_threads(job->call->context);
    uint64_t bytes = fixed_bytes(q);
    TAMIS_TRY(tamis__memory_check(job->call->context, bytes, "preparing queries", err));
    q->work = tamis__calloc(q->threads, sizeof *q->work);
    q->made = tamis__calloc(q->plan.queries, sizeof *q->made);
    q->zero = tamis__calloc(q->plan.queries, sizeof *q->zero);
    q->norm = tamis__calloc(checkpoints, sizeof *q->norm);
    if (!q->work || !q->made || !q->zero || !q->norm)
        return tamis__fail_memory(err, "queries", q->plan.queries * sizeof *q->made);
    for (uint32_t k = 0; k < checkpoints; k++)
        q->norm[k] = k == job->checkpoint ? q->made : q->zero;
    for (unsigned i = 0; i < q->threads; i++)
        TAMIS_TRY(tamis__eigen_work_init(&q->work[i], &q->plan.rows, err));
    q->queries = (tamis__queries){.rows = q->plan.queries,
                                  .bytes = bytes,
                                  .each = q->plan.columns * sizeof *q->values,
                                  .norm = q->norm,
                                  .prepare = prepare,
                                  .read = read_made};
    return TAMIS_OK;
}

tamis_status tamis__ekfac_queries_init(tamis__ekfac_queries *ret_queries,
                                       const tamis__ekfac_plan *plan, tamis_error *err)
{
    *ret_queries = (tamis__ekfac_queries){.plan = *plan};
    tamis_status status = init(ret_queries, err);
    ret_queries->queries.arg = ret_queries;
    if (status != TAMIS_OK) tamis__ekfac_queries_fini(ret_queries);
    return status;
}

void tamis__ekfac_queries_fini(tamis__ekfac_queries *queries)
{
    for (unsigned i = 0; queries->work && i < queries->threads; i++)
        tamis__eigen_work_fini(&queries->work[i]);
    free(queries->work);
    free(queries->query);
    free(queries->values);
    free(queries->made);
    free(queries->zero);
    free(queries->norm);
    *queries = (tamis__ekfac_queries){0};
}
