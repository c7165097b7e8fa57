/* Numbers as files hold them, to float.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_IMPORT_CONVERT_H
#define TAMIS_IMPORT_CONVERT_H

#include <stddef.h>
#include <stdint.h>

/* n packed little-endian values at `in`, of any alignment, to out[0], out[step], out[2 * step]
 * ... */
typedef void (*tamis__convert_fn)(float *out, size_t step, const unsigned char *in, size_t n);

/* `kind`: 'b' boolean (1 byte), 'i' and 'u' integers (1, 2, 4, 8), 'f' IEEE floats (2, 4, 8), 'B'
 * bfloat16 (2). NULL for any other pair. */
tamis__convert_fn tamis__convert_for(char kind, size_t size);

/* One integer ('b', 'i' or 'u') of this size. A 'u' value over INT64_MAX is not representable:
 * returns 0 and sets *ret_fits to 0, else to 1. */
int64_t tamis__convert_integer(char kind, size_t size, const unsigned char *in, int *ret_fits);

#endif
