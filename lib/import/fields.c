/* Fields of a CSV record.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "import/fields.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

void tamis__fields_start(tamis__fields *fields, char delimiter, const void *record, size_t size)
{
    fields->at = record;
    fields->end = fields->at + size;
    fields->more = true;
    fields->delimiter = delimiter;
}

static tamis_status need_scratch(tamis__fields *fields, size_t size, tamis_error *err)
{
    if (size <= fields->room) return TAMIS_OK;
    char *grown = tamis__realloc(fields->scratch, size, 2);
    if (!grown) return tamis__fail_memory(err, "a quoted field", 2 * (uint64_t)size);
    fields->scratch = grown;
    fields->room = 2 * size;
    return TAMIS_OK;
}

/* The first doubled quote was seen: collect the pieces between them. `at` is behind the opening
 * quote. */
static tamis_status next_doubled(tamis__fields *fields, const char *at, tamis__field *ret_field,
                                 tamis_error *err)
{
    TAMIS_TRY(need_scratch(fields, (size_t)(fields->end - at), err));
    size_t used = 0;
    for (;;) {
        const char *quote = memchr(at, '"', (size_t)(fields->end - at));
        if (!quote) return tamis__fail(err, TAMIS_ERR_FORMAT, "a quote is not closed");
        bool doubled = quote + 1 < fields->end && quote[1] == '"';
        size_t piece = (size_t)(quote - at) + doubled;
        memcpy(fields->scratch + used, at, piece);
        used += piece;
        at = quote + 1 + doubled;
        if (!doubled) break;
    }
    ret_field->text = fields->scratch;
    ret_field->size = used;
    fields->at = at;
    return TAMIS_OK;
}

static tamis_status next_quoted(tamis__fields *fields, tamis__field *ret_field, tamis_error *err)
{
    const char *at = fields->at + 1, *quote = memchr(at, '"', (size_t)(fields->end - at));
    if (!quote) return tamis__fail(err, TAMIS_ERR_FORMAT, "a quote is not closed");
    if (quote + 1 < fields->end && quote[1] == '"') {
        TAMIS_TRY(next_doubled(fields, at, ret_field, err));
    } else {
        ret_field->text = at;
        ret_field->size = (size_t)(quote - at);
        fields->at = quote + 1;
    }
    fields->more = fields->at < fields->end;
    if (!fields->more) return TAMIS_OK;
    if (*fields->at != fields->delimiter)
        return tamis__fail(
            err, TAMIS_ERR_FORMAT,
            "something follows a closing quote: a quote within quotes is written twice");
    fields->at++;
    return TAMIS_OK;
}

/* Most fields are a few bytes: a loop finds the delimiter sooner than a call of memchr(). */
static const char *find_delimiter(const char *at, const char *end, char delimiter)
{
    const char *near = end - at > 16 ? at + 16 : end;
    for (; at < near; at++)
        if (*at == delimiter) return at;
    const char *found = at < end ? memchr(at, delimiter, (size_t)(end - at)) : NULL;
    return found ? found : end;
}

tamis_status tamis__fields_next(tamis__fields *fields, tamis__field *ret_field, tamis_error *err)
{
    ret_field->start = fields->at;
    if (fields->at < fields->end && *fields->at == '"') return next_quoted(fields, ret_field, err);
    const char *stop = find_delimiter(fields->at, fields->end, fields->delimiter);
    ret_field->text = fields->at;
    ret_field->size = (size_t)(stop - fields->at);
    fields->more = stop < fields->end;
    fields->at = fields->more ? stop + 1 : stop;
    return TAMIS_OK;
}

void tamis__fields_fini(tamis__fields *fields)
{
    free(fields->scratch);
    *fields = (tamis__fields){0};
}
