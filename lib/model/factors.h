/* What per-example gradients are made of: for each row and chosen layer its input and delta, whose
 * outer product is the row's block.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MODEL_FACTORS_H
#define TAMIS_MODEL_FACTORS_H

#include "kernels/kernels.h"
#include "model/choice.h"
#include "model/direction.h"
#include "model/network.h"
#include "project/project.h"

/* What is asked for. Only read once made. */
typedef struct tamis__gradient_job {
    const tamis_model *model;
    const tamis_data *data;
    tamis_context *context;
    tamis_dtype dtype;
    tamis__choice layers, checkpoints;
    tamis_layer *layer;           /* [layers.items], first_column counted over the chosen ones */
    tamis_checkpoint *checkpoint; /* [checkpoints.items] */
    uint64_t columns;             /* of a row, and of it as it is stored */
    uint64_t stored;
    uint32_t classes;
    tamis__kernels kernels;
    tamis_function function;
    tamis_direction direction;
    tamis_form form;
    tamis_labels labels;
    const int32_t *given_labels; /* [data->rows], or NULL */
    uint64_t label_seed;
    uint32_t per_example;        /* rows of the store that are made of one of the data */
    uint64_t rows;               /* of the store */
    uint64_t group;              /* of them, that go through the network together */
    tamis__moments moments;      /* of directions that need them */
    tamis__projector *projector; /* NULL = rows are not projected */
} tamis__gradient_job;

/* Errors as tamis_gradients(). The parameters are not looked at later. */
tamis_status tamis__job_init(tamis__gradient_job *ret_job, const tamis_model *model,
                             tamis_context *context, const tamis_data *data,
                             const tamis_gradient_params *params, tamis_error *err);
void tamis__job_fini(tamis__gradient_job *job);

/* Must a row be there as f32 before it is stored? The outer products of a gradient go straight into
 * a float type. */
static inline bool tamis__job_whole_rows(const tamis__gradient_job *job)
{
    return job->form == TAMIS_FORM_FULL &&
           (job->direction != TAMIS_DIRECTION_GRADIENT || job->projector || job->dtype == TAMIS_I8);
}

/* Factors and outputs of rows first .. first + capacity - 1 at every chosen checkpoint, as arrays
 * by checkpoint (k) and chosen layer (i). */
typedef struct tamis__factors {
    uint64_t first, capacity;
    float **input;                         /* [k * layers + i], each [capacity, in + bias] */
    float **delta;                         /* [k * layers + i], each [capacity, out] */
    float **loss, **margin, **probability; /* [k], each [capacity] or [capacity, classes] */
    float *memory;
} tamis__factors;

/* Where rows of one checkpoint go; all arrays start at the first of them. */
typedef struct tamis__row_block {
    void *stored; /* [rows, job's stored], packed */
    float *scale; /* [rows] for i8, else NULL */
    float *norm;  /* [rows] before rounding */
} tamis__row_block;

/* Bytes for each row of capacity. */
uint64_t tamis__factors_row_bytes(const tamis__gradient_job *job);
tamis_status tamis__factors_init(tamis__factors *ret_factors, const tamis__gradient_job *job,
                                 uint64_t capacity, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__factors_fini(tamis__factors *factors);

/* Fill in rows factors->first .. end - 1, group by group on the pool, reporting that `written` rows
 * are written so far. `first` is a multiple of job->group, `end` is too or is the last row's end.
 * `batches` has one for each thread. */
tamis_status tamis__factors_compute(tamis__factors *factors, const tamis__gradient_job *job,
                                    uint64_t end, tamis__batch *batches, uint64_t written,
                                    tamis_error *err);

/* The same of rows that are at most a group, on the calling thread. */
tamis_status tamis__factors_group(tamis__factors *factors, const tamis__gradient_job *job,
                                  uint64_t end, tamis__batch *batch, tamis_error *err);

/* Write rows first .. first + rows - 1 of chosen checkpoint k, in the stored type, packed, with
 * their norms before rounding and for i8 their scales. `scratch` has tamis__whole_scratch() bytes,
 * aligned to 64. NUMERIC naming checkpoint and example when a value is not finite or does not fit
 * the type. */
tamis_status tamis__factors_expand(const tamis__factors *factors, const tamis__gradient_job *job,
                                   uint32_t k, uint64_t first, uint64_t rows, void *scratch,
                                   const tamis__row_block *block, tamis_error *err);

/* --- rows in f32 ------------------------------------------------------------------------------ */

/* Bytes of scratch that a thread needs; 0 when rows need not be there as f32. */
uint64_t tamis__whole_scratch(const tamis__gradient_job *job);
/* tamis__factors_expand() of jobs with tamis__job_whole_rows(). */
tamis_status tamis__whole_rows(const tamis__factors *factors, const tamis__gradient_job *job,
                               uint32_t k, uint64_t first, uint64_t rows, void *scratch,
                               const tamis__row_block *block, tamis_error *err);

/* Norm of a row's gradient. NUMERIC, naming checkpoint and example, when it is not finite: then no
 * value of the gradient is infinite in f32. */
tamis_status tamis__gradient_norm(const tamis__factors *factors, const tamis__gradient_job *job,
                                  uint32_t k, uint64_t row, float *ret_norm, tamis_error *err);
/* Does a value not fit the type? */
bool tamis__row_overflows(tamis_dtype dtype, const float *value, size_t n);
/* The failure of a row that is not finite, or is too large for the type; `what` the row is. */
tamis_status tamis__row_refused(const tamis__gradient_job *job, const char *what, uint32_t k,
                                uint64_t row, bool too_large, tamis_error *err);

#endif
