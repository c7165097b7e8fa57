/* One file of a gradient store while it is written.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_STORE_SHARD_H
#define TAMIS_STORE_STORE_SHARD_H

#include "store/store_file.h"
#include "store/store_writer.h"

/* The spec, copied and completed. */
typedef struct tamis__store_plan {
    const tamis_context *context;
    char *path, *provenance;
    tamis_dtype dtype;
    uint64_t rows, columns, chunk_rows;
    uint64_t shard_rows; /* 0 = one file */
    tamis_layer *layer;
    tamis_checkpoint *checkpoint;
    uint32_t layers, checkpoints, classes;
    tamis__store_origin origin;
    bool outputs, replace; /* replace: publish over a file that is there */
    tamis_form form;
    uint64_t input_columns, output_columns; /* factor form; else 0 */
} tamis__store_plan;

/* Rows of one of the datasets of factors on their way into it. Their number is not known
 * beforehand: the dataset grows, and is made with the first whole chunk or at the end. */
typedef struct tamis__token_sink {
    hid_t dataset; /* 0 = not made yet */
    unsigned char *chunk;
    uint64_t row_bytes, columns, chunk_rows, waiting, written;
    tamis_dtype dtype;
} tamis__token_sink;

/* A row of factors in the stored type; grown as rows need it. */
typedef struct tamis__factor_scratch {
    tamis__factor_space space;
    uint64_t tokens;
} tamis__factor_scratch;

/* Texts that grow: where each starts in `bytes`. */
typedef struct tamis__text_column {
    char *bytes;
    size_t used, room;
    uint64_t *at;
} tamis__text_column;

/* Rows are added in order. Datasets of one value a row wait in memory until the file is finished;
 * gradients go out a chunk at a time. */
typedef struct tamis__shard {
    const tamis__store_plan *plan;
    tamis__h5 h5; /* h5.file == 0: no shard is open */
    uint64_t first, rows, filled, digest;
    hid_t *gradient;       /* [checkpoints] */
    unsigned char **chunk; /* [checkpoints] the chunk being filled; NULL until rows are appended */
    uint64_t chunk_rows;   /* of this file: never more than its rows */
    tamis__token_sink (*sink)[TAMIS__FACTORS]; /* [checkpoints]; NULL in full form */
    uint64_t *offset;                          /* factor form: [rows + 1]; else NULL */
    tamis__factor_scratch scratch;
    float **scale, **norm, **loss, **margin, **probability; /* [checkpoints] of [rows] or NULL */
    uint64_t *id_number, *source_digest;
    int32_t *label, *group;
    uint32_t *length;
    tamis__text_column id_text;
    char **group_name, **class_name;
    uint32_t groups, classes;
    bool columns_known; /* the first rows decide which columns there are */
} tamis__shard;

/* Start the file `path` for `rows` rows from `first`. */
tamis_status tamis__shard_open(tamis__shard *shard, const tamis__store_plan *plan, const char *path,
                               uint64_t first, uint64_t rows, tamis_error *err);

/* Add n rows (not more than are missing) given as f32: `gradient[k]` in place of the block's.
 * `offset` is the first of them in all arrays. */
tamis_status tamis__shard_append(tamis__shard *shard, const tamis__kernels *kernels,
                                 const float *const *gradient, const tamis__store_block *block,
                                 uint64_t offset, uint64_t n, tamis_error *err);

/* Add n rows in the stored type, from a chunk boundary to one, or to the end of the shard.
 * `offset` is the first of them in the block; the block's digest is the caller's to add. */
tamis_status tamis__shard_put(tamis__shard *shard, const tamis__store_block *block, uint64_t offset,
                              uint64_t n, tamis_error *err);

/* The same two for factors. */
tamis_status tamis__shard_append_factors(tamis__shard *shard, const tamis__kernels *kernels,
                                         const float *const *input,
                                         const float *const *output_gradient,
                                         const tamis__store_block *block, uint64_t offset,
                                         uint64_t n, tamis_error *err);
tamis_status tamis__shard_put_factors(tamis__shard *shard, const tamis__store_block *block,
                                      uint64_t offset, uint64_t n, tamis_error *err);

tamis__factor_shape tamis__plan_factor_shape(const tamis__store_plan *plan);

/* Factors of a block at checkpoint k from its row `row` on. */
tamis__factor_rows tamis__block_factors(const tamis__store_block *block,
                                        const tamis__factor_shape *shape, uint32_t k, uint64_t row);

/* Between store_shard.c and shard_factors.c. The group of every checkpoint is there when sinks are
 * opened. */
tamis_status tamis__shard_open_sinks(tamis__shard *shard, tamis_error *err);
tamis_status tamis__shard_close_sinks(tamis__shard *shard, tamis_error *err);
void tamis__shard_free_sinks(tamis__shard *shard);
/* Everything but gradients, factors and norms of n rows. */
tamis_status tamis__shard_columns(tamis__shard *shard, const tamis__store_block *block,
                                  uint64_t offset, uint64_t n, tamis_error *err);

/* Write what waits, publish, free. Freed in every case. */
tamis_status tamis__shard_finish(tamis__shard *shard, tamis_error *err);

/* Remove the unfinished file and free. Accepts a shard that is not open. */
void tamis__shard_abort(tamis__shard *shard);

#endif
