/* Records of a text file, as spans of its bytes: what is a record is decided here and nowhere
 * else, so that readers and manifests agree on counts and digests.
 *
 * CSV and TSV (RFC 4180): a record ends at a line end outside quotes. A quote opens a field only
 * as the field's first byte and a doubled one stays inside; elsewhere it is an ordinary byte.
 * The first record is the header, number -1. JSON Lines: a record is a line. The line end is LF
 * or CRLF. A byte order mark at the start belongs to no record. Lines without bytes (JSON Lines:
 * with nothing but spaces and tabs) are skipped and not counted, but line numbers go on.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_IMPORT_RECORDS_H
#define TAMIS_IMPORT_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tamis/common.h>

typedef enum tamis__records_kind {
    TAMIS__RECORDS_CSV,
    TAMIS__RECORDS_TSV,
    TAMIS__RECORDS_JSONL
} tamis__records_kind;

typedef struct tamis__record {
    const unsigned char *data; /* NULL at the end of the buffer */
    size_t size;               /* without the line end: the bytes that are digested */
    size_t span;               /* with it; == size for a last record without one */
    uint64_t line;             /* line on which it starts, from 1 */
    int64_t number;            /* from 0; -1 = the header of CSV and TSV */
} tamis__record;

/* Fields are private. */
typedef struct tamis__records {
    tamis__records_kind kind;
    const unsigned char *at, *end; /* not looked at yet */
    const unsigned char *newline;  /* first LF from `at` on, found before; NULL = unknown */
    const unsigned char *quote;    /* first quote from `at` on, same */
    uint64_t line;                 /* of `at` */
    int64_t number;                /* of the next record */
} tamis__records;

/* Bytes of a UTF-8 byte order mark at the start: 3 or 0. */
size_t tamis__records_bom(const void *bytes, size_t size);

/* Start before the first record. The buffer is not copied and may hold any bytes. */
void tamis__records_init(tamis__records *records, tamis__records_kind kind, const void *bytes,
                         size_t size);

/* The next record; ret_record->data is NULL when there is none. `path` is for messages. Errors:
 * FORMAT when a quote is not closed (names the line where it opens). Cannot fail for JSON Lines. */
tamis_status tamis__records_next(tamis__records *records, const char *path,
                                 tamis__record *ret_record, tamis_error *err);

/* For a piece of a buffer that begins behind a line end: the next record of it, `within` quotes
 * that an earlier piece has opened or not (for the first call). False when the piece ends within
 * quotes: *ret_record is what there is of the record, *ret_quote the line on which they open, 0 for
 * those of an earlier piece, and the iterator goes on behind the piece. */
bool tamis__records_piece(tamis__records *records, bool within, tamis__record *ret_record,
                          uint64_t *ret_quote);

/* FORMAT: the quote that opens on this line is never closed. */
tamis_status tamis__records_unclosed(const char *path, uint64_t line, tamis_error *err);

/* Records from here to the end; the iterator, taken by value, stays where it is. */
tamis_status tamis__records_count(tamis__records records, const char *path, uint64_t *ret_count,
                                  tamis_error *err);

/* XXH3-64 of the record without its line end; never 0, which stands for "unknown". */
uint64_t tamis__record_digest(const tamis__record *record);

/* UNSUPPORTED when a byte order mark says that the file is UTF-16. */
tamis_status tamis__text_encoding_check(const void *bytes, size_t size, const char *path,
                                        tamis_error *err);

#endif
