/* Pieces of expanded files.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "codec/pieces.h"

#include <errno.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

tamis_status tamis__pieces_write(int fd, const unsigned char *bytes, size_t size, const char *path,
                                 tamis_error *err)
{
    while (size > 0) {
        ssize_t put = tamis__fault_io() ? -1 : write(fd, bytes, size);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0)
            return tamis__fail_errno(err, "cannot write what '%s' expands to beside the output",
                                     path);
        bytes += put;
        size -= (size_t)put;
    }
    return TAMIS_OK;
}
