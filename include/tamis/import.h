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

/** What to import: exactly one of `rows` and `scores`. Zero-initialise. Strings and arrays need
 *  live only during the call. */
typedef struct tamis_import_params {
    const char *format;            /**< "npy" or "safetensors"; required */
    const tamis_import_rows *rows; /**< [checkpoints]: a store is made */
    uint32_t checkpoints;          /**< entries of rows; 0 with scores */
    const char *scores;            /**< or: .npy [N, Q] or [N]; a scores file is made */
    bool flip;                     /**< scores: negate, for sources where positive means harmful */
    const char *labels;            /**< .npy integers [N]; NULL = none */
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
 *  groups or ids that differ in number), NUMERIC (NaN or infinite: names row and column), ARG,
 *  UNSUPPORTED, NOMEM, CANCELLED. Complexity: one pass. Memory: blocks of rows. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_import(tamis_context *context,
                                                    const tamis_import_params *params,
                                                    tamis_error *err);

TAMIS_END

#endif
