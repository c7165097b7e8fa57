/* Products of i8 rows with AVX512-VNNI: queries are rounded to 16 bits, relative to the largest
 * value of the step, and held as two unsigned bytes; an instruction adds four products of bytes to
 * a whole number.
 *
 * With u = q + 32768 = 256 h + l:   <x, q> = 256 <x, h> + <x, l> - 32768 sum(x).
 * All of it is exact in whole numbers (|<x, h>| <= 127 * 255 * 4096 < 2^31), so there is no order
 * of sums to speak of: every way to compute it gives the same bits.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernels/product_list.h"

#include <math.h>
#include <string.h>
#include <tamis/context.h>

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define VNNI   __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")))
#define INLINE VNNI static inline __attribute__((always_inline))

enum { GROUP = 6, VECTORS = 4 };

/* --- queries as whole numbers ----------------------------------------------------------------- */

/* The largest magnitude. */
#define MOST 32767

/* What 1 stands for; 0 when all values are 0. */
static double i16_unit(const float *values, size_t n)
{
    float most = 0.0f;
    for (size_t i = 0; i < n; i++) most = fabsf(values[i]) > most ? fabsf(values[i]) : most;
    return (double)most / MOST;
}

/* To nearest, ties to even. */
static int32_t i16_of(float value, double unit)
{
    return unit > 0.0 ? (int32_t)rint((double)value / unit) : 0;
}

/* --- many queries ----------------------------------------------------------------------------- */

/* Scales of the queries [width] as double, then the high bytes [groups of 4 columns][width][4],
 * then the low ones. */
static size_t plane(size_t width, size_t columns)
{
    return tamis__round_up(columns, 4) * width;
}

static size_t size_many(size_t width, size_t columns)
{
    return width * sizeof(double) + 2 * plane(width, columns);
}

static void pack_many(void *panel, const float *queries, size_t query_stride, size_t n,
                      size_t width, size_t columns)
{
    double *scale = panel;
    uint8_t *high = (uint8_t *)(scale + width), *low = high + plane(width, columns);
    memset(panel, 0, size_many(width, columns));
    for (size_t j = 0; j < n; j++) {
        const float *query = queries + j * query_stride;
        double unit = i16_unit(query, columns);
        scale[j] = unit;
        for (size_t c = 0; c < columns; c++) {
            uint32_t u = (uint32_t)(i16_of(query[c], unit) + 32768);
            size_t at = (c / 4 * width + j) * 4 + c % 4;
            high[at] = (uint8_t)(u >> 8);
            low[at] = (uint8_t)u;
        }
    }
}

/* Four columns of a row, fewer at the end of it. */
INLINE __m512i four(const int8_t *row, size_t left)
{
    uint32_t bits = 0;
    memcpy(&bits, row, left < 4 ? left : 4);
    return _mm512_set1_epi32((int)bits);
}

/* _mm512_dpbusd_epi32(acc, u, x) in effect: gcc 12 moves its accumulators about in memory, which
 * halves the speed. */
INLINE __m512i dot4(__m512i acc, __m512i u, __m512i x)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(u), "v"(x));
    return acc;
}

INLINE void step(const int m, const int n, __m512i acc[GROUP][VECTORS], const int8_t *rows,
                 size_t row_bytes, const uint8_t *panel, size_t left)
{
    __m512i query[VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < n; v++) query[v] = _mm512_load_si512(panel + v * 64);
#pragma GCC unroll 6
    for (int r = 0; r < m; r++) {
        __m512i x = four(rows + r * row_bytes, left);
#pragma GCC unroll 4
        for (int v = 0; v < n; v++) acc[r][v] = dot4(acc[r][v], query[v], x);
    }
}

/* The whole numbers of one plane, [m][width]. */
INLINE void multiply(const int m, const int n, int32_t *whole, const int8_t *rows, size_t row_bytes,
                     const uint8_t *panel, size_t width, size_t columns)
{
    __m512i acc[GROUP][VECTORS];
#pragma GCC unroll 6
    for (int r = 0; r < m; r++)
#pragma GCC unroll 4
        for (int v = 0; v < n; v++) acc[r][v] = _mm512_setzero_si512();
    size_t c = 0;
    for (; c + 4 <= columns; c += 4) step(m, n, acc, rows + c, row_bytes, panel + c * width, 4);
    if (c < columns) step(m, n, acc, rows + c, row_bytes, panel + c * width, columns - c);
#pragma GCC unroll 6
    for (int r = 0; r < m; r++)
#pragma GCC unroll 4
        for (int v = 0; v < n; v++) _mm512_store_si512(whole + r * width + v * 16, acc[r][v]);
}

INLINE int64_t row_sum(const int8_t *row, size_t columns)
{
    __m512i acc = _mm512_setzero_si512(), ones = _mm512_set1_epi8(1);
    for (size_t c = 0; c < columns; c += 64) {
        __mmask64 mask = columns - c >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << (columns - c)) - 1;
        acc = dot4(acc, ones, _mm512_maskz_loadu_epi8(mask, row + c));
    }
    return _mm512_reduce_add_epi32(acc);
}

/* sum += scale * (256 high + low - offset), for the queries of a row. */
INLINE void combine(double *sum, const double *scale, const int32_t *high, const int32_t *low,
                    __m512d offset, size_t width)
{
    for (size_t j = 0; j < width; j += 8) {
        __m512d value = _mm512_cvtepi32_pd(_mm256_load_si256((const void *)(high + j)));
        value = _mm512_mul_pd(value, _mm512_set1_pd(256.0));
        value = _mm512_add_pd(value,
                              _mm512_cvtepi32_pd(_mm256_load_si256((const void *)(low + j))));
        value = _mm512_mul_pd(_mm512_sub_pd(value, offset), _mm512_loadu_pd(scale + j));
        _mm512_storeu_pd(sum + j, _mm512_add_pd(_mm512_loadu_pd(sum + j), value));
    }
}

/* `m` rows by `n` vectors of queries; both are constants where this is inlined. */
INLINE void block(const int m, const int n, double *sum, size_t stride, const int8_t *rows,
                  size_t row_bytes, const double *panel, size_t width, size_t columns)
{
    _Alignas(64) int32_t whole[2][GROUP * TAMIS__MAX_TILE];
    const uint8_t *bytes = (const uint8_t *)(panel + width);
    for (size_t p = 0; p < 2; p++)
        multiply(m, n, whole[p], rows, row_bytes, bytes + p * plane(width, columns), width,
                 columns);
    for (size_t r = 0; r < (size_t)m; r++) {
        double sum_x = (double)row_sum(rows + r * row_bytes, columns);
        combine(sum + r * stride, panel, whole[0] + r * width, whole[1] + r * width,
                _mm512_set1_pd(32768.0 * sum_x), width);
    }
}

INLINE void block_rows(const int n, double *sum, size_t stride, const int8_t *rows,
                       size_t row_bytes, size_t m, const double *panel, size_t width,
                       size_t columns)
{
    TAMIS__BY_ROWS(block, m, n, sum, stride, rows, row_bytes, panel, width, columns);
}

VNNI static void many(double *sum, size_t stride, const void *rows, size_t row_bytes, size_t m,
                      const void *panel, size_t width, size_t columns)
{
    for (size_t r = 0; r < m; r += GROUP) {
        const int8_t *x = (const int8_t *)rows + r * row_bytes;
        size_t n = m - r < GROUP ? m - r : GROUP;
        double *to = sum + r * stride;
        TAMIS__BY_VECTORS(block_rows, width / 16, to, stride, x, row_bytes, n, panel, width,
                          columns);
    }
}

/* --- one query or two: for more, floats are as fast ------------------------------------------- */

/* Scales [8] as double, then [groups of 64 columns][width][high bytes, low bytes][64]. */
static size_t size_few(size_t width, size_t columns)
{
    return 64 + width * 2 * tamis__round_up(columns, 64);
}

static void pack_few(void *panel, const float *queries, size_t query_stride, size_t n, size_t width,
                     size_t columns)
{
    double *scale = panel;
    uint8_t *bytes = (uint8_t *)(scale + 8);
    memset(panel, 0, size_few(width, columns));
    for (size_t j = 0; j < n; j++) {
        const float *query = queries + j * query_stride;
        double unit = i16_unit(query, columns);
        scale[j] = unit;
        for (size_t c = 0; c < columns; c++) {
            uint32_t u = (uint32_t)(i16_of(query[c], unit) + 32768);
            uint8_t *at = bytes + (c / 64 * width + j) * 128 + c % 64;
            at[0] = (uint8_t)(u >> 8);
            at[64] = (uint8_t)u;
        }
    }
}

INLINE void inner(const int n, double *sum, const int8_t *row, const double *panel, size_t columns)
{
    const uint8_t *bytes = (const uint8_t *)(panel + 8);
    __m512i high[2], low[2], total = _mm512_setzero_si512(), ones = _mm512_set1_epi8(1);
#pragma GCC unroll 2
    for (int j = 0; j < n; j++) high[j] = low[j] = _mm512_setzero_si512();
    for (size_t c = 0; c < columns; c += 64) {
        __mmask64 mask = columns - c >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << (columns - c)) - 1;
        __m512i x = _mm512_maskz_loadu_epi8(mask, row + c);
        total = dot4(total, ones, x);
#pragma GCC unroll 2
        for (int j = 0; j < n; j++) {
            const uint8_t *at = bytes + c * 2 * n + j * 128;
            high[j] = dot4(high[j], _mm512_load_si512(at), x);
            low[j] = dot4(low[j], _mm512_load_si512(at + 64), x);
        }
    }
    double offset = 32768.0 * (double)_mm512_reduce_add_epi32(total);
#pragma GCC unroll 2
    for (int j = 0; j < n; j++)
        sum[j] += panel[j] * (256.0 * (double)_mm512_reduce_add_epi32(high[j]) +
                              (double)_mm512_reduce_add_epi32(low[j]) - offset);
}

VNNI static void few(double *sum, size_t stride, const void *rows, size_t row_bytes, size_t m,
                     const void *panel, size_t width, size_t columns)
{
    for (size_t r = 0; r < m; r++) {
        const int8_t *row = (const int8_t *)rows + r * row_bytes;
        if (width == 1)
            inner(1, sum + r * stride, row, panel, columns);
        else
            inner(2, sum + r * stride, row, panel, columns);
    }
}

/* --- the list --------------------------------------------------------------------------------- */

enum { NEEDS = TAMIS_CPU_AVX2 | TAMIS_CPU_AVX512 | TAMIS_CPU_VNNI };
static const tamis__multiplier_entry entries[] = {
    {.multiplier = {.name = "vnni",
                    .panel = "i16",
                    .rounds = true,
                    .step = TAMIS__MANY_STEP,
                    .tile = 64,
                    .width = tamis__width_many,
                    .size = size_many,
                    .pack = pack_many,
                    .add = many},
     .dtype = TAMIS_I8,
     .cpu = NEEDS},
    {.multiplier = {.name = "vnni",
                    .panel = "i16",
                    .rounds = true,
                    .step = 4096,
                    .tile = 2,
                    .width = tamis__width_few,
                    .size = size_few,
                    .pack = pack_few,
                    .add = few},
     .dtype = TAMIS_I8,
     .cpu = NEEDS,
     .few = true},
};
const tamis__multiplier_list tamis__multipliers_vnni = {entries, sizeof entries / sizeof *entries};

#else

const tamis__multiplier_list tamis__multipliers_vnni = {NULL, 0};

#endif
