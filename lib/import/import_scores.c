/* A score matrix made elsewhere becomes a scores file.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "import/beside.h"
#include "import/importers.h"

/* Labels and ids are of the rows, groups of the queries. */
typedef struct job {
    tamis_context *context;
    const tamis_import_params *params;
    tamis__matrix matrix;
    tamis__beside examples, query;
    tamis_scores_writer *writer;
    float *block;
} job;

static tamis_status open_writer(job *j, tamis_error *err)
{
    const tamis_import_params *params = j->params;
    tamis_examples examples = tamis__beside_examples(&j->examples, 0);
    tamis_examples query = tamis__beside_examples(&j->query, 0);
    tamis_scores_spec spec = {
        .path = params->output,
        .rows = j->matrix.rows,
        .queries = j->matrix.cols,
        .scorer = "import",
        .examples = &examples,
        .query = &query,
        .force = params->force,
        .provenance = params->provenance,
    };
    return tamis_scores_writer_open(&j->writer, j->context, &spec, err);
}

static tamis_status copy_blocks(job *j, uint64_t block_rows, tamis_error *err)
{
    uint64_t all = j->matrix.rows, queries = j->matrix.cols;
    for (uint64_t first = 0; first < all; first += block_rows) {
        uint64_t rows = all - first < block_rows ? all - first : block_rows;
        TAMIS_TRY(tamis__progress(j->context, "importing scores", first, all, "rows", NULL, err));
        TAMIS_TRY(tamis__matrix_read(&j->matrix, first, rows, j->block, err));
        for (uint64_t i = 0; j->params->flip && i < rows * queries; i++) j->block[i] = -j->block[i];
        TAMIS_TRY(tamis_scores_writer_put(j->writer, first, rows, 0, queries, j->block,
                                          (size_t)queries, err));
    }
    return tamis__progress(j->context, "importing scores", all, all, "rows", NULL, err);
}

static tamis_status copy_scores(job *j, tamis_error *err)
{
    uint64_t row_bytes, bytes;
    if (__builtin_mul_overflow(j->matrix.cols, (uint64_t)sizeof(float), &row_bytes))
        return tamis__fail_memory(err, "scores", UINT64_MAX);
    uint64_t block_rows = tamis__import_block(j->context, row_bytes, j->matrix.rows);
    if (__builtin_mul_overflow(block_rows, row_bytes, &bytes)) bytes = UINT64_MAX;
    TAMIS_TRY(tamis__memory_check(j->context, bytes, "a block of scores", err));
    j->block = tamis__malloc((size_t)bytes, 1);
    if (!j->block) return tamis__fail_memory(err, "a block of scores", bytes);
    return copy_blocks(j, block_rows, err);
}

static tamis_status run(job *j, const tamis__importer_class *importer, tamis_error *err)
{
    const tamis_import_params *params = j->params;
    const char *of = params->scores;
    if (!importer->open_scores)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s': scores are imported from npy only, not from %s", of,
                           importer->name);
    TAMIS_TRY(importer->open_scores(&j->matrix, j->context, of, err));
    TAMIS_TRY(
        tamis__beside_labels(&j->examples, j->context, params->labels, j->matrix.rows, of, err));
    TAMIS_TRY(
        tamis__beside_lengths(&j->examples, j->context, params->lengths, j->matrix.rows, of, err));
    TAMIS_TRY(tamis__beside_ids(&j->examples, j->context, params->ids, j->matrix.rows, of, err));
    TAMIS_TRY(tamis__beside_groups(&j->query, j->context, params->groups, j->matrix.cols, of,
                                   "columns", err));
    TAMIS_TRY(open_writer(j, err));
    TAMIS_TRY(copy_scores(j, err));
    return tamis_scores_writer_commit(&j->writer, err);
}

tamis_status tamis__import_scores(tamis_context *context, const tamis__importer_class *importer,
                                  const tamis_import_params *params, tamis_error *err)
{
    job j = {.context = context, .params = params};
    tamis_status status = run(&j, importer, err);
    tamis_scores_writer_abort(&j.writer);
    tamis__matrix_close(&j.matrix);
    free(j.block);
    tamis__beside_fini(&j.examples);
    tamis__beside_fini(&j.query);
    return status;
}
