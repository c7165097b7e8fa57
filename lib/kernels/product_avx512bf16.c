/* Products of bf16 rows with AVX512-BF16: queries are rounded to bf16, and each instruction adds
 * two products to a float.
 *
 * Many queries: an outer product as in product_avx512.c, of pairs of columns. Each sum runs in
 * float over the pairs in their order, the second column of a pair before the first. Few queries:
 * inner products along the rows; sixteen interleaved sums of pairs.
 *
 * The instruction takes subnormal numbers as zero: the smallest that counts is 1.2e-38.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernels/product_list.h"

#include <string.h>
#include <tamis/context.h>

#include "kernels/reference.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define BF16   __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma,f16c")))
#define INLINE BF16 static inline __attribute__((always_inline))

enum { GROUP = 6, VECTORS = 4 };

/* --- many queries ----------------------------------------------------------------------------- */

/* [pairs of columns][width][2] */
static size_t size_many(size_t width, size_t columns)
{
    return (columns + 1) / 2 * width * 4;
}

static void pack_many(void *panel, const float *queries, size_t query_stride, size_t n,
                      size_t width, size_t columns)
{
    uint16_t *out = panel;
    memset(panel, 0, size_many(width, columns));
    for (size_t j = 0; j < n; j++)
        for (size_t c = 0; c < columns; c++)
            tamis__narrow_bf16_c(out + (c / 2 * width + j) * 2 + c % 2,
                                 queries + j * query_stride + c, 1);
}

INLINE void add_to(double *sum, __m512 value)
{
    __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(value));
    __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(value, 1));
    _mm512_storeu_pd(sum, _mm512_add_pd(_mm512_loadu_pd(sum), low));
    _mm512_storeu_pd(sum + 8, _mm512_add_pd(_mm512_loadu_pd(sum + 8), high));
}

/* Two columns of a row to every lane; of the last column alone when `left` is 1. */
INLINE __m512bh pair(const uint16_t *row, size_t left)
{
    uint32_t bits = 0;
    memcpy(&bits, row, left < 2 ? 2 : 4);
    return (__m512bh)_mm512_set1_epi32((int)bits);
}

INLINE void step(const int m, const int n, __m512 acc[GROUP][VECTORS], const uint16_t *rows,
                 size_t row_stride, const uint16_t *panel, size_t left)
{
    __m512bh query[VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < n; v++) query[v] = (__m512bh)_mm512_load_si512(panel + v * 32);
#pragma GCC unroll 6
    for (int r = 0; r < m; r++) {
        __m512bh x = pair(rows + r * row_stride, left);
#pragma GCC unroll 4
        for (int v = 0; v < n; v++) acc[r][v] = _mm512_dpbf16_ps(acc[r][v], x, query[v]);
    }
}

/* `m` rows by `n` vectors of queries; both are constants where this is inlined. */
INLINE void block(const int m, const int n, double *sum, size_t stride, const uint16_t *rows,
                  size_t row_stride, const uint16_t *panel, size_t width, size_t columns)
{
    __m512 acc[GROUP][VECTORS];
#pragma GCC unroll 6
    for (int r = 0; r < m; r++)
#pragma GCC unroll 4
        for (int v = 0; v < n; v++) acc[r][v] = _mm512_setzero_ps();
    size_t c = 0;
    for (; c + 2 <= columns; c += 2) {
        if (c % 32 == 0)
            for (int r = 0; r < m; r++)
                _mm_prefetch((const char *)(rows + (r + m) * row_stride + c), _MM_HINT_T1);
        step(m, n, acc, rows + c, row_stride, panel + c * width, 2);
    }
    if (c < columns) step(m, n, acc, rows + c, row_stride, panel + c * width, 1);
#pragma GCC unroll 6
    for (int r = 0; r < m; r++)
#pragma GCC unroll 4
        for (int v = 0; v < n; v++) add_to(sum + r * stride + v * 16, acc[r][v]);
}

INLINE void block_rows(const int n, double *sum, size_t stride, const uint16_t *rows,
                       size_t row_stride, size_t m, const uint16_t *panel, size_t width,
                       size_t columns)
{
    TAMIS__BY_ROWS(block, m, n, sum, stride, rows, row_stride, panel, width, columns);
}

BF16 static void many(double *sum, size_t stride, const void *rows, size_t row_bytes, size_t m,
                      const void *panel, size_t width, size_t columns)
{
    size_t row_stride = row_bytes / sizeof(uint16_t);
    for (size_t r = 0; r < m; r += GROUP) {
        const uint16_t *x = (const uint16_t *)rows + r * row_stride;
        size_t n = m - r < GROUP ? m - r : GROUP;
        double *to = sum + r * stride;
        TAMIS__BY_VECTORS(block_rows, width / 16, to, stride, x, row_stride, n, panel, width,
                          columns);
    }
}

/* --- few queries ------------------------------------------------------------------------------ */

/* [groups of 32 columns][width][32] */
static size_t size_few(size_t width, size_t columns)
{
    return width * tamis__round_up(columns, 32) * 2;
}

static void pack_few(void *panel, const float *queries, size_t query_stride, size_t n, size_t width,
                     size_t columns)
{
    uint16_t *out = panel;
    memset(panel, 0, size_few(width, columns));
    for (size_t j = 0; j < n; j++)
        for (size_t c = 0; c < columns; c++)
            tamis__narrow_bf16_c(out + (c / 32 * width + j) * 32 + c % 32,
                                 queries + j * query_stride + c, 1);
}

/* With several queries the processor does not see by itself that rows are read in order, so the
 * rows after these are asked for. */
INLINE void inner(const int m, const int n, double *sum, size_t stride, const uint16_t *rows,
                  size_t row_stride, const uint16_t *panel, size_t columns)
{
    __m512 acc[4][8];
#pragma GCC unroll 4
    for (int r = 0; r < m; r++)
#pragma GCC unroll 8
        for (int j = 0; j < n; j++) acc[r][j] = _mm512_setzero_ps();
    for (size_t c = 0; c < columns; c += 32) {
        __mmask32 mask = columns - c >= 32 ? 0xffffffffu : (1u << (columns - c)) - 1;
        __m512bh x[4];
#pragma GCC unroll 4
        for (int r = 0; r < m; r++) {
            const uint16_t *at = rows + r * row_stride + c;
            x[r] = (__m512bh)_mm512_maskz_loadu_epi16(mask, at);
            if (n > 2) _mm_prefetch((const char *)(at + m * row_stride), _MM_HINT_T1);
        }
#pragma GCC unroll 8
        for (int j = 0; j < n; j++) {
            __m512bh query = (__m512bh)_mm512_load_si512(panel + c * n + j * 32);
#pragma GCC unroll 4
            for (int r = 0; r < m; r++) acc[r][j] = _mm512_dpbf16_ps(acc[r][j], x[r], query);
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < m; r++)
#pragma GCC unroll 8
        for (int j = 0; j < n; j++) sum[r * stride + j] += (double)_mm512_reduce_add_ps(acc[r][j]);
}

INLINE void inner_rows(const int group_rows, const int n, double *sum, size_t stride,
                       const uint16_t *rows, size_t row_stride, size_t m, const uint16_t *panel,
                       size_t columns)
{
    size_t r = 0;
    for (; r + group_rows <= m; r += group_rows)
        inner(group_rows, n, sum + r * stride, stride, rows + r * row_stride, row_stride, panel,
              columns);
    for (; r < m; r++)
        inner(1, n, sum + r * stride, stride, rows + r * row_stride, row_stride, panel, columns);
}

BF16 static void few(double *sum, size_t stride, const void *rows, size_t row_bytes, size_t m,
                     const void *panel, size_t width, size_t columns)
{
    size_t row_stride = row_bytes / sizeof(uint16_t);
    switch (width) {
    case 1: inner_rows(4, 1, sum, stride, rows, row_stride, m, panel, columns); return;
    case 2: inner_rows(4, 2, sum, stride, rows, row_stride, m, panel, columns); return;
    case 4: inner_rows(4, 4, sum, stride, rows, row_stride, m, panel, columns); return;
    default: inner_rows(3, 8, sum, stride, rows, row_stride, m, panel, columns); return;
    }
}

/* --- the list --------------------------------------------------------------------------------- */

enum { NEEDS = TAMIS_CPU_AVX2 | TAMIS_CPU_AVX512 | TAMIS_CPU_AVX512BF16 };
static const tamis__multiplier_entry entries[] = {
    {.multiplier = {.name = "avx512bf16",
                    .panel = "bf16",
                    .rounds = true,
                    .step = TAMIS__MANY_STEP,
                    .tile = 64,
                    .width = tamis__width_many,
                    .size = size_many,
                    .pack = pack_many,
                    .add = many},
     .dtype = TAMIS_BF16,
     .cpu = NEEDS},
    {.multiplier = {.name = "avx512bf16",
                    .panel = "bf16",
                    .rounds = true,
                    .step = 4096,
                    .tile = 8,
                    .width = tamis__width_few,
                    .size = size_few,
                    .pack = pack_few,
                    .add = few},
     .dtype = TAMIS_BF16,
     .cpu = NEEDS,
     .few = true},
};
const tamis__multiplier_list tamis__multipliers_avx512bf16 = {entries,
                                                              sizeof entries / sizeof *entries};

#else

const tamis__multiplier_list tamis__multipliers_avx512bf16 = {NULL, 0};

#endif
