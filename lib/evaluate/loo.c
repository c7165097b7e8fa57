/* Leave-one-out retraining against scores.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "evaluate/scores.h"
#include "evaluate/statistics.h"

/* What is compared, a query's values together. */
typedef struct columns {
    uint64_t rows, queries;
    double *score, *effect;               /* [queries, rows] */
    uint32_t *score_order, *effect_order; /* [queries, rows] */
} columns;

static void columns_free(columns *c)
{
    free(c->score);
    free(c->effect);
    free(c->score_order);
    free(c->effect_order);
}

static tamis_status columns_make(columns *c, const tamis_loo *loo, tamis_error *err)
{
    uint64_t n = loo->rows * loo->queries;
    *c = (columns){.rows = loo->rows, .queries = loo->queries};
    c->score = tamis__malloc((size_t)n, sizeof *c->score);
    c->effect = tamis__malloc((size_t)n, sizeof *c->effect);
    c->score_order = tamis__malloc((size_t)n, sizeof *c->score_order);
    c->effect_order = tamis__malloc((size_t)n, sizeof *c->effect_order);
    if (!c->score || !c->effect || !c->score_order || !c->effect_order)
        return tamis__fail_memory(err, "effects", 24 * n);
    for (uint64_t q = 0; q < c->queries; q++) {
        size_t at = (size_t)(q * c->rows);
        for (uint64_t i = 0; i < c->rows; i++) {
            c->score[at + i] = loo->score[i * c->queries + q];
            c->effect[at + i] = loo->effect[i * c->queries + q];
        }
        tamis__sort_items(c->score + at, c->rows, c->score_order + at);
        tamis__sort_items(c->effect + at, c->rows, c->effect_order + at);
    }
    return TAMIS_OK;
}

/* Mean Pearson and Spearman correlation. */
static void correlate(const columns *c, const double *weight, double *scratch,
                      double *query_pearson, double *query_spearman, uint64_t *constant,
                      double *ret_values)
{
    ret_values[0] = ret_values[1] = 0;
    for (uint64_t q = 0; q < c->queries; q++) {
        double pearson, spearman;
        size_t at = (size_t)(q * c->rows);
        const tamis__two_columns pair = {c->score + at, c->effect + at, c->score_order + at,
                                         c->effect_order + at, c->rows};
        bool found = tamis__correlation(pair.x, pair.y, weight, c->rows, &pearson);
        (void)tamis__spearman(&pair, weight, scratch, &spearman);
        if (constant) *constant += !found;
        if (query_pearson) query_pearson[q] = pearson;
        if (query_spearman) query_spearman[q] = spearman;
        ret_values[0] += pearson / (double)c->queries;
        ret_values[1] += spearman / (double)c->queries;
    }
}

static void statistic(const void *arg, const double *weight, void *scratch, double *ret_values)
{
    correlate(arg, weight, scratch, NULL, NULL, NULL, ret_values);
}

/* --- effects ---------------------------------------------------------------------------------- */

/* Loss without row i minus loss with it, of one seed. */
static double effect_of(const tamis_retrained *r, uint64_t i, uint64_t seed, uint64_t query)
{
    return r->loss[((i + 1) * r->seeds + seed) * r->queries + query] -
           r->loss[seed * r->queries + query];
}

/* Means over the seeds, and how far they can be trusted. */
static void fill_effects(tamis_loo *loo, const tamis_retrained *r)
{
    double squares = 0, seeds = (double)r->seeds, spread = 0;
    for (uint64_t i = 0; i < loo->rows; i++)
        for (uint64_t q = 0; q < loo->queries; q++) {
            double sum = 0, deviation = 0;
            for (uint64_t s = 0; s < r->seeds; s++) sum += effect_of(r, i, s, q);
            double mean = sum / seeds;
            loo->effect[i * loo->queries + q] = mean;
            for (uint64_t s = 0; s < r->seeds; s++)
                deviation += pow(effect_of(r, i, s, q) - mean, 2);
            squares += deviation / (seeds - 1) / seeds;
        }
    for (uint64_t q = 0; q < loo->queries; q++)
        spread += pow(tamis__deviation(loo->effect + q, loo->rows, (size_t)loo->queries), 2);
    loo->spread = sqrt(spread / (double)loo->queries);
    loo->noise = loo->ceiling = (double)NAN;
    if (r->seeds < 2) return;
    loo->noise = sqrt(squares / (double)(loo->rows * loo->queries));
    double signal = loo->spread * loo->spread - loo->noise * loo->noise;
    loo->ceiling = signal > 0 ? sqrt(signal) / loo->spread : 0;
}

static tamis_status read_scores(tamis_loo *loo, const tamis_scores *scores, const uint64_t *row,
                                tamis_error *err)
{
    float *score = tamis__malloc((size_t)loo->queries, sizeof *score);
    tamis_status status = score ? TAMIS_OK
                                : tamis__fail_memory(err, "scores", loo->queries * sizeof *score);
    for (uint64_t i = 0; i < loo->rows && status == TAMIS_OK; i++) {
        bool scored = true;
        status = tamis_scores_read(scores, row[i], 1, 0, loo->queries, score, (size_t)loo->queries,
                                   err);
        if (status == TAMIS_OK) status = tamis__check_row(scores, row[i], score, &scored, err);
        if (status == TAMIS_OK && !scored)
            status = tamis__fail(err, TAMIS_ERR_NUMERIC,
                                 "'%s': row %" PRIu64 " has no score: leave it out of the rows",
                                 tamis_scores_path(scores), row[i]);
        for (uint64_t q = 0; q < loo->queries && status == TAMIS_OK; q++)
            loo->score[i * loo->queries + q] = (double)score[q];
    }
    free(score);
    return status;
}

/* --- all -------------------------------------------------------------------------------------- */

static tamis_status check(const tamis_scores *scores, const uint64_t *row, uint64_t rows,
                          const tamis_retrained *r, const tamis_bootstrap *bootstrap,
                          tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    TAMIS_TRY(tamis__need_all_pairs(scores, err));
    TAMIS_TRY(tamis__bootstrap_check(bootstrap, err));
    if (rows < 2) return tamis__fail(err, TAMIS_ERR_ARG, "a correlation needs at least two rows");
    if (r->subsets != rows + 1)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "retrained are %" PRIu64 " subsets, for %" PRIu64
                           " rows it takes one more than rows",
                           r->subsets, rows);
    if (info->queries != r->queries)
        return tamis__need_shape(scores, info->rows, r->queries, "retrained losses", err);
    for (uint64_t i = 0; i < rows; i++)
        if (row[i] >= info->rows)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "there is no row %" PRIu64 ": rows are 0 to %" PRIu64, row[i],
                               info->rows - 1);
    return TAMIS_OK;
}

static tamis_status make(tamis_loo *loo, uint64_t draws, tamis_error *err)
{
    uint64_t n = loo->rows * loo->queries;
    loo->query_pearson = tamis__malloc((size_t)loo->queries, sizeof(double));
    loo->query_spearman = tamis__malloc((size_t)loo->queries, sizeof(double));
    loo->effect = tamis__malloc((size_t)n, sizeof(double));
    loo->score = tamis__malloc((size_t)n, sizeof(double));
    if (draws > 0) {
        loo->draw_pearson = tamis__malloc((size_t)draws, sizeof(double));
        loo->draw_spearman = tamis__malloc((size_t)draws, sizeof(double));
    }
    if (loo->query_pearson && loo->query_spearman && loo->effect && loo->score &&
        (draws == 0 || (loo->draw_pearson && loo->draw_spearman)))
        return TAMIS_OK;
    return tamis__fail_memory(err, "effects", (2 * n + 2 * loo->queries + 2 * draws) * 8);
}

static tamis_status measure(tamis_loo *loo, tamis_context *context, const columns *c,
                            const tamis_bootstrap *bootstrap, double *scratch, double *draw,
                            tamis_error *err)
{
    double value[2];
    tamis__resampling resampling = {.arg = c,
                                    .statistic = statistic,
                                    .items = c->rows,
                                    .values = 2,
                                    .scratch = (size_t)(2 * c->rows) * sizeof(double),
                                    .bootstrap = bootstrap};
    correlate(c, NULL, scratch, loo->query_pearson, loo->query_spearman, &loo->constant, value);
    TAMIS_TRY(tamis__resample(context, &resampling, draw, err));
    for (uint64_t d = 0; d < bootstrap->draws; d++) {
        loo->draw_pearson[d] = draw[2 * d];
        loo->draw_spearman[d] = draw[2 * d + 1];
    }
    TAMIS_TRY(tamis__estimate(value[0], loo->draw_pearson, 1, bootstrap, &loo->pearson, err));
    return tamis__estimate(value[1], loo->draw_spearman, 1, bootstrap, &loo->spearman, err);
}

static tamis_status compare(tamis_loo *loo, tamis_context *context,
                            const tamis_bootstrap *bootstrap, tamis_error *err)
{
    columns c = {0};
    double *scratch = tamis__malloc((size_t)(2 * loo->rows), sizeof *scratch);
    double *draw = tamis__malloc((size_t)bootstrap->draws, 2 * sizeof *draw);
    tamis_status status = scratch && draw ? columns_make(&c, loo, err)
                                          : tamis__fail_memory(err, "draws", bootstrap->draws * 16);
    if (status == TAMIS_OK) status = measure(loo, context, &c, bootstrap, scratch, draw, err);
    columns_free(&c);
    free(scratch);
    free(draw);
    return status;
}

tamis_status tamis_evaluate_loo(tamis_loo *ret_loo, tamis_context *context,
                                const tamis_scores *scores, const uint64_t *row, uint64_t rows,
                                const tamis_retrained *retrained, const tamis_bootstrap *bootstrap,
                                tamis_error *err)
{
    TAMIS_TRY(check(scores, row, rows, retrained, bootstrap, err));
    tamis_loo loo = {.rows = rows, .queries = retrained->queries, .seeds = retrained->seeds};
    tamis_status status = make(&loo, bootstrap->draws, err);
    if (status == TAMIS_OK) status = read_scores(&loo, scores, row, err);
    if (status == TAMIS_OK) {
        fill_effects(&loo, retrained);
        status = compare(&loo, context, bootstrap, err);
    }
    if (status == TAMIS_OK)
        *ret_loo = loo;
    else
        tamis_loo_free(&loo);
    return status;
}

void tamis_loo_free(tamis_loo *loo)
{
    free(loo->query_pearson);
    free(loo->query_spearman);
    free(loo->effect);
    free(loo->score);
    free(loo->draw_pearson);
    free(loo->draw_spearman);
    *loo = (tamis_loo){0};
}
