/* How well a ranking finds rows known to be bad: AUC, and precision and recall at a budget.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/ranking.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "evaluate/scores.h"
#include "select/values.h"

/* The Mann-Whitney statistic by one walk over the sorted rows: each run of equal values wins half
 * against itself and whole against what comes after. Counted in halves, so that it is exact. */
static double auc(const double *value, const uint64_t *order, uint64_t rows, const uint8_t *bad,
                  uint64_t n_bad)
{
    uint64_t n_good = rows - n_bad, good_after = n_good, half_wins = 0;
    for (uint64_t i = 0; i < rows;) {
        uint64_t tied_bad = 0, tied_good = 0, j = i;
        for (; j < rows && value[order[j]] == value[order[i]]; j++) {
            tied_bad += bad[order[j]] != 0;
            tied_good += bad[order[j]] == 0;
        }
        good_after -= tied_good;
        half_wins += tied_bad * (2 * good_after + tied_good);
        i = j;
    }
    return (double)half_wins / 2.0 / ((double)n_bad * (double)n_good);
}

/* Among the first `rows` in order, which are all that have a score. */
static tamis_status count_bad(const uint8_t *bad, const uint64_t *order, uint64_t rows,
                              uint64_t *ret_count, tamis_error *err)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < rows; i++) count += bad[order[i]] != 0;
    if (count == 0)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "none of the %" PRIu64 " rows is known to be bad: there is "
                           "nothing to find",
                           rows);
    if (count == rows)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "all %" PRIu64 " rows are known to be bad: there is nothing to "
                           "tell them from",
                           rows);
    *ret_count = count;
    return TAMIS_OK;
}

static tamis_status check_scores(const tamis_scores *scores, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    TAMIS_TRY(tamis__need_matrix(scores, err));
    if (info->skipped < info->rows) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_SHAPE, "'%s': none of its %" PRIu64 " rows has a score",
                       tamis_scores_path(scores), info->rows);
}

static void measure(const double *value, const uint64_t *order, const uint8_t *bad,
                    tamis_noise *noise)
{
    noise->auc = auc(value, order, noise->rows, bad, noise->bad);
    noise->found = 0;
    for (uint64_t i = 0; i < noise->k; i++) noise->found += bad[order[i]] != 0;
    noise->precision = (double)noise->found / (double)noise->k;
    noise->recall = (double)noise->found / (double)noise->bad;
}

static tamis_status list_scored(tamis__badness *b, tamis_error *err)
{
    b->scored = tamis__malloc((size_t)b->rows, sizeof *b->scored);
    if (!b->scored) return tamis__fail_memory(err, "rows", b->rows * sizeof *b->scored);
    for (uint64_t i = 0, n = 0; i < b->all_rows; i++)
        if (!isnan(b->value[i])) b->scored[n++] = i;
    return TAMIS_OK;
}

tamis_status tamis__badness_make(tamis__badness *ret_badness, tamis_context *context,
                                 const tamis_scores *scores, const tamis_noise_params *params,
                                 tamis_noise *ret_noise, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    tamis_noise noise = {.rows = info->rows - info->skipped, .skipped = info->skipped};
    tamis__badness b = {.rows = noise.rows, .all_rows = info->rows, .is_bad = params->bad};
    TAMIS_TRY(check_scores(scores, err));
    TAMIS_TRY(tamis_budget_parse(params->budget, noise.rows, &noise.k, err));
    TAMIS_TRY(tamis__aggregate(context, scores, params->by, &b.value, err));
    tamis_status status = tamis__order(b.value, info->rows, !params->low, &b.order, err);
    if (status == TAMIS_OK) status = list_scored(&b, err);
    if (status == TAMIS_OK) status = count_bad(b.is_bad, b.order, noise.rows, &noise.bad, err);
    if (status == TAMIS_OK) {
        measure(b.value, b.order, b.is_bad, &noise);
        *ret_noise = noise;
        *ret_badness = b;
    } else {
        tamis__badness_free(&b);
    }
    return status;
}

void tamis__badness_free(tamis__badness *badness)
{
    free(badness->value);
    free(badness->order);
    free(badness->scored);
    *badness = (tamis__badness){0};
}

tamis_status tamis_evaluate_noise(tamis_context *context, const tamis_scores *scores,
                                  tamis_aggregate by, bool low, const uint8_t *bad,
                                  const char *budget, tamis_noise *ret_noise, tamis_error *err)
{
    const tamis_noise_params params = {.by = by, .low = low, .bad = bad, .budget = budget};
    tamis__badness badness = {0};
    TAMIS_TRY(tamis__badness_make(&badness, context, scores, &params, ret_noise, err));
    tamis__badness_free(&badness);
    return TAMIS_OK;
}
