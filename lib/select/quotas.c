/* How a budget is shared among strata.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/quotas.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"

tamis_status tamis__quotas_smallest_first(const uint64_t *size, uint64_t n, uint64_t total,
                                          uint64_t *ret_quota, tamis_error *err)
{
    bool *done = tamis__calloc((size_t)n, sizeof *done);
    uint64_t left = 0;
    if (!done) return tamis__fail_memory(err, "strata", n);
    for (uint64_t i = 0; i < n; i++) {
        ret_quota[i] = 0;
        left += size[i] > 0;
    }
    for (; left > 0; left--) {
        uint64_t smallest = n;
        for (uint64_t i = 0; i < n; i++)
            if (!done[i] && size[i] > 0 && (smallest == n || size[i] < size[smallest]))
                smallest = i;
        uint64_t share = total / left;
        ret_quota[smallest] = size[smallest] < share ? size[smallest] : share;
        total -= ret_quota[smallest];
        done[smallest] = true;
    }
    free(done);
    return TAMIS_OK;
}

/* --- within bounds ---------------------------------------------------------------------------- */

typedef struct sharing {
    const double *weight;
    const uint64_t *low, *high;
    uint64_t n, total;
    double *open;    /* [n] weights of those not settled yet, packed */
    uint64_t *which; /* [n] their numbers */
    uint64_t *share; /* [n] their shares */
    bool *settled;   /* [n] */
    uint64_t *quota;
} sharing;

/* Settle those beyond the bound that takes more; false = nobody is beyond any. */
static bool settle(sharing *s, uint64_t open)
{
    uint64_t over = 0, under = 0;
    for (uint64_t k = 0; k < open; k++) {
        uint64_t i = s->which[k];
        if (s->share[k] > s->high[i]) over += s->share[k] - s->high[i];
        if (s->share[k] < s->low[i]) under += s->low[i] - s->share[k];
    }
    for (uint64_t k = 0; k < open; k++) {
        uint64_t i = s->which[k];
        bool beyond = over >= under ? s->share[k] > s->high[i] : s->share[k] < s->low[i];
        if (!beyond) continue;
        s->quota[i] = over >= under ? s->high[i] : s->low[i];
        s->settled[i] = true;
    }
    return over > 0 || under > 0;
}

static tamis_status share_out(sharing *s, tamis_error *err)
{
    for (bool again = true; again;) {
        uint64_t open = 0, left = s->total;
        for (uint64_t i = 0; i < s->n; i++) {
            if (s->settled[i]) {
                left -= s->quota[i];
                continue;
            }
            s->which[open] = i;
            s->open[open++] = s->weight[i];
        }
        if (open == 0) return TAMIS_OK;
        TAMIS_TRY(tamis__largest_remainder(s->open, open, left, s->share, err));
        again = settle(s, open);
        for (uint64_t k = 0; k < open && !again; k++) s->quota[s->which[k]] = s->share[k];
    }
    return TAMIS_OK;
}

static tamis_status check_bounds(const uint64_t *low, const uint64_t *high, uint64_t n,
                                 uint64_t total, tamis_error *err)
{
    uint64_t least = 0, most = 0;
    for (uint64_t i = 0; i < n; i++) {
        least += low[i];
        most += high[i];
    }
    if (most < total)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "no more than %" PRIu64 " rows can be kept of all strata, the budget is "
                           "%" PRIu64 ": ask for fewer, or raise most=",
                           most, total);
    if (least > total)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "the strata want at least %" PRIu64 " rows together, the budget is "
                           "%" PRIu64 ": raise it, or lower least=",
                           least, total);
    return TAMIS_OK;
}

tamis_status tamis__quotas_bounded(const double *weight, const uint64_t *low, const uint64_t *high,
                                   uint64_t n, uint64_t total, uint64_t *ret_quota,
                                   tamis_error *err)
{
    sharing s = {.weight = weight, .low = low, .high = high, .n = n, .total = total};
    TAMIS_TRY(check_bounds(low, high, n, total, err));
    s.quota = ret_quota;
    s.open = tamis__malloc((size_t)n, sizeof *s.open);
    s.which = tamis__malloc((size_t)n, sizeof *s.which);
    s.share = tamis__malloc((size_t)n, sizeof *s.share);
    s.settled = tamis__calloc((size_t)n, sizeof *s.settled);
    tamis_status status = s.open && s.which && s.share && s.settled
                              ? share_out(&s, err)
                              : tamis__fail_memory(err, "strata", n * 25);
    free(s.open);
    free(s.which);
    free(s.share);
    free(s.settled);
    return status;
}

/* --- not rounded ------------------------------------------------------------------------------ */

/* What those that are not settled share, by weight, or alike where no weight is left. */
static void share_open(const double *weight, const bool *settled, uint64_t n, double total,
                       double *share)
{
    double left = total, weights = 0, open = 0;
    for (uint64_t i = 0; i < n; i++) {
        left -= settled[i] ? share[i] : 0;
        weights += settled[i] ? 0 : weight[i];
        open += !settled[i];
    }
    for (uint64_t i = 0; i < n; i++)
        if (!settled[i]) share[i] = weights > 0 ? left * (weight[i] / weights) : left / open;
}

static bool settle_shares(const double *low, const double *high, bool *settled, uint64_t n,
                          double *share)
{
    double over = 0, under = 0;
    for (uint64_t i = 0; i < n; i++) {
        if (settled[i]) continue;
        if (share[i] > high[i]) over += share[i] - high[i];
        if (share[i] < low[i]) under += low[i] - share[i];
    }
    for (uint64_t i = 0; i < n; i++) {
        if (settled[i]) continue;
        settled[i] = over >= under ? share[i] > high[i] : share[i] < low[i];
        if (settled[i]) share[i] = over >= under ? high[i] : low[i];
    }
    return over > 0 || under > 0;
}

tamis_status tamis__shares_bounded(const double *weight, const double *low, const double *high,
                                   uint64_t n, double total, double *ret_share, tamis_error *err)
{
    bool *settled = tamis__calloc((size_t)n, sizeof *settled);
    if (!settled) return tamis__fail_memory(err, "strata", n);
    do share_open(weight, settled, n, total, ret_share);
    while (settle_shares(low, high, settled, n, ret_share));
    free(settled);
    return TAMIS_OK;
}
