/* Parameters of the TAROT selectors, and how a choice becomes a selection.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/tarot.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "select/values.h"

const char *const tamis__tarot_compat_names[] = {"none", "tarot-2024-12", NULL};
const char *const tamis__tarot_whiten_names[] = {"cholesky", "none", "released", NULL};
const char *const tamis__tarot_weights_names[] = {"none", "potential", "marginal", NULL};

tamis_status tamis__tarot_read(const char *name, const tamis_param_value *param,
                               tamis__tarot_options *ret_options, tamis_error *err)
{
    const tamis_param_value *whiten = &param[TAMIS__TAROT_WHITEN];
    tamis__tarot_options o = {
        .compat = param[TAMIS__TAROT_COMPAT].number > 0,
        .whiten = (tamis__tarot_whiten)whiten->number,
        .whiten_given = whiten->given != 0,
        .neighbours = (uint64_t)param[TAMIS__TAROT_NEIGHBOURS].number,
        .weights = (tamis__tarot_weights)param[TAMIS__TAROT_WEIGHTS].number,
        .repeats = (uint64_t)param[TAMIS__TAROT_REPEATS].number,
    };
    if (o.compat && !whiten->given) o.whiten = TAMIS__TAROT_RELEASED;
    if (o.compat && o.neighbours == 0) o.neighbours = 2000;
    if (o.repeats > 0 && o.weights == TAMIS__TAROT_EQUAL)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "%s: repeats are made of weights: say weights=potential or "
                           "weights=marginal",
                           name);
    *ret_options = o;
    return TAMIS_OK;
}

/* --- giving the choice ------------------------------------------------------------------------ */

typedef struct place {
    const uint8_t *step;
    const float *best;
} place;

static int first_chosen(const void *left, const void *right, void *places)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    const place *p = places;
    /* 0 wraps round to the end. */
    uint8_t x = (uint8_t)(p->step[a] - 1), y = (uint8_t)(p->step[b] - 1);
    if (x != y) return x < y ? -1 : 1;
    if (p->best[a] != p->best[b]) return p->best[a] > p->best[b] ? -1 : 1;
    return a < b ? -1 : a > b;
}

tamis_status tamis__tarot_give(const tamis__tarot *tarot, const uint8_t *step,
                               const char *const *reason, tamis_selection *selection,
                               tamis_error *err)
{
    uint64_t n = tarot->n;
    uint16_t text[256] = {0};
    bool known[256] = {false};
    place p = {step, tarot->best};
    uint64_t *order = tamis__malloc(n, sizeof *order);
    if (!order) return tamis__fail_memory(err, "the order of the rows", n * sizeof *order);
    for (uint64_t i = 0; i < n; i++) order[i] = i;
    qsort_r(order, n, sizeof *order, first_chosen, &p);
    tamis_status status = TAMIS_OK;
    for (uint64_t i = 0; i < n && status == TAMIS_OK; i++) {
        uint64_t row = order[i];
        uint8_t at = step[row];
        if (!known[at]) status = tamis_selection_reason(selection, reason[at], &text[at], err);
        known[at] = true;
        selection->rank[row] = i;
        selection->keep[row] = at > 0;
        selection->score[row] = tarot->skip && tarot->skip[row] ? NAN : tarot->best[row];
        selection->reason[row] = text[at];
    }
    free(order);
    return status;
}
