/* What the codecs share.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CODEC_PIECES_H
#define TAMIS_CODEC_PIECES_H

#include "base/file.h"

/* Bytes that are produced at a time. */
enum { TAMIS__CODEC_PIECE = 1 << 18 };

/* Write everything to a descriptor. Errors: IO. */
tamis_status tamis__pieces_write(int fd, const unsigned char *bytes, size_t size, const char *path,
                                 tamis_error *err);

#endif
