/* Queries under a curvature, made when the engine wants them: preconditioned, or whitened.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORE_EKFAC_QUERIES_H
#define TAMIS_SCORE_EKFAC_QUERIES_H

#include "curvature/eigen_rows.h"
#include "curvature/whitener.h"
#include "score/ekfac.h"

/* What is to be made of which rows. */
typedef struct tamis__ekfac_plan {
    const tamis__ekfac_job *job;
    tamis__eigen_rows rows;          /* queries, raw */
    uint64_t queries;                /* rows of them */
    const tamis__whitener *whitener; /* NULL = H^-1 G; otherwise whitened rows */
    uint32_t first_layer, layers;    /* layers that are made; others are not read */
    uint64_t first_column, columns;  /* of the training rows, that these layers are */
} tamis__ekfac_plan;

typedef struct tamis__ekfac_queries {
    tamis__queries queries; /* at the training store's checkpoint of the job */
    tamis__ekfac_plan plan;
    unsigned threads;
    tamis__eigen_work *work; /* [threads] */
    uint64_t held, room;     /* queries that are made, and that there is room for */
    uint64_t *query;         /* [held] which ones, ascending */
    float *values;           /* [room, columns] */
    float *made, *zero;      /* [queries]: norms; 0 */
    const float **norm;      /* [checkpoints of the training store] */
} tamis__ekfac_queries;

tamis_status tamis__ekfac_queries_init(tamis__ekfac_queries *ret_queries,
                                       const tamis__ekfac_plan *plan, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__ekfac_queries_fini(tamis__ekfac_queries *queries);

/* --- query-rank (ekfac_rank.c) ---------------------------------------------------------------- */

/* v [out, in] becomes its nearest matrix of this rank: exactly where it is small, otherwise by
 * random projections keyed by seed and item. Between tamis__blas_begin() and _end(). */
tamis_status tamis__ekfac_cut(double *v, uint64_t out, uint64_t in, uint64_t rank, uint64_t seed,
                              uint64_t item, tamis_error *err);
/* Bytes that it takes meanwhile. */
uint64_t tamis__ekfac_cut_bytes(uint64_t out, uint64_t in, uint64_t rank);

#endif
