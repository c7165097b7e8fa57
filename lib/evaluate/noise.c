/* How well a ranking finds rows known to be bad: AUC, and precision and recall at a budget.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/evaluate.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
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

/* A list tells the order of its rows, and nothing of all others. */
static tamis_status check_scores(const tamis_scores *scores, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    if (info->top > 0)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' holds the top %" PRIu64 " rows of each query and not the scores "
                           "of all rows: score without --top",
                           tamis_scores_path(scores), info->top);
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

tamis_status tamis_evaluate_noise(tamis_context *context, const tamis_scores *scores,
                                  tamis_aggregate by, bool low, const uint8_t *bad,
                                  const char *budget, tamis_noise *ret_noise, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    tamis_noise noise = {.rows = info->rows - info->skipped, .skipped = info->skipped};
    double *value = NULL;
    uint64_t *order = NULL;
    TAMIS_TRY(check_scores(scores, err));
    TAMIS_TRY(tamis_budget_parse(budget, noise.rows, &noise.k, err));
    TAMIS_TRY(tamis__aggregate(context, scores, by, &value, err));
    tamis_status status = tamis__order(value, info->rows, !low, &order, err);
    if (status == TAMIS_OK) status = count_bad(bad, order, noise.rows, &noise.bad, err);
    if (status == TAMIS_OK) {
        measure(value, order, bad, &noise);
        *ret_noise = noise;
    }
    free(order);
    free(value);
    return status;
}
