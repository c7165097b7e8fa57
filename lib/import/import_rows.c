/* Rows made elsewhere become a gradient store.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "import/beside.h"
#include "import/importers.h"

typedef struct job {
    tamis_context *context;
    const tamis_import_params *params;
    tamis__matrix *matrix; /* [checkpoints] */
    uint64_t rows, columns;
    tamis__beside beside;
    tamis_store_writer *writer;
    float *block;           /* [checkpoints, block_rows, columns] */
    const float **gradient; /* [checkpoints] into block */
    uint64_t block_rows;
} job;

static tamis_status open_matrices(job *j, const tamis__importer_class *importer, tamis_error *err)
{
    const tamis_import_params *params = j->params;
    j->matrix = tamis__calloc(params->checkpoints, sizeof *j->matrix);
    if (!j->matrix)
        return tamis__fail_memory(err, "checkpoints", params->checkpoints * sizeof *j->matrix);
    for (uint32_t k = 0; k < params->checkpoints; k++) {
        const tamis_import_rows *rows = &params->rows[k];
        tamis__matrix *matrix = &j->matrix[k];
        if (!(rows->learning_rate > 0))
            return tamis__fail(
                err, TAMIS_ERR_ARG,
                "'%s': its learning rate is %g: it weighs the checkpoint and is over 0", rows->path,
                rows->learning_rate);
        TAMIS_TRY(importer->open_rows(matrix, j->context, rows, err));
        if (matrix->rows != j->matrix[0].rows)
            return tamis__fail(err, TAMIS_ERR_SHAPE, "'%s' has %" PRIu64 " rows, '%s' has %" PRIu64,
                               matrix->path, matrix->rows, j->matrix[0].path, j->matrix[0].rows);
        if (matrix->cols != j->matrix[0].cols)
            return tamis__fail(err, TAMIS_ERR_SHAPE,
                               "'%s' has %" PRIu64 " columns, '%s' has %" PRIu64, matrix->path,
                               matrix->cols, j->matrix[0].path, j->matrix[0].cols);
    }
    j->rows = j->matrix[0].rows;
    j->columns = j->matrix[0].cols;
    return TAMIS_OK;
}

static tamis_status read_beside(job *j, tamis_error *err)
{
    const tamis_import_params *params = j->params;
    const char *of = j->matrix[0].path;
    TAMIS_TRY(tamis__beside_labels(&j->beside, j->context, params->labels, j->rows, of, err));
    TAMIS_TRY(tamis__beside_lengths(&j->beside, j->context, params->lengths, j->rows, of, err));
    TAMIS_TRY(
        tamis__beside_groups(&j->beside, j->context, params->groups, j->rows, of, "rows", err));
    return tamis__beside_ids(&j->beside, j->context, params->ids, j->rows, of, err);
}

static tamis_status allocate_block(job *j, tamis_error *err)
{
    uint32_t checkpoints = j->params->checkpoints;
    uint64_t row_bytes = 0, bytes = 0;
    if (__builtin_mul_overflow(j->columns, checkpoints * (uint64_t)sizeof(float), &row_bytes))
        return tamis__fail_memory(err, "rows", UINT64_MAX);
    j->block_rows = tamis__import_block(j->context, row_bytes, j->rows);
    if (__builtin_mul_overflow(j->block_rows, row_bytes, &bytes)) bytes = UINT64_MAX;
    TAMIS_TRY(tamis__memory_check(j->context, bytes, "a block of rows", err));
    j->block = tamis__malloc((size_t)bytes, 1);
    j->gradient = tamis__malloc(checkpoints, sizeof *j->gradient);
    if (!j->block || !j->gradient) return tamis__fail_memory(err, "a block of rows", bytes);
    for (uint32_t k = 0; k < checkpoints; k++)
        j->gradient[k] = j->block + k * j->block_rows * j->columns;
    return TAMIS_OK;
}

static tamis_status open_writer(job *j, tamis_error *err)
{
    const tamis_import_params *params = j->params;
    tamis_layer layer = {.name = "rows", .out = 1, .in = j->columns};
    tamis_checkpoint *checkpoint = tamis__calloc(params->checkpoints, sizeof *checkpoint);
    if (!checkpoint)
        return tamis__fail_memory(err, "checkpoints", params->checkpoints * sizeof *checkpoint);
    for (uint32_t k = 0; k < params->checkpoints; k++)
        checkpoint[k] = (tamis_checkpoint){.step = k,
                                           .learning_rate = params->rows[k].learning_rate};
    tamis_store_spec spec = {
        .path = params->output,
        .dtype = params->dtype,
        .rows = j->rows,
        .layer = &layer,
        .layers = 1,
        .checkpoint = checkpoint,
        .checkpoints = params->checkpoints,
        .shard_rows = params->shard_rows,
        .force = params->force,
        .resume = params->resume,
        .provenance = params->provenance,
    };
    tamis_status status = tamis_store_writer_open(&j->writer, j->context, &spec, err);
    free(checkpoint);
    return status;
}

static tamis_status copy_rows(job *j, tamis_error *err)
{
    uint64_t first = tamis_store_writer_next(j->writer);
    while (first < j->rows) {
        uint64_t rows = j->rows - first < j->block_rows ? j->rows - first : j->block_rows;
        TAMIS_TRY(tamis__progress(j->context, "importing rows", first, j->rows, "rows", NULL, err));
        for (uint32_t k = 0; k < j->params->checkpoints; k++)
            TAMIS_TRY(tamis__matrix_read(&j->matrix[k], first, rows,
                                         j->block + k * j->block_rows * j->columns, err));
        tamis_examples examples = tamis__beside_examples(&j->beside, first);
        TAMIS_TRY(tamis_store_writer_append(j->writer, rows, j->gradient, &examples, NULL, NULL,
                                            NULL, err));
        first += rows;
    }
    return tamis__progress(j->context, "importing rows", j->rows, j->rows, "rows", NULL, err);
}

static tamis_status run(job *j, const tamis__importer_class *importer, tamis_error *err)
{
    TAMIS_TRY(open_matrices(j, importer, err));
    TAMIS_TRY(read_beside(j, err));
    TAMIS_TRY(allocate_block(j, err));
    TAMIS_TRY(open_writer(j, err));
    TAMIS_TRY(copy_rows(j, err));
    return tamis_store_writer_commit(&j->writer, err);
}

tamis_status tamis__import_rows(tamis_context *context, const tamis__importer_class *importer,
                                const tamis_import_params *params, tamis_error *err)
{
    job j = {.context = context, .params = params};
    tamis_status status = run(&j, importer, err);
    tamis_store_writer_abort(&j.writer);
    for (uint32_t k = 0; j.matrix && k < params->checkpoints; k++)
        tamis__matrix_close(&j.matrix[k]);
    free(j.matrix);
    free(j.block);
    free(j.gradient);
    tamis__beside_fini(&j.beside);
    return status;
}
