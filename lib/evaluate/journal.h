/* The file of runs: every finished retraining, in a file that outlives the command.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_EVALUATE_JOURNAL_H
#define TAMIS_EVALUATE_JOURNAL_H

#include <stdbool.h>

#include "base/context.h"

/* What a run gave; [queries] each. */
typedef struct tamis__run_values {
    double *loss, *margin;
    uint8_t *correct;
} tamis__run_values;

typedef struct tamis__journal {
    const tamis_context *context;
    const char *path; /* NULL = none; the caller's */
    int fd;           /* locked as long as it is open */
    uint64_t key, queries;
    uint64_t size, end; /* bytes of the file when opened; up to the end of the last whole record */
    unsigned unsynced;  /* records that may be in memory only */
    unsigned char *record; /* one record, as it is in the file */
} tamis__journal;

/* Open or make the file and check that it is of this key. Errors: IO (cannot open, another command
 * has it), SHAPE (another key), FORMAT (no file of runs), NOMEM. On failure nothing is left to
 * close. */
tamis_status tamis__journal_open(tamis__journal *ret_journal, const tamis_context *context,
                                 const char *path, uint64_t key, uint64_t queries,
                                 tamis_error *err);

/* Takes a run of the file; the values live only during the call. */
typedef void (*tamis__journal_sink)(void *arg, uint64_t run, const tamis__run_values *values);

/* Give the sink every whole record, in order; call it once, before anything is added. What follows
 * the last of them is cut off. Errors: IO, CANCELLED. */
tamis_status tamis__journal_recover(tamis__journal *journal, tamis__journal_sink sink, void *arg,
                                    tamis_error *err);

/* Add a run. Errors: IO. */
tamis_status tamis__journal_add(tamis__journal *journal, uint64_t run,
                                const tamis__run_values *values, tamis_error *err);

/* Sync and close; the file stays, unless there is no run in it. Accepts a zeroed struct. */
void tamis__journal_close(tamis__journal *journal);

#endif
