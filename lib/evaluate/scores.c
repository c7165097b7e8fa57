/* What yardsticks share in reading scores.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/scores.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"

/* Scores read at a time, in floats: 1 MiB. */
#define BLOCK_FLOATS ((uint64_t)1 << 18)

tamis_status tamis__need_matrix(const tamis_scores *scores, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    if (info->top == 0) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "'%s' holds the top %" PRIu64 " rows of each query and not the scores "
                       "of all rows: score without --top",
                       tamis_scores_path(scores), info->top);
}

tamis_status tamis__need_all_pairs(const tamis_scores *scores, tamis_error *err)
{
    TAMIS_TRY(tamis__need_matrix(scores, err));
    if (!tamis_scores_info_get(scores)->partial) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "'%s' holds scores of each query's candidates and not of all rows: score "
                       "without --candidates",
                       tamis_scores_path(scores));
}

tamis_status tamis__need_shape(const tamis_scores *scores, uint64_t rows, uint64_t queries,
                               const char *what, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    if (info->rows != rows)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' has scores of %" PRIu64 " rows, but the %s are of %" PRIu64
                           " rows: they must be of the same training data",
                           tamis_scores_path(scores), info->rows, what, rows);
    if (queries == 0 || info->queries == queries) return TAMIS_OK;
    if (info->queries == 1)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' has one score a row and not one for each of %" PRIu64
                           " queries, of which the %s are: only a ranking of its rows can be "
                           "measured, by noise or removal",
                           tamis_scores_path(scores), queries, what);
    return tamis__fail(err, TAMIS_ERR_SHAPE,
                       "'%s' has scores of %" PRIu64 " queries, but the %s are of %" PRIu64
                       " queries: they must be of the same queries",
                       tamis_scores_path(scores), info->queries, what, queries);
}

tamis_status tamis__check_row(const tamis_scores *scores, uint64_t row, const float *score,
                              bool *ret_scored, tamis_error *err)
{
    uint64_t queries = tamis_scores_info_get(scores)->queries, nan = 0, bad = queries;
    for (uint64_t q = 0; q < queries; q++) {
        nan += isnan(score[q]) != 0;
        if (!isfinite(score[q]) && bad == queries) bad = q;
    }
    *ret_scored = nan < queries;
    if (bad == queries || nan == queries) return TAMIS_OK;
    return tamis__fail(
        err, TAMIS_ERR_NUMERIC,
        "'%s': row %" PRIu64 ": the score of query %" PRIu64
        " is not finite: run 'tamis inspect' on it and on the stores it was made from",
        tamis_scores_path(scores), row, bad);
}

/* --- sums over subsets ------------------------------------------------------------------------ */

typedef struct summing {
    const tamis_subsets *subsets;
    uint64_t queries, first, rows; /* of the block at hand */
    float *block;                  /* [rows, queries] */
    bool *scored;                  /* [rows] */
    double *sums;                  /* [subsets, queries] */
} summing;

/* A subset's sums are one thread's, so they come in row order. */
static tamis_status add_block(void *arg, uint64_t item, unsigned slot, unsigned worker,
                              tamis_error *err)
{
    (void)slot;
    (void)worker;
    (void)err;
    const summing *s = arg;
    const uint8_t *member = s->subsets->member + item * s->subsets->rows + s->first;
    double *restrict sum = s->sums + item * s->queries;
    for (uint64_t i = 0; i < s->rows; i++) {
        const float *restrict score = s->block + i * s->queries;
        if (!member[i] || !s->scored[i]) continue;
        for (uint64_t q = 0; q < s->queries; q++) sum[q] += (double)score[q];
    }
    return TAMIS_OK;
}

static tamis_status sum_blocks(tamis_context *context, const tamis_scores *scores, summing *s,
                               uint64_t most, uint64_t *skipped, tamis_error *err)
{
    uint64_t rows = s->subsets->rows;
    tamis__pipeline pipeline = {.arg = s, .items = s->subsets->subsets, .work = add_block};
    for (s->first = 0; s->first < rows; s->first += most) {
        s->rows = rows - s->first < most ? rows - s->first : most;
        TAMIS_TRY(tamis_scores_read(scores, s->first, s->rows, 0, s->queries, s->block,
                                    (size_t)s->queries, err));
        for (uint64_t i = 0; i < s->rows; i++) {
            TAMIS_TRY(tamis__check_row(scores, s->first + i, s->block + i * s->queries,
                                       &s->scored[i], err));
            *skipped += !s->scored[i];
        }
        TAMIS_TRY(tamis__pool_run(context->pool, &pipeline, err));
        TAMIS_TRY(tamis__progress(context, "reading scores", s->first + s->rows, rows, "rows", NULL,
                                  err));
    }
    return TAMIS_OK;
}

tamis_status tamis__subset_sums(tamis_context *context, const tamis_scores *scores,
                                const tamis_subsets *subsets, double *ret_sums,
                                uint64_t *ret_skipped, tamis_error *err)
{
    uint64_t queries = tamis_scores_info_get(scores)->queries, skipped = 0;
    uint64_t most = queries < BLOCK_FLOATS ? BLOCK_FLOATS / queries : 1;
    if (most > subsets->rows) most = subsets->rows;
    summing s = {.subsets = subsets, .queries = queries, .sums = ret_sums};
    memset(ret_sums, 0, (size_t)(subsets->subsets * queries) * sizeof *ret_sums);
    s.block = tamis__malloc((size_t)(most * queries), sizeof *s.block);
    s.scored = tamis__calloc((size_t)most, sizeof *s.scored);
    tamis_status status = s.block && s.scored
                              ? sum_blocks(context, scores, &s, most, &skipped, err)
                              : tamis__fail_memory(err, "scores", most * queries * sizeof(float));
    free(s.block);
    free(s.scored);
    if (status == TAMIS_OK) *ret_skipped = skipped;
    return status;
}
