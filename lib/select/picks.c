/* Rows picked one by one while a budget lasts, and the order of picks made a selection.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "select/greedy.h"
#include "select/values.h"

static double cost_of(const tamis__candidates *from, uint64_t row)
{
    return from->cost ? from->cost[row] : 1.0;
}

static bool must_keep(const tamis__candidates *from, uint64_t row)
{
    return from->standing && from->standing[row] == TAMIS__MUST_KEEP;
}

bool tamis__picks_free(const tamis__candidates *from, uint64_t row)
{
    if (from->standing && from->standing[row] != TAMIS__FREE) return false;
    return !from->value || !isnan(from->value[row]);
}

/* --- picking ---------------------------------------------------------------------------------- */

static void take(tamis__picks *p, uint64_t row)
{
    p->row[p->n++] = row;
    p->taken[row] = TAMIS__PICKED;
    p->left -= cost_of(p->from, row);
}

static tamis_status take_required(tamis__picks *p, tamis_error *err)
{
    const tamis__candidates *from = p->from;
    double allowance = p->left;
    if (!from->standing) return TAMIS_OK;
    for (uint64_t row = 0; row < from->rows; row++)
        if (must_keep(from, row)) take(p, row);
    if (p->left >= -p->slack) return TAMIS_OK;
    if (!from->cost)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "%" PRIu64 " rows must be kept, and the budget '%s' is %" PRIu64
                           ": raise it or keep fewer",
                           p->n, from->budget_text ? from->budget_text : "", from->budget);
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "the %" PRIu64 " rows that must be kept cost %.10g, the budget '%s' is "
                       "%.10g: raise it or keep fewer",
                       p->n, allowance - p->left, from->budget_text ? from->budget_text : "",
                       allowance);
}

static int cheaper(const void *left, const void *right, void *cost)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    const double *c = cost;
    return c[a] != c[b] ? (c[a] < c[b] ? -1 : 1) : (a > b) - (a < b);
}

tamis_status tamis__picks_init(tamis__picks *ret_picks, const tamis__candidates *from,
                               tamis_error *err)
{
    tamis__picks p = {.from = from, .left = from->cost ? from->allowance : (double)from->budget};
    p.slack = from->cost ? 1e-12 * p.left : 0.0;
    p.row = tamis__malloc((size_t)from->rows, sizeof *p.row);
    p.taken = tamis__calloc((size_t)from->rows, sizeof *p.taken);
    if (from->cost) p.by_cost = tamis__malloc((size_t)from->rows, sizeof *p.by_cost);
    if (!p.row || !p.taken || (from->cost && !p.by_cost)) {
        tamis__picks_fini(&p);
        return tamis__fail_memory(err, "picking rows", from->rows * 2 * sizeof *p.row);
    }
    for (uint64_t row = 0; row < from->rows; row++) {
        if (!tamis__picks_free(from, row)) continue;
        if (p.by_cost) p.by_cost[p.free_rows] = row;
        p.free_rows++;
    }
    if (p.by_cost)
        qsort_r(p.by_cost, (size_t)p.free_rows, sizeof *p.by_cost, cheaper,
                (void *)(uintptr_t)from->cost);
    tamis_status status = take_required(&p, err);
    if (status == TAMIS_OK)
        *ret_picks = p;
    else
        tamis__picks_fini(&p);
    return status;
}

void tamis__picks_fini(tamis__picks *picks)
{
    free(picks->row);
    free(picks->taken);
    free(picks->by_cost);
    *picks = (tamis__picks){0};
}

bool tamis__picks_fits(const tamis__picks *picks, uint64_t row)
{
    return picks->taken[row] == TAMIS__PICK_OPEN && tamis__picks_free(picks->from, row) &&
           cost_of(picks->from, row) <= picks->left + picks->slack;
}

void tamis__picks_add(tamis__picks *picks, uint64_t row)
{
    take(picks, row);
    picks->free_rows--;
}

bool tamis__picks_try(tamis__picks *picks, uint64_t row)
{
    bool fits = tamis__picks_fits(picks, row);
    if (fits)
        tamis__picks_add(picks, row);
    else if (picks->taken[row] == TAMIS__PICK_OPEN && tamis__picks_free(picks->from, row))
        picks->taken[row] = TAMIS__PASSED_OVER;
    return fits;
}

bool tamis__picks_done(tamis__picks *picks)
{
    const double *cost = picks->from->cost;
    if (picks->free_rows == 0) return true;
    if (!cost) return picks->left < 1.0;
    while (picks->taken[picks->by_cost[picks->cheapest]] == TAMIS__PICKED) picks->cheapest++;
    return cost[picks->by_cost[picks->cheapest]] > picks->left + picks->slack;
}

void tamis__picks_walk(tamis__picks *picks, const uint64_t *order, uint64_t n)
{
    for (uint64_t i = 0; i < n && !tamis__picks_done(picks); i++) tamis__picks_try(picks, order[i]);
}

/* --- value for cost --------------------------------------------------------------------------- */

typedef struct worth {
    const double *value; /* [rows] the higher the better; NaN = none */
    const double *ratio; /* [rows] value over cost */
} worth;

/* Rows without a value last; else by ratio, then, among equal ones, by value, then the lower
 * row. */
static int more_for_less(const void *left, const void *right, void *arg)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    const worth *w = arg;
    int missing = (isnan(w->value[a]) != 0) - (isnan(w->value[b]) != 0);
    if (missing) return missing;
    if (w->ratio[a] > w->ratio[b]) return -1;
    if (w->ratio[a] < w->ratio[b]) return 1;
    if (w->value[a] > w->value[b]) return -1;
    if (w->value[a] < w->value[b]) return 1;
    return (a > b) - (a < b);
}

/* Into good [rows]: how far a row is above the worst; NaN for rows that are not free. */
static void above_worst(const tamis__candidates *from, const double *value, bool highest_first,
                        double *good)
{
    double worst = HUGE_VAL;
    for (uint64_t i = 0; i < from->rows; i++) {
        good[i] = !tamis__picks_free(from, i) ? (double)NAN : highest_first ? value[i] : -value[i];
        if (isfinite(good[i]) && good[i] < worst) worst = good[i];
    }
    if (worst == HUGE_VAL) return;
    for (uint64_t i = 0; i < from->rows; i++) good[i] -= worst;
}

tamis_status tamis__order_by_cost(const tamis__candidates *from, const double *value,
                                  bool highest_first, uint64_t **ret_order, tamis_error *err)
{
    if (!from->cost) return tamis__order(value, from->rows, highest_first, ret_order, err);
    size_t rows = (size_t)from->rows;
    double *good = tamis__malloc(rows, 2 * sizeof *good);
    uint64_t *order = tamis__malloc(rows, sizeof *order);
    if (!good || !order) {
        free(good);
        free(order);
        return tamis__fail_memory(err, "the order of the rows", rows * 3 * sizeof *order);
    }
    double *ratio = good + rows;
    above_worst(from, value, highest_first, good);
    for (size_t i = 0; i < rows; i++) {
        order[i] = i;
        ratio[i] = from->cost[i] > 0 ? good[i] / from->cost[i] : HUGE_VAL;
    }
    worth w = {good, ratio};
    qsort_r(order, rows, sizeof *order, more_for_less, &w);
    free(good);
    *ret_order = order;
    return TAMIS_OK;
}

/* --- giving ----------------------------------------------------------------------------------- */

/* Values of rows that nobody may keep do not count: they stand last. */
static tamis_status order_of_all(const tamis__picks *p, const double *value,
                                 const tamis_selection *selection, uint64_t **ret_order,
                                 tamis_error *err)
{
    const tamis__candidates *from = p->from;
    double *all = tamis__malloc((size_t)from->rows, sizeof *all);
    if (!all) return tamis__fail_memory(err, "the order of the rows", from->rows * sizeof *all);
    for (uint64_t row = 0; row < from->rows; row++) {
        all[row] = value ? value[row] : (double)selection->score[row];
        if (p->taken[row] != TAMIS__PICKED && !tamis__picks_free(from, row)) all[row] = (double)NAN;
    }
    tamis_status status = tamis__order(all, from->rows, true, ret_order, err);
    free(all);
    return status;
}

typedef struct reasons {
    uint16_t kept, required, dropped, passed;
} reasons;

/* Only those that some row is given: a text that nobody has would be listed all the same. */
static tamis_status add_reasons(const tamis__picks *p, const char *kept, const char *dropped,
                                tamis_selection *selection, reasons *ret_reasons, tamis_error *err)
{
    bool picked = false, required = false, left = false, passed = false;
    for (uint64_t row = 0; row < selection->rows; row++) {
        bool in = p->taken[row] == TAMIS__PICKED;
        if (in && must_keep(p->from, row)) required = true;
        if (in && !must_keep(p->from, row)) picked = true;
        if (p->taken[row] == TAMIS__PASSED_OVER) passed = true;
        if (p->taken[row] == TAMIS__PICK_OPEN) left = true;
    }
    if (picked && kept) TAMIS_TRY(tamis_selection_reason(selection, kept, &ret_reasons->kept, err));
    if (left) TAMIS_TRY(tamis_selection_reason(selection, dropped, &ret_reasons->dropped, err));
    if (required)
        TAMIS_TRY(tamis_selection_reason(selection, "must be kept", &ret_reasons->required, err));
    if (passed)
        TAMIS_TRY(tamis_selection_reason(selection, "costs more than was left of the budget",
                                         &ret_reasons->passed, err));
    return TAMIS_OK;
}

tamis_status tamis__picks_give(const tamis__picks *picks, const double *value, const char *kept,
                               const char *dropped, tamis_selection *selection, tamis_error *err)
{
    reasons reason = {0};
    uint64_t *order = NULL, rank = picks->n;
    TAMIS_TRY(order_of_all(picks, value, selection, &order, err));
    tamis_status status = add_reasons(picks, kept, dropped, selection, &reason, err);
    for (uint64_t i = 0; i < picks->n; i++) {
        uint64_t row = picks->row[i];
        selection->rank[row] = i;
        selection->keep[row] = 1;
        selection->reason[row] = must_keep(picks->from, row) ? reason.required : reason.kept;
    }
    for (uint64_t i = 0; i < selection->rows; i++) {
        uint64_t row = order[i];
        if (picks->taken[row] == TAMIS__PICKED) continue;
        selection->rank[row] = rank++;
        selection->keep[row] = 0;
        selection->reason[row] = picks->taken[row] == TAMIS__PASSED_OVER ? reason.passed
                                                                         : reason.dropped;
    }
    free(order);
    return status;
}

void tamis__picks_reasons(const tamis__picks *p, const char *name, bool highest, char kept[256],
                          char dropped[256])
{
    char of[96], must[64] = "";
    const tamis__candidates *c = p->from;
    const char *end = highest ? "top" : "bottom", *cost = c->source ? c->source->cost_name : NULL;
    uint64_t required = 0;
    for (uint64_t i = 0; i < p->n; i++) required += must_keep(c, p->row[i]);
    if (c->cost) {
        snprintf(kept, 256, "%s %.96s for its %.64s, within %.32s", highest ? "high" : "low", name,
                 cost ? cost : "cost", c->budget_text);
        snprintf(dropped, 256, "%s %.96s for its %.64s: the %.32s are used up",
                 highest ? "low" : "high", name, cost ? cost : "cost", c->budget_text);
        return;
    }
    if (required > 0) snprintf(must, sizeof must, ", %" PRIu64 " of them must be kept", required);
    snprintf(of, sizeof of, "%" PRIu64 " of %" PRIu64, p->n, c->rows);
    snprintf(kept, 256, "in the %s %.32s (%s%s) by %.96s", end, c->budget_text, of, must, name);
    snprintf(dropped, 256, "%s the %s %.32s (%s%s) by %.96s", highest ? "below" : "above", end,
             c->budget_text, of, must, name);
}

tamis_status tamis__pick_by_value(const tamis__candidates *from, const double *value,
                                  const char *name, tamis_selection *selection, tamis_error *err)
{
    char kept[256], dropped[256];
    tamis__picks picks = {0};
    uint64_t *order = NULL;
    TAMIS_TRY(tamis__picks_init(&picks, from, err));
    tamis_status status = tamis__order_by_cost(from, value, true, &order, err);
    if (status == TAMIS_OK) {
        tamis__picks_walk(&picks, order, from->rows);
        for (uint64_t row = 0; row < from->rows; row++)
            selection->score[row] = tamis__narrow(value[row]);
        tamis__picks_reasons(&picks, name, true, kept, dropped);
        status = tamis__picks_give(&picks, value, kept, dropped, selection, err);
    }
    free(order);
    tamis__picks_fini(&picks);
    return status;
}
