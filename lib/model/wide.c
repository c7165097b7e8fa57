/* A network in double, for differences that are smaller than a float's rounding.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/wide.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"
#include "model/object.h"

static const double sqrt_half = 0.70710678118654752440;
static const double inv_sqrt_two_pi = 0.39894228040143267794;

tamis__wide tamis__model_wide(const tamis_model *model)
{
    const tamis_model_info *info = &model->info;
    return (tamis__wide){
        .layers = info->layers,
        .layer = info->layer,
        .activation = info->activation,
        .mean = info->mean,
        .scale = info->scale,
        .parameters = info->parameters,
        .inputs = info->layer[0].in,
        .classes = info->classes,
    };
}

void tamis__model_wide_weights(const tamis_model *model, uint32_t checkpoint, double *ret_weights)
{
    const tamis_model_info *info = &model->info;
    if (model->wide) {
        memcpy(ret_weights, model->wide, (size_t)info->parameters * sizeof *ret_weights);
        return;
    }
    for (uint32_t l = 0; l < info->layers; l++) {
        const float *from = tamis_model_weights(model, checkpoint, l);
        double *to = ret_weights + info->layer[l].first_column;
        for (uint64_t i = 0; i < tamis_layer_columns(&info->layer[l]); i++) to[i] = (double)from[i];
    }
}

/* --- buffers ---------------------------------------------------------------------------------- */

static size_t input_stride(const tamis_layer *layer)
{
    return (size_t)(layer->in + layer->bias);
}

static uint64_t row_doubles(const tamis__wide *network)
{
    uint64_t total = 0;
    for (uint32_t l = 0; l < network->layers; l++)
        total += input_stride(&network->layer[l]) + 2 * network->layer[l].out;
    return total;
}

uint64_t tamis__wide_batch_bytes(const tamis__wide *network, size_t capacity)
{
    return row_doubles(network) * capacity * sizeof(double) +
           3 * network->layers * sizeof(double *);
}

static void cut(tamis__wide_batch *batch, const tamis__wide *network)
{
    double *next = batch->memory;
    for (uint32_t l = 0; l < network->layers; l++) {
        const tamis_layer *layer = &network->layer[l];
        size_t stride = input_stride(layer);
        batch->input[l] = next;
        batch->output[l] = next + batch->capacity * stride;
        batch->delta[l] = batch->output[l] + batch->capacity * layer->out;
        next = batch->delta[l] + batch->capacity * layer->out;
        /* The column of ones is written once: only the columns before it are ever filled in. */
        for (size_t i = 0; layer->bias && i < batch->capacity; i++)
            batch->input[l][i * stride + layer->in] = 1.0;
    }
}

tamis_status tamis__wide_batch_init(tamis__wide_batch *ret_batch, const tamis__wide *network,
                                    size_t capacity, tamis_error *err)
{
    tamis__wide_batch batch = {.capacity = capacity};
    batch.input = tamis__calloc(network->layers, sizeof *batch.input);
    batch.output = tamis__calloc(network->layers, sizeof *batch.output);
    batch.delta = tamis__calloc(network->layers, sizeof *batch.delta);
    batch.memory = tamis__aligned(capacity, (size_t)row_doubles(network) * sizeof(double));
    if (!batch.input || !batch.output || !batch.delta || !batch.memory) {
        tamis__wide_batch_fini(&batch);
        return tamis__fail_memory(err, "a batch of rows",
                                  tamis__wide_batch_bytes(network, capacity));
    }
    cut(&batch, network);
    *ret_batch = batch;
    return TAMIS_OK;
}

void tamis__wide_batch_fini(tamis__wide_batch *batch)
{
    free(batch->input);
    free(batch->output);
    free(batch->delta);
    free(batch->memory);
    *batch = (tamis__wide_batch){0};
}

/* --- activations ------------------------------------------------------------------------------ */

static double activate(tamis_activation activation, double z)
{
    switch (activation) {
    case TAMIS_TANH: return tanh(z);
    case TAMIS_GELU: return z * (0.5 * erfc(-z * sqrt_half));
    case TAMIS_RELU: break;
    }
    return z < 0.0 ? 0.0 : z;
}

/* f'(z), with y = f(z). */
static double slope(tamis_activation activation, double z, double y)
{
    switch (activation) {
    case TAMIS_TANH: return (1.0 - y) * (1.0 + y);
    case TAMIS_GELU: return 0.5 * erfc(-z * sqrt_half) + z * inv_sqrt_two_pi * exp(-0.5 * z * z);
    case TAMIS_RELU: break;
    }
    return z > 0.0 ? 1.0 : 0.0;
}

/* --- forward and back ------------------------------------------------------------------------- */

static void load(tamis__wide_batch *batch, const tamis__wide *network, const tamis_data *data,
                 uint64_t first, size_t rows)
{
    size_t stride = input_stride(&network->layer[0]), n = (size_t)network->inputs;
    batch->rows = rows;
    for (size_t i = 0; i < rows; i++) {
        const float *x = data->x + (first + i) * data->columns;
        double *to = batch->input[0] + i * stride;
        for (size_t j = 0; j < n; j++)
            to[j] = network->mean
                        ? ((double)x[j] - (double)network->mean[j]) / (double)network->scale[j]
                        : (double)x[j];
    }
}

tamis_status tamis__wide_forward(tamis__wide_batch *batch, const tamis__wide *network,
                                 const double *weights, const tamis_data *data, uint64_t first,
                                 size_t rows, tamis_error *err)
{
    load(batch, network, data, first, rows);
    for (uint32_t l = 0; l < network->layers; l++) {
        const tamis_layer *layer = &network->layer[l];
        size_t width = input_stride(layer), out = (size_t)layer->out;
        TAMIS_TRY(tamis__dgemm(false, true, rows, out, width, 1.0, batch->input[l], width,
                               weights + layer->first_column, width, 0.0, batch->output[l], out,
                               err));
        if (l + 1 == network->layers) break;
        size_t stride = input_stride(&network->layer[l + 1]);
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < out; j++)
                batch->input[l + 1][i * stride + j] = activate(network->activation,
                                                               batch->output[l][i * out + j]);
    }
    return TAMIS_OK;
}

tamis_status tamis__wide_backward(tamis__wide_batch *batch, const tamis__wide *network,
                                  const double *weights, tamis_error *err)
{
    for (uint32_t l = network->layers - 1; l > 0; l--) {
        const tamis_layer *layer = &network->layer[l];
        size_t out = (size_t)layer->out, in = (size_t)layer->in, width = input_stride(layer);
        double *below = batch->delta[l - 1];
        TAMIS_TRY(tamis__dgemm(false, false, batch->rows, in, out, 1.0, batch->delta[l], out,
                               weights + layer->first_column, width, 0.0, below, in, err));
        for (size_t i = 0; i < batch->rows; i++)
            for (size_t j = 0; j < in; j++)
                below[i * in + j] *= slope(network->activation, batch->output[l - 1][i * in + j],
                                           batch->input[l][i * width + j]);
    }
    return TAMIS_OK;
}

tamis_status tamis__wide_gradient(const tamis__wide_batch *batch, const tamis__wide *network,
                                  double factor, double *gradient, tamis_error *err)
{
    for (uint32_t l = 0; l < network->layers; l++) {
        const tamis_layer *layer = &network->layer[l];
        size_t out = (size_t)layer->out, width = input_stride(layer);
        TAMIS_TRY(tamis__dgemm(true, false, out, width, batch->rows, factor, batch->delta[l], out,
                               batch->input[l], width, 1.0, gradient + layer->first_column, width,
                               err));
    }
    return TAMIS_OK;
}

/* --- the loss --------------------------------------------------------------------------------- */

static double largest(const double *logit, size_t classes)
{
    double top = logit[0];
    for (size_t c = 1; c < classes; c++) top = logit[c] > top ? logit[c] : top;
    return top;
}

void tamis__wide_softmax(const double *logit, size_t classes, double *ret_probability)
{
    double top = largest(logit, classes), sum = 0.0;
    for (size_t c = 0; c < classes; c++) sum += ret_probability[c] = exp(logit[c] - top);
    for (size_t c = 0; c < classes; c++) ret_probability[c] /= sum;
}

/* log(1 + odds of all other classes): a small loss keeps its digits, logsumexp - logit would
 * not. */
double tamis__wide_loss(const double *logit, size_t classes, size_t label)
{
    double top = -HUGE_VAL, sum = 0.0;
    for (size_t c = 0; c < classes; c++)
        if (c != label && !(logit[c] <= top)) top = logit[c];
    for (size_t c = 0; c < classes; c++)
        if (c != label) sum += exp(logit[c] - top);
    double margin = logit[label] - (top + log(sum));
    return margin > 0.0 ? log1p(exp(-margin)) : log1p(exp(margin)) - margin;
}
