/* Rows of floats made elsewhere: a .npy array or a safetensors tensor, read in blocks.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_IMPORT_MATRIX_H
#define TAMIS_IMPORT_MATRIX_H

#include "import/npy.h"
#include "import/safetensors.h"

typedef struct tamis__matrix {
    const char *path;
    uint64_t rows, cols;
    tamis__npy npy;
    tamis__safetensors file;
    const tamis__tensor *tensor; /* NULL: npy */
} tamis__matrix;

/* Floating types only. Errors: those of the formats, UNSUPPORTED, SHAPE (no rows or columns),
 * ARG (no such tensor). */
tamis_status tamis__matrix_open_npy(tamis__matrix *ret_matrix, const tamis_context *context,
                                    const char *path, tamis_error *err);
tamis_status tamis__matrix_open_safetensors(tamis__matrix *ret_matrix, const tamis_context *context,
                                            const char *path, const char *tensor, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__matrix_close(tamis__matrix *matrix);

/* Rows as [rows, cols] floats. Errors: NUMERIC naming row and column of a value that is not
 * finite. */
tamis_status tamis__matrix_read(const tamis__matrix *matrix, uint64_t first, uint64_t rows,
                                float *out, tamis_error *err);

#endif
