/* The input files of a manifest: mapped, expanded where they are compressed, and their records.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_SOURCE_H
#define TAMIS_MANIFEST_SOURCE_H

#include "base/watch.h"
#include "import/records.h"
#include "manifest/json_span.h"

/* How records lie in a file. */
typedef enum tamis__layout {
    TAMIS__LAYOUT_LINES, /* as `kind` says */
    TAMIS__LAYOUT_ARRAY  /* elements of a JSON array that is the whole file */
} tamis__layout;

typedef struct tamis__manifest_source {
    const char *path;
    tamis__input input;    /* the file */
    tamis__watch watch;    /* of it */
    tamis__input expanded; /* what it expands to, in a file without a name; zeroed = it is plain */
    const unsigned char *data; /* of either */
    size_t size;
    size_t bom;
    tamis__layout layout;
    tamis__records_kind kind;
    const char *line_end;   /* of the record before: the file's own style */
    tamis__records records; /* LINES */
    tamis__json_walk walk;  /* ARRAY */
    int64_t number;         /* ARRAY: of the next record */
    uint64_t line;          /* ARRAY: of the byte `counted` */
    size_t counted;
} tamis__manifest_source;

/* Open and expand. `beside` names an output: the expanded file has its place there. Errors: IO,
 * FORMAT (broken compression), NOMEM, CANCELLED. */
tamis_status tamis__manifest_source_open(tamis__manifest_source *ret_source,
                                         const tamis_context *context, const char *path,
                                         const char *beside, tamis_error *err);
void tamis__manifest_source_close(tamis__manifest_source *source);

/* IO when the file is not as it was when it was opened. */
tamis_status tamis__manifest_source_check(const tamis__manifest_source *source, tamis_error *err);

/* Let go of mapped pages in a range of the bytes: they come back when they are touched. */
void tamis__manifest_source_release(const tamis__manifest_source *source, size_t first,
                                    size_t size);

/* So many bytes of inputs may stay mapped when they are read in any order: half of the memory
 * limit. */
uint64_t tamis__manifest_held(const tamis_context *context);

/* By the first bytes: JSON Lines, TSV or CSV. Errors: UNSUPPORTED (no text). */
tamis_status tamis__manifest_source_guess(const tamis__manifest_source *source,
                                          tamis__records_kind *ret_kind, tamis_error *err);

/* Is the first thing in it a bracket? */
bool tamis__manifest_source_is_array(const tamis__manifest_source *source);

/* Start before the first record. Errors: FORMAT (an array is wanted, and this is none). */
tamis_status tamis__manifest_source_start(tamis__manifest_source *source, tamis__layout layout,
                                          tamis__records_kind kind, tamis_error *err);

/* The next record; data NULL at the end. Of an array `span` is `size`. Errors: FORMAT. */
tamis_status tamis__manifest_source_next(tamis__manifest_source *source, tamis__record *ret_record,
                                         tamis_error *err);

#endif
