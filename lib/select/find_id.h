/* Candidates by their ids.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_FIND_ID_H
#define TAMIS_SELECT_FIND_ID_H

#include <tamis/store.h>

typedef struct tamis__id_entry tamis__id_entry;

/* Where candidates have no ids, their row numbers are. */
typedef struct tamis__id_finder {
    const char *file; /* the file that ids stand in, for messages */
    const tamis_examples *examples;
    uint64_t rows;
    tamis__id_entry *sorted; /* [rows]; NULL when ids are row numbers */
    uint64_t *line;          /* [rows] where a row stands in the file; 0 = nowhere */
} tamis__id_finder;

/* `examples` may be NULL and is not copied. Errors: NOMEM. */
tamis_status tamis__id_finder_init(tamis__id_finder *ret_finder, const char *file,
                                   const tamis_examples *examples, uint64_t rows, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__id_finder_fini(tamis__id_finder *finder);

/* Which row has the id on this line; remembers the line. *ret_row is UINT64_MAX where none has it.
 * Errors: FORMAT (several have it, or it stands on a line before: names both lines). */
tamis_status tamis__id_find(tamis__id_finder *finder, uint64_t line, const char *id, size_t size,
                            uint64_t *ret_row, tamis_error *err);

/* "text-id" or "12", of a row. */
void tamis__id_text(const tamis_examples *examples, uint64_t row, char *text, size_t size);

#endif
