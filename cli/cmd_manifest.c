/* tamis manifest: a selection becomes training files.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "names.h"
#include "report.h"

typedef struct manifest_args {
    common_args common;
    const char *selection, *input, *format, *dropped;
    bool no_digests;
} manifest_args;

#define AT(field) offsetof(manifest_args, field)

static const opt options[] = {
    {.name = "selection",
     .value = "SEL.h5",
     .help = "which candidates are kept",
     .type = OPT_STRING,
     .at = AT(selection),
     .flags = OPT_REQUIRED | OPT_FILE},
    {.name = "in",
     .value = "FILE",
     .help = "the file the candidates came from",
     .type = OPT_STRING,
     .at = AT(input),
     .flags = OPT_FILE,
     .more = "index and mask need none; with one, its records are compared with the selection "
             "before the list is written."},
    {.name = "format",
     .value = "FORMAT",
     .help = "what to write; copied records are in the format of the input",
     .type = OPT_STRING,
     .at = AT(format),
     .name_at = names_manifest,
     .fallback = "by the name of the input, or without one of the output"},
    {.name = "dropped",
     .value = "FILE",
     .help = "write the other records here, their reasons beside them",
     .type = OPT_STRING,
     .at = AT(dropped),
     .flags = OPT_NEUTRAL | OPT_FILE,
     .more = "FILE.reasons.csv then holds row, id, score, rank and reason of each of them."},
    {.name = "no-digests",
     .help = "do not compare the records with the digests in the selection",
     .type = OPT_FLAG,
     .at = AT(no_digests)},
};

static void report_manifest(const session *s, const manifest_args *args,
                            const tamis_manifest_result *m)
{
    report r;
    report_begin(&r, s);
    report_text(&r, "output", args->common.output);
    report_count(&r, "records", m->records);
    report_count(&r, "kept", m->kept);
    report_count(&r, "dropped", m->dropped);
    if (args->input || r.machine) report_bytes(&r, "bytes_in", m->bytes_in);
    report_bytes(&r, "bytes_out", m->bytes_out);
    if (args->dropped) report_bytes(&r, "bytes_dropped", m->bytes_dropped);
    if (r.machine) json_put_bool(&r.j, "digests_checked", m->digests_checked);
    if (args->input)
        report_labelled(&r, "digests",
                        m->digests_checked ? "checked: every record is the one that was scored"
                                           : "not checked: only the number of records was");
    report_seconds(&r, seconds() - s->started);
    report_end(&r);
}

/* The library writes this one beside the dropped records. */
static tamis_status add_reasons(session *s, const char *dropped, char **ret_path, tamis_error *err)
{
    if (!dropped) return TAMIS_OK;
    TRY(session_add_output(s, dropped, 0, err));
    if (asprintf(ret_path, "%s.reasons.csv", dropped) < 0) {
        *ret_path = NULL;
        return fail_memory(err);
    }
    return session_add_output(s, *ret_path, 0, err);
}

typedef struct written {
    char *reasons;
    tamis_selection *selection;
    tamis_manifest_result result;
} written;

static tamis_status write_manifest(session *s, const manifest_args *args, written *w,
                                   tamis_error *err)
{
    TRY(session_add_input(s, "selection", args->selection, err));
    TRY(session_add_input(s, "in", args->input, err));
    TRY(session_add_output(s, args->common.output, OUTPUT_STREAM, err));
    TRY(add_reasons(s, args->dropped, &w->reasons, err));
    TRY(tamis_selection_load(&w->selection, s->context, args->selection, err));
    tamis_manifest_params params = {
        .selection = w->selection,
        .format = args->format,
        .input = args->input,
        .output = args->common.output,
        .dropped = args->dropped,
        .force = args->common.force,
        .no_digests = args->no_digests,
    };
    return tamis_manifest_write(s->context, &params, &w->result, err);
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    const manifest_args *args = cookie;
    TRY(session_check_stream(s, err));
    written w = {0};
    tamis_status status = write_manifest(s, args, &w, err);
    progress_end(&s->progress);
    if (status == TAMIS_OK && !session_streams(s)) report_manifest(s, args, &w.result);
    tamis_selection_free(&w.selection);
    free(w.reasons);
    return status;
}

const command cmd_manifest = {
    .name = "manifest",
    .group = "Flow",
    .summary = "write the training file that a selection stands for",
    .synopsis = "--selection SEL.h5 [--in FILE] -o OUT [OPTIONS]",
    .description =
        "Copies the kept records of the file that the candidates came from, byte for "
        "byte and in their "
        "order, or writes their row numbers or a mask. Nothing is re-serialised: "
        "quoting, line ends and "
        "invalid UTF-8 stay as they are. A missing last newline is completed. Blank lines are "
        "not records and are not copied (JSON Lines and CSV).\n\n"
        "The number of records, and where the selection has them the digests of the "
        "records, must match, "
        "or nothing is written. Row numbers and masks are checked so when --in is given.",
    .examples =
        "# the kept lines, and the others with the reason\n"
        "tamis manifest --selection keep.h5 --in train.jsonl -o kept.jsonl --dropped "
        "dropped.jsonl\n"
        "# row numbers for a data loader\n"
        "tamis manifest --selection keep.h5 --in train.jsonl --format index-npy -o rows.npy",
    .output = "OUT",
    .options = options,
    .n_options = LEN(options),
    .common = COMMON_WRITES,
    .args_size = sizeof(manifest_args),
    .run = run,
};
