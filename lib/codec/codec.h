/* Compressed files: gzip and Zstandard, read and written piece by piece.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CODEC_CODEC_H
#define TAMIS_CODEC_CODEC_H

#include "base/file.h"

typedef enum tamis__codec { TAMIS__CODEC_NONE, TAMIS__CODEC_GZIP, TAMIS__CODEC_ZSTD } tamis__codec;

/* By the first bytes of a file. */
tamis__codec tamis__codec_of_bytes(const void *bytes, size_t size);

/* By the ending of a name, .gz or .zst; *ret_size (may be NULL) is the length of the name without
 * it. */
tamis__codec tamis__codec_of_name(const char *path, size_t *ret_size);

/* Expand all members or frames to the descriptor `fd`, from where it stands. `path` is for
 * messages. Errors: FORMAT (truncated, broken, something else behind it), UNSUPPORTED (a Zstandard
 * window above 128 MiB), IO, NOMEM, CANCELLED. Memory does not grow with the size. */
tamis_status tamis__codec_expand(tamis__codec codec, const tamis_context *context,
                                 const void *bytes, size_t size, const char *path, int fd,
                                 uint64_t *ret_size, tamis_error *err);

/* From here on what is written to the output, which has just been opened, is compressed: gzip at
 * level 6 without name and time, Zstandard at level 3 with a checksum, in one thread; the same
 * bytes for the same input and release of those libraries. Errors: NOMEM. */
tamis_status tamis__codec_attach(tamis__codec codec, tamis__output *output, tamis_error *err);

#endif
