/* The least of a row, and floats as doubles: loops of exact transport in plain C, AVX2 and AVX-512,
 * all with the same bits.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernels/softmin.h"

#include <math.h>

#include <tamis/context.h>

/* Pieces of rows that are asked for early. */
enum { AHEAD = 32 };

/* --- plain C ---------------------------------------------------------------------------------- */

/* The least so far, and of the rest from `first` on. */
static double least_rest(const double *c, const double *w, size_t first, size_t n, double least)
{
    for (size_t j = first; j < n; j++) least = c[j] + w[j] < least ? c[j] + w[j] : least;
    return least;
}

static size_t where_is(const double *c, const double *w, size_t from, size_t n, double value)
{
    for (size_t j = from; j < n; j++)
        if (c[j] + w[j] <= value) return j;
    return n;
}

static size_t least_c(const double *c, const double *w, size_t n, double bound, double *ret_value)
{
    double least = least_rest(c, w, 0, n, (double)INFINITY);
    if (!(least < bound)) return n;
    *ret_value = least;
    return where_is(c, w, 0, n, least);
}

/* The same of floats. */
static double sum_at(const float *c, double unit, const double *w, size_t j)
{
    return (double)c[j] * unit + w[j];
}

static double least_float_rest(const float *c, double unit, const double *w, size_t first, size_t n,
                               double least)
{
    for (size_t j = first; j < n; j++) {
        double sum = sum_at(c, unit, w, j);
        least = sum < least ? sum : least;
    }
    return least;
}

static size_t where_float_is(const float *c, double unit, const double *w, size_t from, size_t n,
                             double value)
{
    for (size_t j = from; j < n; j++)
        if (sum_at(c, unit, w, j) <= value) return j;
    return n;
}

static size_t least_float_c(const float *c, double unit, const double *w, size_t n, double bound,
                            double *ret_value)
{
    double least = least_float_rest(c, unit, w, 0, n, (double)INFINITY);
    if (!(least < bound)) return n;
    *ret_value = least;
    return where_float_is(c, unit, w, 0, n, least);
}

static void widen_c(double *out, const float *c, double unit, size_t n)
{
    for (size_t j = 0; j < n; j++) out[j] = (double)c[j] * unit;
}

/* Rows and columns from a first one on. */
static void turn_rest(double *out, size_t out_stride, const float *c, size_t stride, double unit,
                      size_t first_row, size_t rows, size_t first, size_t columns)
{
    for (size_t i = first_row; i < rows; i++)
        for (size_t j = first; j < columns; j++)
            out[i * out_stride + j] = (double)c[j * stride + i] * unit;
}

/* Eight of a row are written at once: rows are 4 KiB apart, so that one value of each row after the
 * other would drive the lines they lie in out of the cache. */
static void turn_c(double *out, size_t out_stride, const float *c, size_t stride, double unit,
                   size_t rows, size_t columns)
{
    for (size_t j = 0; j < columns; j += 8)
        turn_rest(out, out_stride, c, stride, unit, 0, rows, j, j + 8 < columns ? j + 8 : columns);
}

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define AVX2   __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")))

/* --- AVX2: four values at a time, the rest by plain C ----------------------------------------- */

AVX2 static size_t least_avx2(const double *c, const double *w, size_t n, double bound,
                              double *ret_value)
{
    __m256d best[4];
    double each[4], least = (double)INFINITY;
    size_t j = 0;
    for (int i = 0; i < 4; i++) best[i] = _mm256_set1_pd((double)INFINITY);
    for (; j + 16 <= n; j += 16)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            best[i] = _mm256_min_pd(
                _mm256_add_pd(_mm256_loadu_pd(c + j + 4 * i), _mm256_loadu_pd(w + j + 4 * i)),
                best[i]);
    best[0] = _mm256_min_pd(_mm256_min_pd(best[0], best[1]), _mm256_min_pd(best[2], best[3]));
    _mm256_storeu_pd(each, best[0]);
    for (int i = 0; i < 4; i++) least = each[i] < least ? each[i] : least;
    least = least_rest(c, w, j, n, least);
    if (!(least < bound)) return n;
    *ret_value = least;
    __m256d sought = _mm256_set1_pd(least);
    for (j = 0; j + 4 <= n; j += 4) {
        __m256d sum = _mm256_add_pd(_mm256_loadu_pd(c + j), _mm256_loadu_pd(w + j));
        if (_mm256_movemask_pd(_mm256_cmp_pd(sum, sought, _CMP_LE_OQ))) break;
    }
    return where_is(c, w, j, n, least);
}

/* Products are rounded before they are added, as they are in plain C; by a power of two they are
 * exact. */
AVX2 static inline __m256d sum_avx2(const float *c, __m256d unit, const double *w)
{
    return _mm256_add_pd(_mm256_mul_pd(_mm256_cvtps_pd(_mm_loadu_ps(c)), unit), _mm256_loadu_pd(w));
}

AVX2 static size_t least_float_avx2(const float *c, double unit, const double *w, size_t n,
                                    double bound, double *ret_value)
{
    __m256d best[4], scale = _mm256_set1_pd(unit);
    double each[4], least = (double)INFINITY;
    size_t j = 0;
    for (int i = 0; i < 4; i++) best[i] = _mm256_set1_pd((double)INFINITY);
    for (; j + 16 <= n; j += 16)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            best[i] = _mm256_min_pd(sum_avx2(c + j + 4 * i, scale, w + j + 4 * i), best[i]);
    best[0] = _mm256_min_pd(_mm256_min_pd(best[0], best[1]), _mm256_min_pd(best[2], best[3]));
    _mm256_storeu_pd(each, best[0]);
    for (int i = 0; i < 4; i++) least = each[i] < least ? each[i] : least;
    least = least_float_rest(c, unit, w, j, n, least);
    if (!(least < bound)) return n;
    *ret_value = least;
    __m256d sought = _mm256_set1_pd(least);
    for (j = 0; j + 4 <= n; j += 4)
        if (_mm256_movemask_pd(_mm256_cmp_pd(sum_avx2(c + j, scale, w + j), sought, _CMP_LE_OQ)))
            break;
    return where_float_is(c, unit, w, j, n, least);
}

AVX2 static void widen_avx2(double *out, const float *c, double unit, size_t n)
{
    size_t j = 0;
    for (; j + 4 <= n; j += 4)
        _mm256_storeu_pd(out + j,
                         _mm256_mul_pd(_mm256_cvtps_pd(_mm_loadu_ps(c + j)), _mm256_set1_pd(unit)));
    widen_c(out + j, c + j, unit, n - j);
}

/* Eight rows of eight floats turned: pairs, quarters, halves. */
AVX2 static inline void turn_eight(double *out, size_t out_stride, const float *c, size_t stride,
                                   __m256d unit)
{
    __m256 a[8], b[8];
#pragma GCC unroll 8
    for (size_t k = 0; k < 8; k++) a[k] = _mm256_loadu_ps(c + k * stride);
#pragma GCC unroll 4
    for (size_t k = 0; k < 8; k += 2) {
        b[k] = _mm256_unpacklo_ps(a[k], a[k + 1]);
        b[k + 1] = _mm256_unpackhi_ps(a[k], a[k + 1]);
    }
#pragma GCC unroll 2
    for (size_t k = 0; k < 8; k += 4) {
        a[k] = _mm256_shuffle_ps(b[k], b[k + 2], 0x44);
        a[k + 1] = _mm256_shuffle_ps(b[k], b[k + 2], 0xee);
        a[k + 2] = _mm256_shuffle_ps(b[k + 1], b[k + 3], 0x44);
        a[k + 3] = _mm256_shuffle_ps(b[k + 1], b[k + 3], 0xee);
    }
    /* a[k] now holds row k in its lower half, and row k + 4 in its upper one, of columns 0 to 3;
     * a[k + 4] those of columns 4 to 7. */
#pragma GCC unroll 4
    for (size_t k = 0; k < 4; k++) {
        double *low = out + k * out_stride, *high = low + 4 * out_stride;
        _mm256_storeu_pd(low, _mm256_mul_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(a[k])), unit));
        _mm256_storeu_pd(low + 4,
                         _mm256_mul_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(a[k + 4])), unit));
        _mm256_storeu_pd(high,
                         _mm256_mul_pd(_mm256_cvtps_pd(_mm256_extractf128_ps(a[k], 1)), unit));
        _mm256_storeu_pd(high + 4,
                         _mm256_mul_pd(_mm256_cvtps_pd(_mm256_extractf128_ps(a[k + 4], 1)), unit));
    }
}

AVX2 static void turn_avx2(double *out, size_t out_stride, const float *c, size_t stride,
                           double unit, size_t rows, size_t columns)
{
    __m256d scale = _mm256_set1_pd(unit);
    size_t whole = columns / 8 * 8, i = 0;
    for (size_t j = 0; j < whole; j += 8) {
        /* Each is a piece of another row, which no processor foresees. */
        for (size_t k = j + AHEAD; k < j + AHEAD + 8 && k < columns; k++)
            for (size_t line = 0; line < rows; line += 16)
                _mm_prefetch((const char *)(c + k * stride + line), _MM_HINT_T0);
        for (i = 0; i + 8 <= rows; i += 8)
            turn_eight(out + i * out_stride + j, out_stride, c + j * stride + i, stride, scale);
    }
    i = rows / 8 * 8;
    turn_rest(out, out_stride, c, stride, unit, i, rows, 0, whole);
    turn_rest(out, out_stride, c, stride, unit, 0, rows, whole, columns);
}

/* --- AVX-512: eight at a time, the rest by plain C -------------------------------------------- */

AVX512 static size_t least_avx512(const double *c, const double *w, size_t n, double bound,
                                  double *ret_value)
{
    __m512d best[4];
    double each[8], least = (double)INFINITY;
    size_t j = 0;
    for (int i = 0; i < 4; i++) best[i] = _mm512_set1_pd((double)INFINITY);
    for (; j + 32 <= n; j += 32)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            best[i] = _mm512_maskz_min_pd(
                0xff, _mm512_add_pd(_mm512_loadu_pd(c + j + 8 * i), _mm512_loadu_pd(w + j + 8 * i)),
                best[i]);
    best[0] = _mm512_maskz_min_pd(0xff, best[0], best[1]);
    best[2] = _mm512_maskz_min_pd(0xff, best[2], best[3]);
    _mm512_storeu_pd(each, _mm512_maskz_min_pd(0xff, best[0], best[2]));
    for (int i = 0; i < 8; i++) least = each[i] < least ? each[i] : least;
    least = least_rest(c, w, j, n, least);
    if (!(least < bound)) return n;
    *ret_value = least;
    __m512d sought = _mm512_set1_pd(least);
    for (j = 0; j + 8 <= n; j += 8) {
        __m512d sum = _mm512_add_pd(_mm512_loadu_pd(c + j), _mm512_loadu_pd(w + j));
        if (_mm512_cmp_pd_mask(sum, sought, _CMP_LE_OQ)) break;
    }
    return where_is(c, w, j, n, least);
}

AVX512 static inline __m512d sum_avx512(const float *c, __m512d unit, const double *w)
{
    return _mm512_add_pd(_mm512_mul_pd(_mm512_maskz_cvtps_pd(0xff, _mm256_loadu_ps(c)), unit),
                         _mm512_loadu_pd(w));
}

AVX512 static size_t least_float_avx512(const float *c, double unit, const double *w, size_t n,
                                        double bound, double *ret_value)
{
    __m512d best[4], scale = _mm512_set1_pd(unit);
    double each[8], least = (double)INFINITY;
    size_t j = 0;
    for (int i = 0; i < 4; i++) best[i] = _mm512_set1_pd((double)INFINITY);
    for (; j + 32 <= n; j += 32)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            best[i] = _mm512_maskz_min_pd(0xff, sum_avx512(c + j + 8 * i, scale, w + j + 8 * i),
                                          best[i]);
    best[0] = _mm512_maskz_min_pd(0xff, best[0], best[1]);
    best[2] = _mm512_maskz_min_pd(0xff, best[2], best[3]);
    _mm512_storeu_pd(each, _mm512_maskz_min_pd(0xff, best[0], best[2]));
    for (int i = 0; i < 8; i++) least = each[i] < least ? each[i] : least;
    least = least_float_rest(c, unit, w, j, n, least);
    if (!(least < bound)) return n;
    *ret_value = least;
    __m512d sought = _mm512_set1_pd(least);
    for (j = 0; j + 8 <= n; j += 8)
        if (_mm512_cmp_pd_mask(sum_avx512(c + j, scale, w + j), sought, _CMP_LE_OQ)) break;
    return where_float_is(c, unit, w, j, n, least);
}

AVX512 static void widen_avx512(double *out, const float *c, double unit, size_t n)
{
    size_t j = 0;
    for (; j + 8 <= n; j += 8)
        _mm512_storeu_pd(out + j, _mm512_mul_pd(_mm512_maskz_cvtps_pd(0xff, _mm256_loadu_ps(c + j)),
                                                _mm512_set1_pd(unit)));
    widen_c(out + j, c + j, unit, n - j);
}

#endif

/* --- the choice ------------------------------------------------------------------------------- */

void tamis__softmin_least_init(tamis__softmin_kernels *kernels, unsigned cpu)
{
    kernels->least = least_c;
    kernels->least_float = least_float_c;
    kernels->widen = widen_c;
    kernels->turn = turn_c;
#if defined(__x86_64__) && defined(__GNUC__)
    if (!(cpu & TAMIS_CPU_AVX2)) return;
    kernels->least = least_avx2;
    kernels->least_float = least_float_avx2;
    kernels->widen = widen_avx2;
    kernels->turn = turn_avx2;
    if (!(cpu & TAMIS_CPU_AVX512)) return;
    kernels->least = least_avx512;
    kernels->least_float = least_float_avx512;
    kernels->widen = widen_avx512;
#else
    (void)cpu;
#endif
}
