/* The plain C versions: what every other version must equal.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_KERNELS_REFERENCE_H
#define TAMIS_KERNELS_REFERENCE_H

#include "kernels/kernels.h"

void tamis__widen_f16_c(float *out, const uint16_t *in, size_t n);
void tamis__widen_bf16_c(float *out, const uint16_t *in, size_t n);
void tamis__narrow_f16_c(uint16_t *out, const float *in, size_t n);
void tamis__narrow_bf16_c(uint16_t *out, const float *in, size_t n);
void tamis__scale_f32_c(float *out, const float *in, float scale, size_t n);
void tamis__scale_f16_c(uint16_t *out, const float *in, float scale, size_t n);
void tamis__scale_bf16_c(uint16_t *out, const float *in, float scale, size_t n);
double tamis__sum_squares_c(const float *in, size_t n);
void tamis__sum_products_c(float *out, const float *in, size_t in_stride, const float *factor,
                           size_t factor_stride, size_t terms, size_t n);

/* Add the rest of a vector, of n < 16 values, to its 16 partial sums, and those to one another. */
double tamis__sum_squares_end(double sums[16], const float *rest, size_t n);

/* The slots of i8. */
void tamis__kernels_init_i8(tamis__kernels *kernels, unsigned cpu);

/* Replace the slots for which this processor family has something faster. */
void tamis__kernels_init_x86(tamis__kernels *kernels, unsigned cpu);

#endif
