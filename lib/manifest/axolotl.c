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
    tamis__records_kind kind; /* of the records */
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
    TAMIS_TRY(tamis__output_printf(output, err, "    ds_type: %s\n    type: ",
                                   a->kind == TAMIS__RECORDS_CSV ? "csv" : "json"));
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

/* What Axolotl could not load is not named to it. */
static tamis_status check(const axolotl *a, const char *path, tamis_error *err)
{
    if (a->kind == TAMIS__RECORDS_TSV)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "Axolotl does not read TSV: write JSON Lines or CSV");
    if (*a->text[STANZA] && !strcmp(path, "-"))
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "the lines for Axolotl name the output, and standard output has no name: "
            "name a file, or leave out the stanza");
    return TAMIS_OK;
}

static tamis_status write_records(void *state, const tamis__manifest_job *job,
                                  tamis_manifest_result *result, tamis_error *err)
{
    axolotl *a = state;
    tamis__output *output;
    const tamis__record_hooks hooks = {.either = true};
    bool known;
    a->kind = TAMIS__RECORDS_JSONL;
    tamis__layout layout = tamis__filter_layout_of(job->params->input[0], &a->kind, &known);
    TAMIS_TRY(check(a, job->params->output, err));
    TAMIS_TRY(tamis__filter_records(job, layout, a->kind, &hooks, result, err));
    if (!*a->text[STANZA]) return TAMIS_OK;
    if (job->params->dry_run)
        return tamis__outputs_spare(job->outputs, a->text[STANZA], false, err);
    TAMIS_TRY(tamis__outputs_file(job->outputs, job->context, a->text[STANZA], "stanza",
                                  job->params->force, &output, err));
    TAMIS_TRY(put_list(a, job->plan, false, output, err));
    return put_list(a, job->plan, true, output, err);
}

const tamis__manifest_class tamis__manifest_axolotl = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "axolotl",
             .summary = "JSON Lines, array or CSV, and the YAML lines that name it to Axolotl",
             .extensions = "",
             .flags = TAMIS_MANIFEST_NEEDS_INPUT | TAMIS_MANIFEST_SEVERAL,
             .params = params,
             .n_params = PARAMS},
    .state_size = sizeof(axolotl),
    .init = init,
    .write = write_records,
};
