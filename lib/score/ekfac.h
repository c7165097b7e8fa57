/* What ekfac, kfac and diagonal share.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORE_EKFAC_H
#define TAMIS_SCORE_EKFAC_H

#include "curvature/spectrum.h"
#include "score/registry.h"

typedef struct tamis__ekfac_job {
    const tamis__score_call *call;
    tamis_curvature_kind kind; /* EKFAC, KFAC or DIAGONAL */
    tamis__damping damping;    /* as asked for */
    uint32_t checkpoint;       /* of the training store */
    tamis__spectrum *spectrum; /* [layers of the stores]; NULL with whitened training rows */
    uint64_t spectrum_bytes;   /* of the memory limit that they take */
    tamis_score_by by;         /* BY_LAYER: column query * layers + layer; BY_TOKEN: a row for each
                                      token */
    uint64_t spectral_rank;    /* 0 = exact */
    uint64_t query_rank;       /* 0 = exact. With both the cheaper is taken, layer by layer */
    uint64_t rescore;          /* two stages: so many times `top` rows of each list are scored
                                      exactly again; 0 = one stage */
    uint64_t sample;           /* two stages: queries whose list is compared with the exact one */
} tamis__ekfac_job;

/* Training rows in full form, or queries in full form (ekfac_rows.c): preconditioned queries
 * through the engine. */
tamis_status tamis__ekfac_rows(const tamis__ekfac_job *job, tamis_error *err);

/* Whitened training rows (ekfac_rows.c): whitened queries through the engine. Errors: SHAPE
 * (whitened by another curvature, kind or damping: names both). */
tamis_status tamis__ekfac_whitened(const tamis__ekfac_job *job, tamis_error *err);

/* Both stores in factor form (ekfac_factors.c): a matrix product of the layer's factors with each
 * query, exact, or by low rank. */
tamis_status tamis__ekfac_factors(const tamis__ekfac_job *job, tamis_error *err);

#endif
