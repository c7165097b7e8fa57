/* Loops over float costs that take a row's softmin and the columns' in one go. Each has a plain C
 * version, and every version gives the same bits.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_KERNELS_SOFTMIN_PAIR_H
#define TAMIS_KERNELS_SOFTMIN_PAIR_H

#include <stddef.h>

/* Costs are c[n], n > 0; the exponents of the row are z[j] = h[j] - c[j] * rate, those that it adds
 * to the columns w[j] = own - c[j] * rate, each rounded once. h[j] and own may be -infinity. An
 * exponential is right to 2e-7 of itself, and is 0 below exp(-87). */
typedef struct tamis__softmin_pair {
    /* The largest z; top[j] becomes the larger of itself and w[j]. */
    float (*tops)(const float *c, const float *h, float own, float rate, float *top, size_t n);
    /* The sum of exp(z[j] - most), over 16 interleaved partial sums of the index modulo 16, added
     * pairwise at the end; sum[j] grows by exp(w[j] - top[j]). No exponent may be above 0. */
    float (*sums)(const float *c, const float *h, float own, float rate, float most,
                  const float *top, float *sum, size_t n);
    /* all[j] exp(top[j]) grows by sum[j] exp(part[j]), and top[j] becomes the larger of the two. */
    void (*join)(float *top, double *all, const float *part, const float *sum, size_t n);
} tamis__softmin_pair;

/* The best versions that `cpu` (TAMIS_CPU_*) allows. */
void tamis__softmin_pair_init(tamis__softmin_pair *ret_kernels, unsigned cpu);

#endif
