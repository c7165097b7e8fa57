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

/* Values at a time: a number known to the compiler, so that it makes vectors of the loops whatever
 * the level of optimisation. No value depends on another: no bit changes by it. */
enum { AT_ONCE = 16 };

/* A NaN must stay one: it is not < 0. */
static void relu_row(const float *restrict z, size_t columns, float *restrict out)
{
    size_t j = 0;
    for (; j + AT_ONCE <= columns; j += AT_ONCE)
        for (size_t i = j; i < j + AT_ONCE; i++) out[i] = z[i] < 0.0f ? 0.0f : z[i];
    for (; j < columns; j++) out[j] = z[j] < 0.0f ? 0.0f : z[j];
}

static void relu_back_row(const float *restrict z, size_t columns, float *restrict delta)
{
    size_t j = 0;
    for (; j + AT_ONCE <= columns; j += AT_ONCE)
        for (size_t i = j; i < j + AT_ONCE; i++) delta[i] = z[i] > 0.0f ? delta[i] : 0.0f;
    for (; j < columns; j++) delta[j] = z[j] > 0.0f ? delta[j] : 0.0f;
}

static void activate_row(tamis_activation activation, const float *z, size_t columns, float *out)
{
    switch (activation) {
    case TAMIS_RELU: relu_row(z, columns, out); break;
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
    case TAMIS_RELU: relu_back_row(z, columns, delta); break;
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
