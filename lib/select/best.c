/* The best rows of each query, or group of queries, in one pass over the scores.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "select/matrix_state.h"

/* A list has room for at least so many more rows than are wanted of it. */
#define ROOM 32

/* A row that is above the least of a full list. */
typedef struct hit {
    double value;
    uint32_t row; /* of the block */
    uint32_t column;
} hit;

typedef struct collection {
    const tamis__view *view;
    const tamis__query_matrix *matrix;
    tamis_context *context;
    const uint8_t *skip;
    uint64_t columns, k, room; /* of a list */
    tamis__best *list;         /* [columns, room] */
    uint64_t *n;               /* [columns] rows in a list */
    double *least;             /* [columns] a value must be above it; -inf: any that is a number */
    /* Of slots: */
    double *block; /* [slots][block_rows * queries] */
    double *row;   /* [slots][columns] */
    double *bar;   /* [slots][columns] `least` as it was when the block was begun */
    hit *hits;     /* [slots][block_rows * columns] */
    uint64_t *n_hits;
} collection;

/* --- lists ------------------------------------------------------------------------------------ */

static inline bool better(const tamis__best *a, const tamis__best *b)
{
    return a->value > b->value || (a->value >= b->value && a->row < b->row);
}

static int best_first(const void *left, const void *right)
{
    const tamis__best *a = left, *b = right;
    return better(a, b) ? -1 : better(b, a);
}

static void swap(tamis__best *a, tamis__best *b)
{
    tamis__best c = *a;
    *a = *b;
    *b = c;
}

/* Rows better than the middle one of three before its final place, which is returned. */
static uint64_t part(tamis__best *list, uint64_t n)
{
    tamis__best *middle = &list[n / 2], *last = &list[n - 1];
    if (better(middle, list)) swap(middle, list);
    if (better(last, list)) swap(last, list);
    if (better(middle, last)) swap(middle, last);
    uint64_t end = 0; /* the last one is now the middle of the three */
    for (uint64_t i = 0; i + 1 < n; i++)
        if (better(&list[i], last)) swap(&list[i], &list[end++]);
    swap(&list[end], last);
    return end;
}

/* The k best rows come first, in no order. Bad splits give way to sorting. */
static void choose_best(tamis__best *list, uint64_t n, uint64_t k)
{
    for (int bad = 0; n > k && k > 0;) {
        if (bad == 8 || n <= 8) {
            qsort(list, (size_t)n, sizeof *list, best_first);
            return;
        }
        uint64_t at = part(list, n);
        uint64_t rest = at >= k ? at : n - at - 1;
        bad += rest > n - n / 8;
        if (at >= k) {
            n = at;
        } else {
            list += at + 1;
            n -= at + 1;
            k -= at + 1;
        }
    }
}

static void push(collection *c, uint64_t column, double value, uint64_t row)
{
    tamis__best *list = c->list + column * c->room;
    list[c->n[column]++] = (tamis__best){value, row};
    if (c->n[column] < c->room) return;
    choose_best(list, c->room, c->k);
    c->n[column] = c->k;
    double least = list[0].value;
    for (uint64_t i = 1; i < c->k; i++)
        if (list[i].value < least) least = list[i].value;
    c->least[column] = least;
}

/* --- blocks ----------------------------------------------------------------------------------- */

static double *block_of(const collection *c, unsigned slot)
{
    return c->block + slot * c->matrix->block_rows * c->matrix->queries;
}

static tamis_status read_block(const collection *c, uint64_t item, unsigned slot, tamis_error *err)
{
    const tamis__query_matrix *m = c->matrix;
    return tamis__query_matrix_read(m, item * m->block_rows, tamis__query_matrix_block(m, item),
                                    block_of(c, slot), err);
}

static bool in_memory(const tamis__query_matrix *m)
{
    return m->held || m->rank;
}

static tamis_status begin_block(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    const collection *c = arg;
    memcpy(c->bar + slot * c->columns, c->least, (size_t)c->columns * sizeof *c->bar);
    return in_memory(c->matrix) ? TAMIS_OK : read_block(c, item, slot, err);
}

static tamis_status search_block(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                 tamis_error *err)
{
    (void)worker;
    const collection *c = arg;
    const tamis__query_matrix *m = c->matrix;
    if (in_memory(m)) TAMIS_TRY(read_block(c, item, slot, err));
    const double *bar = c->bar + slot * c->columns;
    double *grouped = c->row + slot * c->columns;
    hit *hits = c->hits + slot * m->block_rows * c->columns;
    uint64_t first = item * m->block_rows, rows = tamis__query_matrix_block(m, item), n = 0;
    for (uint64_t i = 0; i < rows; i++) {
        const double *value = block_of(c, slot) + i * m->queries;
        if (c->skip && c->skip[first + i]) continue;
        if (c->view->group) {
            tamis__view_row(c->view, value, grouped);
            value = grouped;
        }
        for (uint64_t j = 0; j < c->columns; j++) {
            bool above = value[j] > bar[j] || (isinf(bar[j]) && bar[j] < 0 && !isnan(value[j]));
            if (above) hits[n++] = (hit){value[j], (uint32_t)i, (uint32_t)j};
        }
    }
    c->n_hits[slot] = n;
    return TAMIS_OK;
}

static tamis_status end_block(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    collection *c = arg;
    const tamis__query_matrix *m = c->matrix;
    const hit *hits = c->hits + slot * m->block_rows * c->columns;
    uint64_t first = item * m->block_rows;
    for (uint64_t i = 0; i < c->n_hits[slot]; i++)
        push(c, hits[i].column, hits[i].value, first + hits[i].row);
    return tamis__progress(c->context, "ranking rows", first + tamis__query_matrix_block(m, item),
                           m->rows, "rows", NULL, err);
}

/* --- all -------------------------------------------------------------------------------------- */

static tamis_status sort_list(void *arg, uint64_t column, unsigned slot, unsigned worker,
                              tamis_error *err)
{
    (void)slot;
    (void)worker;
    (void)err;
    const collection *c = arg;
    tamis__best *list = c->list + column * c->room;
    if (c->n[column] > c->k) {
        choose_best(list, c->n[column], c->k);
        c->n[column] = c->k;
    }
    qsort(list, (size_t)c->n[column], sizeof *list, best_first);
    return TAMIS_OK;
}

/* Lists one behind the other, without their room. */
static void close_up(collection *c)
{
    for (uint64_t j = 0; j < c->columns; j++) {
        tamis__best *list = c->list + j * c->k;
        memmove(list, c->list + j * c->room, (size_t)c->n[j] * sizeof *list);
        for (uint64_t i = c->n[j]; i < c->k; i++) list[i] = (tamis__best){(double)NAN, UINT64_MAX};
    }
}

static tamis_status collect(collection *c, tamis_error *err)
{
    const tamis__query_matrix *m = c->matrix;
    tamis__pipeline pipeline = {.arg = c,
                                .items = tamis__query_matrix_blocks(m),
                                .produce = begin_block,
                                .work = search_block,
                                .consume = end_block};
    tamis__pipeline sorting = {.arg = c, .items = c->columns, .work = sort_list};
    unsigned slots = tamis__pool_slots(c->context->pool, &pipeline);
    size_t rows = (size_t)m->block_rows, columns = (size_t)c->columns;
    c->list = tamis__malloc(columns, (size_t)c->room * sizeof *c->list);
    c->n = tamis__calloc(columns, sizeof *c->n);
    c->least = tamis__malloc(columns, sizeof *c->least);
    c->block = tamis__malloc(slots, rows * (size_t)m->queries * sizeof *c->block);
    c->row = tamis__malloc(slots, columns * sizeof *c->row);
    c->bar = tamis__malloc(slots, columns * sizeof *c->bar);
    c->hits = tamis__malloc(slots, rows * columns * sizeof *c->hits);
    c->n_hits = tamis__calloc(slots, sizeof *c->n_hits);
    if (!c->list || !c->n || !c->least || !c->block || !c->row || !c->bar || !c->hits || !c->n_hits)
        return tamis__fail_memory(err, "the best rows of each query",
                                  c->columns * c->room * sizeof *c->list);
    for (size_t j = 0; j < columns; j++) c->least[j] = -HUGE_VAL;
    TAMIS_TRY(tamis__pool_run(c->context->pool, &pipeline, err));
    TAMIS_TRY(tamis__pool_run(c->context->pool, &sorting, err));
    close_up(c);
    return TAMIS_OK;
}

static uint64_t room_of(uint64_t k)
{
    return k + (k > ROOM ? k : ROOM);
}

uint64_t tamis__query_matrix_room(const tamis__view *view, const tamis_context *context)
{
    const tamis__query_matrix *m = view->matrix;
    uint64_t left = context->memory;
    if (in_memory(m)) left -= m->rows * m->queries * sizeof *m->held;
    uint64_t most = left / (tamis__view_columns(view) * sizeof(tamis__best));
    return most > 2 * ROOM ? most / 2 : most > ROOM + 1 ? most - ROOM : 1;
}

tamis_status tamis__query_matrix_best(const tamis__view *view, tamis_context *context,
                                      const uint8_t *skip, uint64_t k, tamis__best **ret_best,
                                      tamis_error *err)
{
    collection c = {.view = view,
                    .matrix = view->matrix,
                    .context = context,
                    .skip = skip,
                    .columns = tamis__view_columns(view),
                    .k = k,
                    .room = room_of(k)};
    TAMIS_TRY(tamis__memory_check(context, c.columns * c.room * sizeof *c.list,
                                  "the best rows of each query", err));
    tamis_status status = collect(&c, err);
    free(c.n);
    free(c.least);
    free(c.block);
    free(c.row);
    free(c.bar);
    free(c.hits);
    free(c.n_hits);
    if (status == TAMIS_OK)
        *ret_best = c.list;
    else
        free(c.list);
    return status;
}
