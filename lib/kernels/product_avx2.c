/* Products with AVX2, FMA and F16C, shaped as those of product_avx512.c: six rows by two vectors of
 * eight queries for many queries, inner products along the rows for few. Panels of floats for rows
 * of any type. (Whole numbers of 16 bits for i8 rows were no faster: 95 against 96 GFLOP/s on a
 * core.)
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernels/product_list.h"

#include <string.h>
#include <tamis/context.h>

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define AVX2   __attribute__((target("avx2,fma,f16c")))
#define INLINE AVX2 static inline __attribute__((always_inline))

enum { GROUP = 6, STEP = TAMIS__MANY_STEP };

/* --- stored values as floats ------------------------------------------------------------------ */

/* Eight values of a row that has them. */
INLINE __m256 load8(const tamis_dtype dtype, const unsigned char *row, size_t c)
{
    switch (dtype) {
    case TAMIS_F16: return _mm256_cvtph_ps(_mm_loadu_si128((const void *)(row + 2 * c)));
    case TAMIS_BF16: {
        __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)(row + 2 * c)));
        return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
    }
    case TAMIS_I8:
        return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(row + c))));
    default: return _mm256_loadu_ps((const void *)(row + 4 * c));
    }
}

INLINE size_t bytes_of(const tamis_dtype dtype)
{
    return dtype == TAMIS_F32 ? 4 : dtype == TAMIS_I8 ? 1 : 2;
}

/* `columns` values, by way of a copy where fewer than eight are left. */
INLINE void widen(const tamis_dtype dtype, float *out, const unsigned char *row, size_t columns)
{
    size_t c = 0, left = columns % 8;
    unsigned char end[32] = {0};
    for (; c + 8 <= columns; c += 8) _mm256_storeu_ps(out + c, load8(dtype, row, c));
    if (left == 0) return;
    memcpy(end, row + c * bytes_of(dtype), left * bytes_of(dtype));
    float wide[8];
    _mm256_storeu_ps(wide, load8(dtype, end, 0));
    memcpy(out + c, wide, left * sizeof *out);
}

/* --- many queries, floats --------------------------------------------------------------------- */

INLINE void add_to(double *sum, __m256 value)
{
    __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(value));
    __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(value, 1));
    _mm256_storeu_pd(sum, _mm256_add_pd(_mm256_loadu_pd(sum), low));
    _mm256_storeu_pd(sum + 4, _mm256_add_pd(_mm256_loadu_pd(sum + 4), high));
}

/* `m` rows, a constant where this is inlined, by sixteen queries. */
INLINE void block(const int m, double *sum, size_t stride, const float *rows, size_t row_stride,
                  const float *panel, size_t width, size_t columns)
{
    __m256 acc[GROUP][2];
#pragma GCC unroll 6
    for (int r = 0; r < m; r++) acc[r][0] = acc[r][1] = _mm256_setzero_ps();
    for (size_t c = 0; c < columns; c++) {
        __m256 a = _mm256_load_ps(panel + c * width), b = _mm256_load_ps(panel + c * width + 8);
#pragma GCC unroll 6
        for (int r = 0; r < m; r++) {
            __m256 x = _mm256_broadcast_ss(rows + r * row_stride + c);
            acc[r][0] = _mm256_fmadd_ps(x, a, acc[r][0]);
            acc[r][1] = _mm256_fmadd_ps(x, b, acc[r][1]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < m; r++) {
        add_to(sum + r * stride, acc[r][0]);
        add_to(sum + r * stride + 8, acc[r][1]);
    }
}

AVX2 static void group(double *sum, size_t stride, const float *rows, size_t row_stride, size_t m,
                       const float *panel, size_t width, size_t columns)
{
    for (size_t j = 0; j < width; j += 16, sum += 16, panel += 16)
        TAMIS__BY_ROWS(block, m, sum, stride, rows, row_stride, panel, width, columns);
}

/* The rows of a group are widened first, floats are copied: what is read again for every sixteen
 * queries lies together then. */
INLINE void many(const tamis_dtype dtype, double *sum, size_t stride, const void *rows,
                 size_t row_bytes, size_t m, const void *panel, size_t width, size_t columns)
{
    float wide[GROUP][STEP];
    for (size_t first = 0; first < m; first += GROUP) {
        size_t n = m - first < GROUP ? m - first : GROUP;
        for (size_t r = 0; r < n; r++)
            widen(dtype, wide[r], (const unsigned char *)rows + (first + r) * row_bytes, columns);
        group(sum + first * stride, stride, wide[0], STEP, n, panel, width, columns);
    }
}

/* --- few queries ------------------------------------------------------------------------------ */

/* Two rows by up to four queries; all numbers are constants where this is inlined. */
INLINE void inner(const tamis_dtype dtype, const int m, const int n, double *sum, size_t stride,
                  const unsigned char *rows, size_t row_bytes, const float *panel, size_t width,
                  size_t columns)
{
    __m256 acc[2][4];
    size_t size = bytes_of(dtype), whole = columns / 8 * 8;
    unsigned char end[2][32] = {{0}};
#pragma GCC unroll 2
    for (int r = 0; r < m; r++) {
#pragma GCC unroll 4
        for (int j = 0; j < n; j++) acc[r][j] = _mm256_setzero_ps();
        memcpy(end[r], rows + r * row_bytes + whole * size, (columns - whole) * size);
    }
    for (size_t c = 0; c < columns; c += 8) {
        const float *query = panel + c / 16 * 16 * width + c % 16;
#pragma GCC unroll 2
        for (int r = 0; r < m; r++) {
            __m256 x = c < whole ? load8(dtype, rows + r * row_bytes, c) : load8(dtype, end[r], 0);
#pragma GCC unroll 4
            for (int j = 0; j < n; j++)
                acc[r][j] = _mm256_fmadd_ps(x, _mm256_load_ps(query + j * 16), acc[r][j]);
        }
    }
#pragma GCC unroll 2
    for (int r = 0; r < m; r++)
#pragma GCC unroll 4
        for (int j = 0; j < n; j++) {
            float part[8];
            _mm256_storeu_ps(part, acc[r][j]);
            for (int half = 4; half > 0; half /= 2)
                for (int i = 0; i < half; i++) part[i] += part[i + half];
            sum[r * stride + j] += (double)part[0];
        }
}

INLINE void inner_rows(const tamis_dtype dtype, const int n, double *sum, size_t stride,
                       const unsigned char *rows, size_t row_bytes, size_t m, const float *panel,
                       size_t width, size_t columns)
{
    size_t r = 0;
    for (; r + 2 <= m; r += 2)
        inner(dtype, 2, n, sum + r * stride, stride, rows + r * row_bytes, row_bytes, panel, width,
              columns);
    if (r < m)
        inner(dtype, 1, n, sum + r * stride, stride, rows + r * row_bytes, row_bytes, panel, width,
              columns);
}

/* Eight queries as twice four, a few rows at a time, so that the second time finds them near. */
INLINE void few(const tamis_dtype dtype, double *sum, size_t stride, const void *rows,
                size_t row_bytes, size_t m, const void *panel, size_t width, size_t columns)
{
    const unsigned char *row = rows;
    const float *query = panel;
    switch (width) {
    case 1: inner_rows(dtype, 1, sum, stride, row, row_bytes, m, query, 1, columns); return;
    case 2: inner_rows(dtype, 2, sum, stride, row, row_bytes, m, query, 2, columns); return;
    case 4: inner_rows(dtype, 4, sum, stride, row, row_bytes, m, query, 4, columns); return;
    default:
        for (size_t r = 0; r < m; r += 2, row += 2 * row_bytes, sum += 2 * stride)
            for (size_t j = 0; j < 8; j += 4)
                inner_rows(dtype, 4, sum + j, stride, row, row_bytes, m - r < 2 ? m - r : 2,
                           query + j * 16, 8, columns);
    }
}

/* --- the list --------------------------------------------------------------------------------- */

#define BOTH(type, dtype)                                                                          \
    AVX2 static void few_##type(double *sum, size_t stride, const void *rows, size_t row_bytes,    \
                                size_t m, const void *panel, size_t width, size_t columns)         \
    {                                                                                              \
        few(dtype, sum, stride, rows, row_bytes, m, panel, width, columns);                        \
    }                                                                                              \
    AVX2 static void many_##type(double *sum, size_t stride, const void *rows, size_t row_bytes,   \
                                 size_t m, const void *panel, size_t width, size_t columns)        \
    {                                                                                              \
        many(dtype, sum, stride, rows, row_bytes, m, panel, width, columns);                       \
    }
BOTH(f32, TAMIS_F32)
BOTH(f16, TAMIS_F16)
BOTH(bf16, TAMIS_BF16)
BOTH(i8, TAMIS_I8)

static const tamis__multiplier_entry entries[] = {
    TAMIS__MANY_F32("avx2", TAMIS_F32, TAMIS_CPU_AVX2, many_f32),
    TAMIS__MANY_F32("avx2", TAMIS_F16, TAMIS_CPU_AVX2, many_f16),
    TAMIS__MANY_F32("avx2", TAMIS_BF16, TAMIS_CPU_AVX2, many_bf16),
    TAMIS__MANY_F32("avx2", TAMIS_I8, TAMIS_CPU_AVX2, many_i8),
    TAMIS__FEW_F32("avx2", TAMIS_F32, TAMIS_CPU_AVX2, few_f32),
    TAMIS__FEW_F32("avx2", TAMIS_F16, TAMIS_CPU_AVX2, few_f16),
    TAMIS__FEW_F32("avx2", TAMIS_BF16, TAMIS_CPU_AVX2, few_bf16),
    TAMIS__FEW_F32("avx2", TAMIS_I8, TAMIS_CPU_AVX2, few_i8),
};
const tamis__multiplier_list tamis__multipliers_avx2 = {entries, sizeof entries / sizeof *entries};

#else

const tamis__multiplier_list tamis__multipliers_avx2 = {NULL, 0};

#endif
