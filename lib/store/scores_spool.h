/* The spool beside a scores file that is to be resumed: every block that was put, in order, in a
 * file that outlives the run.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_SCORES_SPOOL_H
#define TAMIS_STORE_SCORES_SPOOL_H

#include <tamis/scores.h>

#include "base/context.h"
#include "store/h5.h"

typedef struct tamis__spool {
    const tamis_context *context;
    char *path; /* NULL = no spool */
    int fd;     /* locked as long as it is open */
    uint64_t key, rows, queries;
    uint64_t size;     /* bytes of the file when it was opened */
    uint64_t end;      /* bytes up to the end of the last whole record */
    uint64_t unsynced; /* bytes of them that may be in memory only */
    uint64_t records;  /* in all */
    uint64_t resumed;  /* of an earlier run */
    unsigned char *buffer;
} tamis__spool;

/* Open or make "<output>.spool" and check that it is of this key and shape. No record is read.
 * Errors: IO (cannot open, another run has it), SHAPE (another key or shape), FORMAT (no spool),
 * NOMEM. On failure nothing is left to close. */
tamis_status tamis__spool_open(tamis__spool *ret_spool, const tamis_context *context,
                               const char *output, const char *key, uint64_t rows, uint64_t queries,
                               tamis_error *err);

/* Give the sink every record of an earlier run that is whole, in order; call it once, before
 * anything else. What follows the last of them is cut off. Errors: the sink's, IO, NOMEM,
 * CANCELLED. */
tamis_status tamis__spool_recover(tamis__spool *spool, tamis_scores_sink sink, void *arg,
                                  tamis_error *err);

/* The same records again. Errors: also FORMAT (one has changed meanwhile). */
tamis_status tamis__spool_replay(const tamis__spool *spool, tamis_scores_sink sink, void *arg,
                                 tamis_error *err);

/* Add a record. After a failure the spool ends with the record before it. Errors: IO. */
tamis_status tamis__spool_append(tamis__spool *spool, const tamis__h5_part *part,
                                 const float *values, tamis_error *err);

/* Close and free. Kept and synced when `keep` and there is a record in it, otherwise removed.
 * Accepts a zeroed struct. */
void tamis__spool_close(tamis__spool *spool, bool keep);

#endif
