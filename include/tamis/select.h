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
    TAMIS_SELECTOR_STORES = 1u << 2, /**< looks at the rows of two stores, candidates and targets */
    TAMIS_SELECTOR_MATRIX = 1u << 3, /**< looks at the score of every query, not at one value a row;
                                          needs a scores file with a matrix */
    TAMIS_SELECTOR_LISTS = 1u << 4,  /**< heeds lists of rows that must be kept or dropped */
    TAMIS_SELECTOR_COSTS = 1u << 5,  /**< heeds what rows cost */
    TAMIS_SELECTOR_ZSCORE = 1u << 6, /**< scores are normalised by zscore unless told otherwise */
    TAMIS_SELECTOR_GROUPS = 1u << 7, /**< may look at groups of candidates */
    TAMIS_SELECTOR_QUERY_GROUPS = 1u << 8 /**< may look at groups of queries */
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

/** What is done to scores, or to any column of values, before rows are compared. */
typedef enum tamis_normalise {
    TAMIS_NORMALISE_NONE = 0,   /**< nothing */
    TAMIS_NORMALISE_ZSCORE = 1, /**< (x - mean) / population standard deviation; a constant column
                                      becomes 0 */
    TAMIS_NORMALISE_MINMAX =
        2, /**< (x - min) / (max - min), in [0, 1]; a constant column becomes 0 */
    TAMIS_NORMALISE_RANK =
        3, /**< rank / (rows - 1), in [0, 1], 1 = the highest; ties share the mean
                                      of their ranks; one row alone becomes 0 */
    TAMIS_NORMALISE_SOFTMAX = 4,     /**< exp(x - max) over their sum; the column sums to 1 */
    TAMIS_NORMALISE_CLASS_ZSCORE = 5 /**< zscore within each group of candidates */
} tamis_normalise;

/** One more column of values, one for each candidate, that is added to what rows are chosen by. */
typedef struct tamis_select_term {
    const double *value;       /**< [rows] finite, or NaN = this row has none and is never kept */
    const char *name;          /**< for reasons and provenance; required */
    double weight;             /**< what the normalised value is multiplied by; finite */
    tamis_normalise normalise; /**< applied to the column alone */
} tamis_select_term;

/** A bound: candidates outside it are never kept, and their reason says so. */
typedef struct tamis_select_filter {
    const double *value; /**< [rows]; NaN = outside */
    const char *name;    /**< for reasons and provenance; required */
    double low, high;    /**< both included; -INFINITY and INFINITY = no bound */
    bool quantiles;      /**< bounds are shares of the rows in [0, 1], by quantile of the column */
} tamis_select_filter;

/** What to select. Zero-initialise. Exactly one of `scores` and `store` is set; or, for a selector
 *  with TAMIS_SELECTOR_STORES, `train` and `query` and neither of the two. */
typedef struct tamis_select_params {
    const char *selector;       /**< "name[:param=value,...]"; required */
    const tamis_scores *scores; /**< a scores file; not closed */
    tamis_store *store;         /**< a gradient store, with `column`; not closed */
    const char *column;         /**< with `store`: "length", "loss", "margin", "norm" or "self"
                                     (weights times squared norms, summed over checkpoints); loss,
                                     margin and norm are those of the last checkpoint. NULL with
                                     `scores`: the scores themselves */
    tamis_store *train; /**< rows of candidates, any kind of rows in full form; not closed */
    tamis_store *query; /**< rows of targets; not closed */
    const tamis_curvature *curvature; /**< of kind whiten, by which rows are whitened; NULL = fitted
                                           to both stores with the defaults. Not closed */
    tamis_aggregate by;               /**< used with scores; default total */
    const char *budget; /**< "1000" or "5%" (of the rows, rounded half up); NULL when the selector
                             needs none */
    uint64_t seed;      /**< of selectors that draw at random (random; the folds of tarot-otm);
                             default 0 */
    tamis_normalise normalise; /**< of each query's scores, or of the column; default none */
    bool normalise_given; /**< none is meant, too; false = none is the selector's default, which is
                               zscore with TAMIS_SELECTOR_ZSCORE */
    const int32_t
        *query_group; /**< [queries] group of each query, from 0, of any sizes; NULL = those
                                     in the scores file */
    const char *const *query_group_name; /**< [query_groups] or NULL */
    uint32_t query_groups;               /**< with query_group: how many */
    const char *group_by; /**< groups of candidates: "label" or "group" as the scores or store say;
                               NULL = those in `group`, else group, else label, where there are
                               any */
    const int32_t *group; /**< [rows] groups of candidates, from 0; NULL = see group_by */
    const char *const *group_name; /**< [groups] or NULL */
    uint32_t groups;               /**< with group: how many */
    const tamis_select_term
        *term;    /**< [terms] weight times normalised column is added to the value of
                                        each row; with terms `column` may be NULL, and the value is
                                        theirs alone */
    size_t terms; /**< entries of term */
    const tamis_select_filter *filter; /**< [filters] all must be passed */
    size_t filters;                    /**< entries of filter */
    const double *cost; /**< [rows] what a row costs (tokens, seconds), finite and >= 0; NULL = each
                                 costs 1. With it `budget` is in the unit of costs ("2000000", "5%"
                                 of their sum) */
    const char *cost_name;     /**< "length", for reasons; required with cost */
    const uint64_t *must_keep; /**< [n_must_keep] rows that are kept whatever their value, and
                                    without one too; ascending. They count towards the budget */
    uint64_t n_must_keep;
    const uint64_t *must_drop; /**< [n_must_drop] rows that are never kept, ascending */
    uint64_t n_must_drop;
    const char *provenance; /**< JSON text; NULL = "{}" */
} tamis_select_params;

/** Choose. Ties go to the lower row. The caller owns *ret_selection.
 *  Rows without a score are never kept, unless they must be: they stand behind all others, their
 *  score is NaN, and their reason begins with "no score". From a file of lists the value of a row
 *  is the largest score in the top lists that hold it, which needs `by` max or a single query; rows
 *  in no list are dropped as "in no query's top K". A share is one of all rows.
 *  Selectors of one value a row heed terms; filters and rows that must be dropped are heeded by
 *  these and by selectors with TAMIS_SELECTOR_LISTS, rows that must be kept and costs by those with
 *  the flags of these; groups of candidates by those with TAMIS_SELECTOR_GROUPS and by
 *  class-zscore, groups of queries by those with TAMIS_SELECTOR_QUERY_GROUPS, `by` where scores
 *  become one value a row. What a selector does not heed is refused. With costs rows are taken by
 *  value over cost (top, bottom, and selectors of every query's scores as docs/selectors.md says)
 *  or in the order in which they were drawn (random), and those that no longer fit are passed over;
 *  stratified shares costs out among strata.
 *  Errors: ARG (unknown selector or column, budget missing, zero, negative, over the number of
 *  rows or over 100%, more rows than have a score, an aggregate that lists do not give), NUMERIC (a
 *  value is NaN though the row has scores, or infinities cancel when columns are added: names the
 *  row), FORMAT (the store has no such column, a list is damaged, or rows without a score are not
 *  those the file speaks of), IO, NOMEM, CANCELLED;
 *  of stores also SHAPE (their columns or checkpoints differ) and NUMERIC (a row is not finite, a
 *  covariance is singular, nothing has a positive score). Complexity: one pass over the scores and
 *  a sort of the rows; of stores rows * columns^2 to whiten, rows * targets * columns for the
 *  scores. */
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
