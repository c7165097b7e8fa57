/* Lines of a text in memory, such as a list of ids with one a line.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BASE_LINES_H
#define TAMIS_BASE_LINES_H

#include <string.h>

#include "base/file.h"

typedef struct tamis__lines {
    const char *at, *end;
    uint64_t line; /* the last one given, from 1; 0 = none yet */
} tamis__lines;

/* Before the first line, which is behind a UTF-8 byte order mark where there is one. */
static inline tamis__lines tamis__lines_of(const tamis__input *input)
{
    const char *at = (const char *)input->data;
    size_t bom = input->size >= 3 && !memcmp(at, "\xef\xbb\xbf", 3) ? 3 : 0;
    return (tamis__lines){.at = at + bom, .end = at + input->size};
}

/* The next line without its end, LF or CRLF; a last one without an end counts. False when there is
 * none. */
static inline bool tamis__lines_next(tamis__lines *lines, const char **ret_text, size_t *ret_size)
{
    if (lines->at >= lines->end) return false;
    const char *stop = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
    if (!stop) stop = lines->end;
    size_t size = (size_t)(stop - lines->at);
    if (size > 0 && lines->at[size - 1] == '\r') size--;
    *ret_text = lines->at;
    *ret_size = size;
    lines->at = stop < lines->end ? stop + 1 : lines->end;
    lines->line++;
    return true;
}

#endif
