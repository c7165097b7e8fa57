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
#define MAX_LAYERS      1024

typedef struct import_args {
    common_args common;
    store_args store;
    const char *format, *scores, *labels, *lengths, *groups, *ids, *offset;
    bool flip, bias;
    bool weighted; /* the last checkpoint has its --learning-rate */
    tamis_import_rows rows[MAX_CHECKPOINTS];
    tamis_import_factors factors[MAX_CHECKPOINTS];
    uint32_t checkpoints; /* of rows, or of factors */
    bool has_factors;
    tamis_import_rows *last; /* what --tensor is of */
    tamis_layer layer[MAX_LAYERS];
    uint32_t layers;
} import_args;

/* Room for another checkpoint, of rows or of factors. */
static tamis_status next_checkpoint(import_args *args, bool factors, tamis_error *err)
{
    if (args->checkpoints && args->has_factors != factors)
        return fail(err, TAMIS_ERR_ARG,
                    "--rows and --input do not go together: a store holds rows or factors");
    if (args->checkpoints == MAX_CHECKPOINTS)
        return fail(err, TAMIS_ERR_ARG, "more than %d checkpoints", MAX_CHECKPOINTS);
    args->has_factors = factors;
    args->weighted = false;
    return TAMIS_OK;
}

static tamis_status set_rows(void *cookie, const char *value, tamis_error *err)
{
    import_args *args = cookie;
    TRY(next_checkpoint(args, false, err));
    args->last = &args->rows[args->checkpoints++];
    *args->last = (tamis_import_rows){.path = value, .learning_rate = 1};
    return TAMIS_OK;
}

static tamis_status set_input(void *cookie, const char *value, tamis_error *err)
{
    import_args *args = cookie;
    TRY(next_checkpoint(args, true, err));
    args->last = &args->factors[args->checkpoints++].input;
    *args->last = (tamis_import_rows){.path = value, .learning_rate = 1};
    return TAMIS_OK;
}

static tamis_status set_output_gradient(void *cookie, const char *value, tamis_error *err)
{
    import_args *args = cookie;
    if (!args->has_factors)
        return fail(err, TAMIS_ERR_ARG, "--output-gradient belongs after the --input it goes with");
    args->last = &args->factors[args->checkpoints - 1].output_gradient;
    if (args->last->path)
        return fail(err, TAMIS_ERR_ARG,
                    "'%s' has two --output-gradient: write one after each "
                    "--input",
                    args->factors[args->checkpoints - 1].input.path);
    args->last->path = value;
    return TAMIS_OK;
}

/* What a checkpoint's weight belongs to. */
static tamis_import_rows *last_checkpoint(import_args *args)
{
    if (!args->checkpoints) return NULL;
    uint32_t k = args->checkpoints - 1;
    return args->has_factors ? &args->factors[k].input : &args->rows[k];
}

static tamis_status set_learning_rate(void *cookie, const char *value, tamis_error *err)
{
    static const opt description = {
        .name = "learning-rate", .type = OPT_REAL, .flags = OPT_ABOVE, .max = 1e12};
    import_args *args = cookie;
    tamis_import_rows *rows = last_checkpoint(args);
    if (!rows)
        return fail(err, TAMIS_ERR_ARG,
                    "--learning-rate belongs after the --rows or --input that it weighs");
    if (args->weighted)
        return fail(err, TAMIS_ERR_ARG, "'%s' has two --learning-rate: write one after each %s",
                    rows->path, args->has_factors ? "--input" : "--rows");
    args->weighted = true;
    return opt_set(&description, &rows->learning_rate, value, err);
}

static tamis_status set_tensor(void *cookie, const char *value, tamis_error *err)
{
    tamis_import_rows *rows = ((import_args *)cookie)->last;
    if (!rows) return fail(err, TAMIS_ERR_ARG, "--tensor belongs after the file that holds it");
    if (rows->tensor) return fail(err, TAMIS_ERR_ARG, "'%s' has two --tensor", rows->path);
    rows->tensor = value;
    return TAMIS_OK;
}

/* A width at the end of "NAME:OUT:IN", which it cuts off. */
static bool take_width(const char *text, size_t *size, uint64_t *ret_width)
{
    static const opt description = {.name = "layer", .type = OPT_UINT, .min = 1, .max = 1e15};
    char number[24];
    size_t at = *size;
    while (at > 0 && text[at - 1] != ':') at--;
    if (at < 2 || *size - at >= sizeof number) return false;
    memcpy(number, text + at, *size - at);
    number[*size - at] = '\0';
    *size = at - 1;
    return opt_set(&description, ret_width, number, NULL) == TAMIS_OK;
}

static tamis_status set_layer(void *cookie, const char *value, tamis_error *err)
{
    static const char bias[] = ":bias";
    import_args *args = cookie;
    size_t size = strlen(value), end = sizeof bias - 1;
    if (args->layers == MAX_LAYERS)
        return fail(err, TAMIS_ERR_ARG, "more than %d --layer", MAX_LAYERS);
    tamis_layer *layer = &args->layer[args->layers];
    layer->bias = size > end && !strcmp(value + size - end, bias);
    if (layer->bias) size -= end;
    if (!take_width(value, &size, &layer->in) || !take_width(value, &size, &layer->out) ||
        size >= sizeof layer->name)
        return fail(err, TAMIS_ERR_ARG,
                    "--layer %.60s: NAME:OUT:IN or NAME:OUT:IN:bias is wanted, for example "
                    "layers.0:512:784:bias",
                    value);
    memcpy(layer->name, value, size);
    args->layers++;
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
     .help = "weight of the checkpoint named by the --rows or --input before it",
     .type = OPT_CALL,
     .set = set_learning_rate,
     .fallback = "1"},
    {.name = "tensor",
     .value = "NAME",
     .help = "tensor of a safetensors file, after its --rows, --input or --output-gradient",
     .type = OPT_CALL,
     .set = set_tensor,
     .fallback = "the only 2-D tensor"},
    {.name = "labels",
     .value = "FILE",
     .help = "classes of the rows, .npy integers [N]",
     .type = OPT_STRING,
     .at = AT(labels),
     .flags = OPT_FILE},
    {.name = "lengths",
     .value = "FILE",
     .help = "tokens of the rows' records, .npy integers [N]: what select --cost FILE#length reads",
     .type = OPT_STRING,
     .at = AT(lengths),
     .flags = OPT_FILE},
    STORE_OPTIONS(AT(store)),
    {.name = "input",
     .value = "FILE",
     .help = "inputs of the layers [T, p], a row for each token, of one checkpoint",
     .type = OPT_CALL,
     .flags = OPT_FILE,
     .set = set_input,
     .section = "Factors become a store"},
    {.name = "output-gradient",
     .value = "FILE",
     .help = "gradients of the layers' outputs [T, q], after the --input they go with",
     .type = OPT_CALL,
     .flags = OPT_FILE,
     .set = set_output_gradient},
    {.name = "offset",
     .value = "FILE",
     .help = "first token of each row and the end, .npy integers [N + 1]",
     .type = OPT_STRING,
     .at = AT(offset),
     .flags = OPT_FILE,
     .fallback = "a row is one token"},
    {.name = "layer",
     .value = "NAME:OUT:IN[:bias]",
     .help = "a layer, in the order in which they lie in the files; once for each",
     .type = OPT_CALL,
     .set = set_layer,
     .fallback = "one layer, as wide as the files",
     .more =
         "The gradient of a layer is the sum over a row's tokens of output gradient times "
         "input. Inputs of a layer with a bias end with a 1: files have it, or all of them lack "
         "it and get it."},
    {.name = "bias",
     .help = "the one layer has a bias; a column of ones is added to the inputs",
     .type = OPT_FLAG,
     .at = AT(bias)},
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
    for (uint32_t i = 0; i < args->checkpoints; i++) {
        if (!args->has_factors) TRY(session_add_input(s, "rows", args->rows[i].path, err));
        if (!args->has_factors) continue;
        TRY(session_add_input(s, "input", args->factors[i].input.path, err));
        TRY(session_add_input(s, "output-gradient", args->factors[i].output_gradient.path, err));
    }
    TRY(session_add_input(s, "offset", args->offset, err));
    TRY(session_add_input(s, "scores", args->scores, err));
    TRY(session_add_input(s, "labels", args->labels, err));
    TRY(session_add_input(s, "lengths", args->lengths, err));
    TRY(session_add_input(s, "groups", args->groups, err));
    return session_add_input(s, "ids", args->ids, err);
}

static tamis_status check(const import_args *args, tamis_error *err)
{
    for (uint32_t i = 0; args->has_factors && i < args->checkpoints; i++)
        if (!args->factors[i].output_gradient.path)
            return fail(err, TAMIS_ERR_ARG, "'%s' has no --output-gradient after it",
                        args->factors[i].input.path);
    if (!args->has_factors && (args->offset || args->layers || args->bias))
        return fail(err, TAMIS_ERR_ARG, "--offset, --layer and --bias go with --input only");
    if (args->layers && args->bias)
        return fail(err, TAMIS_ERR_ARG, "--bias is of the one layer: write NAME:OUT:IN:bias");
    if (args->checkpoints && args->scores)
        return fail(err, TAMIS_ERR_ARG,
                    "--rows and --scores do not go together: one makes a store, the other a "
                    "scores file");
    if (!args->checkpoints && !args->scores)
        return fail(err, TAMIS_ERR_ARG, "--rows, --input or --scores is missing");
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
        .rows = args->has_factors ? NULL : args->rows,
        .factors = args->has_factors ? args->factors : NULL,
        .offset = args->offset,
        .layer = args->layers ? args->layer : NULL,
        .layers = args->layers,
        .bias = args->bias,
        .checkpoints = args->checkpoints,
        .scores = args->scores,
        .flip = args->flip,
        .labels = args->labels,
        .lengths = args->lengths,
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
    .synopsis =
        "FORMAT (--rows FILE ... | --input FILE --output-gradient FILE ... | --scores FILE) "
        "-o OUT.h5 [OPTIONS]",
    .description =
        "Rows [N, p] of one or more checkpoints become a gradient store: gradients, embeddings or "
        "any other "
        "features. Each --rows may be followed by its --learning-rate, the weight of the "
        "checkpoint.\n\n"
        "Factors, the inputs of linear layers and the gradients of their outputs at each token, "
        "become a store in factor form, from which gradients are made when they are needed.\n\n"
        "A matrix of scores [N, Q] becomes a scores file. Scores are positive when training more "
        "on an "
        "example helps the query; --flip converts sources that mean the opposite.\n\n"
        "Digests of the source records are not known, so a manifest is checked by its count only.",
    .examples =
        "# gradients of two checkpoints\n"
        "tamis import npy --rows c1.npy --learning-rate 2e-5 --rows c2.npy --learning-rate 1e-5 "
        "--labels y.npy -o store.h5\n"
        "# two layers' inputs and output gradients, several tokens a row\n"
        "tamis import npy --input a.npy --output-gradient g.npy --offset o.npy "
        "--layer up:3072:768:bias --layer down:768:3072:bias -o factors.h5\n"
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
