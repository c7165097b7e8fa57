/* Zstandard files.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CODEC_ZSTD_FRAMES_H
#define TAMIS_CODEC_ZSTD_FRAMES_H

#include <stdbool.h>

#include "base/file.h"

bool tamis__zstd_recognise(const unsigned char *bytes, size_t size);

/* As tamis__codec_expand() and tamis__codec_attach(). */
tamis_status tamis__zstd_to_file(const tamis_context *context, const unsigned char *bytes,
                                 size_t size, const char *path, int fd, uint64_t *ret_size,
                                 tamis_error *err);
tamis_status tamis__zstd_attach(tamis__output *output, tamis_error *err);

#endif
