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
/* Is any query in a group? Otherwise ARG, which names the selector. NOMEM when there are more groups than
 * fit the memory limit. */
tamis_status tamis__need_query_groups(const tamis__candidates *candidates, const char *selector,
                                      tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__query_scores_close(tamis__query_scores *scores);

#endif
