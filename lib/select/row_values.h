/* One value of all of a row's scores. Pairs without a score do not count.
 * not count.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_ROW_VALUES_H
#define TAMIS_SELECT_ROW_VALUES_H

#include <math.h>

#include "select/greedy.h"
#include "select/matrix.h"

typedef double (*tamis__row_value)(const void *arg, const double *score, uint64_t queries);

static inline double tamis__row_max(const void *arg, const double *score, uint64_t queries)
{
    (void)arg;
    double max = -HUGE_VAL;
    for (uint64_t q = 0; q < queries; q++) max = score[q] > max ? score[q] : max;
    return max;
}

static inline double tamis__row_sum(const void *arg, const double *score, uint64_t queries)
{
    (void)arg;
    double sum = 0;
    for (uint64_t q = 0; q < queries; q++) sum += isnan(score[q]) ? 0 : score[q];
    return sum;
}

/* Rows with the highest such values. */
tamis_status tamis__pick_by_row_value(const tamis__candidates *candidates, tamis__row_value reduce,
                                      const void *arg, const char *name, tamis_selection *selection,
                                      tamis_error *err);

#endif
