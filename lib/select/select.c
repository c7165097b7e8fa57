/* The driver: finds the selector, gathers what it chooses from, and completes the selection.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/select.h>

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "select/queries.h"
#include "select/registry.h"
#include "select/values.h"

#define TABLE_ENTRY(name) &tamis__selector_##name,
static const tamis__selector_class *const table[] = {TAMIS__SELECTORS(TABLE_ENTRY)};
#undef TABLE_ENTRY
#define TABLE_SIZE (sizeof table / sizeof *table)

const tamis_selector_info *tamis_selector_at(size_t i)
{
    return i < TABLE_SIZE ? &table[i]->info : NULL;
}

/* The class of "name[:params]", and where its parameters start (NULL = none). */
static tamis_status find(const char *selector, const tamis__selector_class **ret_class,
                         const char **ret_params, tamis_error *err)
{
    const char *names[TABLE_SIZE];
    char name[64], list[1024] = "";
    size_t size = strcspn(selector, ":");
    snprintf(name, sizeof name, "%.*s", (int)(size < sizeof name ? size : sizeof name - 1),
             selector);
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        names[i] = table[i]->info.name;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
        if (strlen(names[i]) != size || strncmp(selector, names[i], size)) continue;
        *ret_class = table[i];
        *ret_params = selector[size] ? selector + size + 1 : NULL;
        return TAMIS_OK;
    }
    const char *near = tamis_suggest(name, names, TABLE_SIZE);
    if (near)
        return tamis__fail(err, TAMIS_ERR_ARG, "there is no selector '%s': did you mean '%s'?",
                           name, near);
    return tamis__fail(err, TAMIS_ERR_ARG, "there is no selector '%s': there is %s", name, list);
}

static tamis_status check_stores(const tamis__selector_class *class,
                                 const tamis_select_params *params, tamis_error *err)
{
    if (params->scores || params->store || params->column)
        return tamis__fail(err, TAMIS_ERR_ARG, "%s looks at the rows of two stores: leave out %s",
                           class->info.name, params->scores ? "the scores file" : "the column");
    if (!params->train || !params->query)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "%s needs a store of candidates (train) and one of targets (query)",
                           class->info.name);
    return TAMIS_OK;
}

static tamis_status check_source(const tamis__selector_class *class,
                                 const tamis_select_params *params, tamis_error *err)
{
    if (class->info.flags & TAMIS_SELECTOR_STORES) return check_stores(class, params, err);
    if (params->query || params->curvature || params->train)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "%s looks at scores or a column: leave out the stores of candidates and "
                           "targets, and the curvature",
                           class->info.name);
    if (!params->scores == !params->store)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "%s needs either a scores file or a gradient store%s", class->info.name,
                           params->scores ? ", not both" : "");
    if (class->info.flags & TAMIS_SELECTOR_MATRIX && !params->scores)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "%s looks at the score of every query: give a scores file, not a store",
                           class->info.name);
    if (class->info.flags & TAMIS_SELECTOR_NO_VALUE) return TAMIS_OK;
    if (params->scores && params->column)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "column '%s' is of a gradient store, but a scores file was given: leave one out",
            params->column);
    if (params->store && !params->column)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "'%s' is a gradient store: say which column to select by: loss, margin, norm or self",
            tamis_store_path(params->store));
    return TAMIS_OK;
}

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
    candidates->budget_text = params->budget;
    return tamis_budget_parse(params->budget, candidates->rows, &candidates->budget, err);
}

/* Finite doubles beyond the range of float stay finite. */
static float narrow(double value)
{
    if (isfinite(value) && fabs(value) > (double)FLT_MAX) return value > 0 ? FLT_MAX : -FLT_MAX;
    return (float)value;
}

/* With what the selector found as "found", before the object's end; NULL when memory runs out. */
static char *provenance_of(const tamis_selection *selection, const tamis_select_params *params)
{
    const char *given = params->provenance ? params->provenance : "{}";
    const char *found = selection->provenance, *end = strrchr(given, '}');
    if (!found || !end) return tamis__strdup(given);
    size_t size = strlen(given) + strlen(found) + 16;
    char *text = tamis__malloc(size, 1);
    bool empty = end == given || end[-1] == '{';
    if (text)
        snprintf(text, size, "%.*s%s\"found\":%s%s", (int)(end - given), given, empty ? "" : ",",
                 found, end);
    return text;
}

static tamis_status complete(tamis_selection *selection, const tamis_select_params *params,
                             tamis_error *err)
{
    selection->kept = 0;
    for (uint64_t row = 0; row < selection->rows; row++) selection->kept += selection->keep[row];
    free(selection->selector);
    selection->selector = tamis__strdup(params->selector);
    char *provenance = provenance_of(selection, params);
    free(selection->provenance);
    selection->provenance = provenance;
    if (!selection->selector || !selection->provenance)
        return tamis__fail_memory(err, "a selection's provenance", strlen(params->selector));
    return TAMIS_OK;
}

/* Weights are 1 and 0 unless the selector set any. */
static void default_weights(tamis_selection *selection)
{
    for (uint64_t row = 0; row < selection->rows; row++)
        if (selection->weight[row] != 0.0f) return;
    for (uint64_t row = 0; row < selection->rows; row++)
        selection->weight[row] = selection->keep[row] ? 1.0f : 0.0f;
}

/* Every value is one of a row that can be kept, or NaN. */
static tamis_status check_budget(const tamis__candidates *c, tamis_error *err)
{
    const tamis_scores *scores = c->source->scores;
    uint64_t scored = c->value ? tamis__count_scored(c->value, c->rows) : c->rows;
    for (uint64_t row = 0; row < c->rows && c->standing; row++)
        scored -= c->standing[row] == TAMIS__BARRED;
    uint64_t top = scores ? tamis_scores_info_get(scores)->top : 0;
    if (scored == 0)
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s': none of its %" PRIu64 " rows has a score",
                           tamis_scores_path(scores), c->rows);
    if (c->budget <= scored) return TAMIS_OK;
    if (top > 0)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "budget '%s' is %" PRIu64 " rows, but only %" PRIu64
                           " rows stand in some query's top %" PRIu64
                           " in '%s': score with a larger --top, or without",
                           c->budget_text, c->budget, scored, top, tamis_scores_path(scores));
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "budget '%s' is %" PRIu64 " rows, but only %" PRIu64
                       " have a score in '%s': ask for at most that many",
                       c->budget_text, c->budget, scored, tamis_scores_path(scores));
}

/* Rows without a score were not judged by the selector: they are told why. */
static tamis_status explain_missing(const tamis__candidates *c, tamis_selection *selection,
                                    tamis_error *err)
{
    char text[128] = "no score: left out when the scores were made";
    uint64_t top = c->source->scores ? tamis_scores_info_get(c->source->scores)->top : 0;
    uint16_t reason = 0;
    const uint8_t *lacking = c->matrix ? tamis__query_matrix_lacking(c->matrix) : NULL;
    uint64_t missing = c->value ? c->rows - tamis__count_scored(c->value, c->rows) : 0;
    for (uint64_t row = 0; row < c->rows && lacking; row++) missing += lacking[row];
    if (missing == 0) return TAMIS_OK;
    if (top > 0) snprintf(text, sizeof text, "in no query's top %" PRIu64, top);
    TAMIS_TRY(tamis_selection_reason(selection, text, &reason, err));
    for (uint64_t row = 0; row < c->rows; row++)
        if (lacking ? lacking[row] != 0 : isnan(c->value[row]) != 0)
            selection->reason[row] = reason;
    return TAMIS_OK;
}

static tamis_status run(const tamis__selector_class *class, void *state,
                        const tamis__candidates *candidates, const tamis_examples *examples,
                        tamis_selection **ret_selection, tamis_error *err)
{
    tamis_selection *selection = NULL;
    tamis_status status = tamis_selection_create(&selection, candidates->rows, examples, err);
    if (status != TAMIS_OK) return status;
    if (candidates->value)
        for (uint64_t row = 0; row < candidates->rows; row++)
            selection->score[row] = narrow(candidates->value[row]);
    status = class->select(state, candidates, selection, err);
    if (status == TAMIS_OK) status = explain_missing(candidates, selection, err);
    if (status == TAMIS_OK) {
        default_weights(selection);
        status = complete(selection, candidates->source, err);
    }
    if (status == TAMIS_OK)
        *ret_selection = selection;
    else
        tamis_selection_free(&selection);
    return status;
}

/* Also for a selector that looks at no value, when there are rows that it must not keep. */
static tamis_status gather(const tamis__selector_class *class, tamis_context *context,
                           const tamis_select_params *params, double **ret_values, tamis_error *err)
{
    const tamis_scores_info *info = params->scores ? tamis_scores_info_get(params->scores) : NULL;
    if (class->info.flags & (TAMIS_SELECTOR_STORES | TAMIS_SELECTOR_MATRIX)) return TAMIS_OK;
    if (class->info.flags & TAMIS_SELECTOR_NO_VALUE) {
        if (!info || (info->skipped == 0 && info->top == 0)) return TAMIS_OK;
        return tamis__aggregate(context, params->scores, TAMIS_AGGREGATE_MAX, ret_values, err);
    }
    if (info) return tamis__aggregate(context, params->scores, params->by, ret_values, err);
    return tamis__column(params->store, params->column, ret_values, err);
}

/* Groups of candidates: as given, else the file's groups, else its labels. */
static tamis_status gather_groups(const tamis_select_params *params, tamis__candidates *candidates,
                                  tamis__groups *group, tamis_error *err)
{
    const tamis_store *store = params->train ? params->train : params->store;
    const tamis_examples *e = params->scores ? &tamis_scores_info_get(params->scores)->examples
                                             : tamis_store_examples(store);
    *group = (tamis__groups){.n = candidates->rows};
    if (params->group) {
        group->of = params->group;
        group->name = params->group_name;
        group->groups = params->groups;
    } else if (e->group && e->groups > 0) {
        group->of = e->group;
        group->name = e->group_name;
        group->groups = e->groups;
    } else if (e->label) {
        group->of = e->label;
        for (uint64_t row = 0; row < group->n; row++)
            if (e->label[row] >= 0 && (uint32_t)e->label[row] >= group->groups)
                group->groups = (uint32_t)e->label[row] + 1;
        group->name = e->classes >= group->groups ? e->class_name : NULL;
    } else {
        return TAMIS_OK;
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

static tamis_status gather_and_run(const tamis__selector_class *class, void *state,
                                   tamis_context *context, const tamis_select_params *params,
                                   tamis_selection **ret_selection, tamis_error *err)
{
    char name[64];
    double *value = NULL;
    const tamis_scores_info *scores = params->scores ? tamis_scores_info_get(params->scores) : NULL;
    tamis__candidates candidates = {.context = context, .seed = params->seed, .source = params};
    tamis_store *store = params->train ? params->train : params->store;
    candidates.rows = scores ? scores->rows : tamis_store_info_get(store)->rows;
    TAMIS_TRY(budget_of(class, params, &candidates, err));
    if (scores && scores->queries > 1)
        snprintf(name, sizeof name, "%s score", tamis__aggregate_name(params->by));
    else
        snprintf(name, sizeof name, "%s",
                 scores           ? "score"
                 : params->column ? params->column
                                  : "chance");
    candidates.value_name = name;
    tamis__groups group;
    tamis__query_scores queries = {0};
    TAMIS_TRY(gather_groups(params, &candidates, &group, err));
    TAMIS_TRY(gather(class, context, params, &value, err));
    candidates.value = value;
    tamis_status status = gather_queries(class, &candidates, &queries, err);
    if (status == TAMIS_OK) status = check_budget(&candidates, err);
    if (status == TAMIS_OK)
        status = run(class, state, &candidates,
                     scores ? &scores->examples : tamis_store_examples(store), ret_selection, err);
    free(value);
    tamis__query_scores_close(&queries);
    return status;
}

static tamis_status parse(const char *text, const tamis__selector_class **ret_class,
                          tamis_param_value value[TAMIS__SELECTOR_PARAMS], tamis_error *err)
{
    const char *params = NULL;
    if (!text || !*text)
        return tamis__fail(err, TAMIS_ERR_ARG, "no selector is named: see 'tamis list selectors'");
    TAMIS_TRY(find(text, ret_class, &params, err));
    const tamis_selector_info *info = &(*ret_class)->info;
    return tamis_params_parse(info->params, info->n_params, info->name, params, value, err);
}

tamis_status tamis_selector_check(const char *selector, const tamis_selector_info **ret_info,
                                  tamis_error *err)
{
    const tamis__selector_class *class = NULL;
    tamis_param_value value[TAMIS__SELECTOR_PARAMS];
    TAMIS_TRY(parse(selector, &class, value, err));
    if (ret_info) *ret_info = &class->info;
    return TAMIS_OK;
}

tamis_status tamis_select(tamis_selection **ret_selection, tamis_context *context,
                          const tamis_select_params *params, tamis_error *err)
{
    const tamis__selector_class *class = NULL;
    tamis_param_value value[TAMIS__SELECTOR_PARAMS];
    TAMIS_TRY(parse(params->selector, &class, value, err));
    TAMIS_TRY(check_source(class, params, err));
    void *state = tamis__calloc(1, class->state_size);
    if (!state) return tamis__fail_memory(err, class->info.name, class->state_size);
    tamis_selection *selection = NULL;
    tamis_status status = class->init ? class->init(state, value, err) : TAMIS_OK;
    if (status == TAMIS_OK) status = gather_and_run(class, state, context, params, &selection, err);
    if (class->fini) class->fini(state);
    free(state);
    if (status != TAMIS_OK) return status;
    if (selection->kept == 0)
        tamis__log(context, TAMIS_LOG_WARNING,
                   "%s keeps none of the rows: the bounds leave nothing", params->selector);
    *ret_selection = selection;
    return TAMIS_OK;
}
