/* tamis select: which examples to keep.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "select.h"
#include "tallies.h"

#define AT(field) offsetof(select_args, field)

static const char *const normalise_names[] = {"none",    "zscore",       "minmax", "rank",
                                              "softmax", "class-zscore", NULL};
static const char *const by_names[] = {"total", "mean", "max", NULL};

static const char *column_at(size_t i, const char **ret_summary)
{
    static const char *const names[] = {"length", "loss", "margin", "norm", "self"};
    if (ret_summary) *ret_summary = NULL;
    return i < LEN(names) ? names[i] : NULL;
}

static const opt options[] = {
    {.name = "scores",
     .value = "SCORES.h5",
     .help = "choose by these scores",
     .type = OPT_STRING,
     .at = AT(scores),
     .flags = OPT_FILE},
    {.name = "by",
     .value = "HOW",
     .help = "how an example's scores become one value",
     .type = OPT_CHOICE,
     .at = AT(by),
     .choices = by_names,
     .more =
         "Scores made with --top allow max only, or any when there is one query: the value of an "
         "example is its largest score in the top lists that hold it, and examples in no list "
         "are dropped."},
    {.name = "train",
     .value = "STORE.h5",
     .help = "or by a column of this store",
     .type = OPT_STRING,
     .at = AT(train),
     .flags = OPT_FILE},
    {.name = "column",
     .value = "NAME",
     .help = "which column of the store",
     .type = OPT_STRING,
     .at = AT(column),
     .name_at = column_at,
     .more = "loss, margin and norm are those of the last checkpoint; self is the squared norm, "
             "weighted and "
             "summed over checkpoints."},
    {.name = "query",
     .value = "STORE.h5",
     .help = "or by the rows of --train and those of this store, the targets",
     .type = OPT_STRING,
     .at = AT(query),
     .flags = OPT_FILE,
     .more = "For selectors that look at the rows themselves. Rows are summed over checkpoints."},
    {.name = "curvature",
     .value = "WHITEN.h5",
     .help = "with --query: whiten rows by this",
     .type = OPT_STRING,
     .at = AT(curvature),
     .flags = OPT_FILE,
     .fallback = "fitted to both stores",
     .more = "Of kind whiten; without it the same is done as by 'tamis fit whiten' with its "
             "defaults, and forgotten."},
    {.name = "budget",
     .value = "N|P%",
     .help = "how many to keep: a count, or a percentage of the rows",
     .type = OPT_STRING,
     .at = AT(budget),
     .more = "With --cost it is in the unit of costs: an amount, or a percentage of all costs "
             "together."},
    {.name = "normalise",
     .value = "HOW",
     .help = "what is done to each query's scores, or the column, first",
     .type = OPT_CHOICE,
     .at = AT(normalise),
     .choices = normalise_names,
     .fallback = "none; zscore for bids"},
    {.name = "add",
     .value = "FILE#COLUMN[:weight=W,normalise=HOW,id=FIELD]",
     .help = "add this column to the value; may be repeated",
     .type = OPT_LIST,
     .at = AT(add),
     .section = "Other columns",
     .more =
         "A value of each example in its order: length, loss, margin, norm or self of a gradient "
         "store, "
         "total, mean or max of a scores file, a field of a CSV, TSV or JSON Lines file, or a .npy "
         "array "
         "(no #COLUMN). It is normalised by itself, multiplied, and added. With id= the records of "
         "a "
         "CSV, TSV or JSON Lines file stand in any order, and are found by the examples' ids in "
         "that field; so for --filter and --cost."},
    {.name = "filter",
     .value = "FILE#COLUMN:min=A,max=B[,id=FIELD]",
     .help = "keep only examples within these bounds; may be repeated",
     .type = OPT_LIST,
     .at = AT(filter),
     .more =
         "low=P and high=P instead are quantiles: low=0.85 lets the highest 15% pass. An example "
         "without a value does not pass."},
    {.name = "cost",
     .value = "FILE#COLUMN[:id=FIELD]",
     .help = "what each example costs, such as its tokens",
     .type = OPT_STRING,
     .at = AT(cost),
     .more = "Examples are then taken by value over cost while the budget lasts."},
    {.name = "keep",
     .value = "FILE",
     .help = "ids of examples that must be kept, one a line",
     .type = OPT_STRING,
     .at = AT(keep),
     .flags = OPT_FILE,
     .section = "Lists and groups",
     .more = "They count towards the budget. Where examples have no ids, row numbers."},
    {.name = "drop",
     .value = "FILE",
     .help = "ids of examples that must not be kept, one a line",
     .type = OPT_STRING,
     .at = AT(drop),
     .flags = OPT_FILE},
    {.name = "groups",
     .value = "FILE",
     .help = "groups of the examples: a name a line, or .npy integers",
     .type = OPT_STRING,
     .at = AT(groups),
     .flags = OPT_FILE,
     .fallback = "the file's groups, else its labels",
     .more = "Looked at by stratified:by=group, and by class-zscore with any selector."},
    {.name = "group-by",
     .value = "WHAT",
     .help = "take the file's groups, or its labels: group or label",
     .type = OPT_STRING,
     .at = AT(group_by)},
    {.name = "query-groups",
     .value = "FILE",
     .help = "groups of the queries, such as tasks: a name a line, or .npy integers",
     .type = OPT_STRING,
     .at = AT(query_groups),
     .flags = OPT_FILE,
     .fallback = "those of the scores file",
     .more = "Looked at by task-max, round-robin:by=group and bids:by=group."},
    {.name = "explain",
     .value = "ID",
     .help = "say why this example is in or out; may be repeated",
     .type = OPT_LIST,
     .at = AT(explain),
     .flags = OPT_NEUTRAL},
};

static const operand operands[] = {
    {.name = "SELECTOR",
     .help = "how to choose: name[:param=value,...]",
     .min = 1,
     .max = 1,
     .at = AT(selector),
     .name_at = names_selector,
     .params_at = names_selector_params},
};

/* --- report ----------------------------------------------------------------------------------- */

typedef struct range {
    float low, high;
} range;

/* Of kept rows, or of all; NaN when there is none. */
static range score_range(const tamis_selection *sel, bool kept_only)
{
    range found = {NAN, NAN};
    for (uint64_t i = 0; i < sel->rows; i++) {
        if ((kept_only && !sel->keep[i]) || isnan(sel->score[i])) continue;
        if (!(sel->score[i] >= found.low)) found.low = sel->score[i];
        if (!(sel->score[i] <= found.high)) found.high = sel->score[i];
    }
    return found;
}

static void report_range(report *r, const char *key, range found)
{
    if (r->machine) {
        json_put_array(&r->j, key);
        json_put_float(&r->j, NULL, found.low);
        json_put_float(&r->j, NULL, found.high);
        json_close(&r->j);
    }
    if (isnan(found.low))
        report_labelled(r, key, "none");
    else
        report_labelled(r, key, "%.6g to %.6g", (double)found.low, (double)found.high);
}

/* A selector that looks at no value leaves scores that mean nothing. */
static bool has_scores(const tamis_selection *sel)
{
    const tamis_selector_info *info;
    size_t size = strcspn(sel->selector, ":");
    for (size_t i = 0; (info = tamis_selector_at(i)); i++)
        if (strlen(info->name) == size && !memcmp(info->name, sel->selector, size))
            return !(info->flags & TAMIS_SELECTOR_NO_VALUE);
    return true;
}

static tamis_status report_selection(const session *s, const select_args *args,
                                     const tamis_selection *sel, tamis_error *err)
{
    char kept[32], rows[32];
    report r;
    report_begin(&r, s);
    report_text(&r, "output", s->common->output);
    report_text(&r, "selector", sel->selector);
    if (r.machine) {
        json_put_uint(&r.j, "rows", sel->rows);
        json_put_uint(&r.j, "kept", sel->kept);
    }
    report_labelled(&r, "kept", "%s of %s (%.2f%%)", count_text(sel->kept, kept, sizeof kept),
                    count_text(sel->rows, rows, sizeof rows),
                    100.0 * (double)sel->kept / (double)sel->rows);
    if (has_scores(sel)) {
        report_range(&r, "score_kept", score_range(sel, true));
        report_range(&r, "score_all", score_range(sel, false));
    }
    tamis_status status = tallies_report(&r, sel, err);
    if (status == TAMIS_OK) status = select_explain(&r, sel, &args->explain, err);
    report_end(&r);
    return status;
}

/* --- run -------------------------------------------------------------------------------------- */

/* A selector that looks at two stores. */
static tamis_status check_stores(const select_args *args, const char *name, tamis_error *err)
{
    const char *other = args->scores ? "--scores" : args->column ? "--column" : NULL;
    if (other)
        return fail(err, TAMIS_ERR_ARG, "%s looks at the rows of --train and --query: leave out %s",
                    name, other);
    if (!args->train || !args->query)
        return fail(err, TAMIS_ERR_ARG, "%s needs --train CANDIDATES.h5 and --query TARGETS.h5",
                    name);
    return TAMIS_OK;
}

/* Only where scores are to become one value; the library cannot tell a given default from none. */
static tamis_status check_by(const session *s, const select_args *args,
                             const tamis_selector_info *info, tamis_error *err)
{
    const unsigned others = TAMIS_SELECTOR_STORES | TAMIS_SELECTOR_MATRIX | TAMIS_SELECTOR_NO_VALUE;
    if (!invocation_has(s->invocation, "by")) return TAMIS_OK;
    if (info->flags & others)
        return fail(err, TAMIS_ERR_ARG, "%s does not heed --by: leave it out", info->name);
    if (!args->scores) return fail(err, TAMIS_ERR_ARG, "--by goes with --scores");
    return TAMIS_OK;
}

static tamis_status check(const select_args *args, const tamis_selector_info *info,
                          tamis_error *err)
{
    if (info->flags & TAMIS_SELECTOR_STORES) return check_stores(args, info->name, err);
    if (args->query || args->curvature)
        return fail(err, TAMIS_ERR_ARG, "--%s goes with selectors that look at rows, not with %s",
                    args->query ? "query" : "curvature", info->name);
    if (args->scores && args->train)
        return fail(err, TAMIS_ERR_ARG,
                    "--scores and --train do not go together: one of them is wanted");
    if (args->train && !args->column && args->add.n == 0 &&
        !(info->flags & TAMIS_SELECTOR_NO_VALUE))
        return TAMIS_OK; /* the library says what is missing */
    if (!args->scores && !args->train)
        return fail(err, TAMIS_ERR_ARG,
                    "--scores SCORES.h5, or --train STORE.h5 --column NAME, is missing");
    if (args->column && args->scores)
        return fail(err, TAMIS_ERR_ARG, "--column goes with --train, not with --scores");
    return TAMIS_OK;
}

typedef struct chosen {
    tamis_scores *scores;
    tamis_store *store, *query;
    tamis_curvature *curvature;
    select_sources sources;
    tamis_selection *selection;
} chosen;

static tamis_status load_sources(chosen *c, session *s, const select_args *args,
                                 tamis_select_params *params, tamis_error *err)
{
    const tamis_scores_info *scores = c->scores ? tamis_scores_info_get(c->scores) : NULL;
    uint64_t rows = scores ? scores->rows : tamis_store_info_get(c->store)->rows;
    const tamis_examples *examples = scores ? &scores->examples : tamis_store_examples(c->store);
    TRY(select_check_ids(examples, rows, &args->explain, err));
    return select_sources_load(&c->sources, s, args, rows, examples, scores ? scores->queries : 0,
                               params, err);
}

/* Options in force: the parameters of the selector, and what it does where --normalise is not
 * given. */
static tamis_status note_defaults(session *s, const select_args *args,
                                  const tamis_selector_info *info, tamis_error *err)
{
    if (info->flags & TAMIS_SELECTOR_ZSCORE && !invocation_has(s->invocation, "normalise"))
        TRY(session_note_text(s, "normalise", normalise_names[TAMIS_NORMALISE_ZSCORE], err));
    return names_note_params(s, info->name, args->selector, info->params, info->n_params, err);
}

static tamis_status choose(session *s, const select_args *args, chosen *c, tamis_error *err)
{
    const tamis_selector_info *info = NULL;
    TRY(tamis_selector_check(args->selector, &info, err));
    TRY(check(args, info, err));
    TRY(check_by(s, args, info, err));
    TRY(session_add_input(s, "scores", args->scores, err));
    TRY(session_add_input(s, "train", args->train, err));
    TRY(session_add_input(s, "query", args->query, err));
    TRY(session_add_input(s, "curvature", args->curvature, err));
    TRY(select_sources_announce(&c->sources, s, args, err));
    TRY(session_add_output(s, args->common.output, 0, err));
    if (args->scores) TRY(tamis_scores_open(&c->scores, s->context, args->scores, err));
    if (args->train) TRY(tamis_store_open(&c->store, s->context, args->train, err));
    if (args->query) TRY(tamis_store_open(&c->query, s->context, args->query, err));
    if (args->curvature) TRY(tamis_curvature_open(&c->curvature, s->context, args->curvature, err));
    bool stores = info->flags & TAMIS_SELECTOR_STORES;
    tamis_select_params params = {
        .selector = args->selector,
        .scores = c->scores,
        .store = stores ? NULL : c->store,
        .train = stores ? c->store : NULL,
        .query = c->query,
        .curvature = c->curvature,
        .column = args->column,
        .by = (tamis_aggregate)args->by,
        .budget = args->budget,
        .seed = args->common.seed,
        .normalise = (tamis_normalise)args->normalise,
        .normalise_given = invocation_has(s->invocation, "normalise"),
        .group_by = args->group_by,
    };
    TRY(load_sources(c, s, args, &params, err));
    TRY(note_defaults(s, args, info, err));
    TRY(session_provenance(s, &params.provenance, err));
    TRY(tamis_select(&c->selection, s->context, &params, err));
    return tamis_selection_save(c->selection, s->context, args->common.output, args->common.force,
                                err);
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    chosen c = {0};
    tamis_status status = choose(s, cookie, &c, err);
    progress_end(&s->progress);
    if (status == TAMIS_OK) status = report_selection(s, cookie, c.selection, err);
    tamis_selection_free(&c.selection);
    select_sources_free(&c.sources);
    tamis_store_close(&c.store);
    tamis_store_close(&c.query);
    tamis_curvature_close(&c.curvature);
    tamis_scores_close(&c.scores);
    return status;
}

const command cmd_select = {
    .name = "select",
    .group = "Flow",
    .summary = "choose which examples to keep",
    .synopsis = "SELECTOR (--scores SCORES.h5 | --train STORE.h5 --column NAME | --train STORE.h5 "
                "--query STORE.h5) --budget N|P% -o SEL.h5 [OPTIONS]",
    .description =
        "Chooses examples by their scores, or by a column of their gradient store, and writes one "
        "row for "
        "each candidate: whether it is kept, its rank, and why. Ties go to the lower row. Examples "
        "without a score are "
        "never kept, whatever the selector; a percentage is one of all examples.\n\n"
        "bids, round-robin, task-max and others look at the scores of every query. tarot-fixed, "
        "tarot-otm, "
        "knn-uniform and knn-kde choose by the rows themselves, those near to targets; tarot-otm "
        "needs no "
        "budget.\n\n"
        "'tamis list selectors NAME' tells what a selector needs and heeds, and its parameters. "
        "'tamis select diff A.h5 B.h5' compares two selections, and 'tamis select explain SEL.h5 "
        "ID' says why an example is in or out of one (also 'tamis diff' and 'tamis explain').",
    .examples =
        "# the half that helps most, over all queries together\n"
        "tamis select top --scores scores.h5 --budget 50% -o keep.h5\n"
        "# leave out the tenth that influences itself most\n"
        "tamis select bottom --train train.h5 --column self --budget 90% -o keep.h5\n"
        "# every task in turn has its say, within two million tokens\n"
        "tamis select bids --scores scores.h5 --cost tokens.csv#tokens --budget 2000000 -o "
        "keep.h5\n"
        "# influence and effort together, none of the longest tenth\n"
        "tamis select top --scores scores.h5 --normalise minmax --add 'effort.h5#norm:weight=0.3,"
        "normalise=minmax' --filter 'tokens.csv#tokens:high=0.9' --budget 10% -o keep.h5\n"
        "# those that look most like the targets\n"
        "tamis select tarot-fixed --train train.h5 --query targets.h5 --budget 5% -o keep.h5",
    .output = "SEL.h5",
    .options = options,
    .n_options = LEN(options),
    .operands = operands,
    .n_operands = LEN(operands),
    .common = COMMON_WRITES,
    .args_size = sizeof(select_args),
    .run = run,
};
