/* State of copying records, shared by filter.c and filter_write.c.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_FILTER_STATE_H
#define TAMIS_MANIFEST_FILTER_STATE_H

#include "import/fields.h"
#include "manifest/filter.h"

/* The first record that is not the one that was scored. */
typedef struct mismatch {
    bool found;
    uint64_t row, line;
    const char *path;
} mismatch;

/* A record that is written later. */
typedef struct record_span {
    const unsigned char *data;
    size_t size, span;
    size_t source;
} record_span;

typedef struct filter {
    const tamis__manifest_job *job;
    const tamis__record_hooks *hooks;
    bool compare; /* write nothing */
    size_t sources;
    tamis__manifest_source *of; /* [sources] */
    tamis__manifest_source *source;
    size_t source_number;
    tamis__layout layout;
    uint64_t first_row; /* of the source */
    uint64_t records;   /* of the source so far */
    /* Neighbouring records for the same output, not written yet: one call writes them all. */
    const unsigned char *run;
    size_t run_size;
    uint16_t run_part;
    mismatch mismatch;
    size_t reported;
    record_span *spans; /* [rows]; NULL = records go out as they come */
    tamis__bytes changed;
    unsigned char *header; /* of the first CSV file, without its line end */
    size_t header_size;
    int64_t id_field; /* CSV: which field holds the id */
    tamis__fields fields;
} filter;

/* --- filter_write.c --------------------------------------------------------------------------- */

/* A byte order mark goes to every part. */
tamis_status tamis__filter_bom(filter *f, tamis_error *err);
/* A CSV header goes to every part, once: those of further files must be the same. */
tamis_status tamis__filter_header(filter *f, const tamis__record *record, tamis_error *err);
tamis_status tamis__filter_write(filter *f, uint64_t row, uint16_t part,
                                 const tamis__manifest_source *source, const tamis__record *record,
                                 tamis_error *err);
tamis_status tamis__filter_end_run(filter *f, tamis_error *err);
/* What was kept for later, and the ends of arrays. */
tamis_status tamis__filter_write_ordered(filter *f, tamis_error *err);

/* --- filter_id.c ------------------------------------------------------------------------------ */

/* Which field of the header holds the id. Errors: FORMAT (none does). */
tamis_status tamis__filter_find_id(filter *f, const tamis__record *header, tamis_error *err);
/* Is the id in the record the row's? Errors: FORMAT (the record has none). */
tamis_status tamis__filter_same_id(filter *f, const tamis__record *record, uint64_t row,
                                   bool *ret_same, tamis_error *err);

#endif
