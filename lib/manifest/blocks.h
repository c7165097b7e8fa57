/* The lines of a mapped file, found and digested by several threads, and given in order.
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
    const unsigned char *data; /* of the whole file */
    size_t size, first;        /* records start at byte `first` */
    bool digests;              /* of each record, as tamis__record_digest() */
    void *arg;
    tamis__block_record record;
    /* Called on the calling thread after each block with the bytes that are done. */
    tamis_status (*done)(void *arg, size_t bytes, tamis_error *err);
} tamis__blocks;

/* All records of JSON Lines. `context` may be NULL: one thread. Errors: NOMEM, what the calls
 * return.
 * Complexity: bytes are looked at twice at most, whatever the lengths of lines. Memory: 40 bytes
 * for each record of a block of 1 MiB, of which there are two for each thread. */
tamis_status tamis__blocks_run(const tamis_context *context, const tamis__blocks *blocks,
                               tamis_error *err);

#endif
