/* How much of the queries' second moment and how much of the training rows' goes into R.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORE_TRACKSTAR_MIX_H
#define TAMIS_SCORE_TRACKSTAR_MIX_H

#include "score/registry.h"

/* Second moments of every layer at one checkpoint: [layers] of [columns, columns], lower triangles,
 * divided by the number of rows. */
typedef struct tamis__moments {
    double **train, **query;
    uint64_t train_rows, query_rows;
    bool first; /* the first checkpoint, where what holds for all of them is said */
} tamis__moments;

/* The share of the queries at which the pooled spectra meet at `component` (counted from 1, largest
 * first): s_train / (s_train + s_query). Fewer components than that: the last that both can have,
 * and a line to the log with the first. `work` [largest layer squared]. Errors: NUMERIC (both are
 * zero), NOMEM. */
tamis_status tamis__trackstar_mix(const tamis__score_call *call, const tamis__moments *moments,
                                  uint64_t component, double *work, double *ret_mix,
                                  tamis_error *err);

#endif
