/* Inner loops chosen for the processor at run time. The plain C version of each is always there
 * and is the reference that tests compare with.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_KERNELS_KERNELS_H
#define TAMIS_KERNELS_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include <tamis/common.h>

typedef struct tamis__kernels {
    /* Widen n stored values to float; exact, bit for bit, NaN payloads aside. */
    void (*widen_f16)(float *out, const uint16_t *in, size_t n);
    void (*widen_bf16)(float *out, const uint16_t *in, size_t n);
    /* Round to nearest, ties to even, subnormals kept; overflow gives infinity, NaN stays NaN.
     * All versions give the same bits. */
    void (*narrow_f16)(uint16_t *out, const float *in, size_t n);
    void (*narrow_bf16)(uint16_t *out, const float *in, size_t n);
    /* The same of in[i] * scale (rounded to float first): a row of an outer product. */
    void (*scale_f32)(float *out, const float *in, float scale, size_t n);
    void (*scale_f16)(uint16_t *out, const float *in, float scale, size_t n);
    void (*scale_bf16)(uint16_t *out, const float *in, float scale, size_t n);
    /* in[i] * scale; exact for what narrow_i8() gives. All versions give the same bits. */
    void (*widen_i8)(float *out, const int8_t *in, float scale, size_t n);
    /* Round to in[i] / scale, nearest, ties to even, within -127 .. 127, and return the scale:
     * max|in[i]| / 127 with the low 7 bits of its fraction cleared, so that in[i] made by
     * widen_i8() give the same bytes and scale again. 0, and all bytes 0, when it would be below
     * FLT_MIN; NaN, and all bytes 0, when a value is not finite. All versions give the same
     * bits. */
    float (*narrow_i8)(int8_t *out, const float *in, size_t n);
    /* Sum of squares in double, over 16 interleaved partial sums of the index modulo 16, added
     * pairwise at the end: the same bits in every version. NaN or infinity when a value is. */
    double (*sum_squares)(const float *in, size_t n);
    /* A row of a sum of outer products: out[i] = sum over t < terms of factor[t * factor_stride] *
     * in[t * in_stride + i], i < n, in double in the order of t and rounded once. Products of
     * floats are exact in double: the same bits in every version. `out` may not overlap the
     * others. */
    void (*sum_products)(float *out, const float *in, size_t in_stride, const float *factor,
                         size_t factor_stride, size_t terms, size_t n);
    /* A sparse projection, 16 values at a time: out[start[g] + i] += +-in[16 g + i], minus where
     * bit i of minus[g] is set, for g in ascending order. Groups of outputs may overlap; `in` may
     * not overlap them. Memory from `ahead` on, as long as `in`, is asked for early; NULL = none.
     * The same bits in every version. */
    void (*scatter_signed)(float *out, const float *in, const uint32_t *start,
                           const uint16_t *minus, size_t groups, const float *ahead);
    /* out[64 r + i] = -1 where bit i of minus[r] is set, else 1. */
    void (*expand_signs)(float *out, const uint64_t *minus, size_t n);
    /* Rows of floats times a panel of floats of many queries; never NULL. */
    const struct tamis__multiplier *multiplier;
} tamis__kernels;

/* The best versions that `cpu` (TAMIS_CPU_*) allows. */
void tamis__kernels_init(tamis__kernels *ret_kernels, unsigned cpu);

/* Stored values of any dtype to float, through the table; those of i8 without a scale. */
void tamis__widen(const tamis__kernels *kernels, tamis_dtype dtype, float *out, const void *in,
                  size_t n);
/* Float to stored values of any dtype, n of them a row. Returns the row's scale: 1 but for i8. */
float tamis__narrow(const tamis__kernels *kernels, tamis_dtype dtype, void *out, const float *in,
                    size_t n);

#endif
