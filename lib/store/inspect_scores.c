/* Inspection of scores: a matrix, or lists of rows for each query.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tamis/scores.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "store/inspection.h"

/* Scores read at a time, in floats: 1 MiB. */
#define BLOCK_FLOATS ((uint64_t)1 << 18)

typedef struct score_check {
    double min, max, sum;
    uint64_t finite, missing; /* scores, and rows without one */
    tamis__culprits not_finite, zero_rows;
    bool skips;         /* the file speaks of rows without a score */
    bool partial;       /* or of pairs without one */
    bool *column_lives; /* [queries] some score is not zero */
    double *column_sum; /* [queries] */
} score_check;

static void check_value(score_check *check, double value)
{
    check->finite++;
    check->sum += value;
    if (value < check->min) check->min = value;
    if (value > check->max) check->max = value;
}

/* --- matrix ----------------------------------------------------------------------------------- */

static bool no_score(const float *score, uint64_t queries)
{
    for (uint64_t q = 0; q < queries; q++)
        if (!isnan(score[q])) return false;
    return true;
}

static void check_row(score_check *check, uint64_t row, const float *score, uint64_t queries)
{
    bool all_finite = true, all_zero = true;
    if (check->skips && no_score(score, queries)) {
        check->missing++;
        return;
    }
    for (uint64_t q = 0; q < queries; q++) {
        double value = (double)score[q];
        if (score[q] != 0.0f) {
            check->column_lives[q] = true;
            all_zero = false;
        }
        if (check->partial && isnan(value)) continue;
        if (!isfinite(value)) {
            all_finite = false;
            continue;
        }
        check_value(check, value);
        check->column_sum[q] += value;
    }
    if (!all_finite) tamis__culprit(&check->not_finite, row);
    if (all_zero) tamis__culprit(&check->zero_rows, row);
}

static tamis_status check_matrix(score_check *check, tamis_context *context,
                                 const tamis_scores *scores, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    uint64_t step = info->queries < BLOCK_FLOATS ? BLOCK_FLOATS / info->queries : 1;
    if (step > info->rows) step = info->rows;
    TAMIS_TRY(
        tamis__memory_check(context, step * info->queries * sizeof(float), "reading scores", err));
    float *block = tamis__malloc((size_t)(step * info->queries), sizeof *block);
    if (!block)
        return tamis__fail_memory(err, "reading scores", step * info->queries * sizeof *block);
    tamis_status status = TAMIS_OK;
    for (uint64_t first = 0; first < info->rows && status == TAMIS_OK; first += step) {
        uint64_t rows = info->rows - first < step ? info->rows - first : step;
        status = tamis_scores_read(scores, first, rows, 0, info->queries, block,
                                   (size_t)info->queries, err);
        for (uint64_t i = 0; i < rows && status == TAMIS_OK; i++)
            check_row(check, first + i, block + i * info->queries, info->queries);
        if (status == TAMIS_OK)
            status = tamis__progress(context, "checking scores", first + rows, info->rows, "rows",
                                     NULL, err);
    }
    free(block);
    return status;
}

/* The recorded means against the scores; they may have been added up in another order. */
static tamis_status check_means(tamis_inspection *inspection, const score_check *check,
                                const tamis_scores_info *info, tamis_error *err)
{
    tamis__culprits off = {0};
    for (uint64_t q = 0; info->column_mean && q < info->queries; q++) {
        double n = (double)info->column_count[q], mean = info->column_mean[q];
        double room = 1e-6 * (fabs(mean) + sqrt(info->column_variance[q]));
        if (n > 0 && !(fabs(check->column_sum[q] / n - mean) <= room)) tamis__culprit(&off, q);
    }
    return tamis__finding_rows(inspection, true, "column_mean", &off, "query",
                               "a recorded mean that is not that of the scores", err);
}

static tamis_status tell_matrix(tamis_inspection *inspection, const score_check *check,
                                const tamis_scores_info *info, tamis_error *err)
{
    tamis__culprits dead = {0};
    uint64_t scored = info->rows - check->missing;
    for (uint64_t q = 0; q < info->queries && scored > 0; q++)
        if (!check->column_lives[q]) tamis__culprit(&dead, q);
    TAMIS_TRY(tamis__finding_rows(inspection, true, "not_finite", &check->not_finite, "row",
                                  "a score that is not finite", err));
    if (check->missing != info->skipped)
        TAMIS_TRY(tamis__finding(inspection, true, "skipped_mismatch", check->missing, err,
                                 "attribute 'skipped' says that %" PRIu64
                                 " rows have no score, %" PRIu64 " have none",
                                 info->skipped, check->missing));
    TAMIS_TRY(check_means(inspection, check, info, err));
    TAMIS_TRY(tamis__finding_rows(inspection, true, "zero_queries", &dead, "query",
                                  "nothing but zero scores", err));
    return tamis__finding_rows(inspection, false, "zero_rows", &check->zero_rows, "row",
                               "nothing but zero scores", err);
}

/* --- lists ------------------------------------------------------------------------------------ */

typedef struct list_block {
    uint64_t queries;
    uint64_t *row;
    float *score;
} list_block;

static tamis_status check_list(score_check *check, const tamis_scores *scores,
                               tamis_scores_list which, uint64_t places, const list_block *block,
                               tamis_error *err)
{
    uint64_t queries = tamis_scores_info_get(scores)->queries;
    for (uint64_t first = 0; first < queries && places > 0; first += block->queries) {
        uint64_t n = queries - first < block->queries ? queries - first : block->queries;
        TAMIS_TRY(tamis_scores_read_list(scores, which, first, n, block->row, block->score, err));
        for (uint64_t i = 0; i < n * places; i++)
            if (block->row[i] != TAMIS_SCORES_NO_ROW) check_value(check, (double)block->score[i]);
    }
    return TAMIS_OK;
}

static tamis_status check_lists(score_check *check, tamis_context *context,
                                const tamis_scores *scores, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    uint64_t most = info->top > info->bottom ? info->top : info->bottom;
    list_block block = {.queries = most < BLOCK_FLOATS ? BLOCK_FLOATS / most : 1};
    if (block.queries > info->queries) block.queries = info->queries;
    uint64_t bytes = block.queries * most * (sizeof *block.row + sizeof *block.score);
    TAMIS_TRY(tamis__memory_check(context, bytes, "reading lists", err));
    block.row = tamis__malloc((size_t)(block.queries * most), sizeof *block.row);
    block.score = tamis__malloc((size_t)(block.queries * most), sizeof *block.score);
    tamis_status status = block.row && block.score
                              ? check_list(check, scores, TAMIS_SCORES_TOP, info->top, &block, err)
                              : tamis__fail_memory(err, "reading lists", bytes);
    if (status == TAMIS_OK)
        status = check_list(check, scores, TAMIS_SCORES_BOTTOM, info->bottom, &block, err);
    free(block.row);
    free(block.score);
    return status;
}

/* A list that is wrong is what an inspection is there to tell. */
static tamis_status tell_lists(tamis_inspection *inspection, score_check *check,
                               tamis_context *context, const tamis_scores *scores, tamis_error *err)
{
    tamis_error why = {TAMIS_OK, 0, ""};
    tamis_status status = check_lists(check, context, scores, &why);
    if (status == TAMIS_ERR_FORMAT)
        return tamis__finding(inspection, true, "bad_list", 1, err, "%.255s", why.message);
    if (status != TAMIS_OK && err) *err = why;
    return status;
}

/* --- all -------------------------------------------------------------------------------------- */

/* The mean of what stands in lists would be taken for that of all scores. */
static tamis_status tell_range(tamis_inspection *inspection, const score_check *check, bool lists,
                               tamis_error *err)
{
    if (check->finite == 0) return TAMIS_OK;
    TAMIS_TRY(tamis__fact_real(inspection, "score_min", check->min, err));
    if (!lists)
        TAMIS_TRY(
            tamis__fact_real(inspection, "score_mean", check->sum / (double)check->finite, err));
    return tamis__fact_real(inspection, "score_max", check->max, err);
}

static tamis_status check_scores(tamis_inspection *inspection, score_check *check,
                                 tamis_context *context, const tamis_scores *scores,
                                 tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    if (info->top > 0) {
        TAMIS_TRY(tell_lists(inspection, check, context, scores, err));
        return tell_range(inspection, check, true, err);
    }
    TAMIS_TRY(check_matrix(check, context, scores, err));
    TAMIS_TRY(tell_range(inspection, check, false, err));
    return tell_matrix(inspection, check, info, err);
}

static tamis_status full_scores(tamis_inspection *inspection, tamis_context *context,
                                const tamis_scores *scores, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    score_check check = {
        .min = HUGE_VAL, .max = -HUGE_VAL, .skips = info->skipped > 0, .partial = info->partial};
    uint64_t bytes = info->queries * (sizeof *check.column_lives + sizeof *check.column_sum);
    TAMIS_TRY(tamis__memory_check(context, bytes, "checking scores", err));
    check.column_lives = tamis__calloc((size_t)info->queries, sizeof *check.column_lives);
    check.column_sum = tamis__calloc((size_t)info->queries, sizeof *check.column_sum);
    tamis_status status = check.column_lives && check.column_sum
                              ? check_scores(inspection, &check, context, scores, err)
                              : tamis__fail_memory(err, "checking scores", bytes);
    free(check.column_lives);
    free(check.column_sum);
    if (status == TAMIS_OK)
        status = tamis__finding_ids(inspection, &info->examples, info->rows, "row", err);
    if (status == TAMIS_OK)
        status = tamis__finding_ids(inspection, &info->query, info->queries, "query", err);
    return status;
}

static tamis_status describe_scores(tamis_inspection *inspection, const tamis_scores *scores,
                                    tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    TAMIS_TRY(tamis__fact_count(inspection, "rows", info->rows, err));
    TAMIS_TRY(tamis__fact_count(inspection, "queries", info->queries, err));
    if (info->skipped > 0)
        TAMIS_TRY(tamis__fact_count(inspection, "without_score", info->skipped, err));
    if (info->partial) TAMIS_TRY(tamis__fact_text(inspection, "pairs_without_score", err, "yes"));
    if (info->top > 0) TAMIS_TRY(tamis__fact_count(inspection, "top", info->top, err));
    if (info->bottom > 0) TAMIS_TRY(tamis__fact_count(inspection, "bottom", info->bottom, err));
    if (info->column_count)
        TAMIS_TRY(tamis__fact_text(inspection, "column_statistics", err, "yes"));
    TAMIS_TRY(tamis__fact_text(inspection, "scorer", err, "%s", info->scorer));
    if (info->panel) {
        TAMIS_TRY(tamis__fact_text(inspection, "panel", err, "%s", info->panel));
        TAMIS_TRY(tamis__fact_real(inspection, "panel_error", info->panel_error, err));
    }
    TAMIS_TRY(tamis__fact_text(inspection, "orientation", err, "%s", TAMIS_ORIENTATION));
    if (info->query.groups > 0)
        TAMIS_TRY(tamis__fact_count(inspection, "query_groups", info->query.groups, err));
    inspection->provenance = tamis__strdup(info->provenance);
    return inspection->provenance ? TAMIS_OK
                                  : tamis__fail_memory(err, "provenance", strlen(info->provenance));
}

tamis_status tamis__inspect_scores(tamis_inspection *inspection, tamis_context *context,
                                   const char *path, bool quick, tamis_error *err)
{
    tamis_scores *scores;
    TAMIS_TRY(tamis_scores_open(&scores, context, path, err));
    tamis_status status = describe_scores(inspection, scores, err);
    if (status == TAMIS_OK && !quick) status = full_scores(inspection, context, scores, err);
    tamis_scores_close(&scores);
    return status;
}
