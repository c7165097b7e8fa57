/* What becomes of the engine's blocks of scores besides a matrix. All of them take blocks in row
 * order on one thread, and give the same bits however rows were grouped by threads.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STREAM_SINKS_H
#define TAMIS_STREAM_SINKS_H

#include "stream/engine.h"

/* --- the best or the worst rows of each query ------------------------------------------------- */

typedef struct tamis__ranked {
    float score;
    uint64_t row;
} tamis__ranked;

/* A heap for each query, its root the first to go. Ties go to the lower row, NaN is never kept. */
typedef struct tamis__top_sink {
    uint64_t queries, k;
    bool lowest;         /* keep the lowest scores */
    tamis__ranked *heap; /* [queries, k] */
    uint64_t *held;      /* [queries] */
    float *threshold;    /* [queries]: a score must be beyond it to enter; in the kept direction */
} tamis__top_sink;

/* Errors: NOMEM (also when the heaps do not fit the context's memory limit). */
tamis_status tamis__top_sink_init(tamis__top_sink *ret_top, const tamis_context *context,
                                  uint64_t queries, uint64_t k, bool lowest, tamis_error *err);
tamis__sink tamis__top_sink_of(tamis__top_sink *top);
/* The list of a query, best first: [k] rows and scores, UINT64_MAX and NaN where there are no more.
 * Sorts the heap, so nothing may be put afterwards. */
void tamis__top_sink_list(tamis__top_sink *top, uint64_t query, uint64_t *ret_rows,
                          float *ret_scores);
/* Accepts a zeroed struct. */
void tamis__top_sink_fini(tamis__top_sink *top);

/* --- statistics of each query's column -------------------------------------------------------- */

/* Mean and population variance over rows that have a score, by blocks: Chan, Golub and LeVeque
 * 1983, Algorithms for Computing the Sample Variance, equation 1.5. */
typedef struct tamis__statistics_sink {
    uint64_t queries;
    bool partial;             /* rows may have a score in some columns only; set after init */
    uint64_t *count;          /* [queries] */
    double *mean, *deviation; /* [queries]; deviation = sum of squared differences from the mean */
    double *block;            /* [2, queries] */
} tamis__statistics_sink;

tamis_status tamis__statistics_sink_init(tamis__statistics_sink *ret_statistics, uint64_t queries,
                                         tamis_error *err);
tamis__sink tamis__statistics_sink_of(tamis__statistics_sink *statistics);
/* Turns `deviation` into the variance; NaN, like the mean, where the count is 0. */
void tamis__statistics_sink_end(tamis__statistics_sink *statistics);
/* Accepts a zeroed struct. */
void tamis__statistics_sink_fini(tamis__statistics_sink *statistics);

/* --- the largest score of each row ------------------------------------------------------------ */

/* One column: the largest of a row's scores over all queries. Several passes over the rows may
 * come; the column is given on to `next` in the last one. */
typedef struct tamis__max_sink {
    uint64_t rows, queries;
    float *most;   /* [rows]; NULL until there is a second pass */
    uint64_t room; /* of `column` */
    float *column; /* of a block */
    tamis__sink next;
} tamis__max_sink;

void tamis__max_sink_init(tamis__max_sink *ret_max, uint64_t rows, uint64_t queries,
                          tamis__sink next);
tamis__sink tamis__max_sink_of(tamis__max_sink *max);
/* Accepts a zeroed struct. */
void tamis__max_sink_fini(tamis__max_sink *max);

/* --- several at once -------------------------------------------------------------------------- */

enum { TAMIS__TEE_MOST = 4 };

typedef struct tamis__tee {
    tamis__sink sink[TAMIS__TEE_MOST];
    unsigned n;
} tamis__tee;

/* To each in turn; the first failure ends it. */
void tamis__tee_add(tamis__tee *tee, tamis__sink sink);
tamis__sink tamis__tee_of(tamis__tee *tee);

#endif
