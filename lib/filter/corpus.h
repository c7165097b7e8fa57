/* The texts of a manifest.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_FILTER_CORPUS_H
#define TAMIS_FILTER_CORPUS_H

#include <tamis/store.h>

#include "import/fields.h"
#include "import/records.h"
#include "import/source.h"
#include "import/texts.h"

typedef struct tamis__corpus {
    const char *path;
    tamis_context *context;
    tamis__source source;
    tamis__records_kind kind;
    tamis__records records;   /* not read yet */
    tamis__strings field;     /* columns or keys that hold the text */
    uint64_t *column;         /* [field.count] of CSV and TSV */
    const tamis_store *store; /* what it is compared with; NULL = nothing */
    uint64_t rows;            /* records */
    size_t released;          /* bytes that were let go of */
} tamis__corpus;

/* What one thread needs to take a text out of a record. Zero-initialise. */
typedef struct tamis__text {
    char *bytes;
    size_t size, room;
    tamis__fields fields; /* private */
} tamis__text;

/* Open before the first record, whose number is compared with the store's rows. Errors: ARG,
 * FORMAT, SHAPE, IO, UNSUPPORTED, NOMEM. */
tamis_status tamis__corpus_open(tamis__corpus *ret_corpus, tamis_context *context, const char *path,
                                const char *field, const tamis_store *store, tamis_error *err);
void tamis__corpus_close(tamis__corpus *corpus);

/* Back before the first record. */
tamis_status tamis__corpus_rewind(tamis__corpus *corpus, tamis_error *err);

/* The next records, at most `most`; pages of those before them are let go of. */
tamis_status tamis__corpus_next(tamis__corpus *corpus, uint64_t most, tamis__record *ret_record,
                                uint64_t *ret_records, tamis_error *err);

/* The text of a record: all its fields, a line feed between them. From several threads at once,
 * each with a text of its own. Errors: FORMAT (also when the store was made from another record),
 * NOMEM. */
tamis_status tamis__corpus_text(const tamis__corpus *corpus, const tamis__record *record,
                                tamis__text *text, tamis_error *err);
void tamis__text_fini(tamis__text *text);

#endif
