/* tamis manifest: a selection becomes training files.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "names.h"
#include "report.h"
#include "tallies.h"

typedef struct manifest_args {
    common_args common;
    const char *selection, *format, *dropped, *split, *repeats, *id_field;
    opt_list input;
    int order, split_by;
    uint64_t shuffle, split_seed;
    bool shuffled, no_digests, dry_run, dvc;
} manifest_args;

enum { MAX_SPLITS = 64 };

static const manifest_args defaults = {.order = TAMIS_MANIFEST_SOURCE};

#define AT(field) offsetof(manifest_args, field)

static const char *const order_names[] = {"source", "score", "shuffle", NULL};
static const char *const split_by_names[] = {"row", "group", NULL};

/* A seed asks for what it is the seed of. */
static tamis_status set_shuffle(void *cookie, const char *value, tamis_error *err)
{
    manifest_args *args = cookie;
    char *end;
    errno = 0;
    args->shuffle = strtoull(value, &end, 10);
    args->shuffled = true;
    if (*value >= '0' && *value <= '9' && !*end && !errno) return TAMIS_OK;
    return fail(err, TAMIS_ERR_ARG, "--shuffle '%s' is not a whole number of at least 0", value);
}

static const opt options[] = {
    {.name = "selection",
     .value = "SEL.h5",
     .help = "which candidates are kept",
     .type = OPT_STRING,
     .at = AT(selection),
     .flags = OPT_REQUIRED | OPT_FILE},
    {.name = "in",
     .value = "FILE",
     .help = "the file the candidates came from; may be repeated",
     .type = OPT_LIST,
     .at = AT(input),
     .flags = OPT_FILE,
     .more =
         "Of several files the rows go on from one to the next, in the order given. .gz and .zst "
         "are expanded. Lists of rows need none; with one, its records are compared with the "
         "selection before the list is written."},
    {.name = "format",
     .value = "FORMAT",
     .help = "what to write; copied records are in the format of the input",
     .type = OPT_STRING,
     .at = AT(format),
     .name_at = names_manifest,
     .more = "Parameters follow the name: nemo:mode=skipme. 'tamis list formats NAME' tells them.",
     .fallback = "by the name of the input, or without one of the output"},
    {.name = "dropped",
     .value = "FILE",
     .help = "write the other records here, their reasons beside them",
     .type = OPT_STRING,
     .at = AT(dropped),
     .flags = OPT_NEUTRAL | OPT_FILE,
     .more = "FILE.reasons.csv then holds row, id, score, rank and reason of each of them."},
    {.name = "order",
     .value = "HOW",
     .help = "in which order kept records are written",
     .type = OPT_CHOICE,
     .at = AT(order),
     .choices = order_names,
     .more = "score: as they were chosen, first comes first; shuffle: at random."},
    {.name = "shuffle",
     .value = "SEED",
     .help = "--order shuffle, drawn from this seed",
     .type = OPT_CALL,
     .set = set_shuffle,
     .fallback = "that of --seed"},
    {.name = "split",
     .value = "NAME=SHARE,...",
     .help = "several outputs of kept records, such as train=0.9,valid=0.1",
     .type = OPT_STRING,
     .at = AT(split),
     .more =
         "The name takes the place of {} in the output's name. Shares are divided by their sum."},
    {.name = "split-by",
     .value = "WHAT",
     .help = "what is drawn: rows, or whole groups (labels where there are none)",
     .type = OPT_CHOICE,
     .at = AT(split_by),
     .choices = split_by_names,
     .more = "Rows in no group are drawn one by one."},
    {.name = "split-seed",
     .value = "SEED",
     .help = "seed of --split",
     .type = OPT_UINT,
     .at = AT(split_seed),
     .fallback = "that of --seed"},
    {.name = "repeats",
     .value = "N",
     .help = "write N records in all, each kept one as often as its weight says",
     .type = OPT_STRING,
     .at = AT(repeats),
     .more =
         "Rounded by largest remainder, ties to the lower row. A record whose share rounds to 0 is "
         "not written. N% is a percentage of the rows."},
    {.name = "id-field",
     .value = "NAME",
     .help = "compare this field of the records with the ids in the selection",
     .type = OPT_STRING,
     .at = AT(id_field)},
    {.name = "dry-run",
     .help = "read and check everything, write nothing, and say what would be written",
     .type = OPT_FLAG,
     .at = AT(dry_run),
     .flags = OPT_NEUTRAL},
    {.name = "dvc",
     .help = "beside each file or directory FILE.dvc with its MD5 and size",
     .type = OPT_FLAG,
     .at = AT(dvc),
     .flags = OPT_NEUTRAL},
    {.name = "no-digests",
     .help = "do not compare the records with the digests in the selection",
     .type = OPT_FLAG,
     .at = AT(no_digests)},
};

typedef struct written {
    char *reasons, *split_text;
    tamis_manifest_split split[MAX_SPLITS];
    size_t splits;
    tamis_selection *selection;
    tamis_manifest_result result;
} written;

static void json_files(json *j, const tamis_manifest_result *m)
{
    json_put_array(j, "files");
    for (size_t i = 0; i < m->files; i++) {
        const tamis_manifest_file *file = &m->file[i];
        json_put_object(j, NULL);
        json_put_text(j, "path", file->path);
        json_put_text(j, "what", file->what);
        json_put_uint(j, "records", file->records);
        json_put_uint(j, "bytes", file->bytes);
        if (file->md5[0]) json_put_text(j, "md5", file->md5);
        json_close(j);
    }
    json_close(j);
}

static void json_inputs(json *j, const manifest_args *args, const tamis_manifest_result *m)
{
    json_put_array(j, "inputs");
    for (size_t i = 0; i < args->input.n; i++) {
        json_put_object(j, NULL);
        json_put_text(j, "path", args->input.item[i]);
        json_put_uint(j, "records", m->input_records[i]);
        json_close(j);
    }
    json_close(j);
}

/* A line for each output where there are several. */
static void list_files(report *r, const manifest_args *args, const tamis_manifest_result *m)
{
    char count[32];
    if (r->machine) {
        json_inputs(&r->j, args, m);
        json_files(&r->j, m);
    }
    for (size_t i = 0; i < args->input.n && args->input.n > 1; i++)
        report_labelled(r, "from", "%s: %s records", args->input.item[i],
                        count_text(m->input_records[i], count, sizeof count));
    for (size_t i = 0; i < m->files && args->split; i++)
        report_labelled(r, m->file[i].what, "%s: %s records", m->file[i].path,
                        count_text(m->file[i].records, count, sizeof count));
}

static tamis_status report_manifest(const session *s, const manifest_args *args, const written *w,
                                    tamis_error *err)
{
    report r;
    const tamis_manifest_result *m = &w->result;
    report_begin(&r, s);
    report_text(&r, args->dry_run ? "would_write" : "output", args->common.output);
    report_count(&r, "records", m->records);
    report_count(&r, "kept", m->kept);
    if (m->written != m->kept || r.machine) report_count(&r, "written", m->written);
    report_count(&r, "dropped", m->dropped);
    if (args->input.n || r.machine) report_bytes(&r, "bytes_in", m->bytes_in);
    report_bytes(&r, "bytes_out", m->bytes_out);
    if (args->dropped) report_bytes(&r, "bytes_dropped", m->bytes_dropped);
    if (r.machine) json_put_bool(&r.j, "digests_checked", m->digests_checked);
    if (r.machine) json_put_bool(&r.j, "ids_checked", m->ids_checked);
    if (args->input.n)
        report_labelled(&r, "digests",
                        m->digests_checked ? "checked: every record is the one that was scored"
                        : m->ids_checked   ? "not checked: ids and the number of records were"
                                           : "not checked: only the number of records was");
    if (m->ids_checked) report_labelled(&r, "ids", "checked: they are those of the selection");
    list_files(&r, args, m);
    report_seconds(&r, seconds() - s->started);
    tamis_status status = args->dry_run ? tallies_report(&r, w->selection, err) : TAMIS_OK;
    report_end(&r);
    return status;
}

/* The library writes this one beside the dropped records. */
static tamis_status add_reasons(session *s, const char *dropped, char **ret_path, tamis_error *err)
{
    size_t size = dropped ? strlen(dropped) : 0;
    if (!dropped) return TAMIS_OK;
    TRY(session_add_output(s, dropped, OUTPUT_MAY_EXIST, err));
    while (size > 1 && dropped[size - 1] == '/') size--;
    if (asprintf(ret_path, "%.*s.reasons.csv", (int)size, dropped) < 0) {
        *ret_path = NULL;
        return fail_memory(err);
    }
    return session_add_output(s, *ret_path, 0, err);
}

/* "train=0.9,valid=0.1" into w->split; the text is cut up. */
static tamis_status read_splits(const char *text, written *w, tamis_error *err)
{
    tamis_param_desc share = {.name = "share", .type = TAMIS_PARAM_REAL, .max = 1e300};
    if (!text) return TAMIS_OK;
    w->split_text = strdup(text);
    if (!w->split_text) return fail_memory(err);
    char *rest = w->split_text;
    for (char *word; (word = strsep(&rest, ","));) {
        char *value = strchr(word, '=');
        tamis_param_value number;
        if (!value || value == word)
            return fail(err, TAMIS_ERR_ARG, "--split '%s': write NAME=SHARE, such as train=0.9",
                        word);
        if (w->splits == MAX_SPLITS)
            return fail(err, TAMIS_ERR_ARG, "--split: more than %d outputs", MAX_SPLITS);
        *value++ = '\0';
        TRY(tamis_param_parse_value(&share, "--split", value, &number, err));
        w->split[w->splits++] = (tamis_manifest_split){word, number.number};
    }
    return TAMIS_OK;
}

static tamis_status open_all(session *s, const manifest_args *args, written *w, tamis_error *err)
{
    unsigned flags = OUTPUT_STREAM | (args->dry_run ? OUTPUT_MAY_EXIST : 0u);
    TRY(session_add_input(s, "selection", args->selection, err));
    for (size_t i = 0; i < args->input.n; i++)
        TRY(session_add_input(s, "in", args->input.item[i], err));
    /* Where there are splits the library knows their names. */
    if (!args->split) TRY(session_add_output(s, args->common.output, flags, err));
    if (!args->dry_run) TRY(add_reasons(s, args->dropped, &w->reasons, err));
    return tamis_selection_load(&w->selection, s->context, args->selection, err);
}

/* What would be left unheard. */
static tamis_status check_together(const manifest_args *args, tamis_error *err)
{
    if (args->shuffled && args->order == TAMIS_MANIFEST_SCORE)
        return fail(err, TAMIS_ERR_ARG,
                    "--shuffle and --order score are two orders: leave out one");
    if (!args->split && (args->split_by || args->split_seed))
        return fail(err, TAMIS_ERR_ARG, "--split-by and --split-seed come with --split: add it");
    return TAMIS_OK;
}

static tamis_status write_manifest(session *s, const manifest_args *args, written *w,
                                   tamis_error *err)
{
    TRY(check_together(args, err));
    TRY(read_splits(args->split, w, err));
    TRY(open_all(s, args, w, err));
    tamis_manifest_params params = {
        .selection = w->selection,
        .selection_path = args->selection,
        .format = args->format,
        .input = args->input.item,
        .inputs = args->input.n,
        .output = args->common.output,
        .dropped = args->dropped,
        .order = args->shuffled ? TAMIS_MANIFEST_SHUFFLE : (tamis_manifest_order)args->order,
        .shuffle_seed = args->shuffled ? args->shuffle : args->common.seed,
        .split = w->split,
        .splits = w->splits,
        .split_by_group = args->split_by == 1,
        .split_seed = invocation_has(s->invocation, "split-seed") ? args->split_seed
                                                                  : args->common.seed,
        .id_field = args->id_field,
        .force = args->common.force,
        .no_digests = args->no_digests,
        .dry_run = args->dry_run,
        .dvc = args->dvc,
    };
    if (args->repeats)
        TRY(tamis_repeats_parse(args->repeats, w->selection->rows, &params.repeats, err));
    return tamis_manifest_write(s->context, &params, &w->result, err);
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    const manifest_args *args = cookie;
    /* A dry run leaves standard output to the report. */
    if (!args->dry_run) TRY(session_check_stream(s, err));
    bool streams = session_streams(s) && !args->dry_run;
    written w = {0};
    tamis_status status = write_manifest(s, args, &w, err);
    progress_end(&s->progress);
    if (status == TAMIS_OK && !streams) status = report_manifest(s, args, &w, err);
    tamis_manifest_result_fini(&w.result);
    tamis_selection_free(&w.selection);
    free(w.reasons);
    free(w.split_text);
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
        "or nothing is written. Row numbers and masks are checked so when --in is given.\n\n"
        "'tamis list formats' shows what can be written. Names that end in .gz or .zst are "
        "compressed.",
    .examples =
        "# the kept lines, and the others with the reason\n"
        "tamis manifest --selection keep.h5 --in train.jsonl -o kept.jsonl --dropped "
        "dropped.jsonl\n"
        "# what would be written, and what becomes of the groups\n"
        "tamis manifest --selection keep.h5 --in train.jsonl -o kept.jsonl.zst --dry-run\n"
        "# two shuffled parts that share no group\n"
        "tamis manifest --selection keep.h5 --in train.jsonl -o 'kept-{}.jsonl' --shuffle 1 "
        "--split train=0.9,valid=0.1 --split-by group\n"
        "# row numbers for a data loader\n"
        "tamis manifest --selection keep.h5 --in train.jsonl --format index-npy -o rows.npy",
    .output = "OUT",
    .options = options,
    .n_options = LEN(options),
    .common = COMMON_WRITES,
    .defaults = &defaults,
    .args_size = sizeof(manifest_args),
    .run = run,
};
