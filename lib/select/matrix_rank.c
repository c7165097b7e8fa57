/* Held scores become ranks, a column at a time.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/correlation.h"
#include "base/error.h"
#include "base/mem.h"
#include "select/matrix_state.h"

typedef struct ranking {
    tamis__query_matrix *matrix;
    tamis_context *context;
    uint32_t *out;   /* the held scores' memory */
    double *value;   /* [workers][2 * rows]: values, ranks */
    uint32_t *order; /* [workers][rows] */
} ranking;

static tamis_status rank_column(void *arg, uint64_t q, unsigned slot, unsigned worker,
                                tamis_error *err)
{
    (void)slot;
    (void)err;
    const ranking *r = arg;
    const tamis__query_matrix *m = r->matrix;
    double *value = r->value + worker * 2 * m->rows, *rank = value + m->rows;
    uint32_t *order = r->order + worker * m->rows;
    uint64_t n = 0;
    for (uint64_t row = 0; row < m->rows; row++) {
        float score = m->held[row * m->queries + q];
        if (!isnan(score) && !tamis__query_matrix_barred(m, row)) value[n++] = (double)score;
    }
    tamis__sort_items(value, n, order);
    tamis__midranks(value, order, NULL, n, rank);
    n = 0;
    for (uint64_t row = 0; row < m->rows; row++) {
        float score = m->held[row * m->queries + q];
        bool none = isnan(score) || tamis__query_matrix_barred(m, row);
        /* Mean ranks are multiples of a half. */
        r->out[row * m->queries + q] = none ? TAMIS__NO_RANK : (uint32_t)(2 * (rank[n++] - 1));
    }
    return TAMIS_OK;
}

static tamis_status report(void *arg, uint64_t q, unsigned slot, tamis_error *err)
{
    (void)slot;
    const ranking *r = arg;
    return tamis__progress(r->context, "ranking scores", q + 1, r->matrix->queries, "queries", NULL,
                           err);
}

tamis_status tamis__query_matrix_rank(tamis__query_matrix *m, tamis_context *context,
                                      tamis_error *err)
{
    unsigned workers = tamis__pool_threads(context->pool);
    ranking r = {.matrix = m, .context = context, .out = (uint32_t *)(void *)m->held};
    tamis__pipeline pipeline = {
        .arg = &r, .items = m->queries, .work = rank_column, .consume = report};
    uint64_t bytes = workers * m->rows * (2 * sizeof *r.value + sizeof *r.order);
    if (m->rows >= TAMIS__NO_RANK / 2)
        return tamis__fail(err, TAMIS_ERR_ARG, "ranks of %" PRIu64 " rows are too many: use zscore",
                           m->rows);
    TAMIS_TRY(tamis__memory_check(context, bytes, "ranking scores", err));
    r.value = tamis__malloc(workers, (size_t)m->rows * 2 * sizeof *r.value);
    r.order = tamis__malloc(workers, (size_t)m->rows * sizeof *r.order);
    tamis_status status = r.value && r.order ? tamis__pool_run(context->pool, &pipeline, err)
                                             : tamis__fail_memory(err, "ranks", bytes);
    free(r.value);
    free(r.order);
    if (status == TAMIS_OK) {
        m->rank = r.out;
        m->held = NULL;
    }
    return status;
}
