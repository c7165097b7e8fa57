/* safetensors: a JSON header and raw little-endian data.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_IMPORT_SAFETENSORS_H
#define TAMIS_IMPORT_SAFETENSORS_H

#include "base/file.h"

typedef struct tamis__tensor {
    char *name;
    char dtype[16]; /* as written: "F32", "BF16" ... */
    int dims;
    uint64_t shape[8];
    uint64_t count;   /* product of the shape */
    const void *data; /* in the mapping */
} tamis__tensor;

typedef struct tamis__safetensors {
    tamis__input input;
    tamis__tensor *tensor; /* in file order */
    size_t tensors;
    char **meta_key, **meta_value; /* __metadata__ */
    size_t metas;
} tamis__safetensors;

/* Every offset is checked against the file's size, holes and overlaps are refused. Errors: IO,
 * FORMAT, NOMEM; all name the path. */
tamis_status tamis__safetensors_open(tamis__safetensors *ret_file, const tamis_context *context,
                                     const char *path, tamis_error *err);
/* The same of bytes that stay the caller's (standard input, a decompressed file). */
tamis_status tamis__safetensors_view(tamis__safetensors *ret_file, const tamis_context *context,
                                     const void *bytes, size_t size, const char *path,
                                     tamis_error *err);
void tamis__safetensors_close(tamis__safetensors *file);

/* NULL when absent. */
const tamis__tensor *tamis__safetensors_find(const tamis__safetensors *file, const char *name);
const char *tamis__safetensors_meta(const tamis__safetensors *file, const char *key);

/* Elements first .. first+n-1 as f32. F16, BF16, F32, F64 and the integer types; UNSUPPORTED
 * otherwise (names path, tensor and dtype). */
tamis_status tamis__tensor_read(const tamis__tensor *tensor, uint64_t first, uint64_t n, float *out,
                                const char *path, tamis_error *err);

/* Element i as an integer; UNSUPPORTED when the dtype is none, FORMAT when it does not fit. */
tamis_status tamis__tensor_integer(const tamis__tensor *tensor, uint64_t i, int64_t *ret_value,
                                   const char *path, tamis_error *err);

/* The tensor to read rows from: `name`, or when that is NULL the only one of two dimensions.
 * Errors: ARG listing the names. */
tamis_status tamis__safetensors_pick(const tamis__safetensors *file, const char *name,
                                     const char *path, const tamis__tensor **ret_tensor,
                                     tamis_error *err);

/* Bytes of one element; 0 when the dtype is not read. */
size_t tamis__tensor_item_size(const tamis__tensor *tensor);

#endif
