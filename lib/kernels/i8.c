/* Rows of signed bytes with one scale: plain C, AVX2 and AVX-512, all with the same bits.
 *
 * The scale is max|x| / 127 with the low 7 bits of its fraction cleared. What is left has 17 bits, so
 * that q * scale is exact for every q, 127 * scale is at most max|x|, and a row made from stored values
 * gives the same scale and the same q again. The largest value is 127.002 steps at most and rounds to
 * 127. A scale that would be subnormal cannot have that and is 0.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <float.h>
#include <math.h>
#include <string.h>

#include <tamis/context.h>

#include "kernels/reference.h"

/* --- plain C ---------------------------------------------------------------------------------- */

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

/* Magnitudes compare like their bits, and NaN is above infinity. */
static uint32_t largest_c(const float *in, size_t n, uint32_t top)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t magnitude = bits_of(in[i]) & 0x7fffffffu;
        top = magnitude > top ? magnitude : top;
    }
    return top;
}

static float scale_of(uint32_t top)
{
    if (top >= 0x7f800000u) return NAN;
    float scale = float_of(bits_of(float_of(top) / 127.0f) & ~0x7fu);
    return scale < FLT_MIN ? 0.0f : scale;
}

/* Adding 1.5 * 2^23 leaves a whole number in the fraction, rounded by the addition itself. */
static void quantise_c(int8_t *out, const float *in, float scale, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float shifted = in[i] / scale + 0x1.8p23f;
        out[i] = (int8_t)(int32_t)(bits_of(shifted) - 0x4b400000u);
    }
}

static float narrow_i8_c(int8_t *out, const float *in, size_t n)
{
    float scale = scale_of(largest_c(in, n, 0));
    if (scale > 0.0f)
        quantise_c(out, in, scale, n);
    else if (n)
        memset(out, 0, n);
    return scale;
}

static void widen_i8_c(float *out, const int8_t *in, float scale, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = (float)in[i] * scale;
}

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define AVX2    __attribute__((target("avx2")))
#define AVX512  __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2")))
#define NEAREST (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

/* --- AVX2: eight values at a time, the rest by plain C ---------------------------------------- */

AVX2 static uint32_t largest_avx2(const float *in, size_t n)
{
    __m256i top = _mm256_setzero_si256(), magnitude = _mm256_set1_epi32(0x7fffffff);
    uint32_t each[8], most = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i bits = _mm256_castps_si256(_mm256_loadu_ps(in + i));
        top = _mm256_max_epu32(top, _mm256_and_si256(bits, magnitude));
    }
    _mm256_storeu_si256((void *)each, top);
    for (size_t j = 0; j < 8; j++) most = each[j] > most ? each[j] : most;
    return largest_c(in + i, n - i, most);
}

AVX2 static float narrow_i8_avx2(int8_t *out, const float *in, size_t n)
{
    float scale = scale_of(largest_avx2(in, n));
    if (!(scale > 0.0f)) return narrow_i8_c(out, in, n);
    __m256 step = _mm256_set1_ps(scale);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 quotient = _mm256_div_ps(_mm256_loadu_ps(in + i), step);
        __m256i whole = _mm256_cvtps_epi32(_mm256_round_ps(quotient, NEAREST));
        __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(whole),
                                       _mm256_extracti128_si256(whole, 1));
        _mm_storel_epi64((void *)(out + i), _mm_packs_epi16(half, half));
    }
    quantise_c(out + i, in + i, scale, n - i);
    return scale;
}

AVX2 static void widen_i8_avx2(float *out, const int8_t *in, float scale, size_t n)
{
    __m256 step = _mm256_set1_ps(scale);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i whole = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(in + i)));
        _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_cvtepi32_ps(whole), step));
    }
    widen_i8_c(out + i, in + i, scale, n - i);
}

/* --- AVX-512: sixteen at a time, the rest under a mask ---------------------------------------- */

static inline __mmask16 mask_of(size_t left)
{
    unsigned missing = left >= 16 ? 0 : 16 - (unsigned)left;
    return (__mmask16)(0xffffu >> missing);
}

AVX512 static uint32_t largest_avx512(const float *in, size_t n)
{
    __m512i top = _mm512_setzero_si512(), magnitude = _mm512_set1_epi32(0x7fffffff);
    for (size_t i = 0; i < n; i += 16) {
        __m512i bits = _mm512_castps_si512(_mm512_maskz_loadu_ps(mask_of(n - i), in + i));
        top = _mm512_maskz_max_epu32(0xffff, top, _mm512_and_si512(bits, magnitude));
    }
    return _mm512_reduce_max_epu32(top);
}

AVX512 static float narrow_i8_avx512(int8_t *out, const float *in, size_t n)
{
    float scale = scale_of(largest_avx512(in, n));
    if (!(scale > 0.0f)) return narrow_i8_c(out, in, n);
    __m512 step = _mm512_set1_ps(scale);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = mask_of(n - i);
        __m512 quotient = _mm512_div_ps(_mm512_maskz_loadu_ps(mask, in + i), step);
        __m512i whole = _mm512_maskz_cvt_roundps_epi32(0xffff, quotient, NEAREST);
        _mm512_mask_cvtepi32_storeu_epi8(out + i, mask, whole);
    }
    return scale;
}

AVX512 static void widen_i8_avx512(float *out, const int8_t *in, float scale, size_t n)
{
    __m512 step = _mm512_set1_ps(scale);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = mask_of(n - i);
        __m512i whole = _mm512_maskz_cvtepi8_epi32(mask, _mm_maskz_loadu_epi8(mask, in + i));
        __m512 value = _mm512_maskz_cvtepi32_ps(mask, whole);
        _mm512_mask_storeu_ps(out + i, mask, _mm512_mul_ps(value, step));
    }
}

#endif

/* --- the choice ------------------------------------------------------------------------------- */

void tamis__kernels_init_i8(tamis__kernels *kernels, unsigned cpu)
{
    kernels->widen_i8 = widen_i8_c;
    kernels->narrow_i8 = narrow_i8_c;
#if defined(__x86_64__) && defined(__GNUC__)
    if (!(cpu & TAMIS_CPU_AVX2)) return;
    kernels->widen_i8 = widen_i8_avx2;
    kernels->narrow_i8 = narrow_i8_avx2;
    if (!(cpu & TAMIS_CPU_AVX512)) return;
    kernels->widen_i8 = widen_i8_avx512;
    kernels->narrow_i8 = narrow_i8_avx512;
#else
    (void)cpu;
#endif
}
