/* Scores of candidates only: which rows are read, and which pairs of row and query have a score.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORE_CANDIDATES_H
#define TAMIS_SCORE_CANDIDATES_H

#include <tamis/score.h>

#include "stream/engine.h"

/* Pairs that are no candidates become NaN on their way to `next`. Columns are those of queries,
 * each with as many as the filter says. */
typedef struct tamis__pair_filter {
    const struct tamis__filter *filter;
    tamis__sink next;
    float *values; /* of a block */
    uint64_t room;
} tamis__pair_filter;

typedef struct tamis__filter {
    const tamis_candidates *list; /* NULL = every pair is scored, and nothing else counts */
    uint64_t apart;               /* columns of a query */
    bool pairs;                   /* the last column is not the only one: pairs are looked at */
    uint64_t rows;                /* of the scores */
    const uint64_t *token; /* [training rows + 1] first token, where rows are tokens; or NULL */
    uint64_t *row, listed; /* training rows that are a candidate of any query, ascending */
    unsigned char *scored; /* [rows] 1 = the row has a score */
    tamis__pair_filter last;
} tamis__filter;

/* What goes together. `own` = columns that the scorer has by itself, 0 = one for each query.
 * Errors: ARG. */
tamis_status tamis__filter_check(const tamis_score_params *params, const tamis_scorer_info *info,
                                 uint64_t own, tamis_error *err);

/* For scores [rows, columns] of checked params; does nothing without candidates. Errors: ARG (lists
 * that are not ascending, rows that do not exist), NOMEM. */
tamis_status tamis__filter_init(tamis__filter *ret_filter, tamis_context *context,
                                const tamis_score_params *params, uint64_t rows, uint64_t columns,
                                tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__filter_fini(tamis__filter *filter);

/* What it takes of the memory limit. */
uint64_t tamis__filter_bytes(const tamis__filter *filter, uint64_t columns);

/* May rows have a score for some of the columns and not for others? */
bool tamis__filter_partial(const tamis_score_params *params, uint64_t columns);

/* In front of all that takes finished scores. */
tamis__sink tamis__filter_of(tamis__filter *filter, tamis__sink next);

/* Scores of an earlier run: only which rows have any is noted. */
void tamis__filter_note(tamis__filter *filter, uint64_t first_row, uint64_t rows, uint64_t queries,
                        const float *values, size_t stride);

/* Rows without a score. */
uint64_t tamis__filter_unscored(const tamis__filter *filter);

/* Put in front of a maximum over queries, which is to be that of candidates; *sink is what takes
 * the blocks of all queries. Does nothing without candidates. Finish with
 * tamis__pair_filter_fini(). */
void tamis__pair_filter_put(tamis__pair_filter *ret_pairs, const tamis__filter *filter,
                            tamis__sink *sink);
void tamis__pair_filter_fini(tamis__pair_filter *pairs);

/* What the lists say, for the key of a run. */
uint64_t tamis__filter_digest(const tamis_candidates *list, uint64_t seed);

#endif
