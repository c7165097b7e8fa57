/* Files of tamis as npy, CSV or JSON Lines, by blocks of rows.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/export.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "export/source.h"
#include "import/npy.h"

typedef enum export_format { FORMAT_NPY, FORMAT_CSV, FORMAT_JSONL } export_format;

/* --- format ----------------------------------------------------------------------------------- */

static bool ends_with(const char *path, const char *end)
{
    size_t size = strlen(path), n = strlen(end);
    return size > n && !strcasecmp(path + size - n, end);
}

static tamis_status format_by_name(const char *name, export_format *ret_format, tamis_error *err)
{
    static const char *const names[] = {"npy", "csv", "jsonl"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) {
            *ret_format = (export_format)i;
            return TAMIS_OK;
        }
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "there is no export format '%s': it is npy, csv or jsonl", name);
}

static tamis_status format_of(const tamis_export_params *params, export_format *ret_format,
                              tamis_error *err)
{
    const char *output = params->output;
    if (params->format)
        TAMIS_TRY(format_by_name(params->format, ret_format, err));
    else if (ends_with(output, ".npy"))
        *ret_format = FORMAT_NPY;
    else if (ends_with(output, ".csv"))
        *ret_format = FORMAT_CSV;
    else if (ends_with(output, ".jsonl") || ends_with(output, ".ndjson"))
        *ret_format = FORMAT_JSONL;
    else
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "the format of '%s' cannot be told by its name: say --format npy, csv or jsonl",
            output);
    if (*ret_format == FORMAT_NPY && !strcmp(output, "-"))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "npy is not written to standard output: name a file");
    return TAMIS_OK;
}

/* --- npy -------------------------------------------------------------------------------------- */

static const char *descr_of(tamis__field_type type)
{
    switch (type) {
    case TAMIS__FIELD_ROW:
    case TAMIS__FIELD_COUNT: return "<i8";
    case TAMIS__FIELD_ID:
    case TAMIS__FIELD_DIGEST: return "<u8";
    case TAMIS__FIELD_LENGTH: return "<u4";
    case TAMIS__FIELD_LABEL:
    case TAMIS__FIELD_GROUP: return "<i4";
    case TAMIS__FIELD_BOOL: return "|b1";
    case TAMIS__FIELD_DOUBLE: return "<f8";
    default: return "<f4";
    }
}

static tamis_status npy_header(const tamis__export_source *source, tamis__output *output,
                               tamis_error *err)
{
    const tamis__field *field = &source->field[source->main];
    bool matrix = field->type == TAMIS__FIELD_MATRIX && !source->one_column;
    uint64_t shape[2] = {source->rows, source->columns};
    if (source->width > 0) {
        shape[0] = source->rows / source->width;
        shape[1] = source->width;
    }
    return tamis__npy_write_header(output, descr_of(field->type),
                                   matrix || source->width > 0 ? 2 : 1, shape, err);
}

static tamis_status npy_ids(const tamis_examples *examples, uint64_t first, uint64_t rows,
                            tamis__output *output, tamis_error *err)
{
    if (examples->id_number)
        return tamis__output_write(output, examples->id_number + first,
                                   (size_t)rows * sizeof(uint64_t), err);
    for (uint64_t row = first; row < first + rows; row++)
        TAMIS_TRY(tamis__output_write(output, &row, sizeof row, err));
    return TAMIS_OK;
}

static tamis_status npy_block(const tamis__export_source *source, uint64_t first, uint64_t rows,
                              const float *matrix, tamis__output *output, tamis_error *err)
{
    const tamis__field *field = &source->field[source->main];
    const char *values = field->values;
    size_t size = 8;
    switch (field->type) {
    case TAMIS__FIELD_MATRIX:
        return tamis__output_write(output, matrix,
                                   (size_t)(rows * source->columns) * sizeof *matrix, err);
    case TAMIS__FIELD_ID: return npy_ids(source->examples, first, rows, output, err);
    case TAMIS__FIELD_BOOL: size = 1; break;
    case TAMIS__FIELD_LABEL:
    case TAMIS__FIELD_LENGTH:
    case TAMIS__FIELD_GROUP:
    case TAMIS__FIELD_FLOAT: size = 4; break;
    default: break;
    }
    return tamis__output_write(output, values + first * size, (size_t)rows * size, err);
}

/* --- all formats ------------------------------------------------------------------------------ */

static tamis_status write_block(const tamis__export_source *source, export_format format,
                                uint64_t first, uint64_t rows, const float *matrix,
                                tamis__output *output, tamis_error *err)
{
    if (format == FORMAT_NPY) return npy_block(source, first, rows, matrix, output, err);
    for (uint64_t i = 0; i < rows; i++) {
        if (source->taken && source->taken[first + i] == TAMIS_SCORES_NO_ROW) continue;
        const float *part = matrix ? matrix + i * source->columns : NULL;
        TAMIS_TRY(format == FORMAT_CSV ? tamis__csv_row(source, first + i, part, output, err)
                                       : tamis__jsonl_row(source, first + i, part, output, err));
    }
    return TAMIS_OK;
}

static tamis_status write_blocks(const tamis__export_source *source, tamis_context *context,
                                 export_format format, float *matrix, tamis__output *output,
                                 tamis_error *err)
{
    uint64_t step = tamis__column_source_block_rows(source);
    if (format == FORMAT_NPY) TAMIS_TRY(npy_header(source, output, err));
    if (format == FORMAT_CSV) TAMIS_TRY(tamis__csv_header(source, output, err));
    for (uint64_t first = 0; first < source->rows; first += step) {
        uint64_t rows = source->rows - first < step ? source->rows - first : step;
        if (matrix) TAMIS_TRY(tamis__column_source_block(source, first, rows, matrix, err));
        TAMIS_TRY(write_block(source, format, first, rows, matrix, output, err));
        TAMIS_TRY(
            tamis__progress(context, "exporting", first + rows, source->rows, "rows", NULL, err));
    }
    return TAMIS_OK;
}

static tamis_status write_file(const tamis__export_source *source, tamis_context *context,
                               const tamis_export_params *params, export_format format,
                               tamis_error *err)
{
    tamis__output output;
    float *matrix = NULL;
    uint64_t values = tamis__column_source_block_rows(source) * source->columns;
    TAMIS_TRY(tamis__memory_check(context, values * sizeof *matrix, "exporting", err));
    if (values > 0) {
        matrix = tamis__malloc((size_t)values, sizeof *matrix);
        if (!matrix) return tamis__fail_memory(err, "exporting", values * sizeof *matrix);
    }
    tamis_status status = tamis__output_open(&output, context, params->output, params->force, err);
    if (status == TAMIS_OK) {
        status = write_blocks(source, context, format, matrix, &output, err);
        if (status == TAMIS_OK)
            status = tamis__output_commit(&output, err);
        else
            tamis__output_abort(&output);
    }
    free(matrix);
    return status;
}

tamis_status tamis_export(tamis_context *context, const tamis_export_params *params,
                          tamis_error *err)
{
    export_format format = FORMAT_CSV;
    tamis__export_source source;
    if (!params->input || !params->output)
        return tamis__fail(err, TAMIS_ERR_ARG, "export needs a file to read and a file to write");
    TAMIS_TRY(format_of(params, &format, err));
    TAMIS_TRY(tamis__column_source_open(&source, context, params, err));
    tamis_status status;
    if (format == FORMAT_NPY && source.text_only)
        status = tamis__fail(err, TAMIS_ERR_ARG,
                             "'%s': %s is text, which npy does not hold: use csv or jsonl",
                             params->input, params->what ? params->what : "the table");
    else
        status = write_file(&source, context, params, format, err);
    tamis__column_source_close(&source);
    return status;
}
