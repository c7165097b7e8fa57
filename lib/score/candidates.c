/* Scores of candidates only.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/candidates.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/mem.h"
#include "curvature/spectra.h"
#include "stream/sinks.h"

/* --- what goes together ----------------------------------------------------------------------- */

/* Lists of their own for several queries. */
static bool differ(const tamis_candidates *list)
{
    return list->queries > 1;
}

tamis_status tamis__filter_check(const tamis_score_params *params, const tamis_scorer_info *info,
                                 uint64_t own, tamis_error *err)
{
    const tamis_candidates *list = params->candidates;
    if (!list) return TAMIS_OK;
    if (info->flags & TAMIS_SCORER_NO_QUERY || !params->query)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "%s scores each example by itself: leave out the candidates",
                           info->name);
    uint64_t queries = tamis_store_info_get(params->query)->rows;
    if (list->queries != 1 && list->queries != queries)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "there are candidates of %" PRIu64 " queries, '%s' has %" PRIu64,
                           list->queries, tamis_store_path(params->query), queries);
    if (!differ(list)) return TAMIS_OK;
    if (own && params->by != TAMIS_BY_LAYER)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "%s has no column for each query, and queries have candidates of their "
                           "own: give one list of candidates for all queries",
                           info->name);
    if (params->reduce == TAMIS_REDUCE_NONE || params->reduce == TAMIS_REDUCE_MAX) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "queries have candidates of their own, so there is no mean or sum over them "
                       "for each row: reduce by max or not at all, or give one list of candidates "
                       "for all queries");
}

bool tamis__filter_partial(const tamis_score_params *params, uint64_t columns)
{
    return params->candidates && differ(params->candidates) && columns > 1;
}

static tamis_status check_lists(const tamis_candidates *list, uint64_t rows, tamis_error *err)
{
    for (uint64_t q = 0; q < list->queries; q++)
        for (uint64_t i = list->first[q]; i < list->first[q + 1]; i++) {
            if (list->row[i] >= rows)
                return tamis__fail(err, TAMIS_ERR_ARG,
                                   "query %" PRIu64 " has row %" PRIu64
                                   " as a candidate, there are %" PRIu64,
                                   q, list->row[i], rows);
            if (i > list->first[q] && list->row[i] <= list->row[i - 1])
                return tamis__fail(err, TAMIS_ERR_ARG,
                                   "the candidates of query %" PRIu64 " are not in ascending order",
                                   q);
        }
    return TAMIS_OK;
}

uint64_t tamis__filter_digest(const tamis_candidates *list, uint64_t seed)
{
    seed = tamis__digest_seeded(list->first, (list->queries + 1) * sizeof *list->first, seed);
    return tamis__digest_seeded(list->row, list->first[list->queries] * sizeof *list->row, seed);
}

/* --- which rows are read ---------------------------------------------------------------------- */

static tamis_status unite(tamis__filter *filter, uint64_t rows, tamis_error *err)
{
    const tamis_candidates *list = filter->list;
    unsigned char *in = tamis__calloc(rows, 1);
    if (!in) return tamis__fail_memory(err, "candidates", rows);
    uint64_t n = 0;
    for (uint64_t i = 0; i < list->first[list->queries]; i++) in[list->row[i]] = 1;
    for (uint64_t i = 0; i < rows; i++) n += in[i];
    filter->row = tamis__malloc(n, sizeof *filter->row);
    for (uint64_t i = 0; i < rows && filter->row; i++)
        if (in[i]) filter->row[filter->listed++] = i;
    free(in);
    return filter->row ? TAMIS_OK : tamis__fail_memory(err, "candidates", n * sizeof *filter->row);
}

static tamis_status find_tokens(tamis__filter *filter, const tamis_score_params *params,
                                tamis_error *err)
{
    uint32_t checkpoint = 0;
    if (params->by != TAMIS_BY_TOKEN) return TAMIS_OK;
    TAMIS_TRY(tamis__curvature_checkpoint(params->curvature, params->train, &checkpoint, err));
    return tamis_store_tokens(params->train, checkpoint, &filter->token, err);
}

tamis_status tamis__filter_init(tamis__filter *ret_filter, tamis_context *context,
                                const tamis_score_params *params, uint64_t rows, uint64_t columns,
                                tamis_error *err)
{
    const tamis_candidates *list = params->candidates;
    uint64_t train = tamis_store_info_get(params->train)->rows;
    if (!list) return TAMIS_OK;
    *ret_filter = (tamis__filter){.list = list,
                                  .apart = columns > list->queries ? columns / list->queries : 1,
                                  .pairs = !differ(list) || columns > 1,
                                  .rows = rows};
    TAMIS_TRY(
        tamis__memory_check(context, rows + train * (1 + sizeof *list->row), "candidates", err));
    TAMIS_TRY(check_lists(list, train, err));
    TAMIS_TRY(find_tokens(ret_filter, params, err));
    TAMIS_TRY(unite(ret_filter, train, err));
    ret_filter->scored = tamis__calloc(rows, 1);
    return ret_filter->scored ? TAMIS_OK : tamis__fail_memory(err, "rows with a score", rows);
}

void tamis__filter_fini(tamis__filter *filter)
{
    tamis__pair_filter_fini(&filter->last);
    free(filter->row);
    free(filter->scored);
    *filter = (tamis__filter){0};
}

uint64_t tamis__filter_bytes(const tamis__filter *filter, uint64_t columns)
{
    if (!filter->list) return 0;
    /* Blocks have up to 256 rows. */
    return filter->rows + filter->listed * sizeof *filter->row + 2 * 256 * columns * sizeof(float);
}

/* --- which pairs have a score ----------------------------------------------------------------- */

/* The first row of the scores that is of this training row. */
static uint64_t place(const tamis__filter *f, uint64_t row)
{
    return f->token ? f->token[row] : row;
}

/* The first candidate of a list, first .. end, that ends after a row of the scores. */
static uint64_t seek(const tamis__filter *f, uint64_t first, uint64_t end, uint64_t row)
{
    while (first < end) {
        uint64_t middle = first + (end - first) / 2;
        if (place(f, f->list->row[middle] + 1) <= row)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

typedef struct block {
    uint64_t first_row, rows, queries;
    const float *from;
    size_t stride;
    float *to; /* [rows, queries] */
} block;

static void copy_column(const tamis__filter *f, uint64_t query, uint64_t column, const block *b)
{
    const uint64_t *first = f->list->first;
    uint64_t list = differ(f->list) ? query / f->apart : 0, last = b->first_row + b->rows;
    uint64_t i = seek(f, first[list], first[list + 1], b->first_row);
    for (; i < first[list + 1] && place(f, f->list->row[i]) < last; i++) {
        uint64_t row = place(f, f->list->row[i]), end = place(f, f->list->row[i] + 1);
        if (row < b->first_row) row = b->first_row;
        for (; row < end && row < last; row++) {
            uint64_t at = row - b->first_row;
            b->to[at * b->queries + column] = b->from[at * b->stride + column];
        }
    }
}

static tamis_status put_pairs(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                              uint64_t queries, const float *values, size_t stride,
                              tamis_error *err)
{
    tamis__pair_filter *p = arg;
    uint64_t n = rows * queries;
    if (n > p->room) {
        float *grown = tamis__realloc(p->values, n, sizeof *grown);
        if (!grown) return tamis__fail_memory(err, "scores of candidates", n * sizeof *grown);
        p->values = grown;
        p->room = n;
    }
    for (uint64_t i = 0; i < n; i++) p->values[i] = NAN;
    block b = {first_row, rows, queries, values, stride, p->values};
    for (uint64_t q = 0; q < queries; q++) copy_column(p->filter, first_query + q, q, &b);
    return p->next.put(p->next.arg, first_row, rows, first_query, queries, p->values, queries, err);
}

void tamis__pair_filter_put(tamis__pair_filter *ret_pairs, const tamis__filter *filter,
                            tamis__sink *sink)
{
    *ret_pairs = (tamis__pair_filter){.filter = filter, .next = *sink};
    if (filter->list && differ(filter->list))
        *sink = (tamis__sink){.arg = ret_pairs, .put = put_pairs};
}

void tamis__pair_filter_fini(tamis__pair_filter *pairs)
{
    free(pairs->values);
    *pairs = (tamis__pair_filter){0};
}

/* --- the last stage --------------------------------------------------------------------------- */

void tamis__filter_note(tamis__filter *filter, uint64_t first_row, uint64_t rows, uint64_t queries,
                        const float *values, size_t stride)
{
    for (uint64_t i = 0; filter->list && i < rows; i++)
        for (uint64_t q = 0; q < queries; q++)
            if (!isnan(values[i * stride + q])) {
                filter->scored[first_row + i] = 1;
                break;
            }
}

static tamis_status put_noted(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                              uint64_t queries, const float *values, size_t stride,
                              tamis_error *err)
{
    tamis__filter *f = arg;
    if (!f->pairs) {
        tamis__filter_note(f, first_row, rows, queries, values, stride);
        return f->last.next.put(f->last.next.arg, first_row, rows, first_query, queries, values,
                                stride, err);
    }
    TAMIS_TRY(put_pairs(&f->last, first_row, rows, first_query, queries, values, stride, err));
    tamis__filter_note(f, first_row, rows, queries, f->last.values, queries);
    return TAMIS_OK;
}

tamis__sink tamis__filter_of(tamis__filter *filter, tamis__sink next)
{
    filter->last = (tamis__pair_filter){.filter = filter, .next = next};
    return (tamis__sink){.arg = filter, .put = put_noted};
}

uint64_t tamis__filter_unscored(const tamis__filter *filter)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < filter->rows; i++) n += !filter->scored[i];
    return n;
}
