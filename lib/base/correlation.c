/* Ranks and correlations.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/correlation.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *left, const void *right, void *values)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    const double *value = values;
    if (value[a] < value[b]) return -1;
    if (value[b] < value[a]) return 1;
    return a < b ? -1 : a > b;
}

void tamis__sort_items(const double *value, uint64_t n, uint32_t *ret_order)
{
    for (uint64_t i = 0; i < n; i++) ret_order[i] = (uint32_t)i;
    qsort_r(ret_order, (size_t)n, sizeof *ret_order, by_value, (void *)(uintptr_t)value);
}

void tamis__midranks(const double *value, const uint32_t *order, const double *weight, uint64_t n,
                     double *ret_rank)
{
    double before = 0;
    for (uint64_t i = 0; i < n;) {
        double tied = 0;
        uint64_t end = i;
        for (; end < n && value[order[end]] == value[order[i]]; end++)
            tied += weight ? weight[order[end]] : 1.0;
        for (; i < end; i++) ret_rank[order[i]] = before + (tied + 1.0) / 2.0;
        before += tied;
    }
}

bool tamis__correlation(const double *x, const double *y, const double *weight, uint64_t n,
                        double *ret_correlation)
{
    double total = 0, mean_x = 0, mean_y = 0, xx = 0, yy = 0, xy = 0;
    *ret_correlation = 0;
    for (uint64_t i = 0; i < n; i++) {
        double w = weight ? weight[i] : 1.0;
        total += w;
        mean_x += w * x[i];
        mean_y += w * y[i];
    }
    mean_x /= total;
    mean_y /= total;
    for (uint64_t i = 0; i < n; i++) {
        double w = weight ? weight[i] : 1.0, dx = x[i] - mean_x, dy = y[i] - mean_y;
        xx += w * dx * dx;
        yy += w * dy * dy;
        xy += w * dx * dy;
    }
    /* What the rounding of the mean leaves of a constant column is no variance. */
    double least = total * 1e-28;
    if (!(xx > least * mean_x * mean_x) || !(yy > least * mean_y * mean_y)) return false;
    *ret_correlation = xy / (sqrt(xx) * sqrt(yy));
    return true;
}

bool tamis__spearman(const tamis__two_columns *pair, const double *weight, double *scratch,
                     double *ret_correlation)
{
    double *x = scratch, *y = scratch + pair->n;
    tamis__midranks(pair->x, pair->x_order, weight, pair->n, x);
    tamis__midranks(pair->y, pair->y_order, weight, pair->n, y);
    return tamis__correlation(x, y, weight, pair->n, ret_correlation);
}
