/* Axolotl: the kept records, and the part of its YAML file that names them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/error.h"
#include "manifest/filter.h"

enum { STANZA, TYPE, PARAMS };

static const tamis_param_desc params[PARAMS] = {
    [STANZA] = {.name = "stanza",
                .help = "YAML file to write, to be copied into the configuration; default none",
                .type = TAMIS_PARAM_STRING},
    [TYPE] = {.name = "type",
              .help = "how Axolotl reads a record",
              .type = TAMIS_PARAM_STRING,
              .fallback_text = "chat_template"},
};

typedef struct axolotl {
    char text[PARAMS][TAMIS_PARAM_TEXT_SIZE];
} axolotl;

static tamis_status init(void *state, const tamis_param_value *param, tamis_error *err)
{
    axolotl *a = state;
    (void)err;
    for (size_t i = 0; i < PARAMS; i++) memcpy(a->text[i], param[i].text, sizeof a->text[i]);
    return TAMIS_OK;
}

/* A double-quoted scalar, so that no name is taken for something else. */
static tamis_status put_quoted(tamis__output *output, const char *prefix, const char *text,
                               tamis_error *err)
{
    TAMIS_TRY(tamis__output_printf(output, err, "\"%s", prefix));
    for (const char *at = text; *at; at++) {
        unsigned char byte = (unsigned char)*at;
        if (byte < ' ' || byte == 127)
            TAMIS_TRY(tamis__output_printf(output, err, "\\x%02x", byte));
        else
            TAMIS_TRY(tamis__output_printf(output, err, "%s%c",
                                           byte == '"' || byte == '\\' ? "\\" : "", byte));
    }
    return tamis__output_write(output, "\"\n", 2, err);
}

/* A bare name could be one of a data set on the hub. */
static const char *path_prefix(const char *path)
{
    return *path == '/' || *path == '.' ? "" : "./";
}

static tamis_status put_item(const axolotl *a, const char *path, tamis__output *output,
                             tamis_error *err)
{
    TAMIS_TRY(tamis__output_printf(output, err, "  - path: "));
    TAMIS_TRY(put_quoted(output, path_prefix(path), path, err));
    TAMIS_TRY(tamis__output_printf(output, err, "    ds_type: json\n    type: "));
    TAMIS_TRY(put_quoted(output, "", a->text[TYPE], err));
    return tamis__output_printf(output, err, "    split: train\n");
}

/* Splits that are there to measure on. */
static bool is_test(const tamis__part *part)
{
    static const char *const name[] = {"dev", "eval", "test", "val", "valid", "validation"};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        if (!strcmp(part->name, name[i])) return true;
    return false;
}

static tamis_status put_list(const axolotl *a, const tamis__plan *plan, bool test,
                             tamis__output *output, tamis_error *err)
{
    bool begun = false;
    for (size_t k = 0; k < plan->parts; k++) {
        if (plan->of[k].dropped || is_test(&plan->of[k]) != test) continue;
        if (!begun)
            TAMIS_TRY(tamis__output_printf(output, err, test ? "test_datasets:\n" : "datasets:\n"));
        begun = true;
        TAMIS_TRY(put_item(a, plan->of[k].path, output, err));
    }
    return TAMIS_OK;
}

static tamis_status write_records(void *state, const tamis__manifest_job *job,
                                  tamis_manifest_result *result, tamis_error *err)
{
    const axolotl *a = state;
    tamis__output *output;
    TAMIS_TRY(
        tamis__filter_records(job, TAMIS__LAYOUT_LINES, TAMIS__RECORDS_JSONL, NULL, result, err));
    if (!*a->text[STANZA] || job->params->dry_run) return TAMIS_OK;
    TAMIS_TRY(tamis__outputs_file(job->outputs, job->context, a->text[STANZA], "stanza",
                                  job->params->force, &output, err));
    TAMIS_TRY(put_list(a, job->plan, false, output, err));
    return put_list(a, job->plan, true, output, err);
}

const tamis__manifest_class tamis__manifest_axolotl = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "axolotl",
             .summary = "JSON Lines, and the YAML lines that name it to Axolotl",
             .extensions = "",
             .flags = TAMIS_MANIFEST_NEEDS_INPUT | TAMIS_MANIFEST_SEVERAL,
             .params = params,
             .n_params = PARAMS},
    .state_size = sizeof(axolotl),
    .init = init,
    .write = write_records,
};
