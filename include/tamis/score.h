/* tamis - scorers: from gradient stores to a scores file.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORE_H
#define TAMIS_SCORE_H

#include <tamis/param.h>
#include <tamis/scores.h>

TAMIS_BEGIN

/** Properties of a scorer, for `flags`. */
enum {
    TAMIS_SCORER_NO_QUERY = 1u << 0 /**< one score per training example; takes no query store */
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

/** What to score. Zero-initialise. */
typedef struct tamis_score_params {
    const char *scorer;     /**< "name[:param=value,...]"; required */
    tamis_store *train;     /**< required; not closed */
    tamis_store *query;     /**< NULL for scorers with TAMIS_SCORER_NO_QUERY */
    const char *path;       /**< scores file to write; required */
    uint64_t seed;          /**< for scorers that draw numbers; default 0 */
    bool skip_bad_rows;     /**< a training row that is not finite, or has no direction where one is
                                 needed, gets no score (NaN) instead of being an error */
    bool force;             /**< replace an existing output */
    const char *provenance; /**< JSON text; NULL = "{}" */
} tamis_score_params;

/** Score every training row against every query and write the scores file. Bit-identical for any
 *  thread count, memory limit and sharding of the stores.
 *  Errors: ARG (unknown scorer or parameter, query store missing or not wanted), SHAPE (layers,
 *  columns, checkpoints or projections differ: says which), NUMERIC (a row is not finite, or has
 *  no direction where one is needed: names its id), IO, NOMEM, CANCELLED.
 *  Complexity: 2 * rows * queries * columns * checkpoints flops; the training rows are read once
 *  for every 64-query tile group that fits the memory limit. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_score(tamis_context *context,
                                                   const tamis_score_params *params,
                                                   tamis_error *err);

TAMIS_END

#endif
