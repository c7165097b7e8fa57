/* Rows made into whitened eigen-coordinates.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "convert/job.h"
#include "store/curvature_file.h"

/* One checkpoint, the curvature's, and all layers. */
tamis_status tamis__convert_whitened_parts(tamis__convert_job *job, tamis_error *err)
{
    const tamis_convert_params *params = job->params;
    tamis__choice *chosen = &job->checkpoints;
    uint32_t checkpoint = 0;
    if (!params->whiten) return TAMIS_OK;
    if (job->layers.items != job->info->layers)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "a curvature is of all layers of '%s': whiten them all, and leave out "
                           "the list of layers",
                           tamis_store_path(job->store));
    TAMIS_TRY(tamis__curvature_checkpoint(params->whiten, job->store, &checkpoint, err));
    if (chosen->items == job->info->checkpoints) {
        chosen->items = 1;
        chosen->item[0] = checkpoint;
    }
    if (chosen->items == 1 && chosen->item[0] == checkpoint) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "'%s' is of checkpoint %u alone: leave out the list of checkpoints",
                       tamis_curvature_path(params->whiten), checkpoint);
}

static tamis_status check(const tamis__convert_job *job, tamis_error *err)
{
    const tamis_convert_params *params = job->params;
    const char *path = tamis_store_path(job->store);
    if (job->info->whitened_by)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s' is whitened already: whiten the store that it was made of", path);
    if (params->project)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "rows are either projected or whitened: leave one of them out, or "
                           "project the whitened store afterwards");
    if (params->reform && params->form == TAMIS_FORM_FACTORS)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "whitened rows are no factors: leave out either the whitening or the "
                           "form");
    return tamis__curvature_fits(params->whiten, job->store, err);
}

tamis_status tamis__convert_whiten(tamis__convert_job *job, tamis_error *err)
{
    const tamis_convert_params *params = job->params;
    const tamis_whitening by = {.kind = tamis__curvature_kind_name(params->whiten_kind),
                                .damping = params->damping,
                                .relative = !params->damping_absolute,
                                .keep = params->keep > 0 ? params->keep : 1.0};
    if (!params->whiten) return TAMIS_OK;
    TAMIS_TRY(check(job, err));
    tamis__whitener *w = tamis__calloc(1, sizeof *w);
    if (!w) return tamis__fail_memory(err, "a whitening", sizeof *w);
    tamis_status status = tamis__whitener_init(w, job->context, params->whiten, &by, err);
    if (status != TAMIS_OK) {
        free(w);
        return status;
    }
    job->whitener = w;
    job->columns = w->columns;
    job->form = TAMIS_FORM_FULL;
    return tamis__eigen_rows_of_store(&job->eigen, job->store, job->checkpoints.item[0],
                                      w->spectra.layer, err);
}

void tamis__convert_whiten_fini(tamis__convert_job *job)
{
    if (job->whitener) tamis__whitener_fini(job->whitener);
    free(job->whitener);
    job->whitener = NULL;
}
