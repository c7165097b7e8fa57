/* MD5 of files, which other tools name files by; nothing here relies on it.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BASE_MD5_FILE_H
#define TAMIS_BASE_MD5_FILE_H

#include "base/file.h"

/* 32 hexadecimal digits and NUL into ret_text. Errors: IO. */
tamis_status tamis__md5_file(const tamis_context *context, const char *path, char ret_text[33],
                             tamis_error *err);

#endif
