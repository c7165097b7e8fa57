/* MD5 of files.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/md5_file.h"

#include "base/error.h"
#include "base/md5_sum.h"

/* Bytes between two looks at cancellation. */
#define PIECE ((size_t)16 << 20)

tamis_status tamis__md5_file(const tamis_context *context, const char *path, char ret_text[33],
                             tamis_error *err)
{
    tamis__input input;
    tamis__md5 md5;
    tamis_status status = TAMIS_OK;
    TAMIS_TRY(tamis__input_open(&input, context, path, err));
    tamis__input_sequential(&input);
    tamis__md5_start(&md5);
    for (size_t at = 0; status == TAMIS_OK && at < input.size;) {
        size_t size = input.size - at < PIECE ? input.size - at : PIECE;
        tamis__md5_add(&md5, input.data + at, size);
        tamis__input_release(&input, at, size);
        at += size;
        status = tamis__progress(context, "MD5", at, input.size, "bytes", NULL, err);
    }
    if (status == TAMIS_OK) tamis__md5_end(&md5, ret_text);
    tamis__input_close(&input);
    return status;
}
