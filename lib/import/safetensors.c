/* safetensors: a JSON header and raw little-endian data.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "import/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "import/convert.h"

#define PREFIX_SIZE  8
#define HEADER_LIMIT UINT64_C(100000000) /* the format's own */
#define METADATA     "__metadata__"

/* kind '\0': the size is known, the values are not read. */
static const struct {
    char name[12];
    char kind;
    unsigned bits;
} types[] = {
    {"BOOL", 'b', 8},         {"U8", 'u', 8},       {"I8", 'i', 8},       {"I16", 'i', 16},
    {"U16", 'u', 16},         {"F16", 'f', 16},     {"BF16", 'B', 16},    {"I32", 'i', 32},
    {"U32", 'u', 32},         {"F32", 'f', 32},     {"F64", 'f', 64},     {"I64", 'i', 64},
    {"U64", 'u', 64},         {"F4", '\0', 4},      {"F6_E2M3", '\0', 6}, {"F6_E3M2", '\0', 6},
    {"F8_E5M2", '\0', 8},     {"F8_E4M3", '\0', 8}, {"F8_E8M0", '\0', 8}, {"F8_E5M2FNUZ", '\0', 8},
    {"F8_E4M3FNUZ", '\0', 8}, {"C64", '\0', 64},
};

/* -1 for a dtype this table does not have. */
static int type_index(const char *dtype)
{
    for (int i = 0; i < (int)(sizeof types / sizeof *types); i++)
        if (strcmp(types[i].name, dtype) == 0) return i;
    return -1;
}

/* What is being read, for every function below. */
typedef struct header {
    tamis__safetensors *file;
    const char *path;
    const unsigned char *data; /* end of the header */
    uint64_t data_size;
    tamis_error *err;
} header;

static tamis_status read_natural(const header *h, const json_t *value, const char *name,
                                 const char *what, uint64_t *ret_value)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return tamis__fail(h->err, TAMIS_ERR_FORMAT,
                           "'%s' tensor '%.100s': %s is not a list of numbers >= 0", h->path, name,
                           what);
    *ret_value = (uint64_t)json_integer_value(value);
    return TAMIS_OK;
}

static tamis_status read_shape(const header *h, tamis__tensor *tensor, const json_t *shape)
{
    const size_t most = sizeof tensor->shape / sizeof *tensor->shape;
    size_t dims = json_array_size(shape);
    if (!json_is_array(shape))
        return tamis__fail(h->err, TAMIS_ERR_FORMAT, "'%s' tensor '%.100s' has no shape", h->path,
                           tensor->name);
    if (dims > most)
        return tamis__fail(h->err, TAMIS_ERR_FORMAT,
                           "'%s' tensor '%.100s' has %zu dimensions: at most %zu are read", h->path,
                           tensor->name, dims, most);
    tensor->dims = (int)dims;
    tensor->count = 1;
    bool fits = true;
    for (size_t i = 0; i < dims; i++) {
        TAMIS_TRY(read_natural(h, json_array_get(shape, i), tensor->name, "the shape",
                               &tensor->shape[i]));
        fits &= !__builtin_mul_overflow(tensor->count, tensor->shape[i], &tensor->count);
    }
    if (fits) return TAMIS_OK;
    return tamis__fail(h->err, TAMIS_ERR_FORMAT,
                       "'%s' tensor '%.100s': the product of the shape overflows", h->path,
                       tensor->name);
}

/* The bytes of the tensor, which must be those its shape and type ask for. */
static tamis_status read_span(const header *h, tamis__tensor *tensor, const json_t *offsets)
{
    uint64_t begin = 0, end = 0, bits = 0;
    if (!json_is_array(offsets) || json_array_size(offsets) != 2)
        return tamis__fail(h->err, TAMIS_ERR_FORMAT,
                           "'%s' tensor '%.100s' has no pair of data_offsets", h->path,
                           tensor->name);
    TAMIS_TRY(read_natural(h, json_array_get(offsets, 0), tensor->name, "data_offsets", &begin));
    TAMIS_TRY(read_natural(h, json_array_get(offsets, 1), tensor->name, "data_offsets", &end));
    if (begin > end || end > h->data_size)
        return tamis__fail(h->err, TAMIS_ERR_FORMAT,
                           "'%s' tensor '%.100s': data_offsets [%" PRIu64 ", %" PRIu64
                           "] are not within the file's %" PRIu64 " bytes of data",
                           h->path, tensor->name, begin, end, h->data_size);
    int type = type_index(tensor->dtype);
    if (type >= 0 && (__builtin_mul_overflow(tensor->count, (uint64_t)types[type].bits, &bits) ||
                      bits % 8 != 0 || bits / 8 != end - begin))
        return tamis__fail(h->err, TAMIS_ERR_FORMAT,
                           "'%s' tensor '%.100s': %" PRIu64 " values of %s do not take the %" PRIu64
                           " bytes of its data_offsets",
                           h->path, tensor->name, tensor->count, tensor->dtype, end - begin);
    tensor->data = h->data + begin;
    return TAMIS_OK;
}

static tamis_status read_tensor(const header *h, const char *name, const json_t *value,
                                uint64_t *ret_end)
{
    tamis__tensor *tensor = &h->file->tensor[h->file->tensors];
    const json_t *offsets = json_object_get(value, "data_offsets");
    const char *dtype = json_string_value(json_object_get(value, "dtype"));
    tensor->name = tamis__strdup(name);
    if (!tensor->name) return tamis__fail_memory(h->err, "a tensor's name", strlen(name));
    h->file->tensors++;
    if (!json_is_object(value) || !dtype || strlen(dtype) >= sizeof tensor->dtype)
        return tamis__fail(h->err, TAMIS_ERR_FORMAT, "'%s' tensor '%.100s' has no dtype", h->path,
                           name);
    strcpy(tensor->dtype, dtype);
    TAMIS_TRY(read_shape(h, tensor, json_object_get(value, "shape")));
    TAMIS_TRY(read_span(h, tensor, offsets));
    *ret_end = (uint64_t)json_integer_value(json_array_get(offsets, 1));
    return TAMIS_OK;
}

static tamis_status read_metadata(const header *h, json_t *object)
{
    tamis__safetensors *file = h->file;
    size_t n = json_object_size(object);
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return tamis__fail(h->err, TAMIS_ERR_FORMAT, "'%s': " METADATA " is not an object",
                           h->path);
    file->meta_key = tamis__calloc(n, sizeof *file->meta_key);
    file->meta_value = tamis__calloc(n, sizeof *file->meta_value);
    if (!file->meta_key || !file->meta_value)
        return tamis__fail_memory(h->err, "a file's metadata", n * sizeof key);
    json_object_foreach(object, key, value)
    {
        if (!json_is_string(value))
            return tamis__fail(h->err, TAMIS_ERR_FORMAT, "'%s': " METADATA " '%.100s' is not text",
                               h->path, key);
        file->meta_key[file->metas] = tamis__strdup(key);
        file->meta_value[file->metas] = tamis__strdup(json_string_value(value));
        file->metas++;
        if (!file->meta_key[file->metas - 1] || !file->meta_value[file->metas - 1])
            return tamis__fail_memory(h->err, "a file's metadata", strlen(key));
    }
    return TAMIS_OK;
}

/* A tensor and where its bytes end, to look for gaps. */
typedef struct placed {
    tamis__tensor tensor;
    uint64_t end;
} placed;

static int by_place(const void *a, const void *b)
{
    const placed *x = a, *y = b;
    const unsigned char *px = x->tensor.data, *py = y->tensor.data;
    if (px != py) return px < py ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return strcmp(x->tensor.name, y->tensor.name);
}

/* Tensors into file order; their bytes must fill the data without gap or overlap. */
static tamis_status order_tensors(const header *h, const uint64_t *end)
{
    tamis__safetensors *file = h->file;
    placed *list = tamis__malloc(file->tensors, sizeof *list);
    if (!list)
        return tamis__fail_memory(h->err, "a table of tensors", file->tensors * sizeof *list);
    for (size_t i = 0; i < file->tensors; i++) list[i] = (placed){file->tensor[i], end[i]};
    qsort(list, file->tensors, sizeof *list, by_place);
    uint64_t at = 0;
    tamis_status status = TAMIS_OK;
    for (size_t i = 0; i < file->tensors; i++) {
        file->tensor[i] = list[i].tensor;
        uint64_t begin = (uint64_t)((const unsigned char *)list[i].tensor.data - h->data);
        if (begin != at && status == TAMIS_OK)
            status = tamis__fail(h->err, TAMIS_ERR_FORMAT,
                                 "'%s' tensor '%.100s' starts at data byte %" PRIu64
                                 ", the one before ends at %" PRIu64
                                 ": tensors must not overlap or leave holes",
                                 h->path, list[i].tensor.name, begin, at);
        at = list[i].end;
    }
    free(list);
    if (status != TAMIS_OK) return status;
    if (at != h->data_size)
        return tamis__fail(h->err, TAMIS_ERR_FORMAT,
                           "'%s': the tensors take %" PRIu64 " bytes, the file has %" PRIu64
                           " of data",
                           h->path, at, h->data_size);
    return TAMIS_OK;
}

static tamis_status read_object(const header *h, json_t *root)
{
    size_t n = json_object_size(root);
    const char *key;
    json_t *value;
    if (!json_is_object(root))
        return tamis__fail(h->err, TAMIS_ERR_FORMAT, "'%s' byte 8: the header is not an object",
                           h->path);
    h->file->tensor = tamis__calloc(n, sizeof *h->file->tensor);
    uint64_t *end = tamis__calloc(n, sizeof *end);
    tamis_status status = TAMIS_OK;
    if (!h->file->tensor || !end)
        status = tamis__fail_memory(h->err, "a table of tensors", n * sizeof *h->file->tensor);
    json_object_foreach(root, key, value)
    {
        if (status != TAMIS_OK) break;
        if (strcmp(key, METADATA) == 0)
            status = read_metadata(h, value);
        else
            status = read_tensor(h, key, value, &end[h->file->tensors]);
    }
    if (status == TAMIS_OK) status = order_tensors(h, end);
    free(end);
    return status;
}

/* The header as JSON. */
static tamis_status load(const unsigned char *bytes, size_t file_size, const tamis_context *context,
                         const char *path, json_t **ret_root, uint64_t *ret_size, tamis_error *err)
{
    uint64_t size = 0;
    json_error_t error;
    if (file_size < PREFIX_SIZE)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' is not safetensors: it has only %zu bytes",
                           path, file_size);
    for (size_t i = 0; i < PREFIX_SIZE; i++) size |= (uint64_t)bytes[i] << (8 * i);
    if (size > HEADER_LIMIT || size > file_size - PREFIX_SIZE)
        return tamis__fail(
            err, TAMIS_ERR_FORMAT,
            "'%s' byte 0: the header is said to have %" PRIu64
            " bytes, the file has %zu after it (at most 100,000,000): it is truncated or no "
            "safetensors",
            path, size, file_size - PREFIX_SIZE);
    /* The parsed form takes several times the text. */
    if (context) TAMIS_TRY(tamis__memory_check(context, 8 * size, "the safetensors header", err));
    json_t *root = json_loadb((const char *)bytes + PREFIX_SIZE, (size_t)size,
                              JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' byte %d: the safetensors header is not valid JSON: %s", path,
                           PREFIX_SIZE + (error.position > 0 ? error.position : 0), error.text);
    *ret_root = root;
    *ret_size = size;
    return TAMIS_OK;
}

tamis_status tamis__safetensors_view(tamis__safetensors *ret_file, const tamis_context *context,
                                     const void *bytes, size_t size, const char *path,
                                     tamis_error *err)
{
    tamis__safetensors file = {0};
    json_t *root = NULL;
    uint64_t header_size = 0;
    TAMIS_TRY(load(bytes, size, context, path, &root, &header_size, err));
    header h = {.file = &file,
                .path = path,
                .data = (const unsigned char *)bytes + PREFIX_SIZE + header_size,
                .data_size = size - PREFIX_SIZE - header_size,
                .err = err};
    tamis_status status = read_object(&h, root);
    json_decref(root);
    if (status == TAMIS_OK)
        *ret_file = file;
    else
        tamis__safetensors_close(&file);
    return status;
}

tamis_status tamis__safetensors_open(tamis__safetensors *ret_file, const tamis_context *context,
                                     const char *path, tamis_error *err)
{
    tamis__input input;
    TAMIS_TRY(tamis__input_open(&input, context, path, err));
    tamis_status status = tamis__safetensors_view(ret_file, context, input.data, input.size, path,
                                                  err);
    if (status == TAMIS_OK)
        ret_file->input = input;
    else
        tamis__input_close(&input);
    return status;
}

void tamis__safetensors_close(tamis__safetensors *file)
{
    for (size_t i = 0; i < file->tensors; i++) free(file->tensor[i].name);
    for (size_t i = 0; i < file->metas; i++) {
        free(file->meta_key[i]);
        free(file->meta_value[i]);
    }
    free(file->tensor);
    free(file->meta_key);
    free(file->meta_value);
    tamis__input_close(&file->input);
    *file = (tamis__safetensors){0};
}

const tamis__tensor *tamis__safetensors_find(const tamis__safetensors *file, const char *name)
{
    for (size_t i = 0; i < file->tensors; i++)
        if (strcmp(file->tensor[i].name, name) == 0) return &file->tensor[i];
    return NULL;
}

const char *tamis__safetensors_meta(const tamis__safetensors *file, const char *key)
{
    for (size_t i = 0; i < file->metas; i++)
        if (strcmp(file->meta_key[i], key) == 0) return file->meta_value[i];
    return NULL;
}

tamis_status tamis__tensor_read(const tamis__tensor *tensor, uint64_t first, uint64_t n, float *out,
                                const char *path, tamis_error *err)
{
    int type = type_index(tensor->dtype);
    if (type < 0 || types[type].kind == '\0')
        return tamis__fail(
            err, TAMIS_ERR_UNSUPPORTED,
            "'%s' tensor '%.100s' has dtype %s, which is not read: convert it to F32, F16 or BF16",
            path, tensor->name, tensor->dtype);
    size_t size = types[type].bits / 8;
    const unsigned char *in = (const unsigned char *)tensor->data + (size_t)first * size;
    tamis__convert_for(types[type].kind, size)(out, 1, in, (size_t)n);
    return TAMIS_OK;
}

tamis_status tamis__tensor_integer(const tamis__tensor *tensor, uint64_t i, int64_t *ret_value,
                                   const char *path, tamis_error *err)
{
    int type = type_index(tensor->dtype), fits;
    char kind = type < 0 ? '\0' : types[type].kind;
    if (kind != 'b' && kind != 'i' && kind != 'u')
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s' tensor '%.100s' has dtype %s: integers are expected", path,
                           tensor->name, tensor->dtype);
    size_t size = types[type].bits / 8;
    int64_t value = tamis__convert_integer(
        kind, size, (const unsigned char *)tensor->data + (size_t)i * size, &fits);
    if (!fits)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' tensor '%.100s' element %" PRIu64 " is over 2^63 - 1", path,
                           tensor->name, i);
    *ret_value = value;
    return TAMIS_OK;
}

size_t tamis__tensor_item_size(const tamis__tensor *tensor)
{
    int type = type_index(tensor->dtype);
    return type < 0 || types[type].kind == '\0' ? 0 : types[type].bits / 8;
}

/* "a, b, c", cut short when long. */
static void list_names(const tamis__safetensors *file, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < file->tensors && used + 4 < size; i++) {
        int n = snprintf(text + used, size - used, "%s'%.60s'", i ? ", " : "",
                         file->tensor[i].name);
        used += n > 0 ? (size_t)n : 0;
    }
    if (used >= size) memcpy(text + size - 4, "...", 4);
}

tamis_status tamis__safetensors_pick(const tamis__safetensors *file, const char *name,
                                     const char *path, const tamis__tensor **ret_tensor,
                                     tamis_error *err)
{
    const tamis__tensor *found = name ? tamis__safetensors_find(file, name) : NULL;
    size_t matches = found ? 1 : 0;
    char names[400];
    for (size_t i = 0; !name && i < file->tensors; i++)
        if (file->tensor[i].dims == 2) {
            found = &file->tensor[i];
            matches++;
        }
    if (matches == 1) {
        *ret_tensor = found;
        return TAMIS_OK;
    }
    list_names(file, names, sizeof names);
    if (name)
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s' has no tensor '%.100s': it has %s", path, name,
                           file->tensors ? names : "none");
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "'%s' has %zu tensors of two dimensions: name the one to read (it has %s)",
                       path, matches, file->tensors ? names : "none");
}
