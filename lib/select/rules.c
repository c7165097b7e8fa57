/* Lists, filters, costs and added columns.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/rules.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "select/find_id.h"
#include "select/matrix.h"

/* 2 + i: filter i; 2 + filters + i: term i; 2 + filters + terms + i: filter i has no value. */
enum { MUST_DROP = 1, FILTERED = 2 };

/* --- lists ------------------------------------------------------------------------------------ */

static tamis_status check_list(const uint64_t *row, uint64_t n, uint64_t rows, const char *what,
                               tamis_error *err)
{
    for (uint64_t i = 0; i < n; i++) {
        if (row[i] >= rows)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "the rows that must be %s hold row %" PRIu64
                               ", and there are %" PRIu64 " rows",
                               what, row[i], rows);
        if (i > 0 && row[i] <= row[i - 1])
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "the rows that must be %s are not ascending at entry %" PRIu64, what,
                               i);
    }
    return TAMIS_OK;
}

static void bar(tamis__rules *rules, uint64_t row, uint16_t cause)
{
    if (rules->standing[row] != TAMIS__FREE) return;
    rules->standing[row] = TAMIS__BARRED;
    rules->cause[row] = cause;
    rules->barred++;
}

static const tamis_examples *examples_of(const tamis_select_params *p)
{
    if (p->scores) return &tamis_scores_info_get(p->scores)->examples;
    const tamis_store *store = p->train ? p->train : p->store;
    return store ? tamis_store_examples(store) : NULL;
}

static tamis_status mark_lists(tamis__rules *rules, const tamis_select_params *p, uint64_t rows,
                               tamis_error *err)
{
    char id[TAMIS__SHOWN_SIZE(50)];
    TAMIS_TRY(check_list(p->must_keep, p->n_must_keep, rows, "kept", err));
    TAMIS_TRY(check_list(p->must_drop, p->n_must_drop, rows, "dropped", err));
    for (uint64_t i = 0; i < p->n_must_keep; i++)
        rules->standing[p->must_keep[i]] = TAMIS__MUST_KEEP;
    rules->required = p->n_must_keep;
    for (uint64_t i = 0; i < p->n_must_drop; i++) {
        if (rules->standing[p->must_drop[i]] == TAMIS__MUST_KEEP) {
            tamis__id_text(examples_of(p), p->must_drop[i], id, sizeof id);
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "row %" PRIu64
                               " (id %s) must be kept and must be dropped: take it out of one "
                               "of the two lists",
                               p->must_drop[i], id);
        }
        bar(rules, p->must_drop[i], MUST_DROP);
    }
    return TAMIS_OK;
}

/* --- filters ---------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value below which a share of the rows lies: linear between neighbours. From minus infinity
 * upwards it stays there. */
static double quantile(const double *sorted, uint64_t n, double share)
{
    double at = share * (double)(n - 1);
    uint64_t low = (uint64_t)at;
    if (low + 1 >= n) return sorted[n - 1];
    double part = at - (double)low, a = sorted[low], b = sorted[low + 1];
    if (!(part > 0) || a == b || isinf(a)) return a;
    /* The difference of two finite numbers may be none. */
    return isinf(b - a) ? (1 - part) * a + part * b : a + part * (b - a);
}

static tamis_status find_bounds(const tamis_select_filter *f, uint64_t rows, double *ret_low,
                                double *ret_high, tamis_error *err)
{
    uint64_t n = 0;
    *ret_low = f->low;
    *ret_high = f->high;
    if (!f->name || !*f->name) return tamis__fail(err, TAMIS_ERR_ARG, "a filter has no name");
    if (!(f->low <= f->high))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "filter %s: its low bound %g is above its high bound %g", f->name,
                           f->low, f->high);
    if (!f->quantiles) return TAMIS_OK;
    if ((isfinite(f->low) && (f->low < 0 || f->low > 1)) ||
        (isfinite(f->high) && (f->high < 0 || f->high > 1)))
        return tamis__fail(err, TAMIS_ERR_ARG, "filter %s: quantiles lie between 0 and 1", f->name);
    double *sorted = tamis__malloc((size_t)rows, sizeof *sorted);
    if (!sorted) return tamis__fail_memory(err, "quantiles", rows * sizeof *sorted);
    for (uint64_t i = 0; i < rows; i++)
        if (!isnan(f->value[i])) sorted[n++] = f->value[i];
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    if (n > 0 && isfinite(f->low)) *ret_low = quantile(sorted, n, f->low);
    if (n > 0 && isfinite(f->high)) *ret_high = quantile(sorted, n, f->high);
    free(sorted);
    return TAMIS_OK;
}

static tamis_status apply_filter(tamis__rules *rules, const tamis_select_params *p, size_t i,
                                 uint64_t rows, tamis_error *err)
{
    const tamis_select_filter *f = &p->filter[i];
    TAMIS_TRY(find_bounds(f, rows, &rules->bound[2 * i], &rules->bound[2 * i + 1], err));
    double low = rules->bound[2 * i], high = rules->bound[2 * i + 1];
    for (uint64_t row = 0; row < rows; row++) {
        if (isnan(f->value[row]))
            bar(rules, row, (uint16_t)(FILTERED + p->filters + p->terms + i));
        else if (!(f->value[row] >= low && f->value[row] <= high))
            bar(rules, row, (uint16_t)(FILTERED + i));
    }
    return TAMIS_OK;
}

tamis_status tamis__rules_make(tamis__rules *ret_rules, const tamis_select_params *p, uint64_t rows,
                               tamis_error *err)
{
    tamis__rules rules = {0};
    bool lists = p->n_must_keep || p->n_must_drop || p->filters;
    if (p->filters > 1000 || p->terms > 1000)
        return tamis__fail(err, TAMIS_ERR_ARG, "more than 1,000 filters or added columns");
    if (lists) rules.standing = tamis__calloc((size_t)rows, 1);
    if (lists || p->terms) rules.cause = tamis__calloc((size_t)rows, sizeof *rules.cause);
    if (p->filters) rules.bound = tamis__malloc(p->filters, 2 * sizeof *rules.bound);
    bool ready = (rules.standing || !lists) && (rules.cause || !(lists || p->terms)) &&
                 (rules.bound || !p->filters);
    tamis_status status = ready ? mark_lists(&rules, p, rows, err)
                                : tamis__fail_memory(err, "lists of rows", rows * 3);
    for (size_t i = 0; status == TAMIS_OK && i < p->filters; i++)
        status = apply_filter(&rules, p, i, rows, err);
    if (status == TAMIS_OK)
        *ret_rules = rules;
    else
        tamis__rules_fini(&rules);
    return status;
}

void tamis__rules_fini(tamis__rules *rules)
{
    free(rules->standing);
    free(rules->cause);
    free(rules->bound);
    *rules = (tamis__rules){0};
}

void tamis__rules_bar(const tamis__rules *rules, double *value, uint64_t rows)
{
    for (uint64_t row = 0; rules->standing && row < rows; row++)
        if (rules->standing[row] == TAMIS__BARRED) value[row] = (double)NAN;
}

/* "10", or of a quantile also what it is: "quantile 0.9 (412)". */
static void bound_text(const tamis_select_filter *f, double given, double found, char *text,
                       size_t size)
{
    char a[TAMIS__NUMBER_SIZE], b[TAMIS__NUMBER_SIZE];
    tamis__format_double(a, given);
    tamis__format_double(b, found);
    if (f->quantiles)
        snprintf(text, size, "quantile %s (%s)", a, b);
    else
        snprintf(text, size, "%s", a);
}

/* "fails the filter length: not from 10 to 500", "no value of effort" */
static void cause_text(const tamis__rules *rules, const tamis_select_params *p, size_t cause,
                       char *text, size_t size)
{
    char low[96], high[96];
    if (cause == MUST_DROP) {
        snprintf(text, size, "must be dropped");
        return;
    }
    size_t i = cause - FILTERED;
    if (i >= p->filters) {
        i -= p->filters;
        snprintf(text, size, "no value of %.100s",
                 i < p->terms ? p->term[i].name : p->filter[i - p->terms].name);
        return;
    }
    const tamis_select_filter *f = &p->filter[i];
    bound_text(f, f->low, rules->bound[2 * i], low, sizeof low);
    bound_text(f, f->high, rules->bound[2 * i + 1], high, sizeof high);
    if (isinf(f->low) || isinf(f->high))
        snprintf(text, size, "fails the filter %.100s: %s %s", f->name,
                 isinf(f->low) ? "above" : "below", isinf(f->low) ? high : low);
    else
        snprintf(text, size, "fails the filter %.100s: not from %s to %s", f->name, low, high);
}

tamis_status tamis__rules_explain(const tamis__rules *rules, const tamis_select_params *p,
                                  tamis_selection *selection, tamis_error *err)
{
    char text[384];
    size_t causes = FILTERED + 2 * p->filters + p->terms;
    for (size_t cause = 1; rules->cause && cause < causes; cause++) {
        uint16_t reason = 0;
        bool known = false;
        for (uint64_t row = 0; row < selection->rows; row++) {
            if (rules->cause[row] != cause || selection->keep[row]) continue;
            cause_text(rules, p, cause, text, sizeof text);
            if (!known) TAMIS_TRY(tamis_selection_reason(selection, text, &reason, err));
            known = true;
            selection->reason[row] = reason;
        }
    }
    return TAMIS_OK;
}

/* --- columns that are added ------------------------------------------------------------------- */

/* A row that the column has no value for gets none, and is told so; two infinities that cancel
 * would look the same and are an error. */
static tamis_status add_term(tamis__rules *rules, const tamis_select_params *p, size_t i,
                             const tamis__groups *group, double *scratch, double *value,
                             uint64_t rows, tamis_error *err)
{
    const tamis_select_term *t = &p->term[i];
    if (!t->name || !*t->name)
        return tamis__fail(err, TAMIS_ERR_ARG, "an added column has no name");
    if (!isfinite(t->weight))
        return tamis__fail(err, TAMIS_ERR_ARG, "the weight of %s is not finite", t->name);
    memcpy(scratch, t->value, (size_t)rows * sizeof *scratch);
    TAMIS_TRY(tamis__normalise(scratch, rows, t->normalise, group, rules->standing, err));
    for (uint64_t row = 0; row < rows; row++) {
        double sum = value[row] + t->weight * scratch[row];
        bool had = !isnan(value[row]);
        if (had && isnan(scratch[row]) && !rules->cause[row])
            rules->cause[row] = (uint16_t)(FILTERED + p->filters + i);
        if (had && isnan(sum) && !isnan(scratch[row]))
            return tamis__fail(err, TAMIS_ERR_NUMERIC,
                               "row %" PRIu64
                               ": its value is %g, and %g times %s is %g: the sum is "
                               "not a number; normalise by rank, or filter the row out",
                               row, value[row], t->weight, t->name, t->weight * scratch[row]);
        value[row] = sum;
    }
    return TAMIS_OK;
}

tamis_status tamis__rules_add_terms(tamis__rules *rules, const tamis_select_params *p,
                                    const tamis__groups *group, double *value, uint64_t rows,
                                    tamis_error *err)
{
    if (p->terms == 0) return TAMIS_OK;
    double *scratch = tamis__malloc((size_t)rows, sizeof *scratch);
    if (!scratch) return tamis__fail_memory(err, "an added column", rows * sizeof *scratch);
    tamis_status status = TAMIS_OK;
    for (size_t i = 0; status == TAMIS_OK && i < p->terms; i++)
        status = add_term(rules, p, i, group, scratch, value, rows, err);
    free(scratch);
    return status;
}

bool tamis__groups_heeded(const tamis_select_params *params)
{
    bool used = params->normalise == TAMIS_NORMALISE_CLASS_ZSCORE;
    for (size_t i = 0; i < params->terms; i++)
        used |= params->term[i].normalise == TAMIS_NORMALISE_CLASS_ZSCORE;
    return used;
}

/* --- costs ------------------------------------------------------------------------------------ */

static tamis_status parse_allowance(const tamis_select_params *p, double all, double *ret_allowance,
                                    tamis_error *err)
{
    double number;
    size_t size = strlen(p->budget);
    bool percent = size > 0 && p->budget[size - 1] == '%';
    if (!tamis__parse_double(p->budget, size - percent, &number) || !(number > 0) || isinf(number))
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "budget '%s' is neither an amount of %s (2000000) nor a percentage of all "
            "of it (5%%)",
            p->budget, p->cost_name);
    *ret_allowance = percent ? number * all / 100 : number;
    /* Ten times a tenth, added up, is less than one. */
    if (percent ? number <= 100 : number <= all * (1 + 1e-12)) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG, "budget '%s' is more than all rows cost: %g of %s",
                       p->budget, all, p->cost_name);
}

tamis_status tamis__rules_costs(const tamis_select_params *p, tamis__candidates *c,
                                tamis_error *err)
{
    double all = 0;
    if (!p->cost_name || !*p->cost_name)
        return tamis__fail(err, TAMIS_ERR_ARG, "costs have no name: say what they are");
    for (uint64_t row = 0; row < c->rows; row++) {
        if (isnan(p->cost[row]))
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "row %" PRIu64 " has no value of %s: every row needs its cost", row,
                               p->cost_name);
        if (!(p->cost[row] >= 0) || isinf(p->cost[row]))
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "row %" PRIu64 " costs %g of %s: costs are finite, and at least 0",
                               row, p->cost[row], p->cost_name);
        all += p->cost[row];
    }
    if (isinf(all))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "all rows together cost more of %s than a number holds: take a larger "
                           "unit",
                           p->cost_name);
    TAMIS_TRY(parse_allowance(p, all, &c->allowance, err));
    c->cost = p->cost;
    c->budget_text = p->budget;
    c->budget = c->rows;
    for (uint64_t row = 0; row < c->rows; row++)
        c->budget -= c->standing && c->standing[row] == TAMIS__BARRED;
    return TAMIS_OK;
}

uint64_t tamis__count_unbarred(const uint8_t *standing, uint64_t rows)
{
    uint64_t n = 0;
    for (uint64_t row = 0; row < rows; row++) n += !standing || standing[row] != TAMIS__BARRED;
    return n;
}
