/* What reading and writing scores files share.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_SCORES_FILE_H
#define TAMIS_STORE_SCORES_FILE_H

#include <tamis/scores.h>

#include "store/h5.h"

/* More scores than any file holds, so that their bytes can be counted. */
#define TAMIS__SCORES_MAX (UINT64_C(1) << 60)

/* The part must lie in [rows, queries]. Errors: ARG. */
tamis_status tamis__scores_check_part(const char *path, uint64_t rows, uint64_t queries,
                                      const tamis__h5_part *part, tamis_error *err);

/* There are such lists (`places` > 0), of these queries out of `total`. Errors: ARG. */
tamis_status tamis__scores_check_list(const char *path, tamis_scores_list which, uint64_t places,
                                      uint64_t total, uint64_t first_query, uint64_t queries,
                                      tamis_error *err);

typedef struct tamis__scores_statistics {
    const char *path;
    uint64_t queries, scored; /* scored: rows with a score */
    const uint64_t *count;    /* [queries], as the next two */
    const double *mean, *variance;
    bool partial; /* columns may have fewer scores than others */
} tamis__scores_statistics;

/* Errors: `fault`. */
tamis_status tamis__scores_statistics_check(const tamis__scores_statistics *statistics,
                                            tamis_status fault, tamis_error *err);

#endif
