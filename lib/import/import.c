/* Rows and scores made elsewhere: which format, and whether the request makes sense.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/import.h>

#include <string.h>
#include <tamis/param.h>

#include "base/error.h"
#include "import/importers.h"

#define TAMIS__IMPORTER_ENTRY(name) &tamis__importer_##name,
static const tamis__importer_class *const importers[] = {TAMIS__IMPORTERS(TAMIS__IMPORTER_ENTRY)};
#define IMPORTERS (sizeof importers / sizeof *importers)

#define BLOCK_BYTES (UINT64_C(8) << 20)

const char *tamis_import_format_at(size_t i, const char **ret_summary)
{
    if (i >= IMPORTERS) return NULL;
    if (ret_summary) *ret_summary = importers[i]->summary;
    return importers[i]->name;
}

static tamis_status find_importer(const char *format, const tamis__importer_class **ret_importer,
                                  tamis_error *err)
{
    const char *names[IMPORTERS];
    if (!format) return tamis__fail(err, TAMIS_ERR_ARG, "no format to import from is named");
    for (size_t i = 0; i < IMPORTERS; i++) {
        names[i] = importers[i]->name;
        if (strcmp(format, names[i]) != 0) continue;
        *ret_importer = importers[i];
        return TAMIS_OK;
    }
    const char *near = tamis_suggest(format, names, IMPORTERS);
    if (near)
        return tamis__fail(err, TAMIS_ERR_ARG, "cannot import from '%.60s': did you mean '%s'?",
                           format, near);
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "cannot import from '%.60s': npy and safetensors are read", format);
}

static tamis_status check_params(const tamis_import_params *params, tamis_error *err)
{
    if (!params->output || !*params->output)
        return tamis__fail(err, TAMIS_ERR_ARG, "no output file is named");
    if (params->checkpoints && params->scores)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "rows become a gradient store and scores a scores file: import one of them");
    if (params->factors && params->rows)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "a store holds either rows or factors: import one of them");
    if (!params->factors && (params->offset || params->layer || params->bias))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "offsets, layers and a bias are those of factors, and there are none");
    if (params->bias && params->layer)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "a bias is said of each layer where layers are named");
    if (!params->checkpoints && !params->scores)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "nothing to import: name files of rows or a file of scores");
    if (params->flip && !params->scores)
        return tamis__fail(err, TAMIS_ERR_ARG, "only scores have an orientation to flip, not rows");
    if ((params->resume || params->shard_rows) && params->scores)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "a scores file is written whole: it has no shards and is not resumed");
    return TAMIS_OK;
}

tamis_status tamis_import(tamis_context *context, const tamis_import_params *params,
                          tamis_error *err)
{
    const tamis__importer_class *importer = NULL;
    TAMIS_TRY(find_importer(params->format, &importer, err));
    TAMIS_TRY(check_params(params, err));
    if (params->scores) return tamis__import_scores(context, importer, params, err);
    return params->factors ? tamis__import_factors(context, importer, params, err)
                           : tamis__import_rows(context, importer, params, err);
}

uint64_t tamis__import_block(const tamis_context *context, uint64_t row_bytes, uint64_t rows)
{
    uint64_t bytes = context->memory / 4 < BLOCK_BYTES ? context->memory / 4 : BLOCK_BYTES;
    uint64_t block = row_bytes ? bytes / row_bytes : rows;
    if (block > rows) block = rows;
    return block ? block : 1;
}

static tamis_status npy_rows(tamis__matrix *ret_matrix, const tamis_context *context,
                             const tamis_import_rows *rows, tamis_error *err)
{
    if (rows->tensor)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': a .npy file holds one array, so no tensor '%.100s'", rows->path,
                           rows->tensor);
    return tamis__matrix_open_npy(ret_matrix, context, rows->path, err);
}

static tamis_status safetensors_rows(tamis__matrix *ret_matrix, const tamis_context *context,
                                     const tamis_import_rows *rows, tamis_error *err)
{
    return tamis__matrix_open_safetensors(ret_matrix, context, rows->path, rows->tensor, err);
}

const tamis__importer_class tamis__importer_npy = {
    .name = "npy",
    .summary = "NumPy arrays: rows [N, p] of each checkpoint, or scores [N, Q]",
    .open_rows = npy_rows,
    .open_scores = tamis__matrix_open_npy,
};

const tamis__importer_class tamis__importer_safetensors = {
    .name = "safetensors",
    .summary = "safetensors files: rows [N, p] of each checkpoint as a tensor",
    .open_rows = safetensors_rows,
};
