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
#include "curvature/spectra.h"
#include "score/match.h"
#include "score/output.h"
#include "score/token_rows.h"

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

/* By tamis_reduce and tamis_score_by. */
static const char *const reduce_names[] = {"none", "mean", "sum", "max", "group-mean", "group-max"};
static const char *const by_names[] = {"example", "layer", "token"};

/* "name:param=value,..." with every parameter in force, the reduction and the parts. */
static void canonical(const tamis__scorer_class *scorer, const tamis_param_value *values,
                      const tamis_score_params *params, char buffer[CANONICAL_SIZE])
{
    const tamis_scorer_info *info = &scorer->info;
    bool either = info->flags & TAMIS_SCORER_MAY_CURVATURE;
    size_t first = either && params->curvature ? scorer->plain : 0;
    size_t end = either && !params->curvature ? scorer->plain : info->n_params;
    size_t used = (size_t)snprintf(buffer, CANONICAL_SIZE, "%s", info->name);
    for (size_t i = first; i < end && used < CANONICAL_SIZE; i++) {
        char text[TAMIS_PARAM_TEXT_SIZE];
        value_text(&info->params[i], &values[i], text);
        used += (size_t)snprintf(buffer + used, CANONICAL_SIZE - used, "%c%s=%s",
                                 i > first ? ',' : ':', info->params[i].name, text);
    }
    if (params->reduce != TAMIS_REDUCE_NONE && used < CANONICAL_SIZE)
        used += (size_t)snprintf(buffer + used, CANONICAL_SIZE - used, " reduced by %s",
                                 reduce_names[params->reduce]);
    if (params->by != TAMIS_BY_EXAMPLE && used < CANONICAL_SIZE)
        snprintf(buffer + used, CANONICAL_SIZE - used, " by %s", by_names[params->by]);
}

/* --- scoring ---------------------------------------------------------------------------------- */

/* The writer checks this too, but does not know which store has so few rows. */
static tamis_status check_lists(const tamis_score_params *params, uint64_t rows, tamis_error *err)
{
    uint64_t longest = params->top > params->bottom ? params->top : params->bottom;
    if (longest <= rows) return TAMIS_OK;
    return tamis__fail(
        err, TAMIS_ERR_ARG, "'%s': lists of %llu rows are asked for, there are %llu rows",
        tamis_store_path(params->train), (unsigned long long)longest, (unsigned long long)rows);
}

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
    uint64_t own = 0;
    if (scorer->columns) TAMIS_TRY(scorer->columns(call, columns, &own, err));
    TAMIS_TRY(tamis__filter_check(output->params, &scorer->info, own, err));
    if (own) {
        spec->queries = own;
        spec->query = columns;
        output->best = own == 1;
    }
    if (reduce == TAMIS_REDUCE_NONE) return TAMIS_OK;
    if (own || !call->query)
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

/* Rows of the scores: examples, or their tokens. */
static tamis_status find_rows(const tamis_score_params *params, tamis__token_rows *tokens,
                              tamis_scores_spec *spec, tamis_error *err)
{
    if (params->by == TAMIS_BY_TOKEN) {
        uint32_t checkpoint = 0;
        TAMIS_TRY(tamis__curvature_checkpoint(params->curvature, params->train, &checkpoint, err));
        TAMIS_TRY(tamis__token_rows_init(tokens, params->train, checkpoint, err));
        spec->rows = tokens->rows;
        spec->examples = &tokens->examples;
    }
    return check_lists(params, spec->rows, err);
}

static void fill_report(const tamis__score_output *output, tamis_score_report *ret_report)
{
    if (!ret_report) return;
    *ret_report = (tamis_score_report){.rows = output->rows,
                                       .columns = output->queries,
                                       .skipped = output->skipped,
                                       .listed = output->filter.listed,
                                       .resumed = output->resumed,
                                       .kernel = output->report.kernel,
                                       .panel = output->report.panel,
                                       .panel_error = output->report.error,
                                       .panel_rejected = output->report.rejected,
                                       .spectral_rank = output->stages.spectral_rank,
                                       .query_rank = output->stages.query_rank,
                                       .rescored = output->stages.rescored,
                                       .list_sample = output->stages.sample,
                                       .list_recall = output->stages.recall_mean,
                                       .list_recall_least = output->stages.recall_min};
}

static tamis_status write_scores(tamis_context *context, const tamis_score_params *params,
                                 const tamis__scorer_class *scorer, const tamis_param_value *values,
                                 tamis_score_report *ret_report, tamis_error *err)
{
    char name[CANONICAL_SIZE];
    canonical(scorer, values, params, name);
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
    tamis__token_rows tokens = {0};
    tamis_examples columns = {0};
    void *column_memory = NULL;
    tamis__score_call call = {.context = context,
                              .train = params->train,
                              .query = params->query,
                              .curvature = params->curvature,
                              .candidates = params->candidates,
                              .by = params->by,
                              .top = params->top,
                              .values = values,
                              .seed = params->seed,
                              .output = &output,
                              .column_memory = &column_memory};
    tamis_status status = find_rows(params, &tokens, &spec, err);
    if (status == TAMIS_OK) status = find_columns(scorer, &call, &spec, &columns, err);
    if (status == TAMIS_OK) status = tamis__score_output_open(&output, context, &spec, err);
    if (status == TAMIS_OK) status = run(scorer, &call, err);
    if (status == TAMIS_OK) status = tamis__score_output_commit(&output, err);
    if (status == TAMIS_OK) fill_report(&output, ret_report);
    tamis__score_output_fini(&output);
    free(column_memory);
    tamis__token_rows_fini(&tokens);
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
    TAMIS_TRY(tamis__score_match(params, &scorer->info, context, err));
    return write_scores(context, params, scorer, values, ret_report, err);
}
