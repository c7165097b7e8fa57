/* Factors on their way into a store: rounded, measured, checked, digested.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/digest.h"
#include "base/error.h"
#include "store/store_writer.h"

/* --- norms ------------------------------------------------------------------------------------ */

#define LANES 16

/* In double, over 16 interleaved partial sums added pairwise at the end: products of floats are
 * exact there, so that no processor and no compiler makes another sum of them. */
static double dot(const float *a, const float *b, uint64_t n)
{
    double sum[LANES] = {0};
    uint64_t whole = n - n % LANES;
    for (uint64_t i = 0; i < whole; i += LANES)
        for (unsigned l = 0; l < LANES; l++) sum[l] += (double)a[i + l] * (double)b[i + l];
    for (uint64_t i = whole; i < n; i++) sum[i - whole] += (double)a[i] * (double)b[i];
    for (unsigned step = LANES / 2; step > 0; step /= 2)
        for (unsigned l = 0; l < step; l++) sum[l] += sum[l + step];
    return sum[0];
}

/* |sum_t g_t a_t^T|^2 = sum_{t,u} <a_t,a_u> <g_t,g_u>. */
static double layer_square(const tamis__factor_shape *shape, const tamis_layer *layer,
                           const float *input, const float *output, uint64_t tokens)
{
    double sum = 0;
    uint64_t in = layer->in + layer->bias, out = layer->out;
    for (uint64_t t = 0; t < tokens; t++) {
        const float *a = input + t * shape->input_columns, *g = output + t * shape->output_columns;
        sum += dot(a, a, in) * dot(g, g, out);
        for (uint64_t u = 0; u < t; u++)
            sum += 2 * dot(a, input + u * shape->input_columns, in) *
                   dot(g, output + u * shape->output_columns, out);
    }
    return sum;
}

double tamis__store_factors_norm(const tamis__factor_shape *shape, const float *input,
                                 const float *output_gradient, uint64_t tokens)
{
    double sum = 0;
    for (uint32_t i = 0; i < shape->layers; i++) {
        sum += layer_square(shape, &shape->layer[i], input, output_gradient, tokens);
        input += shape->layer[i].in + shape->layer[i].bias;
        output_gradient += shape->layer[i].out;
    }
    return sqrt(sum < 0 ? 0
                        : sum); /* rounding can take a sum of nearly nothing below 0; NaN stays */
}

/* --- checks ----------------------------------------------------------------------------------- */

tamis_status tamis__store_factors_ones(const tamis__factor_shape *shape, const float *input,
                                       uint64_t tokens, uint64_t row, uint32_t checkpoint,
                                       tamis_error *err)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < shape->layers; i++) {
        const tamis_layer *layer = &shape->layer[i];
        at += layer->in + layer->bias;
        for (uint64_t t = 0; layer->bias && t < tokens; t++) {
            float last = input[t * shape->input_columns + at - 1];
            if (last >= 1.0f && last <= 1.0f) continue;
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "checkpoint %u, row %llu: the input of layer '%s' ends with %g: "
                               "its last value must be 1, the layer has a bias",
                               (unsigned)checkpoint, (unsigned long long)row, layer->name,
                               (double)last);
        }
    }
    return TAMIS_OK;
}

static bool all_finite(const float *values, uint64_t n)
{
    uint32_t bad = 0, bits;
    for (uint64_t i = 0; i < n; i++) {
        memcpy(&bits, &values[i], sizeof bits);
        bad |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return !bad;
}

static tamis_status refused(tamis_error *err, const char *what, uint32_t checkpoint, uint64_t row)
{
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "checkpoint %u, row %llu: the %s is not finite (NaN or infinite)",
                       (unsigned)checkpoint, (unsigned long long)row, what);
}

static tamis_status too_large(tamis_error *err, const char *what, const char *type,
                              const char *instead, uint32_t checkpoint, uint64_t row)
{
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "checkpoint %u, row %llu: a value of the %s is too large for %s: store %s "
                       "instead",
                       (unsigned)checkpoint, (unsigned long long)row, what, type, instead);
}

/* --- rounding --------------------------------------------------------------------------------- */

/* Exponent bits all set: infinity. */
static bool overflowed(tamis_dtype dtype, const uint16_t *values, uint64_t n)
{
    uint16_t exponent = dtype == TAMIS_F16 ? 0x7c00 : 0x7f80;
    uint32_t bad = 0;
    for (uint64_t i = 0; i < n; i++) bad |= (values[i] & exponent) == exponent;
    return bad;
}

/* One side of one row: every token at once, or for i8 by layers, each with its scale. */
static tamis_status narrow_side(const tamis__kernels *kernels, const tamis__factor_shape *shape,
                                bool input, const float *values, uint64_t tokens, uint64_t row,
                                uint32_t checkpoint, void *stored, float *scale, tamis_error *err)
{
    const char *what = input ? "input" : "output gradient";
    uint64_t columns = input ? shape->input_columns : shape->output_columns, n = tokens * columns;
    int8_t *out = stored;
    if (!all_finite(values, n)) return refused(err, what, checkpoint, row);
    if (shape->dtype != TAMIS_I8) {
        (void)tamis__narrow(kernels, shape->dtype, stored, values, n);
        if (shape->dtype != TAMIS_F32 && overflowed(shape->dtype, stored, n))
            return too_large(err, what, tamis_dtype_name(shape->dtype), "f32", checkpoint, row);
        return TAMIS_OK;
    }
    for (uint64_t t = 0; t < tokens; t++)
        for (uint32_t i = 0; i < shape->layers; i++) {
            const tamis_layer *layer = &shape->layer[i];
            uint64_t width = input ? layer->in + layer->bias : layer->out;
            *scale++ = kernels->narrow_i8(out, values, width);
            out += width;
            values += width;
        }
    return TAMIS_OK;
}

tamis_status tamis__store_factors_narrow(const tamis__kernels *kernels,
                                         const tamis__factor_shape *shape, uint64_t rows,
                                         const uint64_t *offset, const float *input,
                                         const float *output_gradient, uint64_t first_row,
                                         uint32_t checkpoint, const tamis__factor_space *stored,
                                         float *norm, tamis_error *err)
{
    size_t size = tamis_dtype_size(shape->dtype);
    for (uint64_t i = 0; i < rows; i++) {
        uint64_t at = offset[i] - offset[0], tokens = offset[i + 1] - offset[i];
        const float *a = input + at * shape->input_columns,
                    *g = output_gradient + at * shape->output_columns;
        unsigned char *a_out = stored->input, *g_out = stored->output_gradient;
        bool scaled = shape->dtype == TAMIS_I8;
        TAMIS_TRY(narrow_side(kernels, shape, true, a, tokens, first_row + i, checkpoint,
                              a_out + at * shape->input_columns * size,
                              scaled ? stored->input_scale + at * shape->layers : NULL, err));
        TAMIS_TRY(narrow_side(kernels, shape, false, g, tokens, first_row + i, checkpoint,
                              g_out + at * shape->output_columns * size,
                              scaled ? stored->output_gradient_scale + at * shape->layers : NULL,
                              err));
        if (!norm) continue;
        norm[i] = (float)tamis__store_factors_norm(shape, a, g, tokens);
        if (!isfinite(norm[i]))
            return too_large(err, "gradient", "f32 norms", "scaled rows", checkpoint,
                             first_row + i);
    }
    return TAMIS_OK;
}

/* --- digests ---------------------------------------------------------------------------------- */

/* A chain over the row's tokens, which need not lie together: the digest of each piece is the seed
 * of the next one's. */
static uint64_t row_digest(const tamis__factor_shape *shape, const tamis__factor_rows *rows,
                           uint64_t at, uint64_t tokens, uint64_t seed)
{
    size_t size = tamis_dtype_size(shape->dtype), input = shape->input_columns * size,
           output = shape->output_columns * size, scale = shape->layers * sizeof(float);
    const unsigned char *a = rows->input, *g = rows->output_gradient;
    unsigned char count[8];
    for (unsigned i = 0; i < sizeof count; i++) count[i] = (unsigned char)(tokens >> 8 * i);
    uint64_t digest = tamis__digest_seeded(count, sizeof count, seed);
    for (uint64_t t = at; t < at + tokens; t++) {
        digest = tamis__digest_seeded(a + t * input, input, digest);
        digest = tamis__digest_seeded(g + t * output, output, digest);
        if (shape->dtype != TAMIS_I8) continue;
        digest = tamis__digest_seeded(rows->input_scale + t * shape->layers, scale, digest);
        digest = tamis__digest_seeded(rows->output_gradient_scale + t * shape->layers, scale,
                                      digest);
    }
    return digest;
}

uint64_t tamis__store_factors_digest(const tamis__factor_shape *shape,
                                     const tamis__factor_rows *rows_stored, uint64_t rows,
                                     const uint64_t *offset, uint64_t first_row,
                                     uint32_t checkpoint)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < rows; i++)
        sum += row_digest(shape, rows_stored, offset[i] - offset[0], offset[i + 1] - offset[i],
                          (first_row + i) * 256 + checkpoint);
    return sum;
}
