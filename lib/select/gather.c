/* Gathering what a selector chooses from.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/gather.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "select/row_values.h"
#include "select/values.h"

/* --- budgets ---------------------------------------------------------------------------------- */

static tamis_status budget_of(const tamis__selector_class *class, const tamis_select_params *params,
                              tamis__candidates *candidates, tamis_error *err)
{
    bool none = class->info.flags & TAMIS_SELECTOR_NO_BUDGET;
    if (none && params->budget)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "%s decides by itself how many rows to keep: leave the budget out",
                           class->info.name);
    if (none) return TAMIS_OK;
    if (!params->budget)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "%s needs a budget: a number of rows (1000) or a percentage (5%%)",
                           class->info.name);
    if (params->cost) return tamis__rules_costs(params, candidates, err);
    candidates->budget_text = params->budget;
    TAMIS_TRY(tamis_budget_parse(params->budget, candidates->rows, &candidates->budget, err));
    candidates->allowance = (double)candidates->budget;
    return TAMIS_OK;
}

/* Every value is one of a row that can be kept, or NaN. */
static tamis_status check_budget(const tamis__candidates *c, uint64_t barred, tamis_error *err)
{
    const tamis_select_params *p = c->source;
    const tamis_scores *scores = p->scores;
    const char *path = scores ? tamis_scores_path(scores)
                              : tamis_store_path(p->train ? p->train : p->store);
    uint64_t scored = 0;
    for (uint64_t row = 0; row < c->rows; row++) {
        uint8_t standing = c->standing ? c->standing[row] : TAMIS__FREE;
        scored += standing == TAMIS__MUST_KEEP ||
                  (standing == TAMIS__FREE && !(c->value && isnan(c->value[row])));
    }
    uint64_t top = scores ? tamis_scores_info_get(scores)->top : 0;
    if (c->cost && scored > 0) return TAMIS_OK;
    if (barred > 0 && barred < c->rows && c->budget > scored)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "budget '%s' is %" PRIu64 " rows, but only %" PRIu64
                           " may be kept: %" PRIu64 " are barred by a list or a filter",
                           c->budget_text ? c->budget_text : "", c->budget, scored, barred);
    if (barred == c->rows)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "all %" PRIu64
                           " rows are barred by a list or a filter: nothing is left to "
                           "choose from",
                           barred);
    if (scored == 0)
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s': none of its %" PRIu64 " rows has a %s%s",
                           path, c->rows, scores ? "score" : "value",
                           p->terms ? ", or none has one of every added column" : "");
    if (c->budget <= scored) return TAMIS_OK;
    if (top > 0)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "budget '%s' is %" PRIu64 " rows, but only %" PRIu64
                           " rows stand in some query's top %" PRIu64
                           " in '%s': score with a larger --top, or without",
                           c->budget_text, c->budget, scored, top, path);
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "budget '%s' is %" PRIu64 " rows, but only %" PRIu64
                       " have a %s in '%s'%s: ask for at most that many",
                       c->budget_text, c->budget, scored, scores ? "score" : "value", path,
                       p->terms ? " and every added column" : "");
}

/* --- values ----------------------------------------------------------------------------------- */

static tamis_status no_values(uint64_t rows, double **ret_values, tamis_error *err)
{
    *ret_values = tamis__calloc((size_t)rows, sizeof **ret_values);
    return *ret_values ? TAMIS_OK : tamis__fail_memory(err, "one value a row", rows * 8);
}

static double mean_of(const void *arg, const double *score, uint64_t queries)
{
    uint64_t n = 0;
    for (uint64_t q = 0; q < queries; q++) n += !isnan(score[q]);
    return n ? tamis__row_sum(arg, score, queries) / (double)n : (double)NAN;
}

/* Each query's scores are normalised, and then become one value. */
static tamis_status aggregate_normalised(const tamis__candidates *c, double **ret_values,
                                         tamis_error *err)
{
    tamis__query_scores queries = {0};
    const tamis_select_params *p = c->source;
    double (*reduce)(const void *, const double *, uint64_t) = p->by == TAMIS_AGGREGATE_MAX
                                                                   ? tamis__row_max
                                                               : p->by == TAMIS_AGGREGATE_MEAN
                                                                   ? mean_of
                                                                   : tamis__row_sum;
    TAMIS_TRY(tamis__query_scores_open(&queries, c->context, p, p->normalise, c->group, c->standing,
                                       err));
    tamis_status status = tamis__query_matrix_reduce(queries.matrix, c->context, reduce, NULL,
                                                     ret_values, err);
    tamis__query_scores_close(&queries);
    return status;
}

static tamis_status scores_values(const tamis__candidates *c, double **ret_values, tamis_error *err)
{
    const tamis_select_params *p = c->source;
    if (p->normalise != TAMIS_NORMALISE_NONE) return aggregate_normalised(c, ret_values, err);
    return tamis__aggregate(c->context, p->scores, p->by, ret_values, err);
}

static tamis_status column_values(const tamis__candidates *c, double **ret_values, tamis_error *err)
{
    const tamis_select_params *p = c->source;
    if (!p->column) return no_values(c->rows, ret_values, err);
    TAMIS_TRY(tamis__column(p->store, p->column, ret_values, err));
    tamis_status status = tamis__normalise(*ret_values, c->rows, p->normalise, c->group,
                                           c->standing, err);
    if (status != TAMIS_OK) {
        free(*ret_values);
        *ret_values = NULL;
    }
    return status;
}

/* Also for a selector that looks at no value, when there are rows that it must not keep. */
static tamis_status gather(const tamis__selector_class *class, tamis__candidates *c,
                           tamis__rules *rules, double **ret_values, tamis_error *err)
{
    const tamis_select_params *p = c->source;
    const tamis_scores_info *info = p->scores ? tamis_scores_info_get(p->scores) : NULL;
    if (class->info.flags & (TAMIS_SELECTOR_STORES | TAMIS_SELECTOR_MATRIX)) return TAMIS_OK;
    if (class->info.flags & TAMIS_SELECTOR_NO_VALUE) {
        if (info && (info->skipped > 0 || info->top > 0))
            TAMIS_TRY(
                tamis__aggregate(c->context, p->scores, TAMIS_AGGREGATE_MAX, ret_values, err));
        else if (rules->standing)
            TAMIS_TRY(no_values(c->rows, ret_values, err));
    } else {
        TAMIS_TRY(info ? scores_values(c, ret_values, err) : column_values(c, ret_values, err));
    }
    double *value = *ret_values;
    if (!value) return TAMIS_OK;
    tamis_status status = tamis__rules_add_terms(rules, p, c->group, value, c->rows, err);
    if (status == TAMIS_OK) {
        tamis__rules_bar(rules, value, c->rows);
        return TAMIS_OK;
    }
    free(value);
    *ret_values = NULL;
    return status;
}

/* Groups of candidates: as given, else the file's groups, else its labels. */
static tamis_status gather_groups(const tamis_select_params *params, tamis__candidates *candidates,
                                  tamis__groups *group, tamis_error *err)
{
    const tamis_store *store = params->train ? params->train : params->store;
    const tamis_examples *e = params->scores ? &tamis_scores_info_get(params->scores)->examples
                                             : tamis_store_examples(store);
    *group = (tamis__groups){.n = candidates->rows};
    bool groups = !params->group_by || !strcmp(params->group_by, "group");
    bool labels = !params->group_by || !strcmp(params->group_by, "label");
    if (!groups && !labels)
        return tamis__fail(err, TAMIS_ERR_ARG, "rows are grouped by group or by label, not by '%s'",
                           params->group_by);
    if (params->group) {
        group->of = params->group;
        group->name = params->group_name;
        group->groups = params->groups;
    } else if (groups && e->group && e->groups > 0) {
        group->of = e->group;
        group->name = e->group_name;
        group->groups = e->groups;
    } else if (labels && e->label) {
        group->of = e->label;
        for (uint64_t row = 0; row < group->n; row++)
            if (e->label[row] >= 0 && (uint32_t)e->label[row] >= group->groups)
                group->groups = (uint32_t)e->label[row] + 1;
        group->name = e->classes >= group->groups ? e->class_name : NULL;
    } else {
        if (!params->group_by) return TAMIS_OK;
        return tamis__fail(err, TAMIS_ERR_ARG, "rows cannot be grouped by %s: none is recorded",
                           params->group_by);
    }
    for (uint64_t row = 0; row < group->n; row++)
        if (group->of[row] >= 0 && (uint32_t)group->of[row] >= group->groups)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "row %" PRIu64 " is in group %" PRId32 ", and there are %" PRIu32
                               ": number groups from 0",
                               row, group->of[row], group->groups);
    candidates->group = group;
    return TAMIS_OK;
}

/* Every query's scores, normalised; rows without a score are barred. */
static tamis_status gather_queries(const tamis__selector_class *class, tamis__candidates *c,
                                   tamis__query_scores *queries, tamis_error *err)
{
    tamis_normalise normalise = c->source->normalise;
    if (!(class->info.flags & TAMIS_SELECTOR_MATRIX)) return TAMIS_OK;
    if (normalise == TAMIS_NORMALISE_NONE && !c->source->normalise_given &&
        class->info.flags & TAMIS_SELECTOR_ZSCORE)
        normalise = TAMIS_NORMALISE_ZSCORE;
    TAMIS_TRY(tamis__query_scores_open(queries, c->context, c->source, normalise, c->group,
                                       c->standing, err));
    c->matrix = queries->matrix;
    c->query_group = &queries->group;
    c->standing = queries->standing;
    return TAMIS_OK;
}

/* "total score", "loss": for reasons. */
static void name_value(const tamis_select_params *p, char *name, size_t size)
{
    const tamis_scores_info *scores = p->scores ? tamis_scores_info_get(p->scores) : NULL;
    const char *normalised = p->normalise != TAMIS_NORMALISE_NONE ? "normalised " : "";
    if (p->terms > 0 && !p->column && !p->scores)
        snprintf(name, size, "combined value");
    else if (scores && scores->queries > 1)
        snprintf(name, size, "%s%s score%s", normalised, tamis__aggregate_name(p->by),
                 p->terms ? " and added columns" : "");
    else
        snprintf(name, size, "%s%.40s%s", normalised,
                 scores      ? "score"
                 : p->column ? p->column
                             : "chance",
                 p->terms ? " and added columns" : "");
}

tamis_status tamis__gather(tamis__gathered *g, const tamis__selector_class *class, tamis_error *err)
{
    tamis__candidates *c = &g->candidates;
    const tamis_select_params *p = c->source;
    name_value(p, g->name, sizeof g->name);
    c->value_name = g->name;
    TAMIS_TRY(tamis__rules_make(&g->rules, p, c->rows, err));
    c->standing = g->rules.standing;
    TAMIS_TRY(budget_of(class, p, c, err));
    TAMIS_TRY(gather_groups(p, c, &g->group, err));
    TAMIS_TRY(gather(class, c, &g->rules, &g->value, err));
    c->value = g->value;
    TAMIS_TRY(gather_queries(class, c, &g->queries, err));
    return check_budget(c, g->rules.barred, err);
}

void tamis__gathered_fini(tamis__gathered *g)
{
    free(g->value);
    tamis__query_scores_close(&g->queries);
    tamis__rules_fini(&g->rules);
}
