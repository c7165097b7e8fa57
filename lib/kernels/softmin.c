/* Loops of entropic transport in plain C, AVX2 and AVX-512, all with the same bits: where a version
 * multiplies and adds with one rounding, so do the others.
 *
 * exp(x) = 2^k exp(r), k = x / ln 2 to the nearest, r = x - k ln 2 with ln 2 in two pieces, |r| <
 * 0.347; exp(r) by its Taylor series to r^13, whose rest is below 1e-17.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernels/softmin.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <tamis/context.h>

enum { TERMS = 14, LANES = 16 };

/* 1 / 13!, 1 / 12!, ..., 1, 1. */
static const double term[TERMS] = {
    0x1.6124613a86d09p-33,
    0x1.1eed8eff8d898p-29,
    0x1.ae64567f544e4p-26,
    0x1.27e4fb7789f5cp-22,
    0x1.71de3a556c734p-19,
    0x1.a01a01a01a01ap-16,
    0x1.a01a01a01a01ap-13,
    0x1.6c16c16c16c17p-10,
    0x1.1111111111111p-7,
    0x1.5555555555555p-5,
    0x1.5555555555555p-3,
    0.5,
    1.0,
    1.0,
};

static const double lowest = -708.0, highest = 709.0, log2e = 0x1.71547652b82fep0;
/* The first piece ends in 21 zeros, so that k times it is exact. */
static const double ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
/* Adding it leaves a whole number in the last bits. */
static const double whole = 0x1.8p52;

/* --- plain C ---------------------------------------------------------------------------------- */

static double exp_one(double x)
{
    if (!(x >= lowest)) return 0.0;
    if (x > highest) x = highest;
    double shifted = fma(x, log2e, whole), k = shifted - whole;
    double r = fma(-k, ln2_low, fma(-k, ln2_high, x)), sum = term[0];
    for (int i = 1; i < TERMS; i++) sum = fma(sum, r, term[i]);
    uint64_t bits;
    double power;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

static double fold(double sums[LANES])
{
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++) sums[i] += sums[i + half];
    return sums[0];
}

static double distance_c(double *z, const double *norm, double own, double unit, bool root,
                         size_t n)
{
    double spare = (double)INFINITY;
    for (size_t j = 0; j < n; j++) {
        double both = own + norm[j], square = fma(-2.0, z[j], both);
        double over = fma(-TAMIS__NEAR, both, square);
        spare = over < spare ? over : spare;
        float narrow = square > 0.0 ? (float)square : 0.0f;
        z[j] = (double)(root ? sqrtf(narrow) : narrow) * unit;
    }
    return spare;
}

static double shift_c(double *z, const double *h, const double *c, double rate, size_t n)
{
    double top = -(double)INFINITY;
    for (size_t j = 0; j < n; j++) {
        z[j] = fma(-c[j], rate, h[j]);
        top = z[j] > top ? z[j] : top;
    }
    return top;
}

static double sum_exp_c(const double *z, double top, size_t n)
{
    double sums[LANES] = {0};
    for (size_t j = 0; j < n; j++) sums[j % LANES] += exp_one(z[j] - top);
    return fold(sums);
}

static void exp_c(double *z, double top, size_t n)
{
    for (size_t j = 0; j < n; j++) z[j] = exp_one(z[j] - top);
}

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

/* What is left of z is done as a whole vector too, ended by arguments whose exponential is 0: plain
 * C would call the C library for each multiplication and addition. */
static void pad_out(double pad[LANES], const double *z, size_t n)
{
    for (size_t i = 0; i < LANES; i++) pad[i] = i < n ? z[i] : -(double)INFINITY;
}

#define AVX2   __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")))

/* --- AVX2: four values at a time, the rest by plain C ----------------------------------------- */

AVX2 static inline __m256d exp_avx2(__m256d x)
{
    __m256d magic = _mm256_set1_pd(whole);
    __m256d keep = _mm256_cmp_pd(x, _mm256_set1_pd(lowest), _CMP_GE_OQ);
    x = _mm256_min_pd(_mm256_max_pd(x, _mm256_set1_pd(lowest)), _mm256_set1_pd(highest));
    __m256d shifted = _mm256_fmadd_pd(x, _mm256_set1_pd(log2e), magic);
    __m256d k = _mm256_sub_pd(shifted, magic);
    __m256d r = _mm256_fnmadd_pd(k, _mm256_set1_pd(ln2_high), x);
    r = _mm256_fnmadd_pd(k, _mm256_set1_pd(ln2_low), r);
    __m256d sum = _mm256_set1_pd(term[0]);
#pragma GCC unroll 13
    for (int i = 1; i < TERMS; i++) sum = _mm256_fmadd_pd(sum, r, _mm256_set1_pd(term[i]));
    __m256i bits = _mm256_add_epi64(_mm256_castpd_si256(shifted), _mm256_set1_epi64x(1023));
    __m256d power = _mm256_castsi256_pd(_mm256_slli_epi64(bits, 52));
    return _mm256_and_pd(_mm256_mul_pd(sum, power), keep);
}

AVX2 static double distance_avx2(double *z, const double *norm, double own, double unit, bool root,
                                 size_t n)
{
    __m256d spare = _mm256_set1_pd((double)INFINITY), two = _mm256_set1_pd(2.0);
    __m256d near = _mm256_set1_pd(TAMIS__NEAR), zero = _mm256_setzero_pd();
    size_t j = 0;
    for (; j + 4 <= n; j += 4) {
        __m256d both = _mm256_add_pd(_mm256_set1_pd(own), _mm256_loadu_pd(norm + j));
        __m256d square = _mm256_fnmadd_pd(two, _mm256_loadu_pd(z + j), both);
        spare = _mm256_min_pd(_mm256_fnmadd_pd(near, both, square), spare);
        __m128 narrow = _mm256_cvtpd_ps(_mm256_max_pd(square, zero));
        if (root) narrow = _mm_sqrt_ps(narrow);
        _mm256_storeu_pd(z + j, _mm256_mul_pd(_mm256_cvtps_pd(narrow), _mm256_set1_pd(unit)));
    }
    double each[4], rest = distance_c(z + j, norm + j, own, unit, root, n - j);
    _mm256_storeu_pd(each, spare);
    for (int i = 0; i < 4; i++) rest = each[i] < rest ? each[i] : rest;
    return rest;
}

AVX2 static double shift_avx2(double *z, const double *h, const double *c, double rate, size_t n)
{
    __m256d top = _mm256_set1_pd(-(double)INFINITY);
    size_t j = 0;
    for (; j + 4 <= n; j += 4) {
        __m256d value = _mm256_fnmadd_pd(_mm256_loadu_pd(c + j), _mm256_set1_pd(rate),
                                         _mm256_loadu_pd(h + j));
        _mm256_storeu_pd(z + j, value);
        top = _mm256_max_pd(value, top);
    }
    double each[4], most = shift_c(z + j, h + j, c + j, rate, n - j);
    _mm256_storeu_pd(each, top);
    for (int i = 0; i < 4; i++) most = each[i] > most ? each[i] : most;
    return most;
}

AVX2 static inline void add_exp_avx2(__m256d sum[4], const double *z, __m256d top)
{
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        sum[i] = _mm256_add_pd(sum[i], exp_avx2(_mm256_sub_pd(_mm256_loadu_pd(z + 4 * i), top)));
}

AVX2 static double sum_exp_avx2(const double *z, double top, size_t n)
{
    __m256d sum[4], at = _mm256_set1_pd(top);
    double sums[LANES];
    size_t j = 0;
    for (int i = 0; i < 4; i++) sum[i] = _mm256_setzero_pd();
    for (; j + LANES <= n; j += LANES) add_exp_avx2(sum, z + j, at);
    if (j < n) {
        pad_out(sums, z + j, n - j);
        add_exp_avx2(sum, sums, at);
    }
    for (int i = 0; i < 4; i++) _mm256_storeu_pd(sums + 4 * i, sum[i]);
    return fold(sums);
}

AVX2 static void exp_into_avx2(double *z, double top, size_t n)
{
    double pad[LANES];
    size_t j = 0;
    for (; j + 4 <= n; j += 4)
        _mm256_storeu_pd(z + j,
                         exp_avx2(_mm256_sub_pd(_mm256_loadu_pd(z + j), _mm256_set1_pd(top))));
    if (j == n) return;
    pad_out(pad, z + j, n - j);
    _mm256_storeu_pd(pad, exp_avx2(_mm256_sub_pd(_mm256_loadu_pd(pad), _mm256_set1_pd(top))));
    memcpy(z + j, pad, (n - j) * sizeof *z);
}

/* --- AVX-512: eight at a time, the rest by plain C -------------------------------------------- */

AVX512 static inline __m512d exp_avx512(__m512d x)
{
    __m512d magic = _mm512_set1_pd(whole);
    __mmask8 keep = _mm512_cmp_pd_mask(x, _mm512_set1_pd(lowest), _CMP_GE_OQ);
    x = _mm512_maskz_max_pd(0xff, x, _mm512_set1_pd(lowest));
    x = _mm512_maskz_min_pd(0xff, x, _mm512_set1_pd(highest));
    __m512d shifted = _mm512_fmadd_pd(x, _mm512_set1_pd(log2e), magic);
    __m512d k = _mm512_sub_pd(shifted, magic);
    __m512d r = _mm512_fnmadd_pd(k, _mm512_set1_pd(ln2_high), x);
    r = _mm512_fnmadd_pd(k, _mm512_set1_pd(ln2_low), r);
    __m512d sum = _mm512_set1_pd(term[0]);
#pragma GCC unroll 13
    for (int i = 1; i < TERMS; i++) sum = _mm512_fmadd_pd(sum, r, _mm512_set1_pd(term[i]));
    __m512i bits = _mm512_add_epi64(_mm512_castpd_si512(shifted), _mm512_set1_epi64(1023));
    __m512d power = _mm512_castsi512_pd(_mm512_maskz_slli_epi64(0xff, bits, 52));
    return _mm512_maskz_mul_pd(keep, sum, power);
}

AVX512 static double distance_avx512(double *z, const double *norm, double own, double unit,
                                     bool root, size_t n)
{
    __m512d spare = _mm512_set1_pd((double)INFINITY), two = _mm512_set1_pd(2.0);
    __m512d near = _mm512_set1_pd(TAMIS__NEAR), zero = _mm512_setzero_pd();
    size_t j = 0;
    for (; j + 8 <= n; j += 8) {
        __m512d both = _mm512_add_pd(_mm512_set1_pd(own), _mm512_loadu_pd(norm + j));
        __m512d square = _mm512_fnmadd_pd(two, _mm512_loadu_pd(z + j), both);
        __m512d over = _mm512_fnmadd_pd(near, both, square);
        spare = _mm512_maskz_min_pd(0xff, over, spare);
        __m256 narrow = _mm512_maskz_cvtpd_ps(0xff, _mm512_maskz_max_pd(0xff, square, zero));
        if (root) narrow = _mm256_sqrt_ps(narrow);
        _mm512_storeu_pd(z + j,
                         _mm512_mul_pd(_mm512_maskz_cvtps_pd(0xff, narrow), _mm512_set1_pd(unit)));
    }
    double each[8], rest = distance_c(z + j, norm + j, own, unit, root, n - j);
    _mm512_storeu_pd(each, spare);
    for (int i = 0; i < 8; i++) rest = each[i] < rest ? each[i] : rest;
    return rest;
}

AVX512 static double shift_avx512(double *z, const double *h, const double *c, double rate,
                                  size_t n)
{
    __m512d top = _mm512_set1_pd(-(double)INFINITY);
    size_t j = 0;
    for (; j + 8 <= n; j += 8) {
        __m512d value = _mm512_fnmadd_pd(_mm512_loadu_pd(c + j), _mm512_set1_pd(rate),
                                         _mm512_loadu_pd(h + j));
        _mm512_storeu_pd(z + j, value);
        top = _mm512_maskz_max_pd(0xff, value, top);
    }
    double each[8], most = shift_c(z + j, h + j, c + j, rate, n - j);
    _mm512_storeu_pd(each, top);
    for (int i = 0; i < 8; i++) most = each[i] > most ? each[i] : most;
    return most;
}

AVX512 static double sum_exp_avx512(const double *z, double top, size_t n)
{
    __m512d a = _mm512_setzero_pd(), b = a, at = _mm512_set1_pd(top);
    double sums[LANES];
    size_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        a = _mm512_add_pd(a, exp_avx512(_mm512_sub_pd(_mm512_loadu_pd(z + j), at)));
        b = _mm512_add_pd(b, exp_avx512(_mm512_sub_pd(_mm512_loadu_pd(z + j + 8), at)));
    }
    if (j < n) {
        pad_out(sums, z + j, n - j);
        a = _mm512_add_pd(a, exp_avx512(_mm512_sub_pd(_mm512_loadu_pd(sums), at)));
        b = _mm512_add_pd(b, exp_avx512(_mm512_sub_pd(_mm512_loadu_pd(sums + 8), at)));
    }
    _mm512_storeu_pd(sums, a);
    _mm512_storeu_pd(sums + 8, b);
    return fold(sums);
}

AVX512 static void exp_into_avx512(double *z, double top, size_t n)
{
    double pad[LANES];
    size_t j = 0;
    for (; j + 8 <= n; j += 8)
        _mm512_storeu_pd(z + j,
                         exp_avx512(_mm512_sub_pd(_mm512_loadu_pd(z + j), _mm512_set1_pd(top))));
    if (j == n) return;
    pad_out(pad, z + j, n - j);
    _mm512_storeu_pd(pad, exp_avx512(_mm512_sub_pd(_mm512_loadu_pd(pad), _mm512_set1_pd(top))));
    memcpy(z + j, pad, (n - j) * sizeof *z);
}

#endif

/* --- the choice ------------------------------------------------------------------------------- */

void tamis__softmin_init(tamis__softmin_kernels *ret_kernels, unsigned cpu)
{
    tamis__softmin_kernels k = {
        .distance = distance_c, .shift = shift_c, .sum_exp = sum_exp_c, .exp = exp_c};
#if defined(__x86_64__) && defined(__GNUC__)
    if (cpu & TAMIS_CPU_AVX2) {
        k.distance = distance_avx2;
        k.shift = shift_avx2;
        k.sum_exp = sum_exp_avx2;
        k.exp = exp_into_avx2;
        if (cpu & TAMIS_CPU_AVX512) {
            k.distance = distance_avx512;
            k.shift = shift_avx512;
            k.sum_exp = sum_exp_avx512;
            k.exp = exp_into_avx512;
        }
    }
#endif
    tamis__softmin_least_init(&k, cpu);
    *ret_kernels = k;
}
