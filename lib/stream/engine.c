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

/* Buffers that do not depend on how many queries a pass has. */
static uint64_t fixed_bytes(const tamis__engine *e)
{
    uint64_t worker = 2 * TAMIS__ROW_BLOCK * e->stride * sizeof(double) +
                      (uint64_t)e->mul->tile * e->mul->step * sizeof(float);
    if (!e->mapped)
        worker += (uint64_t)TAMIS__ROW_BLOCK * TAMIS__MAX_STEP *
                  (sizeof(float) + (e->dtype == TAMIS_F32 ? 0 : tamis_dtype_size(e->dtype)));
    if (e->made) worker += (uint64_t)TAMIS__ROW_BLOCK * TAMIS__WINDOW * sizeof *e->made;
    return e->workers * worker;
}

/* How many tiles of queries are held at once: more of them means fewer passes over the rows. */
static tamis_status plan(tamis__engine *e, tamis_error *err)
{
    const tamis__product *p = e->product;
    uint64_t tile = e->mul->tile, tiles = tamis__blocks_of(e->queries->rows, tile);
    uint64_t each = panel_bytes(e, 1) + e->slots * TAMIS__ROW_BLOCK * tile * sizeof(float) +
                    e->train->checkpoints * tile * sizeof(double);
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
    if (e->panel && e->factor && e->scratch && e->sum && e->total && e->out) return TAMIS_OK;
    return tamis__fail_memory(err, "the blocks of a product", panel);
}

/* Rows that are not mapped pass through buffers; needed from the first look at rows on. */
static tamis_status allocate_unmapped(tamis__engine *e, tamis_error *err)
{
    size_t block = (size_t)e->workers * TAMIS__ROW_BLOCK * TAMIS__MAX_STEP;
    e->mapped = tamis__rows_mapped(e->product->train);
    if (e->mapped) return TAMIS_OK;
    e->wide = tamis__aligned(block, sizeof *e->wide);
    if (e->dtype != TAMIS_F32) e->stored = tamis__aligned(block, tamis_dtype_size(e->dtype));
    if (e->wide && (e->stored || e->dtype == TAMIS_F32)) return TAMIS_OK;
    return tamis__fail_memory(err, "rows", block * sizeof *e->wide);
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
    free(e->wide);
    free(e->stored);
    free(e->made);
    free(e->window);
}

static tamis_status init(tamis__engine *e, const tamis__product *product,
                         tamis__product_report *report, tamis_error *err)
{
    *e = (tamis__engine){.product = product,
                         .train = tamis_store_info_get(product->train),
                         .queries = product->queries};
    tamis__kernels_init(&e->kernels, tamis_context_cpu(product->context));
    e->dtype = e->train->form == TAMIS_FORM_FACTORS ? TAMIS_F32 : e->train->dtype;
    e->workers = tamis_context_threads(product->context);
    e->slots = 2 * e->workers;
    TAMIS_TRY(load_scales(e, err));
    TAMIS_TRY(allocate_unmapped(e, err));
    allocate_window(e);
    TAMIS_TRY(tamis__panel_choose(e, report, err));
    e->steps = tamis__blocks_of(e->train->columns, e->mul->step);
    e->stride = e->mul->tile;
    size_t width = e->mul->width(tamis__smaller(e->mul->tile, e->queries->rows));
    size_t bytes = e->mul->size(width, tamis__smaller(e->mul->step, e->train->columns));
    e->panel_bytes = (bytes + 63) / 64 * 64;
    TAMIS_TRY(plan(e, err));
    return allocate(e, err);
}

/* --- passes ----------------------------------------------------------------------------------- */

static uint64_t rows_of(const tamis__engine *e, uint64_t first)
{
    return tamis__smaller(TAMIS__ROW_BLOCK, e->train->rows - first);
}

static tamis_status before_block(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)slot, (void)err;
    tamis__engine *e = arg;
    tamis__rows_read_ahead(e, (e->first_block + item) * TAMIS__ROW_BLOCK);
    return TAMIS_OK;
}

static tamis_status score_block(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                tamis_error *err)
{
    const tamis__engine *e = arg;
    uint64_t first = (e->first_block + item) * TAMIS__ROW_BLOCK, rows = rows_of(e, first);
    TAMIS_TRY(tamis__store_rows_there(e->product->train, first, rows, err));
    return tamis__block_score(e, first, rows, worker,
                              e->out + slot * e->capacity * TAMIS__ROW_BLOCK, err);
}

static tamis_status give_block(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    tamis__engine *e = arg;
    const tamis__sink *sink = &e->product->sink;
    uint64_t first = (e->first_block + item) * TAMIS__ROW_BLOCK, rows = rows_of(e, first);
    TAMIS_TRY(sink->put(sink->arg, first, rows, e->first_query, e->width,
                        e->out + slot * e->capacity * TAMIS__ROW_BLOCK, e->capacity, err));
    tamis__rows_release(e, first + rows);
    return tamis__progress(e->product->context, "scoring", e->rows_done + first + rows,
                           e->rows_total, "rows", NULL, err);
}

static tamis_status run_pass(tamis__engine *e, tamis_error *err)
{
    uint64_t blocks = tamis__blocks_of(e->train->rows, TAMIS__ROW_BLOCK);
    e->tiles = tamis__blocks_of(e->width, e->mul->tile);
    e->read_ahead = e->released = e->first_block * TAMIS__ROW_BLOCK;
    TAMIS_TRY(tamis__panel_fill(e, err));
    tamis__pipeline score = {.arg = e,
                             .items = blocks - e->first_block,
                             .slots = e->slots,
                             .produce = before_block,
                             .work = score_block,
                             .consume = give_block};
    return tamis__pool_run(e->product->context->pool, &score, err);
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
