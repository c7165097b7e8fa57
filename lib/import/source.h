/* The bytes a reader reads: a file as it is, or expanded when it is gzip.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_IMPORT_SOURCE_H
#define TAMIS_IMPORT_SOURCE_H

#include <tamis/data.h>

#include "base/file.h"

typedef struct tamis__source {
    tamis_context *context;
    const char *path;
    const unsigned char *bytes;
    size_t size;
    uint64_t held;         /* bytes of memory taken by the source itself: expanded data */
    tamis__input input;    /* private */
    unsigned char *memory; /* private */
} tamis__source;

/* Errors: IO, FORMAT, NOMEM; all name the path. */
tamis_status tamis__source_open(tamis__source *ret_source, tamis_context *context, const char *path,
                                tamis_error *err);
void tamis__source_close(tamis__source *source);

#endif
