/* gzip files.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CODEC_GZIP_H
#define TAMIS_CODEC_GZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"

bool tamis__gzip_recognise(const unsigned char *bytes, size_t size);

/* As tamis__codec_expand() and tamis__codec_attach(). */
tamis_status tamis__gzip_to_file(const tamis_context *context, const unsigned char *bytes,
                                 size_t size, const char *path, int fd, uint64_t *ret_size,
                                 tamis_error *err);
tamis_status tamis__gzip_attach(tamis__output *output, tamis_error *err);

/* Expand into memory all members, at most `limit` bytes: memory grows with what was really
 * produced, so that a small file which expands without end is stopped there. *ret_data is freed
 * with free(). Errors: FORMAT (broken, truncated, something else behind it), NOMEM (over the
 * limit). */
tamis_status tamis__gzip_expand(const unsigned char *bytes, size_t size, uint64_t limit,
                                const char *path, unsigned char **ret_data, size_t *ret_size,
                                tamis_error *err);

#endif
