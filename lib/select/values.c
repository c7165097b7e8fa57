/* Scores of many queries to one value a row, and rows in the order of their values.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/values.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "select/greedy.h"

/* Scores read at a time, in floats: 1 MiB. */
#define BLOCK_FLOATS ((uint64_t)1 << 18)

const char *tamis__aggregate_name(tamis_aggregate by)
{
    switch (by) {
    case TAMIS_AGGREGATE_MEAN: return "mean";
    case TAMIS_AGGREGATE_MAX: return "max";
    case TAMIS_AGGREGATE_TOTAL: break;
    }
    return "total";
}

/* --- aggregation ---------------------------------------------------------------------------- */

typedef struct aggregation {
    tamis_context *context;
    const tamis_scores *scores;
    tamis_aggregate by;
    uint64_t rows, queries, block_rows;
    bool skips;    /* there are rows without a score */
    float *buffer; /* [slots][block_rows * queries] */
    double *value; /* [rows] */
} aggregation;

static uint64_t rows_of(const aggregation *a, uint64_t item)
{
    uint64_t left = a->rows - item * a->block_rows;
    return left < a->block_rows ? left : a->block_rows;
}

static float *block_of(const aggregation *a, unsigned slot)
{
    return a->buffer + (size_t)(slot * a->block_rows * a->queries);
}

static tamis_status read_block(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    const aggregation *a = arg;
    return tamis_scores_read(a->scores, item * a->block_rows, rows_of(a, item), 0, a->queries,
                             block_of(a, slot), (size_t)a->queries, err);
}

static double sum_of(const float *score, uint64_t queries)
{
    double sum = 0;
    for (uint64_t q = 0; q < queries; q++) sum += (double)score[q];
    return sum;
}

static bool no_score(const float *score, uint64_t queries)
{
    for (uint64_t q = 0; q < queries; q++)
        if (!isnan(score[q])) return false;
    return true;
}

/* Of the scores that there are; NaN when there is none. */
static double value_of_some(const float *score, uint64_t queries, tamis_aggregate by)
{
    double sum = 0, max = -HUGE_VAL;
    uint64_t n = 0;
    for (uint64_t q = 0; q < queries; q++) {
        if (isnan(score[q])) continue;
        n++;
        sum += (double)score[q];
        max = (double)score[q] > max ? (double)score[q] : max;
    }
    if (n == 0) return (double)NAN;
    return by == TAMIS_AGGREGATE_MAX ? max : by == TAMIS_AGGREGATE_MEAN ? sum / (double)n : sum;
}

/* NaN when any score is: a comparison alone would pass it over. */
static double max_of(const float *score, uint64_t queries)
{
    double max = -HUGE_VAL;
    for (uint64_t q = 0; q < queries; q++) {
        if (isnan(score[q])) return (double)NAN;
        if ((double)score[q] > max) max = (double)score[q];
    }
    return max;
}

static tamis_status not_a_number(const aggregation *a, uint64_t row, const float *score,
                                 tamis_error *err)
{
    const tamis_examples *examples = &tamis_scores_info_get(a->scores)->examples;
    const char *path = tamis_scores_path(a->scores);
    char id[128];
    if (examples->id_text)
        snprintf(id, sizeof id, "%s", examples->id_text[row]);
    else
        snprintf(id, sizeof id, "%" PRIu64, examples->id_number ? examples->id_number[row] : row);
    for (uint64_t q = 0; q < a->queries; q++)
        if (isnan(score[q]))
            return tamis__fail(err, TAMIS_ERR_NUMERIC,
                               "'%s': row %" PRIu64 " (id %s): the score of query %" PRIu64
                               " is not a number: "
                               "run 'tamis inspect' on it and on the stores it was made from",
                               path, row, id, q);
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "'%s': row %" PRIu64
                       " (id %s): its scores hold both infinities, so their %s is not a "
                       "number",
                       path, row, id, tamis__aggregate_name(a->by));
}

static tamis_status reduce_block(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                 tamis_error *err)
{
    (void)worker;
    const aggregation *a = arg;
    const float *score = block_of(a, slot);
    uint64_t first = item * a->block_rows, rows = rows_of(a, item);
    for (uint64_t i = 0; i < rows; i++, score += a->queries) {
        if (tamis_scores_info_get(a->scores)->partial) {
            a->value[first + i] = value_of_some(score, a->queries, a->by);
            continue;
        }
        double value = a->by == TAMIS_AGGREGATE_MAX ? max_of(score, a->queries)
                                                    : sum_of(score, a->queries);
        if (isnan(value) && !(a->skips && no_score(score, a->queries)))
            return not_a_number(a, first + i, score, err);
        a->value[first + i] = a->by == TAMIS_AGGREGATE_MEAN ? value / (double)a->queries : value;
    }
    return TAMIS_OK;
}

static tamis_status report_block(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)slot;
    const aggregation *a = arg;
    return tamis__progress(a->context, "reading scores", item * a->block_rows + rows_of(a, item),
                           a->rows, "rows", NULL, err);
}

/* Fewer or more than the file says: not those that the scorer left out. */
static tamis_status check_skipped(const aggregation *a, tamis_error *err)
{
    uint64_t said = tamis_scores_info_get(a->scores)->skipped;
    uint64_t found = a->rows - tamis__count_scored(a->value, a->rows);
    if (found == said) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s' says that %" PRIu64 " rows have no score, but %" PRIu64
                       " have none: run 'tamis inspect' on it",
                       tamis_scores_path(a->scores), said, found);
}

tamis_status tamis__aggregate(tamis_context *context, const tamis_scores *scores,
                              tamis_aggregate by, double **ret_values, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    if (info->top > 0) return tamis__listed(context, scores, by, ret_values, err);
    aggregation a = {.context = context,
                     .scores = scores,
                     .by = by,
                     .rows = info->rows,
                     .queries = info->queries,
                     .skips = info->skipped > 0};
    a.block_rows = a.queries < BLOCK_FLOATS ? BLOCK_FLOATS / a.queries : 1;
    if (a.block_rows > a.rows) a.block_rows = a.rows;
    tamis__pipeline pipeline = {
        .arg = &a, .produce = read_block, .work = reduce_block, .consume = report_block};
    pipeline.items = (a.rows + a.block_rows - 1) / a.block_rows;
    unsigned slots = tamis__pool_slots(context->pool, &pipeline);
    uint64_t block = a.block_rows * a.queries * sizeof(float);
    tamis_status status = tamis__memory_check(context, slots * block + a.rows * sizeof(double),
                                              "aggregating scores", err);
    if (status != TAMIS_OK) return status;
    a.buffer = tamis__malloc(slots, (size_t)block);
    a.value = tamis__malloc((size_t)a.rows, sizeof(double));
    status = a.buffer && a.value
                 ? tamis__pool_run(context->pool, &pipeline, err)
                 : tamis__fail_memory(err, "one value a row", slots * block + a.rows * 8);
    free(a.buffer);
    if (status == TAMIS_OK) status = check_skipped(&a, err);
    if (status == TAMIS_OK)
        *ret_values = a.value;
    else
        free(a.value);
    return status;
}

/* --- order ---------------------------------------------------------------------------------- */

static int lower_row(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

uint64_t tamis__count_scored(const double *values, uint64_t rows)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < rows; i++) n += !isnan(values[i]);
    return n;
}

/* Rows without a value come last, whichever end comes first. */
static int missing_last(double a, double b)
{
    return (isnan(a) != 0) - (isnan(b) != 0);
}

static int lowest_first(const void *left, const void *right, void *values)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    const double *value = values;
    int missing = missing_last(value[a], value[b]);
    if (missing) return missing;
    if (value[a] < value[b]) return -1;
    if (value[b] < value[a]) return 1;
    return lower_row(a, b);
}

static int highest_first(const void *left, const void *right, void *values)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    const double *value = values;
    int missing = missing_last(value[a], value[b]);
    if (missing) return missing;
    if (value[a] > value[b]) return -1;
    if (value[b] > value[a]) return 1;
    return lower_row(a, b);
}

tamis_status tamis__order(const double *values, uint64_t rows, bool high, uint64_t **ret_order,
                          tamis_error *err)
{
    uint64_t *order = tamis__malloc((size_t)rows, sizeof *order);
    if (!order) return tamis__fail_memory(err, "the order of the rows", rows * sizeof *order);
    for (uint64_t i = 0; i < rows; i++) order[i] = i;
    qsort_r(order, (size_t)rows, sizeof *order, high ? highest_first : lowest_first,
            (void *)(uintptr_t)values);
    *ret_order = order;
    return TAMIS_OK;
}

tamis_status tamis__take(tamis_selection *selection, const uint64_t *order, uint64_t kept,
                         const char *kept_reason, const char *dropped_reason, tamis_error *err)
{
    uint16_t in = 0, out = 0;
    if (kept > 0) TAMIS_TRY(tamis_selection_reason(selection, kept_reason, &in, err));
    if (kept < selection->rows)
        TAMIS_TRY(tamis_selection_reason(selection, dropped_reason, &out, err));
    for (uint64_t i = 0; i < selection->rows; i++) {
        selection->rank[order[i]] = i;
        selection->keep[order[i]] = i < kept;
        selection->reason[order[i]] = i < kept ? in : out;
    }
    return TAMIS_OK;
}

/* With lists or costs; the lowest value is the best when it is the bottom that is wanted. */
static tamis_status pick_end(const tamis__candidates *c, bool highest, tamis_selection *selection,
                             tamis_error *err)
{
    char kept[256], dropped[256];
    tamis__picks picks = {0};
    uint64_t *order = NULL;
    double *good = tamis__malloc((size_t)c->rows, sizeof *good);
    tamis_status status = good ? tamis__picks_init(&picks, c, err)
                               : tamis__fail_memory(err, "one value a row", c->rows * 8);
    for (uint64_t i = 0; status == TAMIS_OK && i < c->rows; i++)
        good[i] = highest ? c->value[i] : -c->value[i];
    if (status == TAMIS_OK) status = tamis__order_by_cost(c, c->value, highest, &order, err);
    if (status == TAMIS_OK) {
        tamis__picks_walk(&picks, order, c->rows);
        tamis__picks_reasons(&picks, c->value_name, highest, kept, dropped);
        status = tamis__picks_give(&picks, good, kept, dropped, selection, err);
    }
    free(order);
    free(good);
    tamis__picks_fini(&picks);
    return status;
}

tamis_status tamis__take_end(const tamis__candidates *c, bool highest, tamis_selection *selection,
                             tamis_error *err)
{
    char kept[256], dropped[256];
    uint64_t *order = NULL;
    const char *end = highest ? "top" : "bottom";
    if (c->cost || c->standing) return pick_end(c, highest, selection, err);
    snprintf(kept, sizeof kept, "in the %s %.32s (%" PRIu64 " of %" PRIu64 ") by %s", end,
             c->budget_text, c->budget, c->rows, c->value_name);
    snprintf(dropped, sizeof dropped, "%s the %s %.32s (%" PRIu64 " of %" PRIu64 ") by %s",
             highest ? "below" : "above", end, c->budget_text, c->budget, c->rows, c->value_name);
    TAMIS_TRY(tamis__order(c->value, c->rows, highest, &order, err));
    tamis_status status = tamis__take(selection, order, c->budget, kept, dropped, err);
    free(order);
    return status;
}
