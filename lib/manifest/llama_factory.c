/* LLaMA-Factory: the kept records, and their entry in dataset_info.json.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/mem.h"
#include "manifest/dataset_info.h"
#include "manifest/filter.h"

enum { INFO, NAME, LIKE, FORMATTING, PARAMS };

static const tamis_param_desc params[PARAMS] = {
    [INFO] = {.name = "info",
              .help = "the dataset_info.json that the entry is added to; required",
              .type = TAMIS_PARAM_STRING},
    [NAME] = {.name = "name",
              .help = "the data set's name; default the output's, without its ending",
              .type = TAMIS_PARAM_STRING},
    [LIKE] = {.name = "like",
              .help = "entry that columns, tags and formatting are taken from",
              .type = TAMIS_PARAM_STRING},
    [FORMATTING] = {.name = "formatting",
                    .help = "alpaca or sharegpt; default that of like, else not said",
                    .type = TAMIS_PARAM_STRING},
};

typedef struct factory {
    char text[PARAMS][TAMIS_PARAM_TEXT_SIZE];
} factory;

static tamis_status init(void *state, const tamis_param_value *param, tamis_error *err)
{
    factory *f = state;
    for (size_t i = 0; i < PARAMS; i++) memcpy(f->text[i], param[i].text, sizeof f->text[i]);
    if (!*f->text[INFO])
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "llama-factory needs to know its dataset_info.json: "
                           "llama-factory:info=PATH");
    return TAMIS_OK;
}

/* LLaMA-Factory tells what is in a file by its name's ending, and refuses others. */
static tamis_status check_ending(const char *path, tamis__records_kind kind, tamis_error *err)
{
    static const char *const wanted[] = {
        [TAMIS__RECORDS_CSV] = ".csv", [TAMIS__RECORDS_JSONL] = ".jsonl or .json"};
    const char *dot = strrchr(path, '.');
    if (kind == TAMIS__RECORDS_TSV)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "LLaMA-Factory does not read TSV: write JSON Lines or CSV");
    bool json = dot && (!strcmp(dot, ".jsonl") || !strcmp(dot, ".json"));
    if (kind == TAMIS__RECORDS_CSV ? dot && !strcmp(dot, ".csv") : json) return TAMIS_OK;
    return tamis__fail(
        err, TAMIS_ERR_ARG,
        "LLaMA-Factory tells what is in a file by its name, and would not read '%s': "
        "name the output so that it ends in %s",
        path, wanted[kind]);
}

/* "a/b.json" is "b". */
static tamis_status default_name(const char *path, char **ret_name, tamis_error *err)
{
    const char *base = strrchr(path, '/');
    char *name = tamis__strdup(base ? base + 1 : path);
    if (!name) return tamis__fail_memory(err, "a name", strlen(path));
    char *dot = strrchr(name, '.');
    if (dot && dot > name) *dot = '\0';
    *ret_name = name;
    return TAMIS_OK;
}

static tamis_status read_info(const tamis__manifest_job *job, const char *path,
                              tamis__input *ret_input, tamis_error *err)
{
    struct stat st;
    if (stat(path, &st) != 0 && errno == ENOENT) return TAMIS_OK;
    return tamis__input_open(ret_input, job->context, path, err);
}

static tamis_status merge(const tamis__manifest_job *job, const char *path,
                          const tamis__dataset_entry *entry, tamis_error *err)
{
    tamis__input input = {0};
    tamis__output *output = NULL;
    TAMIS_TRY(read_info(job, path, &input, err));
    tamis_status status = TAMIS_OK;
    if (job->params->dry_run)
        status = tamis__outputs_spare(job->outputs, path, false, err);
    else
        status = tamis__outputs_file(job->outputs, job->context, path, "info", true, &output, err);
    if (status == TAMIS_OK)
        status = tamis__dataset_info_write(input.data, input.size, path, entry, job->params->force,
                                           output, err);
    if (input.data) tamis__input_close(&input);
    return status;
}

static tamis_status write_records(void *state, const tamis__manifest_job *job,
                                  tamis_manifest_result *result, tamis_error *err)
{
    const factory *f = state;
    const char *output = job->params->output;
    char *name = NULL, *file_name = NULL;
    if (job->params->splits)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "llama-factory writes one data set: leave out the splits, which "
                           "LLaMA-Factory makes itself (val_size)");
    bool known = false;
    tamis__records_kind kind = TAMIS__RECORDS_JSONL;
    tamis__layout layout = tamis__filter_layout_of(job->params->input[0], &kind, &known);
    TAMIS_TRY(check_ending(output, kind, err));
    const tamis__record_hooks hooks = {.either = true};
    TAMIS_TRY(tamis__filter_records(job, layout, kind, &hooks, result, err));
    TAMIS_TRY(default_name(output, &name, err));
    tamis__dataset_entry entry = {
        .name = *f->text[NAME] ? f->text[NAME] : name,
        .like = *f->text[LIKE] ? f->text[LIKE] : NULL,
        .formatting = *f->text[FORMATTING] ? f->text[FORMATTING] : NULL,
    };
    tamis_status status = tamis__dataset_file_name(f->text[INFO], output, &file_name, err);
    entry.file_name = file_name;
    if (status == TAMIS_OK) status = merge(job, f->text[INFO], &entry, err);
    free(name);
    free(file_name);
    return status;
}

const tamis__manifest_class tamis__manifest_llama_factory = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "llama-factory",
             .summary =
                 "JSON Lines, array or CSV, and its entry in LLaMA-Factory's dataset_info.json",
             .extensions = "",
             .flags = TAMIS_MANIFEST_NEEDS_INPUT | TAMIS_MANIFEST_SEVERAL,
             .params = params,
             .n_params = PARAMS},
    .state_size = sizeof(factory),
    .init = init,
    .write = write_records,
};
