/* Factors that stay factors: another type, fewer layers or checkpoints, shards cut anew.
 *
 * Blocks are cut by tokens. How they are cut changes no byte of the output.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "convert/job.h"
#include "store/store_changed.h"

/* Floats of a block, if one row has not more; rows of a block. */
#define BLOCK_FLOATS (UINT64_C(1) << 18)
#define BLOCK_ROWS   UINT64_C(4096)

typedef struct factor_buffer {
    unsigned char *memory; /* [checkpoints] of inputs and output gradients in the stored type */
    float *scales, *norms; /* [checkpoints] of two times [tokens, layers]; of [rows] */
    tamis__factor_space *space; /* [checkpoints] into them */
    const void **input, **output;
    const float **input_scale, **output_scale, **norm;
    uint64_t digest;
} factor_buffer;

typedef struct factor_run {
    const tamis__convert_job *job;
    tamis__convert_outputs *outputs;
    tamis_store_writer *writer;
    tamis__factor_shape shape; /* of the output */
    const uint64_t *offset;    /* of the source, alike at every checkpoint */
    uint64_t *block;           /* [blocks + 1] first row of each */
    uint64_t blocks, most_tokens, most_rows;
    unsigned slots, threads;
    factor_buffer *buffer; /* [slots] */
    float **wide;          /* [threads] of [most tokens, columns of both sides] */
} factor_run;

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* --- blocks ----------------------------------------------------------------------------------- */

static tamis_status same_tokens(factor_run *run, tamis_error *err)
{
    const tamis__convert_job *job = run->job;
    size_t bytes = (job->info->rows + 1) * sizeof *run->offset;
    for (uint32_t k = 0; k < job->checkpoints.items; k++) {
        const uint64_t *offset = NULL;
        TAMIS_TRY(tamis_store_tokens(job->store, job->checkpoints.item[k], &offset, err));
        if (k == 0) run->offset = offset;
        if (memcmp(run->offset, offset, bytes) != 0)
            return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                               "'%s': its examples have other numbers of tokens at checkpoint %u "
                               "than at checkpoint %u: convert them one by one (--checkpoints)",
                               tamis_store_path(job->store), (unsigned)job->checkpoints.item[k],
                               (unsigned)job->checkpoints.item[0]);
    }
    return TAMIS_OK;
}

/* The end of the block that begins with a row. */
static uint64_t block_end(const factor_run *run, uint64_t row, uint64_t tokens)
{
    uint64_t end = row + 1, rows = run->job->info->rows;
    while (end < rows && end - row < BLOCK_ROWS &&
           run->offset[end + 1] - run->offset[row] <= tokens)
        end++;
    return end;
}

static tamis_status cut_blocks(factor_run *run, tamis_error *err)
{
    uint64_t rows = run->job->info->rows, first = tamis_store_writer_next(run->writer);
    uint64_t tokens = BLOCK_FLOATS / (run->shape.input_columns + run->shape.output_columns), n = 0;
    for (uint64_t row = first; row < rows; row = block_end(run, row, tokens)) n++;
    run->block = tamis__malloc(n + 1, sizeof *run->block);
    if (!run->block) return tamis__fail_memory(err, "a list of blocks", (n + 1) * sizeof first);
    run->block[0] = first;
    run->most_tokens = run->most_rows = 1;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t row = run->block[i], end = block_end(run, row, tokens);
        uint64_t here = run->offset[end] - run->offset[row];
        run->block[i + 1] = end;
        if (here > run->most_tokens) run->most_tokens = here;
        if (end - row > run->most_rows) run->most_rows = end - row;
    }
    run->blocks = n;
    return TAMIS_OK;
}

/* --- memory ----------------------------------------------------------------------------------- */

static uint64_t stored_bytes(const factor_run *run)
{
    return run->most_tokens * (run->shape.input_columns + run->shape.output_columns) *
           tamis_dtype_size(run->shape.dtype);
}

static uint64_t scale_floats(const factor_run *run)
{
    return run->shape.dtype == TAMIS_I8 ? 2 * run->most_tokens * run->shape.layers : 0;
}

static uint64_t slot_bytes(const factor_run *run)
{
    return run->job->checkpoints.items *
           (stored_bytes(run) + (scale_floats(run) + run->most_rows) * sizeof(float));
}

static uint64_t wide_bytes(const factor_run *run)
{
    return run->most_tokens * (run->shape.input_columns + run->shape.output_columns) *
           sizeof(float);
}

static tamis_status plan(factor_run *run, tamis_error *err)
{
    const tamis__convert_job *job = run->job;
    uint64_t limit = job->context->memory, slot = slot_bytes(run);
    run->threads = tamis_context_threads(job->context);
    uint64_t fixed = tamis__convert_outputs_bytes(job) + run->threads * wide_bytes(run) + slot;
    TAMIS_TRY(tamis__memory_check(job->context, fixed, "converting factors", err));
    run->slots = (unsigned)(1 + lesser((limit - fixed) / slot, 2 * run->threads - 1));
    return TAMIS_OK;
}

static void point_into(factor_buffer *b, const factor_run *run)
{
    size_t size = tamis_dtype_size(run->shape.dtype);
    for (uint32_t k = 0; k < run->job->checkpoints.items; k++) {
        tamis__factor_space *space = &b->space[k];
        unsigned char *input = b->memory + k * stored_bytes(run);
        space->input = input;
        space->output_gradient = input + run->most_tokens * run->shape.input_columns * size;
        if (run->shape.dtype == TAMIS_I8) {
            space->input_scale = b->scales + k * scale_floats(run);
            space->output_gradient_scale = space->input_scale + scale_floats(run) / 2;
        }
        b->input[k] = space->input;
        b->output[k] = space->output_gradient;
        b->input_scale[k] = space->input_scale;
        b->output_scale[k] = space->output_gradient_scale;
        b->norm[k] = b->norms + k * run->most_rows;
    }
}

static tamis_status buffer_init(factor_buffer *b, const factor_run *run, tamis_error *err)
{
    uint32_t n = run->job->checkpoints.items;
    b->memory = tamis__aligned(n, stored_bytes(run));
    b->scales = tamis__calloc(n * scale_floats(run) + 1, sizeof *b->scales);
    b->norms = tamis__calloc(n, run->most_rows * sizeof *b->norms);
    b->space = tamis__calloc(n, sizeof *b->space);
    b->input = tamis__calloc(n, sizeof *b->input);
    b->output = tamis__calloc(n, sizeof *b->output);
    b->input_scale = tamis__calloc(n, sizeof *b->input_scale);
    b->output_scale = tamis__calloc(n, sizeof *b->output_scale);
    b->norm = tamis__calloc(n, sizeof *b->norm);
    if (!b->memory || !b->scales || !b->norms || !b->space || !b->input || !b->output ||
        !b->input_scale || !b->output_scale || !b->norm)
        return tamis__fail_memory(err, "a block of factors", slot_bytes(run));
    point_into(b, run);
    return TAMIS_OK;
}

static tamis_status allocate(factor_run *run, tamis_error *err)
{
    TAMIS_TRY(plan(run, err));
    run->buffer = tamis__calloc(run->slots, sizeof *run->buffer);
    run->wide = tamis__calloc(run->threads, sizeof *run->wide);
    if (!run->buffer || !run->wide)
        return tamis__fail_memory(err, "buffers", run->slots * sizeof *run->buffer);
    for (unsigned i = 0; i < run->slots; i++) TAMIS_TRY(buffer_init(&run->buffer[i], run, err));
    for (unsigned i = 0; i < run->threads; i++) {
        run->wide[i] = tamis__aligned(wide_bytes(run), 1);
        if (!run->wide[i]) return tamis__fail_memory(err, "factors", wide_bytes(run));
    }
    return TAMIS_OK;
}

static void run_fini(factor_run *run)
{
    for (unsigned i = 0; run->buffer && i < run->slots; i++) {
        factor_buffer *b = &run->buffer[i];
        free(b->memory);
        free(b->scales);
        free(b->norms);
        free(b->space);
        free(b->input);
        free(b->output);
        free(b->input_scale);
        free(b->output_scale);
        free(b->norm);
    }
    for (unsigned i = 0; run->wide && i < run->threads; i++) free(run->wide[i]);
    free(run->buffer);
    free(run->wide);
    free(run->block);
}

/* --- blocks on their way ---------------------------------------------------------------------- */

/* The layers that stay, side by side. */
static tamis_status read_block(const factor_run *run, uint32_t checkpoint, uint64_t first_token,
                               uint64_t tokens, float *input, float *output, tamis_error *err)
{
    const tamis__convert_job *job = run->job;
    for (uint32_t i = 0; i < job->layers.items; i++) {
        TAMIS_TRY(tamis_store_read_factors(job->store, checkpoint, job->layers.item[i], first_token,
                                           tokens, input, run->shape.input_columns, output,
                                           run->shape.output_columns, err));
        input += job->kept[i].in + job->kept[i].bias;
        output += job->kept[i].out;
    }
    return TAMIS_OK;
}

static tamis_status make_block(void *arg, uint64_t item, unsigned slot, unsigned worker,
                               tamis_error *err)
{
    const factor_run *run = arg;
    const tamis__convert_job *job = run->job;
    factor_buffer *b = &run->buffer[slot];
    uint64_t first = run->block[item], rows = run->block[item + 1] - first;
    const uint64_t *offset = run->offset + first;
    uint64_t tokens = offset[rows] - offset[0];
    float *input = run->wide[worker], *output = input + tokens * run->shape.input_columns;
    b->digest = 0;
    TAMIS_TRY(tamis__store_rows_there(job->store, first, rows, err));
    for (uint32_t k = 0; k < job->checkpoints.items; k++) {
        uint32_t checkpoint = job->checkpoints.item[k];
        float *norm = b->norms + k * run->most_rows;
        const float *norms = NULL;
        const tamis__factor_space *space = &b->space[k];
        const tamis__factor_rows stored = {space->input, space->output_gradient, space->input_scale,
                                           space->output_gradient_scale};
        TAMIS_TRY(read_block(run, checkpoint, offset[0], tokens, input, output, err));
        if (job->whole) TAMIS_TRY(tamis_store_norms(job->store, checkpoint, &norms, err));
        tamis_status status = tamis__store_factors_narrow(&job->kernels, &run->shape, rows, offset,
                                                          input, output, first, checkpoint, space,
                                                          norms ? NULL : norm, err);
        if (status != TAMIS_OK)
            return tamis__prefix(err, status, "'%s'", tamis_store_path(job->store));
        if (norms) memcpy(norm, norms + first, rows * sizeof *norm);
        b->digest += tamis__store_factors_digest(&run->shape, &stored, rows, offset, first, k);
    }
    return TAMIS_OK;
}

static tamis_status write_block(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    factor_run *run = arg;
    const factor_buffer *b = &run->buffer[slot];
    uint64_t first = run->block[item], rows = run->block[item + 1] - first;
    bool scaled = run->shape.dtype == TAMIS_I8;
    tamis__store_block block = {
        .rows = rows,
        .norm = b->norm,
        .digest = b->digest,
        .offset = run->offset + first,
        .input = b->input,
        .output_gradient = b->output,
        .input_scale = scaled ? b->input_scale : NULL,
        .output_gradient_scale = scaled ? b->output_scale : NULL,
    };
    tamis__convert_beside(run->outputs, run->job, first, &block);
    TAMIS_TRY(tamis__store_writer_put_block(run->writer, &block, err));
    return tamis__progress(run->job->context, "converting", first + rows, run->job->info->rows,
                           "rows", NULL, err);
}

/* --- the whole -------------------------------------------------------------------------------- */

static tamis_status convert_factors(factor_run *run, tamis_error *err)
{
    TAMIS_TRY(same_tokens(run, err));
    TAMIS_TRY(cut_blocks(run, err));
    TAMIS_TRY(allocate(run, err));
    tamis__pipeline blocks = {.arg = run,
                              .items = run->blocks,
                              .slots = run->slots,
                              .work = make_block,
                              .consume = write_block};
    return tamis__pool_run(run->job->context->pool, &blocks, err);
}

tamis_status tamis__convert_factors(const tamis__convert_job *job, tamis__convert_outputs *outputs,
                                    tamis_store_writer **writer, tamis_error *err)
{
    factor_run run = {.job = job,
                      .outputs = outputs,
                      .writer = *writer,
                      .shape = tamis__store_writer_factor_shape(*writer)};
    tamis_status status = convert_factors(&run, err);
    run_fini(&run);
    return status == TAMIS_OK ? tamis_store_writer_commit(writer, err) : status;
}
