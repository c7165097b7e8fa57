/* tamis - yardsticks for scores.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_EVALUATE_H
#define TAMIS_EVALUATE_H

#include <tamis/retrain.h>
#include <tamis/scores.h>
#include <tamis/select.h>

TAMIS_BEGIN

/* --- uncertainty ------------------------------------------------------------------------------ */

/** How intervals are made: `draws` resamples with replacement (Efron 1979), draw d being a function
 *  of the seed, d and the number of what is resampled alone, so that two evaluations with one seed
 *  are paired. */
typedef struct tamis_bootstrap {
    uint64_t draws; /**< 0 = no intervals */
    uint64_t seed;
    double level; /**< share of draws inside, in (0, 1); 0 = 0.95 */
    bool normal; /**< false: percentiles of the draws; true: the value and so many of their standard
                       deviations to both sides as a normal distribution has at this level. For
                       correlations: a resample repeats items, which lowers them, and the
                       percentiles with them */
} tamis_bootstrap;

/** A number and how sure it is. */
typedef struct tamis_estimate {
    double value;
    double error;     /**< standard deviation of the draws; NaN without draws */
    double low, high; /**< interval made of the draws; NaN without draws */
} tamis_estimate;

/** a - b with the interval of the differences of the draws, [draws] each, made by one bootstrap.
 *  Errors: NOMEM. Thread-safe. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_estimate_difference(
    const tamis_estimate *a, const double *draw_a, const tamis_estimate *b, const double *draw_b,
    const tamis_bootstrap *bootstrap, tamis_estimate *ret_difference, tamis_error *err);

/* --- known bad rows --------------------------------------------------------------------------- */

/** How well a ranking finds rows known to be bad. */
typedef struct tamis_noise {
    uint64_t rows, bad; /**< rows with a score, and those of them known to be bad */
    uint64_t skipped;   /**< rows without a score, which are left out of everything below */
    double auc;         /**< probability that a bad row stands before a good one, ties counting half
                             (Mann-Whitney); 0.5 = chance */
    uint64_t k;         /**< rows looked at: the budget */
    uint64_t found;     /**< bad rows among the first k (ties: lower row first) */
    double precision;   /**< found / k */
    double recall;      /**< found / bad */
} tamis_noise;

/** Compare a scores file, aggregated by `by`, with `bad` [rows] (1 = known bad). `low` true: the
 *  lowest scores are taken as the worst (influence on good queries); false: the highest
 *  (self-influence). In a file with scores of each query's candidates, those that a row has
 *  are aggregated. Errors: ARG (budget, or the file holds lists and no matrix), SHAPE (of the rows
 *  with a score all or none are bad, or none has a score), NUMERIC (NaN in a row with scores),
 *  FORMAT (rows without a score are not those the file speaks of), IO, NOMEM, CANCELLED. `budget`
 *  is as in tamis_budget_parse(). Complexity: one pass over the scores and a sort of the rows. The
 *  context is used by one thread at a time. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_evaluate_noise(
    tamis_context *context, const tamis_scores *scores, tamis_aggregate by, bool low,
    const uint8_t *bad, const char *budget, tamis_noise *ret_noise, tamis_error *err);

/** What more is wanted of a ranking. Zero-initialise. */
typedef struct tamis_noise_params {
    tamis_aggregate by;
    bool low;                  /**< as in tamis_evaluate_noise() */
    const uint8_t *bad;        /**< [rows]; required */
    const char *budget;        /**< as in tamis_budget_parse(); required */
    const char *const *at;     /**< [points] budgets of the curve, ascending */
    uint32_t points;           /**< entries of `at`; 0 = no curve */
    tamis_bootstrap bootstrap; /**< over the rows with a score */
} tamis_noise_params;

/** Found among the first k. */
typedef struct tamis_noise_point {
    uint64_t k, found;
    tamis_estimate precision, recall;
} tamis_noise_point;

/** A ranking with its uncertainty. Arrays belong to the struct. */
typedef struct tamis_noise_curve {
    tamis_noise noise;
    tamis_estimate auc;
    uint32_t points;
    tamis_noise_point *point; /**< [points] */
    double *draw; /**< [draws] of the AUC, for tamis_estimate_difference(); NULL = none */
} tamis_noise_curve;

/** As tamis_evaluate_noise(), with intervals and precision and recall at several budgets. A draw
 *  without bad or without good rows has an AUC of 0.5, one without bad rows a recall of 0. The
 *  caller frees *ret_curve with tamis_noise_curve_free(). Errors: also ARG (budgets that do not
 *  ascend).
 *  Complexity: also rows x draws. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_evaluate_noise_curve(tamis_noise_curve *ret_curve,
                                                                  tamis_context *context,
                                                                  const tamis_scores *scores,
                                                                  const tamis_noise_params *params,
                                                                  tamis_error *err);

/** Free what the struct holds and zero it. Accepts a zeroed struct. */
TAMIS_API void tamis_noise_curve_free(tamis_noise_curve *curve);

/** Read known bad rows: text with one row number a line ('#' starts a comment), or .npy of booleans
 *  [rows] or of row numbers. `ret_bad` is allocated [rows]; the caller frees it with free().
 *  Errors: IO (cannot read), FORMAT (a line is no row number: says which; a bad .npy), SHAPE (a row
 *  number outside [0, rows), flags that differ in number, no row marked), NOMEM. Complexity: one
 *  pass over the file. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_noise_read(tamis_context *context, const char *path,
                                                        uint64_t rows, uint8_t **ret_bad,
                                                        tamis_error *err);

/* --- linear datamodelling score --------------------------------------------------------------- */

/** What scores are measured against. Zero-initialise. */
typedef struct tamis_lds_params {
    const tamis_subsets *subsets; /**< of the training rows; required */
    const double *outputs; /**< [subsets, queries] of models trained on the subsets, more is better:
                                minus the loss, or the margin; required */
    uint64_t queries;
    const uint64_t *at; /**< [points] numbers of subsets, each at least 2: the score over the first
                             of them too */
    uint32_t points;    /**< entries of `at` */
    tamis_bootstrap bootstrap; /**< over the subsets */
} tamis_lds_params;

/** The linear datamodelling score. Arrays belong to the struct. */
typedef struct tamis_lds {
    uint64_t subsets, queries;
    uint64_t skipped; /**< training rows without a score; they count as 0 in the sums */
    uint64_t
        constant; /**< queries without a rank correlation, because their sums or outputs are all
                            the same; they count as 0 */
    tamis_estimate lds; /**< mean over the queries */
    double *query;      /**< [queries] Spearman correlation of each */
    double *draw;       /**< [draws] of the mean, for tamis_estimate_difference(); NULL = none */
    uint32_t points;
    tamis_estimate *point; /**< [points] over the first at[i] subsets */
} tamis_lds;

/** Mean over the queries of the Spearman correlation, over the subsets, between the sum of the
 *  scores of a subset's rows and the output of a model trained on it (Park et al. 2023, TRAK),
 *  average ranks for ties. Scores are streamed; sums are in double, in row order. The caller frees
 *  *ret_lds with tamis_lds_free(). Errors: ARG (the file holds lists, or scores of each query's
 *  candidates, and no whole matrix; fewer than two subsets, `at` out of range), SHAPE (other rows
 *  or queries than the scores have), NUMERIC (an output is not finite, a score is not a number
 *  though its row has scores), IO, NOMEM, CANCELLED.
 *  Complexity: rows x queries x subsets, and queries x subsets for each draw. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_evaluate_lds(tamis_lds *ret_lds,
                                                          tamis_context *context,
                                                          const tamis_scores *scores,
                                                          const tamis_lds_params *params,
                                                          tamis_error *err);

/** Free what the struct holds and zero it. Accepts a zeroed struct. */
TAMIS_API void tamis_lds_free(tamis_lds *lds);

/** Read outputs [subsets, queries] from .npy in double: losses are turned, so that more is better.
 *  The caller frees *ret_outputs with free(). Errors: IO, FORMAT, SHAPE (another number of subsets
 *  or queries), NUMERIC (not finite: names the place), NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_outputs_read(double **ret_outputs,
                                                          tamis_context *context, const char *path,
                                                          tamis_output output, uint64_t subsets,
                                                          uint64_t queries, tamis_error *err);

/* --- leave one out ---------------------------------------------------------------------------- */

/** Leave-one-out retraining against scores. Arrays belong to the struct. */
typedef struct tamis_loo {
    uint64_t rows, queries, seeds;
    tamis_estimate pearson, spearman;       /**< correlation over the rows, mean over the queries */
    double *query_pearson, *query_spearman; /**< [queries]; 0 where there is none */
    uint64_t constant;                      /**< queries without a correlation */
    double spread;  /**< standard deviation of the effects over the rows, root mean square over
                            the queries */
    double noise;   /**< standard error of an effect over the seeds, root mean square; NaN with one
                            seed */
    double ceiling; /**< correlation that a perfect predictor would have: sqrt(1 - noise^2 /
                            spread^2); 0 when the noise is larger; NaN with one seed */
    double *effect; /**< [rows, queries] loss without the row minus loss with it, mean over seeds */
    double *score;  /**< [rows, queries] */
    double *draw_pearson,
        *draw_spearman; /**< [draws], for tamis_estimate_difference(); NULL = none */
} tamis_loo;

/** Compare the scores of `rows` training rows `row` with what leaving each out does to the queries'
 *  losses: `retrained` is of tamis_subsets_without() for these rows, best in_place. The bootstrap
 *  is over the rows. The caller frees *ret_loo with tamis_loo_free(). Errors: ARG (lists, scores of
 *  each query's candidates, fewer than two rows), SHAPE (other rows or queries), NUMERIC (a row
 *  without a score), IO, NOMEM, CANCELLED. */
TAMIS_API TAMIS_NODISCARD tamis_status
tamis_evaluate_loo(tamis_loo *ret_loo, tamis_context *context, const tamis_scores *scores,
                   const uint64_t *row, uint64_t rows, const tamis_retrained *retrained,
                   const tamis_bootstrap *bootstrap, tamis_error *err);

/** Free what the struct holds and zero it. Accepts a zeroed struct. */
TAMIS_API void tamis_loo_free(tamis_loo *loo);

/* --- removal ---------------------------------------------------------------------------------- */

/** What is dropped before training again. Zero-initialise. */
typedef struct tamis_removal_params {
    const tamis_scores *scores; /**< NULL = at random, another order for every seed */
    tamis_aggregate by;         /**< of the scores */
    bool lowest_first; /**< false: the most helpful rows go first (brittleness); true: the most
                            harmful (cleaning) */
    bool keep;         /**< true: those that come first are kept, all others dropped */
    const double
        *fraction; /**< [points] of the rows, ascending; in [0, 1) to drop, (0, 1] to keep */
    uint32_t points;
    uint64_t random_seed; /**< of the order, without scores */
} tamis_removal_params;

/** One point of a curve. Intervals are Student's t over the seeds, at 95%; NaN with one seed. */
typedef struct tamis_removal_point {
    double fraction;
    uint64_t rows;                 /**< trained on */
    tamis_estimate loss, accuracy; /**< mean over queries and seeds; error = standard error over the
                                        seeds */
    double loss_deviation, accuracy_deviation; /**< standard deviation over the seeds */
} tamis_removal_point;

/** A curve. Arrays belong to the struct. */
typedef struct tamis_removal {
    uint32_t points;
    tamis_removal_point *point; /**< [points] */
    uint64_t reused;            /**< runs that were in the file of runs already */
} tamis_removal;

/** Train on what is left after dropping (or keeping) the first rows by score. Rows without a score
 *  come last. The caller frees *ret_removal with tamis_removal_free(). Errors: those of
 *  tamis_retrain(), ARG (fractions out of range or not ascending), SHAPE (scores of another number
 *  of rows), and those of reading scores as tamis_select() has them. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_evaluate_removal(tamis_removal *ret_removal,
                                                              tamis_context *context,
                                                              const tamis_removal_params *params,
                                                              const tamis_retrain_params *retrain,
                                                              tamis_error *err);

/** Free what the struct holds and zero it. Accepts a zeroed struct. */
TAMIS_API void tamis_removal_free(tamis_removal *removal);

/* --- overlap ---------------------------------------------------------------------------------- */

/** What two files are compared by. Zero-initialise. */
typedef struct tamis_overlap_params {
    tamis_scores_list end;     /**< the best rows or the worst */
    const uint64_t *k;         /**< [points] ascending, in [1, rows] */
    uint32_t points;           /**< > 0 */
    tamis_bootstrap bootstrap; /**< over the queries; none with a single query */
} tamis_overlap_params;

/** Agreement of the first k rows. */
typedef struct tamis_overlap_point {
    uint64_t k;
    tamis_estimate overlap; /**< rows in both / k, mean over the queries */
    tamis_estimate jaccard; /**< rows in both / rows in either, mean over the queries */
} tamis_overlap_point;

/** How far two files of scores agree. Arrays belong to the struct. */
typedef struct tamis_overlap {
    uint64_t rows, queries;
    uint32_t points;
    tamis_overlap_point *point; /**< [points] */
    bool ranked;                /**< both hold a matrix: there is a Spearman correlation */
    tamis_estimate spearman; /**< over the rows that have a score in both, mean over the queries */
    double *query_overlap;   /**< [queries, points] */
    double *query_spearman;  /**< [queries]; NULL unless `ranked` */
} tamis_overlap;

/** Compare the first rows and the ranks of two files, query by query; each may hold a matrix or
 *  lists long enough. Ties go to the lower row. The caller frees *ret_overlap with
 *  tamis_overlap_free(). Errors: ARG (k out of range, not ascending or longer than a list), SHAPE
 *  (other rows or queries, k larger than the rows with a score), NUMERIC (not a number),
 *  UNSUPPORTED (2^32 rows), FORMAT, IO, NOMEM, CANCELLED. Complexity: a sort of the rows for each
 *  query and file. */
TAMIS_API TAMIS_NODISCARD tamis_status
tamis_evaluate_overlap(tamis_overlap *ret_overlap, tamis_context *context, const tamis_scores *a,
                       const tamis_scores *b, const tamis_overlap_params *params, tamis_error *err);

/** Free what the struct holds and zero it. Accepts a zeroed struct. */
TAMIS_API void tamis_overlap_free(tamis_overlap *overlap);

TAMIS_END

#endif
