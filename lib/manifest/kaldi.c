/* Kaldi: a data directory of the kept utterances, or a list of them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/kaldi_set.h"

#include <string.h>

#include "base/error.h"
#include "base/tree.h"
#include "manifest/kaldi_files.h"
#include "manifest/registry.h"

enum { MODE_DIRECTORY, MODE_LIST };
static const char *const modes[] = {"dir", "list", NULL};

static const tamis_param_desc params[] = {
    {.name = "mode",
     .help = "dir: a data directory; list: a file of utterances, one a line",
     .type = TAMIS_PARAM_CHOICE,
     .fallback = MODE_DIRECTORY,
     .choices = modes},
    {.name = "rows",
     .help = "file whose lines are the rows; default utt2spk, without one segments, then text",
     .type = TAMIS_PARAM_STRING},
};

typedef struct kaldi {
    int mode;
    const char *listing;
} kaldi;

static tamis_status init(void *state, const tamis_param_value *param, tamis_error *err)
{
    kaldi *k = state;
    (void)err;
    k->mode = (int)param[0].number;
    k->listing = param[1].given ? param[1].text : NULL;
    return TAMIS_OK;
}

static tamis_status open_in_tree(void *arg, const char *name, tamis__output *ret_output,
                                 tamis_error *err)
{
    return tamis__tree_file(arg, name, ret_output, err);
}

static bool is_ours(const char *name)
{
    for (size_t i = 0; i < tamis__kaldi_files; i++)
        if (!strcmp(name, tamis__kaldi_file[i].name)) return true;
    return false;
}

static tamis_status write_directory(const tamis__manifest_job *job, const tamis__kaldi_set *set,
                                    size_t k, tamis_error *err)
{
    tamis__part *part = &job->plan->of[k];
    tamis__tree *tree = NULL;
    tamis__kaldi_sink sink = {.open = open_in_tree};
    if (!job->params->dry_run) {
        TAMIS_TRY(tamis__outputs_tree(job->outputs, job->context, part->path, part->name,
                                      job->params->force, is_ours, &tree, err));
        sink.arg = tree;
    }
    return tamis__kaldi_write(set, job->plan->part, (uint16_t)k, tree ? &sink : NULL,
                              &part->records, &part->bytes, err);
}

static tamis_status put_name(tamis__part *part, tamis__output *output, const tamis__name *name,
                             tamis_error *err)
{
    part->records++;
    part->bytes += name->size + 1;
    if (!output) return TAMIS_OK;
    TAMIS_TRY(tamis__output_write(output, name->data, name->size, err));
    return tamis__output_write(output, "\n", 1, err);
}

static tamis_status write_list(const tamis__manifest_job *job, const tamis__kaldi_set *set,
                               size_t k, tamis_error *err)
{
    tamis__part *part = &job->plan->of[k];
    tamis__output *output = NULL;
    if (!job->params->dry_run)
        TAMIS_TRY(tamis__outputs_file(job->outputs, job->context, part->path, part->name,
                                      job->params->force, &output, err));
    if (part->row) {
        for (uint64_t i = 0; i < part->n; i++)
            TAMIS_TRY(put_name(part, output, tamis__kaldi_utterance(set, part->row[i]), err));
        return TAMIS_OK;
    }
    for (uint64_t row = 0; row < set->rows; row++)
        if (job->plan->part[row] == k)
            TAMIS_TRY(put_name(part, output, tamis__kaldi_utterance(set, row), err));
    return TAMIS_OK;
}

static tamis_status check_params(const kaldi *k, const tamis_manifest_params *p, tamis_error *err)
{
    if (p->repeats || (k->mode == MODE_DIRECTORY && p->order != TAMIS_MANIFEST_SOURCE))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "a Kaldi directory is sorted and has each utterance once: leave out the "
                           "order and repeats");
    return TAMIS_OK;
}

static tamis_status write_parts(const kaldi *k, const tamis__manifest_job *job,
                                tamis__kaldi_set *set, tamis_manifest_result *result,
                                tamis_error *err)
{
    const tamis_manifest_params *p = job->params;
    TAMIS_TRY(tamis__kaldi_set_open(set, job->context, p->input, p->inputs, k->listing, err));
    TAMIS_TRY(tamis__kaldi_compare(set, job->selection, &result->ids_checked, err));
    result->records = set->rows;
    result->bytes_in = set->bytes;
    for (size_t i = 0; result->input_records && i < set->n; i++)
        result->input_records[i] = set->dir[i].rows;
    if (k->mode == MODE_DIRECTORY) TAMIS_TRY(tamis__kaldi_join(set, err));
    for (size_t i = job->plan->parts; i > 0; i--)
        TAMIS_TRY((k->mode == MODE_LIST ? write_list : write_directory)(job, set, i - 1, err));
    return TAMIS_OK;
}

static tamis_status write_kaldi(void *state, const tamis__manifest_job *job,
                                tamis_manifest_result *result, tamis_error *err)
{
    tamis__kaldi_set set = {0};
    TAMIS_TRY(check_params(state, job->params, err));
    tamis_status status = write_parts(state, job, &set, result, err);
    tamis__kaldi_set_close(&set);
    return status;
}

const tamis__manifest_class tamis__manifest_kaldi = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "kaldi",
             .summary = "Kaldi data directory of the kept utterances, or a list of them",
             .extensions = "",
             .flags = TAMIS_MANIFEST_NEEDS_INPUT | TAMIS_MANIFEST_DIRECTORY |
                      TAMIS_MANIFEST_SEVERAL,
             .params = params,
             .n_params = 2},
    .state_size = sizeof(kaldi),
    .init = init,
    .write = write_kaldi,
};
