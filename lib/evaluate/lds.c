/* The linear datamodelling score.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "evaluate/scores.h"
#include "evaluate/statistics.h"

/* Sums and outputs, a query's together, with their orders: ranks of a resample need no sort. */
typedef struct columns {
    uint64_t subsets, queries;
    double *sum, *output;               /* [queries, subsets] */
    uint32_t *sum_order, *output_order; /* [queries, subsets] */
} columns;

static void columns_free(columns *c)
{
    free(c->sum);
    free(c->output);
    free(c->sum_order);
    free(c->output_order);
}

static tamis_status columns_make(columns *c, tamis_context *context, tamis_error *err)
{
    uint64_t n = c->subsets * c->queries, bytes = 24 * n;
    TAMIS_TRY(tamis__memory_check(context, bytes + 8 * n, "sums over subsets", err));
    c->sum = tamis__malloc((size_t)n, sizeof *c->sum);
    c->output = tamis__malloc((size_t)n, sizeof *c->output);
    c->sum_order = tamis__malloc((size_t)n, sizeof *c->sum_order);
    c->output_order = tamis__malloc((size_t)n, sizeof *c->output_order);
    if (c->sum && c->output && c->sum_order && c->output_order) return TAMIS_OK;
    return tamis__fail_memory(err, "sums over subsets", bytes);
}

/* [subsets, queries] to [queries, subsets]. */
static void turn(const columns *c, const double *rows, double *into)
{
    for (uint64_t j = 0; j < c->subsets; j++)
        for (uint64_t q = 0; q < c->queries; q++)
            into[q * c->subsets + j] = rows[j * c->queries + q];
}

static void sort_columns(const columns *c, uint64_t n)
{
    for (uint64_t q = 0; q < c->queries; q++) {
        size_t at = (size_t)(q * c->subsets);
        tamis__sort_items(c->sum + at, n, c->sum_order + at);
        tamis__sort_items(c->output + at, n, c->output_order + at);
    }
}

static tamis_status fill(columns *c, tamis_context *context, const tamis_scores *scores,
                         const tamis_lds_params *params, uint64_t *ret_skipped, tamis_error *err)
{
    double *rows = tamis__malloc((size_t)(c->subsets * c->queries), sizeof *rows);
    if (!rows) return tamis__fail_memory(err, "sums over subsets", c->subsets * c->queries * 8);
    tamis_status status = tamis__subset_sums(context, scores, params->subsets, rows, ret_skipped,
                                             err);
    if (status == TAMIS_OK) turn(c, rows, c->sum);
    free(rows);
    turn(c, params->outputs, c->output);
    return status;
}

/* --- the score -------------------------------------------------------------------------------- */

/* Over the first n subsets. */
typedef struct view {
    const columns *c;
    uint64_t n;
} view;

static double mean_correlation(const view *v, const double *weight, double *scratch, double *query,
                               uint64_t *constant)
{
    const columns *c = v->c;
    double sum = 0, one;
    for (uint64_t q = 0; q < c->queries; q++) {
        size_t at = (size_t)(q * c->subsets);
        const tamis__two_columns pair = {c->sum + at, c->output + at, c->sum_order + at,
                                         c->output_order + at, v->n};
        bool found = tamis__spearman(&pair, weight, scratch, &one);
        if (constant) *constant += !found;
        if (query) query[q] = one;
        sum += one;
    }
    return sum / (double)c->queries;
}

static void statistic(const void *arg, const double *weight, void *scratch, double *ret_values)
{
    *ret_values = mean_correlation(arg, weight, scratch, NULL, NULL);
}

/* The score over the first n subsets; draws into `draw` [draws]. */
static tamis_status score_first(tamis_context *context, const columns *c, uint64_t n,
                                const tamis_bootstrap *bootstrap, double *draw, double *query,
                                uint64_t *constant, tamis_estimate *ret_estimate, tamis_error *err)
{
    const view v = {c, n};
    tamis__resampling resampling = {.arg = &v,
                                    .statistic = statistic,
                                    .items = n,
                                    .values = 1,
                                    .scratch = (size_t)(2 * n) * sizeof(double),
                                    .bootstrap = bootstrap};
    double *scratch = tamis__malloc((size_t)(2 * n), sizeof *scratch);
    if (!scratch) return tamis__fail_memory(err, "ranks", 2 * n * sizeof *scratch);
    sort_columns(c, n);
    double value = mean_correlation(&v, NULL, scratch, query, constant);
    free(scratch);
    TAMIS_TRY(tamis__resample(context, &resampling, draw, err));
    return tamis__estimate(value, draw, 1, bootstrap, ret_estimate, err);
}

static tamis_status check(const tamis_scores *scores, const tamis_lds_params *p, tamis_error *err)
{
    TAMIS_TRY(tamis__need_all_pairs(scores, err));
    TAMIS_TRY(tamis__bootstrap_check(&p->bootstrap, err));
    if (p->subsets->subsets < 2)
        return tamis__fail(err, TAMIS_ERR_ARG, "a rank correlation needs at least two subsets");
    TAMIS_TRY(tamis__need_shape(scores, p->subsets->rows, 0, "subsets", err));
    TAMIS_TRY(tamis__need_shape(scores, p->subsets->rows, p->queries, "outputs", err));
    for (uint32_t i = 0; i < p->points; i++)
        if (p->at[i] < 2 || p->at[i] > p->subsets->subsets)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "there is no score over %" PRIu64 " subsets: at least 2 are needed, "
                               "and there are %" PRIu64,
                               p->at[i], p->subsets->subsets);
    for (uint64_t i = 0; i < p->subsets->subsets * p->queries; i++)
        if (!isfinite(p->outputs[i]))
            return tamis__fail(err, TAMIS_ERR_NUMERIC,
                               "the output of subset %" PRIu64 ", query %" PRIu64 " is not finite",
                               i / p->queries, i % p->queries);
    return TAMIS_OK;
}

static tamis_status measure(tamis_lds *lds, tamis_context *context, columns *c,
                            const tamis_lds_params *p, tamis_error *err)
{
    uint64_t draws = p->bootstrap.draws;
    lds->query = tamis__malloc((size_t)c->queries, sizeof *lds->query);
    lds->draw = tamis__calloc((size_t)draws, sizeof *lds->draw);
    lds->point = tamis__calloc(p->points, sizeof *lds->point);
    if (!lds->query || !lds->draw || !lds->point)
        return tamis__fail_memory(err, "scores of queries", (c->queries + draws) * 8);
    for (uint32_t i = 0; i < p->points; i++)
        TAMIS_TRY(score_first(context, c, p->at[i], &p->bootstrap, lds->draw, NULL, NULL,
                              &lds->point[i], err));
    return score_first(context, c, c->subsets, &p->bootstrap, lds->draw, lds->query, &lds->constant,
                       &lds->lds, err);
}

tamis_status tamis_evaluate_lds(tamis_lds *ret_lds, tamis_context *context,
                                const tamis_scores *scores, const tamis_lds_params *params,
                                tamis_error *err)
{
    TAMIS_TRY(check(scores, params, err));
    columns c = {.subsets = params->subsets->subsets, .queries = params->queries};
    tamis_lds lds = {.subsets = c.subsets, .queries = c.queries, .points = params->points};
    tamis_status status = columns_make(&c, context, err);
    if (status == TAMIS_OK) status = fill(&c, context, scores, params, &lds.skipped, err);
    if (status == TAMIS_OK) status = measure(&lds, context, &c, params, err);
    columns_free(&c);
    if (status == TAMIS_OK && params->bootstrap.draws == 0) {
        free(lds.draw);
        lds.draw = NULL;
    }
    if (status == TAMIS_OK)
        *ret_lds = lds;
    else
        tamis_lds_free(&lds);
    return status;
}

void tamis_lds_free(tamis_lds *lds)
{
    free(lds->query);
    free(lds->draw);
    free(lds->point);
    *lds = (tamis_lds){0};
}
