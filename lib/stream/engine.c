/* The streaming product.
 *
 * Rows are taken in blocks of ROW_BLOCK, one block to a thread. Within a block, columns go in steps
 * of COLUMN_BLOCK: the step's values are widened to float, multiplied with tiles of QUERY_TILE queries
 * by one-threaded BLAS in float, and the partial products are added up in double with the
 * checkpoint's weight and the norms. Short float sums keep the error at that of COLUMN_BLOCK terms
 * however long the rows are: 3e-7 of the largest score for random rows of 4,096 columns, against
 * 4.6e-7 with steps of 1,024, which are 4% faster. The sizes are part of the result's last bits, so
 * they depend on nothing.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "stream/engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "kernels/kernels.h"
#include "linalg/blas.h"

enum { ROW_BLOCK = 256, COLUMN_BLOCK = 512, QUERY_TILE = 64 };

typedef struct engine {
    const tamis__product *product;
    const tamis_store_info *train;
    const tamis__queries *prepared;
    tamis__kernels kernels;
    uint64_t column_blocks;
    size_t panel_stride; /* floats from query to query in the panel */
    unsigned workers, slots;
    uint64_t capacity; /* tiles that fit the memory limit */

    /* Of the pass that is running. */
    uint64_t first_query, queries, tiles;
    uint64_t rows_before; /* rows done in earlier passes, for progress */
    uint64_t rows_total;

    float *panel; /* [checkpoint, column block, tile, QUERY_TILE, panel_stride] */
    double *
        factor; /* [checkpoint, capacity * QUERY_TILE]: what a column of products is multiplied by */
    float *rows;    /* [worker, ROW_BLOCK, COLUMN_BLOCK]: widened rows */
    float *partial; /* [worker, ROW_BLOCK, QUERY_TILE]: products of one tile and step */
    double *sum;    /* [worker, ROW_BLOCK, capacity * QUERY_TILE] */
    float *out;     /* [slot, ROW_BLOCK, capacity * QUERY_TILE] */
} engine;

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t blocks_of(uint64_t n, uint64_t block)
{
    return (n + block - 1) / block;
}

/* --- memory ----------------------------------------------------------------------------------- */

static uint64_t panel_floats(const engine *e, uint64_t tiles)
{
    return e->train->checkpoints * e->column_blocks * tiles * QUERY_TILE * e->panel_stride;
}

/* How many tiles of queries are held at once: more of them means fewer passes over the rows. */
static tamis_status plan(engine *e, tamis_error *err)
{
    uint64_t block = (uint64_t)ROW_BLOCK * QUERY_TILE;
    uint64_t fixed = e->workers * (ROW_BLOCK * COLUMN_BLOCK + block) * sizeof(float);
    uint64_t tile = panel_floats(e, 1) * sizeof(float) + e->workers * block * sizeof(double) +
                    e->slots * block * sizeof(float) +
                    e->train->checkpoints * (uint64_t)QUERY_TILE * sizeof(double);
    tamis_context *context = e->product->context;
    TAMIS_TRY(tamis__memory_check(context, fixed + tile, "scoring 64 queries at once", err));
    uint64_t fit = (tamis_context_memory(context) - fixed) / tile;
    e->capacity = smaller(fit, blocks_of(e->prepared->rows, QUERY_TILE));
    return TAMIS_OK;
}

static tamis_status allocate(engine *e, tamis_error *err)
{
    size_t width = e->capacity * QUERY_TILE;
    e->panel = tamis__aligned(panel_floats(e, e->capacity), sizeof *e->panel);
    e->factor = tamis__calloc(e->train->checkpoints * width, sizeof *e->factor);
    e->rows = tamis__aligned((size_t)e->workers * ROW_BLOCK * COLUMN_BLOCK, sizeof *e->rows);
    e->partial = tamis__aligned((size_t)e->workers * ROW_BLOCK * QUERY_TILE, sizeof *e->partial);
    e->sum = tamis__aligned(e->workers * ROW_BLOCK * width, sizeof *e->sum);
    e->out = tamis__aligned(e->slots * ROW_BLOCK * width, sizeof *e->out);
    if (e->panel && e->factor && e->rows && e->partial && e->sum && e->out) return TAMIS_OK;
    return tamis__fail_memory(err, "the blocks of a product",
                              panel_floats(e, e->capacity) * sizeof(float));
}

static void fini(engine *e)
{
    free(e->panel);
    free(e->factor);
    free(e->rows);
    free(e->partial);
    free(e->sum);
    free(e->out);
}

static tamis_status init(engine *e, const tamis__product *product, tamis_error *err)
{
    *e = (engine){.product = product,
                  .train = tamis_store_info_get(product->train),
                  .prepared = product->queries};
    tamis__kernels_init(&e->kernels, tamis_context_cpu(product->context));
    e->column_blocks = blocks_of(e->train->columns, COLUMN_BLOCK);
    e->panel_stride = smaller(e->train->columns, COLUMN_BLOCK);
    e->workers = tamis_context_threads(product->context);
    e->slots = 2 * e->workers;
    TAMIS_TRY(plan(e, err));
    return allocate(e, err);
}

/* --- the queries ------------------------------------------------------------------------------ */

static float *panel_tile(const engine *e, uint64_t checkpoint, uint64_t column_block, uint64_t tile)
{
    uint64_t index = (checkpoint * e->column_blocks + column_block) * e->tiles + tile;
    return e->panel + index * QUERY_TILE * e->panel_stride;
}

/* Power of two that brings a query's values near 1, so that products of small gradients do not fall
 * below the smallest float. Exact, so it changes nothing else. */
static int query_exponent(float norm)
{
    int exponent = norm > 0.0f ? ilogbf(norm) : 0;
    return exponent < -126 ? -126 : exponent > 126 ? 126 : exponent;
}

static double query_factor(const engine *e, uint32_t k, uint64_t query)
{
    double factor = ldexp(1.0, query_exponent(e->prepared->norm[k][query]));
    return e->product->query_scale ? factor * e->product->query_scale[k][query] : factor;
}

/* One tile of one step of columns of one checkpoint. */
static tamis_status fill_tile(void *arg, uint64_t item, unsigned slot, unsigned worker,
                              tamis_error *err)
{
    (void)slot, (void)worker;
    const engine *e = arg;
    uint64_t tile = item % e->tiles, block = item / e->tiles % e->column_blocks;
    uint32_t k = (uint32_t)(item / e->tiles / e->column_blocks);
    uint64_t first = tile * QUERY_TILE, n = smaller(QUERY_TILE, e->queries - first);
    uint64_t column = block * COLUMN_BLOCK,
             columns = smaller(COLUMN_BLOCK, e->train->columns - column);
    float *panel = panel_tile(e, k, block, tile);
    TAMIS_TRY(e->prepared->read(e->prepared->arg, k, e->first_query + first, n, column, columns,
                                panel, e->panel_stride, err));
    for (uint64_t j = 0; j < n; j++) {
        float *row = panel + j * e->panel_stride,
              norm = e->prepared->norm[k][e->first_query + first + j];
        e->kernels.scale_f32(row, row, ldexpf(1.0f, -query_exponent(norm)), columns);
        if (block == 0)
            e->factor[(k * e->capacity + tile) * QUERY_TILE + j] = query_factor(
                e, k, e->first_query + first + j);
    }
    return TAMIS_OK;
}

/* --- the rows --------------------------------------------------------------------------------- */

/* A step of columns of a block of rows, as floats without gaps. Floats are copied too: products of
 * rows that lie far apart in the file were no faster (both 178 GFLOP/s on two cores). */
static tamis_status load_rows(const engine *e, uint32_t k, uint64_t first, uint64_t rows,
                              uint64_t column, uint64_t columns, float *ret_rows, tamis_error *err)
{
    tamis_store *store = e->product->train;
    size_t size = tamis_dtype_size(e->train->dtype);
    uint64_t done = 0, run;
    while (done < rows) {
        /* Rows of i8 have their scales, which tamis_store_read() sees to. */
        bool mapped = e->train->dtype != TAMIS_I8;
        const unsigned char *row = mapped ? tamis_store_map(store, k, first + done, &run) : NULL;
        if (!row)
            return tamis_store_read(store, k, first + done, rows - done, column, columns,
                                    ret_rows + done * COLUMN_BLOCK, COLUMN_BLOCK, err);
        row += column * size;
        for (uint64_t end = done + smaller(run, rows - done); done < end; done++) {
            tamis__widen(&e->kernels, e->train->dtype, ret_rows + done * COLUMN_BLOCK, row,
                         columns);
            row += e->train->columns * size;
        }
    }
    return TAMIS_OK;
}

/* What each row's products are multiplied by. */
static void row_factors(const engine *e, uint32_t k, uint64_t first, uint64_t rows,
                        double *ret_factor)
{
    const tamis__product *p = e->product;
    for (uint64_t r = 0; r < rows; r++) {
        double divisor = p->row_divisor ? (double)p->row_divisor[k][first + r] : 1.0;
        ret_factor[r] = divisor > 0.0 ? p->weight[k] / divisor : 0.0;
        if (p->row_multiplier) ret_factor[r] *= (double)p->row_multiplier[first + r];
    }
}

/* The last tile's missing columns go along, so that the inner loop has a fixed length; what they
 * hold is never given out. */
static void add_partial(const float *restrict partial, const double *row_factor, uint64_t rows,
                        const double *restrict factor, double *restrict sum, size_t stride)
{
    for (uint64_t r = 0; r < rows; r++)
        for (size_t j = 0; j < QUERY_TILE; j++)
            sum[r * stride + j] += row_factor[r] * factor[j] * (double)partial[r * QUERY_TILE + j];
}

/* The norms in a store may be older than its rows: which row is it really? Slow, on the way out. */
static tamis_status check_row(const engine *e, uint64_t row, tamis_error *err)
{
    char id[256];
    float *values = tamis__malloc(e->train->columns, sizeof *values);
    if (!values) return tamis__fail_memory(err, "a row", e->train->columns * sizeof *values);
    tamis_status status = TAMIS_OK;
    tamis_store_id(e->product->train, row, id, sizeof id);
    for (uint32_t k = 0; k < e->train->checkpoints && status == TAMIS_OK; k++) {
        status = tamis_store_read(e->product->train, k, row, 1, 0, e->train->columns, values,
                                  e->train->columns, err);
        if (status == TAMIS_OK && !isfinite(e->kernels.sum_squares(values, e->train->columns)))
            status = tamis__fail(err, TAMIS_ERR_NUMERIC,
                                 "'%s': row %llu (id %s) at checkpoint %u is not finite: make the "
                                 "store again without it",
                                 tamis_store_path(e->product->train), (unsigned long long)row, id,
                                 k);
    }
    free(values);
    return status;
}

static tamis_status refuse_score(const engine *e, uint64_t row, uint64_t query, tamis_error *err)
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

/* A weighted sum of cosines leaves its bounds by rounding only. NaN passes. */
static float clamp(float x, float bound)
{
    return x > bound ? bound : x < -bound ? -bound : x;
}

static tamis_status round_sums(const engine *e, const double *sum, uint64_t first, uint64_t rows,
                               float *out, tamis_error *err)
{
    size_t stride = e->capacity * QUERY_TILE;
    float bound = e->product->bound > 0 ? (float)e->product->bound : HUGE_VALF;
    for (uint64_t r = 0; r < rows; r++) {
        bool skip = e->product->skip && e->product->skip[first + r];
        for (uint64_t q = 0; q < e->queries; q++) {
            float score = skip ? NAN : (float)sum[r * stride + q];
            if (!skip && !isfinite(score))
                return refuse_score(e, first + r, e->first_query + q, err);
            out[r * stride + q] = clamp(score, bound);
        }
    }
    return TAMIS_OK;
}

/* Add one checkpoint's part to the sums of a block. */
static tamis_status add_checkpoint(const engine *e, uint32_t k, uint64_t first, uint64_t rows,
                                   unsigned worker, double *sum, tamis_error *err)
{
    double row_factor[ROW_BLOCK];
    float *x = e->rows + (size_t)worker * ROW_BLOCK * COLUMN_BLOCK;
    float *partial = e->partial + (size_t)worker * ROW_BLOCK * QUERY_TILE;
    row_factors(e, k, first, rows, row_factor);
    for (uint64_t b = 0; b < e->column_blocks; b++) {
        uint64_t columns = smaller(COLUMN_BLOCK, e->train->columns - b * COLUMN_BLOCK);
        TAMIS_TRY(load_rows(e, k, first, rows, b * COLUMN_BLOCK, columns, x, err));
        for (uint64_t t = 0; t < e->tiles; t++) {
            uint64_t n = smaller(QUERY_TILE, e->queries - t * QUERY_TILE);
            TAMIS_TRY(tamis__sgemm(false, true, rows, n, columns, 1.0f, x, COLUMN_BLOCK,
                                   panel_tile(e, k, b, t), e->panel_stride, 0.0f, partial,
                                   QUERY_TILE, err));
            add_partial(partial, row_factor, rows, e->factor + (k * e->capacity + t) * QUERY_TILE,
                        sum + t * QUERY_TILE, e->capacity * QUERY_TILE);
        }
    }
    return TAMIS_OK;
}

static tamis_status score_block(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                tamis_error *err)
{
    const engine *e = arg;
    uint64_t first = item * ROW_BLOCK, rows = smaller(ROW_BLOCK, e->train->rows - first);
    size_t block = e->capacity * QUERY_TILE * ROW_BLOCK;
    double *sum = e->sum + worker * block;
    memset(sum, 0, block * sizeof *sum);
    for (uint32_t k = 0; k < e->train->checkpoints; k++)
        TAMIS_TRY(add_checkpoint(e, k, first, rows, worker, sum, err));
    return round_sums(e, sum, first, rows, e->out + slot * block, err);
}

/* Let go of the pages of rows that are done, so that a store larger than memory does not fill it.
 * They stay in the system's cache. Pages shared with rows outside stay mapped. */
static void release_rows(const tamis_store *store, uint64_t first, uint64_t rows)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uint64_t row_bytes = info->columns * tamis_dtype_size(info->dtype), run = 0;
    for (uint32_t k = 0; k < info->checkpoints; k++) {
        for (uint64_t at = first; at < first + rows; at += run) {
            uintptr_t begin = (uintptr_t)tamis_store_map(store, k, at, &run);
            if (!begin) break;
            run = smaller(run, first + rows - at);
            uintptr_t end = (begin + run * row_bytes) / page * page;
            begin = (begin + page - 1) / page * page;
            if (begin < end) (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
        }
    }
}

static tamis_status give_block(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    const engine *e = arg;
    const tamis__sink *sink = &e->product->sink;
    uint64_t first = item * ROW_BLOCK, rows = smaller(ROW_BLOCK, e->train->rows - first);
    size_t stride = e->capacity * QUERY_TILE;
    TAMIS_TRY(sink->put(sink->arg, first, rows, e->first_query, e->queries,
                        e->out + slot * stride * ROW_BLOCK, stride, err));
    release_rows(e->product->train, first, rows);
    return tamis__progress(e->product->context, "scoring", e->rows_before + first + rows,
                           e->rows_total, "rows", NULL, err);
}

/* --- passes ----------------------------------------------------------------------------------- */

static tamis_status run_pass(engine *e, tamis_error *err)
{
    tamis__pool *pool = e->product->context->pool;
    e->tiles = blocks_of(e->queries, QUERY_TILE);
    tamis__pipeline fill = {.arg = e,
                            .items = e->train->checkpoints * e->column_blocks * e->tiles,
                            .slots = e->slots,
                            .work = fill_tile};
    TAMIS_TRY(tamis__pool_run(pool, &fill, err));
    tamis__pipeline score = {.arg = e,
                             .items = blocks_of(e->train->rows, ROW_BLOCK),
                             .slots = e->slots,
                             .work = score_block,
                             .consume = give_block};
    return tamis__pool_run(pool, &score, err);
}

static tamis_status run_passes(engine *e, tamis_error *err)
{
    uint64_t width = e->capacity * QUERY_TILE;
    e->rows_total = blocks_of(e->prepared->rows, width) * e->train->rows;
    for (; e->first_query < e->prepared->rows; e->first_query += width) {
        e->queries = smaller(width, e->prepared->rows - e->first_query);
        TAMIS_TRY(run_pass(e, err));
        e->rows_before += e->train->rows;
    }
    return TAMIS_OK;
}

tamis_status tamis__product_run(const tamis__product *product, tamis_error *err)
{
    engine e;
    tamis_status status = init(&e, product, err);
    if (status == TAMIS_OK) {
        tamis__blas_begin();
        status = run_passes(&e, err);
        tamis__blas_end();
    }
    fini(&e);
    return status;
}
