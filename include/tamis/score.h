/* tamis - scorers: from gradient stores to a scores file.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORE_H
#define TAMIS_SCORE_H

#include <tamis/curvature.h>
#include <tamis/param.h>
#include <tamis/scores.h>

TAMIS_BEGIN

/** Properties of a scorer, for `flags`. */
enum {
    TAMIS_SCORER_NO_QUERY = 1u << 0,  /**< one score per training example; takes no query store */
    TAMIS_SCORER_CURVATURE = 1u << 1, /**< needs a curvature file */
    TAMIS_SCORER_MAY_CURVATURE = 1u << 2, /**< takes a curvature file, and does without as well */
    TAMIS_SCORER_PARTS = 1u << 3,         /**< scores can be split, see tamis_score_by */
    TAMIS_SCORER_WHITENING = 1u << 4      /**< its curvature file is one of kind whiten; that of the
                                               others never is */
};

/** What a scorer says of itself; const and static. The formulas are in docs/scorers.md. */
typedef struct tamis_scorer_info {
    const char *name;               /**< as written on the command line */
    const char *summary;            /**< one line */
    const char *citation;           /**< paper and equation */
    unsigned flags;                 /**< TAMIS_SCORER_* */
    const tamis_param_desc *params; /**< [n_params] what may follow the name */
    size_t n_params;                /**< entries of params */
} tamis_scorer_info;

/** The i-th scorer, in alphabetical order; NULL past the end. Thread-safe. */
TAMIS_API const tamis_scorer_info *tamis_scorer_at(size_t i);

/** Check "name[:param=value,...]" without scoring anything. *ret_info (may be NULL) is the scorer.
 *  Errors: ARG, as tamis_score(). */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_scorer_check(const char *scorer,
                                                          const tamis_scorer_info **ret_info,
                                                          tamis_error *err);

/** What is made of a row's scores for several queries. Means and sums are those of the queries,
 *  which is the same, since a score is linear in its query, and as fast as a single query. */
typedef enum tamis_reduce {
    TAMIS_REDUCE_NONE = 0,       /**< a column for each query */
    TAMIS_REDUCE_MEAN = 1,       /**< one column: the mean over all queries */
    TAMIS_REDUCE_SUM = 2,        /**< one column: the sum over all queries */
    TAMIS_REDUCE_MAX = 3,        /**< one column: the largest over all queries */
    TAMIS_REDUCE_GROUP_MEAN = 4, /**< a column for each group of queries: the mean within it */
    TAMIS_REDUCE_GROUP_MAX = 5   /**< one column: the largest over groups of the mean within */
} tamis_reduce;

/** How queries are held while the training rows pass by. */
typedef enum tamis_panel {
    TAMIS_PANEL_AUTO = 0,  /**< rounded to a narrower type where that is faster and the error that
                                this makes, measured on a sample, is at most `panel_error` */
    TAMIS_PANEL_EXACT = 1, /**< as floats */
    TAMIS_PANEL_FAST = 2   /**< rounded to a narrower type where that is faster */
} tamis_panel;

/** What a score is split into, by scorers that can (TAMIS_SCORER_PARTS). */
typedef enum tamis_score_by {
    TAMIS_BY_EXAMPLE = 0, /**< not at all */
    TAMIS_BY_LAYER = 1,   /**< a column for each query and layer, id "QUERY:LAYER"; they add up to
                               the query's score */
    TAMIS_BY_TOKEN =
        2 /**< a row for each token of the training examples, id "EXAMPLE:TOKEN"; they add
                               up to the example's score. Factor form only */
} tamis_score_by;

/** Training rows worth scoring, for each query. Pairs outside have no score: NaN in a matrix, in no
 *  list. Only rows that are a candidate of any query are read. With lists that differ between
 *  queries, a maximum over queries is that of those that have the row as a candidate, and there are
 *  no means or sums. See tamis_candidates_from_texts(). */
typedef struct tamis_candidates {
    uint64_t queries;      /**< as in the query store, or 1 when the same rows are meant for all */
    const uint64_t *first; /**< [queries + 1] where each query's rows start */
    const uint64_t *row;   /**< [first[queries]] training rows, ascending within a query */
} tamis_candidates;

/** What to score. Zero-initialise. */
typedef struct tamis_score_params {
    const char *scorer;                 /**< "name[:param=value,...]"; required */
    tamis_store *train;                 /**< required; not closed */
    tamis_store *query;                 /**< NULL for scorers with TAMIS_SCORER_NO_QUERY */
    const tamis_curvature *curvature;   /**< for scorers with TAMIS_SCORER_CURVATURE; those with
                                             _MAY_CURVATURE do without as well; else NULL */
    tamis_score_by by;                  /**< default: whole scores */
    const tamis_candidates *candidates; /**< NULL = every row is scored; read during the call */
    const char *path;                   /**< scores file to write; required */
    uint64_t seed;                      /**< for scorers that draw numbers; default 0 */
    tamis_reduce reduce;                /**< default: a column for each query */
    uint64_t top;           /**< keep only so many best rows of each column, at most the rows;
                                 0 = all scores, as a matrix */
    uint64_t bottom;        /**< so many worst rows as well; needs `top`; 0 = none */
    tamis_panel panel;      /**< default TAMIS_PANEL_AUTO */
    double panel_error;     /**< for TAMIS_PANEL_AUTO: largest difference from scores in double over
                                 the largest of them; 0 = 1e-3 */
    bool skip_bad_rows;     /**< a training row that is not finite, or has no direction where one is
                                 needed, gets no score (NaN) instead of being an error */
    bool resume;            /**< keep what is done in "<path>.spool" when the run ends early, and go
                                 on from there; only for a matrix */
    bool force;             /**< replace an existing output */
    const char *provenance; /**< JSON text; NULL = "{}" */
} tamis_score_params;

/** What was done. Texts are static. */
typedef struct tamis_score_report {
    uint64_t rows, columns; /**< of the scores */
    uint64_t skipped;       /**< rows without a score */
    uint64_t listed;        /**< training rows that are a candidate of any query; 0 = there were no
                                 candidates */
    uint64_t resumed;       /**< blocks that an earlier run had done */
    const char *kernel;    /**< instructions of the product ("avx512bf16"); NULL = there was none */
    const char *panel;     /**< what queries were held in ("f32", "bf16", "i16"); NULL likewise */
    double panel_error;    /**< largest difference of a score from that in double, over the largest
                                 score, on a sample of rows and queries; 0 with "f32" */
    double panel_rejected; /**< the same of a narrower type that was not taken for it; 0 = none */
    uint64_t spectral_rank, query_rank; /**< of the product of factors; 0 = exact */
    uint64_t rescored;        /**< two stages: pairs of queries and rows that were scored exactly */
    uint64_t list_sample;     /**< two stages: queries whose lists were compared with exact ones */
    double list_recall;       /**< share of an exact list that was found, mean over these queries */
    double list_recall_least; /**< and the worst query's */
} tamis_score_report;

/** Score every training row against every query and write the scores file. Bit-identical for any
 *  thread count, memory limit and sharding of the stores, and whether interrupted and resumed or
 *  not.
 *  *ret_report (may be NULL) tells how it was done.
 *  Errors: ARG (unknown scorer or parameter, query store missing or not wanted, lists longer than
 *  the store, candidates that are not in order, of other queries or not for this scorer, a
 *  reduction or resuming that does not go with the scorer), SHAPE (layers, columns, checkpoints or
 *  projections differ: says which; a spool of another run), NUMERIC (a row is not finite, or has no
 *  direction where one is needed: names its id), IO (also when a store changes while it is read),
 *  NOMEM, CANCELLED.
 *  Complexity: 2 * rows * queries * columns * checkpoints flops; the training rows are read once
 *  for every group of queries that fits the memory limit. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_score(tamis_context *context,
                                                   const tamis_score_params *params,
                                                   tamis_score_report *ret_report,
                                                   tamis_error *err);

TAMIS_END

#endif
