/* A file of a Kaldi data directory: lines "<name> <rest>", sorted by name and each name once.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_KALDI_TABLE_H
#define TAMIS_MANIFEST_KALDI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tamis/common.h>

/* Bytes of a file; not ended by NUL. */
typedef struct tamis__name {
    const unsigned char *data;
    size_t size;
} tamis__name;

/* As `sort` does under LC_ALL=C. */
int tamis__name_compare(const tamis__name *a, const tamis__name *b);

typedef struct tamis__kaldi_line {
    tamis__name name;          /* the first field; data NULL = there are no more lines */
    const unsigned char *data; /* == name.data: a line starts with its name */
    size_t size;               /* without the line end */
    bool ended;                /* a line feed follows */
    uint64_t line;             /* from 1 */
} tamis__kaldi_line;

/* Fields are private. */
typedef struct tamis__kaldi_table {
    const unsigned char *at, *end;
    const char *path; /* the caller's, for messages */
    tamis__kaldi_line last;
} tamis__kaldi_table;

void tamis__kaldi_start(tamis__kaldi_table *table, const char *path, const void *bytes,
                        size_t size);

/* The next line. Errors (FORMAT, with the line): a byte order mark, a carriage return at a line's
 * end, a blank line, a space before the name, names out of order or twice. */
tamis_status tamis__kaldi_next(tamis__kaldi_table *table, tamis__kaldi_line *ret_line,
                               tamis_error *err);

/* Go on to the line of this name, past lower ones; false and *ret_line the next higher one (or
 * none) when it is not there. `ret_line` holds the line reached before (name.data NULL with line 0:
 * none yet). */
tamis_status tamis__kaldi_seek(tamis__kaldi_table *table, const tamis__name *name,
                               tamis__kaldi_line *line, bool *ret_there, tamis_error *err);

/* Field k from 0, between spaces and tabs; size 0 when there are fewer. */
tamis__name tamis__kaldi_field(const tamis__kaldi_line *line, unsigned k);

#endif
