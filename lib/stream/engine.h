/* The one product behind gradient scores: prepared queries times streamed training rows.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STREAM_ENGINE_H
#define TAMIS_STREAM_ENGINE_H

#include <stdbool.h>
#include <tamis/store.h>

/* Where finished blocks go, on the calling thread: rows in order, and within a pass over the rows
 * the same queries; a query range is never given twice. */
typedef struct tamis__sink {
    void *arg;
    tamis_status (*put)(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                        uint64_t queries, const float *values, size_t stride, tamis_error *err);
} tamis__sink;

/* score(i, q) = sum over checkpoints k of weight[k] * <train row i, query row q> at k, with both rows
 * divided by their norms when `unit`. The stores fit together (the caller has checked). */
typedef struct tamis__product {
    tamis_context *context;
    tamis_store *train, *query;
    const double *weight; /* [checkpoints] */
    bool unit;
    bool zero_scores_zero; /* with `unit`: a zero row scores 0 and is no error */
    tamis__sink sink;
} tamis__product;

/* The same bits for any number of threads, memory limit and sharding: blocks of rows, columns and
 * queries have fixed sizes, a block is one thread's, and within it the order of sums is fixed.
 * Errors: NUMERIC (a row, a query or a score is not finite, or has no direction: names it), NOMEM
 * (also when a tile of queries does not fit the memory limit), IO, CANCELLED, and the sink's. */
tamis_status tamis__product_run(const tamis__product *product, tamis_error *err);

/* Norms of a checkpoint's rows, all of them finite and, when `direction`, none of them zero.
 * Otherwise NUMERIC naming the first row that is not. */
tamis_status tamis__finite_norms(tamis_store *store, uint32_t checkpoint, bool direction,
                                 const float **ret_norms, tamis_error *err);

#endif
