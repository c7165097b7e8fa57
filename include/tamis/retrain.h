/* tamis - retraining: a built-in model trained again on subsets of its rows, several seeds each.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_RETRAIN_H
#define TAMIS_RETRAIN_H

#include <stdbool.h>
#include <tamis/model.h>

TAMIS_BEGIN

/** Subsets of rows. Plain data; the array belongs to the struct. */
typedef struct tamis_subsets {
    uint64_t subsets; /**< how many, > 0 */
    uint64_t rows;    /**< rows that they are subsets of, > 0 */
    uint8_t *member;  /**< [subsets, rows] 1 = the row is in the subset */
} tamis_subsets;

/** `number` subsets of `fraction` of the rows (rounded half up, at least one row), drawn without
 *  replacement; subset j depends on seed, rows and j alone. The caller frees *ret_subsets with
 *  tamis_subsets_free(). Errors: ARG (no subset, no row, a fraction outside (0, 1]), NOMEM
 *  (also the memory limit of the context, as for the two functions below).
 *  Thread-safe. Complexity: number x rows. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_subsets_draw(tamis_subsets *ret_subsets,
                                                          const tamis_context *context,
                                                          uint64_t rows, uint64_t number,
                                                          double fraction, uint64_t seed,
                                                          tamis_error *err);

/** Read subsets of `rows` rows from .npy: integers [subsets, K] are row numbers, booleans [subsets,
 *  rows] say which rows are in. Errors: IO, FORMAT (a bad .npy, a number that is not whole), SHAPE
 *  (a row that does not exist or stands twice in a subset, flags for another number of rows, an
 *  empty subset: names subset and place), NOMEM. Complexity: one pass over the file. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_subsets_read(tamis_subsets *ret_subsets,
                                                          tamis_context *context, const char *path,
                                                          uint64_t rows, tamis_error *err);

/** All rows, then all without row[0], all without row[1] ...: 1 + n subsets, what leave-one-out
 *  needs. Errors: ARG (a row that does not exist, fewer than two rows, n = 0), NOMEM.
 *  Thread-safe. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_subsets_without(tamis_subsets *ret_subsets,
                                                             const tamis_context *context,
                                                             uint64_t rows, const uint64_t *row,
                                                             uint64_t n, tamis_error *err);

/** Free what the struct holds and zero it. Accepts a zeroed struct. */
TAMIS_API void tamis_subsets_free(tamis_subsets *subsets);

/** How a model was trained, as far as it says: layers, activation and standardisation are seen from
 *  it, the rest (optimizer, epochs, batch, learning rate, momentum, weight decay, seed) is read
 *  from its provenance, where `tamis train` puts it. What it does not say is as
 *  tamis_train_defaults() has it, and *ret_recorded false. `ret_hidden` [layers of the model]
 *  receives the widths that ret_params->hidden points to; no checkpoints but the last are asked
 *  for. Errors: FORMAT (the provenance holds a value that cannot be), NOMEM. Thread-safe. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_model_recipe(const tamis_model *model,
                                                          tamis_train_params *ret_params,
                                                          uint32_t *ret_hidden, bool *ret_recorded,
                                                          tamis_error *err);

/** What to train again. Zero-initialise; everything is only read. */
typedef struct tamis_retrain_params {
    const tamis_train_params *train; /**< run s of a subset is trained with seed train->seed + s;
                                          required */
    const tamis_data *data;          /**< rows that subsets are of, with labels; required */
    const tamis_data *query;         /**< rows that loss and margin are worked out on, with labels
                                          of the same classes; required */
    uint64_t seeds;                  /**< runs of each subset, > 0 */
    bool in_place;    /**< false: each run gives the bits of tamis_train() on a file of the subset's
                        rows. true: rows come in the order of a run on all rows with that seed, and
                        a row that is left out leaves its place in its mini-batch empty. Two runs
                        then differ by that row and not by every mini-batch, which is what makes the
                        effect of one row measurable */
    const char *runs; /**< file that keeps every finished run and gives back those that are in it;
                           made when absent. NULL = none */
} tamis_retrain_params;

/** What came out. Plain data; arrays belong to the struct. */
typedef struct tamis_retrained {
    uint64_t subsets, seeds, queries;
    double *loss; /**< [subsets, seeds, queries] cross-entropy, nats */
    double
        *margin; /**< [subsets, seeds, queries] logit of the label minus logsumexp of the others */
    uint8_t *correct; /**< [subsets, seeds, queries] 1 = the largest logit is the label's */
    uint64_t reused;  /**< runs that were in the file of runs already */
} tamis_retrained;

/** Train a model for every subset and seed, as many at once as the context has threads, each on one
 *  thread. The bits do not depend on the threads, and not on which runs were there already.
 *  Runs are kept in `runs` as they finish, in order, each with a digest and the key of what it was
 *  made of (subset, seed, in_place); the file itself has the key of data, queries and training
 *  parameters. A run that was killed goes on with the first missing one; a torn record at the end
 *  is done again. Progress counts runs. The caller frees *ret_retrained with
 *  tamis_retrained_free().
 *  Errors: those of tamis_train() (the message names subset and seed), ARG (no seeds), SHAPE
 *  (subsets of another number of rows, queries of other columns or classes, `runs` holds runs on
 *  other data or with other parameters), FORMAT (`runs` is no file of runs), IO (`runs` cannot be
 *  written or is in use by another run), CANCELLED (finished runs are kept), NOMEM.
 *  Complexity: that of training, subsets x seeds times. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_retrain(tamis_retrained *ret_retrained,
                                                     tamis_context *context,
                                                     const tamis_retrain_params *params,
                                                     const tamis_subsets *subsets,
                                                     tamis_error *err);

/** Free what the struct holds and zero it. Accepts a zeroed struct. */
TAMIS_API void tamis_retrained_free(tamis_retrained *retrained);

/** What is measured of a query after retraining; more is better. */
typedef enum tamis_output {
    TAMIS_OUTPUT_LOSS = 0,  /**< minus the loss */
    TAMIS_OUTPUT_MARGIN = 1 /**< the margin */
} tamis_output;

/** Mean over the seeds, [subsets, queries] into `ret_outputs`, which the caller has room for.
 *  Thread-safe. */
TAMIS_API void tamis_retrained_mean(const tamis_retrained *retrained, tamis_output output,
                                    double *ret_outputs);

/** The rank correlation that a perfect predictor of the expected output would reach with the mean
 *  over these seeds: retraining noise keeps it below 1. From the mean Spearman correlation r
 *  between two seeds, over subsets, mean over queries and pairs: the reliability of the mean of S
 *  seeds is S r / (1 + (S - 1) r) (Spearman 1910, Brown 1910), the ceiling its square root. NaN
 *  with one seed,
 *  0 when r <= 0. Errors: NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_retrained_ceiling(const tamis_retrained *retrained,
                                                               tamis_output output,
                                                               double *ret_ceiling,
                                                               tamis_error *err);

TAMIS_END

#endif
