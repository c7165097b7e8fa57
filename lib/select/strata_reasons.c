/* Why a row of a stratum is in or out.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "select/strata.h"

/* A stratum has a reason of its own up to so many of them. */
#define NAMED 1000

static void name_stratum(const tamis__strata *s, uint64_t i, char *text, size_t size)
{
    const tamis__groups *group = s->from->group;
    if (!s->options->group)
        snprintf(text, size, "stratum %" PRIu64 " of %" PRIu64, i + 1, s->n);
    else if (i == group->groups)
        snprintf(text, size, "no group");
    else if (group->name)
        snprintf(text, size, "group %.128s", group->name[i]);
    else
        snprintf(text, size, "group %" PRIu64, i);
}

/* Shares are seldom round numbers: as many digits as tell them from what is spent. */
static void name_costs(const tamis__strata *s, uint64_t i, char *text, size_t size)
{
    int digits = s->share[i] < 1e5 ? 6 : 15;
    double share = s->share[i] < 1e5 ? s->share[i] : round(s->share[i]);
    snprintf(text, size, ", for %.10g of %.64s (its share: %.*g)", s->spent[i],
             s->from->source->cost_name, digits, share);
}

static tamis_status explain_stratum(const tamis__strata *s, uint64_t i, tamis_selection *selection,
                                    uint16_t ret_reason[2], tamis_error *err)
{
    char text[512], name[192], cost[192] = "";
    const char *how = s->options->top ? "the highest" : "drawn";
    uint64_t taken = s->taken[i];
    name_stratum(s, i, name, sizeof name);
    if (s->from->cost) name_costs(s, i, cost, sizeof cost);
    snprintf(text, sizeof text, "%s %" PRIu64 " of %" PRIu64 " in %s%s", how, taken, s->size[i],
             name, cost);
    if (taken > 0) TAMIS_TRY(tamis_selection_reason(selection, text, &ret_reason[1], err));
    snprintf(text, sizeof text, "not among the %s%" PRIu64 " of %" PRIu64 " %sin %s%s",
             s->options->top ? "highest " : "", taken, s->size[i], s->options->top ? "" : "drawn ",
             name, cost);
    if (taken == s->size[i]) return TAMIS_OK;
    return tamis_selection_reason(selection, text, &ret_reason[0], err);
}

static tamis_status explain(const tamis__strata *s, uint16_t *reason, tamis_selection *selection,
                            tamis_error *err)
{
    uint16_t pruned = 0;
    bool any = false;
    char text[96];
    for (uint64_t i = 0; i < s->n && s->n <= NAMED; i++)
        if (s->size[i] > 0) TAMIS_TRY(explain_stratum(s, i, selection, reason + 2 * i, err));
    snprintf(text, sizeof text, "pruned: in the %s %g%% of values",
             s->options->lowest ? "lowest" : "highest", 100 * s->options->prune);
    for (uint64_t row = 0; row < s->from->rows && !any; row++)
        any = tamis__picks_free(s->from, row) && s->of[row] == UINT64_MAX;
    if (any) TAMIS_TRY(tamis_selection_reason(selection, text, &pruned, err));
    for (uint64_t row = 0; row < s->from->rows; row++) {
        if (!tamis__picks_free(s->from, row)) continue;
        uint64_t of = s->of[row];
        if (of == UINT64_MAX)
            selection->reason[row] = pruned;
        else if (s->n <= NAMED)
            selection->reason[row] = reason[2 * of + selection->keep[row]];
    }
    return TAMIS_OK;
}

tamis_status tamis__strata_explain(const tamis__strata *s, tamis_selection *selection,
                                   tamis_error *err)
{
    uint16_t *reason = tamis__calloc((size_t)s->n, 2 * sizeof *reason);
    if (!reason) return tamis__fail_memory(err, "strata", s->n * 2 * sizeof *reason);
    tamis_status status = explain(s, reason, selection, err);
    free(reason);
    return status;
}
