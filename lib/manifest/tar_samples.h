/* Samples in tar files, as WebDataset tells them apart: members one after another that share their
 * path up to the first dot of the base name.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_TAR_SAMPLES_H
#define TAMIS_MANIFEST_TAR_SAMPLES_H

#include "manifest/samples.h"
#include "manifest/source.h"

enum { TAMIS__TAR_BLOCK = 512 };

typedef struct tamis__tar_key {
    uint64_t first; /* in `text` */
    size_t size;
    uint64_t row;
} tamis__tar_key;

typedef struct tamis__tar_set {
    size_t sources;
    tamis__manifest_source *source; /* [sources] */
    tamis__samples samples;         /* whole blocks, headers included */
    tamis__tar_key *key;            /* [samples.n] */
    uint64_t keys_room;
    char *text; /* of the keys, and of the endings of the sample being read */
    uint64_t text_size, text_room;
    uint64_t held;    /* bytes that may be mapped by now */
    uint64_t skipped; /* directories, links and names without a dot, which WebDataset passes over */
} tamis__tar_set;

/* Read the headers of one more file. `beside` names an output: a compressed file is expanded to a
 * file without a name there. Errors: IO, FORMAT (truncated, a checksum that is wrong, no tar file,
 * a file of a sample twice), UNSUPPORTED (sparse members, global extended headers), NOMEM. */
tamis_status tamis__tar_set_add(tamis__tar_set *set, const tamis_context *context, const char *path,
                                const char *beside, tamis_error *err);

/* Each key must belong to one sample: in new shards two could become neighbours, and be read as
 * one. Errors: FORMAT, NOMEM. */
tamis_status tamis__tar_set_check_keys(const tamis__tar_set *set, tamis_error *err);

void tamis__tar_set_close(tamis__tar_set *set);

#endif
