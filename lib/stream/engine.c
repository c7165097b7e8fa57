/* The streaming product.
 *
 * Rows are taken in blocks of ROW_BLOCK, one block to a thread, and multiplied with tiles of packed
 * queries by a kernel that is chosen for the processor, the rows' type and the number of queries
 * (kernels/product.h). Within a step of columns (512 for many queries) a kernel adds up in float,
 * in an order of its own; steps are added in double, and so are checkpoints. Short float sums keep
 * the error at that of a step's terms however long rows are.
 *
 * Queries that do not fit the memory limit together are done in several passes over the rows.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "stream/engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "store/store_changed.h"
#include "stream/state.h"

/* --- memory ----------------------------------------------------------------------------------- */

static uint64_t panel_bytes(const tamis__engine *e, uint64_t tiles)
{
    return e->train->checkpoints * tiles * e->steps * e->panel_bytes;
}

/* Of a value in the buffers that rows pass through, as floats and in their type. */
static size_t wide_bytes(const tamis__engine *e)
{
    return e->mapped || e->product->maker ? 0 : sizeof(float);
}

static size_t stored_bytes(const tamis__engine *e)
{
    bool passes = e->mapped ? e->product->row != NULL : e->dtype != TAMIS_F32;
    return passes ? tamis_dtype_size(e->dtype) : 0;
}

static uint64_t window_columns(const tamis__engine *e)
{
    return e->product->maker ? e->train->columns : (uint64_t)TAMIS__WINDOW;
}

/* Buffers that do not depend on how many queries a pass has. */
static uint64_t fixed_bytes(const tamis__engine *e)
{
    uint64_t worker = 2 * TAMIS__ROW_BLOCK * e->stride * sizeof(double) +
                      (uint64_t)e->mul->tile * e->mul->step * sizeof(float);
    worker += (uint64_t)TAMIS__ROW_BLOCK * TAMIS__MAX_STEP * (wide_bytes(e) + stored_bytes(e));
    if (e->made) worker += TAMIS__ROW_BLOCK * window_columns(e) * sizeof *e->made;
    return e->workers * worker;
}

/* How many tiles of queries are held at once: more of them means fewer passes over the rows. */
static tamis_status plan(tamis__engine *e, tamis_error *err)
{
    const tamis__product *p = e->product;
    uint64_t tile = e->mul->tile, tiles = tamis__blocks_of(e->queries->rows, tile);
    uint64_t blocks = e->slots + (p->row != NULL);
    uint64_t each = panel_bytes(e, 1) + blocks * TAMIS__ROW_BLOCK * tile * sizeof(float) +
                    e->train->checkpoints * tile * sizeof(double) + tile * e->queries->each;
    uint64_t fixed = fixed_bytes(e) + p->reserved + e->queries->bytes;
    uint64_t least = p->pass ? tamis__blocks_of(p->pass, tile) : 1;
    TAMIS_TRY(tamis__memory_check(p->context, fixed + least * each,
                                  p->pass ? "going on with as many queries at once as before"
                                          : "scoring a tile of queries",
                                  err));
    uint64_t fit = (tamis_context_memory(p->context) - fixed) / each;
    e->capacity = (p->pass ? least : tamis__smaller(fit, tiles)) * tile;
    e->spare = tamis_context_memory(p->context) - fixed - e->capacity / tile * each;
    return TAMIS_OK;
}

static tamis_status allocate(tamis__engine *e, tamis_error *err)
{
    size_t block = (size_t)e->workers * TAMIS__ROW_BLOCK * e->stride;
    uint64_t panel = panel_bytes(e, e->capacity / e->mul->tile);
    e->panel = tamis__aligned(panel, 1);
    e->factor = tamis__calloc(e->train->checkpoints * e->capacity, sizeof *e->factor);
    e->scratch = tamis__aligned((size_t)e->workers * e->mul->tile * e->mul->step, sizeof(float));
    e->sum = tamis__aligned(block, sizeof *e->sum);
    e->total = tamis__aligned(block, sizeof *e->total);
    e->out = tamis__aligned(e->slots * TAMIS__ROW_BLOCK * e->capacity, sizeof *e->out);
    if (e->product->row)
        e->gathered = tamis__aligned(TAMIS__ROW_BLOCK * e->capacity, sizeof *e->gathered);
    bool whole = e->gathered || !e->product->row;
    if (e->panel && e->factor && e->scratch && e->sum && e->total && e->out && whole)
        return TAMIS_OK;
    return tamis__fail_memory(err, "the blocks of a product", panel);
}

/* Rows that are not mapped pass through buffers, and so do those of a list; needed from the first
 * look at rows on. */
static tamis_status allocate_unmapped(tamis__engine *e, tamis_error *err)
{
    size_t block = (size_t)e->workers * TAMIS__ROW_BLOCK * TAMIS__MAX_STEP;
    e->mapped = !e->product->maker && tamis__rows_mapped(e->product->train);
    size_t wide = wide_bytes(e), stored = stored_bytes(e);
    if (wide) e->wide = tamis__aligned(block, wide);
    if (stored) e->stored = tamis__aligned(block, stored);
    if ((e->wide || !wide) && (e->stored || !stored)) return TAMIS_OK;
    return tamis__fail_memory(err, "rows", block * (wide + stored));
}

/* Without the window, where memory is short, the same is made a step at a time. */
static void allocate_window(tamis__engine *e)
{
    uint64_t bytes = (uint64_t)e->workers * TAMIS__ROW_BLOCK * TAMIS__WINDOW * sizeof *e->made;
    if (e->train->form != TAMIS_FORM_FACTORS) return;
    if (bytes > tamis_context_memory(e->product->context) / 8) return;
    e->made = tamis__aligned(bytes, 1);
    e->window = tamis__calloc(e->workers, sizeof *e->window);
    if (e->made && e->window) return;
    free(e->made);
    free(e->window);
    e->made = NULL;
    e->window = NULL;
}

static tamis_status allocate_made(tamis__engine *e, tamis_error *err)
{
    size_t rows = (size_t)e->workers * TAMIS__ROW_BLOCK;
    TAMIS_TRY(tamis__memory_check(e->product->context,
                                  e->product->reserved + rows * e->train->columns * sizeof *e->made,
                                  "blocks of rows", err));
    e->made = tamis__aligned(rows * e->train->columns, sizeof *e->made);
    e->square = tamis__aligned(rows, sizeof *e->square);
    e->window = tamis__calloc(e->workers, sizeof *e->window);
    if (e->made && e->square && e->window) return TAMIS_OK;
    return tamis__fail_memory(err, "blocks of rows", rows * e->train->columns * sizeof *e->made);
}

static tamis_status load_scales(tamis__engine *e, tamis_error *err)
{
    if (e->dtype != TAMIS_I8) return TAMIS_OK;
    e->scale = tamis__calloc(e->train->checkpoints, sizeof *e->scale);
    if (!e->scale) return tamis__fail_memory(err, "scales", e->train->checkpoints * sizeof(void *));
    for (uint32_t k = 0; k < e->train->checkpoints; k++)
        TAMIS_TRY(tamis_store_scales(e->product->train, k, &e->scale[k], err));
    return TAMIS_OK;
}

static void fini(tamis__engine *e)
{
    free(e->scale);
    free(e->panel);
    free(e->factor);
    free(e->scratch);
    free(e->sum);
    free(e->total);
    free(e->out);
    free(e->gathered);
    free(e->wide);
    free(e->stored);
    free(e->made);
    free(e->square);
    free(e->window);
}

static tamis_status init(tamis__engine *e, const tamis__product *product,
                         tamis__product_report *report, tamis_error *err)
{
    *e = (tamis__engine){.product = product,
                         .train = tamis_store_info_get(product->train),
                         .queries = product->queries,
                         .first_column = product->first_column,
                         .columns = product->columns};
    if (!e->columns) e->columns = e->train->columns - e->first_column;
    tamis__kernels_init(&e->kernels, tamis_context_cpu(product->context));
    bool made = e->train->form == TAMIS_FORM_FACTORS || product->maker;
    e->dtype = made ? TAMIS_F32 : e->train->dtype;
    if (product->maker) {
        e->alone = *e->train;
        e->alone.checkpoints = 1;
        e->train = &e->alone;
    }
    e->workers = tamis_context_threads(product->context);
    e->slots = 2 * e->workers;
    TAMIS_TRY(load_scales(e, err));
    TAMIS_TRY(allocate_unmapped(e, err));
    if (product->maker)
        TAMIS_TRY(allocate_made(e, err));
    else
        allocate_window(e);
    TAMIS_TRY(tamis__panel_choose(e, report, err));
    e->steps = tamis__blocks_of(e->columns, e->mul->step);
    e->stride = e->mul->tile;
    size_t width = e->mul->width(tamis__smaller(e->mul->tile, e->queries->rows));
    size_t bytes = e->mul->size(width, tamis__smaller(e->mul->step, e->columns));
    e->panel_bytes = (bytes + 63) / 64 * 64;
    TAMIS_TRY(plan(e, err));
    return allocate(e, err);
}

/* --- passes ----------------------------------------------------------------------------------- */

static uint64_t rows_of(const tamis__engine *e, uint64_t first)
{
    return tamis__smaller(TAMIS__ROW_BLOCK, e->train->rows - first);
}

/* Of a list, as many rows as of a store: a few of each store's block would be slow. */
static tamis__block block_of(const tamis__engine *e, uint64_t item)
{
    const tamis__product *p = e->product;
    uint64_t first = (e->first_block + item) * TAMIS__ROW_BLOCK;
    if (!p->row) return (tamis__block){.first = first, .rows = rows_of(e, first)};
    uint64_t at = e->first_listed + item * TAMIS__ROW_BLOCK;
    return (tamis__block){.first = p->row[at],
                          .rows = tamis__smaller(TAMIS__ROW_BLOCK, p->listed - at),
                          .listed = p->row + at};
}

static tamis_status before_block(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)slot, (void)err;
    tamis__engine *e = arg;
    tamis__block block = block_of(e, item);
    if (block.listed)
        tamis__rows_read_listed(e, &block);
    else
        tamis__rows_read_ahead(e, block.first);
    return TAMIS_OK;
}

static tamis_status score_block(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                tamis_error *err)
{
    const tamis__engine *e = arg;
    tamis__block block = block_of(e, item);
    uint64_t last = tamis__block_row(&block, block.rows - 1);
    TAMIS_TRY(tamis__store_rows_there(e->product->train, block.first, last + 1 - block.first, err));
    return tamis__block_score(e, &block, worker, e->out + slot * e->capacity * TAMIS__ROW_BLOCK,
                              err);
}

static tamis_status give(tamis__engine *e, uint64_t first, const float *values, tamis_error *err)
{
    const tamis__sink *sink = &e->product->sink;
    uint64_t rows = rows_of(e, first);
    TAMIS_TRY(
        sink->put(sink->arg, first, rows, e->first_query, e->width, values, e->capacity, err));
    tamis__rows_release(e, first + rows);
    return tamis__progress(e->product->context, "scoring", e->rows_done + first + rows,
                           e->rows_total, "rows", NULL, err);
}

static void clear_gathered(tamis__engine *e)
{
    for (uint64_t i = 0; i < TAMIS__ROW_BLOCK * e->capacity; i++) e->gathered[i] = NAN;
}

/* The blocks before that of `row` are complete. */
static tamis_status give_gathered(tamis__engine *e, uint64_t row, tamis_error *err)
{
    for (; e->gathered_row < row / TAMIS__ROW_BLOCK * TAMIS__ROW_BLOCK;
         e->gathered_row += TAMIS__ROW_BLOCK) {
        TAMIS_TRY(give(e, e->gathered_row, e->gathered, err));
        clear_gathered(e);
    }
    return TAMIS_OK;
}

static tamis_status give_block(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    tamis__engine *e = arg;
    const float *out = e->out + slot * e->capacity * TAMIS__ROW_BLOCK;
    tamis__block block = block_of(e, item);
    if (!block.listed) return give(e, block.first, out, err);
    for (uint64_t i = 0; i < block.rows; i++) {
        TAMIS_TRY(give_gathered(e, block.listed[i], err));
        memcpy(e->gathered + (block.listed[i] - e->gathered_row) * e->capacity,
               out + i * e->capacity, e->width * sizeof *out);
    }
    return TAMIS_OK;
}

/* Where the rows of the pass begin in the list, and how many blocks of them there are. */
static uint64_t start_list(tamis__engine *e)
{
    const tamis__product *p = e->product;
    uint64_t at = 0;
    while (at < p->listed && p->row[at] < e->first_block * TAMIS__ROW_BLOCK) at++;
    e->first_listed = at;
    e->gathered_row = e->first_block * TAMIS__ROW_BLOCK;
    clear_gathered(e);
    return tamis__blocks_of(p->listed - at, TAMIS__ROW_BLOCK);
}

static tamis_status run_pass(tamis__engine *e, tamis_error *err)
{
    uint64_t blocks = tamis__blocks_of(e->train->rows, TAMIS__ROW_BLOCK);
    e->tiles = tamis__blocks_of(e->width, e->mul->tile);
    e->read_ahead = e->released = e->first_block * TAMIS__ROW_BLOCK;
    TAMIS_TRY(tamis__panel_fill(e, err));
    tamis__pipeline score = {.arg = e,
                             .items = e->product->row ? start_list(e) : blocks - e->first_block,
                             .slots = e->slots,
                             .produce = before_block,
                             .work = score_block,
                             .consume = give_block};
    TAMIS_TRY(tamis__pool_run(e->product->context->pool, &score, err));
    return e->product->row ? give_gathered(e, blocks * TAMIS__ROW_BLOCK, err) : TAMIS_OK;
}

/* Blocks that the sink has are left out: whole passes, then the first blocks of one. */
static tamis_status run_passes(tamis__engine *e, tamis_error *err)
{
    uint64_t blocks = tamis__blocks_of(e->train->rows, TAMIS__ROW_BLOCK), given = 0;
    e->rows_total = tamis__blocks_of(e->queries->rows, e->capacity) * e->train->rows;
    for (; e->first_query < e->queries->rows; e->first_query += e->capacity) {
        uint64_t there = e->product->first_item > given ? e->product->first_item - given : 0;
        e->first_block = tamis__smaller(there, blocks);
        e->width = tamis__smaller(e->capacity, e->queries->rows - e->first_query);
        if (e->first_block < blocks) TAMIS_TRY(run_pass(e, err));
        e->rows_done += e->train->rows;
        given += blocks;
    }
    return TAMIS_OK;
}

tamis_status tamis__product_run(const tamis__product *product, tamis__product_report *ret_report,
                                tamis_error *err)
{
    tamis__engine e;
    tamis__product_report report;
    tamis_status status = init(&e, product, &report, err);
    if (status == TAMIS_OK) status = run_passes(&e, err);
    /* What changed behind the scan makes its rows those of two stores. */
    if (status == TAMIS_OK) status = tamis__store_unchanged(product->train, err);
    fini(&e);
    if (status == TAMIS_OK && ret_report) *ret_report = report;
    return status;
}
