/* Subsets of rows: drawn, read, and those of leave-one-out.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tamis/retrain.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "import/npy.h"

void tamis_subsets_free(tamis_subsets *subsets)
{
    free(subsets->member);
    *subsets = (tamis_subsets){0};
}

/* Memory is checked with `more` bytes that filling them takes. */
static tamis_status make(tamis_subsets *subsets, const tamis_context *context, uint64_t number,
                         uint64_t rows, uint64_t more, tamis_error *err)
{
    uint64_t bytes = 0, all = 0;
    if (__builtin_mul_overflow(number, rows, &bytes) || __builtin_add_overflow(bytes, more, &all))
        all = UINT64_MAX;
    TAMIS_TRY(tamis__memory_check(context, all, "the table of subsets and rows", err));
    subsets->member = all < UINT64_MAX ? tamis__calloc((size_t)bytes, 1) : NULL;
    if (!subsets->member) return tamis__fail_memory(err, "subsets", all);
    subsets->subsets = number;
    subsets->rows = rows;
    return TAMIS_OK;
}

/* --- drawn ------------------------------------------------------------------------------------ */

tamis_status tamis_subsets_draw(tamis_subsets *ret_subsets, const tamis_context *context,
                                uint64_t rows, uint64_t number, double fraction, uint64_t seed,
                                tamis_error *err)
{
    tamis_subsets subsets = {0};
    if (rows == 0 || number == 0)
        return tamis__fail(err, TAMIS_ERR_ARG, "subsets need at least one row and one subset");
    if (!(fraction > 0 && fraction <= 1))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "fraction %g is out of range: it must be above 0 and at most 1",
                           fraction);
    uint64_t taken = (uint64_t)floor(fraction * (double)rows + 0.5);
    if (taken == 0) taken = 1;
    if (taken > rows) taken = rows;
    tamis_status status = make(&subsets, context, number, rows, rows * sizeof(uint64_t), err);
    if (status != TAMIS_OK) return status;
    uint64_t *order = tamis__malloc((size_t)rows, sizeof *order);
    gsl_rng *rng = order ? tamis__rng_create() : NULL;
    if (rng) {
        for (uint64_t j = 0; j < number; j++) {
            tamis__rng_key(rng, seed, TAMIS__STREAM_SUBSET, j);
            tamis__rng_permutation(rng, order, rows);
            for (uint64_t i = 0; i < taken; i++) subsets.member[j * rows + order[i]] = 1;
        }
        gsl_rng_free(rng);
        *ret_subsets = subsets;
    } else {
        status = tamis__fail_memory(err, "subsets", rows * sizeof *order);
        tamis_subsets_free(&subsets);
    }
    free(order);
    return status;
}

tamis_status tamis_subsets_without(tamis_subsets *ret_subsets, const tamis_context *context,
                                   uint64_t rows, const uint64_t *row, uint64_t n, tamis_error *err)
{
    tamis_subsets subsets = {0};
    if (n == 0 || rows < 2)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "leaving one out needs a row to leave out and at least two rows");
    for (uint64_t j = 0; j < n; j++)
        if (row[j] >= rows)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "there is no row %" PRIu64 ": rows are 0 to %" PRIu64, row[j],
                               rows - 1);
    TAMIS_TRY(make(&subsets, context, n + 1, rows, 0, err));
    memset(subsets.member, 1, (size_t)((n + 1) * rows));
    for (uint64_t j = 0; j < n; j++) subsets.member[(j + 1) * rows + row[j]] = 0;
    *ret_subsets = subsets;
    return TAMIS_OK;
}

/* --- read ------------------------------------------------------------------------------------- */

static tamis_status read_flags(const tamis__npy *npy, const char *path, tamis_subsets *subsets,
                               tamis_error *err)
{
    const uint8_t *flag = npy->data;
    uint64_t rows = subsets->rows;
    if (npy->cols != rows)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' has flags for %" PRIu64 " rows, but there are %" PRIu64
                           " training rows",
                           path, npy->cols, rows);
    for (uint64_t j = 0; j < npy->rows; j++) {
        uint64_t in = 0;
        for (uint64_t i = 0; i < rows; i++) {
            uint8_t is = flag[npy->fortran ? i * npy->rows + j : j * rows + i] != 0;
            subsets->member[j * rows + i] = is;
            in += is;
        }
        if (in == 0)
            return tamis__fail(err, TAMIS_ERR_SHAPE, "'%s': subset %" PRIu64 " is empty", path, j);
    }
    return TAMIS_OK;
}

static tamis_status read_numbers(const tamis__npy *npy, const char *path, tamis_subsets *subsets,
                                 tamis_error *err)
{
    uint64_t rows = subsets->rows;
    for (uint64_t j = 0; j < npy->rows; j++)
        for (uint64_t i = 0; i < npy->cols; i++) {
            int64_t row = 0;
            uint64_t at = npy->fortran ? i * npy->rows + j : j * npy->cols + i;
            TAMIS_TRY(tamis__npy_integer(npy, at, &row, path, err));
            if (row < 0 || (uint64_t)row >= rows)
                return tamis__fail(err, TAMIS_ERR_SHAPE,
                                   "'%s': subset %" PRIu64 ", place %" PRIu64
                                   ": there is no row %" PRId64 ": rows are 0 to %" PRIu64,
                                   path, j, i, row, rows - 1);
            uint8_t *member = &subsets->member[j * rows + (uint64_t)row];
            if (*member)
                return tamis__fail(err, TAMIS_ERR_SHAPE,
                                   "'%s': subset %" PRIu64 ", place %" PRIu64 ": row %" PRId64
                                   " stands twice",
                                   path, j, i, row);
            *member = 1;
        }
    return TAMIS_OK;
}

tamis_status tamis_subsets_read(tamis_subsets *ret_subsets, tamis_context *context,
                                const char *path, uint64_t rows, tamis_error *err)
{
    tamis__npy npy;
    tamis_subsets subsets = {0};
    TAMIS_TRY(tamis__npy_open(&npy, context, path, err));
    tamis_status status = TAMIS_OK;
    if (npy.dims != 2 || npy.rows == 0 || npy.cols == 0)
        status = tamis__fail(err, TAMIS_ERR_SHAPE,
                             "'%s' is no table of subsets: row numbers [subsets, rows in each] or "
                             "booleans [subsets, training rows] are wanted",
                             path);
    if (status == TAMIS_OK) status = make(&subsets, context, npy.rows, rows, 0, err);
    if (status == TAMIS_OK)
        status = npy.type == TAMIS__NPY_BOOL ? read_flags(&npy, path, &subsets, err)
                                             : read_numbers(&npy, path, &subsets, err);
    tamis__npy_close(&npy);
    if (status == TAMIS_OK)
        *ret_subsets = subsets;
    else
        tamis_subsets_free(&subsets);
    return status;
}
