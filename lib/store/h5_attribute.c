/* HDF5: attributes.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/h5.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

/* An attribute lives in an object header message of at most 64 KiB; longer text goes to the
 * heap. */
#define ATTRIBUTE_MAX ((size_t)60000)

/* --- writing attributes ----------------------------------------------------------------------- */

static tamis_status put(const tamis__h5 *h5, const char *object, const char *name, hid_t file_type,
                        hid_t memory_type, const void *value, tamis_error *err)
{
    tamis__h5_scope scope;
    tamis_status status = TAMIS_OK;
    if (tamis__fault_io()) return tamis__fail_errno(err, "cannot write '%s'", h5->path);
    tamis__h5_enter(&scope);
    hid_t space = H5Screate(H5S_SCALAR), attribute = -1;
    if (space >= 0)
        attribute = H5Acreate_by_name(h5->file, object, name, file_type, space, H5P_DEFAULT,
                                      H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0 || H5Awrite(attribute, memory_type, value) < 0)
        status = tamis__h5_fail(err, TAMIS_ERR_IO, "cannot write '%s': attribute %s", h5->path,
                                name);
    if (attribute >= 0) H5Aclose(attribute);
    if (space >= 0) H5Sclose(space);
    tamis__h5_leave(&scope);
    return status;
}

tamis_status tamis__h5_put_u64(const tamis__h5 *h5, const char *object, const char *name,
                               uint64_t value, tamis_error *err)
{
    return put(h5, object, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, &value, err);
}

tamis_status tamis__h5_put_u32(const tamis__h5 *h5, const char *object, const char *name,
                               uint32_t value, tamis_error *err)
{
    return put(h5, object, name, H5T_STD_U32LE, H5T_NATIVE_UINT32, &value, err);
}

tamis_status tamis__h5_put_f64(const tamis__h5 *h5, const char *object, const char *name,
                               double value, tamis_error *err)
{
    return put(h5, object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value, err);
}

tamis_status tamis__h5_put_text(const tamis__h5 *h5, const char *object, const char *name,
                                const char *value, tamis_error *err)
{
    tamis__h5_scope scope;
    tamis_status status;
    size_t size = strlen(value);
    bool fixed = size <= ATTRIBUTE_MAX;
    tamis__h5_enter(&scope);
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0 || H5Tset_size(type, fixed ? (size ? size : 1) : H5T_VARIABLE) < 0 ||
        H5Tset_cset(type, H5T_CSET_UTF8) < 0 ||
        H5Tset_strpad(type, fixed ? H5T_STR_NULLPAD : H5T_STR_NULLTERM) < 0)
        status = tamis__h5_fail(err, TAMIS_ERR_IO, "cannot write '%s': attribute %s", h5->path,
                                name);
    else
        status = put(h5, object, name, type, type, fixed ? (const void *)value : &value, err);
    if (type >= 0) H5Tclose(type);
    tamis__h5_leave(&scope);
    return status;
}

/* --- reading attributes ----------------------------------------------------------------------- */

typedef struct attribute {
    hid_t id, type;
    H5T_class_t class;
    size_t size;
} attribute;

static void attribute_close(attribute *a)
{
    if (a->type >= 0) H5Tclose(a->type);
    if (a->id >= 0) H5Aclose(a->id);
}

/* Open an attribute that holds one value. Inside enter/leave. */
static tamis_status attribute_open(attribute *ret, const tamis__h5 *h5, const char *object,
                                   const char *name, tamis_error *err)
{
    attribute a = {.id = -1, .type = -1};
    if (!tamis__h5_has_attribute(h5, object, name))
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' has no attribute %s of %s", h5->path, name,
                           object);
    a.id = H5Aopen_by_name(h5->file, object, name, H5P_DEFAULT, H5P_DEFAULT);
    if (a.id >= 0) a.type = H5Aget_type(a.id);
    hid_t space = a.id >= 0 ? H5Aget_space(a.id) : -1;
    hssize_t values = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
    if (space >= 0) H5Sclose(space);
    if (a.type < 0 || values != 1 || H5Aget_storage_size(a.id) > h5->size) {
        attribute_close(&a);
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': attribute %s of %s is not a single value",
                           h5->path, name, object);
    }
    a.class = H5Tget_class(a.type);
    a.size = H5Tget_size(a.type);
    *ret = a;
    return TAMIS_OK;
}

static tamis_status wrong_type(const tamis__h5 *h5, const char *object, const char *name,
                               const char *wanted, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': attribute %s of %s is not %s", h5->path, name,
                       object, wanted);
}

tamis_status tamis__h5_get_u64(const tamis__h5 *h5, const char *object, const char *name,
                               uint64_t *ret_value, tamis_error *err)
{
    tamis__h5_scope scope;
    attribute a;
    int64_t with_sign = 0;
    uint64_t value = 0;
    tamis__h5_enter(&scope);
    tamis_status status = attribute_open(&a, h5, object, name, err);
    if (status == TAMIS_OK) {
        bool is_signed = H5Tget_sign(a.type) == H5T_SGN_2;
        herr_t done = -1;
        if (a.class == H5T_INTEGER && a.size <= 8)
            done = is_signed ? H5Aread(a.id, H5T_NATIVE_INT64, &with_sign)
                             : H5Aread(a.id, H5T_NATIVE_UINT64, &value);
        if (done < 0 || with_sign < 0)
            status = wrong_type(h5, object, name, "a whole number of at least 0", err);
        if (is_signed) value = (uint64_t)with_sign;
        attribute_close(&a);
    }
    tamis__h5_leave(&scope);
    if (status == TAMIS_OK) *ret_value = value;
    return status;
}

tamis_status tamis__h5_get_f64(const tamis__h5 *h5, const char *object, const char *name,
                               double *ret_value, tamis_error *err)
{
    tamis__h5_scope scope;
    attribute a;
    double value = 0;
    tamis__h5_enter(&scope);
    tamis_status status = attribute_open(&a, h5, object, name, err);
    if (status == TAMIS_OK) {
        if ((a.class != H5T_INTEGER && a.class != H5T_FLOAT) ||
            H5Aread(a.id, H5T_NATIVE_DOUBLE, &value) < 0)
            status = wrong_type(h5, object, name, "a number", err);
        attribute_close(&a);
    }
    tamis__h5_leave(&scope);
    if (status == TAMIS_OK) *ret_value = value;
    return status;
}

static tamis_status read_text(const attribute *a, char **ret_value, const char *name,
                              tamis_error *err)
{
    char *heap = NULL;
    if (H5Tis_variable_str(a->type) > 0) {
        if (H5Aread(a->id, a->type, &heap) < 0)
            return tamis__h5_fail(err, TAMIS_ERR_FORMAT, "attribute %s cannot be read", name);
        *ret_value = tamis__strdup(heap ? heap : "");
        if (heap) H5free_memory(heap);
        return *ret_value ? TAMIS_OK : tamis__fail_memory(err, name, a->size);
    }
    char *text = tamis__calloc(a->size + 1, 1);
    if (!text) return tamis__fail_memory(err, name, a->size);
    if (H5Aread(a->id, a->type, text) < 0) {
        free(text);
        return tamis__h5_fail(err, TAMIS_ERR_FORMAT, "attribute %s cannot be read", name);
    }
    *ret_value = text;
    return TAMIS_OK;
}

tamis_status tamis__h5_get_text(const tamis__h5 *h5, const char *object, const char *name,
                                char **ret_value, tamis_error *err)
{
    tamis__h5_scope scope;
    attribute a;
    char *value = NULL;
    tamis__h5_enter(&scope);
    tamis_status status = attribute_open(&a, h5, object, name, err);
    if (status == TAMIS_OK) {
        status = a.class == H5T_STRING ? read_text(&a, &value, name, err)
                                       : wrong_type(h5, object, name, "text", err);
        attribute_close(&a);
    }
    tamis__h5_leave(&scope);
    if (status == TAMIS_OK) *ret_value = value;
    return status;
}
