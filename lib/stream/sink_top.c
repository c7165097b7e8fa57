/* The best or the worst rows of each query, in bounded heaps.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "stream/sinks.h"

tamis_status tamis__top_sink_init(tamis__top_sink *ret_top, const tamis_context *context,
                                  uint64_t queries, uint64_t k, bool lowest, tamis_error *err)
{
    uint64_t bytes = queries * k * sizeof(tamis__ranked);
    TAMIS_TRY(tamis__memory_check(context, bytes, "the lists of best rows", err));
    tamis__top_sink top = {.queries = queries, .k = k, .lowest = lowest};
    top.heap = tamis__malloc(queries * k, sizeof *top.heap);
    top.held = tamis__calloc(queries, sizeof *top.held);
    top.threshold = tamis__malloc(queries, sizeof *top.threshold);
    if (!top.heap || !top.held || !top.threshold) {
        tamis__top_sink_fini(&top);
        return tamis__fail_memory(err, "the lists of best rows", bytes);
    }
    for (uint64_t q = 0; q < queries; q++) top.threshold[q] = -HUGE_VALF;
    *ret_top = top;
    return TAMIS_OK;
}

void tamis__top_sink_fini(tamis__top_sink *top)
{
    free(top->heap);
    free(top->held);
    free(top->threshold);
    *top = (tamis__top_sink){0};
}

/* Scores in a heap count upwards: those of the lowest are held with the sign turned. Does `a` go
 * before `b` in the list? */
static bool before(tamis__ranked a, tamis__ranked b)
{
    return a.score > b.score || (a.score == b.score && a.row < b.row);
}

/* The root is what every other entry goes before. */
static void sift_down(tamis__ranked *heap, uint64_t n, uint64_t at, tamis__ranked entry)
{
    for (;;) {
        uint64_t child = 2 * at + 1;
        if (child >= n) break;
        if (child + 1 < n && before(heap[child], heap[child + 1])) child++;
        if (!before(entry, heap[child])) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = entry;
}

static void sift_up(tamis__ranked *heap, uint64_t at, tamis__ranked entry)
{
    while (at > 0 && before(heap[(at - 1) / 2], entry)) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = entry;
}

/* Rows come in ascending order, so an equal score comes too late once the heap is full. */
static void enter(tamis__top_sink *top, uint64_t query, uint64_t row, float score)
{
    tamis__ranked *heap = top->heap + query * top->k, entry = {score, row};
    if (isnan(score)) return;
    if (top->held[query] < top->k) {
        sift_up(heap, top->held[query]++, entry);
        if (top->held[query] == top->k) top->threshold[query] = heap[0].score;
        return;
    }
    if (!(score > heap[0].score)) return;
    sift_down(heap, top->k, 0, entry);
    top->threshold[query] = heap[0].score;
}

/* Most rows enter no list: whole rows are looked at before single scores. */
static bool any_beyond(const float *restrict values, const float *restrict threshold, uint64_t n,
                       float sign)
{
    unsigned any = 0;
    for (uint64_t q = 0; q < n; q++) any |= sign * values[q] > threshold[q];
    return any;
}

static tamis_status put(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                        uint64_t queries, const float *values, size_t stride, tamis_error *err)
{
    tamis__top_sink *top = arg;
    (void)err;
    float sign = top->lowest ? -1.0f : 1.0f;
    for (uint64_t r = 0; r < rows; r++) {
        const float *row = values + r * stride;
        if (!any_beyond(row, top->threshold + first_query, queries, sign)) continue;
        for (uint64_t q = 0; q < queries; q++)
            if (sign * row[q] > top->threshold[first_query + q])
                enter(top, first_query + q, first_row + r, sign * row[q]);
    }
    return TAMIS_OK;
}

tamis__sink tamis__top_sink_of(tamis__top_sink *top)
{
    return (tamis__sink){.arg = top, .put = put};
}

static int by_rank(const void *a, const void *b)
{
    const tamis__ranked *x = a, *y = b;
    return before(*x, *y) ? -1 : before(*y, *x) ? 1 : 0;
}

void tamis__top_sink_list(tamis__top_sink *top, uint64_t query, uint64_t *ret_rows,
                          float *ret_scores)
{
    tamis__ranked *heap = top->heap + query * top->k;
    uint64_t held = top->held[query];
    qsort(heap, held, sizeof *heap, by_rank);
    for (uint64_t i = 0; i < top->k; i++) {
        ret_rows[i] = i < held ? heap[i].row : UINT64_MAX;
        ret_scores[i] = i < held ? (top->lowest ? -heap[i].score : heap[i].score) : NAN;
    }
}
