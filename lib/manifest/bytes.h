/* A text that grows.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_BYTES_H
#define TAMIS_MANIFEST_BYTES_H

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

typedef struct tamis__bytes {
    char *data;
    size_t size, room;
} tamis__bytes;

static inline tamis_status tamis__bytes_add(tamis__bytes *bytes, const void *data, size_t size,
                                            tamis_error *err)
{
    if (size > bytes->room - bytes->size) {
        size_t room = 2 * (bytes->size + size) + 256;
        char *grown = tamis__realloc(bytes->data, room, 1);
        if (!grown) return tamis__fail_memory(err, "a record", room);
        bytes->data = grown;
        bytes->room = room;
    }
    if (size) memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    return TAMIS_OK;
}

static inline tamis_status tamis__bytes_text(tamis__bytes *bytes, const char *text,
                                             tamis_error *err)
{
    return tamis__bytes_add(bytes, text, strlen(text), err);
}

#endif
