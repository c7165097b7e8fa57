/* Copying the records of text files to the outputs they belong to.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_FILTER_H
#define TAMIS_MANIFEST_FILTER_H

#include "manifest/bytes.h"
#include "manifest/registry.h"
#include "manifest/source.h"

/* What a format does to records beyond copying them; all may be NULL. */
typedef struct tamis__record_hooks {
    void *arg;
    bool no_bom; /* a byte order mark is not copied */
    bool either; /* inputs that are no arrays, though their names say so, are taken as lines */
    bool lines;  /* what is rewritten is lines, of which a last one gets an end as others do */
    /* Is it the record of this row? *ret_same = false makes the driver say which record differs.
     * `path` is the record's file, for messages. */
    tamis_status (*check)(void *arg, uint64_t row, const tamis__record *record, const char *path,
                          bool *ret_same, tamis_error *err);
    /* Other bytes in place of the record's, line end included, added to `out`; nothing added = as
     * it is. */
    tamis_status (*rewrite)(void *arg, uint64_t row, const tamis__part *part,
                            const tamis__record *record, const char *path, tamis__bytes *out,
                            tamis_error *err);
} tamis__record_hooks;

/* All inputs of the job to its parts, in the plan's order, in the layout they have. Counts records,
 * bytes and inputs into parts and result. Errors: SHAPE (another number of records than the
 * selection has rows), FORMAT (a record's digest or id differs, an unclosed quote, headers that
 * differ, no JSON), IO, NOMEM, CANCELLED, what hooks return. */
tamis_status tamis__filter_records(const tamis__manifest_job *job, tamis__layout layout,
                                   tamis__records_kind kind, const tamis__record_hooks *hooks,
                                   tamis_manifest_result *result, tamis_error *err);

/* Only compare the inputs with the selection. What their records are is told from each name, else
 * from the first bytes. */
tamis_status tamis__filter_compare(const tamis__manifest_job *job, tamis_manifest_result *result,
                                   tamis_error *err);

/* By the name's ending, without .gz or .zst; *ret_known = false: it tells nothing. */
tamis__layout tamis__filter_layout_of(const char *path, tamis__records_kind *ret_kind,
                                      bool *ret_known);

#endif
