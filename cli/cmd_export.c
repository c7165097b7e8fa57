/* tamis export: parts of files as npy, CSV or JSON Lines.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "names.h"
#include "report.h"

typedef struct export_args {
    common_args common;
    const char *path, *format, *what, *list;
    uint64_t checkpoint;
} export_args;

#define AT(field) offsetof(export_args, field)

/* Every part of every kind, each once. */
static const char *what_at(size_t i, const char **ret_summary)
{
    static const char *const kinds[] = {"gradient-store", "scores", "selection"};
    const char *seen[64], *name;
    size_t n = 0;
    if (ret_summary) *ret_summary = NULL;
    for (size_t k = 0; k < LEN(kinds); k++) {
        for (size_t at = 0; n < LEN(seen) && (name = tamis_export_what_at(kinds[k], at)); at++) {
            bool known = false;
            for (size_t p = 0; p < n && !known; p++) known = !strcmp(seen[p], name);
            if (!known) seen[n++] = name;
        }
    }
    return i < n ? seen[i] : NULL;
}

static const char *list_at(size_t i, const char **ret_summary)
{
    static const char *const names[] = {"top", "bottom"};
    if (ret_summary) *ret_summary = NULL;
    return i < LEN(names) ? names[i] : NULL;
}

static const opt options[] = {
    {.name = "format",
     .value = "FORMAT",
     .help = "what to write",
     .type = OPT_STRING,
     .at = AT(format),
     .name_at = names_export,
     .fallback = "by the output's name"},
    {.name = "what",
     .value = "NAME",
     .help = "which part of the file",
     .type = OPT_STRING,
     .at = AT(what),
     .name_at = what_at,
     .fallback = "gradient of a store, score of scores, table of lists or a selection",
     .more = "Of a selection, row is the kept rows in ascending order, picks the same in order of "
             "choice. Of scores, query-id, query-label and query-group are of the queries, id, "
             "label and group of the training rows; count, mean and variance are "
             "of their columns. Of scores that are lists (score --top), table has a line for each "
             "place of each query's list, best first, and row and score are arrays [Q, K]. CSV and "
             "JSON Lines write labels and groups by "
             "name where the file has names."},
    {.name = "list",
     .value = "END",
     .help = "of scores that are lists, which ones: top or bottom",
     .type = OPT_STRING,
     .at = AT(list),
     .name_at = list_at,
     .fallback = "both in the table, else top"},
    {.name = "checkpoint",
     .value = "N",
     .help = "which checkpoint of a store, from 0",
     .type = OPT_UINT,
     .at = AT(checkpoint),
     .min = 0,
     .max = 1e9},
};

static const operand operands[] = {
    {.name = "FILE",
     .help = "a gradient store, scores or selection",
     .min = 1,
     .max = 1,
     .at = AT(path),
     .file = true},
};

static void report_export(const session *s, const export_args *args)
{
    struct stat st;
    report r;
    report_begin(&r, s);
    report_text(&r, "output", args->common.output);
    if (stat(args->common.output, &st) == 0) report_bytes(&r, "bytes", (uint64_t)st.st_size);
    report_seconds(&r, seconds() - s->started);
    report_end(&r);
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    const export_args *args = cookie;
    TRY(session_check_stream(s, err));
    TRY(session_add_input(s, "input", args->path, err));
    TRY(session_add_output(s, args->common.output, OUTPUT_STREAM, err));
    tamis_export_params params = {
        .input = args->path,
        .format = args->format,
        .what = args->what,
        .list = args->list,
        .checkpoint = (uint32_t)args->checkpoint,
        .output = args->common.output,
        .force = args->common.force,
    };
    TRY(tamis_export(s->context, &params, err));
    progress_end(&s->progress);
    if (!session_streams(s)) report_export(s, args);
    return TAMIS_OK;
}

const command cmd_export = {
    .name = "export",
    .group = "Flow",
    .summary = "write part of a file as npy, CSV or JSON Lines",
    .synopsis = "FILE -o OUT [--format FORMAT] [--what NAME] [OPTIONS]",
    .description = "Writes a part of a store, scores file or selection in a format that other "
                   "programs read. Numbers "
                   "in text are the shortest that read back to the same bits; NaN is nan in CSV "
                   "and null in JSON. The "
                   "output '-' is standard output, for CSV and JSON Lines.",
    .examples = "# scores as an array [N, Q]\ntamis export scores.h5 --format npy -o s.npy\n"
                "# the class of each query\n"
                "tamis export scores.h5 --what query-label -o queries.csv\n"
                "# the best rows of each query, from scores made with --top\ntamis export top.h5 "
                "--format csv -o - | head\n"
                "# kept rows in order of choice\ntamis export keep.h5 --what picks -o picks.npy\n"
                "# look at a selection\ntamis export keep.h5 --format csv -o - | head",
    .output = "OUT",
    .options = options,
    .n_options = LEN(options),
    .operands = operands,
    .n_operands = LEN(operands),
    .common = COMMON_WRITES,
    .args_size = sizeof(export_args),
    .run = run,
};
