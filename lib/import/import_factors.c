/* Factors made elsewhere become a gradient store in factor form.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "import/beside.h"
#include "import/importers.h"

typedef struct job {
    tamis_context *context;
    const tamis_import_params *params;
    tamis__matrix *input, *output; /* [checkpoints] */
    tamis_layer *layer;            /* [layers] */
    uint32_t layers;
    uint64_t tokens, rows, input_columns, output_columns;
    bool add_ones;    /* the files lack the ones of their layers' biases */
    uint64_t *offset; /* [rows + 1] */
    tamis__beside beside;
    tamis_store_writer *writer;
    uint64_t block_tokens;             /* of a block, if one row has not more */
    float *raw, *memory;               /* inputs as they are in a file; what goes to the writer */
    const float **inputs, **gradients; /* [checkpoints] into memory */
} job;

/* --- files ------------------------------------------------------------------------------------ */

static tamis_status open_one(job *j, const tamis__importer_class *importer, uint32_t k,
                             tamis_error *err)
{
    const tamis_import_factors *factors = &j->params->factors[k];
    tamis__matrix *a = &j->input[k], *g = &j->output[k];
    if (!factors->input.path || !factors->output_gradient.path)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "checkpoint %" PRIu32 " needs both a file of inputs and one of output "
                           "gradients",
                           k);
    if (!(factors->input.learning_rate > 0))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': its learning rate is %g: it weighs the checkpoint and is over 0",
                           factors->input.path, factors->input.learning_rate);
    TAMIS_TRY(importer->open_rows(a, j->context, &factors->input, err));
    TAMIS_TRY(importer->open_rows(g, j->context, &factors->output_gradient, err));
    if (a->rows != g->rows || a->rows != j->input->rows)
        return tamis__fail(err, TAMIS_ERR_SHAPE, "'%s' has %" PRIu64 " tokens, '%s' has %" PRIu64,
                           a->path, a->rows, a->rows != g->rows ? g->path : j->input->path,
                           a->rows != g->rows ? g->rows : j->input->rows);
    if (a->cols != j->input->cols)
        return tamis__fail(err, TAMIS_ERR_SHAPE, "'%s' has %" PRIu64 " columns, '%s' has %" PRIu64,
                           a->path, a->cols, j->input->path, j->input->cols);
    if (g->cols != j->output->cols)
        return tamis__fail(err, TAMIS_ERR_SHAPE, "'%s' has %" PRIu64 " columns, '%s' has %" PRIu64,
                           g->path, g->cols, j->output->path, j->output->cols);
    return TAMIS_OK;
}

static tamis_status open_files(job *j, const tamis__importer_class *importer, tamis_error *err)
{
    uint32_t n = j->params->checkpoints;
    j->input = tamis__calloc(n, sizeof *j->input);
    j->output = tamis__calloc(n, sizeof *j->output);
    if (!j->input || !j->output)
        return tamis__fail_memory(err, "checkpoints", 2 * n * sizeof *j->input);
    for (uint32_t k = 0; k < n; k++) TAMIS_TRY(open_one(j, importer, k, err));
    j->tokens = j->input->rows;
    return TAMIS_OK;
}

/* --- layers ----------------------------------------------------------------------------------- */

static tamis_status make_layers(job *j, tamis_error *err)
{
    const tamis_import_params *params = j->params;
    j->layers = params->layer ? params->layers : 1;
    j->layer = tamis__calloc(j->layers ? j->layers : 1, sizeof *j->layer);
    if (!j->layer) return tamis__fail_memory(err, "layers", j->layers * sizeof *j->layer);
    if (params->layer)
        memcpy(j->layer, params->layer, j->layers * sizeof *j->layer);
    else
        *j->layer = (tamis_layer){
            .name = "rows", .out = j->output->cols, .in = j->input->cols, .bias = params->bias};
    for (uint32_t i = 0; i < j->layers; i++) {
        const tamis_layer *layer = &j->layer[i];
        if (__builtin_add_overflow(j->input_columns, layer->in, &j->input_columns) ||
            __builtin_add_overflow(j->input_columns, layer->bias, &j->input_columns) ||
            __builtin_add_overflow(j->output_columns, layer->out, &j->output_columns))
            return tamis__fail(err, TAMIS_ERR_ARG, "the layers together are too wide");
    }
    return TAMIS_OK;
}

static tamis_status check_layers(job *j, tamis_error *err)
{
    uint64_t biases = 0, found = j->input->cols;
    for (uint32_t i = 0; i < j->layers; i++) biases += j->layer[i].bias;
    if (j->output->cols != j->output_columns)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' has %" PRIu64 " columns, its layers have outputs of %" PRIu64
                           ": name the layers as they lie in it",
                           j->output->path, j->output->cols, j->output_columns);
    j->add_ones = biases && found == j->input_columns - biases;
    if (found == j->input_columns || j->add_ones) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_SHAPE,
                       "'%s' has %" PRIu64 " columns, its layers have inputs of %" PRIu64
                       " (%" PRIu64 " with the ones of their biases): name the layers as they lie "
                       "in it",
                       j->input->path, found, j->input_columns - biases, j->input_columns);
}

static tamis_status read_beside(job *j, tamis_error *err)
{
    const tamis_import_params *params = j->params;
    const char *of = j->input->path;
    j->rows = j->tokens;
    if (params->offset)
        TAMIS_TRY(tamis__beside_offsets(j->context, params->offset, j->tokens, of, &j->offset,
                                        &j->rows, err));
    else
        j->offset = tamis__malloc(j->rows + 1, sizeof *j->offset);
    if (!j->offset) return tamis__fail_memory(err, "offsets", (j->rows + 1) * sizeof *j->offset);
    for (uint64_t i = 0; !params->offset && i <= j->rows; i++) j->offset[i] = i;
    if (params->offset) of = params->offset;
    TAMIS_TRY(tamis__beside_labels(&j->beside, j->context, params->labels, j->rows, of, err));
    TAMIS_TRY(tamis__beside_lengths(&j->beside, j->context, params->lengths, j->rows, of, err));
    TAMIS_TRY(
        tamis__beside_groups(&j->beside, j->context, params->groups, j->rows, of, "rows", err));
    return tamis__beside_ids(&j->beside, j->context, params->ids, j->rows, of, err);
}

/* --- the store -------------------------------------------------------------------------------- */

static tamis_status allocate(job *j, tamis_error *err)
{
    uint32_t n = j->params->checkpoints;
    uint64_t most = 1, floats = 0, bytes = 0, wide = j->input_columns + j->output_columns;
    for (uint64_t i = 0; i < j->rows; i++)
        if (j->offset[i + 1] - j->offset[i] > most) most = j->offset[i + 1] - j->offset[i];
    if (__builtin_mul_overflow(wide, n, &floats) ||
        __builtin_add_overflow(floats, j->input->cols, &floats) ||
        __builtin_mul_overflow(floats, sizeof(float), &floats))
        return tamis__fail_memory(err, "factors", UINT64_MAX);
    j->block_tokens = tamis__import_block(j->context, floats, j->tokens);
    if (j->block_tokens < most) j->block_tokens = most;
    if (__builtin_mul_overflow(j->block_tokens, floats, &bytes)) bytes = UINT64_MAX;
    TAMIS_TRY(tamis__memory_check(j->context, bytes, "a block of factors", err));
    j->raw = tamis__malloc(j->block_tokens, j->input->cols * sizeof *j->raw);
    j->memory = tamis__malloc(j->block_tokens, n * wide * sizeof *j->memory);
    j->inputs = tamis__malloc(n, sizeof *j->inputs);
    j->gradients = tamis__malloc(n, sizeof *j->gradients);
    if (!j->raw || !j->memory || !j->inputs || !j->gradients)
        return tamis__fail_memory(err, "a block of factors", bytes);
    for (uint32_t k = 0; k < n; k++) {
        j->inputs[k] = j->memory + k * j->block_tokens * wide;
        j->gradients[k] = j->inputs[k] + j->block_tokens * j->input_columns;
    }
    return TAMIS_OK;
}

static tamis_status open_writer(job *j, tamis_error *err)
{
    const tamis_import_params *params = j->params;
    tamis_checkpoint *checkpoint = tamis__calloc(params->checkpoints, sizeof *checkpoint);
    if (!checkpoint)
        return tamis__fail_memory(err, "checkpoints", params->checkpoints * sizeof *checkpoint);
    for (uint32_t k = 0; k < params->checkpoints; k++)
        checkpoint[k] = (tamis_checkpoint){.step = k,
                                           .learning_rate = params->factors[k].input.learning_rate};
    tamis_store_spec spec = {
        .path = params->output,
        .dtype = params->dtype,
        .rows = j->rows,
        .layer = j->layer,
        .layers = j->layers,
        .checkpoint = checkpoint,
        .checkpoints = params->checkpoints,
        .shard_rows = params->shard_rows,
        .force = params->force,
        .resume = params->resume,
        .provenance = params->provenance,
        .form = TAMIS_FORM_FACTORS,
    };
    tamis_status status = tamis_store_writer_open(&j->writer, j->context, &spec, err);
    free(checkpoint);
    return status;
}

/* A layer's input and the 1 of its bias, layer by layer. */
static void put_ones(const job *j, uint64_t tokens, float *out)
{
    const float *from = j->raw;
    for (uint64_t t = 0; t < tokens; t++)
        for (uint32_t i = 0; i < j->layers; i++) {
            memcpy(out, from, j->layer[i].in * sizeof *out);
            from += j->layer[i].in;
            out += j->layer[i].in;
            if (j->layer[i].bias) *out++ = 1.0f;
        }
}

static tamis_status read_tokens(const job *j, uint32_t k, uint64_t first, uint64_t tokens,
                                tamis_error *err)
{
    uint64_t wide = j->input_columns + j->output_columns;
    float *input = j->memory + k * j->block_tokens * wide,
          *gradient = input + j->block_tokens * j->input_columns;
    if (tokens == 0) return TAMIS_OK;
    TAMIS_TRY(tamis__matrix_read(&j->input[k], first, tokens, j->add_ones ? j->raw : input, err));
    if (j->add_ones) put_ones(j, tokens, input);
    return tamis__matrix_read(&j->output[k], first, tokens, gradient, err);
}

static tamis_status copy_rows(job *j, tamis_error *err)
{
    uint64_t first = tamis_store_writer_next(j->writer);
    while (first < j->rows) {
        uint64_t end = first + 1;
        while (end < j->rows && j->offset[end + 1] - j->offset[first] <= j->block_tokens) end++;
        TAMIS_TRY(
            tamis__progress(j->context, "importing factors", first, j->rows, "rows", NULL, err));
        for (uint32_t k = 0; k < j->params->checkpoints; k++)
            TAMIS_TRY(read_tokens(j, k, j->offset[first], j->offset[end] - j->offset[first], err));
        tamis_examples examples = tamis__beside_examples(&j->beside, first);
        TAMIS_TRY(tamis_store_writer_append_factors(j->writer, end - first, j->offset + first,
                                                    j->inputs, j->gradients, &examples, NULL, NULL,
                                                    NULL, err));
        first = end;
    }
    return tamis__progress(j->context, "importing factors", j->rows, j->rows, "rows", NULL, err);
}

static tamis_status run(job *j, const tamis__importer_class *importer, tamis_error *err)
{
    TAMIS_TRY(open_files(j, importer, err));
    TAMIS_TRY(make_layers(j, err));
    TAMIS_TRY(check_layers(j, err));
    TAMIS_TRY(read_beside(j, err));
    TAMIS_TRY(allocate(j, err));
    TAMIS_TRY(open_writer(j, err));
    TAMIS_TRY(copy_rows(j, err));
    return tamis_store_writer_commit(&j->writer, err);
}

tamis_status tamis__import_factors(tamis_context *context, const tamis__importer_class *importer,
                                   const tamis_import_params *params, tamis_error *err)
{
    job j = {.context = context, .params = params};
    tamis_status status = run(&j, importer, err);
    tamis_store_writer_abort(&j.writer);
    for (uint32_t k = 0; k < params->checkpoints; k++) {
        if (j.input) tamis__matrix_close(&j.input[k]);
        if (j.output) tamis__matrix_close(&j.output[k]);
    }
    free(j.input);
    free(j.output);
    free(j.layer);
    free(j.offset);
    free(j.raw);
    free(j.memory);
    free(j.inputs);
    free(j.gradients);
    tamis__beside_fini(&j.beside);
    return status;
}
