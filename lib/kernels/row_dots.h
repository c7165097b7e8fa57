/* Inner products of rows with rows: what is made of a product's sums where both sides differ from
 * row to row; and sums of rows.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_KERNELS_ROW_DOTS_H
#define TAMIS_KERNELS_ROW_DOTS_H

#include <stddef.h>

/* out[r] += factor * <row r of a, row r of b>, rows of n values, in double: eight interleaved sums
 * of the index modulo 8, added pairwise at the end. The same bits in every version. */
typedef struct tamis__row_dots {
    void (*floats)(double *out, double factor, const double *a, size_t a_stride, const float *b,
                   size_t b_stride, size_t rows, size_t n);
    void (*doubles)(double *out, double factor, const double *a, size_t a_stride, const double *b,
                    size_t b_stride, size_t rows, size_t n);
    /* out[i] += x[i] for i < n. */
    void (*add)(double *out, const float *x, size_t n);
} tamis__row_dots;

/* The best versions that `cpu` (TAMIS_CPU_*) allows. */
void tamis__row_dots_init(tamis__row_dots *ret_dots, unsigned cpu);

#endif
