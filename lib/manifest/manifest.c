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

/* Endings of tables that nothing here reads or writes. */
#define TABLES ".parquet .arrow .feather"

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

static tamis_status fail_format(const char *text, size_t size, tamis_error *err)
{
    const char *names[TABLE_SIZE];
    char list[512] = "", format[64];
    snprintf(format, sizeof format, "%.*s", (int)(size < 63 ? size : 63), text);
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

/* The output's name would promise another format than that of the records, which are copied as
 * they are. Who says the format is not asked. */
static tamis_status check_promise(const tamis_manifest_params *params,
                                  const tamis__manifest_class *class, tamis_error *err)
{
    const tamis__manifest_class *promised = class_of_path(params->output, true);
    if (!params->inputs || !promised || promised == class) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "the name of '%s' promises %s, and the records of '%s' are copied as they "
                       "are, as %s: name the output so, or say --format %s",
                       params->output, promised->info.name, params->input[0], class->info.name,
                       class->info.name);
}

/* A list of rows is no answer to an input that was given without a format: its user wants records
 * of it. */
static tamis_status find_class_by_name(const tamis_manifest_params *params,
                                       const tamis__manifest_class **ret_class, tamis_error *err)
{
    const tamis__manifest_class *class = NULL;
    if (params->inputs) class = class_of_path(params->input[0], true);
    if (!class) class = class_of_path(params->output, params->inputs > 0);
    if (class) {
        *ret_class = class;
        return check_promise(params, class, err);
    }
    if (params->inputs && has_ending(params->input[0], TABLES))
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s': Parquet and Arrow files are not read; write the row numbers "
                           "(--format index-npy, without an input) and let their reader take these "
                           "rows",
                           params->input[0]);
    if (params->inputs)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "the name '%s' does not tell the format of its records: say --format "
                           "csv|tsv|jsonl",
                           params->input[0]);
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "the name '%s' does not tell the manifest's format: say which",
                       params->output);
}

static tamis_status find_class(const tamis_manifest_params *params,
                               const tamis__manifest_class **ret_class, tamis_error *err)
{
    const tamis__manifest_class *class = NULL;
    if (!params->format) return find_class_by_name(params, ret_class, err);
    size_t size = strcspn(params->format, ":");
    for (size_t i = 0; i < TABLE_SIZE; i++)
        if (strlen(table[i]->info.name) == size &&
            !memcmp(params->format, table[i]->info.name, size))
            class = table[i];
    if (!class) return fail_format(params->format, size, err);
    *ret_class = class;
    return TAMIS_OK;
}

/* --- the files ------------------------------------------------------------------------------ */

static tamis_status check_inputs(const tamis_manifest_params *params,
                                 const tamis__manifest_class *class, tamis_error *err)
{
    for (size_t i = 0; i < params->inputs; i++)
        if (!params->input[i] || !*params->input[i])
            return tamis__fail(err, TAMIS_ERR_ARG, "input %zu has an empty name", i + 1);
    if (copies_records(class) && params->inputs == 0)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "format %s copies records: name the file that the gradients were made from as input",
            class->info.name);
    if (params->inputs > 1 && !(class->info.flags & TAMIS_MANIFEST_SEVERAL))
        return tamis__fail(err, TAMIS_ERR_ARG, "format %s takes one input, not %zu",
                           class->info.name, params->inputs);
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

/* A name that ends in another program's compression would promise what is not done. */
static tamis_status check_names(const tamis_manifest_params *params, tamis_error *err)
{
    const char *path[] = {params->output, params->dropped};
    for (size_t i = 0; i < 2; i++) {
        if (path[i] && has_ending(path[i], ".bz2 .xz .lz4 .br .zip .7z"))
            return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                               "'%s': outputs are compressed as .gz or .zst, or are plain",
                               path[i]);
        if (path[i] && has_ending(path[i], TABLES))
            return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                               "'%s': Parquet and Arrow files are not written; write row numbers "
                               "(--format index-npy) and let their reader take these rows",
                               path[i]);
    }
    if (params->dvc && !strcmp(params->output, "-"))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "standard output has no name to write a .dvc file beside");
    return TAMIS_OK;
}

static tamis_status check_params(const tamis_manifest_params *params,
                                 const tamis__manifest_class **ret_class, tamis_error *err)
{
    if (!params->selection) return tamis__fail(err, TAMIS_ERR_ARG, "a manifest needs a selection");
    if (!params->output || !*params->output)
        return tamis__fail(err, TAMIS_ERR_ARG, "the manifest's output has no name");
    TAMIS_TRY(check_names(params, err));
    TAMIS_TRY(find_class(params, ret_class, err));
    TAMIS_TRY(check_inputs(params, *ret_class, err));
    return check_dropped(params->dropped, err);
}

static tamis_status reasons_path(const char *dropped, char **ret_path, tamis_error *err)
{
    static const char ending[] = ".reasons.csv";
    if (!dropped) return TAMIS_OK;
    size_t size = strlen(dropped);
    while (size > 1 && dropped[size - 1] == '/') size--;
    char *path = tamis__malloc(size + sizeof ending, 1);
    if (!path) return tamis__fail_memory(err, "a file name", size + sizeof ending);
    memcpy(path, dropped, size);
    memcpy(path + size, ending, sizeof ending);
    *ret_path = path;
    return TAMIS_OK;
}

/* --- the work ------------------------------------------------------------------------------- */

typedef struct run {
    tamis_context *context;
    const tamis_manifest_params *params;
    const tamis__manifest_class *class;
    void *state;
    tamis_param_value param[TAMIS__MANIFEST_PARAMS];
    char *reasons;
    const char **read; /* the inputs, and where the selection is from */
    tamis__plan plan;
    tamis__outputs outputs;
    tamis_manifest_result result;
} run;

static bool has_digests(const tamis_selection *selection)
{
    const uint64_t *digest = selection->examples.digest;
    for (uint64_t row = 0; digest && row < selection->rows; row++)
        if (digest[row]) return true;
    return false;
}

/* No output is an input, nor the name that another is written under. A dry run finds it too. */
static tamis_status check_distinct(const run *r, tamis_error *err)
{
    static const char *const what[] = {"the output", "the file of dropped records",
                                       "the file of reasons"};
    bool tree = r->class->info.flags & TAMIS_MANIFEST_DIRECTORY;
    for (size_t k = 0; k < r->plan.parts; k++) {
        const tamis__part *part = &r->plan.of[k];
        const char *path[] = {part->path, part->dropped ? NULL : r->params->dropped, r->reasons};
        TAMIS_TRY(tamis__outputs_distinct(path, what, 3, err));
        TAMIS_TRY(tamis__outputs_spare(&r->outputs, part->path, tree, err));
        if (r->params->splits) TAMIS_TRY(tamis__outputs_place(part->path, err));
    }
    return r->reasons ? tamis__outputs_spare(&r->outputs, r->reasons, false, err) : TAMIS_OK;
}

/* What is read, so that nothing is written over it. */
static tamis_status list_inputs(run *r, tamis_error *err)
{
    const tamis_manifest_params *p = r->params;
    r->read = tamis__calloc(p->inputs + 1, sizeof *r->read);
    if (!r->read) return tamis__fail_memory(err, "inputs", p->inputs * sizeof *r->read);
    for (size_t i = 0; i < p->inputs; i++) r->read[i] = p->input[i];
    if (p->selection_path) r->read[p->inputs] = p->selection_path;
    r->outputs.input = r->read;
    r->outputs.inputs = p->inputs + (p->selection_path != NULL);
    return TAMIS_OK;
}

static tamis_status open_part(run *r, size_t k, tamis_error *err)
{
    tamis__part *part = &r->plan.of[k];
    if (r->class->info.flags & TAMIS_MANIFEST_DIRECTORY) return TAMIS_OK;
    return tamis__outputs_file(&r->outputs, r->context, part->path, part->name, r->params->force,
                               &part->output, err);
}

/* The reasons first and the kept records last: who waits for these finds the others. */
static tamis_status open_outputs(run *r, tamis__output **ret_reasons, tamis_error *err)
{
    *ret_reasons = NULL;
    TAMIS_TRY(check_distinct(r, err));
    if (r->params->dry_run) return TAMIS_OK;
    if (r->reasons)
        TAMIS_TRY(tamis__outputs_file(&r->outputs, r->context, r->reasons, "reasons",
                                      r->params->force, ret_reasons, err));
    for (size_t k = r->plan.parts; k > 0; k--) TAMIS_TRY(open_part(r, k - 1, err));
    return TAMIS_OK;
}

static void warn_if_empty(const tamis_context *context, const tamis_manifest_result *result)
{
    if (!result->kept)
        tamis__log(context, TAMIS_LOG_WARNING,
                   "the selection keeps none of the %" PRIu64 " records", result->records);
}

static tamis_status write_parts(run *r, tamis_error *err)
{
    tamis__output *reasons = NULL;
    const tamis_selection *selection = r->params->selection;
    TAMIS_TRY(open_outputs(r, &reasons, err));
    tamis__manifest_job job = {
        .context = r->context,
        .selection = selection,
        .params = r->params,
        .plan = &r->plan,
        .outputs = &r->outputs,
        .check_digests = r->params->inputs && !r->params->no_digests && has_digests(selection),
    };
    /* A list carries no records, but they are compared with the selection as if it did. */
    if (r->params->inputs && !copies_records(r->class))
        TAMIS_TRY(tamis__filter_compare(&job, &r->result, err));
    TAMIS_TRY(r->class->write(r->state, &job, &r->result, err));
    if (reasons) TAMIS_TRY(tamis__reasons_write(selection, reasons, err));
    r->result.digests_checked = job.check_digests;
    return TAMIS_OK;
}

static void count_parts(run *r)
{
    tamis_manifest_result *result = &r->result;
    const tamis_selection *selection = r->params->selection;
    for (uint64_t row = 0; row < selection->rows; row++) result->kept += selection->keep[row] != 0;
    result->dropped = result->records - result->kept;
    for (size_t i = 0; i < r->plan.parts; i++) {
        const tamis__part *part = &r->plan.of[i];
        uint64_t bytes = part->output ? part->output->stored : part->bytes;
        if (part->dropped) {
            result->bytes_dropped += bytes;
        } else {
            result->bytes_out += bytes;
            result->written += part->records;
        }
    }
    warn_if_empty(r->context, result);
}

/* What is said of a part in the list of files; NULL = it is none. */
static const tamis__part *part_of(const run *r, const char *path)
{
    for (size_t i = 0; i < r->plan.parts; i++)
        if (!strcmp(r->plan.of[i].path, path)) return &r->plan.of[i];
    return NULL;
}

static tamis_status list_file(run *r, const char *path, const tamis__made *made, const char *what,
                              tamis_error *err)
{
    const tamis__part *part = part_of(r, path);
    tamis_manifest_file *file = &r->result.file[r->result.files];
    *file = (tamis_manifest_file){.path = tamis__strdup(path), .what = what};
    if (!file->path) return tamis__fail_memory(err, "a file name", strlen(path));
    if (made) {
        file->records = made->records;
        file->bytes = made->bytes;
        memcpy(file->md5, made->md5, sizeof file->md5);
    }
    if (part) file->records = part->records;
    if (part && file->bytes == 0) file->bytes = part->bytes;
    r->result.files++;
    return TAMIS_OK;
}

/* In the order in which they matter: kept records first. */
static tamis_status list_files(run *r, tamis_error *err)
{
    bool dry = r->params->dry_run;
    size_t n = dry ? r->plan.parts : r->outputs.n;
    r->result.file = tamis__calloc(n ? n : 1, sizeof *r->result.file);
    if (!r->result.file) return tamis__fail_memory(err, "a list of files", n);
    for (size_t i = 0; dry && i < n; i++)
        TAMIS_TRY(list_file(r, r->plan.of[i].path, NULL, r->plan.of[i].name, err));
    for (size_t i = n; !dry && i > 0; i--) {
        const tamis__made *made = r->outputs.made[i - 1];
        TAMIS_TRY(list_file(r, made->path, made, made->what, err));
    }
    return TAMIS_OK;
}

static tamis_status work(run *r, tamis_error *err)
{
    const tamis_manifest_params *p = r->params;
    r->result.inputs = p->inputs;
    r->result.input_records = tamis__calloc(p->inputs ? p->inputs : 1, sizeof(uint64_t));
    if (!r->result.input_records) return tamis__fail_memory(err, "counts", p->inputs * 8);
    TAMIS_TRY(reasons_path(p->dropped, &r->reasons, err));
    TAMIS_TRY(list_inputs(r, err));
    TAMIS_TRY(tamis__plan_make(&r->plan, p, err));
    TAMIS_TRY(write_parts(r, err));
    TAMIS_TRY(tamis__outputs_finish(&r->outputs, r->context, p->dvc, p->force, err));
    count_parts(r);
    TAMIS_TRY(list_files(r, err));
    return tamis__outputs_commit(&r->outputs, err);
}

/* The parameters of "name:param=value,...". */
static tamis_status init_class(run *r, tamis_error *err)
{
    const tamis_manifest_info *info = &r->class->info;
    const char *colon = r->params->format ? strchr(r->params->format, ':') : NULL;
    TAMIS_TRY(tamis_params_parse(info->params, info->n_params, info->name, colon ? colon + 1 : NULL,
                                 r->param, err));
    return r->class->init ? r->class->init(r->state, r->param, err) : TAMIS_OK;
}

tamis_status tamis_manifest_write(tamis_context *context, const tamis_manifest_params *params,
                                  tamis_manifest_result *ret_result, tamis_error *err)
{
    run r = {.context = context, .params = params};
    TAMIS_TRY(check_params(params, &r.class, err));
    r.state = tamis__calloc(1, r.class->state_size);
    if (!r.state) return tamis__fail_memory(err, r.class->info.name, r.class->state_size);
    tamis_status status = init_class(&r, err);
    if (status == TAMIS_OK) status = work(&r, err);
    if (r.class->fini) r.class->fini(r.state);
    free(r.state);
    free(r.reasons);
    free(r.read);
    tamis__outputs_close(&r.outputs);
    tamis__plan_fini(&r.plan);
    if (status == TAMIS_OK && ret_result)
        *ret_result = r.result;
    else
        tamis_manifest_result_fini(&r.result);
    return status;
}

void tamis_manifest_result_fini(tamis_manifest_result *result)
{
    for (size_t i = 0; i < result->files; i++) free(result->file[i].path);
    free(result->file);
    free(result->input_records);
    *result = (tamis_manifest_result){0};
}
