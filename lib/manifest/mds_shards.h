/* Shards of a MosaicML StreamingDataset: read whole, and told apart into samples.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_MDS_SHARDS_H
#define TAMIS_MANIFEST_MDS_SHARDS_H

#include "base/json.h"
#include "manifest/samples.h"
#include "manifest/source.h"

typedef struct tamis__mds_shard {
    char *path;
    tamis__manifest_source compressed; /* of a compressed shard */
    tamis__input plain;                /* of another one */
    tamis__watch watch;                /* of that */
    const unsigned char *data;
    size_t size;
} tamis__mds_shard;

typedef struct tamis__mds {
    json_t *first; /* entry of the first shard in index.json; NULL = there are no shards */
    size_t shards;
    tamis__mds_shard *shard;
    tamis__samples samples;
    size_t columns;
    int64_t *column_size;        /* [columns] of all shards; -1 = before each sample's bytes */
    const unsigned char *config; /* of the first shard */
    size_t config_size;
    bool had_hashes, had_compression;
    uint64_t bytes; /* of the shard files, as they are stored */
} tamis__mds;

/* Open index.json and all shards of one more `directory`. `beside` names an output: compressed
 * shards are expanded to files without a name there. Accepts a zeroed struct; close it also after a
 * failure. Errors: IO, FORMAT (index.json or a shard is broken, or they disagree), UNSUPPORTED,
 * NOMEM. */
tamis_status tamis__mds_add(tamis__mds *mds, const tamis_context *context, const char *directory,
                            const char *beside, tamis_error *err);
void tamis__mds_close(tamis__mds *mds);

/* Do the sizes of a sample's columns add up to the sample? Thread-safe. Errors: FORMAT. */
tamis_status tamis__mds_check_sample(const tamis__mds *mds, uint64_t row, tamis_error *err);

#endif
