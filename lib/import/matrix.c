/* Rows of floats made elsewhere.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "import/matrix.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"

static tamis_status check(const tamis__matrix *matrix, bool floats, tamis_error *err)
{
    if (!floats)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s' holds integers: rows and scores are floats (f2, f4 or f8)",
                           matrix->path);
    if (matrix->rows == 0 || matrix->cols == 0)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' is empty: it has %" PRIu64 " rows and %" PRIu64 " columns",
                           matrix->path, matrix->rows, matrix->cols);
    return TAMIS_OK;
}

tamis_status tamis__matrix_open_npy(tamis__matrix *ret_matrix, const tamis_context *context,
                                    const char *path, tamis_error *err)
{
    tamis__matrix matrix = {.path = path};
    TAMIS_TRY(tamis__npy_open(&matrix.npy, context, path, err));
    matrix.rows = matrix.npy.rows;
    matrix.cols = matrix.npy.cols;
    tamis_status status = check(&matrix, matrix.npy.type >= TAMIS__NPY_F2, err);
    if (status == TAMIS_OK)
        *ret_matrix = matrix;
    else
        tamis__matrix_close(&matrix);
    return status;
}

/* The tensor, and whether it can be read. */
static tamis_status pick(tamis__matrix *matrix, const char *name, tamis_error *err)
{
    float none;
    TAMIS_TRY(tamis__safetensors_pick(&matrix->file, name, matrix->path, &matrix->tensor, err));
    TAMIS_TRY(tamis__tensor_read(matrix->tensor, 0, 0, &none, matrix->path, err));
    matrix->rows = matrix->tensor->dims > 0 ? matrix->tensor->shape[0] : 1;
    matrix->cols = matrix->rows ? matrix->tensor->count / matrix->rows : 0;
    return check(matrix, strchr(matrix->tensor->dtype, 'F') != NULL, err);
}

tamis_status tamis__matrix_open_safetensors(tamis__matrix *ret_matrix, const tamis_context *context,
                                            const char *path, const char *tensor, tamis_error *err)
{
    tamis__matrix matrix = {.path = path};
    TAMIS_TRY(tamis__safetensors_open(&matrix.file, context, path, err));
    tamis_status status = pick(&matrix, tensor, err);
    if (status == TAMIS_OK)
        *ret_matrix = matrix;
    else
        tamis__matrix_close(&matrix);
    return status;
}

void tamis__matrix_close(tamis__matrix *matrix)
{
    tamis__npy_close(&matrix->npy);
    tamis__safetensors_close(&matrix->file);
    *matrix = (tamis__matrix){0};
}

tamis_status tamis__matrix_read(const tamis__matrix *matrix, uint64_t first, uint64_t rows,
                                float *out, tamis_error *err)
{
    uint64_t n = rows * matrix->cols;
    if (matrix->tensor)
        TAMIS_TRY(
            tamis__tensor_read(matrix->tensor, first * matrix->cols, n, out, matrix->path, err));
    else
        tamis__npy_rows(&matrix->npy, first, rows, out, (size_t)matrix->cols);
    for (uint64_t i = 0; i < n; i++)
        if (!isfinite(out[i]))
            return tamis__fail(err, TAMIS_ERR_NUMERIC,
                               "'%s' row %" PRIu64 ", column %" PRIu64 ": %s as a 32-bit float",
                               matrix->path, first + i / matrix->cols, i % matrix->cols,
                               isnan(out[i]) ? "not a number" : "infinite");
    return TAMIS_OK;
}
