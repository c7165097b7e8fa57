/* JSON objects on lines of their own: what is wrong with one, a member of it, and a mark in it.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_JSON_RECORD_H
#define TAMIS_MANIFEST_JSON_RECORD_H

#include <tamis/common.h>

#include "import/records.h"
#include "manifest/json_span.h"

/* One change to a text: `removed` bytes at `at` give way to text[0 .. size). */
typedef struct tamis__splice {
    size_t at, removed;
    const char *text;
    size_t size;
} tamis__splice;

/* Check that the record is an object, and find its member of this name: the last one where there
 * are several, as readers take it; value.size is 0 when there is none. *ret_close is the byte of
 * the object's end, *ret_members how many it has. Outputs may be NULL. Errors: FORMAT (no JSON
 * object; says line and byte). */
tamis_status tamis__json_record(const tamis__record *record, const char *path, const char *name,
                                tamis__json_member *ret_member, size_t *ret_close,
                                size_t *ret_members, tamis_error *err);

/* How NeMo's records say that they are to be left out. */
typedef enum tamis__skipme {
    TAMIS__SKIPME_AS_IS,   /* nothing to change: size and removed of the splice are 0 */
    TAMIS__SKIPME_MARKED,  /* "_skipme": true was put in, or took the place of a false one */
    TAMIS__SKIPME_UNMARKED /* a kept record was marked: its mark becomes false */
} tamis__skipme;

/* What to change for a record to be read (keep) or left out. Errors as above. */
tamis_status tamis__skipme_edit(const tamis__record *record, const char *path, bool keep,
                                tamis__splice *ret_splice, tamis__skipme *ret_change,
                                tamis_error *err);

/* Is the record marked? Errors as above. */
tamis_status tamis__skipme_marked(const tamis__record *record, const char *path, bool *ret_marked,
                                  tamis_error *err);

/* The string that is the record's "id". Errors: FORMAT (no object, no id, an id that is no
 * string). */
tamis_status tamis__json_record_id(const tamis__record *record, const char *path,
                                   tamis__span *ret_id, tamis_error *err);

#endif
