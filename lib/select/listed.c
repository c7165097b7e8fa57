/* One value a row from lists of the best rows of each query.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "select/values.h"

/* Places read at a time. */
#define BLOCK_PLACES ((uint64_t)1 << 16)

typedef struct lists {
    const tamis_scores *scores;
    uint64_t block_queries;
    uint64_t *row; /* [block_queries, places] */
    float *score;
    double *value; /* [rows] */
} lists;

/* A row that no list holds has a lower score there than all that do, but how low is not known: only
 * the largest score of a row can be told, and only of rows that stand in a list. */
static tamis_status check_aggregate(const tamis_scores *scores, tamis_aggregate by,
                                    tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    if (by == TAMIS_AGGREGATE_MAX || info->queries == 1) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "'%s' holds the top %" PRIu64 " rows of each query only, which do not tell "
                       "the %s of a row's scores: use --by max, or score without --top",
                       tamis_scores_path(scores), info->top, tamis__aggregate_name(by));
}

static tamis_status take_block(const lists *l, uint64_t first, uint64_t queries, tamis_error *err)
{
    uint64_t places = tamis_scores_info_get(l->scores)->top;
    TAMIS_TRY(
        tamis_scores_read_list(l->scores, TAMIS_SCORES_TOP, first, queries, l->row, l->score, err));
    for (uint64_t i = 0; i < queries * places; i++) {
        if (l->row[i] == TAMIS_SCORES_NO_ROW) continue;
        double *value = &l->value[l->row[i]], score = (double)l->score[i];
        if (isnan(*value) || score > *value) *value = score;
    }
    return TAMIS_OK;
}

static tamis_status take_lists(const lists *l, tamis_context *context, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(l->scores);
    for (uint64_t row = 0; row < info->rows; row++) l->value[row] = (double)NAN;
    for (uint64_t first = 0; first < info->queries; first += l->block_queries) {
        uint64_t left = info->queries - first;
        uint64_t queries = left < l->block_queries ? left : l->block_queries;
        TAMIS_TRY(take_block(l, first, queries, err));
        TAMIS_TRY(tamis__progress(context, "reading scores", first + queries, info->queries,
                                  "queries", NULL, err));
    }
    return TAMIS_OK;
}

tamis_status tamis__listed(tamis_context *context, const tamis_scores *scores, tamis_aggregate by,
                           double **ret_values, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    TAMIS_TRY(check_aggregate(scores, by, err));
    lists l = {.scores = scores, .block_queries = 1};
    if (info->top < BLOCK_PLACES) l.block_queries = BLOCK_PLACES / info->top;
    if (l.block_queries > info->queries) l.block_queries = info->queries;
    uint64_t places = l.block_queries * info->top;
    uint64_t bytes = info->rows * sizeof *l.value + places * (sizeof *l.row + sizeof *l.score);
    TAMIS_TRY(tamis__memory_check(context, bytes, "reading scores", err));
    l.value = tamis__malloc((size_t)info->rows, sizeof *l.value);
    l.row = tamis__malloc((size_t)places, sizeof *l.row);
    l.score = tamis__malloc((size_t)places, sizeof *l.score);
    tamis_status status = l.value && l.row && l.score
                              ? take_lists(&l, context, err)
                              : tamis__fail_memory(err, "one value a row", bytes);
    free(l.row);
    free(l.score);
    if (status == TAMIS_OK)
        *ret_values = l.value;
    else
        free(l.value);
    return status;
}
