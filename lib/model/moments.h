/* Adam's moments, for rows that are directions of a step rather than gradients.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MODEL_MOMENTS_H
#define TAMIS_MODEL_MOMENTS_H

#include "model/choice.h"

/* Moments of the chosen checkpoints (k) and layers (i). */
typedef struct tamis__moments {
    const float **first, **second; /* [k * layers + i], each [out, in + bias] */
    uint64_t *step;                /* [k] steps that the moments are of */
    double beta1, beta2, epsilon;
    uint64_t bytes; /* of `memory` */
    float *memory;  /* what was read from files; NULL when the model's own are used */
} tamis__moments;

/* Where the moments of a job are to come from, and which are wanted. */
typedef struct tamis__moments_plan {
    const tamis_model *model;
    const tamis__choice *layers, *checkpoints;
    const tamis_layer *layer; /* [layers->items], first_column counted over the chosen ones */
    uint64_t columns;         /* of a row */
    const tamis_gradient_params *params;
} tamis__moments_plan;

/* Check the parameters that say how a direction is made and get the moments where it needs them;
 * otherwise *ret_moments is zeroed. ARG, and the errors of tamis__moments_read(). */
tamis_status tamis__moments_init(tamis__moments *ret_moments, const tamis__moments_plan *plan,
                                 const tamis_context *context, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__moments_fini(tamis__moments *moments);

/* Moments of the chosen layers from safetensors, each [columns] and laid out as a row. The steps
 * they are of go to *ret_step, which stays as it was when the file does not say or `want_step` is
 * false. FORMAT and UNSUPPORTED, naming the tensor. */
tamis_status tamis__moments_read(const tamis__moments_plan *plan, const tamis_context *context,
                                 const char *path, float *first, float *second, bool want_step,
                                 uint64_t *ret_step, tamis_error *err);

#endif
