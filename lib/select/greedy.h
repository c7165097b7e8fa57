/* Picking rows one by one under a budget, and the order of picks made a selection.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_GREEDY_H
#define TAMIS_SELECT_GREEDY_H

#include "select/registry.h"

/* Rows in the order in which they were picked, while a budget lasts. */
typedef struct tamis__picks {
    const tamis__candidates *from;
    uint64_t n;
    uint64_t *row;  /* [n] */
    double left;    /* of the allowance */
    uint8_t *taken; /* [rows] 1 = picked */
} tamis__picks;

/* Rows that must be kept are picked at once, ascending. Errors: ARG (they cost more than the budget: says
 * both), NOMEM. */
tamis_status tamis__picks_init(tamis__picks *ret_picks, const tamis__candidates *from,
                               tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__picks_fini(tamis__picks *picks);

/* May this row be picked: free, not taken yet, and its cost within what is left? */
bool tamis__picks_fits(const tamis__picks *picks, uint64_t row);
/* Pick a row that fits. */
void tamis__picks_add(tamis__picks *picks, uint64_t row);
/* Nothing more could be picked: the budget is used up (with costs: no free row fits any more). */
bool tamis__picks_done(const tamis__picks *picks);

/* Walk `order` [n] and pick what fits. With costs that is the order's own: see tamis__order_by_cost(). */
void tamis__picks_walk(tamis__picks *picks, const uint64_t *order, uint64_t n);

/* Rows by value over cost, highest first, as a greedy knapsack takes them (values are moved to be
 * >= 0 first; rows that cost nothing come first); without costs tamis__order(). */
tamis_status tamis__order_by_cost(const tamis__candidates *from, const double *value,
                                  bool highest_first, uint64_t **ret_order, tamis_error *err);

/* Greedy maximisation of a set function. Lazy with `submodular`: a gain found before is taken as a
 * bound. Ties go to the lower row; with costs gains are divided by them. */
typedef struct tamis__gain {
    void *arg;
    bool submodular;
    /* What the set would gain by this row. */
    tamis_status (*gain)(void *arg, uint64_t row, double *ret_gain, tamis_error *err);
    /* The row was picked. */
    tamis_status (*add)(void *arg, uint64_t row, tamis_error *err);
} tamis__gain;
tamis_status tamis__greedy(tamis__picks *picks, const tamis__gain *gain, tamis_error *err);

/* Sets keep, rank and reason: picks in their order, then the others by `value` (NULL: by
 * selection->score), highest first. Reasons are `kept` and `dropped`; rows that must be kept, that are
 * barred or did not fit the budget are given theirs by the driver or here. */
tamis_status tamis__picks_give(const tamis__picks *picks, const double *value, const char *kept,
                               const char *dropped, tamis_selection *selection, tamis_error *err);

#endif
