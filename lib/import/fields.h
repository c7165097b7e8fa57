/* Fields of a CSV record.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_IMPORT_FIELDS_H
#define TAMIS_IMPORT_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <tamis/common.h>

typedef struct tamis__fields {
    const char *at, *end; /* not looked at yet */
    bool more;            /* a field follows */
    char delimiter;
    char *scratch; /* a field without its doubled quotes; grown when needed, freed by fini() */
    size_t room;
} tamis__fields;

typedef struct tamis__field {
    const char *text; /* in the record or in scratch: valid until the next call */
    size_t size;
    const char *start; /* where the field starts in the record */
} tamis__field;

/* Start on a record; keeps the scratch memory. */
void tamis__fields_start(tamis__fields *fields, char delimiter, const void *record, size_t size);

/* The next field; call while fields->more. Errors, without the place: FORMAT (text after the
 * closing quote, quote not closed), NOMEM. */
tamis_status tamis__fields_next(tamis__fields *fields, tamis__field *ret_field, tamis_error *err);

void tamis__fields_fini(tamis__fields *fields);

#endif
