/* The one product behind gradient scores: prepared queries times streamed training rows.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STREAM_ENGINE_H
#define TAMIS_STREAM_ENGINE_H

#include <stdbool.h>
#include <tamis/store.h>

/* Prepared queries: what the training rows are multiplied by. Usually rows of a store
 * (tamis__queries_of_store()), but anything that can be read as rows of floats will do. */
typedef struct tamis__queries {
    void *arg;
    uint64_t rows;  /* queries, > 0 */
    uint64_t bytes; /* of the memory limit that they take themselves */
    uint64_t each;  /* and that each query takes while it is prepared */
    /* [checkpoints] of [rows]: L2 norms, all finite. Only a hint of size: queries are scaled by a
     * power of two near it, so that products neither overflow nor vanish. */
    const float *const *norm;
    /* Optional, for queries that are made when they are wanted: the `n` queries, ascending, are
     * going to be read, and no other before the next call. Their norms must be there then. Called
     * outside the pool, so it may use it. */
    tamis_status (*prepare)(void *arg, const uint64_t *query, uint64_t n, tamis_error *err);
    /* Rows first .. first + rows - 1, columns first_column .. of a checkpoint into `out` with
     * `stride` floats from row to row. Called from several threads at once. */
    tamis_status (*read)(void *arg, uint32_t checkpoint, uint64_t first, uint64_t rows,
                         uint64_t first_column, uint64_t columns, float *out, size_t stride,
                         tamis_error *err);
} tamis__queries;

/* The rows of a store as queries; the store's norms are looked at, NUMERIC when a row is not finite
 * or, with `direction`, zero (named by its id). Free with tamis__store_queries_fini(). */
typedef struct tamis__store_queries {
    tamis__queries queries;
    const float **norm;
    tamis_store *store;
} tamis__store_queries;
tamis_status tamis__queries_of_store(tamis__store_queries *ret_queries, tamis_store *store,
                                     bool direction, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__store_queries_fini(tamis__store_queries *queries);

/* The same divided by their norms; a zero row stays zero. */
typedef struct tamis__unit_queries {
    tamis__store_queries rows;
    const double *const *scale; /* [checkpoints] of [queries]: for tamis__product.query_scale */
    double **owned;
} tamis__unit_queries;
tamis_status tamis__unit_queries_of_store(tamis__unit_queries *ret_queries, tamis_store *store,
                                          bool direction, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__unit_queries_fini(tamis__unit_queries *queries);

/* Queries held in memory, [checkpoints] of [rows, columns] without gaps, allocated and zeroed.
 * After filling `values`, call tamis__held_queries_ready() once. */
typedef struct tamis__held_queries {
    tamis__queries queries;
    uint32_t checkpoints;
    uint64_t rows, columns;
    float **values; /* [checkpoints] of [rows, columns] */
    float **norm;   /* [checkpoints] of [rows] */
} tamis__held_queries;
/* Errors: NOMEM (also when they do not fit the context's memory limit). */
tamis_status tamis__held_queries_init(tamis__held_queries *ret_queries,
                                      const tamis_context *context, uint32_t checkpoints,
                                      uint64_t rows, uint64_t columns, tamis_error *err);
/* What they take of the memory limit. */
uint64_t tamis__held_queries_bytes(const tamis__held_queries *queries);
/* Take the norms. NUMERIC when a value is not finite: names `what`, checkpoint and query. */
tamis_status tamis__held_queries_ready(tamis__held_queries *queries, const tamis_context *context,
                                       const char *what, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__held_queries_fini(tamis__held_queries *queries);

/* Where finished blocks go, on the calling thread: rows in order, and within a pass over the rows
 * the same queries; a query range is never given twice. */
typedef struct tamis__sink {
    void *arg;
    tamis_status (*put)(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                        uint64_t queries, const float *values, size_t stride, tamis_error *err);
} tamis__sink;

/* How queries are held while rows pass by. */
typedef enum tamis__panel_mode {
    TAMIS__PANEL_AUTO = 0, /* in a narrower type where that is faster and its error, measured on a
                              sample, is at most panel_error */
    TAMIS__PANEL_EXACT,    /* as floats */
    TAMIS__PANEL_FAST      /* in a narrower type where that is faster */
} tamis__panel_mode;

/* What was done, for reports. */
typedef struct tamis__product_report {
    const char *kernel; /* instructions: "avx512bf16" */
    const char *panel;  /* what queries were held in: "bf16" */
    double error;       /* largest difference from scores in double over the largest of them, on a
                           sample of rows and queries; 0 when the panel is of floats */
    double rejected;    /* the same of the faster panel that was not taken; 0 = none */
} tamis__product_report;

/* Rows that are made of the store's when they are wanted: floats, as wide as the store's, at what
 * is then the only checkpoint. */
typedef struct tamis__row_maker {
    void *arg;
    /* Rows first .. first + rows - 1 into `out` [rows, columns] packed, and what
     * tamis__product.distance needs of them into `square` [rows]. The same bits whatever they are
     * made with. Called from several threads at once, `worker` as in tamis__pipeline. */
    tamis_status (*make)(void *arg, uint64_t first, uint64_t rows, unsigned worker, float *out,
                         double *square, tamis_error *err);
} tamis__row_maker;

/* score(i, q) = m(i) * sum over checkpoints k of
 *     weight[k] * query_scale[k][q] / row_divisor[k][i] * <train row i, query q> at k
 * where m(i) = row_multiplier[i]; a divisor of 0 makes its term 0. */
typedef struct tamis__product {
    tamis_context *context;
    tamis_store *train;
    const tamis__queries *queries;
    const double *weight;             /* [checkpoints], 0 = is not read */
    const double *const *query_scale; /* [checkpoints] of [queries]; NULL = 1 */
    const float *const *row_divisor;  /* [checkpoints] of [rows]; NULL = 1 */
    const float *row_multiplier;      /* [rows]; NULL = 1 */
    double bound;                     /* scores are clamped to [-bound, bound]; 0 = not */
    const tamis__row_maker *maker;    /* NULL = rows are the store's */
    /* [queries] with a maker: scores are minus distances, with s the sum above
     *     -sqrt(|square of the row + query_square[q] - 2 s|);
     * NULL = the sum itself. */
    const double *query_square;
    const unsigned char *skip; /* [rows], 1 = this row has no score: NaN; NULL = none */
    tamis__panel_mode panel;
    double panel_error;             /* most that TAMIS__PANEL_AUTO allows, > 0; 0 = 1e-3 */
    uint64_t reserved;              /* bytes of the memory limit that are taken otherwise */
    uint64_t first_column, columns; /* of rows and queries that count; columns 0 = all */
    const uint64_t *row; /* [listed] ascending: only these training rows are scored, the others are
                                       given to the sink as NaN; NULL = all */
    uint64_t listed;
    uint64_t pass;       /* queries of a pass, as an earlier run had them; 0 = what fits */
    uint64_t first_item; /* blocks that the sink has already; counted over all passes */
    tamis__sink sink;
} tamis__product;

/* The same bits for any number of threads, memory limit and sharding: blocks of rows, columns and
 * queries have fixed sizes, a block is one thread's, and within it the order of sums is fixed.
 * ret_report may be NULL.
 * Errors: NUMERIC (a row or a score is not finite: names it), NOMEM (also when a tile of queries
 * does not fit the memory limit), IO (also when a store is changed meanwhile), CANCELLED, and the
 * sink's. */
tamis_status tamis__product_run(const tamis__product *product, tamis__product_report *ret_report,
                                tamis_error *err);

/* Norms of a checkpoint's rows, all of them finite and, when `direction`, none of them zero.
 * Otherwise NUMERIC naming the first row that is not. */
tamis_status tamis__finite_norms(tamis_store *store, uint32_t checkpoint, bool direction,
                                 const float **ret_norms, tamis_error *err);

#endif
