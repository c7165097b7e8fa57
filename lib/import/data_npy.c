/* Rows of a .npy file.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/mem.h"
#include "import/npy.h"
#include "import/registry.h"

/* Rows converted between two looks at the progress callback. */
#define BLOCK_ROWS 4096

/* A Fortran row's bytes are one here, one there: they are gathered, so that both orders of one
 * array have the same digests. */
static void gather(const tamis__npy *npy, uint64_t row, unsigned char *out)
{
    const unsigned char *in = (const unsigned char *)npy->data + (size_t)row * npy->item_size;
    size_t step = (size_t)npy->rows * npy->item_size;
    for (uint64_t j = 0; j < npy->cols; j++)
        memcpy(out + j * npy->item_size, in + (size_t)j * step, npy->item_size);
}

static void digest_rows(tamis_data *data, const tamis__npy *npy, uint64_t first, uint64_t rows,
                        unsigned char *scratch)
{
    size_t row_bytes = (size_t)npy->cols * npy->item_size;
    for (uint64_t row = first; row < first + rows; row++) {
        const unsigned char *bytes = (const unsigned char *)npy->data + (size_t)row * row_bytes;
        if (npy->fortran) {
            gather(npy, row, scratch);
            bytes = scratch;
        }
        data->digest[row] = tamis__digest(bytes, row_bytes);
    }
}

static tamis_status read_rows(tamis__table *table, const tamis__npy *npy, unsigned char *scratch,
                              tamis_error *err)
{
    tamis_data *data = table->data;
    for (uint64_t row = 0; row < npy->rows; row += BLOCK_ROWS) {
        uint64_t rows = npy->rows - row < BLOCK_ROWS ? npy->rows - row : BLOCK_ROWS;
        TAMIS_TRY(tamis__table_progress(table, row, err));
        tamis__npy_rows(npy, row, rows, data->x + row * data->columns, (size_t)data->columns);
        TAMIS_TRY(tamis__table_check_finite(table, row, rows, err));
        digest_rows(data, npy, row, rows, scratch);
    }
    return TAMIS_OK;
}

tamis_status tamis__binary_options_check(const tamis__table *table, const char *format,
                                         tamis_error *err)
{
    const tamis_data_options *options = table->options;
    if (options->label)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': format %s has no column '%.100s': give the labels as a file",
                           table->source->path, format, options->label);
    if (options->features)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': format %s has no columns to choose features from",
                           table->source->path, format);
    return TAMIS_OK;
}

static tamis_status read_npy(tamis__table *table, tamis_error *err)
{
    const tamis__source *source = table->source;
    tamis__npy npy = {0};
    TAMIS_TRY(tamis__binary_options_check(table, "npy", err));
    TAMIS_TRY(tamis__npy_view(&npy, source->bytes, source->size, source->path, err));
    if (npy.dims == 0)
        return tamis__fail(err, TAMIS_ERR_SHAPE, "'%s' holds a single number: rows are expected",
                           source->path);
    TAMIS_TRY(tamis__table_start(table, npy.rows, npy.cols, 0, err));
    unsigned char *scratch = tamis__malloc((size_t)npy.cols, npy.item_size);
    if (!scratch) return tamis__fail_memory(err, "a row", npy.cols * npy.item_size);
    tamis_status status = read_rows(table, &npy, scratch, err);
    free(scratch);
    return status;
}

static bool recognise(const unsigned char *bytes, size_t size)
{
    return size >= 6 && memcmp(bytes, "\x93NUMPY", 6) == 0;
}

const tamis__reader_class tamis__reader_npy = {
    .name = "npy", .extensions = ".npy", .recognise = recognise, .read = read_npy};
