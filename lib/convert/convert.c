/* A gradient store made from another one.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/convert.h>

#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "convert/job.h"

enum { SAMPLE_MOST = 1000000 };

/* --- what stays ------------------------------------------------------------------------------- */

/* The lists are read as those of tamis grad are: against the layers and checkpoints alone. */
static tamis_status choose_parts(tamis__convert_job *job, tamis_error *err)
{
    const tamis_store_info *info = job->info;
    tamis_model_info model = {.layers = info->layers,
                              .layer = info->layer,
                              .checkpoints = info->checkpoints,
                              .checkpoint = info->checkpoint};
    tamis_status status = tamis__choose_layers(&job->layers, &model, job->params->layers, err);
    if (status == TAMIS_OK)
        status = tamis__choose_checkpoints(&job->checkpoints, &model, job->params->checkpoints,
                                           err);
    if (status != TAMIS_OK) return tamis__prefix(err, status, "'%s'", tamis_store_path(job->store));
    return TAMIS_OK;
}

static tamis_status choose(tamis__convert_job *job, tamis_error *err)
{
    const tamis_store_info *info = job->info;
    TAMIS_TRY(choose_parts(job, err));
    TAMIS_TRY(tamis__convert_whitened_parts(job, err));
    job->whole = job->layers.items == info->layers;
    if ((info->projection || info->whitening) && !job->whole)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s' is %s: layers cannot be taken out of its rows any more",
                           tamis_store_path(job->store),
                           info->projection ? "projected" : "whitened");
    job->kept = tamis__calloc(job->layers.items, sizeof *job->kept);
    job->checkpoint = tamis__calloc(job->checkpoints.items, sizeof *job->checkpoint);
    if (!job->kept || !job->checkpoint)
        return tamis__fail_memory(err, "a list of layers", job->layers.items * sizeof *job->kept);
    for (uint32_t i = 0; i < job->layers.items; i++) {
        job->kept[i] = info->layer[job->layers.item[i]];
        job->kept[i].first_column = job->kept_columns;
        job->kept_columns += tamis_layer_columns(&job->kept[i]);
    }
    for (uint32_t k = 0; k < job->checkpoints.items; k++)
        job->checkpoint[k] = info->checkpoint[job->checkpoints.item[k]];
    return TAMIS_OK;
}

static tamis_status prepare_projection(tamis__convert_job *job, tamis_error *err)
{
    const tamis_convert_params *params = job->params;
    tamis__projection_spec spec;
    if (!params->project) return TAMIS_OK;
    if (job->info->projection)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s' is projected already: project the store that it was made of",
                           tamis_store_path(job->store));
    TAMIS_TRY(tamis__convert_parse(&spec, params->project, params->seed, job->kept_columns, err));
    TAMIS_TRY(tamis__projector_create(&job->projector, &spec, &job->kernels, err));
    job->columns = spec.to;
    job->projected = (tamis_layer){.name = "projected", .out = 1, .in = spec.to};
    return TAMIS_OK;
}

static tamis_status choose_form(tamis__convert_job *job, tamis_error *err)
{
    const tamis_convert_params *params = job->params;
    bool factors = job->info->form == TAMIS_FORM_FACTORS;
    if (params->reform && params->form == TAMIS_FORM_FACTORS && !factors)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s' has whole gradients, and which inputs and output gradients they "
                           "are made of cannot be told from them: make the store anew in factor "
                           "form (tamis grad --form factors)",
                           tamis_store_path(job->store));
    if (params->reform && params->form == TAMIS_FORM_FACTORS && params->project)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "projected rows are no factors: leave out either the projection or the "
                           "form");
    job->form = params->project ? TAMIS_FORM_FULL : params->reform ? params->form : job->info->form;
    return TAMIS_OK;
}

static tamis_status prepare(tamis__convert_job *job, tamis_error *err)
{
    const tamis_convert_params *params = job->params;
    job->info = tamis_store_info_get(job->store);
    job->dtype = params->retype ? params->dtype : job->info->dtype;
    tamis__kernels_init(&job->kernels, tamis_context_cpu(job->context));
    TAMIS_TRY(choose_form(job, err));
    TAMIS_TRY(choose(job, err));
    job->columns = job->kept_columns;
    TAMIS_TRY(prepare_projection(job, err));
    TAMIS_TRY(tamis__convert_whiten(job, err));
    job->copy = job->whole && !job->projector && !job->whitener && job->dtype == job->info->dtype &&
                job->info->form == TAMIS_FORM_FULL;
    return TAMIS_OK;
}

/* --- the whole -------------------------------------------------------------------------------- */

static tamis_status convert(tamis__convert_job *job, tamis_convert_report *report, tamis_error *err)
{
    TAMIS_TRY(prepare(job, err));
    *report = (tamis_convert_report){
        .rows = job->info->rows,
        .columns = job->columns,
        .checkpoints = job->checkpoints.items,
        .layers = job->layers.items,
        .whitened = job->whitener != NULL,
        .dropped = job->whitener ? job->columns < job->kept_columns
                                 : !job->whole || job->checkpoints.items < job->info->checkpoints,
    };
    TAMIS_TRY(tamis__convert_write(job, err));
    return job->params->sample ? tamis__convert_compare(job, report, err) : TAMIS_OK;
}

tamis_status tamis_convert(tamis_context *context, const tamis_convert_params *params,
                           tamis_convert_report *ret_report, tamis_error *err)
{
    if (!context || !params || !params->store || !params->path)
        return tamis__fail(err, TAMIS_ERR_ARG, "a store and an output are needed");
    if (params->sample > SAMPLE_MOST)
        return tamis__fail(err, TAMIS_ERR_ARG, "cannot compare %llu rows: at most %d are sampled",
                           (unsigned long long)params->sample, SAMPLE_MOST);
    tamis__convert_job job = {.context = context, .params = params, .store = params->store};
    tamis_convert_report report;
    tamis_status status = convert(&job, &report, err);
    if (status == TAMIS_OK && ret_report) *ret_report = report;
    tamis__projector_destroy(&job.projector);
    tamis__convert_whiten_fini(&job);
    tamis__choice_fini(&job.checkpoints);
    tamis__choice_fini(&job.layers);
    free(job.kept);
    free(job.checkpoint);
    return status;
}
