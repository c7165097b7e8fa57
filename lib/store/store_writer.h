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
    uint64_t digest;             /* sum of tamis__store_rows_digest() over the checkpoints */
    tamis_examples examples;     /* arrays start at the block's first row */
    const float *const *loss;    /* [checkpoints] of [rows]; NULL without outputs */
    const float *const *margin;  /* [checkpoints] of [rows]; NULL without outputs */
    const float *const *probability; /* [checkpoints] of [rows, classes]; NULL without classes */
} tamis__store_block;

/* Rows of a chunk of a store of `rows` rows: a power of two, the largest whose chunk is at most
 * 4 MiB, at least 1, and no more than the rows need. */
uint64_t tamis__store_chunk_rows(uint64_t rows, uint64_t columns, tamis_dtype dtype);

/* Chunk rows of this writer: blocks start and end at multiples of it (except at the end). */
uint64_t tamis__store_writer_chunk_rows(const tamis_store_writer *writer);

/* Sum over the rows of XXH3-64(row bytes, seed = row number * 256 + checkpoint), and for i8 of the same
 * of the bytes of `scale` [rows] (NULL otherwise), modulo 2^64. Thread-safe. */
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

/* Add a block at tamis_store_writer_next(), which must be a multiple of the chunk rows. Values are
 * taken as they are: the producer has checked them. Blocks and _append() may be mixed at chunk
 * boundaries. Errors: ARG (rows not a whole number of chunks, more than announced), IO, NOMEM. */
tamis_status tamis__store_writer_put_block(tamis_store_writer *writer,
                                           const tamis__store_block *block, tamis_error *err);

#endif
