/* One file of a gradient store, open for reading.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/store_part.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/h5_dataset.h"
#include "store/store_factors.h"

/* Values converted at a time when narrow rows come through HDF5. */
#define SLICE ((size_t)1 << 18)

const char *tamis__store_values_name(int which)
{
    static const char *const name[] = {"norm", "scale", "loss", "margin", "probability"};
    return name[which];
}

static uint64_t values_columns(const tamis__store_part *part, int which)
{
    return which == TAMIS__PROBABILITY ? part->header.classes : 0;
}

/* --- opening ---------------------------------------------------------------------------------- */

static tamis_status find_values(tamis__store_part *part, uint32_t k, int which, bool *through_hdf5,
                                tamis_error *err)
{
    tamis__store_values *values = &part->values[k][which];
    tamis__store_name name = tamis__store_name_of(k, tamis__store_values_name(which));
    hid_t dataset = 0;
    if (which == TAMIS__SCALE && (part->header.dtype != TAMIS_I8 || part->factors)) return TAMIS_OK;
    values->there = tamis__h5_has(&part->h5, name.text);
    if (!values->there && which == TAMIS__SCALE)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': dataset '%s' is missing: rows of i8 are worth nothing without it",
                           part->path, name.text);
    if (!values->there) return TAMIS_OK;
    TAMIS_TRY(tamis__h5_array_open(&part->h5, name.text, TAMIS__H5_F32, part->header.rows,
                                   values_columns(part, which), &dataset, err));
    values->address = tamis__h5_array_address(&part->h5, dataset, TAMIS__H5_F32);
    if (values->address == HADDR_UNDEF) *through_hdf5 = true;
    tamis__h5_array_close(&dataset);
    return TAMIS_OK;
}

static tamis_status find_rows(tamis__store_part *part, uint32_t k, bool *through_hdf5,
                              tamis_error *err)
{
    const tamis__store_header *header = &part->header;
    const tamis__store_rows_wanted wanted = {.name = "gradient",
                                             .unit = "rows",
                                             .first = header->first_row,
                                             .rows = header->rows,
                                             .columns = header->columns,
                                             .dtype = header->dtype};
    TAMIS_TRY(tamis__store_rows_find(&part->rows[k], &part->h5, &part->input, &wanted, k, err));
    if (part->rows[k].dataset) *through_hdf5 = true;
    return TAMIS_OK;
}

static tamis_status find_all(tamis__store_part *part, bool *through_hdf5, tamis_error *err)
{
    uint32_t n = part->header.checkpoints;
    bool factors = part->header.form == TAMIS_FORM_FACTORS;
    part->values = tamis__calloc(n, sizeof *part->values);
    if (factors) {
        part->factors = tamis__calloc(n, sizeof *part->factors);
        part->offset = tamis__calloc(n, sizeof *part->offset);
    } else {
        part->rows = tamis__calloc(n, sizeof *part->rows);
    }
    if (!part->values || (factors ? !part->factors || !part->offset : !part->rows))
        return tamis__fail_memory(err, "a store", n * sizeof *part->values);
    for (uint32_t k = 0; k < n; k++) {
        TAMIS_TRY(factors ? tamis__store_factors_find(part, k, through_hdf5, err)
                          : find_rows(part, k, through_hdf5, err));
        for (int which = 0; which < TAMIS__VALUES; which++)
            TAMIS_TRY(find_values(part, k, which, through_hdf5, err));
    }
    return TAMIS_OK;
}

static tamis_status open_part(tamis__store_part *part, const tamis_context *context,
                              const char *path, bool keep, tamis_error *err)
{
    bool through_hdf5 = false;
    part->path = tamis__strdup(path);
    if (!part->path) return tamis__fail_memory(err, "a file name", strlen(path));
    TAMIS_TRY(tamis__h5_open(&part->h5, path, TAMIS__STORE_KIND, TAMIS__STORE_VERSION, err));
    TAMIS_TRY(tamis__input_open_watched(&part->input, &part->watch, keep, context, path, err));
    if (part->input.size < part->h5.size)
        return tamis__fail(err, TAMIS_ERR_IO, "'%s' changed while it was opened", path);
    TAMIS_TRY(tamis__store_header_read(&part->header, &part->h5, err));
    TAMIS_TRY(find_all(part, &through_hdf5, err));
    TAMIS_TRY(tamis__examples_read(&part->h5, "example", part->header.rows, &part->examples, err));
    if (!through_hdf5) tamis__h5_close(&part->h5);
    tamis__input_sequential(&part->input);
    return TAMIS_OK;
}

tamis_status tamis__store_part_open(tamis__store_part *ret_part, const tamis_context *context,
                                    const char *path, bool keep, tamis_error *err)
{
    tamis__store_part part = {0};
    tamis_status status = open_part(&part, context, path, keep, err);
    if (status != TAMIS_OK)
        tamis__store_part_fini(&part);
    else
        *ret_part = part;
    return status;
}

void tamis__store_part_fini(tamis__store_part *part)
{
    for (uint32_t k = 0; part->rows && k < part->header.checkpoints; k++)
        tamis__store_rows_fini(&part->rows[k]);
    for (uint32_t k = 0; part->factors && k < part->header.checkpoints; k++)
        for (int which = 0; which < TAMIS__FACTORS; which++)
            tamis__store_rows_fini(&part->factors[k][which]);
    if (part->h5.path) tamis__h5_close(&part->h5);
    tamis__input_close(&part->input);
    tamis__watch_end(&part->watch);
    tamis__examples_fini(&part->examples);
    tamis__store_header_fini(&part->header);
    free(part->rows);
    free(part->factors);
    free(part->offset);
    free(part->values);
    free(part->path);
    *part = (tamis__store_part){0};
}

/* --- rows in place ---------------------------------------------------------------------------- */

const void *tamis__store_rows_map(const tamis__store_part *part, const tamis__store_rows *rows,
                                  uint64_t row, uint64_t *ret_rows)
{
    if (rows->dataset || row >= rows->rows) return NULL;
    uint64_t span = row / rows->span, within = row % rows->span;
    uint64_t end = (span + rows->run[span]) * rows->span;
    if (end > rows->rows) end = rows->rows;
    *ret_rows = end - row;
    size_t row_bytes = rows->columns * tamis_dtype_size(rows->dtype);
    return part->input.data + rows->address[span] + within * row_bytes;
}

const void *tamis__store_part_map(const tamis__store_part *part, uint32_t checkpoint, uint64_t row,
                                  uint64_t *ret_rows)
{
    if (!part->rows) return NULL;
    return tamis__store_rows_map(part, &part->rows[checkpoint], row, ret_rows);
}

static void widen_row(tamis_dtype dtype, const tamis__kernels *kernels, const float *scale,
                      const void *from, uint64_t columns, float *out)
{
    if (scale)
        kernels->widen_i8(out, from, *scale, columns);
    else
        tamis__widen(kernels, dtype, out, from, columns);
}

/* `scale` is that of the first row, NULL unless the rows are i8. */
static void widen_rows(const tamis__store_rows *rows, const tamis__kernels *kernels,
                       const float *scale, const unsigned char *from, uint64_t n,
                       const tamis__h5_part *where, float *out)
{
    size_t size = tamis_dtype_size(rows->dtype), row_bytes = rows->columns * size;
    if (!scale && where->columns == rows->columns && where->stride == where->columns) {
        widen_row(rows->dtype, kernels, NULL, from, n * where->columns, out);
        return;
    }
    for (uint64_t i = 0; i < n; i++)
        widen_row(rows->dtype, kernels, scale ? scale + i : NULL,
                  from + i * row_bytes + where->first_column * size, where->columns,
                  out + i * where->stride);
}

/* --- rows through HDF5 ------------------------------------------------------------------------ */

static tamis_status slice_narrow(const tamis__store_part *part, const tamis__store_rows *rows,
                                 const tamis__kernels *kernels, const float *scale,
                                 const tamis__h5_part *where, unsigned char *buffer, hid_t type,
                                 float *out, tamis_error *err)
{
    size_t row_bytes = where->columns * tamis_dtype_size(rows->dtype);
    uint64_t at_once = SLICE / where->columns ? SLICE / where->columns : 1;
    for (uint64_t done = 0; done < where->rows; done += at_once) {
        tamis__h5_part some = *where;
        some.first_row += done;
        some.rows = where->rows - done < at_once ? where->rows - done : at_once;
        some.stride = where->columns;
        TAMIS_TRY(tamis__h5_dataset_read(&part->h5, rows->dataset, type, &some, buffer, err));
        for (uint64_t i = 0; i < some.rows; i++)
            widen_row(rows->dtype, kernels, scale ? scale + done + i : NULL, buffer + i * row_bytes,
                      where->columns, out + (done + i) * where->stride);
    }
    return TAMIS_OK;
}

/* Narrow values are fetched as they are and widened here: HDF5 converts 16-bit floats a thousand
 * times slower. */
static tamis_status read_narrow(const tamis__store_part *part, const tamis__store_rows *rows,
                                const tamis__kernels *kernels, const float *scale,
                                const tamis__h5_part *where, float *out, tamis_error *err)
{
    tamis__h5_scope scope;
    size_t room = where->columns > SLICE ? where->columns : SLICE;
    size_t size = tamis_dtype_size(rows->dtype);
    unsigned char *buffer = tamis__malloc(room, size);
    if (!buffer) return tamis__fail_memory(err, "rows", room * size);
    tamis__h5_enter(&scope);
    hid_t type = tamis__store_type(rows->dtype);
    tamis_status status = type < 0
                              ? tamis__h5_fail(err, TAMIS_ERR_NOMEM, "cannot read '%s'", part->path)
                              : slice_narrow(part, rows, kernels, scale, where, buffer, type, out,
                                             err);
    if (type >= 0) H5Tclose(type);
    tamis__h5_leave(&scope);
    free(buffer);
    return status;
}

tamis_status tamis__store_rows_stored(const tamis__store_part *part, const tamis__store_rows *rows,
                                      uint64_t first_row, uint64_t n, void *out, tamis_error *err)
{
    tamis__h5_scope scope;
    tamis__h5_part where = {
        .first_row = first_row, .rows = n, .columns = rows->columns, .stride = rows->columns};
    tamis__h5_enter(&scope);
    hid_t type = tamis__store_type(rows->dtype);
    tamis_status status = type < 0
                              ? tamis__h5_fail(err, TAMIS_ERR_NOMEM, "cannot read '%s'", part->path)
                              : tamis__h5_dataset_read(&part->h5, rows->dataset, type, &where, out,
                                                       err);
    if (type >= 0) H5Tclose(type);
    tamis__h5_leave(&scope);
    return status;
}

/* --- reading ---------------------------------------------------------------------------------- */

tamis_status tamis__store_rows_read(const tamis__store_part *part, const tamis__store_rows *rows,
                                    const tamis__kernels *kernels, const float *scale,
                                    const tamis__h5_part *where, float *out, tamis_error *err)
{
    hid_t dataset = rows->dataset;
    if (where->rows == 0 || where->columns == 0) return TAMIS_OK;
    if (dataset && rows->dtype != TAMIS_F32)
        return read_narrow(part, rows, kernels, scale, where, out, err);
    if (dataset) return tamis__h5_array_read(&part->h5, dataset, TAMIS__H5_F32, where, out, err);
    for (uint64_t done = 0; done < where->rows;) {
        uint64_t run = 0, left = where->rows - done;
        const void *from = tamis__store_rows_map(part, rows, where->first_row + done, &run);
        if (run > left) run = left;
        widen_rows(rows, kernels, scale ? scale + done : NULL, from, run, where,
                   out + done * where->stride);
        done += run;
    }
    return TAMIS_OK;
}

tamis_status tamis__store_part_read(const tamis__store_part *part, const tamis__kernels *kernels,
                                    uint32_t checkpoint, const float *scale,
                                    const tamis__h5_part *where, float *out, tamis_error *err)
{
    return tamis__store_rows_read(part, &part->rows[checkpoint], kernels,
                                  scale ? scale + where->first_row : NULL, where, out, err);
}

tamis_status tamis__store_part_values(const tamis__store_part *part, uint32_t checkpoint, int which,
                                      float *out, tamis_error *err)
{
    const tamis__store_values *values = &part->values[checkpoint][which];
    uint64_t columns = values_columns(part, which), n = part->header.rows * (columns ? columns : 1);
    TAMIS_TRY(tamis__watch_check(&part->watch, part->path, err));
    if (values->address != HADDR_UNDEF) {
        memcpy(out, part->input.data + values->address, n * sizeof *out);
        return TAMIS_OK;
    }
    void *read = NULL;
    tamis__store_name name = tamis__store_name_of(checkpoint, tamis__store_values_name(which));
    TAMIS_TRY(tamis__h5_read(&part->h5, name.text, TAMIS__H5_F32, part->header.rows, columns, &read,
                             err));
    memcpy(out, read, n * sizeof *out);
    free(read);
    return TAMIS_OK;
}
