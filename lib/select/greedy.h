/* Picking rows one by one under a budget, and the order of picks made a selection.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_GREEDY_H
#define TAMIS_SELECT_GREEDY_H

#include "select/registry.h"

/* What became of a row, in tamis__picks.taken. */
enum {
    TAMIS__PICK_OPEN = 0,
    TAMIS__PICKED = 1,
    TAMIS__PASSED_OVER = 2 /* its turn came, and it cost more than was left */
};

/* Rows in the order in which they were picked, while a budget lasts. */
typedef struct tamis__picks {
    const tamis__candidates *from;
    uint64_t n;
    uint64_t *row;      /* [n], room for all */
    double left;        /* of the allowance */
    double slack;       /* by which a cost may exceed it: sums of costs are rounded */
    uint8_t *taken;     /* [rows] TAMIS__PICK_* */
    uint64_t *by_cost;  /* [rows] free rows, cheapest first; NULL without costs */
    uint64_t free_rows; /* rows that may be picked; entries of by_cost */
    uint64_t cheapest;  /* all of by_cost before this one are picked */
} tamis__picks;

/* Rows that must be kept are picked at once, ascending. The budget is `allowance` with costs, and
 * `budget` without. Errors: ARG (they cost more than the budget: says both), NOMEM. */
tamis_status tamis__picks_init(tamis__picks *ret_picks, const tamis__candidates *from,
                               tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__picks_fini(tamis__picks *picks);

/* May this row ever be picked: nobody has barred it and it has a value, where there are values? */
bool tamis__picks_free(const tamis__candidates *from, uint64_t row);
/* May this row be picked: free, not taken yet, and its cost within what is left? */
bool tamis__picks_fits(const tamis__picks *picks, uint64_t row);
/* Pick a row that fits. */
void tamis__picks_add(tamis__picks *picks, uint64_t row);
/* If the row fits pick it; a free one that does not is marked as passed over. */
bool tamis__picks_try(tamis__picks *picks, uint64_t row);
/* Nothing more could be picked: the budget is used up (with costs: no free row fits any more). */
bool tamis__picks_done(tamis__picks *picks);

/* Walk `order` [n] and pick what fits, until nothing does. With costs the order's own: see
 * tamis__order_by_cost(). */
void tamis__picks_walk(tamis__picks *picks, const uint64_t *order, uint64_t n);

/* Rows by value over cost, highest first, as a greedy knapsack takes them. Values are moved to
 * be >= 0 first, by the lowest finite one of a free row; rows that cost nothing come before all
 * others, by their values; rows that are barred or have no value come last. Not highest_first:
 * the lowest values are the good ones, and what counts is how far they are below the highest.
 * Without costs tamis__order(). The caller frees *ret_order with free(). Errors: NOMEM. */
tamis_status tamis__order_by_cost(const tamis__candidates *from, const double *value,
                                  bool highest_first, uint64_t **ret_order, tamis_error *err);

/* Greedy maximisation of a set function under the budget: the row with the largest gain is
 * picked, and again, whatever the gain's sign, until the budget is used up. Ties go to the lower
 * row; with costs gains are divided by them (a cost of 0 makes any gain >= 0 infinite). Lazy
 * with `submodular`: a gain found before is taken as a bound (Minoux 1978, Accelerated greedy
 * algorithms), which gives the same picks when gains only shrink. `add` is called for rows that
 * were picked before, too, in their order, before any gain is asked for. Errors: what the
 * callbacks return, NUMERIC (a gain is NaN), NOMEM, CANCELLED. */
typedef struct tamis__gain {
    void *arg;
    bool submodular;
    /* What the set would gain by this row. */
    tamis_status (*gain)(void *arg, uint64_t row, double *ret_gain, tamis_error *err);
    /* The row was picked; NULL = nothing to do. */
    tamis_status (*add)(void *arg, uint64_t row, tamis_error *err);
} tamis__gain;
tamis_status tamis__greedy(tamis__picks *picks, const tamis__gain *gain, tamis_error *err);

/* The two reasons of rows by value, when all are picked: `name` is that of the value, `highest`
 * which end of it was taken. They tell costs, and how many of the rows had to be kept. */
void tamis__picks_reasons(const tamis__picks *picks, const char *name, bool highest, char kept[256],
                          char dropped[256]);

/* Rows by `value` [rows], highest first, as many as fit; with costs by value over cost. `name`
 * is that of the value, for reasons. Sets keep, rank, reason and score. Errors: as
 * tamis__picks_init(). */
tamis_status tamis__pick_by_value(const tamis__candidates *from, const double *value,
                                  const char *name, tamis_selection *selection, tamis_error *err);

/* Sets keep, rank and reason: picks in their order, then the others by `value` (NULL: by
 * selection->score), highest first, barred rows and those without a value last. Reasons are `kept`
 * (NULL: the caller sets those of rows that were picked) and `dropped`; rows that must be kept and
 * rows that were passed over get their own, rows that are barred get theirs from the driver.
 * Errors: NOMEM, ARG (too many reasons). */
tamis_status tamis__picks_give(const tamis__picks *picks, const double *value, const char *kept,
                               const char *dropped, tamis_selection *selection, tamis_error *err);

#endif
