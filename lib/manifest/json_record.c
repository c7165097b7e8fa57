/* JSON objects on lines of their own.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/json_record.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"

static tamis_status fail_record(const tamis__record *record, const char *path,
                                const tamis__json_walk *walk, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s' line %" PRIu64 " is no JSON object: %s at byte %zu of the line", path,
                       record->line, walk->bad, walk->at + 1);
}

tamis_status tamis__json_record(const tamis__record *record, const char *path, const char *name,
                                tamis__json_member *ret_member, size_t *ret_close,
                                size_t *ret_members, tamis_error *err)
{
    tamis__json_walk walk;
    tamis__json_member member, found = {.value = {0, 0}};
    size_t members = 0, length = strlen(name);
    if (!tamis__json_open(&walk, record->data, record->size))
        return fail_record(record, path, &walk, err);
    while (tamis__json_next(&walk, &member)) {
        members++;
        if (tamis__json_string_is(record->data, member.key, name, length)) found = member;
    }
    if (walk.bad) return fail_record(record, path, &walk, err);
    if (ret_member) *ret_member = found;
    if (ret_close) *ret_close = walk.at - 1;
    if (ret_members) *ret_members = members;
    return TAMIS_OK;
}

/* --- NeMo ----------------------------------------------------------------------------------- */

static tamis__splice splice(size_t at, size_t removed, const char *text)
{
    return (tamis__splice){.at = at, .removed = removed, .text = text, .size = strlen(text)};
}

tamis_status tamis__skipme_edit(const tamis__record *record, const char *path, bool keep,
                                tamis__splice *ret_splice, tamis__skipme *ret_change,
                                tamis_error *err)
{
    tamis__json_member mark;
    size_t close, members;
    TAMIS_TRY(tamis__json_record(record, path, "_skipme", &mark, &close, &members, err));
    bool marked = mark.value.size && tamis__json_truthy(record->data, mark.value);
    *ret_splice = splice(0, 0, "");
    *ret_change = TAMIS__SKIPME_AS_IS;
    if (marked != keep) return TAMIS_OK;
    *ret_change = keep ? TAMIS__SKIPME_UNMARKED : TAMIS__SKIPME_MARKED;
    if (mark.value.size)
        *ret_splice = splice(mark.value.first, mark.value.size, keep ? "false" : "true");
    else
        *ret_splice = splice(close, 0, members ? ", \"_skipme\": true" : "\"_skipme\": true");
    return TAMIS_OK;
}

tamis_status tamis__skipme_marked(const tamis__record *record, const char *path, bool *ret_marked,
                                  tamis_error *err)
{
    tamis__json_member mark;
    TAMIS_TRY(tamis__json_record(record, path, "_skipme", &mark, NULL, NULL, err));
    *ret_marked = mark.value.size && tamis__json_truthy(record->data, mark.value);
    return TAMIS_OK;
}

/* --- lhotse --------------------------------------------------------------------------------- */

tamis_status tamis__json_record_id(const tamis__record *record, const char *path,
                                   tamis__span *ret_id, tamis_error *err)
{
    tamis__json_member id;
    TAMIS_TRY(tamis__json_record(record, path, "id", &id, NULL, NULL, err));
    if (!id.value.size || record->data[id.value.first] != '"')
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' line %" PRIu64 ": the object has no \"id\" that is a string: give "
                           "a manifest of cuts",
                           path, record->line);
    *ret_id = id.value;
    return TAMIS_OK;
}
