/* Softmins of a row and of the columns in one go, in plain C, AVX2 and AVX-512, all with the same
 * bits.
 *
 * exp(x) = 2^k exp(r), k = x / ln 2 to the nearest, r = x - k ln 2 with ln 2 in two pieces, |r| <
 * 0.347; exp(r) by 1 + r + r^2 q(r), q of degree 4 through (exp(r) - 1 - r) / r^2 at Chebyshev's
 * five points, which is right to 2e-8. Where costs are far above the least of their row and column,
 * nothing is left of an exponential: sixteen at a time are passed over.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernels/softmin_pair.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <tamis/context.h>

enum { TERMS = 7, LANES = 16 };

static const float term[TERMS] = {
    0x1.6d1114p-10f, 0x1.120b7ap-7f, 0x1.55551ap-5f, 0x1.5554dcp-3f, 0.5f, 1.0f, 1.0f,
};
static const float lowest = -87.0f, log2e = 0x1.715476p0f;
/* The first piece ends in 9 zeros, so that k times it is exact. */
static const float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
/* Adding it leaves a whole number in the last bits. */
static const float whole = 0x1.8p23f;

/* --- plain C ---------------------------------------------------------------------------------- */

static float exp_one(float x)
{
    if (!(x >= lowest)) return 0.0f;
    float shifted = fmaf(x, log2e, whole), k = shifted - whole;
    float r = fmaf(-k, ln2_low, fmaf(-k, ln2_high, x)), sum = term[0], power;
    for (int i = 1; i < TERMS; i++) sum = fmaf(sum, r, term[i]);
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127) << 23;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

static float fold(float sums[LANES])
{
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++) sums[i] += sums[i + half];
    return sums[0];
}

static float tops_c(const float *c, const float *h, float own, float rate, float *top, size_t n)
{
    float most = -HUGE_VALF;
    for (size_t j = 0; j < n; j++) {
        float z = fmaf(-c[j], rate, h[j]), w = fmaf(-c[j], rate, own);
        most = z > most ? z : most;
        top[j] = w > top[j] ? w : top[j];
    }
    return most;
}

/* From index `first`, a multiple of 16, on. */
static float sums_rest(float sums[LANES], const float *c, const float *h, float own, float rate,
                       float most, const float *top, float *sum, size_t first, size_t n)
{
    for (size_t j = first; j < n; j++) {
        sums[j % LANES] += exp_one(fmaf(-c[j], rate, h[j]) - most);
        sum[j] += exp_one(fmaf(-c[j], rate, own) - top[j]);
    }
    return fold(sums);
}

static float sums_c(const float *c, const float *h, float own, float rate, float most,
                    const float *top, float *sum, size_t n)
{
    float sums[LANES] = {0};
    return sums_rest(sums, c, h, own, rate, most, top, sum, 0, n);
}

static void join_c(float *top, double *all, const float *part, const float *sum, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        float most = part[j] > top[j] ? part[j] : top[j];
        double before = all[j] * (double)exp_one(top[j] - most);
        all[j] = fma((double)sum[j], (double)exp_one(part[j] - most), before);
        top[j] = most;
    }
}

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define AVX2   __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")))

/* --- AVX2: eight values at a time, the rest by plain C ---------------------------------------- */

AVX2 static inline __m256 exp_avx2(__m256 x)
{
    __m256 magic = _mm256_set1_ps(whole);
    __m256 keep = _mm256_cmp_ps(x, _mm256_set1_ps(lowest), _CMP_GE_OQ);
    __m256 shifted = _mm256_fmadd_ps(x, _mm256_set1_ps(log2e), magic);
    __m256 k = _mm256_sub_ps(shifted, magic);
    __m256 r = _mm256_fnmadd_ps(k, _mm256_set1_ps(ln2_high), x);
    r = _mm256_fnmadd_ps(k, _mm256_set1_ps(ln2_low), r);
    __m256 sum = _mm256_set1_ps(term[0]);
#pragma GCC unroll 6
    for (int i = 1; i < TERMS; i++) sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(term[i]));
    __m256i bits = _mm256_add_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(127));
    __m256 power = _mm256_castsi256_ps(_mm256_slli_epi32(bits, 23));
    return _mm256_and_ps(_mm256_mul_ps(sum, power), keep);
}

/* Is nothing left of any of them? */
AVX2 static inline bool gone_avx2(__m256 x, __m256 y)
{
    __m256 floor = _mm256_set1_ps(lowest);
    return !_mm256_movemask_ps(
        _mm256_or_ps(_mm256_cmp_ps(x, floor, _CMP_GE_OQ), _mm256_cmp_ps(y, floor, _CMP_GE_OQ)));
}

AVX2 static float tops_avx2(const float *c, const float *h, float own, float rate, float *top,
                            size_t n)
{
    __m256 most = _mm256_set1_ps(-HUGE_VALF), at = _mm256_set1_ps(rate), mine = _mm256_set1_ps(own);
    size_t j = 0;
    for (; j + 8 <= n; j += 8) {
        __m256 cost = _mm256_loadu_ps(c + j);
        most = _mm256_max_ps(_mm256_fnmadd_ps(cost, at, _mm256_loadu_ps(h + j)), most);
        _mm256_storeu_ps(top + j,
                         _mm256_max_ps(_mm256_fnmadd_ps(cost, at, mine), _mm256_loadu_ps(top + j)));
    }
    float each[8], rest = -HUGE_VALF;
    if (j < n) rest = tops_c(c + j, h + j, own, rate, top + j, n - j);
    _mm256_storeu_ps(each, most);
    for (int i = 0; i < 8; i++) rest = each[i] > rest ? each[i] : rest;
    return rest;
}

AVX2 static float sums_avx2(const float *c, const float *h, float own, float rate, float most,
                            const float *top, float *sum, size_t n)
{
    __m256 lane[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()}, at = _mm256_set1_ps(rate);
    __m256 mine = _mm256_set1_ps(own), down = _mm256_set1_ps(most);
    float sums[LANES];
    size_t j = 0;
    for (; j + LANES <= n; j += LANES)
#pragma GCC unroll 2
        for (size_t i = 0; i < 2; i++) {
            size_t k = j + 8 * i;
            __m256 cost = _mm256_loadu_ps(c + k);
            __m256 z = _mm256_sub_ps(_mm256_fnmadd_ps(cost, at, _mm256_loadu_ps(h + k)), down);
            __m256 w = _mm256_sub_ps(_mm256_fnmadd_ps(cost, at, mine), _mm256_loadu_ps(top + k));
            if (gone_avx2(z, w)) continue;
            lane[i] = _mm256_add_ps(lane[i], exp_avx2(z));
            _mm256_storeu_ps(sum + k, _mm256_add_ps(_mm256_loadu_ps(sum + k), exp_avx2(w)));
        }
    for (int i = 0; i < 2; i++) _mm256_storeu_ps(sums + 8 * i, lane[i]);
    return sums_rest(sums, c, h, own, rate, most, top, sum, j, n);
}

AVX2 static inline __m256d grow_avx2(__m256d all, __m128 before, __m128 sum, __m128 part)
{
    return _mm256_fmadd_pd(_mm256_cvtps_pd(sum), _mm256_cvtps_pd(part),
                           _mm256_mul_pd(all, _mm256_cvtps_pd(before)));
}

AVX2 static void join_avx2(float *top, double *all, const float *part, const float *sum, size_t n)
{
    size_t j = 0;
    for (; j + 8 <= n; j += 8) {
        __m256 here = _mm256_loadu_ps(top + j), there = _mm256_loadu_ps(part + j);
        __m256 most = _mm256_max_ps(there, here), more = _mm256_loadu_ps(sum + j);
        __m256 before = exp_avx2(_mm256_sub_ps(here, most));
        __m256 after = exp_avx2(_mm256_sub_ps(there, most));
        _mm256_storeu_pd(all + j,
                         grow_avx2(_mm256_loadu_pd(all + j), _mm256_castps256_ps128(before),
                                   _mm256_castps256_ps128(more), _mm256_castps256_ps128(after)));
        _mm256_storeu_pd(all + j + 4,
                         grow_avx2(_mm256_loadu_pd(all + j + 4), _mm256_extractf128_ps(before, 1),
                                   _mm256_extractf128_ps(more, 1),
                                   _mm256_extractf128_ps(after, 1)));
        _mm256_storeu_ps(top + j, most);
    }
    join_c(top + j, all + j, part + j, sum + j, n - j);
}

/* --- AVX-512: sixteen at a time --------------------------------------------------------------- */

/* Lanes that are not in `keep` become 0. */
AVX512 static inline __m512 exp_avx512(__mmask16 keep, __m512 x)
{
    __m512 magic = _mm512_set1_ps(whole);
    __m512 shifted = _mm512_fmadd_ps(x, _mm512_set1_ps(log2e), magic);
    __m512 k = _mm512_sub_ps(shifted, magic);
    __m512 r = _mm512_fnmadd_ps(k, _mm512_set1_ps(ln2_high), x);
    r = _mm512_fnmadd_ps(k, _mm512_set1_ps(ln2_low), r);
    __m512 sum = _mm512_set1_ps(term[0]);
#pragma GCC unroll 6
    for (int i = 1; i < TERMS; i++) sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(term[i]));
    __m512i bits = _mm512_add_epi32(_mm512_castps_si512(shifted), _mm512_set1_epi32(127));
    __m512 power = _mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xffff, bits, 23));
    return _mm512_maskz_mul_ps(keep, sum, power);
}

AVX512 static inline __mmask16 left_avx512(__mmask16 on, __m512 x)
{
    return _mm512_mask_cmp_ps_mask(on, x, _mm512_set1_ps(lowest), _CMP_GE_OQ);
}

static inline __mmask16 rest_of(size_t n)
{
    return (__mmask16)((1u << n) - 1);
}

/* Sixteen, or as many as `on` has bits. */
AVX512 static inline __m512 top_some(const float *c, const float *h, __m512 own, __m512 rate,
                                     float *top, __mmask16 on, __m512 most)
{
    __m512 cost = _mm512_maskz_loadu_ps(on, c);
    __m512 z = _mm512_fnmadd_ps(cost, rate, _mm512_maskz_loadu_ps(on, h));
    __m512 w = _mm512_fnmadd_ps(cost, rate, own);
    _mm512_mask_storeu_ps(top, on, _mm512_maskz_max_ps(0xffff, w, _mm512_maskz_loadu_ps(on, top)));
    return _mm512_mask_max_ps(most, on, z, most);
}

AVX512 static float tops_avx512(const float *c, const float *h, float own, float rate, float *top,
                                size_t n)
{
    __m512 most = _mm512_set1_ps(-HUGE_VALF), at = _mm512_set1_ps(rate), mine = _mm512_set1_ps(own);
    float each[LANES], all = -HUGE_VALF;
    size_t j = 0;
    for (; j + LANES <= n; j += LANES)
        most = top_some(c + j, h + j, mine, at, top + j, 0xffff, most);
    if (j < n) most = top_some(c + j, h + j, mine, at, top + j, rest_of(n - j), most);
    _mm512_storeu_ps(each, most);
    for (int i = 0; i < LANES; i++) all = each[i] > all ? each[i] : all;
    return all;
}

/* What a row is measured with. */
typedef struct row_avx512 {
    __m512 own, rate, most;
} row_avx512;

AVX512 static inline __m512 sum_some(const float *c, const float *h, const row_avx512 *row,
                                     const float *top, float *sum, __mmask16 on, __m512 lane)
{
    __m512 cost = _mm512_maskz_loadu_ps(on, c);
    __m512 z = _mm512_sub_ps(_mm512_fnmadd_ps(cost, row->rate, _mm512_maskz_loadu_ps(on, h)),
                             row->most);
    __m512 w = _mm512_sub_ps(_mm512_fnmadd_ps(cost, row->rate, row->own),
                             _mm512_maskz_loadu_ps(on, top));
    __mmask16 of_row = left_avx512(on, z), of_column = left_avx512(on, w);
    if (!(of_row | of_column)) return lane;
    _mm512_mask_storeu_ps(sum, on,
                          _mm512_add_ps(_mm512_maskz_loadu_ps(on, sum), exp_avx512(of_column, w)));
    return _mm512_add_ps(lane, exp_avx512(of_row, z));
}

AVX512 static float sums_avx512(const float *c, const float *h, float own, float rate, float most,
                                const float *top, float *sum, size_t n)
{
    const row_avx512 row = {_mm512_set1_ps(own), _mm512_set1_ps(rate), _mm512_set1_ps(most)};
    __m512 lane = _mm512_setzero_ps();
    float sums[LANES];
    size_t j = 0;
    for (; j + LANES <= n; j += LANES)
        lane = sum_some(c + j, h + j, &row, top + j, sum + j, 0xffff, lane);
    if (j < n) lane = sum_some(c + j, h + j, &row, top + j, sum + j, rest_of(n - j), lane);
    _mm512_storeu_ps(sums, lane);
    return fold(sums);
}

AVX512 static inline __m512d grow_avx512(__m512d all, __m256 before, __m256 sum, __m256 part)
{
    return _mm512_fmadd_pd(_mm512_maskz_cvtps_pd(0xff, sum), _mm512_maskz_cvtps_pd(0xff, part),
                           _mm512_mul_pd(all, _mm512_maskz_cvtps_pd(0xff, before)));
}

AVX512 static void join_avx512(float *top, double *all, const float *part, const float *sum,
                               size_t n)
{
    size_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        __m512 here = _mm512_loadu_ps(top + j), there = _mm512_loadu_ps(part + j);
        __m512 most = _mm512_maskz_max_ps(0xffff, there, here);
        __m512 down = _mm512_sub_ps(here, most), up = _mm512_sub_ps(there, most);
        float before[LANES], after[LANES];
        _mm512_storeu_ps(before, exp_avx512(left_avx512(0xffff, down), down));
        _mm512_storeu_ps(after, exp_avx512(left_avx512(0xffff, up), up));
        for (size_t k = 0; k < LANES; k += 8)
            _mm512_storeu_pd(all + j + k,
                             grow_avx512(_mm512_loadu_pd(all + j + k), _mm256_loadu_ps(before + k),
                                         _mm256_loadu_ps(sum + j + k), _mm256_loadu_ps(after + k)));
        _mm512_storeu_ps(top + j, most);
    }
    join_c(top + j, all + j, part + j, sum + j, n - j);
}

#endif

/* --- the choice ------------------------------------------------------------------------------- */

void tamis__softmin_pair_init(tamis__softmin_pair *ret_kernels, unsigned cpu)
{
    *ret_kernels = (tamis__softmin_pair){tops_c, sums_c, join_c};
#if defined(__x86_64__) && defined(__GNUC__)
    if (!(cpu & TAMIS_CPU_AVX2)) return;
    *ret_kernels = (tamis__softmin_pair){tops_avx2, sums_avx2, join_avx2};
    if (!(cpu & TAMIS_CPU_AVX512)) return;
    *ret_kernels = (tamis__softmin_pair){tops_avx512, sums_avx512, join_avx512};
#else
    (void)cpu;
#endif
}
