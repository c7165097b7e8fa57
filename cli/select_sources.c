/* tamis select: columns, lists and groups from files.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "select.h"

static const char *const normalise_names[] = {"none",    "zscore",       "minmax", "rank",
                                              "softmax", "class-zscore", NULL};

/* --- "FILE#COLUMN:param=value,..." ------------------------------------------------------------ */

static const tamis_param_desc add_params[] = {
    {.name = "weight",
     .help = "what the column is multiplied by",
     .type = TAMIS_PARAM_REAL,
     .min = -1e300,
     .max = 1e300,
     .fallback = 1},
    {.name = "normalise",
     .help = "what is done to the column first",
     .type = TAMIS_PARAM_CHOICE,
     .choices = normalise_names},
    {.name = "id",
     .help = "field with the examples' ids, which records are then found by",
     .type = TAMIS_PARAM_STRING},
};

static const tamis_param_desc cost_params[] = {
    {.name = "id",
     .help = "field with the examples' ids, which records are then found by",
     .type = TAMIS_PARAM_STRING},
};

static const tamis_param_desc filter_params[] = {
    {.name = "min",
     .help = "lowest value that passes",
     .type = TAMIS_PARAM_REAL,
     .min = -1e300,
     .max = 1e300,
     .fallback = (double)NAN},
    {.name = "max",
     .help = "highest value that passes",
     .type = TAMIS_PARAM_REAL,
     .min = -1e300,
     .max = 1e300,
     .fallback = (double)NAN},
    {.name = "low",
     .help = "share of the rows whose lower values do not pass",
     .type = TAMIS_PARAM_REAL,
     .max = 1,
     .fallback = (double)NAN},
    {.name = "high",
     .help = "share of the rows above which values do not pass",
     .type = TAMIS_PARAM_REAL,
     .max = 1,
     .fallback = (double)NAN},
    {.name = "id",
     .help = "field with the examples' ids, which records are then found by",
     .type = TAMIS_PARAM_STRING},
};

/* The text is cut at the last colon that parameters follow. */
static tamis_status cut(select_sources *sources, const char *word, char **ret_spec,
                        char **ret_params, tamis_error *err)
{
    char *text = strdup(word);
    if (!text) return fail_memory(err);
    sources->text[sources->texts++] = text;
    char *colon = strrchr(text, ':');
    if (colon && !strchr(colon, '=')) colon = NULL;
    if (colon) *colon++ = '\0';
    *ret_spec = text;
    *ret_params = colon;
    return TAMIS_OK;
}

/* What columns are loaded for. */
typedef struct candidates {
    const tamis_examples *examples;
    uint64_t rows;
} candidates;

static tamis_status load(select_sources *sources, session *s, const char *spec,
                         const tamis_param_value *id, const candidates *c, double **ret_value,
                         tamis_error *err)
{
    double **value = &sources->value[sources->values];
    if (id->given)
        TRY(tamis_column_join(s->context, spec, id->text, c->examples, c->rows, value, err));
    else
        TRY(tamis_column_load(s->context, spec, c->rows, value, err));
    *ret_value = *value;
    sources->values++;
    return TAMIS_OK;
}

static const char *name_of(const char *spec)
{
    const char *mark = strrchr(spec, '#'), *slash = strrchr(spec, '/');
    return mark ? mark + 1 : slash ? slash + 1 : spec;
}

static tamis_status load_term(select_sources *sources, session *s, const char *word,
                              const candidates *c, tamis_select_term *term, tamis_error *err)
{
    char *spec, *params;
    double *value;
    tamis_param_value param[LEN(add_params)];
    TRY(cut(sources, word, &spec, &params, err));
    TRY(tamis_params_parse(add_params, LEN(add_params), "--add", params, param, err));
    TRY(load(sources, s, spec, &param[2], c, &value, err));
    *term = (tamis_select_term){.value = value,
                                .name = name_of(spec),
                                .weight = param[0].number,
                                .normalise = (tamis_normalise)param[1].number};
    return TAMIS_OK;
}

static tamis_status load_filter(select_sources *sources, session *s, const char *word,
                                const candidates *c, tamis_select_filter *filter, tamis_error *err)
{
    char *spec, *params;
    double *value;
    tamis_param_value p[LEN(filter_params)];
    TRY(cut(sources, word, &spec, &params, err));
    TRY(tamis_params_parse(filter_params, LEN(filter_params), "--filter", params, p, err));
    bool bounds = p[0].given || p[1].given, shares = p[2].given || p[3].given;
    if (bounds == shares)
        return fail(err, TAMIS_ERR_ARG,
                    "--filter '%s': say min=, max= or both, or quantiles as low=, high= or both",
                    word);
    TRY(load(sources, s, spec, &p[4], c, &value, err));
    const tamis_param_value *low = &p[shares ? 2 : 0], *high = &p[shares ? 3 : 1];
    *filter = (tamis_select_filter){.value = value,
                                    .name = name_of(spec),
                                    .low = low->given ? low->number : -HUGE_VAL,
                                    .high = high->given ? high->number : HUGE_VAL,
                                    .quantiles = shares};
    return TAMIS_OK;
}

static tamis_status load_cost(select_sources *sources, session *s, const char *word,
                              const candidates *c, tamis_select_params *params, tamis_error *err)
{
    char *spec, *rest;
    double *value;
    tamis_param_value param[LEN(cost_params)];
    TRY(cut(sources, word, &spec, &rest, err));
    TRY(tamis_params_parse(cost_params, LEN(cost_params), "--cost", rest, param, err));
    TRY(load(sources, s, spec, &param[0], c, &value, err));
    params->cost = value;
    params->cost_name = name_of(spec);
    return TAMIS_OK;
}

/* --- all of them ------------------------------------------------------------------------------ */

/* The file of "FILE#COLUMN:param=value,...". */
static tamis_status announce(select_sources *sources, session *s, const char *role,
                             const char *word, tamis_error *err)
{
    char *path, *params;
    TRY(cut(sources, word, &path, &params, err));
    char *mark = strrchr(path, '#');
    if (mark) *mark = '\0';
    return session_add_input(s, role, path, err);
}

tamis_status select_sources_announce(select_sources *sources, session *s, const select_args *args,
                                     tamis_error *err)
{
    sources->text = calloc(2 * (args->add.n + args->filter.n + 1), sizeof *sources->text);
    if (!sources->text) return fail_memory(err);
    for (size_t i = 0; i < args->add.n; i++)
        TRY(announce(sources, s, "add", args->add.item[i], err));
    for (size_t i = 0; i < args->filter.n; i++)
        TRY(announce(sources, s, "filter", args->filter.item[i], err));
    if (args->cost) TRY(announce(sources, s, "cost", args->cost, err));
    TRY(session_add_input(s, "keep", args->keep, err));
    TRY(session_add_input(s, "drop", args->drop, err));
    TRY(session_add_input(s, "groups", args->groups, err));
    return session_add_input(s, "query_groups", args->query_groups, err);
}

static tamis_status load_columns(select_sources *sources, session *s, const select_args *args,
                                 const candidates *c, tamis_select_params *params, tamis_error *err)
{
    size_t n = args->add.n + args->filter.n + 1;
    sources->value = calloc(n, sizeof *sources->value);
    sources->term = calloc(args->add.n + 1, sizeof *sources->term);
    sources->filter = calloc(args->filter.n + 1, sizeof *sources->filter);
    if (!sources->value || !sources->term || !sources->filter) return fail_memory(err);
    for (size_t i = 0; i < args->add.n; i++)
        TRY(load_term(sources, s, args->add.item[i], c, &sources->term[i], err));
    for (size_t i = 0; i < args->filter.n; i++)
        TRY(load_filter(sources, s, args->filter.item[i], c, &sources->filter[i], err));
    params->term = sources->term;
    params->terms = args->add.n;
    params->filter = sources->filter;
    params->filters = args->filter.n;
    return args->cost ? load_cost(sources, s, args->cost, c, params, err) : TAMIS_OK;
}

static tamis_status load_groups(select_sources *sources, session *s, const select_args *args,
                                uint64_t rows, uint64_t queries, tamis_select_params *params,
                                tamis_error *err)
{
    if (args->groups) {
        TRY(tamis_group_list_load(&sources->group, s->context, args->groups, rows, err));
        params->group = sources->group.group;
        params->group_name = (const char *const *)sources->group.name;
        params->groups = sources->group.groups;
    }
    if (!args->query_groups) return TAMIS_OK;
    if (queries == 0)
        return fail(err, TAMIS_ERR_ARG, "--query-groups goes with --scores, which has the queries");
    TRY(tamis_group_list_load(&sources->query_group, s->context, args->query_groups, queries, err));
    params->query_group = sources->query_group.group;
    params->query_group_name = (const char *const *)sources->query_group.name;
    params->query_groups = sources->query_group.groups;
    return TAMIS_OK;
}

tamis_status select_sources_load(select_sources *sources, session *s, const select_args *args,
                                 uint64_t rows, const tamis_examples *examples, uint64_t queries,
                                 tamis_select_params *params, tamis_error *err)
{
    const candidates c = {examples, rows};
    TRY(load_columns(sources, s, args, &c, params, err));
    TRY(load_groups(sources, s, args, rows, queries, params, err));
    if (args->keep)
        TRY(tamis_rows_load(s->context, args->keep, examples, rows, &sources->keep,
                            &params->n_must_keep, err));
    if (args->drop)
        TRY(tamis_rows_load(s->context, args->drop, examples, rows, &sources->drop,
                            &params->n_must_drop, err));
    params->must_keep = sources->keep;
    params->must_drop = sources->drop;
    return TAMIS_OK;
}

void select_sources_free(select_sources *sources)
{
    for (size_t i = 0; i < sources->values; i++) free(sources->value[i]);
    for (size_t i = 0; i < sources->texts; i++) free(sources->text[i]);
    free(sources->value);
    free(sources->text);
    free(sources->term);
    free(sources->filter);
    free(sources->keep);
    free(sources->drop);
    tamis_group_list_fini(&sources->group);
    tamis_group_list_fini(&sources->query_group);
}
