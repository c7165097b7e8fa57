/* tamis list: scorers, selectors, formats, models, curvatures and their parameters.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "names.h"
#include "report.h"

typedef struct list_args {
    common_args common;
    const char *what, *name;
} list_args;

#define AT(field) offsetof(list_args, field)

/* A set of names. */
typedef struct catalogue {
    const char *name;    /* as `what` on the command line */
    const char *purpose; /* of formats: what they are for; NULL = none */
    opt_name_fn name_at;
    opt_params_fn params_at;
    const char *(*citation_at)(size_t i);
} catalogue;

static const char *scorer_citation(size_t i)
{
    return tamis_scorer_at(i)->citation;
}

static const char *selector_citation(size_t i)
{
    return tamis_selector_at(i)->citation;
}

static const catalogue catalogues[] = {
    {"scorers", NULL, names_scorer, names_scorer_params, scorer_citation},
    {"selectors", NULL, names_selector, names_selector_params, selector_citation},
    {"formats", "data", names_data, NULL, NULL},
    {"formats", "manifest", names_manifest, names_manifest_params, NULL},
    {"formats", "import", names_import, NULL, NULL},
    {"formats", "export", names_export, NULL, NULL},
    {"models", NULL, names_model, NULL, NULL},
    {"curvatures", NULL, names_curvature, NULL, NULL},
};

static const char *what_at(size_t i, const char **ret_summary)
{
    static const char *const names[][2] = {
        {"scorers", "how tamis score scores"},   {"selectors", "how tamis select chooses"},
        {"formats", "what is read and written"}, {"models", "what tamis train fits"},
        {"curvatures", "what tamis fit fits"},
    };
    if (i >= LEN(names)) return NULL;
    if (ret_summary) *ret_summary = names[i][1];
    return names[i][0];
}

static const operand operands[] = {
    {.name = "WHAT",
     .help = "what to list; everything when left out",
     .max = 1,
     .at = AT(what),
     .name_at = what_at,
     .strict = true},
    {.name = "NAME", .help = "tell everything about this one", .max = 1, .at = AT(name)},
};

/* --- one entry -------------------------------------------------------------------------------- */

static void list_option_type(report *r, const opt *option)
{
    static const char *const types[] = {
        [OPT_FLAG] = "flag",    [OPT_STRING] = "string", [OPT_CHOICE] = "choice",
        [OPT_UINT] = "integer", [OPT_SIZE] = "size",     [OPT_REAL] = "real",
        [OPT_LIST] = "list",    [OPT_CALL] = "string"};
    json_put_text(&r->j, "type", types[option->type]);
    if (option->min < option->max) {
        json_put_real(&r->j, "min", option->min);
        json_put_real(&r->j, "max", option->max);
    }
    if (!option->choices) return;
    json_put_array(&r->j, "choices");
    for (size_t i = 0; option->choices[i]; i++) json_put_text(&r->j, NULL, option->choices[i]);
    json_close(&r->j);
}

/* The options of `tamis train` that shape a model and its training stand for its parameters. */
static void list_train_options(report *r, const char *model)
{
    char term[64], fallback[128];
    const command *train = command_find("train");
    const char *section = "";
    if (r->machine) json_put_array(&r->j, "options");
    for (size_t i = 0; i < train->n_options; i++) {
        const opt *option = &train->options[i];
        if (option->section) section = option->section;
        if (!strcmp(section, "Data") || !strcmp(option->name, "model")) continue;
        bool of_layers = !strcmp(option->name, "hidden") || !strcmp(option->name, "activation");
        if (of_layers && !strcmp(model, "softmax")) continue;
        bool shown = opt_default_text(option, train->defaults, fallback, sizeof fallback);
        if (r->machine) {
            json_put_object(&r->j, NULL);
            json_put_text(&r->j, "name", option->name);
            json_put_text(&r->j, "help", option->help);
            list_option_type(r, option);
            json_put_text(&r->j, "default", shown ? fallback : NULL);
            json_close(&r->j);
        }
        snprintf(term, sizeof term, "--%s", option->name);
        report_line(r, shown ? "    %-20s %s (default %s)" : "    %-20s %s", term, option->help,
                    fallback);
    }
    if (r->machine) json_close(&r->j);
}

/* The options of `tamis select` that a selector heeds; the library refuses the others. */
static bool heeded(const opt *option, unsigned flags)
{
    const unsigned no_value = TAMIS_SELECTOR_STORES | TAMIS_SELECTOR_NO_VALUE;
    bool matrix = flags & TAMIS_SELECTOR_MATRIX, values = !(flags & no_value),
         one_value = values && !matrix;
    const struct {
        const char *name;
        bool heeded;
    } rule[] = {
        {"scores", !(flags & TAMIS_SELECTOR_STORES)},
        {"by", one_value},
        {"train", !matrix},
        {"column", one_value},
        {"query", flags & TAMIS_SELECTOR_STORES},
        {"curvature", flags & TAMIS_SELECTOR_STORES},
        {"budget", !(flags & TAMIS_SELECTOR_NO_BUDGET)},
        {"normalise", values},
        {"add", one_value},
        {"filter", one_value || flags & TAMIS_SELECTOR_LISTS},
        {"cost", flags & TAMIS_SELECTOR_COSTS},
        {"keep", flags & TAMIS_SELECTOR_LISTS},
        {"drop", one_value || flags & TAMIS_SELECTOR_LISTS},
        {"groups", values},
        {"group-by", values},
        {"query-groups", flags & TAMIS_SELECTOR_QUERY_GROUPS},
    };
    for (size_t i = 0; i < LEN(rule); i++)
        if (!strcmp(option->name, rule[i].name)) return rule[i].heeded;
    return false;
}

static const char *needs_of(unsigned flags)
{
    if (flags & TAMIS_SELECTOR_STORES)
        return "--train with the candidates' rows and --query with the targets'";
    if (flags & TAMIS_SELECTOR_MATRIX) return "--scores with every query's score of every row";
    if (flags & TAMIS_SELECTOR_NO_VALUE) return "--scores or --train, to know the rows";
    return "--scores, or --train with --column, or --train with --add";
}

static void list_selector(report *r, unsigned flags, bool whole)
{
    char line[512];
    const command *select = command_find("select");
    int used = snprintf(line, sizeof line, "heeds");
    if (r->machine) json_put_array(&r->j, "heeds");
    for (size_t i = 0; i < select->n_options; i++) {
        const opt *option = &select->options[i];
        if (!heeded(option, flags)) continue;
        if (r->machine) json_put_text(&r->j, NULL, option->name);
        used += snprintf(line + used, sizeof line - (size_t)used, " --%s", option->name);
    }
    if (r->machine) json_close(&r->j);
    if (!whole) return;
    report_line(r, "    needs %s%s", needs_of(flags),
                flags & TAMIS_SELECTOR_NO_BUDGET ? "; decides by itself how many to keep"
                                                 : "; and --budget");
    report_line(r, "    %s", line);
}

/* What the entry needs, for machines. */
static void list_flags(report *r, const catalogue *c, size_t i)
{
    if (!strcmp(c->name, "scorers")) {
        unsigned flags = tamis_scorer_at(i)->flags;
        json_put_bool(&r->j, "needs_query", !(flags & TAMIS_SCORER_NO_QUERY));
        json_put_bool(&r->j, "needs_curvature", flags & TAMIS_SCORER_CURVATURE);
        json_put_bool(&r->j, "takes_curvature",
                      flags & (TAMIS_SCORER_CURVATURE | TAMIS_SCORER_MAY_CURVATURE));
        json_put_bool(&r->j, "has_parts", flags & TAMIS_SCORER_PARTS);
    }
    if (!strcmp(c->name, "selectors")) {
        unsigned flags = tamis_selector_at(i)->flags;
        json_put_bool(&r->j, "needs_budget", !(flags & TAMIS_SELECTOR_NO_BUDGET));
        json_put_bool(&r->j, "needs_values",
                      !(flags & (TAMIS_SELECTOR_NO_VALUE | TAMIS_SELECTOR_STORES)));
        json_put_bool(&r->j, "needs_stores", flags & TAMIS_SELECTOR_STORES);
    }
    if (c->purpose && !strcmp(c->purpose, "manifest"))
        json_put_text(&r->j, "extensions", tamis_manifest_at(i)->extensions);
}

static void list_entry(report *r, const catalogue *c, size_t i, bool whole)
{
    const char *summary = NULL, *name = c->name_at(i, &summary);
    const char *citation = c->citation_at ? c->citation_at(i) : NULL;
    if (r->machine) {
        json_put_object(&r->j, NULL);
        json_put_text(&r->j, "name", name);
        json_put_text(&r->j, "summary", summary);
        if (c->purpose) json_put_text(&r->j, "purpose", c->purpose);
        if (c->citation_at) json_put_text(&r->j, "citation", citation);
        list_flags(r, c, i);
    }
    if (c->purpose)
        report_line(r, "%-12s %-10s %s", name, c->purpose, summary);
    else
        report_line(r, "%-14s %s", name, summary);
    if (whole && citation) report_line(r, "    %s", citation);
    if (!strcmp(c->name, "selectors")) list_selector(r, tamis_selector_at(i)->flags, whole);
    if (c->params_at && (whole || r->machine)) {
        size_t n;
        const tamis_param_desc *params = c->params_at(i, &n);
        report_params(r, params, n);
        if (n == 0) report_line(r, "    no parameters");
    }
    if (!strcmp(c->name, "models") && (whole || r->machine)) list_train_options(r, name);
    if (r->machine) json_close(&r->j);
}

/* Every entry of the catalogues called `what`, or the ones called `name`; how many. */
static size_t list_all(report *r, const char *what, const char *wanted)
{
    const char *name;
    size_t found = 0;
    for (size_t k = 0; k < LEN(catalogues); k++) {
        const catalogue *c = &catalogues[k];
        if (strcmp(c->name, what)) continue;
        for (size_t i = 0; (name = c->name_at(i, NULL)); i++) {
            if (wanted && strcmp(wanted, name)) continue;
            found++;
            if (r) list_entry(r, c, i, wanted != NULL);
        }
    }
    return found;
}

static tamis_status unknown(const list_args *args, tamis_error *err)
{
    const char *names[64], *name;
    size_t n = 0;
    for (size_t k = 0; k < LEN(catalogues); k++) {
        if (strcmp(catalogues[k].name, args->what)) continue;
        for (size_t i = 0; n < LEN(names) && (name = catalogues[k].name_at(i, NULL)); i++)
            names[n++] = name;
    }
    const char *near = tamis_suggest(args->name, names, n);
    if (near)
        return fail(err, TAMIS_ERR_ARG, "there is no '%s' among the %s: did you mean '%s'?",
                    args->name, args->what, near);
    return fail(err, TAMIS_ERR_ARG, "there is no '%s' among the %s: 'tamis list %s' shows them",
                args->name, args->what, args->what);
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    const list_args *args = cookie;
    if (args->name && list_all(NULL, args->what, args->name) == 0) return unknown(args, err);
    report r;
    report_begin(&r, s);
    const char *what;
    for (size_t k = 0; (what = what_at(k, NULL)); k++) {
        if (args->what && strcmp(args->what, what)) continue;
        if (r.machine) json_put_array(&r.j, what);
        if (!args->what) report_line(&r, "%s%s:", k ? "\n" : "", what);
        list_all(&r, what, args->name);
        if (r.machine) json_close(&r.j);
    }
    report_end(&r);
    return TAMIS_OK;
}

const command cmd_list = {
    .name = "list",
    .group = "Look",
    .summary = "list scorers, selectors, formats, models or curvatures",
    .synopsis = "[scorers|selectors|formats|models|curvatures [NAME]] [--json]",
    .description =
        "Lists what can be named on the command line. With a name it tells the paper and the "
        "equation "
        "and every parameter with its type, bounds and default. --json has everything at once.",
    .examples = "# what can score?\ntamis list scorers\n# the parameters of one\ntamis list "
                "selectors threshold",
    .operands = operands,
    .n_operands = LEN(operands),
    .common = COMMON_JSON,
    .args_size = sizeof(list_args),
    .run = run,
};
