/* Shares of a budget of costs.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "select/quotas.h"
#include "select/strata.h"
#include "select/values.h"

typedef struct filling {
    tamis__strata *s;
    const double *cost; /* [rows] */
    double left, total; /* of the budget; and how much of it the strata are to spend */
    double slack;       /* sums of costs are rounded */
    uint64_t *order;    /* [rows] all rows, best first */
    uint64_t *row;      /* [rows] those in strata, stratum after stratum, in their order */
    uint64_t *first;    /* [n + 1] where a stratum's rows begin */
    uint64_t *next;     /* [n] its first row that may still be taken, when what is left is shared */
    uint8_t *chosen;    /* [rows] */
    double *all;        /* [n] what all of its rows cost */
    double *high;       /* [n] what its rows may cost, however much is left */
    double *held;       /* [n] what rows that must be kept cost */
} filling;

static void take(filling *f, uint64_t k, uint64_t row)
{
    f->chosen[row] = 1;
    f->s->spent[k] += f->cost[row];
    f->s->taken[k]++;
    f->left -= f->cost[row];
}

static void fill(filling *f, uint64_t k)
{
    for (uint64_t i = f->first[k]; i < f->first[k + 1]; i++) {
        double cost = f->cost[f->row[i]];
        if (cost <= f->s->share[k] - f->s->spent[k] + f->slack && cost <= f->left + f->slack)
            take(f, k, f->row[i]);
    }
}

/* --- shares by value -------------------------------------------------------------------------- */

static int cheaper(const void *left, const void *right, void *all)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    const double *cost = all;
    return cost[a] != cost[b] ? (cost[a] < cost[b] ? -1 : 1) : (a > b) - (a < b);
}

/* The cheapest stratum first: what it does not spend is shared among those after it. */
static tamis_status fill_cheapest_first(filling *f, tamis_error *err)
{
    tamis__strata *s = f->s;
    uint64_t *at = tamis__malloc((size_t)s->n, sizeof *at), n = 0;
    if (!at) return tamis__fail_memory(err, "strata", s->n * sizeof *at);
    for (uint64_t k = 0; k < s->n; k++) {
        f->high[k] = f->all[k];
        if (s->size[k] > 0) at[n++] = k;
    }
    qsort_r(at, (size_t)n, sizeof *at, cheaper, f->all);
    double left = f->total;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t k = at[i];
        s->share[k] = fmin(f->all[k], left / (double)(n - i));
        fill(f, k);
        left -= s->spent[k];
    }
    free(at);
    return TAMIS_OK;
}

/* --- shares of groups ------------------------------------------------------------------------- */

static void find_held(filling *f)
{
    const tamis__groups *group = f->s->from->group;
    for (uint64_t i = 0; i < f->s->picks->n; i++) {
        uint64_t row = f->s->picks->row[i];
        f->held[group->of[row] < 0 ? group->groups : (uint32_t)group->of[row]] += f->cost[row];
    }
}

static tamis_status check_bounds(const filling *f, const double *low, double total,
                                 tamis_error *err)
{
    double least = 0, most = 0;
    const char *unit = f->s->from->source->cost_name;
    for (uint64_t k = 0; k < f->s->n; k++) {
        least += low[k];
        most += f->high[k];
    }
    if (most < total - f->slack)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "no more than %.10g of %s can be kept of all strata, the budget is "
                           "%.10g: ask for less, or raise most=",
                           most, unit, total);
    if (least > total + f->slack)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "the strata want at least %.10g of %s together, the budget is %.10g: "
                           "raise it, or lower least=",
                           least, unit, total);
    return TAMIS_OK;
}

static tamis_status share_groups(filling *f, double *weight, double *low, tamis_error *err)
{
    tamis__strata *s = f->s;
    const tamis__strata_options *o = s->options;
    double total = f->total;
    for (uint64_t k = 0; k < s->n; k++) {
        double cost = f->all[k] + f->held[k];
        f->high[k] = o->most > 0 ? fmin((double)o->most, cost) : cost;
        low[k] = fmax(fmin((double)o->least, cost), f->held[k]);
        f->high[k] = fmax(f->high[k], f->held[k]);
        weight[k] = cost > 0 ? (o->equal ? 1 : cost) : 0;
        total += f->held[k];
    }
    TAMIS_TRY(check_bounds(f, low, total, err));
    TAMIS_TRY(tamis__shares_bounded(weight, low, f->high, s->n, total, s->share, err));
    /* Rows that must be kept have had theirs. */
    for (uint64_t k = 0; k < s->n; k++) {
        s->share[k] -= f->held[k];
        f->high[k] -= f->held[k];
    }
    for (uint64_t k = 0; k < s->n; k++) fill(f, k);
    return TAMIS_OK;
}

static tamis_status fill_groups(filling *f, tamis_error *err)
{
    double *weight = tamis__malloc((size_t)f->s->n, 2 * sizeof *weight);
    if (!weight) return tamis__fail_memory(err, "strata", f->s->n * 2 * sizeof *weight);
    find_held(f);
    tamis_status status = share_groups(f, weight, weight + f->s->n, err);
    free(weight);
    return status;
}

/* --- what is left ----------------------------------------------------------------------------- */

/* Less and less fits: a row that is passed over will not fit later. */
static bool has_next(filling *f, uint64_t k)
{
    for (; f->next[k] < f->first[k + 1]; f->next[k]++) {
        uint64_t row = f->row[f->next[k]];
        double cost = f->cost[row];
        if (!f->chosen[row] && cost <= f->left + f->slack &&
            f->s->spent[k] + cost <= f->high[k] + f->slack)
            return true;
    }
    return false;
}

static void fill_what_is_left(filling *f)
{
    const tamis__strata *s = f->s;
    for (uint64_t best = 0; best < s->n;) {
        best = s->n;
        for (uint64_t k = 0; k < s->n; k++) {
            if (!has_next(f, k)) continue;
            if (best == s->n || s->share[k] - s->spent[k] > s->share[best] - s->spent[best])
                best = k;
        }
        if (best < s->n) take(f, best, f->row[f->next[best]]);
    }
}

/* --- all -------------------------------------------------------------------------------------- */

static tamis_status allocate(filling *f, tamis_error *err)
{
    size_t rows = (size_t)f->s->from->rows, n = (size_t)f->s->n;
    f->row = tamis__malloc(rows, sizeof *f->row);
    f->chosen = tamis__calloc(rows, 1);
    f->first = tamis__calloc(2 * n + 1, sizeof *f->first);
    f->all = tamis__calloc(n, 3 * sizeof *f->all);
    if (!f->row || !f->chosen || !f->first || !f->all)
        return tamis__fail_memory(err, "strata", rows * 9 + n * 40);
    f->next = f->first + n + 1;
    f->high = f->all + n;
    f->held = f->all + 2 * n;
    /* By value over cost, or in the order of draws. */
    if (f->s->options->top)
        return tamis__order_by_cost(f->s->from, f->s->key, true, &f->order, err);
    return tamis__order(f->s->key, f->s->from->rows, true, &f->order, err);
}

static tamis_status measure(filling *f, tamis_error *err)
{
    tamis__strata *s = f->s;
    double there = 0, left = 0;
    for (uint64_t row = 0; row < s->from->rows; row++) {
        if (tamis__picks_free(s->from, row)) there += f->cost[row];
        if (s->of[row] == UINT64_MAX) continue;
        left += f->cost[row];
        f->all[s->of[row]] += f->cost[row];
    }
    f->left = fmax(s->picks->left, 0);
    f->total = fmin(f->left, there);
    if (left < f->total - f->slack)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "stratified: prune=%g leaves rows of %.10g of %s, the budget '%s' wants "
                           "%.10g: prune less or keep fewer",
                           s->options->prune, left, s->from->source->cost_name,
                           s->from->budget_text, f->total);
    for (uint64_t k = 0; k < s->n; k++) f->next[k] = f->first[k + 1] = f->first[k] + s->size[k];
    for (uint64_t i = s->from->rows; i-- > 0;) {
        uint64_t of = s->of[f->order[i]];
        if (of != UINT64_MAX) f->row[--f->next[of]] = f->order[i];
    }
    return TAMIS_OK;
}

static tamis_status run(filling *f, tamis_error *err)
{
    TAMIS_TRY(allocate(f, err));
    TAMIS_TRY(measure(f, err));
    TAMIS_TRY(f->s->options->group ? fill_groups(f, err) : fill_cheapest_first(f, err));
    fill_what_is_left(f);
    for (uint64_t i = 0; i < f->s->from->rows; i++)
        if (f->chosen[f->order[i]]) tamis__picks_add(f->s->picks, f->order[i]);
    return TAMIS_OK;
}

tamis_status tamis__strata_fill_costs(tamis__strata *s, tamis_error *err)
{
    filling f = {.s = s, .cost = s->from->cost, .slack = s->picks->slack};
    tamis_status status = run(&f, err);
    free(f.order);
    free(f.row);
    free(f.first);
    free(f.chosen);
    free(f.all);
    return status;
}
