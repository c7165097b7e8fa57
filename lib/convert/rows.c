/* Rows of a store in another form: copied, rounded, cut or projected. How many go through at a time
 * changes no bit.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "convert/job.h"
#include "store/store_changed.h"
#include "store/store_pages.h"
#include "store/store_writer.h"

/* Floats that are widened at a time, if a row is not longer; rows projected at a time. */
enum { PIECE = 1 << 18, PROJECT_ROWS = 16 };

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* --- reading ---------------------------------------------------------------------------------- */

tamis_status tamis__convert_read(const tamis__convert_job *job, uint32_t checkpoint,
                                 uint64_t first_row, uint64_t rows, uint64_t first,
                                 uint64_t columns, float *out, size_t stride, tamis_error *err)
{
    if (job->whole)
        return tamis_store_read(job->store, checkpoint, first_row, rows, first, columns, out,
                                stride, err);
    for (uint32_t i = 0; i < job->layers.items; i++) {
        const tamis_layer *kept = &job->kept[i];
        uint64_t width = tamis_layer_columns(kept), begin = kept->first_column, end = begin + width;
        if (end <= first || begin >= first + columns) continue;
        uint64_t from = begin > first ? begin : first, to = lesser(end, first + columns);
        uint64_t source = job->info->layer[job->layers.item[i]].first_column + (from - begin);
        TAMIS_TRY(tamis_store_read(job->store, checkpoint, first_row, rows, source, to - from,
                                   out + (from - first), stride, err));
    }
    return TAMIS_OK;
}

/* --- a thread's memory ------------------------------------------------------------------------ */

tamis__convert_batch tamis__convert_batch_of(const tamis__convert_job *job, uint64_t rows)
{
    tamis__convert_batch batch = {.tile = job->kept_columns};
    if (job->projector) {
        batch.tile = lesser(batch.tile, TAMIS__PROJECTION_TILE);
        batch.rows = lesser(PROJECT_ROWS, rows);
    } else {
        uint64_t fit = PIECE / job->kept_columns;
        batch.rows = lesser(fit ? fit : 1, rows);
    }
    return batch;
}

/* The rows' pages of the source are in memory while they are worked on. */
uint64_t tamis__convert_worker_bytes(const tamis__convert_job *job, tamis__convert_batch batch)
{
    const tamis_store_info *info = job->info;
    uint64_t source = info->form == TAMIS_FORM_FULL ? info->columns
                                                    : info->input_columns + info->output_columns;
    uint64_t bytes = batch.rows * batch.tile * sizeof(float) +
                     batch.rows * source * tamis_dtype_size(info->dtype);
    if (!job->projector) return bytes;
    return bytes + batch.rows * job->columns * sizeof(float) +
           tamis__projector_scratch(job->projector, batch.rows);
}

tamis_status tamis__convert_worker_init(tamis__convert_worker *worker,
                                        const tamis__convert_job *job, tamis__convert_batch batch,
                                        tamis_error *err)
{
    bool project = job->projector != NULL;
    worker->rows = tamis__aligned(batch.rows * batch.tile, sizeof *worker->rows);
    if (project) {
        worker->projected = tamis__aligned(batch.rows * job->columns, sizeof *worker->projected);
        worker->scratch = tamis__aligned(tamis__projector_scratch(job->projector, batch.rows), 1);
    }
    if (!worker->rows || (project && (!worker->projected || !worker->scratch)))
        return tamis__fail_memory(err, "rows", tamis__convert_worker_bytes(job, batch));
    return TAMIS_OK;
}

void tamis__convert_worker_fini(tamis__convert_worker *worker)
{
    free(worker->rows);
    free(worker->projected);
    free(worker->scratch);
    *worker = (tamis__convert_worker){0};
}

/* --- making ----------------------------------------------------------------------------------- */

static tamis_status project(const tamis__convert_job *job, tamis__convert_worker *worker,
                            tamis__convert_batch batch, uint32_t checkpoint, uint64_t first,
                            uint64_t rows, tamis_error *err)
{
    uint64_t run = 0;
    const float *mapped = NULL;
    if (job->whole && job->info->dtype == TAMIS_F32)
        mapped = tamis_store_map(job->store, checkpoint, first, &run);
    if (mapped && run >= rows) {
        tamis__project(job->projector, worker->scratch, rows, mapped, job->kept_columns,
                       worker->projected, job->columns);
        tamis__store_touched_rows(job->store, rows, job->kept_columns);
        return TAMIS_OK;
    }
    tamis__project_begin(job->projector, worker->scratch, rows);
    for (uint64_t c = 0; c < job->kept_columns; c += batch.tile) {
        uint64_t columns = lesser(batch.tile, job->kept_columns - c);
        TAMIS_TRY(tamis__convert_read(job, checkpoint, first, rows, c, columns, worker->rows,
                                      batch.tile, err));
        tamis__project_columns(job->projector, worker->scratch, rows, c, columns, worker->rows,
                               batch.tile);
    }
    tamis__project_end(job->projector, worker->scratch, rows, worker->projected, job->columns);
    return TAMIS_OK;
}

/* False when the rows are not mapped as a whole. */
static bool copy(const tamis__convert_job *job, uint32_t checkpoint, uint64_t first, uint64_t rows,
                 char *stored)
{
    uint64_t row_bytes = job->columns * tamis_dtype_size(job->dtype), run = 0;
    for (uint64_t done = 0; done < rows; done += run) {
        const void *from = tamis_store_map(job->store, checkpoint, first + done, &run);
        if (!from) return false;
        run = lesser(run, rows - done);
        memcpy(stored + done * row_bytes, from, run * row_bytes);
    }
    tamis__store_touched_rows(job->store, rows, job->columns);
    return true;
}

static tamis_status make(const tamis__convert_job *job, tamis__convert_worker *worker,
                         tamis__convert_batch batch, uint32_t k, uint64_t first, uint64_t rows,
                         char *stored, float *scale, float *norm, tamis_error *err)
{
    uint32_t checkpoint = job->checkpoints.item[k];
    uint64_t row_bytes = job->columns * tamis_dtype_size(job->dtype);
    for (uint64_t done = 0; done < rows; done += batch.rows) {
        uint64_t n = lesser(batch.rows, rows - done);
        const float *made = job->projector ? worker->projected : worker->rows;
        if (job->projector)
            TAMIS_TRY(project(job, worker, batch, checkpoint, first + done, n, err));
        else
            TAMIS_TRY(tamis__convert_read(job, checkpoint, first + done, n, 0, batch.tile,
                                          worker->rows, batch.tile, err));
        TAMIS_TRY(tamis__store_rows_narrow(&job->kernels, job->dtype, made, n, job->columns,
                                           first + done, checkpoint, stored + done * row_bytes,
                                           scale ? scale + done : NULL, norm + done, err));
    }
    return TAMIS_OK;
}

tamis_status tamis__convert_rows(const tamis__convert_job *job, tamis__convert_worker *worker,
                                 tamis__convert_batch batch, uint32_t k, uint64_t first,
                                 uint64_t rows, void *stored, float *scale, float *norm,
                                 tamis_error *err)
{
    uint32_t checkpoint = job->checkpoints.item[k];
    const float *norms = NULL, *scales = NULL;
    bool keep_norms = job->whole && !job->projector;
    TAMIS_TRY(tamis__store_rows_there(job->store, first, rows, err));
    if (keep_norms) TAMIS_TRY(tamis_store_norms(job->store, checkpoint, &norms, err));
    if (job->copy && copy(job, checkpoint, first, rows, stored)) {
        TAMIS_TRY(tamis_store_scales(job->store, checkpoint, &scales, err));
        if (scales) memcpy(scale, scales + first, rows * sizeof *scale);
        TAMIS_TRY(tamis__store_rows_check(job->dtype, stored, rows, job->columns, first, checkpoint,
                                          err));
    } else {
        TAMIS_TRY(make(job, worker, batch, k, first, rows, stored, scale, norm, err));
    }
    if (norms) memcpy(norm, norms + first, rows * sizeof *norm);
    return TAMIS_OK;
}
