/* The groups of a query store, and the mean query of each.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORE_LESS_GROUPS_H
#define TAMIS_SCORE_LESS_GROUPS_H

#include "score/registry.h"

/* Groups that have rows, in the order of the store; all rows are one group where the store has no
 * groups. */
typedef struct tamis__query_groups {
    uint64_t n;
    uint64_t *member;  /* [query rows] which group the row is in */
    double *size;      /* [n] rows of a group */
    const char **name; /* [n], owned by the store; "all" where it has no groups */
} tamis__query_groups;

/* Errors: ARG (a row is in no group: names it), NOMEM. */
tamis_status tamis__query_groups_init(tamis__query_groups *ret_groups, const tamis_store *query,
                                      tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__query_groups_fini(tamis__query_groups *groups);

/* A group's mean query at every checkpoint: the mean of unit rows, or with `gradient` the unit of
 * the mean row. With `direction` a row of zeros, or a mean of zeros, is NUMERIC; otherwise it
 * counts as zeros. Free with tamis__held_queries_fini(). */
tamis_status tamis__query_means(const tamis__score_call *call, const tamis__query_groups *groups,
                                bool gradient, bool direction, tamis__held_queries *ret_means,
                                tamis_error *err);

#endif
