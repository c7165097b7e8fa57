/* The buffers of a batch: one allocation, cut into 64-byte aligned pieces.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/network.h"

/* Floats of a piece, rounded up to whole cache lines. */
static uint64_t piece(uint64_t rows, uint64_t columns)
{
    return (rows * columns + 15) / 16 * 16;
}

static uint64_t batch_floats(const tamis__network *network, size_t capacity, bool backward)
{
    uint64_t total = 3 * piece(capacity, 1) + piece(capacity, tamis__network_classes(network));
    for (uint32_t l = 0; l < network->layers; l++) {
        total += piece(capacity, tamis__input_stride(&network->layer[l]));
        total += (backward ? 2 : 1) * piece(capacity, network->layer[l].out);
    }
    return total;
}

uint64_t tamis__batch_bytes(const tamis__network *network, size_t capacity, bool backward)
{
    return batch_floats(network, capacity, backward) * sizeof(float) +
           3 * network->layers * sizeof(float *);
}

static float *take(float **next, uint64_t rows, uint64_t columns)
{
    float *here = *next;
    *next += piece(rows, columns);
    return here;
}

/* The column of ones is written once: the layers write only the columns before it. */
static void set_ones(float *input, const tamis_layer *layer, size_t rows)
{
    size_t stride = tamis__input_stride(layer);
    for (size_t i = 0; i < rows && layer->bias; i++) input[i * stride + layer->in] = 1.0f;
}

static void cut(tamis__batch *batch, const tamis__network *network, bool backward)
{
    float *next = batch->memory;
    size_t rows = batch->capacity;
    for (uint32_t l = 0; l < network->layers; l++) {
        const tamis_layer *layer = &network->layer[l];
        batch->input[l] = take(&next, rows, tamis__input_stride(layer));
        batch->output[l] = take(&next, rows, layer->out);
        if (backward) batch->delta[l] = take(&next, rows, layer->out);
        set_ones(batch->input[l], layer, rows);
    }
    batch->loss = take(&next, rows, 1);
    batch->margin = take(&next, rows, 1);
    batch->probability = take(&next, rows, tamis__network_classes(network));
}

tamis_status tamis__batch_init(tamis__batch *ret_batch, const tamis__network *network,
                               size_t capacity, bool backward, tamis_error *err)
{
    tamis__batch batch = {.capacity = capacity};
    batch.input = tamis__calloc(network->layers, sizeof *batch.input);
    batch.output = tamis__calloc(network->layers, sizeof *batch.output);
    if (backward) batch.delta = tamis__calloc(network->layers, sizeof *batch.delta);
    batch.label = tamis__calloc(capacity, sizeof *batch.label);
    batch.memory = tamis__aligned(batch_floats(network, capacity, backward), sizeof(float));
    if (!batch.input || !batch.output || (backward && !batch.delta) || !batch.label ||
        !batch.memory) {
        tamis__batch_fini(&batch);
        return tamis__fail_memory(err, "a batch of rows",
                                  tamis__batch_bytes(network, capacity, backward));
    }
    cut(&batch, network, backward);
    *ret_batch = batch;
    return TAMIS_OK;
}

void tamis__batch_fini(tamis__batch *batch)
{
    free(batch->input);
    free(batch->output);
    free(batch->delta);
    free(batch->label);
    free(batch->memory);
    *batch = (tamis__batch){0};
}

tamis_status tamis__batches_create(tamis__batch **ret_batches, size_t n,
                                   const tamis__network *network, size_t capacity, bool backward,
                                   tamis_error *err)
{
    tamis__batch *batches = tamis__calloc(n, sizeof *batches);
    if (!batches) return tamis__fail_memory(err, "batches of rows", n * sizeof *batches);
    for (size_t i = 0; i < n; i++) {
        tamis_status status = tamis__batch_init(&batches[i], network, capacity, backward, err);
        if (status != TAMIS_OK) {
            tamis__batches_free(batches, n);
            return status;
        }
    }
    *ret_batches = batches;
    return TAMIS_OK;
}

void tamis__batches_free(tamis__batch *batches, size_t n)
{
    for (size_t i = 0; batches && i < n; i++) tamis__batch_fini(&batches[i]);
    free(batches);
}

static void load_row(const tamis__network *network, const float *x, float *out)
{
    size_t n = (size_t)tamis__network_inputs(network);
    const float *mean = network->mean, *scale = network->scale;
    for (size_t j = 0; j < n; j++) out[j] = mean ? (x[j] - mean[j]) / scale[j] : x[j];
}

void tamis__batch_load(tamis__batch *batch, const tamis__network *network, const tamis_data *data,
                       const uint64_t *order, uint64_t first, size_t rows)
{
    size_t stride = tamis__input_stride(&network->layer[0]);
    batch->rows = rows;
    for (size_t i = 0; i < rows; i++) {
        uint64_t row = order ? order[first + i] : first + i;
        load_row(network, data->x + row * data->columns, batch->input[0] + i * stride);
        batch->label[i] = data->label ? data->label[row] : 0;
    }
}
