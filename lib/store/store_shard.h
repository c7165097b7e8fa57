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
} tamis__store_plan;

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
    float **scale, **norm, **loss, **margin, **probability; /* [checkpoints] of [rows] or NULL */
    uint64_t *id_number, *source_digest;
    int32_t *label, *group;
    tamis__text_column id_text;
    char **group_name, **class_name;
    uint32_t groups, classes;
    bool columns_known; /* the first rows decide which columns there are */
} tamis__shard;

/* Start the file `path` for `rows` rows from `first`. */
tamis_status tamis__shard_open(tamis__shard *shard, const tamis__store_plan *plan, const char *path,
                               uint64_t first, uint64_t rows, tamis_error *err);

/* Add n rows (not more than are missing) given as f32: `gradient[k]` in place of the block's. `offset`
 * is the first of them in all arrays. */
tamis_status tamis__shard_append(tamis__shard *shard, const tamis__kernels *kernels,
                                 const float *const *gradient, const tamis__store_block *block,
                                 uint64_t offset, uint64_t n, tamis_error *err);

/* Add n rows in the stored type, from a chunk boundary to one, or to the end of the shard.
 * `offset` is the first of them in the block; the block's digest is the caller's to add. */
tamis_status tamis__shard_put(tamis__shard *shard, const tamis__store_block *block, uint64_t offset,
                              uint64_t n, tamis_error *err);

/* Write what waits, publish, free. Freed in every case. */
tamis_status tamis__shard_finish(tamis__shard *shard, tamis_error *err);

/* Remove the unfinished file and free. Accepts a shard that is not open. */
void tamis__shard_abort(tamis__shard *shard);

#endif
