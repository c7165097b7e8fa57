/* Input files mapped whole, and output files that appear whole or not at all.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BASE_FILE_H
#define TAMIS_BASE_FILE_H

#include <stdbool.h>

#include "base/context.h"

/* --- input ---------------------------------------------------------------------------------- */

/* A file's bytes. Mapped when it is a regular file, read into memory when it is a pipe. `data` is
 * never NULL after a successful open, even when `size` is 0. */
typedef struct tamis__input {
    const unsigned char *data;
    size_t size;
    bool mapped;
} tamis__input;

/* Errors: IO naming the path (absent, a directory, unreadable). A pipe is limited by the context's
 * memory (`context` may be NULL: 1 GiB). */
tamis_status tamis__input_open(tamis__input *ret_input, const tamis_context *context,
                               const char *path, tamis_error *err);
void tamis__input_close(tamis__input *input);

/* Tell the kernel that the mapping is read once, front to back. */
void tamis__input_sequential(const tamis__input *input);

/* Let go of mapped pages in a range of the bytes: they come back when they are touched. */
void tamis__input_release(const tamis__input *input, size_t first, size_t size);

/* --- output --------------------------------------------------------------------------------- */

/* The name under which an output is written until it is whole: "<path>.part". Allocated. NULL when
 * out of memory. */
char *tamis__part_path(const char *path);

/* Create the temporary file `part` of output `path`, empty and locked against other runs for as
 * long as *ret_fd is open, and tell the context. Errors: IO, also when another run is writing
 * it. */
tamis_status tamis__part_open(const tamis_context *context, const char *part, const char *path,
                              int *ret_fd, tamis_error *err);

/* Open `path` for reading and writing, made when absent, and lock it against other runs for as long
 * as *ret_fd is open; its bytes stay. *ret_fd is -1 with errno set when it cannot be opened. False
 * when another run holds it. */
bool tamis__lock_open(const char *path, int *ret_fd);

/* Sync the directory of `path`, so that a new name survives a power cut. */
void tamis__directory_sync(const char *path);

/* Remove what a killed run left of output `path`. Absent is fine; IO when a run is writing it. */
tamis_status tamis__part_remove(const char *part, const char *path, tamis_error *err);

/* Check that `path` may be written: absent, or a regular file (directory when `directory`) and
 * `force`. Errors: IO saying "exists ... use -f". A device or pipe passes when `allow_device`. */
tamis_status tamis__output_check(const char *path, bool force, bool allow_device, tamis_error *err);

/* Sync a finished temporary file, open and locked as `fd`, and rename it to `path`; without force
 * it never replaces a file that appeared meanwhile. The directory is synced too. On failure the
 * temporary file is removed. `context` is told. The file is closed in every case, last of all, so
 * that no other run can have it before it is in place. */
tamis_status tamis__output_publish(const tamis_context *context, int fd, const char *part,
                                   const char *path, bool force, tamis_error *err);

struct tamis__output;

/* What bytes go through on their way into a file, such as compression. Writes with
 * tamis__output_put(). */
typedef struct tamis__output_filter {
    void *state;
    tamis_status (*write)(void *state, struct tamis__output *output, const void *bytes, size_t size,
                          tamis_error *err);
    tamis_status (*finish)(void *state, struct tamis__output *output, tamis_error *err);
    void (*fini)(void *state); /* called once, whatever became of the output */
} tamis__output_filter;

/* Buffered bytes to a file that appears at commit. */
typedef struct tamis__output {
    const tamis_context *context;
    char *path, *part; /* part NULL: written in place (a device, a pipe, "-") */
    int fd;
    bool force;
    bool in_tree; /* its name is synced with the directory that is being made, not by itself */
    unsigned char *buffer;
    size_t used;
    uint64_t written;            /* bytes given so far */
    uint64_t stored;             /* bytes of the file so far */
    uint64_t sent;               /* of those, handed to the system */
    tamis__output_filter filter; /* set right after opening; zeroed = none */
} tamis__output;

/* Open for writing. `path` "-" is standard output; a device or pipe is written in place. */
tamis_status tamis__output_open(tamis__output *ret_output, const tamis_context *context,
                                const char *path, bool force, tamis_error *err);
tamis_status tamis__output_write(tamis__output *output, const void *bytes, size_t size,
                                 tamis_error *err);
tamis_status tamis__output_printf(tamis__output *output, tamis_error *err, const char *format, ...)
    TAMIS_PRINTF(3, 4);
/* A text as a field of CSV, in quotes where it needs them. */
tamis_status tamis__output_csv(tamis__output *output, const char *text, tamis_error *err);
/* Bytes past the filter. */
tamis_status tamis__output_put(tamis__output *output, const void *bytes, size_t size,
                               tamis_error *err);
/* Bytes at a place of the file, past filter and buffer: for files that are written from several
 * threads, each at places of its own, behind what was finished. Not counted in `written` and
 * `stored`. */
tamis_status tamis__output_put_at(const tamis__output *output, const void *bytes, size_t size,
                                  uint64_t at, tamis_error *err);
/* All bytes are given: finish the filter and hand everything to the system, so that the file under
 * the name output->part is whole. Commit does it by itself. */
tamis_status tamis__output_finish(tamis__output *output, tamis_error *err);
/* Flush, sync, rename. Closes in every case. */
tamis_status tamis__output_commit(tamis__output *output, tamis_error *err);
/* Remove and close. Harmless on a zeroed or committed struct. */
void tamis__output_abort(tamis__output *output);

#endif
