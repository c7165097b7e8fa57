/* HDF5: datasets of numbers.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/h5.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/h5_dataset.h"

static hid_t memory_type(tamis__h5_type type)
{
    switch (type) {
    case TAMIS__H5_U64: return H5T_NATIVE_UINT64;
    case TAMIS__H5_I64: return H5T_NATIVE_INT64;
    case TAMIS__H5_U32: return H5T_NATIVE_UINT32;
    case TAMIS__H5_I32: return H5T_NATIVE_INT32;
    case TAMIS__H5_U16: return H5T_NATIVE_UINT16;
    case TAMIS__H5_U8: return H5T_NATIVE_UINT8;
    case TAMIS__H5_F32: return H5T_NATIVE_FLOAT;
    case TAMIS__H5_F64: break;
    }
    return H5T_NATIVE_DOUBLE;
}

static hid_t file_type(tamis__h5_type type)
{
    switch (type) {
    case TAMIS__H5_U64: return H5T_STD_U64LE;
    case TAMIS__H5_I64: return H5T_STD_I64LE;
    case TAMIS__H5_U32: return H5T_STD_U32LE;
    case TAMIS__H5_I32: return H5T_STD_I32LE;
    case TAMIS__H5_U16: return H5T_STD_U16LE;
    case TAMIS__H5_U8: return H5T_STD_U8LE;
    case TAMIS__H5_F32: return H5T_IEEE_F32LE;
    case TAMIS__H5_F64: break;
    }
    return H5T_IEEE_F64LE;
}

size_t tamis__h5_type_size(tamis__h5_type type)
{
    switch (type) {
    case TAMIS__H5_U64:
    case TAMIS__H5_I64:
    case TAMIS__H5_F64: return 8;
    case TAMIS__H5_U32:
    case TAMIS__H5_I32:
    case TAMIS__H5_F32: return 4;
    case TAMIS__H5_U16: return 2;
    case TAMIS__H5_U8: break;
    }
    return 1;
}

static bool is_float(tamis__h5_type type)
{
    return type == TAMIS__H5_F32 || type == TAMIS__H5_F64;
}

/* --- creating --------------------------------------------------------------------------------- */

tamis_status tamis__h5_dataset_create(const tamis__h5 *h5, const char *name, hid_t type,
                                      uint64_t rows, uint64_t columns, hid_t *ret_dataset,
                                      tamis_error *err)
{
    const hsize_t dims[2] = {rows, columns};
    if (tamis__fault_io()) return tamis__fail_errno(err, "cannot write '%s'", h5->path);
    hid_t dataset = -1;
    hid_t list = H5Pcreate(H5P_DATASET_CREATE),
          space = H5Screate_simple(columns ? 2 : 1, dims, NULL);
    if (list >= 0 && space >= 0 && H5Pset_obj_track_times(list, false) >= 0 &&
        H5Pset_fill_time(list, H5D_FILL_TIME_NEVER) >= 0)
        dataset = H5Dcreate2(h5->file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    tamis_status status = TAMIS_OK;
    if (dataset < 0)
        status = tamis__h5_fail(err, TAMIS_ERR_IO, "cannot write '%s': dataset '%s'", h5->path,
                                name);
    if (list >= 0) H5Pclose(list);
    if (space >= 0) H5Sclose(space);
    if (status == TAMIS_OK) *ret_dataset = dataset;
    return status;
}

tamis_status tamis__h5_array_create(const tamis__h5 *h5, const char *name, tamis__h5_type type,
                                    uint64_t rows, uint64_t columns, hid_t *ret_dataset,
                                    tamis_error *err)
{
    tamis__h5_scope scope;
    tamis__h5_enter(&scope);
    tamis_status status = tamis__h5_dataset_create(h5, name, file_type(type), rows, columns,
                                                   ret_dataset, err);
    tamis__h5_leave(&scope);
    return status;
}

tamis_status tamis__h5_write(const tamis__h5 *h5, const char *name, tamis__h5_type type,
                             const void *values, uint64_t rows, uint64_t columns, tamis_error *err)
{
    tamis__h5_scope scope;
    hid_t dataset = 0;
    tamis__h5_enter(&scope);
    tamis_status status = tamis__h5_array_create(h5, name, type, rows, columns, &dataset, err);
    if (status == TAMIS_OK && tamis__fault_io())
        status = tamis__fail_errno(err, "cannot write '%s'", h5->path);
    if (status == TAMIS_OK &&
        H5Dwrite(dataset, memory_type(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        status = tamis__h5_fail(err, TAMIS_ERR_IO, "cannot write '%s': dataset '%s'", h5->path,
                                name);
    tamis__h5_array_close(&dataset);
    tamis__h5_leave(&scope);
    return status;
}

/* --- opening ---------------------------------------------------------------------------------- */

static tamis_status read_shape(const tamis__h5 *h5, hid_t dataset, const char *name, unsigned rank,
                               uint64_t ret_shape[2], tamis_error *err)
{
    hsize_t dims[2] = {0, 0};
    hid_t space = H5Dget_space(dataset);
    int found = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
    if (found == (int)rank) found = H5Sget_simple_extent_dims(space, dims, NULL);
    if (space >= 0) H5Sclose(space);
    if (found != (int)rank)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': dataset '%s' has %d dimensions, %u expected", h5->path, name,
                           found < 0 ? 0 : found, rank);
    ret_shape[0] = dims[0];
    ret_shape[1] = dims[1];
    return TAMIS_OK;
}

tamis_status tamis__h5_dataset_open(const tamis__h5 *h5, const char *name, unsigned rank,
                                    uint64_t ret_shape[2], hid_t *ret_dataset, tamis_error *err)
{
    if (!tamis__h5_has(h5, name))
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': dataset '%s' is missing", h5->path, name);
    hid_t dataset = H5Dopen2(h5->file, name, H5P_DEFAULT);
    if (dataset < 0)
        return tamis__h5_fail(err, TAMIS_ERR_FORMAT, "'%s': '%s' cannot be opened as a dataset",
                              h5->path, name);
    tamis_status status = read_shape(h5, dataset, name, rank, ret_shape, err);
    if (status != TAMIS_OK)
        H5Dclose(dataset);
    else
        *ret_dataset = dataset;
    return status;
}

tamis_status tamis__h5_shape(const tamis__h5 *h5, const char *name, unsigned rank,
                             uint64_t ret_shape[2], tamis_error *err)
{
    tamis__h5_scope scope;
    hid_t dataset = 0;
    tamis__h5_enter(&scope);
    tamis_status status = tamis__h5_dataset_open(h5, name, rank, ret_shape, &dataset, err);
    tamis__h5_array_close(&dataset);
    tamis__h5_leave(&scope);
    return status;
}

/* Deflate, the strongest filter in use, shrinks at most about 1,030 times. */
#define MAX_SHRINK 1100u

tamis_status tamis__h5_dataset_backed(const tamis__h5 *h5, hid_t dataset, const char *name,
                                      uint64_t values, size_t size, tamis_error *err)
{
    uint64_t limit = h5->size;
    hid_t list = H5Dget_create_plist(dataset);
    if (list < 0)
        return tamis__h5_fail(err, TAMIS_ERR_FORMAT, "'%s': dataset '%s'", h5->path, name);
    bool filtered = H5Pget_nfilters(list) > 0;
    bool elsewhere = H5Pget_layout(list) == H5D_VIRTUAL || H5Pget_external_count(list) > 0;
    H5Pclose(list);
    if (elsewhere)
        return tamis__fail(
            err, TAMIS_ERR_UNSUPPORTED,
            "'%s': dataset '%s' keeps its values in other files: copy them into one file", h5->path,
            name);
    uint64_t stored = H5Dget_storage_size(dataset);
    if (stored < limit) limit = stored;
    if (filtered) limit = limit > UINT64_MAX / MAX_SHRINK ? UINT64_MAX : limit * MAX_SHRINK;
    if (values > limit / (size ? size : 1))
        return tamis__fail(
            err, TAMIS_ERR_FORMAT,
            "'%s': dataset '%s' says it holds %llu values, but the file does not have them",
            h5->path, name, (unsigned long long)values);
    return TAMIS_OK;
}

static tamis_status check_type(const tamis__h5 *h5, hid_t dataset, const char *name,
                               tamis__h5_type type, uint64_t values, tamis_error *err)
{
    hid_t found = H5Dget_type(dataset);
    if (found < 0)
        return tamis__h5_fail(err, TAMIS_ERR_FORMAT, "'%s': dataset '%s'", h5->path, name);
    H5T_class_t class = H5Tget_class(found);
    size_t size = H5Tget_size(found);
    H5Tclose(found);
    if (class != (is_float(type) ? H5T_FLOAT : H5T_INTEGER))
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': dataset '%s' does not hold %s", h5->path,
                           name, is_float(type) ? "floating-point numbers" : "integers");
    return tamis__h5_dataset_backed(h5, dataset, name, values, size, err);
}

static tamis_status wrong_shape(const tamis__h5 *h5, const char *name, const uint64_t shape[2],
                                uint64_t rows, uint64_t columns, tamis_error *err)
{
    if (columns == 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': dataset '%s' has %llu values, %llu expected", h5->path, name,
                           (unsigned long long)shape[0], (unsigned long long)rows);
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s': dataset '%s' is %llu x %llu, %llu x %llu expected", h5->path, name,
                       (unsigned long long)shape[0], (unsigned long long)shape[1],
                       (unsigned long long)rows, (unsigned long long)columns);
}

tamis_status tamis__h5_array_open(const tamis__h5 *h5, const char *name, tamis__h5_type type,
                                  uint64_t rows, uint64_t columns, hid_t *ret_dataset,
                                  tamis_error *err)
{
    tamis__h5_scope scope;
    uint64_t shape[2], values = 0;
    hid_t dataset = 0;
    tamis__h5_enter(&scope);
    tamis_status status = tamis__h5_dataset_open(h5, name, columns ? 2 : 1, shape, &dataset, err);
    if (status == TAMIS_OK && (shape[0] != rows || (columns && shape[1] != columns)))
        status = wrong_shape(h5, name, shape, rows, columns, err);
    if (status == TAMIS_OK) {
        if (__builtin_mul_overflow(rows, columns ? columns : 1, &values)) values = UINT64_MAX;
        status = check_type(h5, dataset, name, type, values, err);
    }
    if (status != TAMIS_OK)
        tamis__h5_array_close(&dataset);
    else
        *ret_dataset = dataset;
    tamis__h5_leave(&scope);
    return status;
}

void tamis__h5_array_close(hid_t *dataset)
{
    tamis__h5_scope scope;
    if (*dataset <= 0) return;
    tamis__h5_enter(&scope);
    (void)H5Dclose(*dataset);
    tamis__h5_leave(&scope);
    *dataset = 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* A value that does not fit ends the read, instead of being clipped. */
static H5T_conv_ret_t refuse_range(H5T_conv_except_t what, hid_t from, hid_t to, void *in,
                                   void *out, void *cookie)
{
    bool *out_of_range = cookie;
    (void)from, (void)to, (void)in, (void)out;
    if (what != H5T_CONV_EXCEPT_RANGE_HI && what != H5T_CONV_EXCEPT_RANGE_LOW)
        return H5T_CONV_UNHANDLED;
    *out_of_range = true;
    return H5T_CONV_ABORT;
}

static tamis_status read_values(const tamis__h5 *h5, hid_t dataset, const char *name,
                                tamis__h5_type type, void *values, tamis_error *err)
{
    bool out_of_range = false;
    hid_t list = H5Pcreate(H5P_DATASET_XFER);
    herr_t done = list < 0 ? -1 : 0;
    if (done >= 0 && !is_float(type)) done = H5Pset_type_conv_cb(list, refuse_range, &out_of_range);
    if (done >= 0) done = H5Dread(dataset, memory_type(type), H5S_ALL, H5S_ALL, list, values);
    tamis_status status = TAMIS_OK;
    if (out_of_range)
        status = tamis__fail(err, TAMIS_ERR_FORMAT,
                             "'%s': dataset '%s' holds a number that is out of range", h5->path,
                             name);
    else if (done < 0)
        status = tamis__h5_fail(err, TAMIS_ERR_FORMAT, "'%s': dataset '%s' cannot be read",
                                h5->path, name);
    if (list >= 0) H5Pclose(list);
    return status;
}

tamis_status tamis__h5_read(const tamis__h5 *h5, const char *name, tamis__h5_type type,
                            uint64_t rows, uint64_t columns, void **ret_values, tamis_error *err)
{
    tamis__h5_scope scope;
    hid_t dataset = 0;
    tamis__h5_enter(&scope);
    tamis_status status = tamis__h5_array_open(h5, name, type, rows, columns, &dataset, err);
    if (status == TAMIS_OK) {
        uint64_t n = rows * (columns ? columns : 1);
        void *values = tamis__malloc(n, tamis__h5_type_size(type));
        status = values ? read_values(h5, dataset, name, type, values, err)
                        : tamis__fail_memory(err, name, n * tamis__h5_type_size(type));
        if (status != TAMIS_OK)
            free(values);
        else
            *ret_values = values;
    }
    tamis__h5_array_close(&dataset);
    tamis__h5_leave(&scope);
    return status;
}

tamis_status tamis__h5_read_optional(const tamis__h5 *h5, const char *name, tamis__h5_type type,
                                     uint64_t rows, uint64_t columns, void **ret_values,
                                     tamis_error *err)
{
    if (tamis__h5_has(h5, name))
        return tamis__h5_read(h5, name, type, rows, columns, ret_values, err);
    *ret_values = NULL;
    return TAMIS_OK;
}

/* --- parts ------------------------------------------------------------------------------------ */

/* File and memory selections of a part. */
static bool select_part(hid_t dataset, const tamis__h5_part *part, hid_t *ret_file,
                        hid_t *ret_memory)
{
    const hsize_t start[2] = {part->first_row, part->first_column}, zero[2] = {0, 0};
    const hsize_t count[2] = {part->rows, part->columns}, room[2] = {part->rows, part->stride};
    *ret_file = H5Dget_space(dataset);
    *ret_memory = H5Screate_simple(2, room, NULL);
    return *ret_file >= 0 && *ret_memory >= 0 &&
           H5Sselect_hyperslab(*ret_file, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
           H5Sselect_hyperslab(*ret_memory, H5S_SELECT_SET, zero, NULL, count, NULL) >= 0;
}

static void close_spaces(hid_t file, hid_t memory)
{
    if (file >= 0) H5Sclose(file);
    if (memory >= 0) H5Sclose(memory);
}

tamis_status tamis__h5_array_write(const tamis__h5 *h5, hid_t dataset, tamis__h5_type type,
                                   const tamis__h5_part *part, const void *values, tamis_error *err)
{
    tamis__h5_scope scope;
    tamis_status status = TAMIS_OK;
    hid_t file, memory;
    if (tamis__fault_io()) return tamis__fail_errno(err, "cannot write '%s'", h5->path);
    tamis__h5_enter(&scope);
    if (!select_part(dataset, part, &file, &memory) ||
        H5Dwrite(dataset, memory_type(type), memory, file, H5P_DEFAULT, values) < 0)
        status = tamis__h5_fail(err, TAMIS_ERR_IO, "cannot write '%s' at row %llu", h5->path,
                                (unsigned long long)part->first_row);
    close_spaces(file, memory);
    tamis__h5_leave(&scope);
    return status == TAMIS_OK ? tamis__h5_written(h5, err) : status;
}

tamis_status tamis__h5_dataset_read(const tamis__h5 *h5, hid_t dataset, hid_t type,
                                    const tamis__h5_part *part, void *values, tamis_error *err)
{
    tamis__h5_scope scope;
    tamis_status status = TAMIS_OK;
    hid_t file, memory;
    tamis__h5_enter(&scope);
    if (!select_part(dataset, part, &file, &memory) ||
        H5Dread(dataset, type, memory, file, H5P_DEFAULT, values) < 0)
        status = tamis__h5_fail(err, TAMIS_ERR_IO, "cannot read '%s' at row %llu", h5->path,
                                (unsigned long long)part->first_row);
    close_spaces(file, memory);
    tamis__h5_leave(&scope);
    return status;
}

tamis_status tamis__h5_array_read(const tamis__h5 *h5, hid_t dataset, tamis__h5_type type,
                                  const tamis__h5_part *part, void *values, tamis_error *err)
{
    return tamis__h5_dataset_read(h5, dataset, memory_type(type), part, values, err);
}

haddr_t tamis__h5_array_address(const tamis__h5 *h5, hid_t dataset, tamis__h5_type type)
{
    tamis__h5_scope scope;
    haddr_t address = HADDR_UNDEF;
    tamis__h5_enter(&scope);
    hid_t found = H5Dget_type(dataset);
    if (found >= 0 && H5Tequal(found, file_type(type)) > 0) address = H5Dget_offset(dataset);
    uint64_t size = H5Dget_storage_size(dataset);
    if (address != HADDR_UNDEF && (address > h5->size || size > h5->size - address))
        address = HADDR_UNDEF;
    if (found >= 0) H5Tclose(found);
    tamis__h5_leave(&scope);
    return address;
}
