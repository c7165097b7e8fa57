/* Lists of rows for each query, and what they must be.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_SCORES_LIST_H
#define TAMIS_STORE_SCORES_LIST_H

#include <tamis/scores.h>

#include "store/h5.h"

enum { TAMIS__LISTS = 2 }; /* top and bottom */

/* The group of the file, which is also what people call the list: "top" or "bottom". */
const char *tamis__list_name(tamis_scores_list which);

/* The lists of one end, [queries, places] of rows and of scores. */
typedef struct tamis__lists {
    uint64_t places; /* 0 = none; then nothing is open */
    hid_t row, score;
} tamis__lists;

tamis_status tamis__lists_create(tamis__lists *lists, const tamis__h5 *h5, tamis_scores_list which,
                                 uint64_t queries, uint64_t places, tamis_error *err);
/* Lists of a file, if it has any. *ret_queries is set when it does. */
tamis_status tamis__lists_open(tamis__lists *lists, const tamis__h5 *h5, tamis_scores_list which,
                               uint64_t *ret_queries, tamis_error *err);
void tamis__lists_close(tamis__lists *lists);

/* The lists that are to be checked, or written. */
typedef struct tamis__list_block {
    const char *path;
    tamis_scores_list which;
    uint64_t total_rows, places, first_query, queries;
    const uint64_t *row;
    const float *score;
    bool partial; /* lists may have fewer rows than others */
} tamis__list_block;

/* Every list: rows exist, none twice, scores finite and in order, places without a row at the end,
 * and `taken` places with one in each, or at most so many when partial; UINT64_MAX = as many as in
 * the first. *ret_taken says how
 * many. `fault` is the status of a list that is not like that. Errors: `fault`, NOMEM. */
tamis_status tamis__lists_check(const tamis__list_block *block, uint64_t taken, uint64_t *ret_taken,
                                tamis_status fault, tamis_error *err);

#endif
