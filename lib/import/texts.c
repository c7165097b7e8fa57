/* Many short texts in little memory.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "import/texts.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/utf8.h"

/* Room for `wanted` items in an array that doubles. */
static tamis_status grow(void **array, size_t *room, size_t wanted, size_t size, tamis_error *err)
{
    if (wanted <= *room) return TAMIS_OK;
    size_t now = *room ? *room : 16;
    while (now < wanted) now *= 2;
    void *grown = tamis__realloc(*array, now, size);
    if (!grown) return tamis__fail_memory(err, "names and ids", (uint64_t)now * size);
    *array = grown;
    *room = now;
    return TAMIS_OK;
}

tamis_status tamis__strings_add(tamis__strings *strings, const char *text, size_t size,
                                tamis_error *err)
{
    void *bytes = strings->bytes, *start = strings->start;
    tamis_status status = grow(&bytes, &strings->room, strings->used + size + 1, 1, err);
    strings->bytes = bytes;
    if (status == TAMIS_OK)
        status = grow(&start, &strings->slots, strings->count + 1, sizeof(size_t), err);
    strings->start = start;
    if (status != TAMIS_OK) return status;
    strings->start[strings->count++] = strings->used;
    if (size) memcpy(strings->bytes + strings->used, text, size);
    strings->bytes[strings->used + size] = '\0';
    strings->used += size + 1;
    return TAMIS_OK;
}

const char *tamis__strings_at(const tamis__strings *strings, size_t i)
{
    return strings->bytes + strings->start[i];
}

char **tamis__strings_block(const tamis__strings *strings, const uint32_t *order)
{
    size_t pointers = strings->count * sizeof(char *);
    char **block = tamis__malloc(pointers + strings->used, 1);
    if (!block) return NULL;
    char *text = (char *)block + pointers;
    if (strings->used) memcpy(text, strings->bytes, strings->used);
    for (size_t i = 0; i < strings->count; i++)
        block[i] = text + strings->start[order ? order[i] : i];
    return block;
}

void tamis__strings_fini(tamis__strings *strings)
{
    free(strings->bytes);
    free(strings->start);
    *strings = (tamis__strings){0};
}

tamis_status tamis__text_check(const char *text, size_t size, const char *what, tamis_error *err)
{
    if (size == 0) return tamis__fail(err, TAMIS_ERR_FORMAT, "%s is empty", what);
    if (size > TAMIS__TEXT_LIMIT)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "%s has %zu bytes: at most %d are kept", what,
                           size, TAMIS__TEXT_LIMIT);
    for (size_t i = 0; i < size;) {
        size_t length = text[i] ? tamis__utf8_sequence(text + i, size - i) : 0;
        if (length == 0)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "%s is not UTF-8 text (its byte %zu): convert the file", what, i);
        i += length;
    }
    return TAMIS_OK;
}
