/* tamis import: rows or scores made elsewhere.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "names.h"
#include "report.h"
#include "opt_value.h"
#include "store_args.h"

#define MAX_CHECKPOINTS 256

typedef struct import_args {
    common_args common;
    store_args store;
    const char *format, *scores, *labels, *groups, *ids;
    bool flip;
    bool weighted; /* the last --rows has its --learning-rate */
    tamis_import_rows rows[MAX_CHECKPOINTS];
    uint32_t checkpoints;
} import_args;

static tamis_status set_rows(void *cookie, const char *value, tamis_error *err)
{
    import_args *args = cookie;
    if (args->checkpoints == MAX_CHECKPOINTS)
        return fail(err, TAMIS_ERR_ARG, "more than %d --rows", MAX_CHECKPOINTS);
    args->rows[args->checkpoints++] = (tamis_import_rows){.path = value, .learning_rate = 1};
    args->weighted = false;
    return TAMIS_OK;
}

static tamis_import_rows *last_rows(import_args *args)
{
    return args->checkpoints ? &args->rows[args->checkpoints - 1] : NULL;
}

static tamis_status set_learning_rate(void *cookie, const char *value, tamis_error *err)
{
    static const opt description = {
        .name = "learning-rate", .type = OPT_REAL, .flags = OPT_ABOVE, .max = 1e12};
    import_args *args = cookie;
    tamis_import_rows *rows = last_rows(args);
    if (!rows)
        return fail(err, TAMIS_ERR_ARG, "--learning-rate belongs after the --rows that it weighs");
    if (args->weighted)
        return fail(err, TAMIS_ERR_ARG, "'%s' has two --learning-rate: write one after each --rows",
                    rows->path);
    args->weighted = true;
    return opt_set(&description, &rows->learning_rate, value, err);
}

static tamis_status set_tensor(void *cookie, const char *value, tamis_error *err)
{
    tamis_import_rows *rows = last_rows(cookie);
    if (!rows) return fail(err, TAMIS_ERR_ARG, "--tensor belongs after the --rows that holds it");
    if (rows->tensor) return fail(err, TAMIS_ERR_ARG, "'%s' has two --tensor", rows->path);
    rows->tensor = value;
    return TAMIS_OK;
}

#define AT(field) offsetof(import_args, field)

static const opt options[] = {
    {.name = "rows",
     .value = "FILE",
     .help = "rows [N, p] of one checkpoint; once for each checkpoint",
     .type = OPT_CALL,
     .flags = OPT_FILE,
     .set = set_rows,
     .section = "Rows become a store"},
    {.name = "learning-rate",
     .value = "X",
     .help = "weight of the checkpoint named by the --rows before it",
     .type = OPT_CALL,
     .set = set_learning_rate,
     .fallback = "1"},
    {.name = "tensor",
     .value = "NAME",
     .help = "tensor of a safetensors file, after its --rows",
     .type = OPT_CALL,
     .set = set_tensor,
     .fallback = "the only 2-D tensor"},
    {.name = "labels",
     .value = "FILE",
     .help = "classes of the rows, .npy integers [N]",
     .type = OPT_STRING,
     .at = AT(labels),
     .flags = OPT_FILE},
    STORE_OPTIONS(AT(store)),
    {.name = "scores",
     .value = "FILE",
     .help = "scores [N, Q], .npy",
     .type = OPT_STRING,
     .at = AT(scores),
     .flags = OPT_FILE,
     .section = "Scores become a scores file"},
    {.name = "flip",
     .help = "negate: in the source positive means harmful",
     .type = OPT_FLAG,
     .at = AT(flip)},
    {.name = "groups",
     .value = "FILE",
     .help = "groups, .npy integers: of the rows [N], of scores' queries [Q]",
     .type = OPT_STRING,
     .at = AT(groups),
     .flags = OPT_FILE,
     .section = "Both"},
    {.name = "ids",
     .value = "FILE",
     .help = "ids of the rows, one a line",
     .type = OPT_STRING,
     .at = AT(ids),
     .flags = OPT_FILE,
     .fallback = "the row number"},
};

static const operand operands[] = {
    {.name = "FORMAT",
     .help = "format of the files",
     .min = 1,
     .max = 1,
     .at = AT(format),
     .name_at = names_import,
     .strict = true},
};

static tamis_status add_inputs(session *s, const import_args *args, tamis_error *err)
{
    for (uint32_t i = 0; i < args->checkpoints; i++)
        TRY(session_add_input(s, "rows", args->rows[i].path, err));
    TRY(session_add_input(s, "scores", args->scores, err));
    TRY(session_add_input(s, "labels", args->labels, err));
    TRY(session_add_input(s, "groups", args->groups, err));
    return session_add_input(s, "ids", args->ids, err);
}

static tamis_status check(const import_args *args, tamis_error *err)
{
    if (args->checkpoints && args->scores)
        return fail(err, TAMIS_ERR_ARG,
                    "--rows and --scores do not go together: one makes a store, the other a "
                    "scores file");
    if (!args->checkpoints && !args->scores)
        return fail(err, TAMIS_ERR_ARG, "--rows or --scores is missing");
    if (args->flip && !args->scores)
        return fail(err, TAMIS_ERR_ARG, "--flip goes with --scores only");
    if (args->scores &&
        (args->store.resume || args->store.shard_rows || args->store.dtype || args->labels))
        return fail(err, TAMIS_ERR_ARG,
                    "--dtype, --shard-rows, --resume and --labels go with --rows only");
    return TAMIS_OK;
}

static tamis_status report_scores(session *s, tamis_error *err)
{
    progress_end(&s->progress);
    tamis_scores *scores = NULL;
    TRY(tamis_scores_open(&scores, s->context, s->common->output, err));
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    report r;
    report_begin(&r, s);
    report_text(&r, "output", s->common->output);
    report_count(&r, "rows", info->rows);
    report_count(&r, "queries", info->queries);
    report_text(&r, "orientation", TAMIS_ORIENTATION);
    report_seconds(&r, seconds() - s->started);
    report_end(&r);
    tamis_scores_close(&scores);
    return TAMIS_OK;
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    const import_args *args = cookie;
    TRY(check(args, err));
    TRY(add_inputs(s, args, err));
    TRY(session_add_output(s, args->common.output, store_output_flags(&args->store), err));
    tamis_import_params params = {
        .format = args->format,
        .rows = args->rows,
        .checkpoints = args->checkpoints,
        .scores = args->scores,
        .flip = args->flip,
        .labels = args->labels,
        .groups = args->groups,
        .ids = args->ids,
        .output = args->common.output,
        .dtype = (tamis_dtype)args->store.dtype,
        .shard_rows = args->store.shard_rows,
        .force = args->common.force,
        .resume = args->store.resume,
    };
    TRY(session_provenance(s, &params.provenance, err));
    TRY(tamis_import(s->context, &params, err));
    return args->scores ? report_scores(s, err) : store_report(s, err);
}

const command cmd_import = {
    .name = "import",
    .group = "Flow",
    .summary = "make a store or a scores file from rows or scores made elsewhere",
    .synopsis = "FORMAT (--rows FILE [--learning-rate X] ... | --scores FILE) -o OUT.h5 [OPTIONS]",
    .description =
        "Rows [N, p] of one or more checkpoints become a gradient store: gradients, embeddings or "
        "any other "
        "features. Each --rows may be followed by its --learning-rate, the weight of the "
        "checkpoint.\n\n"
        "A matrix of scores [N, Q] becomes a scores file. Scores are positive when training more "
        "on an "
        "example helps the query; --flip converts sources that mean the opposite.\n\n"
        "Digests of the source records are not known, so a manifest is checked by its count only.",
    .examples =
        "# gradients of two checkpoints\n"
        "tamis import npy --rows c1.npy --learning-rate 2e-5 --rows c2.npy --learning-rate 1e-5 "
        "--labels y.npy -o store.h5\n"
        "# scores of another program\n"
        "tamis import npy --scores s.npy -o scores.h5",
    .output = "OUT.h5",
    .options = options,
    .n_options = LEN(options),
    .operands = operands,
    .n_operands = LEN(operands),
    .common = COMMON_WRITES,
    .args_size = sizeof(import_args),
    .run = run,
};
