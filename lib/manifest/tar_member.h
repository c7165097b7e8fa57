/* One member of a tar file, with its long-name and extended headers.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_TAR_MEMBER_H
#define TAMIS_MANIFEST_TAR_MEMBER_H

#include <tamis/common.h>

#include <stdbool.h>

enum { TAMIS__TAR_NAME = 4096 };

typedef struct tamis__tar_member {
    size_t first, size; /* blocks from the first of its headers to the end of its data */
    bool regular;
    char name[TAMIS__TAR_NAME]; /* "" at the end of the archive */
} tamis__tar_member;

/* The member that begins at `at`. Errors: FORMAT, UNSUPPORTED; `path` is for messages. */
tamis_status tamis__tar_member_at(const unsigned char *data, size_t size, size_t at,
                                  const char *path, tamis__tar_member *ret_member,
                                  tamis_error *err);

#endif
