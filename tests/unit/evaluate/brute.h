/* Correlations written as plain loops, for the tests of this room.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_EVALUATE_BRUTE_H
#define TAMIS_TEST_EVALUATE_BRUTE_H

#include <math.h>
#include <stddef.h>

/* Rank from 1 of item i: those below it, and half of those that tie with it. */
static inline double brute_rank(const double *value, size_t n, size_t i)
{
    double below = 0, tied = 0;
    for (size_t j = 0; j < n; j++) {
        below += value[j] < value[i];
        tied += value[j] == value[i];
    }
    return below + (tied + 1) / 2;
}

static inline double brute_pearson(const double *x, const double *y, size_t n)
{
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (size_t i = 0; i < n; i++) {
        mx += x[i] / (double)n;
        my += y[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

static inline double brute_spearman(const double *x, const double *y, size_t n)
{
    double a[1024], b[1024];
    for (size_t i = 0; i < n; i++) {
        a[i] = brute_rank(x, n, i);
        b[i] = brute_rank(y, n, i);
    }
    return brute_pearson(a, b, n);
}

#endif
