/* IDX, the format of MNIST: a magic number, dimensions and big-endian data.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_IMPORT_IDX_H
#define TAMIS_IMPORT_IDX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tamis/common.h>

typedef struct tamis__idx {
    char kind;        /* 'u', 'i' or 'f' */
    size_t item_size; /* 1, 2, 4 or 8 */
    int dims;
    uint64_t rows, cols; /* cols: product of all dimensions but the first */
    const unsigned char *data;
} tamis__idx;

bool tamis__idx_recognise(const unsigned char *bytes, size_t size);

/* Errors: FORMAT (magic, sizes that do not agree with the file's), UNSUPPORTED (type). */
tamis_status tamis__idx_view(tamis__idx *ret_idx, const unsigned char *bytes, size_t size,
                             const char *path, tamis_error *err);

/* n elements from `first` on, as they would be on a little-endian disk. */
void tamis__idx_swap(const tamis__idx *idx, uint64_t first, size_t n, unsigned char *out);

#endif
