/* The driver: finds the format, opens the files, and commits them when all are whole.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/manifest.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <tamis/param.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "manifest/filter.h"
#include "manifest/outputs.h"
#include "manifest/reasons.h"
#include "manifest/registry.h"

#define TABLE_ENTRY(name) &tamis__manifest_##name,
static const tamis__manifest_class *const table[] = {TAMIS__MANIFESTS(TABLE_ENTRY)};
#undef TABLE_ENTRY
#define TABLE_SIZE (sizeof table / sizeof *table)

const tamis_manifest_info *tamis_manifest_at(size_t i)
{
    return i < TABLE_SIZE ? &table[i]->info : NULL;
}

/* --- the format ----------------------------------------------------------------------------- */

/* Does `path` end in one of these endings (a list with spaces), whatever the case? */
static bool has_ending(const char *path, const char *endings)
{
    size_t length = strlen(path);
    while (*endings) {
        size_t size = strcspn(endings, " ");
        if (length > size && !strncasecmp(path + length - size, endings, size)) return true;
        endings += size + (endings[size] == ' ');
    }
    return false;
}

static bool copies_records(const tamis__manifest_class *class)
{
    return class->info.flags & TAMIS_MANIFEST_NEEDS_INPUT;
}

/* With `copies` only among the formats that copy records. */
static const tamis__manifest_class *class_of_path(const char *path, bool copies)
{
    for (size_t i = 0; i < TABLE_SIZE; i++)
        if ((copies_records(table[i]) || !copies) && has_ending(path, table[i]->info.extensions))
            return table[i];
    return NULL;
}

static tamis_status fail_format(const char *format, tamis_error *err)
{
    const char *names[TABLE_SIZE];
    char list[256] = "";
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        size_t used = strlen(list);
        names[i] = table[i]->info.name;
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    }
    const char *near = tamis_suggest(format, names, TABLE_SIZE);
    if (near)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "there is no manifest format '%s': did you mean '%s'?", format, near);
    return tamis__fail(err, TAMIS_ERR_ARG, "there is no manifest format '%s': there is %s", format,
                       list);
}

/* A list of rows is no answer to an input that was given without a format: its user wants records
 * of it. */
static tamis_status find_class_by_name(const tamis_manifest_params *params,
                                       const tamis__manifest_class **ret_class, tamis_error *err)
{
    const tamis__manifest_class *class = NULL;
    if (params->input) class = class_of_path(params->input, true);
    if (!class) class = class_of_path(params->output, params->input != NULL);
    if (class) {
        *ret_class = class;
        return TAMIS_OK;
    }
    if (params->input)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "the name '%s' does not tell the format of its records: say --format "
                           "csv|tsv|jsonl",
                           params->input);
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "the name '%s' does not tell the manifest's format: say which",
                       params->output);
}

static tamis_status find_class(const tamis_manifest_params *params,
                               const tamis__manifest_class **ret_class, tamis_error *err)
{
    const tamis__manifest_class *class = NULL;
    if (!params->format) return find_class_by_name(params, ret_class, err);
    for (size_t i = 0; i < TABLE_SIZE; i++)
        if (!strcmp(params->format, table[i]->info.name)) class = table[i];
    if (!class) return fail_format(params->format, err);
    *ret_class = class;
    return TAMIS_OK;
}

/* --- the files ------------------------------------------------------------------------------ */

static tamis_status check_plain_name(const char *path, const char *what, tamis_error *err)
{
    if (!path || !has_ending(path, ".gz .zst .bz2 .xz")) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                       "'%s' has the name of a compressed file, and %s %s", path, what,
                       "must be plain: (de)compress it outside");
}

static tamis_status check_input(const tamis_manifest_params *params,
                                const tamis__manifest_class *class, tamis_error *err)
{
    if (copies_records(class) && (!params->input || !*params->input))
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "format %s copies records: name the file that the gradients were made from as input",
            class->info.name);
    return TAMIS_OK;
}

/* The reasons are written beside the dropped records, so these need a place in a directory. */
static tamis_status check_dropped(const char *path, tamis_error *err)
{
    struct stat st;
    if (!path) return TAMIS_OK;
    if (!*path || !strcmp(path, "-") ||
        (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "the dropped records cannot go to '%s': name a file, the reasons are written beside it",
            path);
    return TAMIS_OK;
}

static tamis_status check_params(const tamis_manifest_params *params,
                                 const tamis__manifest_class **ret_class, tamis_error *err)
{
    if (!params->selection) return tamis__fail(err, TAMIS_ERR_ARG, "a manifest needs a selection");
    if (!params->output || !*params->output)
        return tamis__fail(err, TAMIS_ERR_ARG, "the manifest's output has no name");
    TAMIS_TRY(check_plain_name(params->input, "the input", err));
    TAMIS_TRY(check_plain_name(params->output, "the output", err));
    TAMIS_TRY(check_plain_name(params->dropped, "the output", err));
    TAMIS_TRY(find_class(params, ret_class, err));
    TAMIS_TRY(check_input(params, *ret_class, err));
    return check_dropped(params->dropped, err);
}

static tamis_status reasons_path(const char *dropped, char **ret_path, tamis_error *err)
{
    static const char ending[] = ".reasons.csv";
    if (!dropped) return TAMIS_OK;
    size_t size = strlen(dropped);
    char *path = tamis__malloc(size + sizeof ending, 1);
    if (!path) return tamis__fail_memory(err, "a file name", size + sizeof ending);
    memcpy(path, dropped, size);
    memcpy(path + size, ending, sizeof ending);
    *ret_path = path;
    return TAMIS_OK;
}

/* --- the work ------------------------------------------------------------------------------- */

static bool has_digests(const tamis_selection *selection)
{
    const uint64_t *digest = selection->examples.digest;
    for (uint64_t row = 0; digest && row < selection->rows; row++)
        if (digest[row]) return true;
    return false;
}

/* The reasons first and the kept records last: who waits for these finds the others. */
static tamis_status open_outputs(tamis__outputs *outputs, tamis_context *context,
                                 const tamis_manifest_params *params, const char *reasons,
                                 tamis_error *err)
{
    const char *path[] = {params->input, params->output, params->dropped, reasons};
    static const char *const what[] = {"the input", "the output", "the file of dropped records",
                                       "the file of reasons"};
    TAMIS_TRY(tamis__outputs_distinct(path, what, 4, err));
    if (reasons) {
        TAMIS_TRY(tamis__outputs_add(outputs, context, reasons, params->force, err));
        TAMIS_TRY(tamis__outputs_add(outputs, context, params->dropped, params->force, err));
    }
    return tamis__outputs_add(outputs, context, params->output, params->force, err);
}

/* A list carries no records, but they are compared with the selection as if it did. The format is
 * the list's here, so the records' own is found by the input's name or content. */
static tamis_status compare_records(const tamis__manifest_job *job, tamis_manifest_result *result,
                                    tamis_error *err)
{
    const tamis__manifest_class *class = class_of_path(job->input, true);
    tamis__manifest_job nowhere = *job;
    nowhere.kept = nowhere.dropped = NULL;
    if (!class) return tamis__filter_by_content(&nowhere, result, err);
    return class->write(&nowhere, result, err);
}

static void warn_if_empty(const tamis_context *context, const tamis_manifest_result *result)
{
    if (!result->kept)
        tamis__log(context, TAMIS_LOG_WARNING,
                   "the selection keeps none of the %" PRIu64 " records", result->records);
}

static tamis_status write_all(tamis__outputs *outputs, tamis_context *context,
                              const tamis_manifest_params *params,
                              const tamis__manifest_class *class, tamis_manifest_result *result,
                              tamis_error *err)
{
    tamis__manifest_job job = {
        .context = context,
        .selection = params->selection,
        .input = params->input,
        .kept = &outputs->output[outputs->n - 1],
        .dropped = params->dropped ? &outputs->output[1] : NULL,
        .check_digests = params->input && !params->no_digests && has_digests(params->selection),
    };
    if (job.input && !copies_records(class)) TAMIS_TRY(compare_records(&job, result, err));
    TAMIS_TRY(class->write(&job, result, err));
    if (params->dropped)
        TAMIS_TRY(tamis__reasons_write(params->selection, &outputs->output[0], err));
    for (uint64_t row = 0; row < params->selection->rows; row++)
        result->kept += params->selection->keep[row] != 0;
    result->dropped = result->records - result->kept;
    result->bytes_out = job.kept->written;
    result->bytes_dropped = job.dropped ? job.dropped->written : 0;
    result->digests_checked = job.check_digests;
    warn_if_empty(context, result);
    return TAMIS_OK;
}

static tamis_status open_and_write(tamis_context *context, const tamis_manifest_params *params,
                                   const tamis__manifest_class *class, const char *reasons,
                                   tamis_manifest_result *result, tamis_error *err)
{
    tamis__outputs outputs = {0};
    tamis_status status = open_outputs(&outputs, context, params, reasons, err);
    if (status == TAMIS_OK) status = write_all(&outputs, context, params, class, result, err);
    if (status == TAMIS_OK) return tamis__outputs_commit(&outputs, err);
    tamis__outputs_abort(&outputs);
    return status;
}

tamis_status tamis_manifest_write(tamis_context *context, const tamis_manifest_params *params,
                                  tamis_manifest_result *ret_result, tamis_error *err)
{
    const tamis__manifest_class *class = NULL;
    char *reasons = NULL;
    tamis_manifest_result result = {0};
    TAMIS_TRY(check_params(params, &class, err));
    TAMIS_TRY(reasons_path(params->dropped, &reasons, err));
    tamis_status status = open_and_write(context, params, class, reasons, &result, err);
    free(reasons);
    if (status == TAMIS_OK && ret_result) *ret_result = result;
    return status;
}
