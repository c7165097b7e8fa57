/* Candidates that the library owns.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_FILTER_LIST_H
#define TAMIS_FILTER_LIST_H

#include <tamis/candidates.h>

/* A query and one of its rows. */
typedef struct tamis__pair {
    uint64_t query, row;
} tamis__pair;

/* Candidates of `queries` queries from pairs in any order, which are sorted here; a pair that is
 * there twice counts once. Errors: NOMEM. */
tamis_status tamis__candidates_make(tamis_candidates **ret_candidates, uint64_t queries,
                                    tamis__pair *pair, uint64_t pairs, tamis_error *err);

#endif
