/* Input files that must not change while they are mapped.
 *
 * A page of a mapping that the file no longer reaches ends the process when it is touched, so whoever
 * works on mapped pages for long asks here before each piece.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BASE_WATCH_H
#define TAMIS_BASE_WATCH_H

#include "base/file.h"

/* A regular file as it was when it was opened. */
typedef struct tamis__watch {
    bool watching; /* false: nothing to watch (a pipe, or not open) */
    bool kept;     /* `fd` is open and is asked; otherwise the path is */
    int fd;
    uint64_t device, inode, size;
    int64_t seconds, nanoseconds; /* of the last modification */
} tamis__watch;

/* As tamis__input_open(), and note what the file is like. `keep` holds a descriptor, so that the file
 * is known whatever becomes of its name. End with tamis__watch_end(). */
tamis_status tamis__input_open_watched(tamis__input *ret_input, tamis__watch *ret_watch, bool keep,
                                       const tamis_context *context, const char *path,
                                       tamis_error *err);

/* Note what an open file is like; the descriptor is taken over when `keep`. */
tamis_status tamis__watch_begin(tamis__watch *ret_watch, int fd, bool keep, const char *path,
                                tamis_error *err);

/* IO when the file's size or time is another than at the start. A file that was replaced by another
 * of its name, or removed, is as it was. Thread-safe. Costs one system call. */
tamis_status tamis__watch_check(const tamis__watch *watch, const char *path, tamis_error *err);

/* Accepts a zeroed struct. */
void tamis__watch_end(tamis__watch *watch);

#endif
