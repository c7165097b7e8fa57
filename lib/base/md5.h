/* MD5 (RFC 1321) of several messages side by side, which is many times as fast as one after
 * another. For sums that other tools want; nothing here relies on them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BASE_MD5_H
#define TAMIS_BASE_MD5_H

#include <stddef.h>
#include <stdint.h>

enum { TAMIS__MD5_LANES = 16, TAMIS__MD5_BLOCK = 64 };

typedef struct tamis__md5 {
    uint32_t state[4];
    uint64_t size; /* bytes so far */
} tamis__md5;

void tamis__md5_start(tamis__md5 *md5);

/* `blocks` whole blocks more of each of `n` messages, at most TAMIS__MD5_LANES: of md5[i] those at
 * data[i]. */
void tamis__md5_add(tamis__md5 *const *md5, const unsigned char *const *data, size_t n,
                    size_t blocks);

/* The bytes behind the last whole block, less than one, and the sum as 32 hexadecimal digits. */
void tamis__md5_end(tamis__md5 *md5, const void *rest, size_t size, char ret_text[33]);

#endif
