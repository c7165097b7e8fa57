/* LLaMA-Factory's dataset_info.json: one entry more, all other bytes as they were.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_DATASET_INFO_H
#define TAMIS_MANIFEST_DATASET_INFO_H

#include "base/file.h"

typedef struct tamis__dataset_entry {
    const char *name;       /* of the data set */
    const char *file_name;  /* where its records are, from the directory of dataset_info.json */
    const char *like;       /* entry whose other settings it takes over; NULL = none */
    const char *formatting; /* "alpaca", "sharegpt"; NULL = that of `like`, else not said */
} tamis__dataset_entry;

/* Write the text with the entry to `output` (NULL = only check). An entry of that name is replaced
 * where it stands when `replace`, else a new one follows the last, set as the first one is. A text
 * of size 0 is taken for an empty object. What says where the records of `like` are, or how many of
 * them are taken, is not taken over. Errors: FORMAT (no JSON object, a byte order mark, a name
 * twice), ARG (the name is there, `like` is not or is no object), NOMEM, IO. */
tamis_status tamis__dataset_info_write(const void *text, size_t size, const char *path,
                                       const tamis__dataset_entry *entry, bool replace,
                                       tamis__output *output, tamis_error *err);

/* How a trainer that is given the directory of `info` finds the file `path`: what follows the
 * directory where `path` is in it, else the whole path from the root. Allocated. */
tamis_status tamis__dataset_file_name(const char *info, const char *path, char **ret_name,
                                      tamis_error *err);

#endif
