/* A network at one checkpoint, and the buffers of a batch going through it.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MODEL_NETWORK_H
#define TAMIS_MODEL_NETWORK_H

#include <stdbool.h>
#include <tamis/model.h>

/* Rows of a group outside training. A constant, since a product's bits may depend on its sizes:
 * neither threads nor memory may choose them. */
#define TAMIS__GROUP_ROWS 256

/* Pointers into a model or into training's own arrays; owns nothing. */
typedef struct tamis__network {
    uint32_t layers;
    const tamis_layer *layer;
    tamis_activation activation;
    const float *const *weight; /* [layers], each [out, in + bias] */
    const float *mean, *scale;  /* [inputs], or both NULL */
} tamis__network;

static inline uint64_t tamis__network_inputs(const tamis__network *network)
{
    return network->layer[0].in;
}

static inline uint64_t tamis__network_classes(const tamis__network *network)
{
    return network->layer[network->layers - 1].out;
}

/* Floats from row to row of a layer's input: with a bias there is a last column of ones, so that
 * weights and bias are one matrix everywhere. */
static inline size_t tamis__input_stride(const tamis_layer *layer)
{
    return (size_t)(layer->in + layer->bias);
}

/* Up to `capacity` rows on their way forward and back. */
typedef struct tamis__batch {
    size_t capacity, rows;
    float **input;        /* [layers], each [rows, in + bias] */
    float **output;       /* [layers], each [rows, out]: before the activation */
    float **delta;        /* [layers], each [rows, out]: d loss / d output; NULL without backward */
    int32_t *label;       /* [rows] */
    float *loss, *margin; /* [rows] */
    float *probability;   /* [rows, classes] */
    float *memory;
} tamis__batch;

/* Bytes that tamis__batch_init() takes. */
uint64_t tamis__batch_bytes(const tamis__network *network, size_t capacity, bool backward);
tamis_status tamis__batch_init(tamis__batch *ret_batch, const tamis__network *network,
                               size_t capacity, bool backward, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__batch_fini(tamis__batch *batch);

/* An array of `n` batches, freed with tamis__batches_free(). */
tamis_status tamis__batches_create(tamis__batch **ret_batches, size_t n,
                                   const tamis__network *network, size_t capacity, bool backward,
                                   tamis_error *err);
void tamis__batches_free(tamis__batch *batches, size_t n);

/* Fill in rows order[first ..] of the data (order NULL: first, first + 1, ...), standardised, with
 * their labels where the data has them. */
void tamis__batch_load(tamis__batch *batch, const tamis__network *network, const tamis_data *data,
                       const uint64_t *order, uint64_t first, size_t rows);

/* Input to logits. */
tamis_status tamis__forward(tamis__batch *batch, const tamis__network *network, tamis_error *err);

/* Loss, margin and probability of every row, and the last layer's delta times `reduction` (1 for
 * a sum, 1 / rows of the whole batch for a mean; the loss itself is not scaled). Returns the sum
 * of the losses. */
double tamis__cross_entropy(tamis__batch *batch, const tamis__network *network, float reduction);

/* The last layer's delta for the margin instead of the loss, after tamis__cross_entropy(). */
void tamis__margin_delta(tamis__batch *batch, const tamis__network *network);

/* Multiply the last layer's delta of every row by the root of its label's probability, after
 * tamis__cross_entropy(). */
void tamis__weigh_delta(tamis__batch *batch, const tamis__network *network);

/* Deltas of layers `lowest` and up, from the last layer's. */
tamis_status tamis__backward(tamis__batch *batch, const tamis__network *network, uint32_t lowest,
                             tamis_error *err);

/* gradient[l] [out, in + bias] = sum over the rows of delta x input. */
tamis_status tamis__weight_gradient(const tamis__batch *batch, const tamis__network *network,
                                    float *const *gradient, tamis_error *err);

/* Class with the largest logit of a row; the lowest one among equals. */
int32_t tamis__predicted(const tamis__batch *batch, const tamis__network *network, size_t row);

/* out[i * out_stride + j] = f(z[i * columns + j]) */
void tamis__activate(tamis_activation activation, const float *z, size_t rows, size_t columns,
                     float *out, size_t out_stride);
/* delta[i * columns + j] *= f'(z), with y = f(z). */
void tamis__activation_back(tamis_activation activation, const float *z, const float *y,
                            size_t y_stride, size_t rows, size_t columns, float *delta);

#endif
