/* Shares of a budget of rows.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "select/quotas.h"
#include "select/strata.h"
#include "select/values.h"

static tamis_status share_groups(tamis__strata *s, uint64_t total, tamis_error *err)
{
    const tamis__strata_options *o = s->options;
    const tamis__groups *group = s->from->group;
    double *weight = tamis__calloc((size_t)s->n, sizeof *weight);
    uint64_t *bound = tamis__calloc((size_t)s->n, 3 * sizeof *bound);
    tamis_status status = TAMIS_OK;
    if (!weight || !bound) status = tamis__fail_memory(err, "strata", s->n * 4 * sizeof *bound);
    if (status == TAMIS_OK) {
        uint64_t *low = bound, *high = bound + s->n, *held = bound + 2 * s->n;
        for (uint64_t i = 0; i < s->picks->n; i++) {
            int32_t of = group->of[s->picks->row[i]];
            held[of < 0 ? group->groups : (uint32_t)of]++;
        }
        for (uint64_t g = 0; g < s->n; g++) {
            uint64_t rows = s->size[g] + held[g];
            high[g] = o->most > 0 && o->most < rows ? o->most : rows;
            low[g] = o->least < rows ? o->least : rows;
            if (high[g] < held[g]) high[g] = held[g];
            if (low[g] < held[g]) low[g] = held[g];
            weight[g] = rows == 0 ? 0 : o->equal ? 1 : (double)rows;
        }
        status = tamis__quotas_bounded(weight, low, high, s->n, total + s->picks->n, s->quota, err);
        for (uint64_t g = 0; g < s->n && status == TAMIS_OK; g++) s->quota[g] -= held[g];
    }
    free(weight);
    free(bound);
    return status;
}

static tamis_status share_out(tamis__strata *s, tamis_error *err)
{
    uint64_t left = 0, total = (uint64_t)(s->picks->left > 0 ? s->picks->left : 0);
    for (uint64_t k = 0; k < s->n; k++) left += s->size[k];
    if (left < total)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "stratified: prune=%g leaves %" PRIu64 " rows of %" PRIu64
                           ", the budget '%s' wants %" PRIu64 " of them: prune less or keep fewer",
                           s->options->prune, left, s->picks->free_rows, s->from->budget_text,
                           total);
    if (s->options->group) return share_groups(s, total, err);
    return tamis__quotas_smallest_first(s->size, s->n, total, s->quota, err);
}

tamis_status tamis__strata_fill_rows(tamis__strata *s, tamis_error *err)
{
    uint64_t *order = NULL;
    TAMIS_TRY(share_out(s, err));
    TAMIS_TRY(tamis__order(s->key, s->from->rows, true, &order, err));
    for (uint64_t i = 0; i < s->from->rows; i++) {
        uint64_t of = s->of[order[i]];
        if (of == UINT64_MAX || s->taken[of] == s->quota[of]) continue;
        s->taken[of]++;
        tamis__picks_add(s->picks, order[i]);
    }
    free(order);
    return TAMIS_OK;
}
