/* Intervals by resampling.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_EVALUATE_STATISTICS_H
#define TAMIS_EVALUATE_STATISTICS_H

#include <tamis/evaluate.h>

#include "base/correlation.h"

/* The value below which a share `p` of n ascending values lies, by linear interpolation. */
double tamis__quantile(const double *sorted, uint64_t n, double p);

/* 97.5% point of Student's t with `freedom` > 0 degrees. */
double tamis__student(uint64_t freedom);

/* Standard deviation of n values `stride` apart, n - 1 in the denominator; 0 for n < 2. */
double tamis__deviation(const double *value, uint64_t n, size_t stride);

/* ARG when the level is outside (0, 1). */
tamis_status tamis__bootstrap_check(const tamis_bootstrap *bootstrap, tamis_error *err);

/* `statistic` of resamples: weight[i] is how often item i was drawn. Called on any thread, with
 * scratch of its own. */
typedef struct tamis__resampling {
    const void *arg;
    void (*statistic)(const void *arg, const double *weight, void *scratch, double *ret_values);
    uint64_t items;  /* of a resample */
    uint64_t values; /* that the statistic gives */
    size_t scratch;  /* bytes */
    const tamis_bootstrap *bootstrap;
} tamis__resampling;

/* All draws, [draws, values] into `ret_draw`. */
tamis_status tamis__resample(tamis_context *context, const tamis__resampling *resampling,
                             double *ret_draw, tamis_error *err);

/* An estimate from its draws, `stride` apart. */
tamis_status tamis__estimate(double value, const double *draw, size_t stride,
                             const tamis_bootstrap *bootstrap, tamis_estimate *ret_estimate,
                             tamis_error *err);

#endif
