/* Per-example gradients from their factors: outer products straight into the stored type.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/error.h"
#include "model/factors.h"

static float largest(const float *value, size_t n)
{
    float top = 0.0f;
    for (size_t i = 0; i < n; i++) {
        float size = fabsf(value[i]);
        top = size > top ? size : top;
    }
    return top;
}

/* A product that rounds to this or more is infinity in the stored type: halfway from the largest
 * value to what would be the next. */
static float overflow_at(tamis_dtype dtype)
{
    switch (dtype) {
    case TAMIS_F16: return 65520.0f;
    case TAMIS_BF16: return 0x1.ffp+127f;
    case TAMIS_I8:
    case TAMIS_F32: break;
    }
    return INFINITY;
}

/* Squared norm of a layer's block; *ret_largest is its largest value, rounded to float. */
static double block_norm(const tamis__gradient_job *job, const tamis_layer *layer,
                         const float *input, const float *delta, float *ret_largest)
{
    size_t in = tamis__input_stride(layer), out = (size_t)layer->out;
    *ret_largest = largest(delta, out) * largest(input, in);
    return job->kernels.sum_squares(delta, out) * job->kernels.sum_squares(input, in);
}

static void outer_product(const tamis__kernels *kernels, tamis_dtype dtype,
                          const tamis_layer *layer, const float *input, const float *delta,
                          void *stored)
{
    size_t in = tamis__input_stride(layer), out = (size_t)layer->out,
           at = (size_t)layer->first_column;
    switch (dtype) {
    case TAMIS_I8: /* as f32, and rounded when the row is whole */
    case TAMIS_F32:
        for (size_t o = 0; o < out; o++)
            kernels->scale_f32((float *)stored + at + o * in, input, delta[o], in);
        break;
    case TAMIS_F16:
        for (size_t o = 0; o < out; o++)
            kernels->scale_f16((uint16_t *)stored + at + o * in, input, delta[o], in);
        break;
    case TAMIS_BF16:
        for (size_t o = 0; o < out; o++)
            kernels->scale_bf16((uint16_t *)stored + at + o * in, input, delta[o], in);
        break;
    }
}

/* " (id ...)" when the row has one. */
static void id_text(const tamis_data *data, uint64_t row, char *buffer, size_t size)
{
    buffer[0] = '\0';
    if (data->id_text) snprintf(buffer, size, " (id %s)", data->id_text[row]);
    if (data->id_number) snprintf(buffer, size, " (id %" PRIu64 ")", data->id_number[row]);
}

static tamis_status not_stored(const tamis__gradient_job *job, uint32_t k, uint64_t row,
                               bool finite, tamis_error *err)
{
    char id[300];
    id_text(job->data, row, id, sizeof id);
    uint32_t checkpoint = job->checkpoints.item[k];
    if (!finite)
        return tamis__fail(err, TAMIS_ERR_NUMERIC,
                           "checkpoint %" PRIu32 ", row %" PRIu64 "%s: the gradient is not finite",
                           checkpoint, row, id);
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "checkpoint %" PRIu32 ", row %" PRIu64
                       "%s: the gradient is too large for %s: store %s",
                       checkpoint, row, id, tamis_dtype_name(job->dtype),
                       job->dtype == TAMIS_F16 ? "f32 or bf16" : "f32");
}

static tamis_status expand_row(const tamis__factors *factors, const tamis__gradient_job *job,
                               uint32_t k, uint64_t row, void *stored, float *ret_norm,
                               tamis_error *err)
{
    double squares = 0.0;
    float top = 0.0f;
    for (uint32_t i = 0; i < job->layers.items; i++) {
        const tamis_layer *layer = &job->layer[i];
        size_t block = (size_t)k * job->layers.items + i;
        const float *input = factors->input[block] +
                             (row - factors->first) * tamis__input_stride(layer);
        const float *delta = factors->delta[block] + (row - factors->first) * layer->out;
        float block_top = 0.0f;
        squares += block_norm(job, layer, input, delta, &block_top);
        top = block_top > top ? block_top : top;
        outer_product(&job->kernels, job->dtype, layer, input, delta, stored);
    }
    float norm = (float)sqrt(squares);
    if (!isfinite(norm)) return not_stored(job, k, row, false, err);
    if (top >= overflow_at(job->dtype)) return not_stored(job, k, row, true, err);
    *ret_norm = norm;
    return TAMIS_OK;
}

tamis_status tamis__factors_expand(const tamis__factors *factors, const tamis__gradient_job *job,
                                   uint32_t k, uint64_t first, uint64_t rows, void *scratch,
                                   void *stored, float *scale, float *norm, tamis_error *err)
{
    size_t row_bytes = (size_t)job->columns * tamis_dtype_size(job->dtype);
    for (uint64_t i = 0; i < rows; i++) {
        void *row = (char *)stored + i * row_bytes;
        TAMIS_TRY(expand_row(factors, job, k, first + i, scale ? scratch : row, &norm[i], err));
        if (scale) scale[i] = tamis__narrow(&job->kernels, job->dtype, row, scratch, job->columns);
    }
    return TAMIS_OK;
}
