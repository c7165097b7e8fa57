/* What goes along with the rows of a store: ids and other columns, losses, margins, probabilities.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "convert/job.h"
#include "store/store_writer.h"

enum {
    LOSS = TAMIS__CONVERT_LOSS,
    MARGIN = TAMIS__CONVERT_MARGIN,
    PROBABILITY = TAMIS__CONVERT_PROBABILITY,
    OUTPUTS = TAMIS__CONVERT_OUTPUTS
};

/* --- what goes along -------------------------------------------------------------------------- */

static const char *const names[OUTPUTS] = {"loss", "margin", "probability"};

static tamis_status load(tamis__convert_outputs *o, const tamis__convert_job *job, int which,
                         tamis_error *err)
{
    uint32_t n = job->checkpoints.items;
    o->all[which] = tamis__calloc(n, sizeof *o->all[which]);
    o->part[which] = tamis__calloc(n, sizeof *o->part[which]);
    if (!o->all[which] || !o->part[which])
        return tamis__fail_memory(err, names[which], n * sizeof *o->all[which]);
    for (uint32_t k = 0; k < n; k++)
        TAMIS_TRY(tamis_store_outputs(job->store, job->checkpoints.item[k], names[which],
                                      &o->all[which][k], err));
    return TAMIS_OK;
}

static bool there(const tamis__convert_outputs *o, const tamis__convert_job *job, int which)
{
    for (uint32_t k = 0; k < job->checkpoints.items; k++)
        if (!o->all[which][k]) return false;
    return true;
}

uint64_t tamis__convert_outputs_bytes(const tamis__convert_job *job)
{
    uint64_t norms = job->whole && !job->projector && !job->whitener ? 1 : 0;
    uint64_t scales = job->copy && job->dtype == TAMIS_I8 ? 1 : 0;
    uint64_t offsets = job->info->form == TAMIS_FORM_FACTORS ? 2 : 0;
    uint64_t columns = 2 + job->info->classes + norms + scales + offsets;
    return job->info->rows * sizeof(float) * job->checkpoints.items * columns +
           (job->whitener ? job->whitener->bytes : 0);
}

static void forget(tamis__convert_outputs *o, const tamis__convert_job *job, int which)
{
    for (uint32_t k = 0; o->all[which] && k < job->checkpoints.items; k++) free(o->all[which][k]);
    free(o->all[which]);
    free(o->part[which]);
    o->all[which] = NULL;
    o->part[which] = NULL;
}

/* Loss and margin go together in a store. */
tamis_status tamis__convert_outputs_load(tamis__convert_outputs *outputs,
                                         const tamis__convert_job *job, tamis_store_spec *spec,
                                         tamis_error *err)
{
    tamis__convert_outputs *o = outputs;
    for (int which = 0; which < OUTPUTS; which++) TAMIS_TRY(load(o, job, which, err));
    bool loss = there(o, job, LOSS), margin = there(o, job, MARGIN);
    spec->outputs = loss && margin;
    spec->classes = there(o, job, PROBABILITY) ? job->info->classes : 0;
    if (loss != margin)
        tamis__log(job->context, TAMIS_LOG_WARNING,
                   "'%s' has only one of loss and margin, which does not go along",
                   tamis_store_path(job->store));
    if (!spec->outputs) forget(o, job, LOSS), forget(o, job, MARGIN);
    if (!spec->classes) forget(o, job, PROBABILITY);
    return TAMIS_OK;
}

void tamis__convert_outputs_fini(tamis__convert_outputs *outputs, const tamis__convert_job *job)
{
    for (int which = 0; which < OUTPUTS; which++) forget(outputs, job, which);
}

static tamis_examples examples_from(const tamis_examples *all, uint64_t row)
{
    tamis_examples part = *all;
    if (part.id_number) part.id_number += row;
    if (part.id_text) part.id_text += row;
    if (part.digest) part.digest += row;
    if (part.label) part.label += row;
    if (part.length) part.length += row;
    if (part.group) part.group += row;
    return part;
}

void tamis__convert_beside(tamis__convert_outputs *outputs, const tamis__convert_job *job,
                           uint64_t first, tamis__store_block *block)
{
    for (int which = 0; which < OUTPUTS; which++)
        for (uint32_t k = 0; outputs->all[which] && k < job->checkpoints.items; k++)
            outputs->part[which][k] = outputs->all[which][k] +
                                      first * (which == PROBABILITY ? job->info->classes : 1);
    block->examples = examples_from(tamis_store_examples(job->store), first);
    block->loss = outputs->part[LOSS];
    block->margin = outputs->part[MARGIN];
    block->probability = outputs->part[PROBABILITY];
}
