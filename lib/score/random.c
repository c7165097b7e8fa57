/* Random scores: what any other score has to beat.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/registry.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"

enum { BLOCK = 65536 };
enum { DISTRIBUTION, SEED };
enum { NORMAL, UNIFORM };

static const char *const distributions[] = {"normal", "uniform", NULL};

static const tamis_param_desc params[] = {
    {.name = "distribution",
     .help = "normal: mean 0, variance 1; uniform: between 0 and 1",
     .type = TAMIS_PARAM_CHOICE,
     .choices = distributions},
    {.name = "seed",
     .help = "of the random numbers; -1: the run's --seed",
     .type = TAMIS_PARAM_INTEGER,
     .min = -1,
     .max = 0x1p53,
     .fallback = -1},
};

/* One number for a row, whichever other rows there are. Never 0 or 1, so the normal is finite. */
static float draw(gsl_rng *rng, uint64_t seed, uint64_t row, bool normal)
{
    tamis__rng_key(rng, seed, TAMIS__STREAM_SCORE, row);
    double u = gsl_rng_uniform_pos(rng);
    return (float)(normal ? gsl_cdf_ugaussian_Pinv(u) : u);
}

static tamis_status score_all(const tamis__score_call *call, gsl_rng *rng, float *scores,
                              tamis_error *err)
{
    uint64_t rows = tamis_store_info_get(call->train)->rows;
    double given = call->values[SEED].number;
    uint64_t seed = given < 0 ? call->seed : (uint64_t)given;
    const unsigned char *skip = tamis__score_skipped(call);
    for (uint64_t first = 0; first < rows; first += BLOCK) {
        uint64_t n = rows - first < BLOCK ? rows - first : BLOCK;
        for (uint64_t i = 0; i < n; i++)
            scores[i] = skip && skip[first + i] ? NAN
                                                : draw(rng, seed, first + i,
                                                       call->values[DISTRIBUTION].number == NORMAL);
        TAMIS_TRY(tamis__score_put(call, first, n, scores, err));
        TAMIS_TRY(tamis__progress(call->context, "scoring", first + n, rows, "rows", NULL, err));
    }
    return TAMIS_OK;
}

/* Of the same rows as other scorers, so that they can be compared. */
static tamis_status run(const tamis__score_call *call, tamis_error *err)
{
    TAMIS_TRY(tamis__score_rows(call, false, err));
    gsl_rng *rng = tamis__rng_create();
    float *scores = tamis__malloc(BLOCK, sizeof *scores);
    tamis_status status = rng && scores ? score_all(call, rng, scores, err)
                                        : tamis__fail_memory(err, "scores", BLOCK * sizeof *scores);
    if (rng) gsl_rng_free(rng);
    free(scores);
    return status;
}

const tamis__scorer_class tamis__scorer_random = {
    .info = {.name = "random",
             .summary = "random numbers: the baseline that other scores have to beat",
             .citation = "no paper: a baseline",
             .flags = TAMIS_SCORER_NO_QUERY,
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .run = run,
};
