/* The mean of the inverses of damped rank-one matrices.
 *
 * Two sweeps for a batch of queries: over blocks of rows, what each row is multiplied by; then over
 * blocks of columns, the sums over all rows in row order. A block is one thread's, so nothing has
 * to be merged.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "curvature/rank_one.h"

#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"

/* Part of the result's last bits. */
enum { ROW_BLOCK = 256, COLUMN_BLOCK = 128, TILE = 16, READ_ROWS = 16 };

typedef struct solver {
    const tamis__rows *x, *v;
    double damping, count;
    float *out;
    size_t stride;
    uint64_t rows, columns;

    uint64_t capacity;       /* queries of a batch */
    uint64_t first, queries; /* of the batch that is running */
    double *query;           /* [capacity, columns] */
    double *weight;          /* [rows, capacity] */
    float *scratch;          /* [worker, ROW_BLOCK, COLUMN_BLOCK] */
    double *values;          /* the same */
    double *sum;             /* [worker, capacity, COLUMN_BLOCK] */
} solver;

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t blocks_of(uint64_t n, uint64_t block)
{
    return (n + block - 1) / block;
}

static tamis_status load(const solver *s, unsigned worker, uint64_t first, uint64_t at,
                         double **ret_values, uint64_t *ret_rows, uint64_t *ret_columns,
                         tamis_error *err)
{
    size_t block = (size_t)ROW_BLOCK * COLUMN_BLOCK;
    *ret_values = s->values + worker * block;
    *ret_rows = smaller(ROW_BLOCK, s->rows - first);
    *ret_columns = smaller(COLUMN_BLOCK, s->columns - at);
    return tamis__rows_read(s->x, first, *ret_rows, at, *ret_columns, s->scratch + worker * block,
                            *ret_values, err);
}

/* --- the queries ------------------------------------------------------------------------------ */

/* A few rows at a time, so that the floats beside them are few. */
static tamis_status read_queries(solver *s, tamis_error *err)
{
    float *scratch = tamis__malloc(READ_ROWS * s->columns, sizeof *scratch);
    if (!scratch)
        return tamis__fail_memory(err, "queries", READ_ROWS * s->columns * sizeof *scratch);
    tamis_status status = TAMIS_OK;
    for (uint64_t q = 0; q < s->queries && status == TAMIS_OK; q += READ_ROWS)
        status = tamis__rows_read(s->v, s->first + q, smaller(READ_ROWS, s->queries - q), 0,
                                  s->columns, scratch, s->query + q * s->columns, err);
    free(scratch);
    return status;
}

/* --- the rows' weights ------------------------------------------------------------------------ */

static tamis_status weigh(void *arg, uint64_t item, unsigned slot, unsigned worker,
                          tamis_error *err)
{
    (void)slot;
    const solver *s = arg;
    uint64_t first = item * ROW_BLOCK, rows = 0, columns;
    double *weight = s->weight + first * s->capacity, *x, square[ROW_BLOCK] = {0};
    for (uint64_t at = 0; at < s->columns; at += COLUMN_BLOCK) {
        TAMIS_TRY(load(s, worker, first, at, &x, &rows, &columns, err));
        for (uint64_t i = 0; i < rows; i++)
            for (uint64_t c = 0; c < columns; c++)
                square[i] += x[i * columns + c] * x[i * columns + c];
        for (uint64_t q = 0; q < s->queries; q += TILE)
            TAMIS_TRY(tamis__dgemm(false, true, rows, smaller(TILE, s->queries - q), columns, 1.0,
                                   x, columns, s->query + q * s->columns + at, s->columns,
                                   at ? 1.0 : 0.0, weight + q, s->capacity, err));
    }
    for (uint64_t i = 0; i < rows; i++)
        for (uint64_t q = 0; q < s->queries; q++)
            weight[i * s->capacity + q] /= s->count * (s->damping + square[i]);
    return TAMIS_OK;
}

static tamis_status tell(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)slot;
    const solver *s = arg;
    return tamis__progress(s->x->context, s->x->phase, smaller((item + 1) * ROW_BLOCK, s->rows),
                           s->rows, "rows", NULL, err);
}

/* --- the sums --------------------------------------------------------------------------------- */

static tamis_status add_up(void *arg, uint64_t item, unsigned slot, unsigned worker,
                           tamis_error *err)
{
    (void)slot;
    const solver *s = arg;
    uint64_t at = item * COLUMN_BLOCK, rows, columns = smaller(COLUMN_BLOCK, s->columns - at);
    double *sum = s->sum + worker * s->capacity * COLUMN_BLOCK, *x;
    for (uint64_t first = 0; first < s->rows; first += ROW_BLOCK) {
        TAMIS_TRY(load(s, worker, first, at, &x, &rows, &columns, err));
        for (uint64_t q = 0; q < s->queries; q += TILE)
            TAMIS_TRY(tamis__dgemm(true, false, smaller(TILE, s->queries - q), columns, rows, 1.0,
                                   s->weight + first * s->capacity + q, s->capacity, x, columns,
                                   first ? 1.0 : 0.0, sum + q * COLUMN_BLOCK, COLUMN_BLOCK, err));
    }
    for (uint64_t q = 0; q < s->queries; q++)
        for (uint64_t c = 0; c < columns; c++)
            s->out[(s->first + q) * s->stride + at + c] =
                (float)((s->query[q * s->columns + at + c] - sum[q * COLUMN_BLOCK + c]) /
                        s->damping);
    return TAMIS_OK;
}

static tamis_status tell_columns(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)slot;
    const solver *s = arg;
    return tamis__progress(s->x->context, s->x->phase,
                           smaller((item + 1) * COLUMN_BLOCK, s->columns), s->columns, "columns",
                           NULL, err);
}

/* --- batches ---------------------------------------------------------------------------------- */

static tamis_status plan(solver *s, uint64_t queries, tamis_error *err)
{
    uint64_t workers = tamis_context_threads(s->x->context);
    uint64_t fixed = workers * ROW_BLOCK * COLUMN_BLOCK * (sizeof(float) + sizeof(double)) +
                     READ_ROWS * s->columns * sizeof(float) + s->x->reserved;
    uint64_t tile = TILE * sizeof(double) * (s->columns + s->rows + workers * COLUMN_BLOCK);
    TAMIS_TRY(
        tamis__memory_check(s->x->context, fixed + tile, "preparing 16 queries at once", err));
    uint64_t fit = (tamis_context_memory(s->x->context) - fixed) / tile;
    s->capacity = smaller(smaller(fit, 4096), blocks_of(queries, TILE)) * TILE;
    s->query = tamis__aligned(s->capacity * s->columns, sizeof *s->query);
    s->weight = tamis__aligned(s->capacity * s->rows, sizeof *s->weight);
    s->scratch = tamis__aligned(workers * ROW_BLOCK * COLUMN_BLOCK, sizeof *s->scratch);
    s->values = tamis__aligned(workers * ROW_BLOCK * COLUMN_BLOCK, sizeof *s->values);
    s->sum = tamis__aligned(workers * s->capacity * COLUMN_BLOCK, sizeof *s->sum);
    if (s->query && s->weight && s->scratch && s->values && s->sum) return TAMIS_OK;
    return tamis__fail_memory(err, "a batch of queries", fixed + tile * (s->capacity / TILE));
}

static tamis_status run_batch(solver *s, tamis_error *err)
{
    tamis__pool *pool = s->x->context->pool;
    tamis__pipeline weights = {
        .arg = s, .items = blocks_of(s->rows, ROW_BLOCK), .work = weigh, .consume = tell};
    tamis__pipeline sums = {.arg = s,
                            .items = blocks_of(s->columns, COLUMN_BLOCK),
                            .work = add_up,
                            .consume = tell_columns};
    TAMIS_TRY(read_queries(s, err));
    TAMIS_TRY(tamis__pool_run(pool, &weights, err));
    return tamis__pool_run(pool, &sums, err);
}

tamis_status tamis__rank_one_solve(const tamis__rows *x, const tamis__rows *v, double damping,
                                   float *out, size_t stride, tamis_error *err)
{
    solver s = {.x = x,
                .v = v,
                .damping = damping,
                .count = (double)tamis__rows_count(x),
                .out = out,
                .stride = stride,
                .rows = tamis_store_info_get(x->store)->rows,
                .columns = x->columns};
    uint64_t queries = tamis_store_info_get(v->store)->rows;
    tamis_status status = plan(&s, queries, err);
    tamis__blas_begin();
    for (; status == TAMIS_OK && s.first < queries; s.first += s.queries) {
        s.queries = smaller(s.capacity, queries - s.first);
        status = run_batch(&s, err);
    }
    tamis__blas_end();
    free(s.query);
    free(s.weight);
    free(s.scratch);
    free(s.values);
    free(s.sum);
    return status;
}
