/* Inspection of scores and selections.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tamis/scores.h>
#include <tamis/selection.h>
#include <tamis/version.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "store/h5.h"
#include "store/inspection.h"

/* Scores read at a time, in floats: 1 MiB. */
#define BLOCK_FLOATS ((uint64_t)1 << 18)

/* --- scores ----------------------------------------------------------------------------------- */

typedef struct score_check {
    double min, max, sum;
    uint64_t finite;
    tamis__culprits not_finite, zero_rows;
    bool *column_lives; /* [queries] some score is not zero */
} score_check;

static void check_row(score_check *check, uint64_t row, const float *score, uint64_t queries)
{
    bool all_finite = true, all_zero = true;
    for (uint64_t q = 0; q < queries; q++) {
        double value = (double)score[q];
        if (score[q] != 0.0f) {
            check->column_lives[q] = true;
            all_zero = false;
        }
        if (!isfinite(value)) {
            all_finite = false;
            continue;
        }
        check->finite++;
        check->sum += value;
        if (value < check->min) check->min = value;
        if (value > check->max) check->max = value;
    }
    if (!all_finite) tamis__culprit(&check->not_finite, row);
    if (all_zero) tamis__culprit(&check->zero_rows, row);
}

static tamis_status check_scores(score_check *check, tamis_context *context,
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

static tamis_status tell_scores(tamis_inspection *inspection, const score_check *check,
                                uint64_t queries, tamis_error *err)
{
    tamis__culprits dead = {0};
    if (check->finite > 0) {
        TAMIS_TRY(tamis__fact_real(inspection, "score_min", check->min, err));
        TAMIS_TRY(
            tamis__fact_real(inspection, "score_mean", check->sum / (double)check->finite, err));
        TAMIS_TRY(tamis__fact_real(inspection, "score_max", check->max, err));
    }
    for (uint64_t q = 0; q < queries; q++)
        if (!check->column_lives[q]) tamis__culprit(&dead, q);
    TAMIS_TRY(tamis__finding_rows(inspection, true, "not_finite", &check->not_finite, "row",
                                  "a score that is not finite", err));
    TAMIS_TRY(tamis__finding_rows(inspection, true, "zero_queries", &dead, "query",
                                  "nothing but zero scores", err));
    return tamis__finding_rows(inspection, false, "zero_rows", &check->zero_rows, "row",
                               "nothing but zero scores", err);
}

static tamis_status full_scores(tamis_inspection *inspection, tamis_context *context,
                                const tamis_scores *scores, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    score_check check = {.min = HUGE_VAL, .max = -HUGE_VAL};
    TAMIS_TRY(tamis__memory_check(context, info->queries, "checking scores", err));
    check.column_lives = tamis__calloc((size_t)info->queries, sizeof *check.column_lives);
    if (!check.column_lives) return tamis__fail_memory(err, "checking scores", info->queries);
    tamis_status status = check_scores(&check, context, scores, err);
    if (status == TAMIS_OK) status = tell_scores(inspection, &check, info->queries, err);
    free(check.column_lives);
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
    TAMIS_TRY(tamis__fact_text(inspection, "scorer", err, "%s", info->scorer));
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

/* --- selections ------------------------------------------------------------------------------- */

static tamis_status check_ranks(tamis_inspection *inspection, const tamis_selection *s,
                                tamis_error *err)
{
    tamis__culprits twice = {0}, late = {0};
    bool *seen = tamis__calloc((size_t)s->rows, sizeof *seen);
    if (!seen) return tamis__fail_memory(err, "checking ranks", s->rows);
    for (uint64_t row = 0; row < s->rows; row++) {
        if (seen[s->rank[row]]) tamis__culprit(&twice, row);
        seen[s->rank[row]] = true;
        if (s->keep[row] && s->rank[row] >= s->kept) tamis__culprit(&late, row);
    }
    free(seen);
    TAMIS_TRY(tamis__finding_rows(inspection, true, "repeated_ranks", &twice, "row",
                                  "a rank that stands at an earlier row too", err));
    return tamis__finding_rows(inspection, true, "rank_order", &late, "row",
                               "kept, but ranked behind a dropped one", err);
}

static tamis_status check_weights(tamis_inspection *inspection, const tamis_selection *s,
                                  tamis_error *err)
{
    tamis__culprits bad = {0}, lost = {0}, score = {0};
    for (uint64_t row = 0; row < s->rows; row++) {
        if (!isfinite(s->weight[row]) || s->weight[row] < 0) tamis__culprit(&bad, row);
        if (!s->keep[row] && s->weight[row] > 0) tamis__culprit(&lost, row);
        if (isnan(s->score[row])) tamis__culprit(&score, row);
    }
    TAMIS_TRY(tamis__finding_rows(inspection, true, "bad_weight", &bad, "row",
                                  "a weight that is negative or not finite", err));
    TAMIS_TRY(tamis__finding_rows(inspection, true, "not_finite", &score, "row",
                                  "a score that is not a number", err));
    return tamis__finding_rows(inspection, false, "weight_of_dropped", &lost, "row",
                               "dropped, but with a weight", err);
}

/* The attribute is what a reader of the header alone believes. */
static tamis_status check_kept(tamis_inspection *inspection, const tamis_selection *s,
                               const char *path, tamis_error *err)
{
    tamis__h5 h5;
    uint64_t claimed = 0;
    TAMIS_TRY(tamis__h5_open(&h5, path, "selection", TAMIS_FORMAT_VERSION, err));
    tamis_status status = tamis__h5_get_u64(&h5, "/", "kept", &claimed, err);
    tamis__h5_close(&h5);
    TAMIS_TRY(status);
    if (claimed != s->kept)
        TAMIS_TRY(tamis__finding(inspection, true, "kept_mismatch", s->kept, err,
                                 "attribute 'kept' says %" PRIu64 " rows, the table keeps %" PRIu64,
                                 claimed, s->kept));
    if (s->kept == 0)
        return tamis__finding(inspection, true, "nothing_kept", s->rows, err,
                              "none of the %" PRIu64 " rows is kept", s->rows);
    return TAMIS_OK;
}

static tamis_status describe_selection(tamis_inspection *inspection, tamis_selection *s,
                                       tamis_error *err)
{
    TAMIS_TRY(tamis__fact_count(inspection, "rows", s->rows, err));
    TAMIS_TRY(tamis__fact_count(inspection, "kept", s->kept, err));
    TAMIS_TRY(tamis__fact_real(inspection, "kept_percent",
                               100.0 * (double)s->kept / (double)s->rows, err));
    TAMIS_TRY(tamis__fact_text(inspection, "selector", err, "%s", s->selector));
    TAMIS_TRY(tamis__fact_count(inspection, "reasons", s->reasons, err));
    inspection->provenance = s->provenance;
    s->provenance = NULL;
    return TAMIS_OK;
}

tamis_status tamis__inspect_selection(tamis_inspection *inspection, tamis_context *context,
                                      const char *path, bool quick, tamis_error *err)
{
    tamis_selection *selection;
    TAMIS_TRY(tamis_selection_load(&selection, context, path, err));
    tamis_status status = describe_selection(inspection, selection, err);
    if (status == TAMIS_OK) status = check_kept(inspection, selection, path, err);
    if (status == TAMIS_OK && !quick) status = check_ranks(inspection, selection, err);
    if (status == TAMIS_OK && !quick) status = check_weights(inspection, selection, err);
    if (status == TAMIS_OK && !quick)
        status = tamis__finding_ids(inspection, &selection->examples, selection->rows, "row", err);
    tamis_selection_free(&selection);
    return status;
}
