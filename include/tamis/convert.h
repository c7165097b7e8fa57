/* tamis - gradient stores made from others: another type, fewer checkpoints or layers, projected or
 * whitened rows, shards cut anew.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CONVERT_H
#define TAMIS_CONVERT_H

#include <stdbool.h>
#include <tamis/curvature.h>

TAMIS_BEGIN

/** What to make of a store. Zero-initialise. Strings need live only during the call. */
typedef struct tamis_convert_params {
    tamis_store *store;      /**< the source; required, stays the caller's */
    const char *path;        /**< file, or directory when shard_rows != 0; required. Not the
                                  source's */
    bool retype;             /**< store as `dtype`; false = in the source's type */
    tamis_dtype dtype;       /**< default f32; only read with `retype` */
    bool reform;             /**< store in `form`; false = in the source's, or full when rows are
                                  projected */
    tamis_form form;         /**< only read with `reform`. Factors can be made full, not full rows
                                  factors */
    const char *checkpoints; /**< "0,3-5", "last", "all"; NULL = all */
    const char *layers;      /**< names, numbers or ranges of numbers separated by commas; NULL =
                                  all */
    const char *project;     /**< "K", "sparse:K[,nonzeros=S]" or "rademacher:K": project what is
                                  left of each row to K columns at random; sparse when nothing is
                                  said, with S = 2 at most K. NULL = not */
    uint64_t seed;           /**< of the projection */
    const tamis_curvature *whiten;    /**< make rows whose dot products are influence under this
                                  curvature (see tamis_whitening): its checkpoint, all layers, and
                                  not projected. NULL = not */
    tamis_curvature_kind whiten_kind; /**< what the curvature is seen as: ekfac, kfac or diagonal; a
                                  file of ekfac serves kfac too */
    double damping;                   /**< of the whitening, >= 0; 0.1, relative, is usual */
    bool damping_absolute;            /**< `damping` is a number; false = in units of a layer's mean
                                  eigenvalue */
    double keep;            /**< share of the whitened coordinates that stay, those with the largest
                                  lambda / (lambda + damping), in (0, 1]; 0 = 1 = all */
    uint64_t shard_rows;    /**< rows of a shard, rounded up to whole blocks; 0 = one file */
    bool force;             /**< replace an existing store */
    bool resume;            /**< keep whole shards that are there and match */
    uint64_t sample;        /**< rows to compare with the source; 0 = none. At most a million */
    const char *provenance; /**< JSON text; NULL = "{}" */
} tamis_convert_params;

/** How well the dot products of two stores agree: those of sampled rows with the queries among
 *  them, added over checkpoints, in double. */
typedef struct tamis_agreement {
    double mean_spearman;      /**< rank correlation of the rows, mean over the queries; ties share
                                    their mean rank; queries with one score for all rows count as
                                    1 when both stores agree in that, else as 0 */
    double least_spearman;     /**< the worst query's */
    double largest_difference; /**< largest |difference| as a share of the source's largest
                                    |score| */
} tamis_agreement;

/** What was made. */
typedef struct tamis_convert_report {
    uint64_t rows, columns;       /**< of the new store */
    uint32_t checkpoints, layers; /**< of the source that went in */
    bool whitened;                /**< rows were whitened: what is compared with are the source's
                                       rows whitened in double and not rounded to the new type */
    bool dropped;                 /**< checkpoints or layers were left out; of whitened rows:
                                       coordinates */
    uint64_t sample_rows;         /**< rows that were compared, evenly spaced; 0 = none were */
    uint64_t sample_queries;      /**< rows among them that were the queries, at most 16 */
    tamis_agreement kept;         /**< with the checkpoints and layers of the source that went in,
                                       or the whitened coordinates that stayed */
    tamis_agreement full;         /**< with the whole source, or all whitened coordinates; the same
                                       when nothing was left out */
} tamis_convert_report;

/** Make a store from another one. Ids, digests, labels, groups, losses, margins, probabilities and
 *  norms go along (norms are taken anew where layers are left out or rows projected). Rows whose
 *  type and columns stay are copied bit for bit; factors stay factors unless `form` or a projection
 *  says otherwise. A projected row becomes one layer `projected`. A
 *  whitened store has the layers of the source, or with `keep` below 1 a row of coordinates for
 *  each, and the curvature's checkpoint alone. It is compared with whitened rows of the source that
 *  are not rounded, once with the coordinates that stayed and once with all of them, so the report
 *  says what the type and `keep` cost in influence; plain dot products of the source are another
 *  score. The result has the same bytes for any number of threads and memory limit.
 *  `ret_report` may be NULL.
 *  Errors: ARG (nothing to do it from or to, no such checkpoint or layer, a projection that is no
 *  projection, a whitening with parts left out or a projection), UNSUPPORTED
 *  (projecting or taking layers out of a store that is projected or whitened already, factors of
 *  full rows, factors of checkpoints whose examples have other numbers of tokens), SHAPE (a
 *  curvature of other layers), NUMERIC (a row is not finite or too large for the
 *  type), FORMAT, SHAPE, IO (also an output that exists), NOMEM (also the memory limit), CANCELLED.
 *  Complexity: one pass over the rows that stay, O(rows * columns * nonzeros) for sparse and
 *  O(rows * columns * K) for rademacher projections; O(sample * columns) for the comparison,
 *  and as much as whitening the sample where rows are whitened.
 *  Memory: a few blocks of rows a thread, within the context's limit. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_convert(tamis_context *context,
                                                     const tamis_convert_params *params,
                                                     tamis_convert_report *ret_report,
                                                     tamis_error *err);

TAMIS_END

#endif
