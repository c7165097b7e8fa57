/* Ranks and correlations.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BASE_CORRELATION_H
#define TAMIS_BASE_CORRELATION_H

#include <stdbool.h>
#include <stdint.h>

/* Items 0 .. n-1 by value, ties by the lower item. */
void tamis__sort_items(const double *value, uint64_t n, uint32_t *ret_order);

/* Average ranks from 1 (ties share theirs) of items of which item i is there weight[i] times (NULL:
 * once), given their order. An item of weight 0 gets a rank too, which counts for nothing. */
void tamis__midranks(const double *value, const uint32_t *order, const double *weight, uint64_t n,
                     double *ret_rank);

/* Pearson correlation of items of which item i is there weight[i] times (NULL: once). False, and 0,
 * when either is constant. */
bool tamis__correlation(const double *x, const double *y, const double *weight, uint64_t n,
                        double *ret_correlation);

/* Two columns of values whose rank correlation is wanted time and again. */
typedef struct tamis__two_columns {
    const double *x, *y;               /* [n] */
    const uint32_t *x_order, *y_order; /* [n] as tamis__sort_items() has them */
    uint64_t n;
} tamis__two_columns;

/* Spearman correlation; `scratch` [2 n]. As tamis__correlation(). */
bool tamis__spearman(const tamis__two_columns *pair, const double *weight, double *scratch,
                     double *ret_correlation);

#endif
