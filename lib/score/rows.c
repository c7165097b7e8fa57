/* Which training rows can be scored.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "score/output.h"

/* Only ever called with --bad-rows skip. */
static tamis_status mark(const tamis__score_call *call, uint32_t k, uint64_t row, tamis_error *err)
{
    tamis__score_output *out = call->output;
    uint64_t rows = tamis_store_info_get(call->train)->rows;
    if (!out->skip) out->skip = tamis__calloc(rows, 1);
    if (!out->skip) return tamis__fail_memory(err, "marks of rows to skip", rows);
    if (out->skip[row]) return TAMIS_OK;
    char id[256];
    out->skip[row] = 1;
    tamis_store_id(call->train, row, id, sizeof id);
    if (out->skipped++ == 0)
        tamis__log(call->context, TAMIS_LOG_WARNING,
                   "'%s': row %llu (id %s) at checkpoint %u is not finite or has no direction: it "
                   "gets no score",
                   tamis_store_path(call->train), (unsigned long long)row, id, k);
    return TAMIS_OK;
}

/* The engine's own check of a store's rows, which queries pass too, does not know of skipping. */
static tamis_status refuse_bad(tamis_status status, tamis_error *err)
{
    if (status != TAMIS_ERR_NUMERIC || !err) return status;
    size_t used = strlen(err->message);
    snprintf(err->message + used, sizeof err->message - used,
             ", or skip such rows with --bad-rows skip");
    return status;
}

static tamis_status look_at(const tamis__score_call *call, uint32_t k, bool direction,
                            tamis_error *err)
{
    tamis__score_output *out = call->output;
    uint64_t rows = tamis_store_info_get(call->train)->rows;
    if (!out->params->skip_bad_rows)
        return refuse_bad(tamis__finite_norms(call->train, k, direction, &out->norm[k], err), err);
    TAMIS_TRY(tamis_store_norms(call->train, k, &out->norm[k], err));
    for (uint64_t i = 0; i < rows; i++)
        if (!isfinite(out->norm[k][i]) || (direction && out->norm[k][i] == 0.0f))
            TAMIS_TRY(mark(call, k, i, err));
    return TAMIS_OK;
}

static tamis_status look_at_some(const tamis__score_call *call, uint32_t first, uint32_t end,
                                 bool direction, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(call->train);
    tamis__score_output *out = call->output;
    if (!out->norm) out->norm = tamis__calloc(info->checkpoints, sizeof *out->norm);
    if (!out->norm) return tamis__fail_memory(err, "norms", info->checkpoints * sizeof *out->norm);
    for (uint32_t k = first; k < end; k++) TAMIS_TRY(look_at(call, k, direction, err));
    if (out->skipped < info->rows) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_NUMERIC, "'%s': no row is left that can be scored",
                       tamis_store_path(call->train));
}

tamis_status tamis__score_rows(const tamis__score_call *call, bool direction, tamis_error *err)
{
    uint32_t checkpoints = tamis_store_info_get(call->train)->checkpoints;
    return look_at_some(call, 0, checkpoints, direction, err);
}

tamis_status tamis__score_rows_at(const tamis__score_call *call, uint32_t checkpoint,
                                  tamis_error *err)
{
    return look_at_some(call, checkpoint, checkpoint + 1, false, err);
}

const unsigned char *tamis__score_skipped(const tamis__score_call *call)
{
    return call->output->skip;
}

const float *const *tamis__score_norms(const tamis__score_call *call)
{
    return call->output->norm;
}
