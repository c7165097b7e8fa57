/* What the parts of the engine share: panel.c, rows.c, block.c, engine.c.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STREAM_STATE_H
#define TAMIS_STREAM_STATE_H

#include "kernels/kernels.h"
#include "kernels/product.h"
#include "stream/engine.h"

/* Rows of a block: one thread's at a time. The sizes of blocks and steps are part of the result's
 * last bits, so they depend on nothing. */
enum { TAMIS__ROW_BLOCK = 256 };

/* Columns of rows made of factors that a worker has made together: a step alone would widen a
 * token's inputs again for few of the columns that they make. */
typedef struct tamis__window {
    bool there;
    uint32_t k;
    uint64_t first, rows, column, columns;
    const uint64_t *listed; /* of rows that a tamis__row_maker made: those of a list; or NULL */
} tamis__window;
enum { TAMIS__WINDOW = TAMIS__MAX_STEP };

typedef struct tamis__engine {
    const tamis__product *product;
    const tamis_store_info *train;
    const tamis__queries *queries;
    tamis__kernels kernels;
    const tamis__multiplier *mul;
    uint64_t first_column, columns; /* that count */
    const float **scale; /* [checkpoints] of [rows]: what i8 rows are multiplied by; or NULL */
    tamis_dtype dtype;   /* of the rows as they are multiplied: f32 where the store has factors */
    bool mapped;         /* every row is mapped */
    unsigned workers, slots;
    uint64_t steps;      /* of columns */
    uint64_t capacity;   /* queries that fit the memory limit, a multiple of the tile */
    size_t panel_bytes;  /* of one tile's step */
    size_t stride;       /* from row to row of a tile's sums: the tile rounded up */
    uint64_t read_ahead; /* rows that were asked for */
    uint64_t released;   /* rows that were let go of */
    uint64_t spare;      /* bytes of the memory limit that nothing takes */

    /* Of the pass that is running. */
    uint64_t first_query, width, tiles; /* width = queries of the pass */
    uint64_t first_block;               /* blocks before it are not done again */
    uint64_t first_listed;              /* place in the list where the pass begins */
    uint64_t rows_done, rows_total;     /* for progress, over all passes */

    unsigned char *panel; /* [checkpoint, tile, step] of panel_bytes */
    double *factor;       /* [checkpoint, capacity]: what a query's products are multiplied by */
    float *scratch;       /* [worker, tile, step]: queries on their way into the panel */
    double *sum, *total;  /* [worker, ROW_BLOCK, stride]: of a checkpoint, of all */
    float *out;           /* [slot, ROW_BLOCK, capacity] */
    float *gathered;      /* [ROW_BLOCK, capacity]: listed rows in their places; NULL = all rows */
    uint64_t gathered_row;
    float *wide;           /* [worker, ROW_BLOCK, step]: of rows that are not mapped; else NULL */
    unsigned char *stored; /* the same in their type, NULL for f32; or mapped rows of a list */
    float *made; /* [worker, ROW_BLOCK, WINDOW]: of factors; or [worker, ROW_BLOCK, columns] by the
                    product's maker; else NULL */
    double *square;         /* [worker, ROW_BLOCK]: by the maker */
    tamis__window *window;  /* [worker]: what is in `made` */
    tamis_store_info alone; /* with a maker `train` is this: one checkpoint */
} tamis__engine;

static inline uint64_t tamis__smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t tamis__blocks_of(uint64_t n, uint64_t block)
{
    return (n + block - 1) / block;
}

/* Training rows that are scored together: first, first + 1, ... or those of a list. */
typedef struct tamis__block {
    uint64_t first, rows;
    const uint64_t *listed; /* [rows] ascending; NULL = in a run from `first` on */
} tamis__block;

static inline uint64_t tamis__block_row(const tamis__block *block, uint64_t i)
{
    return block->listed ? block->listed[i] : block->first + i;
}

/* --- panel.c ---------------------------------------------------------------------------------- */

/* Choose the multiplier; with TAMIS__PANEL_AUTO by measuring. */
tamis_status tamis__panel_choose(tamis__engine *e, tamis__product_report *report, tamis_error *err);

/* Pack the pass's queries. */
tamis_status tamis__panel_fill(tamis__engine *e, tamis_error *err);

static inline const void *tamis__panel_at(const tamis__engine *e, uint64_t k, uint64_t tile,
                                          uint64_t step)
{
    return e->panel + ((k * e->tiles + tile) * e->steps + step) * e->panel_bytes;
}

/* --- rows.c ----------------------------------------------------------------------------------- */

/* Are all rows mapped? */
bool tamis__rows_mapped(const tamis_store *store);

/* Rows first .. of a checkpoint in their stored type, columns column ..: where they lie, how far
 * from one another, and how many there are (at most `rows`). Rows that are not mapped are read into
 * the worker's buffers. */
typedef struct tamis__run {
    const void *rows;
    size_t row_bytes;
    uint64_t n;
} tamis__run;
tamis_status tamis__rows_run(const tamis__engine *e, uint32_t k, uint64_t first, uint64_t rows,
                             uint64_t column, uint64_t columns, unsigned worker,
                             tamis__run *ret_run, tamis_error *err);

/* The same for rows first .. of a block, wherever they are: those of a list that are not in a run
 * are put together in the worker's buffers. */
tamis_status tamis__rows_of_block(const tamis__engine *e, uint32_t k, const tamis__block *block,
                                  uint64_t first, uint64_t column, uint64_t columns,
                                  unsigned worker, tamis__run *ret_run, tamis_error *err);

/* Squares of a block's rows that a maker made for this worker last. */
static inline const double *tamis__squares_of(const tamis__engine *e, unsigned worker)
{
    return e->square + (size_t)worker * TAMIS__ROW_BLOCK;
}

/* Before listed rows are worked on, on the calling thread: have the system read them. */
void tamis__rows_read_listed(const tamis__engine *e, const tamis__block *block);

/* Before a block is worked on, on the calling thread: have the system read what comes next. */
void tamis__rows_read_ahead(tamis__engine *e, uint64_t first);
/* After a block is done, on the calling thread: let go of what lies behind. */
void tamis__rows_release(tamis__engine *e, uint64_t end);

/* --- block.c ---------------------------------------------------------------------------------- */

/* Score the rows for the queries of the pass, into `out` [rows, capacity]. */
tamis_status tamis__block_score(const tamis__engine *e, const tamis__block *block, unsigned worker,
                                float *out, tamis_error *err);

#endif
