/* Rows of a safetensors file: one tensor, its labels perhaps in another.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>

#include "base/digest.h"
#include "base/error.h"
#include "import/registry.h"
#include "import/safetensors.h"

#define BLOCK_ROWS 4096

static tamis_status read_labels(tamis__table *table, const tamis__safetensors *file,
                                tamis_error *err)
{
    const char *path = table->source->path, *name = table->options->label;
    const tamis__tensor *tensor = NULL;
    if (!name) return TAMIS_OK;
    TAMIS_TRY(tamis__safetensors_pick(file, name, path, &tensor, err));
    if (tensor->count != table->data->rows)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' tensor '%.100s' has %" PRIu64 " labels for %" PRIu64 " rows", path,
                           name, tensor->count, table->data->rows);
    for (uint64_t row = 0; row < tensor->count; row++) {
        int64_t label = 0;
        TAMIS_TRY(tamis__tensor_integer(tensor, row, &label, path, err));
        tamis_status status = tamis__table_label_number(table, row, label, err);
        if (status != TAMIS_OK)
            return tamis__prefix(err, status, "'%s' tensor '%.100s' element %" PRIu64, path, name,
                                 row);
    }
    return TAMIS_OK;
}

static tamis_status read_rows(tamis__table *table, const tamis__tensor *tensor, tamis_error *err)
{
    tamis_data *data = table->data;
    const unsigned char *bytes = tensor->data;
    size_t row_bytes = (size_t)data->columns * tamis__tensor_item_size(tensor);
    for (uint64_t row = 0; row < data->rows; row += BLOCK_ROWS) {
        uint64_t rows = data->rows - row < BLOCK_ROWS ? data->rows - row : BLOCK_ROWS;
        TAMIS_TRY(tamis__table_progress(table, row, err));
        TAMIS_TRY(tamis__tensor_read(tensor, row * data->columns, rows * data->columns,
                                     data->x + row * data->columns, table->source->path, err));
        TAMIS_TRY(tamis__table_check_finite(table, row, rows, err));
        for (uint64_t i = row; i < row + rows; i++)
            data->digest[i] = tamis__digest(bytes + (size_t)i * row_bytes, row_bytes);
    }
    return TAMIS_OK;
}

static tamis_status read_file(tamis__table *table, const tamis__safetensors *file, tamis_error *err)
{
    const char *path = table->source->path;
    const tamis__tensor *tensor = NULL;
    float none;
    TAMIS_TRY(tamis__safetensors_pick(file, table->options->features, path, &tensor, err));
    if (tensor->dims == 0)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' tensor '%.100s' holds a single number: rows are expected", path,
                           tensor->name);
    /* A type that is not read is refused before memory is taken. */
    TAMIS_TRY(tamis__tensor_read(tensor, 0, 0, &none, path, err));
    uint64_t rows = tensor->shape[0], columns = rows ? tensor->count / rows : 0;
    TAMIS_TRY(tamis__table_start(table, rows, columns,
                                 table->options->label ? TAMIS__TABLE_LABEL : 0, err));
    TAMIS_TRY(read_rows(table, tensor, err));
    return read_labels(table, file, err);
}

static tamis_status read_safetensors(tamis__table *table, tamis_error *err)
{
    const tamis__source *source = table->source;
    tamis__safetensors file;
    TAMIS_TRY(tamis__safetensors_view(&file, source->context, source->bytes, source->size,
                                      source->path, err));
    tamis_status status = read_file(table, &file, err);
    tamis__safetensors_close(&file);
    return status;
}

/* A header length that fits the file, then JSON. */
static bool recognise(const unsigned char *bytes, size_t size)
{
    uint64_t length = 0;
    for (size_t i = 0; i < 8 && size > 8; i++) length |= (uint64_t)bytes[i] << (8 * i);
    return size > 8 && length <= size - 8 && bytes[8] == '{';
}

const tamis__reader_class tamis__reader_safetensors = {.name = "safetensors",
                                                       .extensions = ".safetensors",
                                                       .recognise = recognise,
                                                       .read = read_safetensors};
