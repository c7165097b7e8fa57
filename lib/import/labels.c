/* Labels that come in a file of their own.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>

#include "base/error.h"
#include "import/convert.h"
#include "import/idx.h"
#include "import/npy.h"
#include "import/registry.h"

static tamis_status check_count(const tamis__table *table, const char *path, uint64_t rows,
                                uint64_t cols, tamis_error *err)
{
    if (cols == 1 && rows == table->data->rows) return TAMIS_OK;
    if (cols != 1)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' has %" PRIu64 " columns: labels are one column of integers", path,
                           cols);
    return tamis__fail(err, TAMIS_ERR_SHAPE,
                       "'%s' has %" PRIu64 " labels, '%s' has %" PRIu64 " rows", path, rows,
                       table->source->path, table->data->rows);
}

static tamis_status set_label(tamis__table *table, const char *path, uint64_t row, int64_t label,
                              tamis_error *err)
{
    tamis_status status = tamis__table_label_number(table, row, label, err);
    if (status == TAMIS_OK) return status;
    return tamis__prefix(err, status, "'%s' element %" PRIu64, path, row);
}

static tamis_status read_npy(tamis__table *table, const tamis__source *source, tamis_error *err)
{
    tamis__npy npy = {0};
    TAMIS_TRY(tamis__npy_view(&npy, source->bytes, source->size, source->path, err));
    TAMIS_TRY(check_count(table, source->path, npy.rows, npy.cols, err));
    for (uint64_t row = 0; row < npy.rows; row++) {
        int64_t label = 0;
        TAMIS_TRY(tamis__npy_integer(&npy, row, &label, source->path, err));
        TAMIS_TRY(set_label(table, source->path, row, label, err));
    }
    return TAMIS_OK;
}

static tamis_status read_idx(tamis__table *table, const tamis__source *source, tamis_error *err)
{
    tamis__idx idx = {0};
    TAMIS_TRY(tamis__idx_view(&idx, source->bytes, source->size, source->path, err));
    TAMIS_TRY(check_count(table, source->path, idx.rows, idx.cols, err));
    if (idx.kind == 'f')
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' holds floats: labels are integers",
                           source->path);
    for (uint64_t row = 0; row < idx.rows; row++) {
        unsigned char swapped[8];
        int fits;
        tamis__idx_swap(&idx, row, 1, swapped);
        int64_t label = tamis__convert_integer(idx.kind, idx.item_size, swapped, &fits);
        TAMIS_TRY(set_label(table, source->path, row, label, err));
    }
    return TAMIS_OK;
}

tamis_status tamis__labels_read(tamis__table *table, const char *path, tamis_error *err)
{
    tamis__source source;
    TAMIS_TRY(tamis__source_open(&source, table->source->context, path, err));
    bool idx = tamis__idx_recognise(source.bytes, source.size);
    tamis_status status = idx ? read_idx(table, &source, err) : read_npy(table, &source, err);
    tamis__source_close(&source);
    return status;
}
