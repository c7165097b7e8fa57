/* Strata of rows, and how each of them gets its share of the budget.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_STRATA_H
#define TAMIS_SELECT_STRATA_H

#include "select/greedy.h"

/* The parameters of stratified. */
typedef struct tamis__strata_options {
    bool group, lowest, equal, top;
    uint64_t strata, least, most; /* most 0 = no bound; of costs where there are any, else rows */
    double prune;
} tamis__strata_options;

typedef struct tamis__strata {
    const tamis__strata_options *options;
    const tamis__candidates *from;
    tamis__picks *picks;
    uint64_t n;
    uint64_t *of;    /* [rows] which stratum a free row is in; UINT64_MAX = pruned, or not free */
    double *key;     /* [rows] rows of a stratum are kept by it, highest first; NaN = in none */
    uint64_t *size;  /* [n] free rows */
    uint64_t *quota; /* [n] of them that are to be kept; without costs */
    uint64_t *taken; /* [n] of them that are kept */
    double *share;   /* [n] what they may cost together; with costs */
    double *spent;   /* [n] what those that are kept cost; with costs */
} tamis__strata;

/* Share the budget out and pick rows, in their order; of, key and size are there. Rows that must be
 * kept count towards their group.
 *
 * _rows: quotas are numbers of rows, equal shares rounded down (smallest stratum first) or by
 * largest remainder (groups).
 *
 * _costs: shares are of costs. A stratum takes the rows of its order that still fit its share, the
 * others are passed over. By value each gets an equal share of what those before it, the cheaper
 * ones, have left. What is left in the end goes to the stratum that is farthest below its share,
 * row by row, while any row fits the budget and the bound of its group. Where all rows cost 1 this
 * gives the same as _rows, but for groups at a bound, whose share is not rounded first.
 *
 * Errors: ARG (pruning or bounds leave less than the budget, or bounds want more), NOMEM. */
tamis_status tamis__strata_fill_rows(tamis__strata *strata, tamis_error *err);
tamis_status tamis__strata_fill_costs(tamis__strata *strata, tamis_error *err);

/* How much of its stratum was kept is each row's reason. Errors: NOMEM, ARG (too many). */
tamis_status tamis__strata_explain(const tamis__strata *strata, tamis_selection *selection,
                                   tamis_error *err);

#endif
