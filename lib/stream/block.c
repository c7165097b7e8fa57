/* The score of a block of rows.
 *
 * A tile of queries at a time, the sums of a checkpoint are added up step by step in double; then
 * they are multiplied by the checkpoint's weight and the factors of row and query, and added to the
 * block's total. Rows pass by once for every tile: they come from memory at a third of its speed
 * when a tile is full.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "stream/state.h"

/* What each row's products are multiplied by. */
static void row_factors(const tamis__engine *e, uint32_t k, const tamis__block *block,
                        double *ret_factor)
{
    const tamis__product *p = e->product;
    for (uint64_t r = 0; r < block->rows; r++) {
        uint64_t row = tamis__block_row(block, r);
        double divisor = p->row_divisor ? (double)p->row_divisor[k][row] : 1.0;
        double factor = divisor > 0.0 ? p->weight[k] / divisor : 0.0;
        if (p->row_multiplier) factor *= (double)p->row_multiplier[row];
        if (e->scale) factor *= (double)e->scale[k][row];
        ret_factor[r] = factor;
    }
}

static tamis_status add_products(const tamis__engine *e, uint32_t k, uint64_t tile,
                                 const tamis__block *block, unsigned worker, double *sum,
                                 tamis_error *err)
{
    uint64_t rows = block->rows;
    uint64_t queries = tamis__smaller(e->mul->tile, e->width - tile * e->mul->tile);
    size_t width = e->mul->width(queries);
    memset(sum, 0, rows * e->stride * sizeof *sum);
    for (uint64_t s = 0; s < e->steps; s++) {
        uint64_t column = s * e->mul->step;
        uint64_t columns = tamis__smaller(e->mul->step, e->columns - column);
        tamis__run run;
        for (uint64_t done = 0; done < rows; done += run.n) {
            TAMIS_TRY(tamis__rows_of_block(e, k, block, done, e->first_column + column, columns,
                                           worker, &run, err));
            e->mul->add(sum + done * e->stride, e->stride, run.rows, run.row_bytes, run.n,
                        tamis__panel_at(e, k, tile, s), width, columns);
        }
    }
    return TAMIS_OK;
}

/* The columns beside the last query go along, so that the inner loop is a plain one. */
static void add_total(const tamis__engine *e, const double *restrict sum, const double *row_factor,
                      const double *restrict factor, uint64_t rows, double *restrict total)
{
    for (uint64_t r = 0; r < rows; r++)
        for (size_t j = 0; j < e->stride; j++)
            total[r * e->stride + j] += row_factor[r] * factor[j] * sum[r * e->stride + j];
}

/* --- what is not finite ----------------------------------------------------------------------- */

/* The norms in a store may be older than its rows: which row is it really? Slow, on the way out. */
static tamis_status check_row(const tamis__engine *e, uint64_t row, tamis_error *err)
{
    const tamis_store *store = e->product->train;
    char id[256];
    float *values = tamis__malloc(e->train->columns, sizeof *values);
    if (!values) return tamis__fail_memory(err, "a row", e->train->columns * sizeof *values);
    tamis_status status = TAMIS_OK;
    tamis_store_id(store, row, id, sizeof id);
    for (uint32_t k = 0; k < e->train->checkpoints && status == TAMIS_OK; k++) {
        status = tamis_store_read(store, k, row, 1, 0, e->train->columns, values, e->train->columns,
                                  err);
        if (status == TAMIS_OK && !isfinite(e->kernels.sum_squares(values, e->train->columns)))
            status = tamis__fail(err, TAMIS_ERR_NUMERIC,
                                 "'%s': row %llu (id %s) at checkpoint %u is not finite: make the "
                                 "store again without it",
                                 tamis_store_path(store), (unsigned long long)row, id, k);
    }
    free(values);
    return status;
}

static tamis_status refuse_score(const tamis__engine *e, uint64_t row, uint64_t query,
                                 tamis_error *err)
{
    char id[256];
    TAMIS_TRY(check_row(e, row, err));
    tamis_store_id(e->product->train, row, id, sizeof id);
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "'%s': the score of row %llu (id %s) for query %llu is not finite: its "
                       "values are too large, or the query's are",
                       tamis_store_path(e->product->train), (unsigned long long)row, id,
                       (unsigned long long)query);
}

/* --- rounding --------------------------------------------------------------------------------- */

/* A weighted sum of cosines leaves its bounds by rounding only. NaN passes. */
static float clamp(float x, float bound)
{
    return x > bound ? bound : x < -bound ? -bound : x;
}

/* Sums of a row become minus its distances. */
static void make_distances(const tamis__engine *e, double *total, double square, uint64_t first,
                           uint64_t queries)
{
    const double *of_query = e->product->query_square + first;
    for (uint64_t q = 0; q < queries; q++)
        total[q] = -sqrt(fabs(square + of_query[q] - 2.0 * total[q]));
}

static tamis_status round_row(const tamis__engine *e, const double *total, uint64_t row,
                              uint64_t tile, uint64_t queries, float *out, tamis_error *err)
{
    float bound = e->product->bound > 0 ? (float)e->product->bound : HUGE_VALF;
    bool skip = e->product->skip && e->product->skip[row];
    float check = 0.0f;
    for (uint64_t q = 0; q < queries; q++) {
        float score = (float)total[q];
        check += score * 0.0f; /* NaN when one of them is not finite */
        out[q] = skip ? NAN : clamp(score, bound);
    }
    if (skip || check == 0.0f) return TAMIS_OK;
    for (uint64_t q = 0; q < queries; q++)
        if (!isfinite((float)total[q]))
            return refuse_score(e, row, e->first_query + tile * e->mul->tile + q, err);
    return TAMIS_OK;
}

static tamis_status score_tile(const tamis__engine *e, uint64_t tile, const tamis__block *block,
                               unsigned worker, float *out, tamis_error *err)
{
    uint64_t rows = block->rows;
    double row_factor[TAMIS__ROW_BLOCK];
    size_t size = TAMIS__ROW_BLOCK * e->stride;
    double *sum = e->sum + worker * size, *total = e->total + worker * size;
    uint64_t queries = tamis__smaller(e->mul->tile, e->width - tile * e->mul->tile);
    memset(total, 0, rows * e->stride * sizeof *total);
    for (uint32_t k = 0; k < e->train->checkpoints; k++) {
        if (e->product->weight[k] == 0.0) continue;
        row_factors(e, k, block, row_factor);
        TAMIS_TRY(add_products(e, k, tile, block, worker, sum, err));
        add_total(e, sum, row_factor, e->factor + k * e->capacity + tile * e->mul->tile, rows,
                  total);
    }
    for (uint64_t r = 0; r < rows && e->product->query_square; r++)
        make_distances(e, total + r * e->stride, tamis__squares_of(e, worker)[r],
                       e->first_query + tile * e->mul->tile, queries);
    for (uint64_t r = 0; r < rows; r++)
        TAMIS_TRY(round_row(e, total + r * e->stride, tamis__block_row(block, r), tile, queries,
                            out + r * e->capacity + tile * e->mul->tile, err));
    return TAMIS_OK;
}

tamis_status tamis__block_score(const tamis__engine *e, const tamis__block *block, unsigned worker,
                                float *out, tamis_error *err)
{
    for (uint64_t tile = 0; tile < e->tiles; tile++)
        TAMIS_TRY(score_tile(e, tile, block, worker, out, err));
    return TAMIS_OK;
}
