/* The inner loops of random projections: plain C, AVX2 and AVX-512. Values only change sign before
 * they are added, and each output is added to in the order of the input, so every version gives
 * the same bits (tolerance 0).
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernels/sketch.h"

#include <string.h>
#include <tamis/context.h>

void tamis__scatter_signed_c(float *out, const float *in, const uint32_t *start,
                             const uint16_t *minus, size_t groups, const float *ahead)
{
    (void)ahead;
    for (size_t g = 0; g < groups; g++, in += 16) {
        float *to = out + start[g], value[16];
        uint32_t bits[16];
        memcpy(bits, in, sizeof bits);
        for (unsigned i = 0; i < 16; i++) bits[i] ^= (minus[g] >> i & UINT32_C(1)) << 31;
        memcpy(value, bits, sizeof value);
        for (unsigned i = 0; i < 16; i++) to[i] += value[i];
    }
}

void tamis__expand_signs_c(float *out, const uint64_t *minus, size_t n)
{
    for (size_t r = 0; r < n; r++)
        for (unsigned i = 0; i < 64; i++) *out++ = minus[r] >> i & 1 ? -1.0f : 1.0f;
}

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define AVX2   __attribute__((target("avx2,f16c")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,f16c")))

/* The sign bit of lane i where bit i of `minus` is set. `shift` has 31 - i. */
AVX2 static inline __m256 signs8(uint32_t minus, __m256i shift)
{
    __m256i bits = _mm256_sllv_epi32(_mm256_set1_epi32((int)minus), shift);
    return _mm256_and_ps(_mm256_castsi256_ps(bits), _mm256_set1_ps(-0.0f));
}

AVX2 static void scatter_signed_avx2(float *out, const float *in, const uint32_t *start,
                                     const uint16_t *minus, size_t groups, const float *ahead)
{
    __m256i low = _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24);
    __m256i high = _mm256_sub_epi32(low, _mm256_set1_epi32(8));
    for (size_t g = 0; g < groups; g++, in += 16) {
        float *to = out + start[g];
        if (ahead) _mm_prefetch((const void *)(ahead + 16 * g), _MM_HINT_T1);
        __m256 a = _mm256_xor_ps(_mm256_loadu_ps(in), signs8(minus[g], low));
        __m256 b = _mm256_xor_ps(_mm256_loadu_ps(in + 8), signs8(minus[g], high));
        _mm256_storeu_ps(to, _mm256_add_ps(_mm256_loadu_ps(to), a));
        _mm256_storeu_ps(to + 8, _mm256_add_ps(_mm256_loadu_ps(to + 8), b));
    }
}

AVX2 static void expand_signs_avx2(float *out, const uint64_t *minus, size_t n)
{
    __m256i shift = _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24);
    __m256 one = _mm256_set1_ps(1.0f);
    for (size_t r = 0; r < n; r++)
        for (unsigned i = 0; i < 64; i += 8, out += 8) {
            uint32_t bits = (uint32_t)(minus[r] >> i);
            _mm256_storeu_ps(out, _mm256_or_ps(one, signs8(bits, shift)));
        }
}

AVX512 static void scatter_signed_avx512(float *out, const float *in, const uint32_t *start,
                                         const uint16_t *minus, size_t groups, const float *ahead)
{
    __m512 sign = _mm512_set1_ps(-0.0f);
    for (size_t g = 0; g < groups; g++, in += 16) {
        float *to = out + start[g];
        if (ahead) _mm_prefetch((const void *)(ahead + 16 * g), _MM_HINT_T1);
        __m512 x = _mm512_loadu_ps(in);
        x = _mm512_mask_xor_ps(x, (__mmask16)minus[g], x, sign);
        _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), x));
    }
}

AVX512 static void expand_signs_avx512(float *out, const uint64_t *minus, size_t n)
{
    __m512 one = _mm512_set1_ps(1.0f), sign = _mm512_set1_ps(-0.0f);
    for (size_t r = 0; r < n; r++)
        for (unsigned i = 0; i < 64; i += 16, out += 16) {
            __mmask16 mask = (__mmask16)(minus[r] >> i);
            _mm512_storeu_ps(out, _mm512_mask_xor_ps(one, mask, one, sign));
        }
}

static void init_x86(tamis__kernels *kernels, unsigned cpu)
{
    if (!(cpu & TAMIS_CPU_AVX2)) return;
    kernels->scatter_signed = scatter_signed_avx2;
    kernels->expand_signs = expand_signs_avx2;
    if (!(cpu & TAMIS_CPU_AVX512)) return;
    kernels->scatter_signed = scatter_signed_avx512;
    kernels->expand_signs = expand_signs_avx512;
}

#else

static void init_x86(tamis__kernels *kernels, unsigned cpu)
{
    (void)kernels;
    (void)cpu;
}

#endif

void tamis__kernels_init_sketch(tamis__kernels *kernels, unsigned cpu)
{
    kernels->scatter_signed = tamis__scatter_signed_c;
    kernels->expand_signs = tamis__expand_signs_c;
    init_x86(kernels, cpu);
}
