/* The inner loops of random projections.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_KERNELS_SKETCH_H
#define TAMIS_KERNELS_SKETCH_H

#include "kernels/kernels.h"

void tamis__scatter_signed_c(float *out, const float *in, const uint32_t *start,
                             const uint16_t *minus, size_t groups, const float *ahead);
void tamis__expand_signs_c(float *out, const uint64_t *minus, size_t n);

/* Fill in the slots of projections with the best versions that `cpu` allows. */
void tamis__kernels_init_sketch(tamis__kernels *kernels, unsigned cpu);

#endif
