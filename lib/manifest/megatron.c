/* Megatron-LM: the kept sequences or documents as an indexed data set.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "manifest/megatron_params.h"

static const tamis_param_desc params[TAMIS__MEGATRON_PARAMS] = {TAMIS__MEGATRON_DESCRIPTIONS};

static tamis_status init(void *state, const tamis_param_value *param, tamis_error *err)
{
    (void)err;
    tamis__megatron_params_read(state, param);
    return TAMIS_OK;
}

/* The index is the file that stands for the records. */
static tamis_status name_part(tamis__part *part, tamis_error *err)
{
    char *path = tamis__megatron_path(part->path, ".idx");
    if (!path) return tamis__fail_memory(err, "a file name", 1);
    free(part->path);
    part->path = path;
    return TAMIS_OK;
}

static tamis_status write_parts(const tamis__megatron_job *job, tamis_error *err)
{
    const tamis__plan *plan = job->job->plan;
    bool gaps = false;
    for (size_t i = plan->parts; i > 0; i--) {
        tamis__part *part = &plan->of[i - 1];
        tamis__walk rows = {.plan = plan, .part = i - 1};
        tamis__megatron_written written;
        TAMIS_TRY(name_part(part, err));
        TAMIS_TRY(tamis__megatron_write(job, &rows, part->path, part->name, &written, err));
        part->records = written.records;
        part->bytes = written.bytes;
        gaps |= written.gaps;
    }
    tamis__megatron_warn(job, gaps);
    return TAMIS_OK;
}

static tamis_status write_megatron(void *state, const tamis__manifest_job *manifest,
                                   tamis_manifest_result *result, tamis_error *err)
{
    tamis__megatron set = {0};
    const tamis__megatron_params *p = state;
    tamis__megatron_job job = {manifest, &set, p->mode, p->by_document};
    TAMIS_TRY(tamis__megatron_open(&set, manifest->context, manifest->params->input[0], err));
    tamis_status status = tamis__megatron_compare(&job, result, err);
    if (status == TAMIS_OK) status = write_parts(&job, err);
    tamis__megatron_close(&set);
    return status;
}

const tamis__manifest_class tamis__manifest_megatron = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "megatron",
             .summary = "Megatron-LM's .idx and .bin of the kept documents, copied or linked",
             .extensions = "",
             .flags = TAMIS_MANIFEST_NEEDS_INPUT | TAMIS_MANIFEST_DIRECTORY,
             .params = params,
             .n_params = TAMIS__MEGATRON_PARAMS},
    .state_size = sizeof(tamis__megatron_params),
    .init = init,
    .write = write_megatron,
};
