/* What per-example gradients are made of: for each row and chosen layer its input and delta, whose
 * outer product is the row's block.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MODEL_FACTORS_H
#define TAMIS_MODEL_FACTORS_H

#include "kernels/kernels.h"
#include "model/choice.h"
#include "model/network.h"

/* What is asked for. Only read once made. */
typedef struct tamis__gradient_job {
    const tamis_model *model;
    const tamis_data *data;
    tamis_context *context;
    tamis_dtype dtype;
    tamis__choice layers, checkpoints;
    tamis_layer *layer;           /* [layers.items], first_column counted over the chosen ones */
    tamis_checkpoint *checkpoint; /* [checkpoints.items] */
    uint64_t columns;             /* of a row */
    uint32_t classes;
    tamis__kernels kernels;
} tamis__gradient_job;

/* Factors and outputs of rows first .. first + capacity - 1 at every chosen checkpoint, as arrays
 * by checkpoint (k) and chosen layer (i). */
typedef struct tamis__factors {
    uint64_t first, capacity;
    float **input;                         /* [k * layers + i], each [capacity, in + bias] */
    float **delta;                         /* [k * layers + i], each [capacity, out] */
    float **loss, **margin, **probability; /* [k], each [capacity] or [capacity, classes] */
    float *memory;
} tamis__factors;

/* Bytes for each row of capacity. */
uint64_t tamis__factors_row_bytes(const tamis__gradient_job *job);
tamis_status tamis__factors_init(tamis__factors *ret_factors, const tamis__gradient_job *job,
                                 uint64_t capacity, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__factors_fini(tamis__factors *factors);

/* Fill in rows factors->first .. end - 1, group by group on the pool, reporting that `written` rows
 * are written so far. `first` is a multiple of TAMIS__GROUP_ROWS, `end` is too or is the last row's
 * end. `batches` has one for each thread. */
tamis_status tamis__factors_compute(tamis__factors *factors, const tamis__gradient_job *job,
                                    uint64_t end, tamis__batch *batches, uint64_t written,
                                    tamis_error *err);

/* Write rows first .. first + rows - 1 of chosen checkpoint k, in the stored type, packed, with
 * their norms before rounding. For i8 `scratch` is a row of floats and `scale` [rows] gets the scales;
 * both NULL otherwise. NUMERIC naming checkpoint and example when a value is not finite or
 * does not fit the type. */
tamis_status tamis__factors_expand(const tamis__factors *factors, const tamis__gradient_job *job,
                                   uint32_t k, uint64_t first, uint64_t rows, void *scratch,
                                   void *stored, float *scale, float *norm, tamis_error *err);

#endif
