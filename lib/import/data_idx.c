/* Rows of an IDX file.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/mem.h"
#include "import/convert.h"
#include "import/idx.h"
#include "import/registry.h"

static tamis_status read_rows(tamis__table *table, const tamis__idx *idx, unsigned char *swapped,
                              tamis_error *err)
{
    tamis_data *data = table->data;
    tamis__convert_fn convert = tamis__convert_for(idx->kind, idx->item_size);
    size_t cols = (size_t)idx->cols, row_bytes = cols * idx->item_size;
    for (uint64_t row = 0; row < idx->rows; row++) {
        TAMIS_TRY(tamis__table_progress(table, row, err));
        tamis__idx_swap(idx, row * cols, cols, swapped);
        convert(data->x + row * cols, 1, swapped, cols);
        data->digest[row] = tamis__digest(idx->data + (size_t)row * row_bytes, row_bytes);
    }
    return tamis__table_check_finite(table, 0, idx->rows, err);
}

static tamis_status read_idx(tamis__table *table, tamis_error *err)
{
    const tamis__source *source = table->source;
    tamis__idx idx = {0};
    TAMIS_TRY(tamis__binary_options_check(table, "idx", err));
    TAMIS_TRY(tamis__idx_view(&idx, source->bytes, source->size, source->path, err));
    TAMIS_TRY(tamis__table_start(table, idx.rows, idx.cols, 0, err));
    unsigned char *swapped = tamis__malloc((size_t)idx.cols, idx.item_size);
    if (!swapped) return tamis__fail_memory(err, "a row", idx.cols * idx.item_size);
    tamis_status status = read_rows(table, &idx, swapped, err);
    free(swapped);
    return status;
}

const tamis__reader_class tamis__reader_idx = {
    .name = "idx", .extensions = ".idx", .recognise = tamis__idx_recognise, .read = read_idx};
