/* tamis score: training examples against queries.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "candidate_args.h"
#include "command.h"
#include "names.h"
#include "report.h"

typedef struct score_args {
    common_args common;
    const char *scorer, *train, *query, *curvature;
    uint64_t top, bottom;
    double panel_error;
    int reduce, panel, bad_rows, by;
    bool resume;
    candidate_args candidates;
} score_args;

static const score_args defaults = {.panel_error = 1e-3};

#define AT(field) offsetof(score_args, field)

/* By tamis_reduce, tamis_panel and tamis_score_by. */
static const char *const reduce_names[] = {"none",       "mean",      "sum", "max",
                                           "group-mean", "group-max", NULL};
static const char *const panel_names[] = {"auto", "exact", "fast", NULL};
static const char *const by_names[] = {"example", "layer", "token", NULL};
static const char *const bad_rows_names[] = {"error", "skip", NULL};

static const opt options[] = {
    {.name = "train",
     .value = "STORE.h5",
     .help = "gradients of the training examples",
     .type = OPT_STRING,
     .at = AT(train),
     .flags = OPT_REQUIRED | OPT_FILE},
    {.name = "query",
     .value = "STORE.h5",
     .help = "gradients of the queries; not for scorers like self",
     .type = OPT_STRING,
     .at = AT(query),
     .flags = OPT_FILE},
    {.name = "curvature",
     .value = "FILE.h5",
     .help = "what 'tamis fit' made: for scorers like ekfac",
     .type = OPT_STRING,
     .at = AT(curvature),
     .flags = OPT_FILE},
    {.name = "by",
     .value = "PART",
     .help = "what a score is split into, for scorers like ekfac",
     .type = OPT_CHOICE,
     .at = AT(by),
     .choices = by_names,
     .more =
         "layer gives a column for each query and layer, with the id QUERY:LAYER; token gives a "
         "row for each token of the training examples, with the id EXAMPLE:TOKEN, and wants "
         "stores in factor form. Either way the parts add up to the whole score.",
     .section = "Result"},
    {.name = "reduce",
     .value = "HOW",
     .help = "what is made of a row's scores for several queries",
     .type = OPT_CHOICE,
     .at = AT(reduce),
     .choices = reduce_names,
     .more = "With none there is a column for each query. mean, sum and max give one column. "
             "group-mean gives a column for each group of queries, the mean within it; group-max "
             "gives one column, the largest of these. Groups are those of the query store "
             "('tamis grad --group', 'tamis import --groups')."},
    {.name = "top",
     .value = "K",
     .help = "keep only the K best rows of each column; 0 = all scores",
     .type = OPT_UINT,
     .at = AT(top),
     .max = 1e15},
    {.name = "bottom",
     .value = "K",
     .help = "with --top, keep the K worst rows of each column as well",
     .type = OPT_UINT,
     .at = AT(bottom),
     .max = 1e15},
    {.name = "bad-rows",
     .value = "POLICY",
     .help = "training rows that are not finite, or zero where a direction is needed",
     .type = OPT_CHOICE,
     .at = AT(bad_rows),
     .choices = bad_rows_names,
     .more = "With error the run stops and names the row. With skip the row gets no score: it is "
             "in no list, and no selector keeps it."},
    {.name = "resume",
     .help = "keep what is done when the run ends early, and go on from there",
     .type = OPT_FLAG,
     .at = AT(resume),
     .flags = OPT_NEUTRAL,
     .more =
         "What is done lies in a file beside the output, its name with .spool, which is removed "
         "once the output is whole. Only for a whole matrix with a column for each query, so "
         "neither with --top nor with scorers that take no queries."},
    CANDIDATE_OPTIONS(AT(candidates)),
    {.name = "panel",
     .value = "MODE",
     .help = "how queries are held while rows pass by",
     .type = OPT_CHOICE,
     .at = AT(panel),
     .choices = panel_names,
     .more = "With exact they are floats. fast rounds them to bf16 for bf16 rows, and to 16-bit "
             "whole numbers for i8 rows, where the processor is faster with these. auto does so "
             "when the error, measured on a sample of rows and queries against double precision, "
             "is at most --panel-error.",
     .section = "Arithmetic"},
    {.name = "panel-error",
     .value = "X",
     .help = "with --panel auto, the largest error over the largest score",
     .type = OPT_REAL,
     .at = AT(panel_error),
     .flags = OPT_ABOVE,
     .min = 0,
     .max = 1},
};

static const operand operands[] = {
    {.name = "SCORER",
     .help = "how to score: name[:param=value,...]",
     .min = 1,
     .max = 1,
     .at = AT(scorer),
     .name_at = names_scorer,
     .params_at = names_scorer_params},
};

typedef struct stores {
    tamis_store *train, *query;
    tamis_curvature *curvature;
    tamis_candidates *candidates;
    tamis_candidates_report found;
} stores;

static tamis_status score(session *s, const score_args *args, stores *st,
                          tamis_score_report *ret_done, tamis_error *err)
{
    const tamis_scorer_info *info = NULL;
    TRY(tamis_scorer_check(args->scorer, &info, err));
    if (args->bottom && !args->top)
        return fail(err, TAMIS_ERR_ARG, "--bottom comes with --top only: ask for both");
    TRY(session_add_input(s, "train", args->train, err));
    TRY(session_add_input(s, "query", args->query, err));
    TRY(session_add_input(s, "curvature", args->curvature, err));
    TRY(session_add_output(s, args->common.output, 0, err));
    TRY(tamis_store_open(&st->train, s->context, args->train, err));
    if (args->query) TRY(tamis_store_open(&st->query, s->context, args->query, err));
    if (args->curvature)
        TRY(tamis_curvature_open(&st->curvature, s->context, args->curvature, err));
    TRY(candidate_args_read(s, &args->candidates, st->train, st->query, &st->candidates, &st->found,
                            err));
    tamis_score_params params = {
        .scorer = args->scorer,
        .train = st->train,
        .query = st->query,
        .curvature = st->curvature,
        .by = (tamis_score_by)args->by,
        .candidates = st->candidates,
        .path = args->common.output,
        .seed = args->common.seed,
        .reduce = (tamis_reduce)args->reduce,
        .top = args->top,
        .bottom = args->bottom,
        .panel = (tamis_panel)args->panel,
        .panel_error = args->panel_error,
        .skip_bad_rows = args->bad_rows > 0,
        .resume = args->resume,
        .force = args->common.force,
    };
    TRY(names_note_params(s, info->name, args->scorer, info->params, info->n_params, err));
    TRY(session_provenance(s, &params.provenance, err));
    return tamis_score(s->context, &params, ret_done, err);
}

/* Of any size: decimals would show most of them as 0. */
static void report_error(report *r, const char *key, double value)
{
    if (r->machine) json_put_real(&r->j, key, value);
    report_labelled(r, key, "%.2g", value);
}

/* What queries were rounded to, and what that costs. */
static void report_panel(report *r, const tamis_score_report *done)
{
    if (!done->panel) return;
    report_text(r, "kernel", done->kernel);
    report_text(r, "panel", done->panel);
    report_error(r, "panel_error", done->panel_error);
    if (done->panel_rejected > 0) report_error(r, "rejected_error", done->panel_rejected);
}

/* What a low rank cost. */
static void report_ranks(report *r, const tamis_score_report *done)
{
    if (done->spectral_rank) report_count(r, "spectral_rank", done->spectral_rank);
    if (done->query_rank) report_count(r, "query_rank", done->query_rank);
    if (done->rescored) report_count(r, "rescored_pairs", done->rescored);
    if (!done->list_sample) return;
    report_count(r, "compared_lists", done->list_sample);
    report_share(r, "found_of_exact_lists", done->list_recall);
    report_share(r, "found_of_worst_list", done->list_recall_least);
}

static void report_score(const session *s, const score_args *args, const stores *st,
                         const tamis_score_report *done)
{
    double elapsed = seconds() - s->started;
    const tamis_store_info *train = tamis_store_info_get(st->train);
    report r;
    report_begin(&r, s);
    report_text(&r, "output", args->common.output);
    report_text(&r, "scorer", args->scorer);
    report_count(&r, "rows", done->rows);
    report_count(&r, "queries", st->query ? tamis_store_info_get(st->query)->rows : 1);
    report_count(&r, "columns", done->columns);
    report_count(&r, "checkpoints", train->checkpoints);
    if (args->top) report_count(&r, "top", args->top);
    if (args->bottom) report_count(&r, "bottom", args->bottom);
    candidate_args_report(&r, &args->candidates, done->listed, &st->found);
    if (done->skipped) report_count(&r, "skipped", done->skipped);
    if (done->resumed) report_count(&r, "resumed_blocks", done->resumed);
    report_panel(&r, done);
    report_ranks(&r, done);
    report_text(&r, "orientation", TAMIS_ORIENTATION);
    report_seconds(&r, elapsed);
    uint64_t rows = done->listed ? done->listed : train->rows;
    double read = (double)rows * (double)train->checkpoints;
    report_rate(&r, "rows_per_second", elapsed > 0 ? read / elapsed : 0, "rows/s");
    report_end(&r);
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    stores st = {0};
    tamis_score_report done = {0};
    tamis_status status = score(s, cookie, &st, &done, err);
    progress_end(&s->progress);
    if (status == TAMIS_OK) report_score(s, cookie, &st, &done);
    tamis_candidates_free(&st.candidates);
    tamis_store_close(&st.query);
    tamis_store_close(&st.train);
    tamis_curvature_close(&st.curvature);
    return status;
}

const command cmd_score = {
    .name = "score",
    .group = "Flow",
    .summary = "score training examples against queries",
    .synopsis = "SCORER --train STORE.h5 [--query STORE.h5] -o SCORES.h5 [OPTIONS]",
    .description = "Scores every training example against every query from their stored gradients. "
                   "A positive score "
                   "means: training more on this example helps the query (lowers its loss).\n\n"
                   "Results have the same bits for any number of threads, any memory limit and any "
                   "sharding of the "
                   "stores. 'tamis list scorers NAME' tells more about a scorer.",
    .examples = "# influence summed over checkpoints, weighted by their learning rates\n"
                "tamis score tracin --train train.h5 --query validation.h5 -o scores.h5\n"
                "# influence of each example on itself: high for mislabelled and odd ones\n"
                "tamis score self --train train.h5 -o self.h5\n"
                "# the 100 most helpful and the 100 most harmful examples of each query\n"
                "tamis score cosine --train train.h5 --query validation.h5 --top 100 --bottom 100 "
                "-o top.h5\n"
                "# influence under the curvature that 'tamis fit' made, and what each layer adds\n"
                "tamis score ekfac --train train.h5 --query validation.h5 --curvature ekfac.h5 -o "
                "influence.h5\n"
                "tamis score ekfac --train train.h5 --query validation.h5 --curvature ekfac.h5 "
                "--by layer -o layers.h5\n"
                "# queries come in groups: the score for the group that an example serves best\n"
                "tamis score less --train train.h5 --query tasks.h5 -o less.h5\n"
                "# of a million texts, only the 1000 that share most words with each query\n"
                "tamis score tracin --train train.h5 --query q.h5 --candidates 1000 --manifest "
                "train.jsonl --query-manifest q.jsonl --text-field text --top 100 -o top.h5\n"
                "# a column for each group\n"
                "tamis score cosine --train train.h5 --query tasks.h5 --reduce group-mean -o "
                "tasks.scores.h5",
    .output = "SCORES.h5",
    .options = options,
    .n_options = LEN(options),
    .operands = operands,
    .n_operands = LEN(operands),
    .common = COMMON_WRITES,
    .args_size = sizeof(score_args),
    .defaults = &defaults,
    .run = run,
};
