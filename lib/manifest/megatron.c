/* Megatron-LM: the kept sequences or documents as an indexed data set.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"
#include "manifest/megatron_params.h"

static const tamis_param_desc params[TAMIS__MEGATRON_PARAMS] = {TAMIS__MEGATRON_DESCRIPTIONS};

static tamis_status init(void *state, const tamis_param_value *param, tamis_error *err)
{
    (void)err;
    tamis__megatron_params_read(state, param);
    return TAMIS_OK;
}

static tamis_status write_parts(const tamis__megatron_job *job, tamis_error *err)
{
    const char *gaps = NULL;
    for (size_t k = job->job->plan->parts; k > 0; k--)
        TAMIS_TRY(tamis__megatron_part(job, k - 1, &gaps, err));
    tamis__megatron_warn(job, gaps);
    return TAMIS_OK;
}

static tamis_status write_megatron(void *state, const tamis__manifest_job *manifest,
                                   tamis_manifest_result *result, tamis_error *err)
{
    const tamis__megatron_params *p = state;
    tamis__megatron_job job = {.job = manifest, .mode = p->mode, .by_document = p->by_document};
    tamis_status status = tamis__megatron_inputs(&job, err);
    if (status == TAMIS_OK) status = tamis__megatron_compare(&job, result, err);
    if (status == TAMIS_OK) status = write_parts(&job, err);
    tamis__megatron_inputs_close(&job);
    return status;
}

const tamis__manifest_class tamis__manifest_megatron = {
    .abi = TAMIS__MANIFEST_ABI,
    .info = {.name = "megatron",
             .summary = "Megatron-LM's .idx and .bin of the kept documents, copied or linked",
             .extensions = "",
             .flags = TAMIS_MANIFEST_NEEDS_INPUT | TAMIS_MANIFEST_DIRECTORY |
                      TAMIS_MANIFEST_SEVERAL,
             .params = params,
             .n_params = TAMIS__MEGATRON_PARAMS},
    .state_size = sizeof(tamis__megatron_params),
    .init = init,
    .write = write_megatron,
};
