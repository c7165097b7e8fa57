/* How a budget is shared among strata.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_QUOTAS_H
#define TAMIS_SELECT_QUOTAS_H

#include <tamis/common.h>

/* Shares of `total` by largest remainder: whole numbers in the proportions of weight [n] >= 0,
 * their sum exact; ties go to the lower index. Equal where all weights are 0. Errors: NOMEM. */
tamis_status tamis__largest_remainder(const double *weight, uint64_t n, uint64_t total,
                                      uint64_t *ret_share, tamis_error *err);

/* Smallest stratum first: each gets an equal share of what is left, rounded down, but no more
 * than it has (size [n]); ties to the lower stratum. CCS and DEALRec. ret_quota [n] sums to
 * min(total, sum of sizes). Errors: NOMEM. Complexity: n^2. */
tamis_status tamis__quotas_smallest_first(const uint64_t *size, uint64_t n, uint64_t total,
                                          uint64_t *ret_quota, tamis_error *err);

/* In proportion to weight [n], by largest remainder, but at least low and at most high [n] each:
 * those whose share is beyond a bound are set to it, and what is left is shared among the
 * others, those at the bound that takes more out of balance first. Errors: ARG (the bounds leave
 * less or more than `total`: says how many), NOMEM. */
tamis_status tamis__quotas_bounded(const double *weight, const uint64_t *low, const uint64_t *high,
                                   uint64_t n, uint64_t total, uint64_t *ret_quota,
                                   tamis_error *err);

/* The same with shares that are not rounded. Low and high leave room for `total`, but for rounding:
 * the caller has looked. Errors: NOMEM. */
tamis_status tamis__shares_bounded(const double *weight, const double *low, const double *high,
                                   uint64_t n, double total, double *ret_share, tamis_error *err);

#endif
