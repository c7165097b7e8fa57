/* The driver: finds the selector, gathers what it chooses from, and completes the selection.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/select.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "select/gather.h"
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
    if (class->info.flags & TAMIS_SELECTOR_NO_VALUE && params->column)
        return tamis__fail(err, TAMIS_ERR_ARG, "%s looks at no value: leave out the column '%s'",
                           class->info.name, params->column);
    if (class->info.flags & TAMIS_SELECTOR_NO_VALUE) return TAMIS_OK;
    if (params->scores && params->column)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "column '%s' is of a gradient store, but a scores file was given: leave one out",
            params->column);
    if (params->store && !params->column && !params->terms)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' is a gradient store: say which column to select by: length, loss, "
                           "margin, norm or self",
                           tamis_store_path(params->store));
    return TAMIS_OK;
}

/* What is given must be heeded: a list that is overlooked would be worse than an error. */
static tamis_status check_heeded(const tamis__selector_class *class,
                                 const tamis_select_params *params, tamis_error *err)
{
    unsigned flags = class->info.flags;
    bool lists = flags & TAMIS_SELECTOR_LISTS;
    bool by_value = !(flags &
                      (TAMIS_SELECTOR_STORES | TAMIS_SELECTOR_MATRIX | TAMIS_SELECTOR_NO_VALUE));
    const char *what = NULL;
    if (params->n_must_keep && !lists) what = "rows that must be kept";
    if ((params->n_must_drop || params->filters) && !lists && !by_value)
        what = "rows that must be dropped, or filters";
    if (params->cost && !(flags & TAMIS_SELECTOR_COSTS)) what = "costs";
    if (params->terms && !by_value) what = "added columns";
    if (params->normalise != TAMIS_NORMALISE_NONE && !by_value && !(flags & TAMIS_SELECTOR_MATRIX))
        what = "normalising";
    if (params->query_group && !(flags & TAMIS_SELECTOR_QUERY_GROUPS)) what = "groups of queries";
    if ((params->group || params->group_by) && !(flags & TAMIS_SELECTOR_GROUPS) &&
        !tamis__groups_heeded(params))
        what = "groups of candidates";
    if (params->by != TAMIS_AGGREGATE_TOTAL && !(by_value && params->scores))
        what = "how a row's scores become one value";
    if (!what) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "%s does not heed %s: leave that out, or take another selector",
                       class->info.name, what);
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

/* Rows without a score were not judged by the selector: they are told why. Those that must be kept
 * are told that, by the selector. */
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
        if (!selection->keep[row] && (lacking ? lacking[row] != 0 : isnan(c->value[row]) != 0))
            selection->reason[row] = reason;
    return TAMIS_OK;
}

static tamis_status run(const tamis__selector_class *class, void *state,
                        const tamis__candidates *candidates, const tamis__rules *rules,
                        const tamis_examples *examples, tamis_selection **ret_selection,
                        tamis_error *err)
{
    tamis_selection *selection = NULL;
    tamis_status status = tamis_selection_create(&selection, candidates->rows, examples, err);
    if (status != TAMIS_OK) return status;
    if (candidates->value)
        for (uint64_t row = 0; row < candidates->rows; row++)
            selection->score[row] = tamis__narrow(candidates->value[row]);
    status = class->select(state, candidates, selection, err);
    if (status == TAMIS_OK) status = explain_missing(candidates, selection, err);
    if (status == TAMIS_OK)
        status = tamis__rules_explain(rules, candidates->source, selection, err);
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

static tamis_status gather_and_run(const tamis__selector_class *class, void *state,
                                   tamis_context *context, const tamis_select_params *params,
                                   tamis_selection **ret_selection, tamis_error *err)
{
    const tamis_scores_info *scores = params->scores ? tamis_scores_info_get(params->scores) : NULL;
    tamis_store *store = params->train ? params->train : params->store;
    tamis__gathered g = {
        .candidates = {.context = context,
                       .seed = params->seed,
                       .source = params,
                       .rows = scores ? scores->rows : tamis_store_info_get(store)->rows}};
    tamis_status status = tamis__gather(&g, class, err);
    if (status == TAMIS_OK)
        status = run(class, state, &g.candidates, &g.rules,
                     scores ? &scores->examples : tamis_store_examples(store), ret_selection, err);
    tamis__gathered_fini(&g);
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
    TAMIS_TRY(check_heeded(class, params, err));
    void *state = tamis__calloc(1, class->state_size);
    if (!state) return tamis__fail_memory(err, class->info.name, class->state_size);
    tamis_selection *selection = NULL;
    tamis_status status = class->init ? class->init(state, value, err) : TAMIS_OK;
    if (status == TAMIS_OK) status = gather_and_run(class, state, context, params, &selection, err);
    if (class->fini) class->fini(state);
    free(state);
    if (status != TAMIS_OK) return status;
    if (selection->kept == 0)
        tamis__log(context, TAMIS_LOG_WARNING, "%s keeps none of the rows: %s", params->selector,
                   params->cost ? "each costs more than the budget" : "the bounds leave nothing");
    *ret_selection = selection;
    return TAMIS_OK;
}
