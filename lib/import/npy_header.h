/* The text of a .npy header: a Python dictionary of three keys.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_IMPORT_NPY_HEADER_H
#define TAMIS_IMPORT_NPY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tamis/common.h>

typedef struct tamis__npy_header {
    char descr[64];
    bool fortran;
    int dims;
    uint64_t shape[8];
} tamis__npy_header;

/* Exactly the keys descr, fortran_order and shape, each once, in any order; strings in single or
 * double quotes; a trailing comma is allowed; nothing but spaces and line ends after the brace.
 * `offset` is where the text stands in the file, for messages. Errors: FORMAT naming the byte or
 * the key, UNSUPPORTED for a structured dtype. */
tamis_status tamis__npy_header_parse(tamis__npy_header *ret_header, const char *text, size_t size,
                                     size_t offset, const char *path, tamis_error *err);

#endif
