/* What the driver gathers for selectors that look at every query's scores.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_QUERIES_H
#define TAMIS_SELECT_QUERIES_H

#include "select/matrix.h"

typedef struct tamis__query_scores {
    tamis__query_matrix *matrix;
    tamis__groups group; /* of queries; all in one where none are given */
    int32_t *of;         /* what group.of points at when it is owned */
    uint8_t *standing;   /* [rows] BARRED also for rows without a score that need not be kept */
} tamis__query_scores;

/* `standing` is what is settled already (NULL = nothing), and is copied; `group` is of
 * candidates, for class-zscore. Errors: as tamis__query_matrix_open(), and ARG (a group of a
 * query that does not exist: names the query). */
tamis_status tamis__query_scores_open(tamis__query_scores *ret_scores, tamis_context *context,
                                      const tamis_select_params *params, tamis_normalise normalise,
                                      const tamis__groups *group, const uint8_t *standing,
                                      tamis_error *err);

/* Candidates as a selector sees them that looks at groups of queries: a row that has a score of
 * queries in no group only has none to look at, and is not free. */
typedef struct tamis__grouped {
    tamis__candidates candidates;
    double *value; /* what candidates.value points at; NULL = all rows have one */
} tamis__grouped;

/* `selector` is named in messages. Where no groups are known and `asked` for them by name there is
 * a warning that all queries are one. Errors: ARG (no query is in a group; a budget of more rows
 * than there are), NOMEM (also: more groups than fit the memory limit), IO, CANCELLED. */
tamis_status tamis__grouped_init(tamis__grouped *ret_grouped, const tamis__candidates *candidates,
                                 const char *selector, bool asked, tamis_error *err);
/* Rows that are not free for that get a reason. After tamis__picks_give(). Errors: NOMEM, ARG (too
 * many reasons). */
tamis_status tamis__grouped_explain(const tamis__grouped *grouped, tamis_selection *selection,
                                    tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__grouped_fini(tamis__grouped *grouped);

/* Accepts a zeroed struct. */
void tamis__query_scores_close(tamis__query_scores *scores);

#endif
