/* From stores to a scores file.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/score.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "score/output.h"

#define SCORER_ENTRY(name) &tamis__scorer_##name,
static const tamis__scorer_class *const scorers[] = {TAMIS__SCORERS(SCORER_ENTRY)};
enum { N_SCORERS = sizeof scorers / sizeof *scorers, MAX_PARAMS = 16, CANONICAL_SIZE = 2048 };

const tamis_scorer_info *tamis_scorer_at(size_t i)
{
    return i < N_SCORERS ? &scorers[i]->info : NULL;
}

/* --- the scorer's name and parameters --------------------------------------------------------- */

static tamis_status find(const char *text, const tamis__scorer_class **ret_scorer, tamis_error *err)
{
    char name[64];
    const char *names[N_SCORERS];
    int size = (int)strcspn(text, ":");
    if (size >= (int)sizeof name) size = sizeof name - 1;
    snprintf(name, sizeof name, "%.*s", size, text);
    for (size_t i = 0; i < N_SCORERS; i++) {
        names[i] = scorers[i]->info.name;
        if (strcmp(name, names[i])) continue;
        *ret_scorer = scorers[i];
        return TAMIS_OK;
    }
    const char *near = tamis_suggest(name, names, N_SCORERS);
    if (near)
        return tamis__fail(err, TAMIS_ERR_ARG, "there is no scorer '%s': did you mean '%s'?", name,
                           near);
    return tamis__fail(err, TAMIS_ERR_ARG, "there is no scorer '%s': see 'tamis list scorers'",
                       name);
}

static void value_text(const tamis_param_desc *desc, const tamis_param_value *value,
                       char buffer[TAMIS_PARAM_TEXT_SIZE])
{
    char number[TAMIS__NUMBER_SIZE];
    const char *text = value->text;
    if (desc->type == TAMIS_PARAM_BOOLEAN) text = value->number > 0 ? "true" : "false";
    if (desc->type == TAMIS_PARAM_REAL || desc->type == TAMIS_PARAM_INTEGER) {
        tamis__format_double(number, value->number);
        text = number;
    }
    snprintf(buffer, TAMIS_PARAM_TEXT_SIZE, "%s", text);
}

/* By tamis_reduce. */
static const char *const reduce_names[] = {"none", "mean", "sum", "max", "group-mean", "group-max"};

/* "name:param=value,..." with every parameter in force, and the reduction. */
static void canonical(const tamis_scorer_info *info, const tamis_param_value *values,
                      tamis_reduce reduce, char buffer[CANONICAL_SIZE])
{
    size_t used = (size_t)snprintf(buffer, CANONICAL_SIZE, "%s", info->name);
    for (size_t i = 0; i < info->n_params && used < CANONICAL_SIZE; i++) {
        char text[TAMIS_PARAM_TEXT_SIZE];
        value_text(&info->params[i], &values[i], text);
        used += (size_t)snprintf(buffer + used, CANONICAL_SIZE - used, "%c%s=%s", i ? ',' : ':',
                                 info->params[i].name, text);
    }
    if (reduce != TAMIS_REDUCE_NONE && used < CANONICAL_SIZE)
        snprintf(buffer + used, CANONICAL_SIZE - used, " reduced by %s", reduce_names[reduce]);
}

/* --- do the stores fit together? -------------------------------------------------------------- */

typedef struct pair {
    const char *train_path, *query_path;
    const tamis_store_info *train, *query;
} pair;

static tamis_status compare_layer(const pair *p, uint32_t i, tamis_error *err)
{
    const tamis_layer *a = &p->train->layer[i], *b = &p->query->layer[i];
    if (strcmp(a->name, b->name))
        return tamis__fail(err, TAMIS_ERR_SHAPE, "layer %u is '%s' in '%s' and '%s' in '%s'", i,
                           a->name, p->train_path, b->name, p->query_path);
    if (a->out != b->out || a->in != b->in || a->bias != b->bias)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "layer '%s' is [%llu, %llu%s] in '%s' and [%llu, %llu%s] in '%s'",
                           a->name, (unsigned long long)a->out, (unsigned long long)a->in,
                           a->bias ? " + bias" : "", p->train_path, (unsigned long long)b->out,
                           (unsigned long long)b->in, b->bias ? " + bias" : "", p->query_path);
    if (a->first_column != b->first_column)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "layer '%s' begins at column %llu in '%s' and at column %llu in '%s'",
                           a->name, (unsigned long long)a->first_column, p->train_path,
                           (unsigned long long)b->first_column, p->query_path);
    return TAMIS_OK;
}

static tamis_status compare_layers(const pair *p, tamis_error *err)
{
    if (p->train->columns != p->query->columns)
        return tamis__fail(
            err, TAMIS_ERR_SHAPE,
            "rows have %llu columns in '%s' and %llu in '%s': both must come from the "
            "same model and layers",
            (unsigned long long)p->train->columns, p->train_path,
            (unsigned long long)p->query->columns, p->query_path);
    if (p->train->layers != p->query->layers)
        return tamis__fail(err, TAMIS_ERR_SHAPE, "there are %u layers in '%s' and %u in '%s'",
                           p->train->layers, p->train_path, p->query->layers, p->query_path);
    for (uint32_t i = 0; i < p->train->layers; i++) TAMIS_TRY(compare_layer(p, i, err));
    return TAMIS_OK;
}

/* A store that does not say which layers its rows were of is taken at its maker's word. */
static bool projected_alike(const tamis_projection *a, const tamis_projection *b)
{
    return !strcmp(a->kind, b->kind) && a->seed == b->seed && a->from == b->from &&
           a->to == b->to && a->nonzeros == b->nonzeros &&
           (a->layers == b->layers || !a->layers || !b->layers);
}

static tamis_status compare_projections(const pair *p, tamis_error *err)
{
    const char *a = p->train->projection, *b = p->query->projection;
    if (!a && !b) return TAMIS_OK;
    if (!a || !b)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' is projected and '%s' is not: project both alike",
                           a ? p->train_path : p->query_path, a ? p->query_path : p->train_path);
    if (!projected_alike(p->train->projected_by, p->query->projected_by))
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' and '%s' are projected differently: %s and %s", p->train_path,
                           p->query_path, a, b);
    return TAMIS_OK;
}

/* The training store's learning rates count; the query's are not looked at. */
static tamis_status compare_stores(const tamis_score_params *params, tamis_context *context,
                                   tamis_error *err)
{
    pair p = {.train_path = tamis_store_path(params->train),
              .query_path = tamis_store_path(params->query),
              .train = tamis_store_info_get(params->train),
              .query = tamis_store_info_get(params->query)};
    /* First: it says why columns and layers differ. */
    TAMIS_TRY(compare_projections(&p, err));
    TAMIS_TRY(compare_layers(&p, err));
    if (p.train->checkpoints != p.query->checkpoints)
        return tamis__fail(
            err, TAMIS_ERR_SHAPE,
            "there are %u checkpoints in '%s' and %u in '%s': both must hold gradients at "
            "the same ones",
            p.train->checkpoints, p.train_path, p.query->checkpoints, p.query_path);
    for (uint32_t k = 0; k < p.train->checkpoints; k++)
        if (p.train->checkpoint[k].step != p.query->checkpoint[k].step)
            tamis__log(context, TAMIS_LOG_WARNING,
                       "checkpoint %u is of step %llu in '%s' and of step %llu in '%s'", k,
                       (unsigned long long)p.train->checkpoint[k].step, p.train_path,
                       (unsigned long long)p.query->checkpoint[k].step, p.query_path);
    return TAMIS_OK;
}

static tamis_status check_stores(const tamis_score_params *params, const tamis_scorer_info *info,
                                 tamis_context *context, tamis_error *err)
{
    if (info->flags & TAMIS_SCORER_NO_QUERY) {
        if (!params->query) return TAMIS_OK;
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "%s scores each example by itself: leave out the query store",
                           info->name);
    }
    if (!params->query)
        return tamis__fail(err, TAMIS_ERR_ARG, "%s needs a query store", info->name);
    return compare_stores(params, context, err);
}

/* The writer checks this too, but does not know which store has so few rows. */
static tamis_status check_lists(const tamis_score_params *params, tamis_error *err)
{
    uint64_t longest = params->top > params->bottom ? params->top : params->bottom;
    uint64_t rows = tamis_store_info_get(params->train)->rows;
    if (longest <= rows) return TAMIS_OK;
    return tamis__fail(
        err, TAMIS_ERR_ARG, "'%s': lists of %llu rows are asked for, there are %llu rows",
        tamis_store_path(params->train), (unsigned long long)longest, (unsigned long long)rows);
}

/* --- scoring ---------------------------------------------------------------------------------- */

static tamis_status run(const tamis__scorer_class *scorer, tamis__score_call *call,
                        tamis_error *err)
{
    uint32_t checkpoints = tamis_store_info_get(call->train)->checkpoints;
    call->weight = tamis__calloc(checkpoints, sizeof *call->weight);
    if (!call->weight)
        return tamis__fail_memory(err, "weights", checkpoints * sizeof *call->weight);
    tamis_status status = scorer->run(call, err);
    free(call->weight);
    return status;
}

/* Columns of the scores, after a reduction. */
static tamis_status find_columns(const tamis__scorer_class *scorer, const tamis__score_call *call,
                                 tamis_scores_spec *spec, tamis_examples *columns, tamis_error *err)
{
    tamis__score_output *output = call->output;
    tamis_reduce reduce = output->params->reduce;
    if (scorer->columns) {
        TAMIS_TRY(scorer->columns(call, columns, &spec->queries, err));
        spec->query = columns;
        output->best = spec->queries == 1;
    }
    if (reduce == TAMIS_REDUCE_NONE) return TAMIS_OK;
    if (scorer->columns || !call->query)
        return tamis__fail(err, TAMIS_ERR_ARG, "%s has no columns to be reduced: leave out reduce",
                           scorer->info.name);
    TAMIS_TRY(tamis__reduce_groups(&output->groups, reduce, call->query, err));
    bool one = tamis__reduce_to_one(reduce);
    *columns = (tamis_examples){.id_text = output->groups.name};
    if (one) columns->id_text = &reduce_names[reduce];
    spec->queries = one ? 1 : output->groups.n;
    spec->query = columns;
    return TAMIS_OK;
}

static void fill_report(const tamis__score_output *output, tamis_score_report *ret_report)
{
    if (!ret_report) return;
    *ret_report = (tamis_score_report){.rows = output->rows,
                                       .columns = output->queries,
                                       .skipped = output->skipped,
                                       .resumed = output->resumed,
                                       .kernel = output->report.kernel,
                                       .panel = output->report.panel,
                                       .panel_error = output->report.error,
                                       .panel_rejected = output->report.rejected};
}

static tamis_status write_scores(tamis_context *context, const tamis_score_params *params,
                                 const tamis__scorer_class *scorer, const tamis_param_value *values,
                                 tamis_score_report *ret_report, tamis_error *err)
{
    char name[CANONICAL_SIZE];
    canonical(&scorer->info, values, params->reduce, name);
    tamis_scores_spec spec = {.path = params->path,
                              .rows = tamis_store_info_get(params->train)->rows,
                              .queries = params->query ? tamis_store_info_get(params->query)->rows
                                                       : 1,
                              .scorer = name,
                              .examples = tamis_store_examples(params->train),
                              .query = params->query ? tamis_store_examples(params->query) : NULL,
                              .force = params->force,
                              .provenance = params->provenance};
    tamis__score_output output = {.params = params};
    tamis_examples columns = {0};
    void *column_memory = NULL;
    tamis__score_call call = {.context = context,
                              .train = params->train,
                              .query = params->query,
                              .values = values,
                              .seed = params->seed,
                              .output = &output,
                              .column_memory = &column_memory};
    tamis_status status = find_columns(scorer, &call, &spec, &columns, err);
    if (status == TAMIS_OK) status = tamis__score_output_open(&output, context, &spec, err);
    if (status == TAMIS_OK) status = run(scorer, &call, err);
    if (status == TAMIS_OK) status = tamis__score_output_commit(&output, err);
    if (status == TAMIS_OK) fill_report(&output, ret_report);
    tamis__score_output_fini(&output);
    free(column_memory);
    return status;
}

static tamis_status parse(const char *text, const tamis__scorer_class **ret_scorer,
                          tamis_param_value values[MAX_PARAMS], tamis_error *err)
{
    TAMIS_TRY(find(text, ret_scorer, err));
    const tamis_scorer_info *info = &(*ret_scorer)->info;
    const char *colon = strchr(text, ':');
    return tamis_params_parse(info->params, info->n_params, info->name, colon ? colon + 1 : NULL,
                              values, err);
}

tamis_status tamis_scorer_check(const char *scorer, const tamis_scorer_info **ret_info,
                                tamis_error *err)
{
    const tamis__scorer_class *class = NULL;
    tamis_param_value values[MAX_PARAMS];
    TAMIS_TRY(parse(scorer, &class, values, err));
    if (ret_info) *ret_info = &class->info;
    return TAMIS_OK;
}

tamis_status tamis_score(tamis_context *context, const tamis_score_params *params,
                         tamis_score_report *ret_report, tamis_error *err)
{
    const tamis__scorer_class *scorer = NULL;
    tamis_param_value values[MAX_PARAMS];
    if (!context || !params || !params->scorer || !params->train || !params->path)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "a scorer, a training store and an output are needed");
    TAMIS_TRY(parse(params->scorer, &scorer, values, err));
    TAMIS_TRY(check_stores(params, &scorer->info, context, err));
    TAMIS_TRY(check_lists(params, err));
    return write_scores(context, params, scorer, values, ret_report, err);
}
