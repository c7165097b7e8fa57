/* Whole numbers in given proportions.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "select/quotas.h"

static int larger_remainder(const void *left, const void *right, void *remainders)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    const double *r = remainders;
    if (r[a] != r[b]) return r[a] > r[b] ? -1 : 1;
    return a < b ? -1 : a > b;
}

/* Quotas add up to the total but for rounding, so what is left over is less than n; the loop goes
 * round should it be more. */
static void share_out(const double *weight, uint64_t n, uint64_t total, double *remainder,
                      uint64_t *order, uint64_t *ret_share)
{
    double sum = 0;
    uint64_t given = 0;
    for (uint64_t i = 0; i < n; i++) sum += weight[i];
    for (uint64_t i = 0; i < n; i++) {
        double quota = (sum > 0 ? weight[i] / sum : 1.0 / (double)n) * (double)total;
        uint64_t whole = (uint64_t)quota;
        if (whole > total - given) whole = total - given;
        ret_share[i] = whole;
        remainder[i] = quota - (double)whole;
        given += whole;
        order[i] = i;
    }
    qsort_r(order, n, sizeof *order, larger_remainder, remainder);
    for (uint64_t i = 0; given < total; i = i + 1 < n ? i + 1 : 0, given++) ret_share[order[i]]++;
}

tamis_status tamis__largest_remainder(const double *weight, uint64_t n, uint64_t total,
                                      uint64_t *ret_share, tamis_error *err)
{
    double *remainder = tamis__malloc(n, sizeof *remainder);
    uint64_t *order = tamis__malloc(n, sizeof *order);
    bool made = remainder && order;
    if (made) share_out(weight, n, total, remainder, order, ret_share);
    free(remainder);
    free(order);
    return made ? TAMIS_OK : tamis__fail_memory(err, "repeats", n * sizeof *order);
}
