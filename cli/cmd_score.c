/* tamis score: training examples against queries.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "command.h"
#include "names.h"
#include "report.h"

typedef struct score_args {
    common_args common;
    const char *scorer, *train, *query;
} score_args;

#define AT(field) offsetof(score_args, field)

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
} stores;

static tamis_status score(session *s, const score_args *args, stores *st, tamis_error *err)
{
    const tamis_scorer_info *info = NULL;
    TRY(tamis_scorer_check(args->scorer, &info, err));
    TRY(session_add_input(s, "train", args->train, err));
    TRY(session_add_input(s, "query", args->query, err));
    TRY(session_add_output(s, args->common.output, 0, err));
    TRY(tamis_store_open(&st->train, s->context, args->train, err));
    if (args->query) TRY(tamis_store_open(&st->query, s->context, args->query, err));
    tamis_score_params params = {
        .scorer = args->scorer,
        .train = st->train,
        .query = st->query,
        .path = args->common.output,
        .force = args->common.force,
    };
    TRY(names_note_params(s, info->name, args->scorer, info->params, info->n_params, err));
    TRY(session_provenance(s, &params.provenance, err));
    return tamis_score(s->context, &params, err);
}

static void report_score(const session *s, const score_args *args, const stores *st)
{
    double elapsed = seconds() - s->started;
    const tamis_store_info *train = tamis_store_info_get(st->train);
    uint64_t queries = st->query ? tamis_store_info_get(st->query)->rows : 1;
    report r;
    report_begin(&r, s);
    report_text(&r, "output", args->common.output);
    report_text(&r, "scorer", args->scorer);
    report_count(&r, "rows", train->rows);
    report_count(&r, "queries", queries);
    report_count(&r, "checkpoints", train->checkpoints);
    report_text(&r, "orientation", TAMIS_ORIENTATION);
    report_seconds(&r, elapsed);
    double read = (double)train->rows * (double)train->checkpoints;
    report_rate(&r, "rows_per_second", elapsed > 0 ? read / elapsed : 0, "rows/s");
    report_end(&r);
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    stores st = {0};
    tamis_status status = score(s, cookie, &st, err);
    progress_end(&s->progress);
    if (status == TAMIS_OK) report_score(s, cookie, &st);
    tamis_store_close(&st.query);
    tamis_store_close(&st.train);
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
                "tamis score self --train train.h5 -o self.h5",
    .output = "SCORES.h5",
    .options = options,
    .n_options = LEN(options),
    .operands = operands,
    .n_operands = LEN(operands),
    .common = COMMON_WRITES,
    .args_size = sizeof(score_args),
    .run = run,
};
