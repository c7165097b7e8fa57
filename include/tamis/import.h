/* tamis - rows and scores made elsewhere become a store or a scores file.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_IMPORT_H
#define TAMIS_IMPORT_H

#include <tamis/scores.h>
#include <tamis/store.h>

TAMIS_BEGIN

/** Rows of one checkpoint. */
typedef struct tamis_import_rows {
    const char *path;     /**< .npy (v1-3, C or Fortran order, f2 f4 f8) or .safetensors */
    const char *tensor;   /**< safetensors: 2-D tensor name; NULL = the only 2-D tensor */
    double learning_rate; /**< weight of the checkpoint; > 0 */
} tamis_import_rows;

/** Factors of one checkpoint, a row for each token. */
typedef struct tamis_import_factors {
    tamis_import_rows input; /**< [T, sum over layers of in, or of in + bias]: inputs, layers beside
                                 one another; its learning_rate is the checkpoint's */
    tamis_import_rows output_gradient; /**< [T, sum of out]: gradients of the layers' outputs; its
                                           learning_rate is not read */
} tamis_import_factors;

/** What to import: exactly one of `rows`, `factors` and `scores`. Zero-initialise. Strings and
 *  arrays need live only during the call. */
typedef struct tamis_import_params {
    const char *format;                  /**< "npy" or "safetensors"; required */
    const tamis_import_rows *rows;       /**< [checkpoints]: a store is made */
    const tamis_import_factors *factors; /**< or: [checkpoints]: a store in factor form is made */
    uint32_t checkpoints;                /**< entries of rows or factors; 0 with scores */
    const char *offset;       /**< factors: .npy integers [N + 1], the first token of every row and
                                    the end, at all checkpoints; NULL = a row is one token */
    const tamis_layer *layer; /**< factors: [layers]; first_column is not read. NULL = one layer
                                    "rows", as wide as the files */
    uint32_t layers;          /**< entries of layer; 0 with NULL */
    bool bias;                /**< factors without `layer`: the layer has a bias. Files that lack
                                    the ones of their layers' biases get them */
    const char *scores;       /**< or: .npy [N, Q] or [N]; a scores file is made */
    bool flip;                /**< scores: negate, for sources where positive means harmful */
    const char *labels;       /**< .npy integers [N]; NULL = none */
    const char *lengths;      /**< .npy integers [N], tokens of the records; NULL = none */
    const char *groups;  /**< .npy integers: of the rows [N]; with `scores`, of the queries [Q] */
    const char *ids;     /**< text, one id a line [N]; NULL = row numbers */
    const char *output;  /**< store or scores file to write; required */
    tamis_dtype dtype;   /**< of the store; default f32 */
    uint64_t shard_rows; /**< as tamis_store_spec; 0 with `scores` */
    bool force, resume;  /**< as tamis_store_spec; no resume with `scores` */
    const char *provenance; /**< JSON text; NULL = "{}" */
} tamis_import_params;

/** The i-th format that can be imported; NULL past the end. *ret_summary (may be NULL) is one line
 *  about it. Both are static text. Thread-safe. */
TAMIS_API const char *tamis_import_format_at(size_t i, const char **ret_summary);

/** Import. Record digests are unknown (0), so manifests are checked by count only.
 *  Errors: IO, FORMAT (hostile or truncated header; says the byte), SHAPE (rows, columns, labels,
 *  lengths, groups or ids that differ in number; factors that do not fit their layers), NUMERIC
 *  (NaN or infinite: names row and column), ARG, UNSUPPORTED, NOMEM, CANCELLED. Complexity: one
 *  pass. Memory: blocks of rows. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_import(tamis_context *context,
                                                    const tamis_import_params *params,
                                                    tamis_error *err);

TAMIS_END

#endif
