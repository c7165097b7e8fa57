/* Activations and their derivatives.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>

#include "model/network.h"

static const float sqrt_half = 0.70710678118654752440f;
static const float inv_sqrt_two_pi = 0.39894228040143267794f;

/* Phi through erfc: 1 + erf(x) has no digits left far below zero. */
static float normal_cdf(float z)
{
    return 0.5f * erfcf(-z * sqrt_half);
}

/* z * Phi(z) is 0 in the limit, where infinity times 0 would be NaN. */
static float gelu(float z)
{
    float cdf = normal_cdf(z);
    return cdf == 0.0f ? 0.0f : z * cdf;
}

static float gelu_derivative(float z)
{
    float density = inv_sqrt_two_pi * expf(-0.5f * z * z);
    return normal_cdf(z) + (density == 0.0f ? 0.0f : z * density);
}

static void activate_row(tamis_activation activation, const float *z, size_t columns, float *out)
{
    switch (activation) {
    case TAMIS_RELU:
        /* A NaN must stay one: it is not < 0. */
        for (size_t j = 0; j < columns; j++) out[j] = z[j] < 0.0f ? 0.0f : z[j];
        break;
    case TAMIS_TANH:
        for (size_t j = 0; j < columns; j++) out[j] = tanhf(z[j]);
        break;
    case TAMIS_GELU:
        for (size_t j = 0; j < columns; j++) out[j] = gelu(z[j]);
        break;
    }
}

void tamis__activate(tamis_activation activation, const float *z, size_t rows, size_t columns,
                     float *out, size_t out_stride)
{
    for (size_t i = 0; i < rows; i++)
        activate_row(activation, z + i * columns, columns, out + i * out_stride);
}

static void back_row(tamis_activation activation, const float *z, const float *y, size_t columns,
                     float *delta)
{
    switch (activation) {
    case TAMIS_RELU:
        for (size_t j = 0; j < columns; j++) delta[j] = z[j] > 0.0f ? delta[j] : 0.0f;
        break;
    case TAMIS_TANH:
        for (size_t j = 0; j < columns; j++) delta[j] *= (1.0f - y[j]) * (1.0f + y[j]);
        break;
    case TAMIS_GELU:
        for (size_t j = 0; j < columns; j++) delta[j] *= gelu_derivative(z[j]);
        break;
    }
}

void tamis__activation_back(tamis_activation activation, const float *z, const float *y,
                            size_t y_stride, size_t rows, size_t columns, float *delta)
{
    for (size_t i = 0; i < rows; i++)
        back_row(activation, z + i * columns, y + i * y_stride, columns, delta + i * columns);
}
