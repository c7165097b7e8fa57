/* Where the training rows are: mapped from the file, asked for ahead of the scan and let go of
 * behind it. Rows of factors are made when they are read.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "store/store_pages.h"
#include "stream/state.h"

/* Bytes that the system is asked for before they are needed, and the least that stay mapped behind
 * the scan. */
#define AHEAD  (UINT64_C(32) << 20)
#define BEHIND (UINT64_C(16) << 20)
/* What a system with large pages may map around a row that is touched. */
#define AROUND (UINT64_C(2) << 20)

static uint64_t row_bytes(const tamis__engine *e)
{
    return e->train->columns * tamis_dtype_size(e->dtype);
}

/* Of a row, at all checkpoints. */
static uint64_t all_bytes(const tamis__engine *e)
{
    return e->train->checkpoints * row_bytes(e);
}

bool tamis__rows_mapped(const tamis_store *store)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    uint64_t run = 0;
    for (uint32_t k = 0; k < info->checkpoints; k++)
        for (uint64_t row = 0; row < info->rows; row += run)
            if (!tamis_store_map(store, k, row, &run)) return false;
    return true;
}

/* --- rows of a block -------------------------------------------------------------------------- */

/* Floats that came from the stored type go back to it without loss. */
static void narrow_back(const tamis__engine *e, uint32_t k, uint64_t first, uint64_t rows,
                        uint64_t columns, const float *wide, unsigned char *stored)
{
    size_t size = tamis_dtype_size(e->dtype);
    for (uint64_t r = 0; r < rows; r++, wide += columns, stored += columns * size) {
        if (e->dtype != TAMIS_I8) {
            tamis__narrow(&e->kernels, e->dtype, stored, wide, columns);
            continue;
        }
        float scale = e->scale[k][first + r];
        for (uint64_t c = 0; c < columns; c++) {
            int8_t whole = scale > 0.0f ? (int8_t)lrintf(wide[c] / scale) : 0;
            stored[c] = (unsigned char)whole;
        }
    }
}

/* How many of the rows from `i` on follow each other. */
static uint64_t run_of(const tamis__block *block, uint64_t i)
{
    uint64_t n = 1;
    if (!block->listed) return block->rows - i;
    while (i + n < block->rows && block->listed[i + n] == block->listed[i] + n) n++;
    return n;
}

/* Steps come in the order of their columns, for the same rows. */
static tamis_status run_in_window(const tamis__engine *e, uint32_t k, uint64_t first, uint64_t rows,
                                  uint64_t column, uint64_t columns, unsigned worker,
                                  tamis__run *ret_run, tamis_error *err)
{
    tamis__window *w = &e->window[worker];
    float *made = e->made + (size_t)worker * TAMIS__ROW_BLOCK * TAMIS__WINDOW;
    bool held = w->there && w->k == k && w->first == first && w->rows == rows &&
                column >= w->column && column + columns <= w->column + w->columns;
    if (!held) {
        uint64_t n = tamis__smaller(TAMIS__WINDOW, e->train->columns - column);
        w->there = false;
        tamis_status status = tamis_store_read(e->product->train, k, first, rows, column, n, made,
                                               TAMIS__WINDOW, err);
        if (status != TAMIS_OK) return status;
        *w = (tamis__window){true, k, first, rows, column, n, NULL};
    }
    *ret_run = (tamis__run){made + (column - w->column), TAMIS__WINDOW * sizeof *made, rows};
    return TAMIS_OK;
}

/* Whole rows, kept for the other steps and tiles of their block. */
static tamis_status run_by_maker(const tamis__engine *e, const tamis__block *block, uint64_t column,
                                 unsigned worker, tamis__run *ret_run, tamis_error *err)
{
    const tamis__row_maker *maker = e->product->maker;
    tamis__window *w = &e->window[worker];
    uint64_t columns = e->train->columns, n = 0;
    float *made = e->made + (size_t)worker * TAMIS__ROW_BLOCK * columns;
    double *square = e->square + (size_t)worker * TAMIS__ROW_BLOCK;
    bool held = w->there && w->first == block->first && w->rows == block->rows &&
                w->listed == block->listed;
    w->there = held;
    for (uint64_t i = 0; i < block->rows && !held; i += n) {
        n = run_of(block, i);
        TAMIS_TRY(maker->make(maker->arg, tamis__block_row(block, i), n, worker, made + i * columns,
                              square + i, err));
    }
    *w = (tamis__window){true, 0, block->first, block->rows, 0, columns, block->listed};
    *ret_run = (tamis__run){made + column, columns * sizeof *made, block->rows};
    return TAMIS_OK;
}

tamis_status tamis__rows_run(const tamis__engine *e, uint32_t k, uint64_t first, uint64_t rows,
                             uint64_t column, uint64_t columns, unsigned worker,
                             tamis__run *ret_run, tamis_error *err)
{
    size_t size = tamis_dtype_size(e->dtype), block = (size_t)TAMIS__ROW_BLOCK * e->mul->step;
    if (e->mapped) {
        uint64_t run = 0;
        const unsigned char *at = tamis_store_map(e->product->train, k, first, &run);
        *ret_run = (tamis__run){at + column * size, row_bytes(e), tamis__smaller(run, rows)};
        return TAMIS_OK;
    }
    if (e->made) return run_in_window(e, k, first, rows, column, columns, worker, ret_run, err);
    float *wide = e->wide + worker * block;
    tamis_status status = tamis_store_read(e->product->train, k, first, rows, column, columns, wide,
                                           columns, err);
    if (status != TAMIS_OK) return status;
    *ret_run = (tamis__run){wide, columns * size, rows};
    if (e->dtype == TAMIS_F32) return TAMIS_OK;
    unsigned char *stored = e->stored + worker * block * size;
    narrow_back(e, k, first, rows, columns, wide, stored);
    *ret_run = (tamis__run){stored, columns * size, rows};
    return TAMIS_OK;
}

/* --- rows of a list --------------------------------------------------------------------------- */

/* Rows of a list are far apart: more is mapped than is read, and rows_release() does not know. */
static void note_touched(const tamis__engine *e, const tamis__block *block, uint64_t i)
{
    uint64_t gap = AROUND;
    if (i + 1 < block->rows) gap = (block->listed[i + 1] - block->listed[i]) * row_bytes(e);
    tamis__store_touched(e->product->train, gap < AROUND ? gap : AROUND);
}

static tamis_status gather(const tamis__engine *e, uint32_t k, const tamis__block *block,
                           uint64_t first, uint64_t column, uint64_t columns, unsigned worker,
                           tamis__run *ret_run, tamis_error *err)
{
    size_t size = tamis_dtype_size(e->dtype), room = (size_t)TAMIS__ROW_BLOCK * e->mul->step;
    float *wide = e->wide ? e->wide + worker * room : NULL;
    unsigned char *stored = e->stored ? e->stored + worker * room * size : (unsigned char *)wide;
    uint64_t n = 0;
    for (uint64_t i = first; i < block->rows; i += n) {
        uint64_t row = block->listed[i], run = 0, at = (i - first) * columns;
        n = run_of(block, i);
        if (e->mapped) {
            const unsigned char *from = tamis_store_map(e->product->train, k, row, &run);
            n = 1;
            memcpy(stored + at * size, from + column * size, columns * size);
            note_touched(e, block, i);
            continue;
        }
        float *to = e->stored ? wide : wide + at;
        TAMIS_TRY(
            tamis_store_read(e->product->train, k, row, n, column, columns, to, columns, err));
        if (e->stored) narrow_back(e, k, row, n, columns, to, stored + at * size);
    }
    *ret_run = (tamis__run){stored, columns * size, block->rows - first};
    return TAMIS_OK;
}

tamis_status tamis__rows_of_block(const tamis__engine *e, uint32_t k, const tamis__block *block,
                                  uint64_t first, uint64_t column, uint64_t columns,
                                  unsigned worker, tamis__run *ret_run, tamis_error *err)
{
    uint64_t left = block->rows - first;
    if (e->product->maker) return run_by_maker(e, block, column, worker, ret_run, err);
    if (run_of(block, first) == left)
        return tamis__rows_run(e, k, tamis__block_row(block, first), left, column, columns, worker,
                               ret_run, err);
    return gather(e, k, block, first, column, columns, worker, ret_run, err);
}

/* --- the system's memory ---------------------------------------------------------------------- */

/* Advice for the pages of rows first .. end - 1 of a checkpoint. Pages shared with other rows are
 * left out when they are to go. */
static void advise(const tamis__engine *e, uint32_t k, uint64_t first, uint64_t end, int advice)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (uint64_t run = 0; first < end; first += run) {
        uintptr_t begin = (uintptr_t)tamis_store_map(e->product->train, k, first, &run);
        if (!begin) return;
        run = tamis__smaller(run, end - first);
        uintptr_t stop = begin + run * row_bytes(e);
        begin = advice == MADV_DONTNEED ? (begin + page - 1) / page * page : begin / page * page;
        if (advice == MADV_DONTNEED) stop = stop / page * page;
        if (begin < stop) (void)madvise((void *)begin, stop - begin, advice);
    }
}

/* Is the row in the system's cache? Looking is much cheaper than asking for what is there. */
static bool resident(const tamis__engine *e, uint32_t k, uint64_t row)
{
    unsigned char there = 0;
    uint64_t run;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t at = (uintptr_t)tamis_store_map(e->product->train, k, row, &run);
    return at && mincore((void *)(at / page * page), 1, &there) == 0 && (there & 1);
}

void tamis__rows_read_ahead(tamis__engine *e, uint64_t first)
{
    uint64_t window = AHEAD / all_bytes(e) + TAMIS__ROW_BLOCK;
    uint64_t end = tamis__smaller(first + window, e->train->rows);
    if (!e->mapped || (end < e->train->rows && end < e->read_ahead + window / 4)) return;
    if (e->read_ahead < end) {
        for (uint32_t k = 0; k < e->train->checkpoints; k++)
            if (e->product->weight[k] != 0.0 &&
                (!resident(e, k, e->read_ahead) || !resident(e, k, end - 1)))
                advise(e, k, e->read_ahead, end, MADV_WILLNEED);
        e->read_ahead = end;
    }
}

void tamis__rows_read_listed(const tamis__engine *e, const tamis__block *block)
{
    if (!e->mapped) return;
    for (uint64_t i = 0, n = 0; i < block->rows; i += n) {
        uint64_t row = tamis__block_row(block, i);
        n = run_of(block, i);
        for (uint32_t k = 0; k < e->train->checkpoints; k++)
            if (e->product->weight[k] != 0.0 && !resident(e, k, row))
                advise(e, k, row, row + n, MADV_WILLNEED);
    }
}

/* Rows that were let go of have to be mapped again when they are read again, so they stay while the
 * memory limit has room for them. */
void tamis__rows_release(tamis__engine *e, uint64_t end)
{
    uint64_t room = e->spare > BEHIND ? e->spare : BEHIND;
    if (!e->mapped || end <= e->released) return;
    if (e->released == 0 && e->train->rows * all_bytes(e) <= room) return;
    if (end < e->train->rows && (end - e->released) * all_bytes(e) < room / 2) return;
    for (uint32_t k = 0; k < e->train->checkpoints; k++)
        advise(e, k, e->released, end, MADV_DONTNEED);
    e->released = end;
}
