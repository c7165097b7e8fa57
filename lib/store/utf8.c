/* UTF-8: told from other bytes, and made of them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/utf8.h"

#include <string.h>

#include "base/mem.h"

static bool continues(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* Unicode 15, table 3-7: the second byte's range depends on the first. */
static bool second_fits(unsigned char first, unsigned char second)
{
    switch (first) {
    case 0xe0: return second >= 0xa0 && second <= 0xbf;
    case 0xed: return second >= 0x80 && second <= 0x9f;
    case 0xf0: return second >= 0x90 && second <= 0xbf;
    case 0xf4: return second >= 0x80 && second <= 0x8f;
    default: return continues(second);
    }
}

size_t tamis__utf8_sequence(const char *text, size_t size)
{
    const unsigned char *c = (const unsigned char *)text;
    if (c[0] < 0x80) return 1;
    size_t length = c[0] >= 0xc2 && c[0] <= 0xdf   ? 2
                    : (c[0] & 0xf0) == 0xe0        ? 3
                    : c[0] >= 0xf0 && c[0] <= 0xf4 ? 4
                                                   : 0;
    if (length == 0 || length > size || !second_fits(c[0], c[1])) return 0;
    for (size_t i = 2; i < length; i++)
        if (!continues(c[i])) return 0;
    return length;
}

char *tamis__utf8_repair(const char *text)
{
    size_t size = strlen(text), used = 0;
    char *out = tamis__malloc(3 * size + 1, 1);
    if (!out) return NULL;
    while (size > 0) {
        size_t length = tamis__utf8_sequence(text, size), step = length ? length : 1;
        memcpy(out + used, length ? text : "\xef\xbf\xbd", length ? length : 3);
        used += length ? length : 3;
        text += step;
        size -= step;
    }
    out[used] = '\0';
    return out;
}
