/* The store writer's fast way in: blocks whose rows are already in the stored type, so that worker
 * threads round and digest, and the writing thread only writes.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_STORE_WRITER_H
#define TAMIS_STORE_STORE_WRITER_H

#include <tamis/store.h>

#include "kernels/kernels.h"

/* Rows of a block. Every array belongs to the caller and is only read. */
typedef struct tamis__store_block {
    uint64_t rows;               /* chunk rows times a whole number; fewer only at the end */
    const void *const *gradient; /* [checkpoints] of [rows, columns] in the stored type, packed */
    const float *const *scale;   /* [checkpoints] of [rows] for i8; NULL otherwise */
    const float *const *norm;    /* [checkpoints] of [rows]: L2 norm before rounding */
    uint64_t digest;             /* sum of tamis__store_rows_digest() over the checkpoints, or
                                    of tamis__store_factors_digest() */
    tamis_examples examples;     /* arrays start at the block's first row */
    const float *const *loss;    /* [checkpoints] of [rows]; NULL without outputs */
    const float *const *margin;  /* [checkpoints] of [rows]; NULL without outputs */
    const float *const *probability; /* [checkpoints] of [rows, classes]; NULL without classes */
    /* A store in factor form, instead of gradient and scale; any number of rows: */
    const uint64_t *offset; /* [rows + 1] first token of every row; the arrays start at offset[0] */
    const void *const
        *input; /* [checkpoints] of [tokens, input_columns] in the stored type, packed */
    const void *const *output_gradient;        /* [checkpoints] of [tokens, output_columns] */
    const float *const *input_scale;           /* [checkpoints] of [tokens, layers], for i8 */
    const float *const *output_gradient_scale; /* the same; NULL otherwise */
} tamis__store_block;

/* Rows of a chunk of a store of `rows` rows: a power of two, the largest whose chunk is at most
 * 4 MiB, at least 1, and no more than the rows need. */
uint64_t tamis__store_chunk_rows(uint64_t rows, uint64_t columns, tamis_dtype dtype);

/* Chunk rows of this writer: blocks start and end at multiples of it (except at the end). In factor
 * form the rows of about 4 MiB of factors, of one token a row: blocks may be of any size there, and
 * shards are rounded up to a multiple of it. */
uint64_t tamis__store_writer_chunk_rows(const tamis_store_writer *writer);

/* Sum over the rows of XXH3-64(row bytes, seed = row number * 256 + checkpoint), and for i8 of the
 * same of the bytes of `scale` [rows] (NULL otherwise), modulo 2^64. Thread-safe. */
uint64_t tamis__store_rows_digest(const void *rows_stored, const float *scale, uint64_t rows,
                                  uint64_t first_row, uint64_t columns, tamis_dtype dtype,
                                  uint32_t checkpoint);

/* Round rows [rows, columns] to the stored type, give their norms and for i8 their scales (NULL
 * otherwise), and check them. Errors: NUMERIC
 * naming checkpoint and row (not finite, or too large for the stored type). Thread-safe. `stored`
 * may not overlap `gradient`. */
tamis_status tamis__store_rows_narrow(const tamis__kernels *kernels, tamis_dtype dtype,
                                      const float *gradient, uint64_t rows, uint64_t columns,
                                      uint64_t first_row, uint32_t checkpoint, void *stored,
                                      float *scale, float *norm, tamis_error *err);

/* Check rows that are in the stored type already and have norms: NUMERIC when a value is not
 * finite. Thread-safe. */
tamis_status tamis__store_rows_check(tamis_dtype dtype, const void *stored, uint64_t rows,
                                     uint64_t columns, uint64_t first_row, uint32_t checkpoint,
                                     tamis_error *err);

/* --- factors ---------------------------------------------------------------------------------- */

/* What factors of a row are made of. */
typedef struct tamis__factor_shape {
    const tamis_layer *layer;
    uint32_t layers;
    tamis_dtype dtype;
    uint64_t input_columns, output_columns; /* sums over layers of in + bias, and of out */
} tamis__factor_shape;

/* Factors in the stored type, tokens packed: read from, and written to. */
typedef struct tamis__factor_rows {
    const void *input;                                /* [tokens, input_columns] */
    const void *output_gradient;                      /* [tokens, output_columns] */
    const float *input_scale, *output_gradient_scale; /* [tokens, layers] for i8; NULL otherwise */
} tamis__factor_rows;
typedef struct tamis__factor_space {
    void *input, *output_gradient;
    float *input_scale, *output_gradient_scale;
} tamis__factor_space;

/* As tamis__store_rows_narrow(), of factors: `input` [tokens, input_columns] and `output_gradient`
 * [tokens, output_columns] of rows whose tokens are offset[i] .. offset[i + 1] - 1; all arrays
 * start at token offset[0]. Norms are those of the full gradient; NULL = not wanted. That inputs
 * end with the
 * 1 of a bias is not checked. Thread-safe. */
tamis_status tamis__store_factors_narrow(const tamis__kernels *kernels,
                                         const tamis__factor_shape *shape, uint64_t rows,
                                         const uint64_t *offset, const float *input,
                                         const float *output_gradient, uint64_t first_row,
                                         uint32_t checkpoint, const tamis__factor_space *stored,
                                         float *norm, tamis_error *err);

/* ARG when an input [tokens, input_columns] of a layer with a bias does not end with 1. */
tamis_status tamis__store_factors_ones(const tamis__factor_shape *shape, const float *input,
                                       uint64_t tokens, uint64_t row, uint32_t checkpoint,
                                       tamis_error *err);

/* L2 norm of the full gradient of one row: from sum_{t,u} <a_t,a_u><g_t,g_u> in double.
 * Complexity: O(tokens^2 * columns of the factors). */
double tamis__store_factors_norm(const tamis__factor_shape *shape, const float *input,
                                 const float *output_gradient, uint64_t tokens);

/* Sum over the rows of a chain of XXH3-64: of the 8 bytes of the number of tokens, with the seed
 * row number * 256 + checkpoint; then for each token of the bytes of its input, of its output
 * gradient and for i8 of its scales, each with the digest so far as seed. Thread-safe. */
uint64_t tamis__store_factors_digest(const tamis__factor_shape *shape,
                                     const tamis__factor_rows *rows_stored, uint64_t rows,
                                     const uint64_t *offset, uint64_t first_row,
                                     uint32_t checkpoint);

/* The shape of the writer's factors; `layer` belongs to it. */
tamis__factor_shape tamis__store_writer_factor_shape(const tamis_store_writer *writer);

/* --- blocks ----------------------------------------------------------------------------------- */

/* Add a block at tamis_store_writer_next(), which in full form must be a multiple of the chunk
 * rows. Values are taken as they are: the producer has checked them. Blocks and _append() may be
 * mixed at chunk boundaries. Errors: ARG (rows not a whole number of chunks, more than announced),
 * IO, NOMEM. */
tamis_status tamis__store_writer_put_block(tamis_store_writer *writer,
                                           const tamis__store_block *block, tamis_error *err);

#endif
