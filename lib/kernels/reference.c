/* The plain C versions of the inner loops.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernels/reference.h"

#include <string.h>

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float widen_f16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = (half >> 10) & 0x1fu,
             fraction = half & 0x3ffu;
    if (exponent == 0) {
        /* A multiple of 2^-24: exact, as a normal float. */
        float magnitude = (float)fraction * 0x1p-24f;
        return float_of(bits_of(magnitude) | sign);
    }
    if (exponent == 31) {
        uint32_t quiet = fraction ? 0x400000u : 0; /* as the processor does to a signalling NaN */
        return float_of(sign | 0x7f800000u | quiet | fraction << 13);
    }
    return float_of(sign | (exponent + 112) << 23 | fraction << 13);
}

static uint16_t narrow_f16(float value)
{
    uint32_t bits = bits_of(value), magnitude = bits & 0x7fffffffu;
    uint32_t sign = bits >> 16 & 0x8000u;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and above */
    if (magnitude < 0x38800000u) {
        /* Below 2^-14: adding 0.5 leaves a multiple of 2^-24 in the fraction, rounded by the
         * addition itself. */
        uint32_t rounded = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u;
        return (uint16_t)(sign | rounded);
    }
    /* A carry out of the fraction goes into the exponent, which is what rounding up means. */
    uint32_t odd = magnitude >> 13 & 1u;
    return (uint16_t)(sign | (magnitude - (112u << 23) + 0xfffu + odd) >> 13);
}

static uint16_t narrow_bf16(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

void tamis__widen_f16_c(float *out, const uint16_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = widen_f16(in[i]);
}

void tamis__widen_bf16_c(float *out, const uint16_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)in[i] << 16;
        memcpy(out + i, &bits, sizeof bits);
    }
}

void tamis__narrow_f16_c(uint16_t *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = narrow_f16(in[i]);
}

void tamis__narrow_bf16_c(uint16_t *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = narrow_bf16(in[i]);
}

void tamis__scale_f32_c(float *out, const float *in, float scale, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = in[i] * scale;
}

void tamis__scale_f16_c(uint16_t *out, const float *in, float scale, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = narrow_f16(in[i] * scale);
}

void tamis__scale_bf16_c(uint16_t *out, const float *in, float scale, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = narrow_bf16(in[i] * scale);
}

double tamis__sum_squares_end(double sums[16], const float *rest, size_t n)
{
    for (size_t i = 0; i < n; i++) sums[i] += (double)rest[i] * (double)rest[i];
    for (size_t step = 8; step > 0; step /= 2)
        for (size_t i = 0; i < step; i++) sums[i] += sums[i + step];
    return sums[0];
}

double tamis__sum_squares_c(const float *in, size_t n)
{
    double sums[16] = {0};
    size_t whole = n - n % 16;
    for (size_t at = 0; at < whole; at += 16)
        for (size_t i = 0; i < 16; i++) sums[i] += (double)in[at + i] * (double)in[at + i];
    return tamis__sum_squares_end(sums, in + whole, n - whole);
}

/* Eight columns at a time, so that what is read of a term lies together. */
void tamis__sum_products_c(float *out, const float *in, size_t in_stride, const float *factor,
                           size_t factor_stride, size_t terms, size_t n)
{
    for (size_t first = 0; first < n; first += 8) {
        double sum[8] = {0};
        size_t columns = n - first < 8 ? n - first : 8;
        for (size_t t = 0; t < terms; t++)
            for (size_t i = 0; i < columns; i++)
                sum[i] += (double)factor[t * factor_stride] * (double)in[t * in_stride + first + i];
        for (size_t i = 0; i < columns; i++) out[first + i] = (float)sum[i];
    }
}
