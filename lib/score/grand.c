/* GraNd: the size of an example's gradient, averaged over checkpoints.
 *
 *     score(i) = (1/C) sum_k ||g_i^k||
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/registry.h"

#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"

enum { BLOCK = 65536 };

/* Scores of rows first .. first + n - 1. A mean of floats is a float. */
static void score_rows(const tamis__score_call *call, uint64_t first, uint64_t n, float *scores)
{
    uint32_t checkpoints = tamis_store_info_get(call->train)->checkpoints;
    const float *const *norm = tamis__score_norms(call);
    const unsigned char *skip = tamis__score_skipped(call);
    for (uint64_t i = 0; i < n; i++) {
        double sum = 0;
        for (uint32_t k = 0; k < checkpoints; k++) sum += (double)norm[k][first + i];
        scores[i] = skip && skip[first + i] ? NAN : (float)(sum / checkpoints);
    }
}

static tamis_status score_all(const tamis__score_call *call, float *scores, tamis_error *err)
{
    uint64_t rows = tamis_store_info_get(call->train)->rows;
    for (uint64_t first = 0; first < rows; first += BLOCK) {
        uint64_t n = rows - first < BLOCK ? rows - first : BLOCK;
        score_rows(call, first, n, scores);
        TAMIS_TRY(tamis__score_put(call, first, n, scores, err));
        TAMIS_TRY(tamis__progress(call->context, "scoring", first + n, rows, "rows", NULL, err));
    }
    return TAMIS_OK;
}

static tamis_status run(const tamis__score_call *call, tamis_error *err)
{
    TAMIS_TRY(tamis__score_rows(call, false, err));
    float *scores = tamis__malloc(BLOCK, sizeof *scores);
    if (!scores) return tamis__fail_memory(err, "scores", BLOCK * sizeof *scores);
    tamis_status status = score_all(call, scores, err);
    free(scores);
    return status;
}

const tamis__scorer_class tamis__scorer_grand = {
    .info = {.name = "grand",
             .summary = "gradient norm, averaged over checkpoints",
             .citation = "Paul, Ganguli and Dziugaite, Deep Learning on a Data Diet: Finding "
                         "Important Examples Early in Training, NeurIPS 2021: GraNd, with "
                         "checkpoints in place of runs",
             .flags = TAMIS_SCORER_NO_QUERY},
    .run = run,
};
