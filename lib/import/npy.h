/* NumPy's .npy, versions 1 to 3.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_IMPORT_NPY_H
#define TAMIS_IMPORT_NPY_H

#include "base/file.h"

typedef enum tamis__npy_type {
    TAMIS__NPY_BOOL,
    TAMIS__NPY_I1,
    TAMIS__NPY_I2,
    TAMIS__NPY_I4,
    TAMIS__NPY_I8,
    TAMIS__NPY_U1,
    TAMIS__NPY_U2,
    TAMIS__NPY_U4,
    TAMIS__NPY_U8,
    TAMIS__NPY_F2,
    TAMIS__NPY_F4,
    TAMIS__NPY_F8
} tamis__npy_type;

/* A mapped array of 0 to 3 dimensions; 1-D and 0-D arrays have cols = 1. 3-D and more are folded
 * into [shape0, rest]. Little-endian only. */
typedef struct tamis__npy {
    tamis__input input;
    const void *data;
    tamis__npy_type type;
    size_t item_size;
    int dims;
    uint64_t shape[8];
    uint64_t rows, cols;
    bool fortran; /* element (i, j) is at data[j * rows + i]; only possible with dims == 2 */
} tamis__npy;

/* Errors: IO, FORMAT (magic, version, header, file shorter than the shape says), UNSUPPORTED
 * (dtype, byte order, Fortran order with more than two dimensions). All name the path. */
tamis_status tamis__npy_open(tamis__npy *ret_npy, const tamis_context *context, const char *path,
                             tamis_error *err);
/* The same of bytes that stay the caller's (standard input, a decompressed file). */
tamis_status tamis__npy_view(tamis__npy *ret_npy, const void *bytes, size_t size, const char *path,
                             tamis_error *err);
void tamis__npy_close(tamis__npy *npy);

/* Rows as f32 (any type; f8 and large integers are rounded), `stride` floats from row to row. */
void tamis__npy_rows(const tamis__npy *npy, uint64_t first_row, uint64_t rows, float *out,
                     size_t stride);

/* Element (row, column) of any type, f8 without rounding. */
double tamis__npy_double(const tamis__npy *npy, uint64_t row, uint64_t column);

/* Element i of a one-column array as an integer. FORMAT when the array is floating and the value
 * is not whole, or it does not fit. */
tamis_status tamis__npy_integer(const tamis__npy *npy, uint64_t i, int64_t *ret_value,
                                const char *path, tamis_error *err);

/* Write the v1.0 header for an array; `descr` such as "<f4", `dims` 1 or 2. */
tamis_status tamis__npy_write_header(tamis__output *output, const char *descr, int dims,
                                     const uint64_t *shape, tamis_error *err);

#endif
