/* The layer table of stores and models.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/columns.h"
#include "store/h5_dataset.h"

/* More layers than any model has; bounds what a hostile file can ask for. */
#define LAYERS_MAX (UINT64_C(1) << 20)
#define NAME_SIZE  sizeof(((tamis_layer *)0)->name)

/* --- checking --------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static tamis_status check_unique(const tamis_layer *layer, uint32_t layers, tamis_error *err)
{
    const char **name = tamis__malloc(layers, sizeof *name);
    if (!name) return tamis__fail_memory(err, "layer names", layers * sizeof *name);
    for (uint32_t i = 0; i < layers; i++) name[i] = layer[i].name;
    qsort(name, layers, sizeof *name, by_name);
    tamis_status status = TAMIS_OK;
    for (uint32_t i = 1; i < layers && status == TAMIS_OK; i++)
        if (!strcmp(name[i - 1], name[i]))
            status = tamis__fail(err, TAMIS_ERR_ARG, "two layers are named '%s'", name[i]);
    free(name);
    return status;
}

static tamis_status layer_width(const tamis_layer *layer, uint64_t *ret_columns, tamis_error *err)
{
    uint64_t wide = 0, columns = 0;
    if (!layer->name[0] || !memchr(layer->name, 0, sizeof layer->name))
        return tamis__fail(err, TAMIS_ERR_ARG, "a layer has no name, or one of more than %zu bytes",
                           sizeof layer->name - 1);
    if (layer->out == 0 || layer->in == 0 || layer->bias > 1)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "layer '%s' is %llu x %llu with %u bias columns: both widths must be at least 1, "
            "and bias 0 or 1",
            layer->name, (unsigned long long)layer->out, (unsigned long long)layer->in,
            (unsigned)layer->bias);
    if (__builtin_add_overflow(layer->in, layer->bias, &wide) ||
        __builtin_mul_overflow(layer->out, wide, &columns) || columns > (uint64_t)INT64_MAX / 8)
        return tamis__fail(err, TAMIS_ERR_ARG, "layer '%s' is too wide", layer->name);
    *ret_columns = columns;
    return TAMIS_OK;
}

tamis_status tamis__layers_check(tamis_layer *layer, uint32_t layers, uint64_t *ret_columns,
                                 tamis_error *err)
{
    uint64_t at = 0, columns = 0;
    if (layers == 0) return tamis__fail(err, TAMIS_ERR_ARG, "there is no layer");
    for (uint32_t i = 0; i < layers; i++) {
        TAMIS_TRY(layer_width(&layer[i], &columns, err));
        layer[i].first_column = at;
        if (__builtin_add_overflow(at, columns, &at) || at > (uint64_t)INT64_MAX / 8)
            return tamis__fail(err, TAMIS_ERR_ARG, "the layers together are too wide");
    }
    TAMIS_TRY(check_unique(layer, layers, err));
    *ret_columns = at;
    return TAMIS_OK;
}

void tamis__layers_factor_columns(const tamis_layer *layer, uint32_t layers, uint64_t *ret_input,
                                  uint64_t *ret_output)
{
    uint64_t input = 0, output = 0;
    for (uint32_t i = 0; i < layers; i++) {
        input += layer[i].in + layer[i].bias;
        output += layer[i].out;
    }
    *ret_input = input;
    *ret_output = output;
}

/* --- the compound type ------------------------------------------------------------------------ */

static bool insert(hid_t compound, const char *name, size_t offset, hid_t type)
{
    return compound >= 0 && H5Tinsert(compound, name, offset, type) >= 0;
}

static hid_t name_type(size_t size)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0) return type;
    if (H5Tset_size(type, size) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0 &&
        H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0)
        return type;
    H5Tclose(type);
    return -1;
}

/* A row of the table as it lies in the file: name bytes, then out, in, bias, first_column
 * packed. */
static hid_t packed_type(size_t name_size)
{
    hid_t name = name_type(name_size), type = H5Tcreate(H5T_COMPOUND, name_size + 28);
    bool made = name >= 0 && insert(type, "name", 0, name) &&
                insert(type, "out", name_size, H5T_STD_U64LE) &&
                insert(type, "in", name_size + 8, H5T_STD_U64LE) &&
                insert(type, "bias", name_size + 16, H5T_STD_U32LE) &&
                insert(type, "first_column", name_size + 20, H5T_STD_U64LE);
    if (name >= 0) H5Tclose(name);
    if (made) return type;
    if (type >= 0) H5Tclose(type);
    return -1;
}

/* The struct in memory, so that HDF5 finds the members by name whatever the file's order. Takes
 * `name` over. */
static hid_t struct_type(hid_t name)
{
    hid_t type = H5Tcreate(H5T_COMPOUND, sizeof(tamis_layer));
    bool made = name >= 0 && insert(type, "name", offsetof(tamis_layer, name), name) &&
                insert(type, "out", offsetof(tamis_layer, out), H5T_NATIVE_UINT64) &&
                insert(type, "in", offsetof(tamis_layer, in), H5T_NATIVE_UINT64) &&
                insert(type, "bias", offsetof(tamis_layer, bias), H5T_NATIVE_UINT32) &&
                insert(type, "first_column", offsetof(tamis_layer, first_column),
                       H5T_NATIVE_UINT64);
    if (name >= 0) H5Tclose(name);
    if (made) return type;
    if (type >= 0) H5Tclose(type);
    return -1;
}

/* --- writing ---------------------------------------------------------------------------------- */

tamis_status tamis__layers_write(const tamis__h5 *h5, const tamis_layer *layer, uint32_t layers,
                                 tamis_error *err)
{
    tamis__h5_scope scope;
    hid_t dataset = 0;
    size_t longest = 1;
    for (uint32_t i = 0; i < layers; i++) {
        size_t size = strlen(layer[i].name);
        if (size > longest) longest = size;
    }
    tamis__h5_enter(&scope);
    hid_t packed = packed_type(longest), memory = struct_type(name_type(NAME_SIZE));
    tamis_status status = packed < 0 || memory < 0
                              ? tamis__h5_fail(err, TAMIS_ERR_IO, "cannot write '%s'", h5->path)
                              : tamis__h5_dataset_create(h5, "layer", packed, layers, 0, &dataset,
                                                         err);
    if (status == TAMIS_OK && tamis__fault_io())
        status = tamis__fail_errno(err, "cannot write '%s'", h5->path);
    if (status == TAMIS_OK && H5Dwrite(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, layer) < 0)
        status = tamis__h5_fail(err, TAMIS_ERR_IO, "cannot write '%s': dataset 'layer'", h5->path);
    tamis__h5_array_close(&dataset);
    if (packed >= 0) H5Tclose(packed);
    if (memory >= 0) H5Tclose(memory);
    tamis__h5_leave(&scope);
    return status;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Every member there, names a fixed text that fits, the others integers. */
static bool members_fit(hid_t type)
{
    static const char *const number[] = {"out", "in", "bias", "first_column"};
    if (H5Tget_class(type) != H5T_COMPOUND) return false;
    int at = H5Tget_member_index(type, "name");
    hid_t name = at >= 0 ? H5Tget_member_type(type, (unsigned)at) : -1;
    bool fit = name >= 0 && H5Tget_class(name) == H5T_STRING && H5Tis_variable_str(name) == 0 &&
               H5Tget_size(name) < NAME_SIZE;
    if (name >= 0) H5Tclose(name);
    for (size_t i = 0; fit && i < sizeof number / sizeof *number; i++) {
        at = H5Tget_member_index(type, number[i]);
        fit = at >= 0 && H5Tget_member_class(type, (unsigned)at) == H5T_INTEGER;
    }
    return fit;
}

/* Of the file's character set, which HDF5 does not convert. */
static hid_t name_like(hid_t compound)
{
    int at = H5Tget_member_index(compound, "name");
    hid_t type = at >= 0 ? H5Tget_member_type(compound, (unsigned)at) : -1;
    if (type < 0) return type;
    if (H5Tset_size(type, NAME_SIZE) >= 0 && H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0) return type;
    H5Tclose(type);
    return -1;
}

static tamis_status read_table(const tamis__h5 *h5, hid_t dataset, uint64_t layers,
                               tamis_layer *layer, tamis_error *err)
{
    hid_t found = H5Dget_type(dataset), memory = -1;
    tamis_status status = TAMIS_OK;
    if (found < 0 || !members_fit(found))
        status = tamis__fail(
            err, TAMIS_ERR_FORMAT,
            "'%s': dataset 'layer' is not a table of name (at most 127 bytes), out, in, bias "
            "and first_column",
            h5->path);
    if (status == TAMIS_OK)
        status = tamis__h5_dataset_backed(h5, dataset, "layer", layers, H5Tget_size(found), err);
    if (status == TAMIS_OK) memory = struct_type(name_like(found));
    if (status == TAMIS_OK &&
        (memory < 0 || H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, layer) < 0))
        status = tamis__h5_fail(err, TAMIS_ERR_FORMAT, "'%s': dataset 'layer' cannot be read",
                                h5->path);
    if (found >= 0) H5Tclose(found);
    if (memory >= 0) H5Tclose(memory);
    return status;
}

/* What the file says of each block must be what its widths come to. */
static tamis_status check_table(const tamis__h5 *h5, tamis_layer *layer, uint32_t layers,
                                uint64_t *ret_columns, tamis_error *err)
{
    tamis_error inner;
    uint64_t *said = tamis__malloc(layers, sizeof *said);
    if (!said) return tamis__fail_memory(err, "layers", layers * sizeof *said);
    for (uint32_t i = 0; i < layers; i++) said[i] = layer[i].first_column;
    tamis_status status = tamis__layers_check(layer, layers, ret_columns, &inner);
    if (status == TAMIS_ERR_NOMEM)
        tamis__fail(err, status, "%s", inner.message);
    else if (status != TAMIS_OK)
        status = tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': dataset 'layer': %s", h5->path,
                             inner.message);
    for (uint32_t i = 0; i < layers && status == TAMIS_OK; i++)
        if (said[i] != layer[i].first_column)
            status = tamis__fail(
                err, TAMIS_ERR_FORMAT,
                "'%s': dataset 'layer': '%s' starts at column %llu, and the layers before it "
                "end at %llu",
                h5->path, layer[i].name, (unsigned long long)said[i],
                (unsigned long long)layer[i].first_column);
    free(said);
    return status;
}

static tamis_status read_layers(const tamis__h5 *h5, hid_t dataset, uint64_t layers,
                                tamis_layer **ret_layer, uint64_t *ret_columns, tamis_error *err)
{
    if (layers == 0 || layers > LAYERS_MAX)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': dataset 'layer' has %llu rows", h5->path,
                           (unsigned long long)layers);
    tamis_layer *layer = tamis__calloc(layers, sizeof *layer);
    if (!layer) return tamis__fail_memory(err, "layers", layers * sizeof *layer);
    tamis_status status = read_table(h5, dataset, layers, layer, err);
    if (status == TAMIS_OK) status = check_table(h5, layer, (uint32_t)layers, ret_columns, err);
    if (status != TAMIS_OK)
        free(layer);
    else
        *ret_layer = layer;
    return status;
}

tamis_status tamis__layers_read(const tamis__h5 *h5, tamis_layer **ret_layer, uint32_t *ret_layers,
                                uint64_t *ret_columns, tamis_error *err)
{
    tamis__h5_scope scope;
    uint64_t shape[2];
    hid_t dataset = 0;
    tamis__h5_enter(&scope);
    tamis_status status = tamis__h5_dataset_open(h5, "layer", 1, shape, &dataset, err);
    if (status == TAMIS_OK)
        status = read_layers(h5, dataset, shape[0], ret_layer, ret_columns, err);
    tamis__h5_array_close(&dataset);
    tamis__h5_leave(&scope);
    if (status == TAMIS_OK) *ret_layers = (uint32_t)shape[0];
    return status;
}
