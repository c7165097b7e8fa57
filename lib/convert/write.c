/* The new store: blocks are made on all threads while the calling one writes them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "convert/job.h"
#include "linalg/blas.h"
#include "store/layers_digest.h"
#include "store/store_writer.h"

/* Chunks of every chosen checkpoint on their way from a thread to the writer. */
typedef struct block_buffer {
    void *memory;          /* [checkpoints] of [chunk rows, columns] in the stored type */
    float *norms, *scales; /* [checkpoints] of [chunk rows] */
    const void **gradient; /* [checkpoints] into memory */
    const float **norm, **scale;
    uint64_t digest;
} block_buffer;

typedef struct writing {
    const tamis__convert_job *job;
    tamis_store_writer *writer;
    uint64_t first, chunk; /* the row to begin at; rows of a block */
    tamis__convert_batch batch;
    unsigned slots, threads;
    block_buffer *buffer;          /* [slots] */
    tamis__convert_worker *worker; /* [threads] */
    tamis__convert_outputs outputs;
} writing;

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* --- memory ----------------------------------------------------------------------------------- */

static uint64_t block_bytes(const writing *w)
{
    const tamis__convert_job *job = w->job;
    return w->chunk * job->checkpoints.items *
           (job->columns * tamis_dtype_size(job->dtype) + 2 * sizeof(float));
}

/* As many rows at a time and as many blocks in flight as keep the threads busy and fit. */
static tamis_status plan(writing *w, tamis_error *err)
{
    const tamis__convert_job *job = w->job;
    uint64_t block = block_bytes(w), loaded = tamis__convert_outputs_bytes(job),
             limit = job->context->memory;
    w->threads = tamis_context_threads(job->context);
    w->batch = tamis__convert_batch_of(job, w->chunk);
    uint64_t threads = w->threads, worker = tamis__convert_worker_bytes(job, w->batch);
    /* Rows that are whitened together are part of the last bits. */
    while (!job->whitener && w->batch.rows > 1 && loaded + block + worker * threads > limit / 2) {
        w->batch.rows /= 2;
        worker = tamis__convert_worker_bytes(job, w->batch);
    }
    uint64_t fixed = loaded + block + worker * threads;
    if (job->whitener) fixed += job->whitener->bytes;
    TAMIS_TRY(tamis__memory_check(job->context, fixed, "converting", err));
    w->slots = (unsigned)(1 + lesser((limit - fixed) / block, 2 * threads - 1));
    return TAMIS_OK;
}

static tamis_status buffer_init(block_buffer *buffer, const writing *w, tamis_error *err)
{
    const tamis__convert_job *job = w->job;
    uint32_t n = job->checkpoints.items;
    size_t bytes = w->chunk * job->columns * tamis_dtype_size(job->dtype);
    buffer->memory = tamis__aligned(n, bytes);
    buffer->norms = tamis__calloc(n, w->chunk * sizeof(float));
    buffer->scales = tamis__calloc(n, w->chunk * sizeof(float));
    buffer->gradient = tamis__calloc(n, sizeof *buffer->gradient);
    buffer->norm = tamis__calloc(n, sizeof *buffer->norm);
    buffer->scale = tamis__calloc(n, sizeof *buffer->scale);
    if (!buffer->memory || !buffer->norms || !buffer->scales || !buffer->gradient ||
        !buffer->norm || !buffer->scale)
        return tamis__fail_memory(err, "a block of rows", block_bytes(w));
    for (uint32_t k = 0; k < n; k++) {
        buffer->gradient[k] = (char *)buffer->memory + k * bytes;
        buffer->norm[k] = buffer->norms + k * w->chunk;
        buffer->scale[k] = buffer->scales + k * w->chunk;
    }
    return TAMIS_OK;
}

static tamis_status buffers_init(writing *w, tamis_error *err)
{
    TAMIS_TRY(plan(w, err));
    w->buffer = tamis__calloc(w->slots, sizeof *w->buffer);
    w->worker = tamis__calloc(w->threads, sizeof *w->worker);
    if (!w->buffer || !w->worker)
        return tamis__fail_memory(err, "buffers", w->slots * sizeof *w->buffer);
    for (unsigned i = 0; i < w->slots; i++) TAMIS_TRY(buffer_init(&w->buffer[i], w, err));
    for (unsigned i = 0; i < w->threads; i++)
        TAMIS_TRY(tamis__convert_worker_init(&w->worker[i], w->job, w->batch, err));
    return TAMIS_OK;
}

static void writing_fini(writing *w)
{
    for (unsigned i = 0; w->buffer && i < w->slots; i++) {
        free(w->buffer[i].memory);
        free(w->buffer[i].norms);
        free(w->buffer[i].scales);
        free(w->buffer[i].gradient);
        free(w->buffer[i].norm);
        free(w->buffer[i].scale);
    }
    for (unsigned i = 0; w->worker && i < w->threads; i++)
        tamis__convert_worker_fini(&w->worker[i]);
    tamis__convert_outputs_fini(&w->outputs, w->job);
    free(w->buffer);
    free(w->worker);
    tamis_store_writer_abort(&w->writer);
}

/* --- blocks ----------------------------------------------------------------------------------- */

static uint64_t block_of(const writing *w, uint64_t item, uint64_t *ret_first)
{
    *ret_first = w->first + item * w->chunk;
    return lesser(w->chunk, w->job->info->rows - *ret_first);
}

static tamis_status make_block(void *arg, uint64_t item, unsigned slot, unsigned worker,
                               tamis_error *err)
{
    writing *w = arg;
    const tamis__convert_job *job = w->job;
    block_buffer *buffer = &w->buffer[slot];
    size_t bytes = w->chunk * job->columns * tamis_dtype_size(job->dtype);
    uint64_t first = 0, rows = block_of(w, item, &first);
    buffer->digest = 0;
    for (uint32_t k = 0; k < job->checkpoints.items; k++) {
        char *stored = (char *)buffer->memory + k * bytes;
        float *scale = job->dtype == TAMIS_I8 ? buffer->scales + k * w->chunk : NULL;
        tamis_status status = tamis__convert_rows(job, &w->worker[worker], w->batch, k, first, rows,
                                                  stored, scale, buffer->norms + k * w->chunk, err);
        if (status != TAMIS_OK)
            return tamis__prefix(err, status, "'%s'", tamis_store_path(job->store));
        buffer->digest += tamis__store_rows_digest(stored, scale, rows, first, job->columns,
                                                   job->dtype, k);
    }
    return TAMIS_OK;
}

static tamis_status write_block(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    writing *w = arg;
    const tamis__convert_job *job = w->job;
    const block_buffer *buffer = &w->buffer[slot];
    uint64_t first = 0, rows = block_of(w, item, &first);
    tamis__store_block block = {
        .rows = rows,
        .gradient = buffer->gradient,
        .scale = job->dtype == TAMIS_I8 ? buffer->scale : NULL,
        .norm = buffer->norm,
        .digest = buffer->digest,
    };
    tamis__convert_beside(&w->outputs, job, first, &block);
    TAMIS_TRY(tamis__store_writer_put_block(w->writer, &block, err));
    return tamis__progress(job->context, "converting", first + rows, job->info->rows, "rows", NULL,
                           err);
}

/* --- the whole -------------------------------------------------------------------------------- */

static tamis_status write_blocks(writing *w, tamis_error *err)
{
    w->first = tamis_store_writer_next(w->writer);
    w->chunk = tamis__store_writer_chunk_rows(w->writer);
    TAMIS_TRY(buffers_init(w, err));
    tamis__pipeline blocks = {.arg = w,
                              .items = (w->job->info->rows - w->first + w->chunk - 1) / w->chunk,
                              .slots = w->slots,
                              .work = make_block,
                              .consume = write_block};
    tamis__blas_begin();
    tamis_status status = tamis__pool_run(w->job->context->pool, &blocks, err);
    tamis__blas_end();
    TAMIS_TRY(status);
    return tamis_store_writer_commit(&w->writer, err);
}

tamis_status tamis__convert_write(const tamis__convert_job *job, tamis_error *err)
{
    const tamis_convert_params *params = job->params;
    writing w = {.job = job};
    tamis_projection projection = {0};
    tamis_store_spec spec = {
        .path = params->path,
        .dtype = job->dtype,
        .rows = job->info->rows,
        .layer = job->projector  ? &job->projected
                 : job->whitener ? job->whitener->table
                                 : job->kept,
        .layers = job->projector  ? 1
                  : job->whitener ? job->whitener->tables
                                  : job->layers.items,
        .checkpoint = job->checkpoint,
        .checkpoints = job->checkpoints.items,
        .shard_rows = params->shard_rows,
        .force = params->force,
        .resume = params->resume,
        .provenance = params->provenance,
        .projection = job->info->projected_by,
        .whitening = job->whitener ? &job->whitener->by : job->info->whitened_by,
        .function = job->info->function,
        .direction = job->info->direction,
        .form = job->form,
        .labels = job->info->labels,
        .label_seed = job->info->label_seed,
        .rows_per_example = job->info->rows_per_example,
    };
    if (job->projector) {
        const tamis__projection_spec *made = tamis__projector_spec(job->projector);
        projection = (tamis_projection){
            .kind = tamis__projection_name(made->kind),
            .seed = made->seed,
            .from = made->from,
            .to = made->to,
            .nonzeros = (uint32_t)made->nonzeros,
            .layers = tamis__layers_digest(job->kept, job->layers.items)};
        spec.projection = &projection;
    }
    tamis_status status = tamis__memory_check(job->context, tamis__convert_outputs_bytes(job),
                                              "converting", err);
    if (status == TAMIS_OK) status = tamis__convert_outputs_load(&w.outputs, job, &spec, err);
    if (status == TAMIS_OK) status = tamis_store_writer_open(&w.writer, job->context, &spec, err);
    if (status == TAMIS_OK && job->form == TAMIS_FORM_FACTORS)
        status = tamis__convert_factors(job, &w.outputs, &w.writer, err);
    else if (status == TAMIS_OK)
        status = write_blocks(&w, err);
    writing_fini(&w);
    return status;
}
