/* tamis - selectors: from scores or per-example columns to a selection.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_H
#define TAMIS_SELECT_H

#include <tamis/curvature.h>
#include <tamis/param.h>
#include <tamis/scores.h>
#include <tamis/selection.h>

TAMIS_BEGIN

/** Properties of a selector, for `flags`. */
enum {
    TAMIS_SELECTOR_NO_BUDGET = 1u << 0, /**< decides by itself how many to keep */
    TAMIS_SELECTOR_NO_VALUE = 1u << 1,  /**< looks at no value (random) */
    TAMIS_SELECTOR_STORES = 1u << 2 /**< looks at the rows of two stores, candidates and targets */
};

/** What a selector says of itself; const and static. */
typedef struct tamis_selector_info {
    const char *name;               /**< as written on the command line */
    const char *summary;            /**< one line, lower case, no full stop */
    const char *citation;           /**< where the rule comes from */
    unsigned flags;                 /**< TAMIS_SELECTOR_* */
    const tamis_param_desc *params; /**< [n_params] what may follow the name */
    size_t n_params;                /**< entries of params */
} tamis_selector_info;

/** The i-th selector, in alphabetical order; NULL past the end. Thread-safe. */
TAMIS_API const tamis_selector_info *tamis_selector_at(size_t i);

/** Check "name[:param=value,...]" without choosing anything. *ret_info (may be NULL) is the
 *  selector. Errors: ARG, as tamis_select(). */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_selector_check(const char *selector,
                                                            const tamis_selector_info **ret_info,
                                                            tamis_error *err);

/** How the queries' scores of a row become one value. */
typedef enum tamis_aggregate {
    TAMIS_AGGREGATE_TOTAL = 0, /**< sum over queries, accumulated in double */
    TAMIS_AGGREGATE_MEAN = 1,  /**< that sum, divided by the number of queries */
    TAMIS_AGGREGATE_MAX = 2    /**< the largest score of any query */
} tamis_aggregate;

/** What to select. Zero-initialise. Exactly one of `scores` and `store` is set; or, for a selector
 *  with TAMIS_SELECTOR_STORES, `train` and `query` and neither of the two. */
typedef struct tamis_select_params {
    const char *selector;       /**< "name[:param=value,...]"; required */
    const tamis_scores *scores; /**< a scores file; not closed */
    tamis_store *store;         /**< a gradient store, with `column`; not closed */
    const char *column;         /**< with `store`: "loss", "margin", "norm" or "self" (weights times
                                     squared norms, summed over checkpoints); loss, margin and norm
                                     are those of the last checkpoint. NULL with `scores`: the
                                     scores themselves */
    tamis_store *train; /**< rows of candidates, any kind of rows in full form; not closed */
    tamis_store *query; /**< rows of targets; not closed */
    const tamis_curvature *curvature; /**< of kind whiten, by which rows are whitened; NULL = fitted
                                           to both stores with the defaults. Not closed */
    tamis_aggregate by;               /**< used with scores; default total */
    const char *budget; /**< "1000" or "5%" (of the rows, rounded half up); NULL when the selector
                             needs none */
    uint64_t seed;      /**< of selectors that draw at random (random; the folds of tarot-otm);
                             default 0 */
    const char *provenance; /**< JSON text; NULL = "{}" */
} tamis_select_params;

/** Choose. Ties go to the lower row. The caller owns *ret_selection.
 *  Rows without a score are never kept: they stand behind all others, their score is NaN, and their
 *  reason begins with "no score". From a file of lists the value of a row is the largest score in
 *  the top lists that hold it, which needs `by` max or a single query; rows in no list are dropped as
 *  "in no query's top K". A share is one of all rows.
 *  Errors: ARG (unknown selector or column, budget missing, zero, negative, over the number of
 *  rows or over 100%, more rows than have a score, an aggregate that lists do not give), NUMERIC (a
 *  value is NaN though the row has scores: names the row), FORMAT (the store has no such column, a
 *  list is damaged, or rows without a score are not those the file speaks of), IO, NOMEM, CANCELLED;
 *  of stores also SHAPE (their columns or checkpoints differ) and NUMERIC (a row is not finite, a
 *  covariance is singular, nothing has a positive score). Complexity: one pass over the scores and a
 *  sort of the rows; of stores rows * columns^2 to whiten, rows * targets * columns for the scores. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_select(tamis_selection **ret_selection,
                                                    tamis_context *context,
                                                    const tamis_select_params *params,
                                                    tamis_error *err);

/** "5%" or "1000" to a number of rows in [1, rows]. Thread-safe. Errors: ARG (neither form, zero,
 *  negative, over `rows` or over 100%, a share that rounds to no row, `rows` is 0). */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_budget_parse(const char *text, uint64_t rows,
                                                          uint64_t *ret_count, tamis_error *err);

TAMIS_END

#endif
