/* How well a ranking finds bad rows, at several budgets and with intervals.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "evaluate/ranking.h"
#include "evaluate/statistics.h"

/* Of a resample: AUC, then precision at every budget, then recall. */
typedef struct measured {
    const tamis__badness *b;
    const uint64_t *k; /* [points] */
    uint32_t points;
} measured;

/* Rows are walked through from the worst; one that was drawn w times stands there w times, and of
 * the last one that a budget reaches as many count as fit. */
static void found_at(const measured *m, const double *weight, double *ret_found)
{
    const tamis__badness *b = m->b;
    double seen = 0, bad = 0;
    uint64_t i = 0;
    for (uint32_t p = 0; p < m->points; p++) {
        double k = (double)m->k[p];
        for (; i < b->rows && seen + weight[b->order[i]] <= k; i++) {
            seen += weight[b->order[i]];
            bad += b->is_bad[b->order[i]] ? weight[b->order[i]] : 0;
        }
        ret_found[p] = bad + (i < b->rows && b->is_bad[b->order[i]] ? k - seen : 0);
    }
}

static double weighted_auc(const tamis__badness *b, const double *weight, double *ret_bad)
{
    double wins = 0, bad = 0, good = 0;
    for (uint64_t i = 0; i < b->rows;) {
        double tied_bad = 0, tied_good = 0;
        uint64_t j = i;
        for (; j < b->rows && b->value[b->order[j]] == b->value[b->order[i]]; j++)
            *(b->is_bad[b->order[j]] ? &tied_bad : &tied_good) += weight[b->order[j]];
        /* Of the bad ones so far, all stand before these good ones. */
        wins += tied_good * (bad + tied_bad / 2);
        bad += tied_bad;
        good += tied_good;
        i = j;
    }
    *ret_bad = bad;
    return bad > 0 && good > 0 ? wins / (bad * good) : 0.5;
}

/* Weights come for the rows with a score, in order of their numbers. */
static void statistic(const void *arg, const double *weight, void *scratch, double *ret_values)
{
    const measured *m = arg;
    double *by_row = scratch, bad, *precision = ret_values + 1, *recall = precision + m->points;
    for (uint64_t i = 0; i < m->b->rows; i++) by_row[m->b->scored[i]] = weight[i];
    ret_values[0] = weighted_auc(m->b, by_row, &bad);
    found_at(m, by_row, precision);
    for (uint32_t p = 0; p < m->points; p++) {
        recall[p] = bad > 0 ? precision[p] / bad : 0;
        precision[p] /= (double)m->k[p];
    }
}

static tamis_status parse_budgets(const tamis_noise_params *params, uint64_t rows, uint64_t *k,
                                  tamis_error *err)
{
    for (uint32_t p = 0; p < params->points; p++) {
        TAMIS_TRY(tamis_budget_parse(params->at[p], rows, &k[p], err));
        if (p > 0 && k[p] <= k[p - 1])
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "budgets must ascend: '%s' is not more rows than '%s'",
                               params->at[p], params->at[p - 1]);
    }
    return TAMIS_OK;
}

/* Estimates of the curve from the draws [draws, 1 + 2 points]. */
static tamis_status estimate(tamis_noise_curve *curve, const measured *m, const double *draw,
                             const tamis_bootstrap *bootstrap, tamis_error *err)
{
    size_t stride = 1 + 2 * (size_t)m->points;
    const tamis__badness *b = m->b;
    TAMIS_TRY(tamis__estimate(curve->noise.auc, draw, stride, bootstrap, &curve->auc, err));
    for (uint32_t p = 0; p < m->points; p++) {
        tamis_noise_point *point = &curve->point[p];
        point->k = m->k[p];
        for (uint64_t i = 0; i < point->k; i++) point->found += b->is_bad[b->order[i]] != 0;
        TAMIS_TRY(tamis__estimate((double)point->found / (double)point->k, draw + 1 + p, stride,
                                  bootstrap, &point->precision, err));
        TAMIS_TRY(tamis__estimate((double)point->found / (double)curve->noise.bad,
                                  draw + 1 + m->points + p, stride, bootstrap, &point->recall,
                                  err));
    }
    for (uint64_t d = 0; d < bootstrap->draws; d++) curve->draw[d] = draw[d * stride];
    return TAMIS_OK;
}

static tamis_status measure(tamis_noise_curve *curve, tamis_context *context,
                            const tamis__badness *b, const tamis_noise_params *params, uint64_t *k,
                            tamis_error *err)
{
    const tamis_bootstrap *bootstrap = &params->bootstrap;
    measured m = {b, k, params->points};
    tamis__resampling resampling = {.arg = &m,
                                    .statistic = statistic,
                                    .items = b->rows,
                                    .values = 1 + 2 * (uint64_t)m.points,
                                    .scratch = (size_t)b->all_rows * sizeof(double),
                                    .bootstrap = bootstrap};
    TAMIS_TRY(parse_budgets(params, b->rows, k, err));
    curve->points = params->points;
    curve->point = tamis__calloc(params->points, sizeof *curve->point);
    if (bootstrap->draws > 0)
        curve->draw = tamis__calloc((size_t)bootstrap->draws, sizeof *curve->draw);
    double *draw = tamis__calloc((size_t)(bootstrap->draws * resampling.values), sizeof *draw);
    tamis_status status = TAMIS_OK;
    if (!curve->point || !draw || (bootstrap->draws > 0 && !curve->draw))
        status = tamis__fail_memory(err, "draws", bootstrap->draws * resampling.values * 8);
    if (status == TAMIS_OK) status = tamis__resample(context, &resampling, draw, err);
    if (status == TAMIS_OK) status = estimate(curve, &m, draw, bootstrap, err);
    free(draw);
    return status;
}

tamis_status tamis_evaluate_noise_curve(tamis_noise_curve *ret_curve, tamis_context *context,
                                        const tamis_scores *scores,
                                        const tamis_noise_params *params, tamis_error *err)
{
    tamis__badness b = {0};
    tamis_noise_curve curve = {0};
    TAMIS_TRY(tamis__bootstrap_check(&params->bootstrap, err));
    TAMIS_TRY(tamis__badness_make(&b, context, scores, params, &curve.noise, err));
    uint64_t *k = tamis__calloc(params->points, sizeof *k);
    tamis_status status = k ? measure(&curve, context, &b, params, k, err)
                            : tamis__fail_memory(err, "budgets", params->points * sizeof *k);
    free(k);
    tamis__badness_free(&b);
    if (status == TAMIS_OK)
        *ret_curve = curve;
    else
        tamis_noise_curve_free(&curve);
    return status;
}

void tamis_noise_curve_free(tamis_noise_curve *curve)
{
    free(curve->point);
    free(curve->draw);
    *curve = (tamis_noise_curve){0};
}
