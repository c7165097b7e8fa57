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
    case TAMIS_I8: break; /* made in f32: see whole.c */
    }
}

/* " (id ...)" when the row has one. */
static void id_text(const tamis_data *data, uint64_t row, char *buffer, size_t size)
{
    buffer[0] = '\0';
    if (data->id_text) snprintf(buffer, size, " (id %s)", data->id_text[row]);
    if (data->id_number) snprintf(buffer, size, " (id %" PRIu64 ")", data->id_number[row]);
}

tamis_status tamis__row_refused(const tamis__gradient_job *job, const char *what, uint32_t k,
                                uint64_t row, bool too_large, tamis_error *err)
{
    char id[300];
    id_text(job->data, row / job->per_example, id, sizeof id);
    uint32_t checkpoint = job->checkpoints.item[k];
    if (!too_large)
        return tamis__fail(err, TAMIS_ERR_NUMERIC,
                           "checkpoint %" PRIu32 ", row %" PRIu64 "%s: the %s is not finite",
                           checkpoint, row, id, what);
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "checkpoint %" PRIu32 ", row %" PRIu64
                       "%s: the %s is too large for %s: store %s",
                       checkpoint, row, id, what, tamis_dtype_name(job->dtype),
                       job->dtype == TAMIS_F16 ? "f32 or bf16" : "f32");
}

bool tamis__row_overflows(tamis_dtype dtype, const float *value, size_t n)
{
    return largest(value, n) >= overflow_at(dtype);
}

/* Norm of a row's gradient and its largest value, without making it. */
static tamis_status measure(const tamis__factors *factors, const tamis__gradient_job *job,
                            uint32_t k, uint64_t row, float *ret_norm, float *ret_top,
                            tamis_error *err)
{
    double squares = 0.0;
    float top = 0.0f;
    for (uint32_t i = 0; i < job->layers.items; i++) {
        const tamis_layer *layer = &job->layer[i];
        size_t block = (size_t)k * job->layers.items + i;
        uint64_t at = row - factors->first;
        float block_top = 0.0f;
        squares += block_norm(job, layer, factors->input[block] + at * tamis__input_stride(layer),
                              factors->delta[block] + at * layer->out, &block_top);
        top = block_top > top ? block_top : top;
    }
    float norm = (float)sqrt(squares);
    if (!isfinite(norm)) return tamis__row_refused(job, "gradient", k, row, false, err);
    *ret_norm = norm;
    *ret_top = top;
    return TAMIS_OK;
}

tamis_status tamis__gradient_norm(const tamis__factors *factors, const tamis__gradient_job *job,
                                  uint32_t k, uint64_t row, float *ret_norm, tamis_error *err)
{
    float top = 0.0f;
    return measure(factors, job, k, row, ret_norm, &top, err);
}

static tamis_status expand_row(const tamis__factors *factors, const tamis__gradient_job *job,
                               uint32_t k, uint64_t row, void *stored, float *ret_norm,
                               tamis_error *err)
{
    float norm = 0.0f, top = 0.0f;
    TAMIS_TRY(measure(factors, job, k, row, &norm, &top, err));
    if (top >= overflow_at(job->dtype))
        return tamis__row_refused(job, "gradient", k, row, true, err);
    for (uint32_t i = 0; i < job->layers.items; i++) {
        const tamis_layer *layer = &job->layer[i];
        size_t block = (size_t)k * job->layers.items + i;
        uint64_t at = row - factors->first;
        outer_product(&job->kernels, job->dtype, layer,
                      factors->input[block] + at * tamis__input_stride(layer),
                      factors->delta[block] + at * layer->out, stored);
    }
    *ret_norm = norm;
    return TAMIS_OK;
}

tamis_status tamis__factors_expand(const tamis__factors *factors, const tamis__gradient_job *job,
                                   uint32_t k, uint64_t first, uint64_t rows, void *scratch,
                                   const tamis__row_block *block, tamis_error *err)
{
    if (tamis__job_whole_rows(job))
        return tamis__whole_rows(factors, job, k, first, rows, scratch, block, err);
    size_t row_bytes = (size_t)job->stored * tamis_dtype_size(job->dtype);
    for (uint64_t i = 0; i < rows; i++)
        TAMIS_TRY(expand_row(factors, job, k, first + i, (char *)block->stored + i * row_bytes,
                             &block->norm[i], err));
    return TAMIS_OK;
}
