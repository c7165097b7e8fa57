/* Per-example gradients into a store.
 *
 * The rows go through in waves. First the wave's groups go through the network, as matrix products,
 * and leave their factors; then the store's blocks are expanded from the factors on all threads
 * while this one writes them. In factor form, where there is nothing to expand, groups go straight
 * to the writer (grad_factors.c). Groups are of constant size and start at multiples of it whatever
 * the threads, the memory, the shards or the row a resumed run starts at: the bits depend on none.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"
#include "model/grad_block.h"
#include "model/labels.h"
#include "model/object.h"
#include "store/layers_digest.h"

typedef struct gradient_run {
    const tamis__gradient_job *job;
    tamis_store_writer *writer;
    uint64_t chunk; /* rows of a block */
    uint64_t wave;  /* rows of a wave, a multiple of the chunk and of the group */
    unsigned slots;
    tamis__grad_block *block; /* [slots] */
    tamis__batch *batches;    /* [threads] */
    unsigned threads;
    unsigned char *scratch; /* [threads] of tamis__whole_scratch() */
    tamis__factors factors;
    uint64_t first, end; /* rows of the wave that are to be written */
} gradient_run;

/* --- sizes ---------------------------------------------------------------------------------- */

static uint64_t lowest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t round_up(uint64_t n, uint64_t step)
{
    return (n + step - 1) / step * step;
}

/* Chunks are a power of two, or hold all rows. */
static uint64_t wave_unit(uint64_t chunk)
{
    return round_up(chunk, TAMIS__GROUP_ROWS);
}

/* Waves of whole blocks need not be whole groups where groups are not a power of two: what is left
 * of a group at either end is computed all the same. */
static uint64_t wave_margin(const tamis__gradient_job *job)
{
    return job->per_example > 1 ? 2 * job->group : 0;
}

/* As many blocks in flight and as long a wave as keep the threads busy and the memory allows. */
static tamis_status plan(gradient_run *run, tamis_error *err)
{
    const tamis__gradient_job *job = run->job;
    tamis__network network = tamis__model_network(job->model, 0);
    uint64_t rows = round_up(job->rows, job->group), row_bytes = tamis__factors_row_bytes(job);
    uint64_t unit = lowest(wave_unit(run->chunk), rows),
             block = tamis__grad_block_bytes(job, run->chunk);
    uint64_t fixed = tamis__batch_bytes(&network, TAMIS__GROUP_ROWS, true) * run->threads +
                     tamis__whole_scratch(job) * run->threads + job->moments.bytes +
                     wave_margin(job) * row_bytes;
    TAMIS_TRY(tamis__memory_check(job->context, fixed + unit * row_bytes + block,
                                  "writing gradients", err));
    uint64_t left = job->context->memory - fixed - unit * row_bytes - block;
    uint64_t more = lowest(left / 2 / block, 2 * (uint64_t)run->threads - 1);
    run->slots = (unsigned)(1 + more);
    left -= more * block;
    /* Eight groups for each thread: the last ones of a wave are then a small part of it. */
    uint64_t enough = round_up(8 * (uint64_t)run->threads * job->group, unit) / unit;
    uint64_t units = 1 + lowest(left / (unit * row_bytes), enough - 1);
    run->wave = lowest(units * unit, rows);
    return TAMIS_OK;
}

/* --- buffers -------------------------------------------------------------------------------- */

static tamis_status run_init(gradient_run *run, tamis_error *err)
{
    const tamis__gradient_job *job = run->job;
    TAMIS_TRY(plan(run, err));
    run->block = tamis__calloc(run->slots, sizeof *run->block);
    if (!run->block)
        return tamis__fail_memory(err, "the gradients' buffers", run->slots * sizeof *run->block);
    for (unsigned i = 0; i < run->slots; i++)
        TAMIS_TRY(tamis__grad_block_init(&run->block[i], job, run->chunk, err));
    uint64_t scratch = tamis__whole_scratch(job);
    if (scratch) run->scratch = tamis__aligned(run->threads, (size_t)scratch);
    if (scratch && !run->scratch)
        return tamis__fail_memory(err, "rows in f32", run->threads * scratch);
    tamis__network network = tamis__model_network(job->model, 0);
    TAMIS_TRY(
        tamis__batches_create(&run->batches, run->threads, &network, TAMIS__GROUP_ROWS, true, err));
    return tamis__factors_init(&run->factors, job, run->wave + wave_margin(job), err);
}

static void run_fini(gradient_run *run)
{
    for (unsigned i = 0; run->block && i < run->slots; i++) tamis__grad_block_fini(&run->block[i]);
    free(run->block);
    free(run->scratch);
    tamis__batches_free(run->batches, run->threads);
    tamis__factors_fini(&run->factors);
    tamis_store_writer_abort(&run->writer);
}

/* --- blocks --------------------------------------------------------------------------------- */

static uint64_t block_rows(const gradient_run *run, uint64_t item, uint64_t *ret_first)
{
    *ret_first = run->first + item * run->chunk;
    return lowest(run->chunk, run->end - *ret_first);
}

static tamis_status expand_block(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                 tamis_error *err)
{
    gradient_run *run = arg;
    uint64_t first = 0, rows = block_rows(run, item, &first);
    void *scratch = run->scratch ? run->scratch + worker * tamis__whole_scratch(run->job) : NULL;
    return tamis__grad_block_fill(&run->block[slot], run->job, &run->factors, first, rows, scratch,
                                  err);
}

static tamis_status write_block(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    gradient_run *run = arg;
    uint64_t first = 0, rows = block_rows(run, item, &first);
    return tamis__grad_block_write(&run->block[slot], run->job, &run->factors, run->writer, first,
                                   rows, err);
}

/* --- the whole ------------------------------------------------------------------------------ */

static tamis_status write_waves(gradient_run *run, tamis_error *err)
{
    const tamis__gradient_job *job = run->job;
    uint64_t rows = job->rows;
    tamis__pipeline blocks = {
        .arg = run, .slots = run->slots, .work = expand_block, .consume = write_block};
    run->first = tamis_store_writer_next(run->writer);
    while (run->first < rows) {
        /* A resumed run may start inside a group: the group is computed whole all the same. */
        run->factors.first = run->first / job->group * job->group;
        run->end = lowest((wave_margin(job) ? run->first : run->factors.first) + run->wave, rows);
        uint64_t end = lowest(round_up(run->end, job->group), rows);
        TAMIS_TRY(tamis__factors_compute(&run->factors, job, end, run->batches, run->first, err));
        blocks.items = (run->end - run->first + run->chunk - 1) / run->chunk;
        TAMIS_TRY(tamis__pool_run(job->context->pool, &blocks, err));
        run->first = run->end;
    }
    return TAMIS_OK;
}

static tamis_status write_rows(gradient_run *run, tamis_error *err)
{
    if (run->job->form == TAMIS_FORM_FACTORS)
        return tamis__grad_factors(run->job, run->writer, err);
    run->chunk = tamis__store_writer_chunk_rows(run->writer);
    TAMIS_TRY(run_init(run, err));
    return write_waves(run, err);
}

static tamis_projection projection_of(const tamis__gradient_job *job)
{
    const tamis__projection_spec *spec = tamis__projector_spec(job->projector);
    return (tamis_projection){
        .kind = tamis__projection_name(spec->kind),
        .seed = spec->seed,
        .from = spec->from,
        .to = spec->to,
        .nonzeros = (uint32_t)spec->nonzeros,
        .layers = tamis__layers_digest(job->layer, job->layers.items),
    };
}

static tamis_status write_store(const tamis__gradient_job *job, const tamis_gradient_params *params,
                                tamis_error *err)
{
    tamis_store_spec spec = {
        .path = params->path,
        .dtype = job->dtype,
        .rows = job->rows,
        .layer = job->layer,
        .layers = job->layers.items,
        .checkpoint = job->checkpoint,
        .checkpoints = job->checkpoints.items,
        .classes = job->classes,
        .outputs = true,
        .shard_rows = params->shard_rows,
        .force = params->force,
        .resume = params->resume,
        .provenance = params->provenance,
        .function = tamis__function_name(job->function),
        .direction = tamis__direction_name(job->direction),
        .form = job->form,
        .labels = tamis__labels_name(job->labels),
        .label_seed = job->label_seed,
        .rows_per_example = job->per_example,
    };
    tamis_layer projected = {.name = "projected", .out = 1, .in = job->stored};
    tamis_projection projection = {0};
    if (job->projector) {
        projection = projection_of(job);
        spec.projection = &projection;
        spec.layer = &projected;
        spec.layers = 1;
    }
    gradient_run run = {.job = job, .threads = tamis_context_threads(job->context)};
    TAMIS_TRY(tamis_store_writer_open(&run.writer, job->context, &spec, err));
    tamis__blas_begin();
    tamis_status status = write_rows(&run, err);
    tamis__blas_end();
    if (status == TAMIS_OK) status = tamis_store_writer_commit(&run.writer, err);
    run_fini(&run);
    return status;
}

tamis_status tamis_gradients(const tamis_model *model, tamis_context *context,
                             const tamis_data *data, const tamis_gradient_params *params,
                             tamis_error *err)
{
    tamis__gradient_job job;
    TAMIS_TRY(tamis__job_init(&job, model, context, data, params, err));
    tamis_status status = write_store(&job, params, err);
    tamis__job_fini(&job);
    return status;
}
