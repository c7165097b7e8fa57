/* Second moments of rows.
 *
 * Rows are taken in blocks. A block is first read as doubles by all threads, then multiplied with
 * itself: the triangle of the sum is cut into tiles, and a tile is one thread's. So nothing has to
 * be merged, and an entry's terms come in row order.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "curvature/gram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "kernels/kernels.h"
#include "linalg/blas.h"

/* The sizes are part of the result's last bits, so they depend on nothing. */
enum { ROW_BLOCK = 512, READ_ROWS = 32, TILE = 128, SQUARE_ROWS = 1024 };

typedef struct gram {
    const tamis__rows *r;
    double *sum;
    double *values; /* [ROW_BLOCK, columns] */
    float *scratch; /* [worker, READ_ROWS, columns] */
    uint64_t first, rows;
    tamis_status (*after)(void *arg, uint64_t row, tamis_error *err);
    void *arg;
} gram;

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t blocks_of(uint64_t n, uint64_t block)
{
    return (n + block - 1) / block;
}

uint64_t tamis__gram_bytes(const tamis__rows *r)
{
    return r->columns * (ROW_BLOCK * sizeof(double) +
                         tamis_context_threads(r->context) * (uint64_t)READ_ROWS * sizeof(float));
}

double tamis__trace(const double *sum, uint64_t columns)
{
    double trace = 0;
    for (uint64_t c = 0; c < columns; c++) trace += sum[c * columns + c];
    return trace;
}

static tamis_status read_some(void *arg, uint64_t item, unsigned slot, unsigned worker,
                              tamis_error *err)
{
    (void)slot;
    const gram *g = arg;
    uint64_t first = item * READ_ROWS, columns = g->r->columns;
    return tamis__rows_read(g->r, g->first + first, smaller(READ_ROWS, g->rows - first), 0, columns,
                            g->scratch + worker * READ_ROWS * columns, g->values + first * columns,
                            err);
}

/* Tiles of the triangle, row by row. */
static tamis_status add_tile(void *arg, uint64_t item, unsigned slot, unsigned worker,
                             tamis_error *err)
{
    (void)slot, (void)worker;
    const gram *g = arg;
    uint64_t row = 0, columns = g->r->columns;
    for (; item > row; row++) item -= row + 1;
    uint64_t i = row * TILE, j = item * TILE;
    return tamis__dgemm(true, false, smaller(TILE, columns - i), smaller(TILE, columns - j),
                        g->rows, 1.0, g->values + i, columns, g->values + j, columns, 1.0,
                        g->sum + i * columns + j, columns, err);
}

static tamis_status add_rows(gram *g, tamis_error *err)
{
    tamis__pool *pool = g->r->context->pool;
    uint64_t total = tamis_store_info_get(g->r->store)->rows;
    uint64_t tiles = blocks_of(g->r->columns, TILE);
    for (; g->first < total; g->first += g->rows) {
        g->rows = smaller(ROW_BLOCK, total - g->first);
        tamis__pipeline fill = {
            .arg = g, .items = blocks_of(g->rows, READ_ROWS), .work = read_some};
        tamis__pipeline add = {.arg = g, .items = tiles * (tiles + 1) / 2, .work = add_tile};
        TAMIS_TRY(tamis__pool_run(pool, &fill, err));
        TAMIS_TRY(tamis__pool_run(pool, &add, err));
        if (g->after) TAMIS_TRY(g->after(g->arg, g->first + g->rows, err));
        TAMIS_TRY(tamis__progress(g->r->context, g->r->phase, g->first + g->rows, total, "rows",
                                  NULL, err));
    }
    return TAMIS_OK;
}

static tamis_status check_sum(const tamis__rows *r, const double *sum, tamis_error *err)
{
    if (isfinite(tamis__trace(sum, r->columns))) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "'%s': the sum of squares at checkpoint %u is not finite: a row is not, or "
                       "is too large",
                       tamis_store_path(r->store), r->checkpoint);
}

tamis_status tamis__gram_add(const tamis__rows *r, uint64_t first, double *sum,
                             tamis_status (*after)(void *arg, uint64_t row, tamis_error *err),
                             void *arg, tamis_error *err)
{
    gram g = {.r = r, .sum = sum, .first = first, .after = after, .arg = arg};
    TAMIS_TRY(tamis__rows_memory(r, tamis__gram_bytes(r), "the second moment", err));
    g.values = tamis__aligned(ROW_BLOCK * r->columns, sizeof *g.values);
    g.scratch = tamis__aligned(tamis_context_threads(r->context) * READ_ROWS * r->columns,
                               sizeof *g.scratch);
    tamis_status status = TAMIS_OK;
    if (!g.values || !g.scratch) {
        status = tamis__fail_memory(err, "a second moment", tamis__gram_bytes(r));
    } else {
        tamis__blas_begin();
        status = add_rows(&g, err);
        tamis__blas_end();
    }
    free(g.values);
    free(g.scratch);
    return status == TAMIS_OK ? check_sum(r, sum, err) : status;
}

tamis_status tamis__gram(const tamis__rows *r, double *ret_sum, tamis_error *err)
{
    memset(ret_sum, 0, r->columns * r->columns * sizeof *ret_sum);
    return tamis__gram_add(r, 0, ret_sum, NULL, NULL, err);
}

/* --- sums of squares of layers ---------------------------------------------------------------- */

typedef struct squares {
    const tamis__rows *r;
    const tamis_store_info *info;
    tamis__kernels kernels;
    double *part; /* [slot, layers] */
    double *sum;  /* [layers] */
    float *row;   /* [worker, columns] */
} squares;

static tamis_status square_rows(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                tamis_error *err)
{
    const squares *s = arg;
    double *part = s->part + (size_t)slot * s->info->layers;
    float *row = s->row + worker * s->info->columns;
    uint64_t first = item * SQUARE_ROWS, end = smaller(first + SQUARE_ROWS, s->info->rows);
    memset(part, 0, s->info->layers * sizeof *part);
    for (uint64_t i = first; i < end; i++) {
        if (s->r->skip && s->r->skip[i]) continue;
        double scale = s->r->scale ? s->r->scale[i] : 1.0;
        TAMIS_TRY(tamis_store_read(s->r->store, s->r->checkpoint, i, 1, 0, s->info->columns, row,
                                   s->info->columns, err));
        for (uint32_t l = 0; l < s->info->layers; l++) {
            const tamis_layer *layer = &s->info->layer[l];
            part[l] += scale * scale *
                       s->kernels.sum_squares(row + layer->first_column,
                                              tamis_layer_columns(layer));
        }
    }
    return TAMIS_OK;
}

static tamis_status add_squares(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    const squares *s = arg;
    for (uint32_t l = 0; l < s->info->layers; l++)
        s->sum[l] += s->part[(size_t)slot * s->info->layers + l];
    return tamis__progress(s->r->context, s->r->phase,
                           smaller((item + 1) * SQUARE_ROWS, s->info->rows), s->info->rows, "rows",
                           NULL, err);
}

tamis_status tamis__layer_squares(const tamis__rows *r, double *ret_sum, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(r->store);
    unsigned workers = tamis_context_threads(r->context);
    squares s = {.r = r, .info = info, .sum = ret_sum};
    tamis__pipeline p = {.arg = &s,
                         .items = blocks_of(info->rows, SQUARE_ROWS),
                         .work = square_rows,
                         .consume = add_squares};
    tamis__kernels_init(&s.kernels, tamis_context_cpu(r->context));
    memset(ret_sum, 0, info->layers * sizeof *ret_sum);
    s.part = tamis__calloc((size_t)tamis__pool_slots(r->context->pool, &p) * info->layers,
                           sizeof *s.part);
    s.row = tamis__malloc(workers * info->columns, sizeof *s.row);
    tamis_status status = s.part && s.row
                              ? tamis__pool_run(r->context->pool, &p, err)
                              : tamis__fail_memory(err, "a block of rows",
                                                   workers * info->columns * sizeof *s.row);
    free(s.part);
    free(s.row);
    for (uint32_t l = 0; l < info->layers && status == TAMIS_OK; l++)
        if (!isfinite(ret_sum[l]))
            status = tamis__fail(err, TAMIS_ERR_NUMERIC,
                                 "'%s': the sum of squares of layer '%s' at checkpoint %u is not "
                                 "finite: a row is not, or is too large",
                                 tamis_store_path(r->store), info->layer[l].name, r->checkpoint);
    return status;
}
