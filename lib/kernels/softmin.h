/* Loops of optimal transport: distances out of inner products, sums of exponentials, and the least
 * of a row. Each has a plain C version, and every version gives the same bits.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_KERNELS_SOFTMIN_H
#define TAMIS_KERNELS_SOFTMIN_H

#include <stdbool.h>
#include <stddef.h>

/* Below this share of |x|^2 + |y|^2, a squared distance made of an inner product has lost too many
 * digits, and is to be taken of the differences. */
#define TAMIS__NEAR 0x1p-8

typedef struct tamis__softmin_kernels {
    /* z[j] = d2 or, with `root`, sqrt(d2), rounded to float, times `unit`, where d2 = max(0, own +
     * norm[j] - 2 z[j]) in double and z[j] was the inner product; unit is a power of two. Returns
     * the least of d2 - TAMIS__NEAR * (own + norm[j]): when it is negative, there is a pair too
     * near for this formula. */
    double (*distance)(double *z, const double *norm, double own, double unit, bool root, size_t n);
    /* z[j] = h[j] - c[j] * rate, rounded once; returns the largest. n > 0; h[j] may be -infinity. z
     * and c may be the same. */
    double (*shift)(double *z, const double *h, const double *c, double rate, size_t n);
    /* Sum of exp(z[j] - top), over 16 interleaved partial sums of the index modulo 16, added
     * pairwise at the end. Each exponential is right to 5e-16 of itself for arguments in [-708,
     * 709], and is 0 below; above, it is that of 709. */
    double (*sum_exp)(const double *z, double top, size_t n);
    /* z[j] = exp(z[j] - top), the same exponential. */
    void (*exp)(double *z, double top, size_t n);
    /* Where c[j] + w[j] is least, the first of equals, when it is below `bound`; the value too.
     * Else n. NaN is never the least. */
    size_t (*least)(const double *c, const double *w, size_t n, double bound, double *ret_value);
    /* The same of c[j] * unit + w[j]. */
    size_t (*least_float)(const float *c, double unit, const double *w, size_t n, double bound,
                          double *ret_value);
    /* out[j] = c[j] * unit, exactly for a power of two. */
    void (*widen)(double *out, const float *c, double unit, size_t n);
    /* out[i * out_stride + j] = c[j * stride + i] * unit, i < rows, j < columns. */
    void (*turn)(double *out, size_t out_stride, const float *c, size_t stride, double unit,
                 size_t rows, size_t columns);
} tamis__softmin_kernels;

/* The best versions that `cpu` (TAMIS_CPU_*) allows. */
void tamis__softmin_init(tamis__softmin_kernels *ret_kernels, unsigned cpu);

/* The last four of them, by softmin_least.c. */
void tamis__softmin_least_init(tamis__softmin_kernels *kernels, unsigned cpu);

#endif
