/* Inner products of rows with rows. The same loop is compiled for several instruction sets:
 * products and sums are not fused, so every version gives the same bits.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernels/row_dots.h"

#include <tamis/context.h>

enum { LANES = 8, AHEAD = 8 };
typedef double lanes __attribute__((vector_size(64), aligned(8)));
typedef float halves __attribute__((vector_size(32), aligned(4)));

#define INLINE static inline __attribute__((always_inline))

INLINE double end_sum(const double *part)
{
    double four[4] = {part[0] + part[4], part[1] + part[5], part[2] + part[6], part[3] + part[7]};
    return (four[0] + four[2]) + (four[1] + four[3]);
}

INLINE void rows_floats(double *out, double factor, const double *a, size_t a_stride,
                        const float *b, size_t b_stride, size_t rows, size_t n)
{
    for (size_t r = 0; r < rows; r++, a += a_stride, b += b_stride) {
        size_t i = 0;
        lanes sum = {0};
        /* Rows are far apart, and the processor sees no order in them. */
        for (size_t line = 0; line < n; line += 16) __builtin_prefetch(b + AHEAD * b_stride + line);
        for (; i + LANES <= n; i += LANES)
            sum += *(const lanes *)(const void *)(a + i) *
                   __builtin_convertvector(*(const halves *)(const void *)(b + i), lanes);
        double part[LANES];
        for (int k = 0; k < LANES; k++) part[k] = sum[k];
        for (int k = 0; i < n; i++, k++) part[k] += a[i] * (double)b[i];
        out[r] += factor * end_sum(part);
    }
}

INLINE void rows_doubles(double *out, double factor, const double *a, size_t a_stride,
                         const double *b, size_t b_stride, size_t rows, size_t n)
{
    for (size_t r = 0; r < rows; r++, a += a_stride, b += b_stride) {
        size_t i = 0;
        lanes sum = {0};
        for (; i + LANES <= n; i += LANES)
            sum += *(const lanes *)(const void *)(a + i) * *(const lanes *)(const void *)(b + i);
        double part[LANES];
        for (int k = 0; k < LANES; k++) part[k] = sum[k];
        for (int k = 0; i < n; i++, k++) part[k] += a[i] * b[i];
        out[r] += factor * end_sum(part);
    }
}

INLINE void add_floats(double *out, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        *(lanes *)(void *)(out + i) += __builtin_convertvector(
            *(const halves *)(const void *)(x + i), lanes);
    for (; i < n; i++) out[i] += (double)x[i];
}

#define VERSION(isa, attribute)                                                                    \
    attribute static void floats_##isa(double *out, double factor, const double *a,                \
                                       size_t a_stride, const float *b, size_t b_stride,           \
                                       size_t rows, size_t n)                                      \
    {                                                                                              \
        rows_floats(out, factor, a, a_stride, b, b_stride, rows, n);                               \
    }                                                                                              \
    attribute static void doubles_##isa(double *out, double factor, const double *a,               \
                                        size_t a_stride, const double *b, size_t b_stride,         \
                                        size_t rows, size_t n)                                     \
    {                                                                                              \
        rows_doubles(out, factor, a, a_stride, b, b_stride, rows, n);                              \
    }                                                                                              \
    attribute static void add_##isa(double *out, const float *x, size_t n)                         \
    {                                                                                              \
        add_floats(out, x, n);                                                                     \
    }

#define NONE
VERSION(plain, NONE)
#if defined(__x86_64__) && defined(__GNUC__)
VERSION(avx2, __attribute__((target("avx2"))))
VERSION(avx512, __attribute__((target("avx512f,avx512vl,avx512dq"))))
#endif

void tamis__row_dots_init(tamis__row_dots *ret_dots, unsigned cpu)
{
    *ret_dots = (tamis__row_dots){floats_plain, doubles_plain, add_plain};
#if defined(__x86_64__) && defined(__GNUC__)
    if (cpu & TAMIS_CPU_AVX2) *ret_dots = (tamis__row_dots){floats_avx2, doubles_avx2, add_avx2};
    if (cpu & TAMIS_CPU_AVX512)
        *ret_dots = (tamis__row_dots){floats_avx512, doubles_avx512, add_avx512};
#else
    (void)cpu;
#endif
}
