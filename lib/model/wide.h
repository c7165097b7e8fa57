/* A network in double, for differences that are smaller than a float's rounding.
 *
 * Weights are one array of all layers, [parameters], each [out, in + bias] from its first_column
 * on.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MODEL_WIDE_H
#define TAMIS_MODEL_WIDE_H

#include <tamis/model.h>

/* Points into a model; owns nothing. */
typedef struct tamis__wide {
    uint32_t layers;
    const tamis_layer *layer;
    tamis_activation activation;
    const float *mean, *scale; /* [inputs], or both NULL */
    uint64_t parameters, inputs, classes;
} tamis__wide;

tamis__wide tamis__model_wide(const tamis_model *model);

/* Weights of a checkpoint: as the file has them where it holds doubles. */
void tamis__model_wide_weights(const tamis_model *model, uint32_t checkpoint, double *ret_weights);

/* Up to `capacity` rows on their way forward and back. */
typedef struct tamis__wide_batch {
    size_t capacity, rows;
    double **input;  /* [layers], each [capacity, in + bias] */
    double **output; /* [layers], each [capacity, out]: before the activation; logits at last */
    double **delta;  /* [layers], each [capacity, out] */
    double *memory;
} tamis__wide_batch;

/* Bytes that tamis__wide_batch_init() takes. */
uint64_t tamis__wide_batch_bytes(const tamis__wide *network, size_t capacity);
tamis_status tamis__wide_batch_init(tamis__wide_batch *ret_batch, const tamis__wide *network,
                                    size_t capacity, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__wide_batch_fini(tamis__wide_batch *batch);

/* Fill in rows first .. first + rows - 1 of the data, standardised, and bring them to the logits.
 * Between tamis__blas_begin() and _end(), as the two below. */
tamis_status tamis__wide_forward(tamis__wide_batch *batch, const tamis__wide *network,
                                 const double *weights, const tamis_data *data, uint64_t first,
                                 size_t rows, tamis_error *err);

/* Deltas of all layers, from the last layer's. */
tamis_status tamis__wide_backward(tamis__wide_batch *batch, const tamis__wide *network,
                                  const double *weights, tamis_error *err);

/* Add `factor` times the sum over the rows of delta x input to the gradient [parameters]. */
tamis_status tamis__wide_gradient(const tamis__wide_batch *batch, const tamis__wide *network,
                                  double factor, double *gradient, tamis_error *err);

/* Softmax of a row's logits, and its cross-entropy with `label`, each to full precision. */
void tamis__wide_softmax(const double *logit, size_t classes, double *ret_probability);
double tamis__wide_loss(const double *logit, size_t classes, size_t label);

#endif
