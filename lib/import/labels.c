/* Labels that come in a file of their own.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "import/convert.h"
#include "import/idx.h"
#include "import/npy.h"
#include "import/registry.h"

/* Where labels go; messages lack the place. */
typedef tamis_status (*take_fn)(void *arg, uint64_t row, int64_t label, tamis_error *err);

typedef struct reading {
    const tamis__source *source;
    uint64_t rows; /* wanted */
    const char *of;
    take_fn take;
    void *arg;
} reading;

static tamis_status check_count(const reading *r, uint64_t rows, uint64_t cols, tamis_error *err)
{
    if (cols == 1 && rows == r->rows) return TAMIS_OK;
    if (cols != 1)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' has %" PRIu64 " columns: labels are one column of integers",
                           r->source->path, cols);
    return tamis__fail(err, TAMIS_ERR_SHAPE,
                       "'%s' has %" PRIu64 " labels, '%s' has %" PRIu64 " rows", r->source->path,
                       rows, r->of, r->rows);
}

static tamis_status take(const reading *r, uint64_t row, int64_t label, tamis_error *err)
{
    tamis_status status = r->take(r->arg, row, label, err);
    if (status == TAMIS_OK) return status;
    return tamis__prefix(err, status, "'%s' element %" PRIu64, r->source->path, row);
}

static tamis_status read_npy(const reading *r, tamis_error *err)
{
    tamis__npy npy = {0};
    const char *path = r->source->path;
    TAMIS_TRY(tamis__npy_view(&npy, r->source->bytes, r->source->size, path, err));
    TAMIS_TRY(check_count(r, npy.rows, npy.cols, err));
    for (uint64_t row = 0; row < npy.rows; row++) {
        int64_t label = 0;
        TAMIS_TRY(tamis__npy_integer(&npy, row, &label, path, err));
        TAMIS_TRY(take(r, row, label, err));
    }
    return TAMIS_OK;
}

static tamis_status read_idx(const reading *r, tamis_error *err)
{
    tamis__idx idx = {0};
    const char *path = r->source->path;
    TAMIS_TRY(tamis__idx_view(&idx, r->source->bytes, r->source->size, path, err));
    TAMIS_TRY(check_count(r, idx.rows, idx.cols, err));
    if (idx.kind == 'f')
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' holds floats: labels are integers", path);
    for (uint64_t row = 0; row < idx.rows; row++) {
        unsigned char swapped[8];
        int fits;
        tamis__idx_swap(&idx, row, 1, swapped);
        TAMIS_TRY(
            take(r, row, tamis__convert_integer(idx.kind, idx.item_size, swapped, &fits), err));
    }
    return TAMIS_OK;
}

static tamis_status read_file(tamis_context *context, const char *path, reading *r,
                              tamis_error *err)
{
    tamis__source source;
    TAMIS_TRY(tamis__source_open(&source, context, path, err));
    r->source = &source;
    bool idx = tamis__idx_recognise(source.bytes, source.size);
    tamis_status status = idx ? read_idx(r, err) : read_npy(r, err);
    tamis__source_close(&source);
    return status;
}

/* --- as the classes of a table ---------------------------------------------------------------- */

static tamis_status to_table(void *arg, uint64_t row, int64_t label, tamis_error *err)
{
    return tamis__table_label_number(arg, row, label, err);
}

tamis_status tamis__labels_read(tamis__table *table, const char *path, tamis_error *err)
{
    reading r = {
        .rows = table->data->rows, .of = table->source->path, .take = to_table, .arg = table};
    return read_file(table->source->context, path, &r, err);
}

/* --- as indices ------------------------------------------------------------------------------- */

typedef struct indices {
    int32_t *label;
    uint32_t classes;
} indices;

static tamis_status to_indices(void *arg, uint64_t row, int64_t label, tamis_error *err)
{
    indices *to = arg;
    if (label < 0 || label >= (int64_t)to->classes)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "label %" PRId64 ": the model has classes 0 to %" PRIu32, label,
                           to->classes - 1);
    to->label[row] = (int32_t)label;
    return TAMIS_OK;
}

tamis_status tamis_labels_read(tamis_context *context, const char *path, uint64_t rows,
                               const char *of, uint32_t classes, int32_t **ret_label,
                               tamis_error *err)
{
    indices to = {.label = tamis__malloc((size_t)rows, sizeof *to.label), .classes = classes};
    if (!to.label) return tamis__fail_memory(err, "labels", rows * sizeof *to.label);
    reading r = {.rows = rows, .of = of, .take = to_indices, .arg = &to};
    tamis_status status = read_file(context, path, &r, err);
    if (status == TAMIS_OK)
        *ret_label = to.label;
    else
        free(to.label);
    return status;
}
