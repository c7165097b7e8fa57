/* tamis - the gradient store: per-example rows of one or more checkpoints, in HDF5.
 *
 * Layout (docs/formats.md has every dataset): rows whole, chunked by row blocks, never compressed,
 * f32, f16, bf16 or i8 with a scale for each row; one file, or a directory of shards NNNNN.h5 whose
 * row ranges join up.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_H
#define TAMIS_STORE_H

#include <stdbool.h>
#include <tamis/context.h>

TAMIS_BEGIN

/** A layer's block of columns: [out, in + bias] row-major, the bias as the LAST COLUMN. Rows that
 *  are not gradients of a linear layer (embeddings, imported rows) are one layer with out = 1. */
typedef struct tamis_layer {
    char name[128];        /**< UTF-8, unique in the store */
    uint64_t out, in;      /**< output and input width, without the bias */
    uint32_t bias;         /**< 1 when the block has a bias column, else 0 */
    uint64_t first_column; /**< where the block starts in a row */
} tamis_layer;

/** How a store keeps the gradient of an example. */
typedef enum tamis_form {
    TAMIS_FORM_FULL = 0,   /**< the gradient itself, a row of all columns */
    TAMIS_FORM_FACTORS = 1 /**< for every layer and token t the input a_t, with its trailing 1 where
                                the layer has a bias, and the gradient g_t of the layer's output:
                                the layer's block is the sum over the example's tokens of g_t a_t^T.
                                A model that is no sequence model has one token an example */
} tamis_form;

/** Columns of a layer's block: out * (in + bias). */
static inline uint64_t tamis_layer_columns(const tamis_layer *layer)
{
    return layer->out * (layer->in + layer->bias);
}

/** A moment of training at which gradients were taken. */
typedef struct tamis_checkpoint {
    uint64_t step;        /**< optimiser steps done */
    double learning_rate; /**< the weight of the checkpoint in TracIn; > 0 */
} tamis_checkpoint;

/** How the rows of a projected store were made of wider ones; written as /projection. */
typedef struct tamis_projection {
    const char *kind;  /**< name of the random matrix, "sparse" or "rademacher"; required in a spec.
                             "" when a file made by others does not say */
    uint64_t seed;     /**< what its entries are drawn from; default 0 */
    uint64_t from, to; /**< columns before and after; default 0 = not said */
    uint32_t nonzeros; /**< sparse: entries of a column that are not zero; 0 otherwise */
    uint64_t layers;   /**< digest of the layer table that the columns before were of
                             (docs/formats.md); default 0 = not known, which is taken to fit any */
} tamis_projection;

/** How the rows of a whitened store were made; written as /whitening. Layer by layer a row is
 *  (Q_S^T G Q_A) / sqrt(lambda + damping), entry by entry, so that the dot product of two rows is
 *  the influence of one on the other. */
typedef struct tamis_whitening {
    uint64_t curvature; /**< digest of the curvature, as in tamis_curvature_info */
    const char *kind;   /**< "ekfac", "kfac" or "diagonal": what lambda is; required in a spec */
    double damping;     /**< as it was given, >= 0 */
    bool relative;      /**< `damping` is in units of each layer's mean lambda; false = absolute */
    double keep;        /**< share of the coordinates that stayed, those with the largest
                             lambda / (lambda + damping) over all layers, in (0, 1]; 1 = all. With
                             less, a layer is [1, coordinates], in the order of its block */
} tamis_whitening;

/** What every store says of itself. Strings and arrays belong to the store. */
typedef struct tamis_store_info {
    uint64_t rows, columns;               /**< examples, and values of a row; both > 0 */
    tamis_dtype dtype;                    /**< of the stored rows */
    uint32_t checkpoints, layers, shards; /**< at least 1 each; one file is one shard */
    const tamis_layer *layer;             /**< [layers] */
    const tamis_checkpoint *checkpoint;   /**< [checkpoints] */
    uint32_t classes;                     /**< columns of /probability; 0 = not recorded */
    const char *provenance;               /**< JSON text; "{}" when absent */
    const char *projection;               /**< JSON text of /projection; NULL = not projected */
    const tamis_projection *projected_by; /**< the same as a struct; NULL = not projected */
    const char *whitening;                /**< JSON text of /whitening; NULL = not whitened */
    const tamis_whitening *whitened_by;   /**< the same as a struct; NULL = not whitened */
    const char *function;                 /**< what the rows are gradients of: "loss", "margin";
                                             NULL = not said */
    const char *direction;                /**< what was made of the gradients: "gradient" itself,
                                             "adam" ...; NULL = not said */
    tamis_form form;           /**< `columns` and `layer` are those of the full form either way, and
                                   tamis_store_read() gives rows of it; dtype is that of the
                                   factors */
    uint64_t input_columns;    /**< factor form: sum over layers of in + bias; else 0 */
    uint64_t output_columns;   /**< factor form: sum over layers of out; else 0 */
    const char *labels;        /**< whose labels the gradients are of: "true", "sampled" from the
                                   model, "expected" (a row for each class, see below), "given";
                                   NULL = not said */
    uint64_t label_seed;       /**< with labels "sampled": the seed they were drawn with */
    uint32_t rows_per_example; /**< rows that are one example together, next to one another: the
                                   classes with labels "expected", whose gradients are multiplied by
                                   the root of the class's probability; else 1 */
    uint64_t digest;           /**< content digest: sum over rows and checkpoints of
                                             XXH3-64(stored row bytes, seed = row * 2^8 +
                                             checkpoint), for i8 also of the same of the 4 bytes of
                                             the row's scale, modulo 2^64: the same for any
                                             sharding. Of factors, a chain over the row's tokens
                                             (docs/formats.md) */
} tamis_store_info;

/** Per-example columns. Any pointer may be NULL: the store does not have that column. */
typedef struct tamis_examples {
    const uint64_t *id_number;     /**< [rows]; NULL together with id_text = ids are row numbers */
    const char *const *id_text;    /**< [rows] UTF-8, at most 4,095 bytes each */
    const uint64_t *digest;        /**< [rows] of the source record's bytes; 0 = unknown */
    const int32_t *label;          /**< [rows] class index */
    const uint32_t *length;        /**< [rows] of the source record, in tokens */
    const int32_t *group;          /**< [rows] index into group_name; -1 = none */
    const char *const *group_name; /**< [groups] */
    uint32_t groups;               /**< entries of group_name; 0 = none */
    const char *const *class_name; /**< [classes] name of each label value; NULL = labels are their
                                        own names */
    uint32_t classes;              /**< entries of class_name; 0 = none */
} tamis_examples;

/* --- reading ------------------------------------------------------------------------------ */

/** An open store. After tamis_store_open() every function but tamis_store_close() may be called
 *  from several threads at once. */
typedef struct tamis_store tamis_store;

/** Open a file or a directory of shards for reading. Rows are memory-mapped where the layout
 *  allows (uncompressed, little-endian), otherwise read through HDF5.
 *  Errors, each with its own message: IO (absent, unreadable), FORMAT (not HDF5, truncated, not a
 *  gradient store, a dataset missing or of the wrong type or length, shards that leave a gap,
 *  overlap, or stop before the last row), UNSUPPORTED (written by a newer version; a dtype that is
 *  not read), SHAPE (shards or checkpoints whose columns differ), NOMEM.
 *  Complexity: O(shards + chunks), no row is read. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_store_open(tamis_store **ret_store,
                                                        tamis_context *context, const char *path,
                                                        tamis_error *err);
/** Close and set to NULL. Accepts NULL and a pointer to NULL. */
TAMIS_API void tamis_store_close(tamis_store **store);

/** The facts of the store; owned by it and valid until it is closed. Never NULL. Thread-safe. */
TAMIS_API const tamis_store_info *tamis_store_info_get(const tamis_store *store);

/** The path the store was opened with; owned by the store. */
TAMIS_API const char *tamis_store_path(const tamis_store *store);

/** Per-example columns, loaded on open; owned by the store. */
TAMIS_API const tamis_examples *tamis_store_examples(const tamis_store *store);

/** Write the id of a row as text into `buffer` (truncated to `size`, always ended). */
TAMIS_API void tamis_store_id(const tamis_store *store, uint64_t row, char *buffer, size_t size);

/** Rows first_row .. first_row+rows-1, columns first_column .. +columns-1 of a checkpoint,
 *  converted to f32 into `out` with `stride` floats from row to row (>= columns). Exact for every
 *  dtype; rows of i8 times their scale. Rows of factors are made here: with one token the product
 *  in float, with more the sum in double, in the order of the tokens, rounded once. Errors: ARG
 *  (out of range), IO (also when the file was changed since it was opened), FORMAT (a scale is
 *  negative or not finite).
 *  Complexity: O(rows * columns); of factors times the row's tokens, and only the layers that the
 *  columns are of are read. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_store_read(const tamis_store *store,
                                                        uint32_t checkpoint, uint64_t first_row,
                                                        uint64_t rows, uint64_t first_column,
                                                        uint64_t columns, float *out, size_t stride,
                                                        tamis_error *err);

/** Pointer to a mapped row in its stored type (int8_t for i8, without its scale), and in *ret_rows
 *  how many rows follow it without a gap (this one included). NULL when the rows are not mapped, as
 *  in factor form. Valid until the store closes. */
TAMIS_API const void *tamis_store_map(const tamis_store *store, uint32_t checkpoint, uint64_t row,
                                      uint64_t *ret_rows);

/** [rows] L2 norm of every row of a checkpoint before rounding to the stored type. Computed from
 *  the rows, and kept, for a store that does not have them. NaN marks a row that is not finite.
 *  Owned by the store until it is closed. Thread-safe: a lock guards what is kept.
 *  Errors: ARG (no such checkpoint), IO, NOMEM. Complexity: one pass over the rows or norms at the
 *  first call for a checkpoint, then O(1). */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_store_norms(tamis_store *store, uint32_t checkpoint,
                                                         const float **ret_norms, tamis_error *err);

/** [rows] scale of every row of a checkpoint of an i8 store: a value is scale * stored int8. Read
 *  at the first call for a checkpoint, and kept. *ret_scales is NULL for a store of another type or
 *  in factor form, whose scales tamis_store_read_factors() applies; that is not an error. Owned by
 *  the store until it is closed. Thread-safe: a lock guards what is kept.
 *  Errors: ARG (no such checkpoint), FORMAT (a scale is negative or not finite), IO, NOMEM.
 *  Complexity: O(rows) at the first call, then O(1). */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_store_scales(tamis_store *store, uint32_t checkpoint,
                                                          const float **ret_scales,
                                                          tamis_error *err);

/** Factor form: [rows + 1] first token of every example at a checkpoint, and the number of tokens
 *  at the end; an example may have none. NULL for a store in full form; that is not an error. Read
 *  at the first call for a checkpoint, and kept. Owned by the store until it is closed.
 *  Thread-safe.
 *  Errors: ARG (no such checkpoint), FORMAT (offsets that fall), IO, NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_store_tokens(tamis_store *store, uint32_t checkpoint,
                                                          const uint64_t **ret_offset,
                                                          tamis_error *err);

/** Factor form: inputs [tokens, in + bias] and output gradients [tokens, out] of a layer at tokens
 *  first_token .. first_token+tokens-1, as floats, `input_stride` and `output_stride` floats from
 *  token to token (>= the widths). Either of `input` and `output_gradient` may be NULL: not wanted.
 *  Exact for every dtype. Callable from several threads at once. Errors: ARG (a store in full form;
 *  out of range), IO, FORMAT. Complexity: O(tokens * (in + out)). */
TAMIS_API TAMIS_NODISCARD tamis_status
tamis_store_read_factors(const tamis_store *store, uint32_t checkpoint, uint32_t layer,
                         uint64_t first_token, uint64_t tokens, float *input, size_t input_stride,
                         float *output_gradient, size_t output_stride, tamis_error *err);

/** Optional per-example outputs at a checkpoint: "loss" [rows], "margin" [rows] or "probability"
 *  [rows, classes], read into memory the caller frees with free(). *ret_values is NULL when the
 *  store does not have them; that is not an error.
 *  Errors: ARG (no such name or checkpoint), IO, NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_store_outputs(const tamis_store *store,
                                                           uint32_t checkpoint, const char *name,
                                                           float **ret_values, tamis_error *err);

/* --- writing ------------------------------------------------------------------------------ */

/** What a store will be. Zero-initialise. Strings and arrays need live only during the call. */
typedef struct tamis_store_spec {
    const char *path;                   /**< file, or directory when shard_rows != 0; required */
    tamis_dtype dtype;                  /**< of the stored rows; default f32 */
    uint64_t rows;                      /**< rows in all, known beforehand; > 0 */
    const tamis_layer *layer;           /**< [layers]; first_column is set by the writer */
    uint32_t layers;                    /**< entries of layer, > 0 */
    const tamis_checkpoint *checkpoint; /**< [checkpoints] */
    uint32_t checkpoints;               /**< entries of checkpoint, > 0 */
    uint32_t classes;                   /**< columns of /probability; 0 = none */
    bool outputs;                       /**< loss and margin are recorded as well */
    uint64_t shard_rows;    /**< rows of a shard, rounded up to whole blocks; 0 = one file */
    bool force;             /**< replace an existing store; one in shards goes when the first new
                                   shard is whole */
    bool resume;            /**< keep whole shards that are there and match this spec */
    const char *provenance; /**< JSON text; NULL = "{}" */
    const tamis_projection *projection; /**< how the rows were projected; NULL = they were not */
    const tamis_whitening *whitening;   /**< how the rows were whitened; NULL = they were not */
    const char *function;  /**< what the rows are gradients of, "loss" or "margin"; NULL = not
                              said */
    const char *direction; /**< what was made of the gradients, "gradient" (nothing), "adam" ...;
                              NULL = not said */
    tamis_form form;       /**< default: full. Factors are added with _append_factors() */
    const char *labels;    /**< as in tamis_store_info; NULL = not said */
    uint64_t label_seed;   /**< with labels "sampled" */
    uint32_t rows_per_example; /**< as in tamis_store_info; 0 = 1 */
} tamis_store_spec;

/** Writes rows in order. One thread at a time. */
typedef struct tamis_store_writer tamis_store_writer;

/** Start a store. Nothing appears under `path` until a shard is whole: it is written as X.part,
 *  flushed, synced and renamed.
 *  With `resume`, tamis_store_writer_next() tells where to go on; a finished store that matches
 *  gives next == rows and nothing is written.
 *  Errors: ARG (no rows, layers or checkpoints; learning rate not > 0; an empty text), IO (exists
 *  and no force or resume, cannot create), SHAPE (resume of a store that was made otherwise: says
 *  what differs), NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_store_writer_open(tamis_store_writer **ret_writer,
                                                               tamis_context *context,
                                                               const tamis_store_spec *spec,
                                                               tamis_error *err);

/** The row to be written next. */
TAMIS_API uint64_t tamis_store_writer_next(const tamis_store_writer *writer);

/** Add `rows` rows. `gradient[k]` points to [rows, columns] f32 of checkpoint k, `examples` to
 *  columns of the same rows (its arrays start at the first of them; group_name and class_name must
 *  not change between calls), `loss[k]`, `margin[k]` [rows] and `probability[k]` [rows, classes]
 *  to outputs (NULL arrays when the spec has none).
 *  Errors: NUMERIC (a row is not finite, or overflows the stored type: names checkpoint and row),
 *  ARG (more rows than announced), IO, NOMEM. After an error only _abort() may be called. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_store_writer_append(
    tamis_store_writer *writer, uint64_t rows, const float *const *gradient,
    const tamis_examples *examples, const float *const *loss, const float *const *margin,
    const float *const *probability, tamis_error *err);

/** Add `rows` rows of a store in factor form. Row i has tokens offset[i] .. offset[i + 1] - 1 of
 *  `input[k]` [tokens, input_columns] and `output_gradient[k]` [tokens, output_columns] of
 *  checkpoint k, both packed, layers beside one another in their order, a bias layer's input with
 *  its trailing
 *  1; the arrays start at token offset[0]. Everything else as _append().
 *  Errors: as _append(), and ARG (a store in full form, offsets that fall, an input whose last
 *  value is not 1 although its layer has a bias; names the row). */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_store_writer_append_factors(
    tamis_store_writer *writer, uint64_t rows, const uint64_t *offset, const float *const *input,
    const float *const *output_gradient, const tamis_examples *examples, const float *const *loss,
    const float *const *margin, const float *const *probability, tamis_error *err);

/** Commit the last shard and free the writer. Errors: ARG (fewer rows than announced), IO.
 *  The writer is freed and set to NULL in every case. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_store_writer_commit(tamis_store_writer **writer,
                                                                 tamis_error *err);

/** Give up: remove what is not committed, keep whole shards (for a later resume), free. Accepts
 *  NULL and a pointer to NULL. */
TAMIS_API void tamis_store_writer_abort(tamis_store_writer **writer);

TAMIS_END

#endif
