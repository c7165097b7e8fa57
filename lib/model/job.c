/* What is asked of a gradient run, checked and looked up.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "model/labels.h"
#include "model/object.h"

/* The chosen layers side by side, and the chosen checkpoints. */
static tamis_status choose(tamis__gradient_job *job, const tamis_gradient_params *params,
                           tamis_error *err)
{
    const tamis_model_info *info = tamis_model_info_get(job->model);
    TAMIS_TRY(tamis__choose_layers(&job->layers, info, params->layers, err));
    TAMIS_TRY(tamis__choose_checkpoints(&job->checkpoints, info, params->checkpoints, err));
    job->layer = tamis__calloc(job->layers.items, sizeof *job->layer);
    job->checkpoint = tamis__calloc(job->checkpoints.items, sizeof *job->checkpoint);
    if (!job->layer || !job->checkpoint)
        return tamis__fail_memory(err, "a list of layers", job->layers.items * sizeof *job->layer);
    for (uint32_t i = 0; i < job->layers.items; i++) {
        job->layer[i] = info->layer[job->layers.item[i]];
        job->layer[i].first_column = job->columns;
        job->columns += tamis_layer_columns(&job->layer[i]);
    }
    job->stored = job->columns;
    for (uint32_t k = 0; k < job->checkpoints.items; k++)
        job->checkpoint[k] = info->checkpoint[job->checkpoints.item[k]];
    return TAMIS_OK;
}

static tamis_status find_kind(const char *name, tamis__projection_kind *ret_kind, tamis_error *err)
{
    for (int kind = 0; name && kind < TAMIS__PROJECTION_KINDS; kind++) {
        *ret_kind = (tamis__projection_kind)kind;
        if (strcmp(name, tamis__projection_name(*ret_kind)) == 0) return TAMIS_OK;
    }
    return tamis__fail(err, TAMIS_ERR_ARG, "no projection '%.40s': sparse or rademacher",
                       name ? name : "");
}

static tamis_status get_projector(tamis__gradient_job *job, const tamis_projection *wanted,
                                  tamis_error *err)
{
    if (!wanted) return TAMIS_OK;
    tamis__projection_spec spec = {
        .seed = wanted->seed,
        .from = job->columns,
        .to = wanted->to,
        .nonzeros = wanted->nonzeros,
    };
    TAMIS_TRY(find_kind(wanted->kind, &spec.kind, err));
    if (wanted->from && wanted->from != job->columns)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "a projection of rows of %" PRIu64 " columns, but they have %" PRIu64,
                           wanted->from, job->columns);
    if (wanted->to > job->columns)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "cannot project rows of %" PRIu64 " columns to %" PRIu64
                           ": store them in full, or project to fewer",
                           job->columns, wanted->to);
    TAMIS_TRY(tamis__projector_create(&job->projector, &spec, &job->kernels, err));
    job->stored = wanted->to;
    return TAMIS_OK;
}

static tamis_status get_moments(tamis__gradient_job *job, const tamis_gradient_params *params,
                                tamis_error *err)
{
    tamis__moments_plan plan = {
        .model = job->model,
        .layers = &job->layers,
        .checkpoints = &job->checkpoints,
        .layer = job->layer,
        .columns = job->columns,
        .params = params,
    };
    return tamis__moments_init(&job->moments, &plan, job->context, err);
}

/* The factors of a gradient make no direction and no projected row. */
static tamis_status check_form(const tamis_gradient_params *params, tamis_error *err)
{
    if ((unsigned)params->form > TAMIS_FORM_FACTORS)
        return tamis__fail(err, TAMIS_ERR_ARG, "no such form of rows");
    if (params->form == TAMIS_FORM_FULL) return TAMIS_OK;
    if (params->direction != TAMIS_DIRECTION_GRADIENT)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "the direction %s is no outer product of an input and an output "
                           "gradient: store it in full",
                           tamis__direction_name(params->direction));
    if (params->projection)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "rows are either projected or kept as their factors: choose one");
    return TAMIS_OK;
}

static tamis_status fill(tamis__gradient_job *job, const tamis_gradient_params *params,
                         tamis_error *err)
{
    TAMIS_TRY(choose(job, params, err));
    TAMIS_TRY(get_moments(job, params, err));
    return get_projector(job, params->projection, err);
}

tamis_status tamis__job_init(tamis__gradient_job *ret_job, const tamis_model *model,
                             tamis_context *context, const tamis_data *data,
                             const tamis_gradient_params *params, tamis_error *err)
{
    tamis__gradient_job job = {
        .model = model,
        .data = data,
        .context = context,
        .dtype = params->dtype,
        .classes = model->info.classes,
        .function = params->function,
        .direction = params->direction,
        .form = params->form,
        .labels = params->labels,
        .given_labels = params->given_labels,
        .label_seed = params->labels == TAMIS_LABELS_SAMPLED ? params->label_seed : 0,
        .per_example = params->labels == TAMIS_LABELS_EXPECTED ? model->info.classes : 1,
    };
    job.rows = data->rows * job.per_example;
    job.group = tamis__labels_group(job.per_example) * job.per_example;
    if ((unsigned)params->function > TAMIS_FUNCTION_MARGIN)
        return tamis__fail(err, TAMIS_ERR_ARG, "no such function to differentiate");
    if (!params->path) return tamis__fail(err, TAMIS_ERR_ARG, "no path for the gradient store");
    if (params->labels == TAMIS_LABELS_TRUE)
        TAMIS_TRY(tamis__model_data_check(model, data, err));
    else
        TAMIS_TRY(tamis__model_rows_check(model, data, err));
    TAMIS_TRY(check_form(params, err));
    TAMIS_TRY(tamis__labels_check(params, data->rows, job.classes, err));
    tamis__kernels_init(&job.kernels, tamis_context_cpu(context));
    tamis_status status = fill(&job, params, err);
    if (status == TAMIS_OK)
        *ret_job = job;
    else
        tamis__job_fini(&job);
    return status;
}

void tamis__job_fini(tamis__gradient_job *job)
{
    tamis__projector_destroy(&job->projector);
    tamis__moments_fini(&job->moments);
    tamis__choice_fini(&job->layers);
    tamis__choice_fini(&job->checkpoints);
    free(job->layer);
    free(job->checkpoint);
}
