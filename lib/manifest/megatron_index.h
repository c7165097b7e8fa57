/* Megatron-LM's indexed data sets: `<prefix>.idx` says where sequences lie in `<prefix>.bin`.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_MEGATRON_INDEX_H
#define TAMIS_MANIFEST_MEGATRON_INDEX_H

#include <endian.h>
#include <string.h>

#include "base/watch.h"

/* Magic, version, type, two counts. */
#define TAMIS__MEGATRON_HEADER ((size_t)34)
#define TAMIS__MEGATRON_MAGIC  "MMIDIDX\0" /* and the NUL that ends the literal: 9 bytes */

typedef struct tamis__megatron {
    char *idx_path, *bin_path;
    tamis__input idx, bin;
    tamis__watch idx_watch, bin_watch;
    uint8_t type;                                    /* code of the tokens' type */
    unsigned item;                                   /* bytes of a token */
    uint64_t sequences;                              /* in all */
    uint64_t documents;                              /* in all */
    const unsigned char *length, *offset, *document; /* arrays of the file, unaligned */
    const unsigned char *mode;                       /* of multimodal files, else NULL */
} tamis__megatron;

/* Map both files and check every number in the index against the sizes of the two. `name` is the
 * prefix, or the path of either file; `keep` as for tamis__input_open_watched(). Errors: FORMAT (no
 * such index, another version or type, counts that disagree with the file's size, a sequence
 * outside the .bin, documents that do not ascend), IO, NOMEM. Complexity: O(sequences). */
tamis_status tamis__megatron_open(tamis__megatron *ret_set, const tamis_context *context,
                                  const char *name, bool keep, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__megatron_close(tamis__megatron *set);

/* `path` without .idx or .bin, and with `ending`. Allocated; NULL when out of memory. */
char *tamis__megatron_path(const char *path, const char *ending);

static inline uint64_t tamis__megatron_u64(const unsigned char *array, uint64_t i)
{
    uint64_t value;
    memcpy(&value, array + 8 * i, sizeof value);
    return le64toh(value);
}

/* Tokens of a sequence. */
static inline uint64_t tamis__megatron_length(const tamis__megatron *set, uint64_t sequence)
{
    uint32_t value;
    memcpy(&value, set->length + 4 * sequence, sizeof value);
    return le32toh(value);
}

/* Its first byte in the .bin. */
static inline uint64_t tamis__megatron_offset(const tamis__megatron *set, uint64_t sequence)
{
    return tamis__megatron_u64(set->offset, sequence);
}

/* The first sequence of a document; that of document number `documents` is the end. */
static inline uint64_t tamis__megatron_first(const tamis__megatron *set, uint64_t document)
{
    return tamis__megatron_u64(set->document, document);
}

#endif
