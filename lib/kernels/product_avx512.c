/* Products with AVX-512 (F, BW, VL, DQ): panels of floats, rows of any type.
 *
 * Many queries: an outer product. Six rows by four vectors of sixteen queries are kept in
 * registers; a step of the loop loads one column of the panel and broadcasts one value of each row,
 * so that 24 multiplications meet 10 loads. Each sum runs in float over the step's columns in their
 * order.
 *
 * Few queries: inner products along the rows, so that rows are read once and in order. Each sum is
 * sixteen interleaved ones in float, added up at the end of the step.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernels/product_list.h"

#include <tamis/context.h>

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")))
#define INLINE AVX512 static inline __attribute__((always_inline))

/* Rows widened at once: a group's step stays in the first cache. */
enum { GROUP = 6, STEP = TAMIS__MANY_STEP, VECTORS = 4 };

/* --- many queries ----------------------------------------------------------------------------- */

INLINE void add_to(double *sum, __m512 value)
{
    __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(value));
    __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(value, 1));
    _mm512_storeu_pd(sum, _mm512_add_pd(_mm512_loadu_pd(sum), low));
    _mm512_storeu_pd(sum + 8, _mm512_add_pd(_mm512_loadu_pd(sum + 8), high));
}

/* `m` rows by `n` vectors of queries; both are constants where this is inlined. The rows after
 * these are asked for on the way: they come from memory, where the processor sees no order in
 * them. */
INLINE void block(const int m, const int n, double *sum, size_t stride, const float *rows,
                  size_t row_stride, const float *panel, size_t width, size_t columns)
{
    __m512 acc[GROUP][VECTORS];
#pragma GCC unroll 6
    for (int r = 0; r < m; r++)
#pragma GCC unroll 4
        for (int v = 0; v < n; v++) acc[r][v] = _mm512_setzero_ps();
    for (size_t c = 0; c < columns; c++) {
        __m512 query[VECTORS];
        if (c % 16 == 0)
            for (int r = 0; r < m; r++)
                _mm_prefetch((const char *)(rows + (r + m) * row_stride + c), _MM_HINT_T1);
#pragma GCC unroll 4
        for (int v = 0; v < n; v++) query[v] = _mm512_load_ps(panel + c * width + v * 16);
#pragma GCC unroll 6
        for (int r = 0; r < m; r++) {
            __m512 x = _mm512_set1_ps(rows[r * row_stride + c]);
#pragma GCC unroll 4
            for (int v = 0; v < n; v++) acc[r][v] = _mm512_fmadd_ps(x, query[v], acc[r][v]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < m; r++)
#pragma GCC unroll 4
        for (int v = 0; v < n; v++) add_to(sum + r * stride + v * 16, acc[r][v]);
}

INLINE void block_rows(const int n, double *sum, size_t stride, const float *rows,
                       size_t row_stride, size_t m, const float *panel, size_t width,
                       size_t columns)
{
    TAMIS__BY_ROWS(block, m, n, sum, stride, rows, row_stride, panel, width, columns);
}

AVX512
static void group(double *sum, size_t stride, const float *rows, size_t row_stride, size_t m,
                  const float *panel, size_t width, size_t columns)
{
    TAMIS__BY_VECTORS(block_rows, width / 16, sum, stride, rows, row_stride, m, panel, width,
                      columns);
}

/* --- stored values as floats ------------------------------------------------------------------ */

INLINE __m512 load16(const tamis_dtype dtype, const unsigned char *row, size_t c, __mmask16 mask)
{
    switch (dtype) {
    case TAMIS_F16:
        return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, (const void *)(row + 2 * c)));
    case TAMIS_BF16: {
        __m256i half = _mm256_maskz_loadu_epi16(mask, (const void *)(row + 2 * c));
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
    }
    case TAMIS_I8: {
        __m128i byte = _mm_maskz_loadu_epi8(mask, (const void *)(row + c));
        return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(byte));
    }
    default: return _mm512_maskz_loadu_ps(mask, (const void *)(row + 4 * c));
    }
}

INLINE __mmask16 mask_of(size_t left)
{
    return left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
}

/* Groups of rows, widened first. */
INLINE void widened(const tamis_dtype dtype, double *sum, size_t stride, const unsigned char *rows,
                    size_t row_bytes, size_t m, const float *panel, size_t width, size_t columns)
{
    _Alignas(64) float wide[GROUP][STEP];
    for (size_t first = 0; first < m; first += GROUP) {
        size_t n = m - first < GROUP ? m - first : GROUP;
        for (size_t r = 0; r < n; r++)
            for (size_t c = 0; c < columns; c += 16)
                _mm512_store_ps(wide[r] + c, load16(dtype, rows + (first + r) * row_bytes, c,
                                                    mask_of(columns - c)));
        group(sum + first * stride, stride, wide[0], STEP, n, panel, width, columns);
    }
}

AVX512 static void many_f32(double *sum, size_t stride, const void *rows, size_t row_bytes,
                            size_t m, const void *panel, size_t width, size_t columns)
{
    const float *x = rows;
    size_t row_stride = row_bytes / sizeof *x;
    for (size_t r = 0; r < m; r += GROUP)
        group(sum + r * stride, stride, x + r * row_stride, row_stride,
              m - r < GROUP ? m - r : GROUP, panel, width, columns);
}

/* --- few queries ------------------------------------------------------------------------------ */

/* With several queries the processor does not see by itself that rows are read in order. */
INLINE void ask_for(const tamis_dtype dtype, const unsigned char *row, size_t c)
{
    size_t size = dtype == TAMIS_F32 ? 4 : dtype == TAMIS_I8 ? 1 : 2;
    _mm_prefetch((const char *)(row + c * size), _MM_HINT_T1);
}

/* `m` rows by `n` queries; type and both numbers are constants where this is inlined. */
INLINE void inner(const tamis_dtype dtype, const int m, const int n, double *sum, size_t stride,
                  const unsigned char *rows, size_t row_bytes, const float *panel, size_t columns)
{
    size_t whole = columns / 16 * 16;
    __m512 acc[4][8];
#pragma GCC unroll 4
    for (int r = 0; r < m; r++)
#pragma GCC unroll 8
        for (int j = 0; j < n; j++) acc[r][j] = _mm512_setzero_ps();
    for (size_t c = 0; c < columns; c += 16) {
        __mmask16 mask = c < whole ? 0xffff : mask_of(columns - c);
        __m512 x[4];
#pragma GCC unroll 4
        for (int r = 0; r < m; r++) {
            const unsigned char *row = rows + r * row_bytes;
            x[r] = load16(dtype, row, c, mask);
            if (n > 2) ask_for(dtype, row + m * row_bytes, c);
        }
#pragma GCC unroll 8
        for (int j = 0; j < n; j++) {
            __m512 query = _mm512_load_ps(panel + c * n + j * 16);
#pragma GCC unroll 4
            for (int r = 0; r < m; r++) acc[r][j] = _mm512_fmadd_ps(x[r], query, acc[r][j]);
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < m; r++)
#pragma GCC unroll 8
        for (int j = 0; j < n; j++) sum[r * stride + j] += (double)_mm512_reduce_add_ps(acc[r][j]);
}

INLINE void inner_rows(const tamis_dtype dtype, const int group_rows, const int n, double *sum,
                       size_t stride, const unsigned char *rows, size_t row_bytes, size_t m,
                       const float *panel, size_t columns)
{
    size_t r = 0;
    for (; r + group_rows <= m; r += group_rows)
        inner(dtype, group_rows, n, sum + r * stride, stride, rows + r * row_bytes, row_bytes,
              panel, columns);
    for (; r < m; r++)
        inner(dtype, 1, n, sum + r * stride, stride, rows + r * row_bytes, row_bytes, panel,
              columns);
}

INLINE void few(const tamis_dtype dtype, double *sum, size_t stride, const void *rows,
                size_t row_bytes, size_t m, const void *panel, size_t width, size_t columns)
{
    switch (width) {
    case 1: inner_rows(dtype, 4, 1, sum, stride, rows, row_bytes, m, panel, columns); return;
    case 2: inner_rows(dtype, 4, 2, sum, stride, rows, row_bytes, m, panel, columns); return;
    case 4: inner_rows(dtype, 4, 4, sum, stride, rows, row_bytes, m, panel, columns); return;
    default: inner_rows(dtype, 3, 8, sum, stride, rows, row_bytes, m, panel, columns); return;
    }
}

/* --- the list --------------------------------------------------------------------------------- */

#define FEW(type, dtype)                                                                           \
    AVX512 static void few_##type(double *sum, size_t stride, const void *rows, size_t row_bytes,  \
                                  size_t m, const void *panel, size_t width, size_t columns)       \
    {                                                                                              \
        few(dtype, sum, stride, rows, row_bytes, m, panel, width, columns);                        \
    }
#define MANY(type, dtype)                                                                          \
    AVX512 static void many_##type(double *sum, size_t stride, const void *rows, size_t row_bytes, \
                                   size_t m, const void *panel, size_t width, size_t columns)      \
    {                                                                                              \
        widened(dtype, sum, stride, rows, row_bytes, m, panel, width, columns);                    \
    }
FEW(f32, TAMIS_F32)
FEW(f16, TAMIS_F16)
FEW(bf16, TAMIS_BF16)
FEW(i8, TAMIS_I8)
MANY(f16, TAMIS_F16)
MANY(bf16, TAMIS_BF16)
MANY(i8, TAMIS_I8)

enum { NEEDS = TAMIS_CPU_AVX2 | TAMIS_CPU_AVX512 };
static const tamis__multiplier_entry entries[] = {
    TAMIS__MANY_F32("avx512", TAMIS_F32, NEEDS, many_f32),
    TAMIS__MANY_F32("avx512", TAMIS_F16, NEEDS, many_f16),
    TAMIS__MANY_F32("avx512", TAMIS_BF16, NEEDS, many_bf16),
    TAMIS__MANY_F32("avx512", TAMIS_I8, NEEDS, many_i8),
    TAMIS__FEW_F32("avx512", TAMIS_F32, NEEDS, few_f32),
    TAMIS__FEW_F32("avx512", TAMIS_F16, NEEDS, few_f16),
    TAMIS__FEW_F32("avx512", TAMIS_BF16, NEEDS, few_bf16),
    TAMIS__FEW_F32("avx512", TAMIS_I8, NEEDS, few_i8),
};
const tamis__multiplier_list tamis__multipliers_avx512 = {entries,
                                                          sizeof entries / sizeof *entries};

#else

const tamis__multiplier_list tamis__multipliers_avx512 = {NULL, 0};

#endif
