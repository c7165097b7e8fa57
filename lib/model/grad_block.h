/* A block of rows on its way from a thread to the store's writer, in either form.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MODEL_GRAD_BLOCK_H
#define TAMIS_MODEL_GRAD_BLOCK_H

#include "model/factors.h"
#include "store/store_writer.h"

/* Arrays that a row has: gradients, or inputs and output gradients. */
enum { TAMIS__BLOCK_SIDES = 2 };

/* Values of one array at every chosen checkpoint, in the stored type. */
typedef struct tamis__block_side {
    uint64_t columns;    /* of a row; 0 = there is no such side */
    uint32_t scales;     /* of a row, for i8: 1, or in factor form 1 a layer; else 0 */
    void *memory;        /* [checkpoints, capacity, columns] */
    float *scale_memory; /* [checkpoints, capacity, scales]; NULL = none */
    const void **value;  /* [checkpoints] into memory */
    const float **scale; /* [checkpoints] into scale_memory */
} tamis__block_side;

typedef struct tamis__grad_block {
    uint64_t capacity; /* rows */
    tamis__block_side side[TAMIS__BLOCK_SIDES];
    float *norms;                                /* [checkpoints, capacity] */
    const float **norm;                          /* [checkpoints] into norms */
    const float **loss, **margin, **probability; /* [checkpoints] of the rows being written */
    uint64_t *offset; /* factor form: [capacity + 1], one token a row; else NULL */
    double *squares;  /* factor form: [sides, layers] of the row at hand; else NULL */
    uint64_t digest;  /* of what was filled in */
} tamis__grad_block;

/* Bytes that tamis__grad_block_init() takes. */
uint64_t tamis__grad_block_bytes(const tamis__gradient_job *job, uint64_t capacity);
/* Into a zeroed struct, which the caller frees whatever happens. NOMEM. */
tamis_status tamis__grad_block_init(tamis__grad_block *block, const tamis__gradient_job *job,
                                    uint64_t capacity, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__grad_block_fini(tamis__grad_block *block);

/* Fill in rows first .. first + rows - 1 at every checkpoint from their factors; `scratch` as
 * tamis__factors_expand(). NUMERIC naming checkpoint and example. */
tamis_status tamis__grad_block_fill(tamis__grad_block *block, const tamis__gradient_job *job,
                                    const tamis__factors *factors, uint64_t first, uint64_t rows,
                                    void *scratch, tamis_error *err);

/* Hand rows first .. first + rows - 1, which were filled in, to the writer, with their outputs and
 * the columns of their examples, and report that they are written. */
tamis_status tamis__grad_block_write(tamis__grad_block *block, const tamis__gradient_job *job,
                                     const tamis__factors *factors, tamis_store_writer *writer,
                                     uint64_t first, uint64_t rows, tamis_error *err);

/* --- factor form ------------------------------------------------------------------------------ */

/* All rows from tamis_store_writer_next() on, in factor form. Between tamis__blas_begin() and
 * _end(). The writer stays open. */
tamis_status tamis__grad_factors(const tamis__gradient_job *job, tamis_store_writer *writer,
                                 tamis_error *err);

#endif
