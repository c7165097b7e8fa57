/* MD5 of what comes in parts: for sums that other tools want; nothing here relies on them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BASE_MD5_SUM_H
#define TAMIS_BASE_MD5_SUM_H

#include <stddef.h>
#include <stdint.h>

/* Plain data: may be copied. */
typedef struct tamis__md5 {
    uint64_t state[16];
} tamis__md5;

void tamis__md5_start(tamis__md5 *md5);
void tamis__md5_add(tamis__md5 *md5, const void *bytes, size_t size);
/* The sum as 32 hexadecimal digits. */
void tamis__md5_end(tamis__md5 *md5, char ret_text[33]);

#endif
