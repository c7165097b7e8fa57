/* Inner loops for x86-64: AVX2 with F16C, and AVX-512 (F, BW, VL, DQ). Each function carries its
 * own target, so the file needs no compiler flag and the rest of the program runs on any processor.
 * Conversions are exact or correctly rounded and sums keep the order of the reference, so every
 * version gives the same bits (tolerance 0). Loads and stores touch only the n values.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernels/reference.h"

#include <tamis/context.h>

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define AVX2   __attribute__((target("avx2,f16c")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,f16c")))

/* Round to nearest whatever the processor's current rounding mode. */
#define NEAREST (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

/* --- AVX2: eight values at a time, the rest by the reference -------------------------------- */

AVX2 static inline __m128i load8(const uint16_t *in)
{
    return _mm_loadu_si128((const void *)in);
}

AVX2 static inline void store8(uint16_t *out, __m128i value)
{
    _mm_storeu_si128((void *)out, value);
}

/* See narrow_bf16() of the reference. */
AVX2 static inline __m128i bf16_of8(__m256 value)
{
    __m256i bits = _mm256_castps_si256(value), high = _mm256_srli_epi32(bits, 16);
    __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    __m256i round = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    __m256i number = _mm256_srli_epi32(_mm256_add_epi32(bits, round), 16);
    __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
    __m256i wide = _mm256_blendv_epi8(number, quiet, nan);
    return _mm_packus_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
}

AVX2 static void widen_f16_avx2(float *out, const uint16_t *in, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(out + i, _mm256_cvtph_ps(load8(in + i)));
    tamis__widen_f16_c(out + i, in + i, n - i);
}

AVX2 static void widen_bf16_avx2(float *out, const uint16_t *in, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i wide = _mm256_slli_epi32(_mm256_cvtepu16_epi32(load8(in + i)), 16);
        _mm256_storeu_si256((void *)(out + i), wide);
    }
    tamis__widen_bf16_c(out + i, in + i, n - i);
}

AVX2 static void narrow_f16_avx2(uint16_t *out, const float *in, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) store8(out + i, _mm256_cvtps_ph(_mm256_loadu_ps(in + i), NEAREST));
    tamis__narrow_f16_c(out + i, in + i, n - i);
}

AVX2 static void narrow_bf16_avx2(uint16_t *out, const float *in, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) store8(out + i, bf16_of8(_mm256_loadu_ps(in + i)));
    tamis__narrow_bf16_c(out + i, in + i, n - i);
}

AVX2 static void scale_f32_avx2(float *out, const float *in, float scale, size_t n)
{
    size_t i = 0;
    __m256 factor = _mm256_set1_ps(scale);
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_loadu_ps(in + i), factor));
    tamis__scale_f32_c(out + i, in + i, scale, n - i);
}

AVX2 static void scale_f16_avx2(uint16_t *out, const float *in, float scale, size_t n)
{
    size_t i = 0;
    __m256 factor = _mm256_set1_ps(scale);
    for (; i + 8 <= n; i += 8)
        store8(out + i, _mm256_cvtps_ph(_mm256_mul_ps(_mm256_loadu_ps(in + i), factor), NEAREST));
    tamis__scale_f16_c(out + i, in + i, scale, n - i);
}

AVX2 static void scale_bf16_avx2(uint16_t *out, const float *in, float scale, size_t n)
{
    size_t i = 0;
    __m256 factor = _mm256_set1_ps(scale);
    for (; i + 8 <= n; i += 8)
        store8(out + i, bf16_of8(_mm256_mul_ps(_mm256_loadu_ps(in + i), factor)));
    tamis__scale_bf16_c(out + i, in + i, scale, n - i);
}

/* The square of a float is exact in double, so no fused multiplication could change a bit. */
AVX2 static inline __m256d add_squares4(__m256d sum, const float *in)
{
    __m256d wide = _mm256_cvtps_pd(_mm_loadu_ps(in));
    return _mm256_add_pd(sum, _mm256_mul_pd(wide, wide));
}

AVX2 static double sum_squares_avx2(const float *in, size_t n)
{
    __m256d a = _mm256_setzero_pd(), b = a, c = a, d = a;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        a = add_squares4(a, in + i);
        b = add_squares4(b, in + i + 4);
        c = add_squares4(c, in + i + 8);
        d = add_squares4(d, in + i + 12);
    }
    double sums[16];
    _mm256_storeu_pd(sums, a);
    _mm256_storeu_pd(sums + 4, b);
    _mm256_storeu_pd(sums + 8, c);
    _mm256_storeu_pd(sums + 12, d);
    return tamis__sum_squares_end(sums, in + i, n - i);
}

AVX2 static inline __m256d add_products4(__m256d sum, __m256d factor, const float *in)
{
    return _mm256_add_pd(sum, _mm256_mul_pd(factor, _mm256_cvtps_pd(_mm_loadu_ps(in))));
}

AVX2 static void sum_products_avx2(float *out, const float *in, size_t in_stride,
                                   const float *factor, size_t factor_stride, size_t terms,
                                   size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256d a = _mm256_setzero_pd(), b = a, c = a, d = a;
        for (size_t t = 0; t < terms; t++) {
            const float *at = in + t * in_stride + i;
            __m256d g = _mm256_set1_pd((double)factor[t * factor_stride]);
            a = add_products4(a, g, at);
            b = add_products4(b, g, at + 4);
            c = add_products4(c, g, at + 8);
            d = add_products4(d, g, at + 12);
        }
        _mm_storeu_ps(out + i, _mm256_cvtpd_ps(a));
        _mm_storeu_ps(out + i + 4, _mm256_cvtpd_ps(b));
        _mm_storeu_ps(out + i + 8, _mm256_cvtpd_ps(c));
        _mm_storeu_ps(out + i + 12, _mm256_cvtpd_ps(d));
    }
    tamis__sum_products_c(out + i, in + i, in_stride, factor, factor_stride, terms, n - i);
}

/* --- AVX-512: sixteen at a time, the rest under a mask -------------------------------------- */

static inline __mmask16 mask_of(size_t left)
{
    unsigned missing = left >= 16 ? 0 : 16 - (unsigned)left;
    return (__mmask16)(0xffffu >> missing);
}

/* Masked-out values are neither read nor written, so nothing beyond the end is touched. */
AVX512 static inline __m512 load_f32(const float *in, __mmask16 mask)
{
    return _mm512_maskz_loadu_ps(mask, in);
}

AVX512 static inline __m256i load_u16(const uint16_t *in, __mmask16 mask)
{
    return _mm256_maskz_loadu_epi16(mask, in);
}

AVX512 static inline __m256i f16_of16(__m512 value)
{
    return _mm512_maskz_cvtps_ph(0xffff, value, NEAREST);
}

AVX512 static inline __m256i bf16_of16(__m512 value)
{
    __m512i bits = _mm512_castps_si512(value), high = _mm512_maskz_srli_epi32(0xffff, bits, 16);
    __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
    __m512i round = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
    __m512i number = _mm512_maskz_srli_epi32(0xffff, _mm512_add_epi32(bits, round), 16);
    __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
    __m512i wide = _mm512_mask_or_epi32(number, nan, high, _mm512_set1_epi32(0x40));
    return _mm512_maskz_cvtepi32_epi16(0xffff, wide);
}

AVX512 static void widen_f16_avx512(float *out, const uint16_t *in, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = mask_of(n - i);
        _mm512_mask_storeu_ps(out + i, mask, _mm512_maskz_cvtph_ps(mask, load_u16(in + i, mask)));
    }
}

AVX512 static void widen_bf16_avx512(float *out, const uint16_t *in, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = mask_of(n - i);
        __m512i wide = _mm512_maskz_cvtepu16_epi32(mask, load_u16(in + i, mask));
        _mm512_mask_storeu_epi32(out + i, mask, _mm512_maskz_slli_epi32(mask, wide, 16));
    }
}

AVX512 static void narrow_f16_avx512(uint16_t *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = mask_of(n - i);
        _mm256_mask_storeu_epi16(out + i, mask, f16_of16(load_f32(in + i, mask)));
    }
}

AVX512 static void narrow_bf16_avx512(uint16_t *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = mask_of(n - i);
        _mm256_mask_storeu_epi16(out + i, mask, bf16_of16(load_f32(in + i, mask)));
    }
}

AVX512 static void scale_f32_avx512(float *out, const float *in, float scale, size_t n)
{
    __m512 factor = _mm512_set1_ps(scale);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = mask_of(n - i);
        _mm512_mask_storeu_ps(out + i, mask, _mm512_mul_ps(load_f32(in + i, mask), factor));
    }
}

AVX512 static void scale_f16_avx512(uint16_t *out, const float *in, float scale, size_t n)
{
    __m512 factor = _mm512_set1_ps(scale);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = mask_of(n - i);
        __m512 product = _mm512_mul_ps(load_f32(in + i, mask), factor);
        _mm256_mask_storeu_epi16(out + i, mask, f16_of16(product));
    }
}

AVX512 static void scale_bf16_avx512(uint16_t *out, const float *in, float scale, size_t n)
{
    __m512 factor = _mm512_set1_ps(scale);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 mask = mask_of(n - i);
        __m512 product = _mm512_mul_ps(load_f32(in + i, mask), factor);
        _mm256_mask_storeu_epi16(out + i, mask, bf16_of16(product));
    }
}

AVX512 static inline __m512d add_squares8(__m512d sum, const float *in)
{
    __m512d wide = _mm512_maskz_cvtps_pd(0xff, _mm256_loadu_ps(in));
    return _mm512_add_pd(sum, _mm512_mul_pd(wide, wide));
}

AVX512 static double sum_squares_avx512(const float *in, size_t n)
{
    __m512d a = _mm512_setzero_pd(), b = a;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        a = add_squares8(a, in + i);
        b = add_squares8(b, in + i + 8);
    }
    double sums[16];
    _mm512_storeu_pd(sums, a);
    _mm512_storeu_pd(sums + 8, b);
    return tamis__sum_squares_end(sums, in + i, n - i);
}

AVX512 static inline __m512d add_products8(__m512d sum, __m512d factor, const float *in)
{
    __m512d wide = _mm512_maskz_cvtps_pd(0xff, _mm256_loadu_ps(in));
    return _mm512_add_pd(sum, _mm512_mul_pd(factor, wide));
}

AVX512 static inline void store_rounded8(float *out, __m512d sum)
{
    _mm256_storeu_ps(out, _mm512_maskz_cvtpd_ps(0xff, sum));
}

AVX512 static void sum_products_avx512(float *out, const float *in, size_t in_stride,
                                       const float *factor, size_t factor_stride, size_t terms,
                                       size_t n)
{
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m512d a = _mm512_setzero_pd(), b = a, c = a, d = a;
        for (size_t t = 0; t < terms; t++) {
            const float *at = in + t * in_stride + i;
            __m512d g = _mm512_set1_pd((double)factor[t * factor_stride]);
            a = add_products8(a, g, at);
            b = add_products8(b, g, at + 8);
            c = add_products8(c, g, at + 16);
            d = add_products8(d, g, at + 24);
        }
        store_rounded8(out + i, a);
        store_rounded8(out + i + 8, b);
        store_rounded8(out + i + 16, c);
        store_rounded8(out + i + 24, d);
    }
    sum_products_avx2(out + i, in + i, in_stride, factor, factor_stride, terms, n - i);
}

void tamis__kernels_init_x86(tamis__kernels *kernels, unsigned cpu)
{
    if (!(cpu & TAMIS_CPU_AVX2)) return;
    *kernels = (tamis__kernels){
        .widen_f16 = widen_f16_avx2,
        .widen_bf16 = widen_bf16_avx2,
        .narrow_f16 = narrow_f16_avx2,
        .narrow_bf16 = narrow_bf16_avx2,
        .scale_f32 = scale_f32_avx2,
        .scale_f16 = scale_f16_avx2,
        .scale_bf16 = scale_bf16_avx2,
        .sum_squares = sum_squares_avx2,
        .sum_products = sum_products_avx2,
    };
    if (!(cpu & TAMIS_CPU_AVX512)) return;
    *kernels = (tamis__kernels){
        .widen_f16 = widen_f16_avx512,
        .widen_bf16 = widen_bf16_avx512,
        .narrow_f16 = narrow_f16_avx512,
        .narrow_bf16 = narrow_bf16_avx512,
        .scale_f32 = scale_f32_avx512,
        .scale_f16 = scale_f16_avx512,
        .scale_bf16 = scale_bf16_avx512,
        .sum_squares = sum_squares_avx512,
        .sum_products = sum_products_avx512,
    };
}

#else

void tamis__kernels_init_x86(tamis__kernels *kernels, unsigned cpu)
{
    (void)kernels;
    (void)cpu;
}

#endif
