/* The records of a mapped file, found and digested by several threads, and given in order.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_BLOCKS_H
#define TAMIS_MANIFEST_BLOCKS_H

#include "base/context.h"
#include "import/records.h"

/* Called on the calling thread for each record, in order. `digest` is 0 unless digests were asked
 * for. */
typedef tamis_status (*tamis__block_record)(void *arg, const tamis__record *record, uint64_t digest,
                                            tamis_error *err);

typedef struct tamis__blocks {
    tamis__records_kind kind;
    const char *path;          /* for messages */
    const unsigned char *data; /* of the whole file */
    size_t block;              /* about so many bytes go to a thread at once; 0 = 1 MiB */
    size_t size, first;        /* records start at byte `first` */
    bool digests;              /* of each record, as tamis__record_digest() */
    void *arg;
    tamis__block_record record;
    /* Called on the calling thread after each block with the bytes that are done. */
    tamis_status (*done)(void *arg, size_t bytes, tamis_error *err);
} tamis__blocks;

/* All records, as tamis__records_next() gives them one after another. `context` may be NULL: one
 * thread. Errors: FORMAT (a quote that is not closed, after all records before it), NOMEM, what the
 * calls return.
 * Complexity: bytes are looked at a fixed number of times, whatever the lengths of records. Memory:
 * 40 bytes for each record of a block of 1 MiB, of which there are two for each thread; twice that
 * of CSV whose quotes do not tell where they are. */
tamis_status tamis__blocks_run(const tamis_context *context, const tamis__blocks *blocks,
                               tamis_error *err);

#endif
