/* Weights of chosen candidates, and whole numbers of repeats.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "select/quotas.h"
#include "select/tarot.h"

/* --- weights ---------------------------------------------------------------------------------- */

/* What each chosen row gets when every target sends its mass to the nearest of them, the lower
 * row of equals: the weights at which the chosen rows are nearest to the targets. */
static void marginals(const tamis__tarot_sides *s, double *weight)
{
    for (uint64_t i = 0; i < s->n; i++) weight[i] = 0;
    for (uint64_t j = 0; j < s->m; j++) {
        uint64_t nearest = 0;
        for (uint64_t i = 1; i < s->n; i++)
            if (s->cost[i * s->m + j] < s->cost[nearest * s->m + j]) nearest = i;
        weight[nearest] += 1.0;
    }
}

static tamis_status find_weights(const tamis__tarot_sides *s, double *weight, tamis_error *err)
{
    if (s->tarot->options.weights == TAMIS__TAROT_MARGINAL) {
        marginals(s, weight);
        return TAMIS_OK;
    }
    TAMIS_TRY(tamis__tarot_sides_potentials(s, weight, err));
    for (uint64_t i = 0; i < s->n; i++) weight[i] = fmax(weight[i], 0.0);
    return TAMIS_OK;
}

/* Mean 1, or whole numbers. As released, targets come into the sum as well, each with the largest
 * weight: `weight` has room for them. */
static tamis_status scale(const tamis__tarot_sides *s, double *weight, tamis_error *err)
{
    const tamis__tarot_options *o = &s->tarot->options;
    double sum = 0, most = 0;
    uint64_t n = s->n;
    for (uint64_t i = 0; i < n; i++) {
        sum += weight[i];
        most = fmax(most, weight[i]);
    }
    if (o->repeats == 0) {
        for (uint64_t i = 0; i < n; i++) weight[i] = sum > 0 ? weight[i] * ((double)n / sum) : 1.0;
        return TAMIS_OK;
    }
    if (o->compat)
        for (uint64_t j = 0; j < s->m; j++) weight[n++] = most;
    uint64_t *share = tamis__malloc(n, sizeof *share);
    if (!share) return tamis__fail_memory(err, "repeats", n * sizeof *share);
    tamis_status status = tamis__largest_remainder(weight, n, o->repeats, share, err);
    for (uint64_t i = 0; i < s->n && status == TAMIS_OK; i++) weight[i] = (double)share[i];
    free(share);
    return status;
}

static tamis_status weigh(tamis__tarot_sides *s, uint64_t *row, double *weight,
                          tamis_selection *selection, tamis_error *err)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < selection->rows; i++)
        if (selection->keep[i]) row[n++] = i;
    TAMIS_TRY(tamis__tarot_sides_add(s, row, n, err));
    TAMIS_TRY(find_weights(s, weight, err));
    TAMIS_TRY(scale(s, weight, err));
    for (uint64_t i = 0; i < n; i++) selection->weight[row[i]] = (float)weight[i];
    return TAMIS_OK;
}

tamis_status tamis__tarot_weigh(tamis__tarot *t, tamis_selection *selection, tamis_error *err)
{
    tamis__tarot_sides s = {0};
    if (t->options.weights == TAMIS__TAROT_EQUAL) return TAMIS_OK;
    TAMIS_TRY(tamis__tarot_sides_init(&s, t, NULL, t->m, err));
    uint64_t *row = tamis__malloc(t->n, sizeof *row);
    double *weight = tamis__malloc(t->n + t->m, sizeof *weight);
    tamis_status status = row && weight
                              ? weigh(&s, row, weight, selection, err)
                              : tamis__fail_memory(err, "weights", (t->n + t->m) * sizeof *weight);
    free(row);
    free(weight);
    tamis__tarot_sides_fini(&s);
    return status;
}
