/* MD5. The only file that includes md5.h.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/md5_file.h"

#include <sys/types.h>

#include <md5.h>
#include <stdio.h>

#include "base/error.h"

/* Bytes between two looks at cancellation. */
#define PIECE ((size_t)64 << 20)

tamis_status tamis__md5_file(const tamis_context *context, const char *path, char ret_text[33],
                             tamis_error *err)
{
    tamis__input input;
    MD5_CTX state;
    unsigned char digest[MD5_DIGEST_LENGTH];
    tamis_status status = TAMIS_OK;
    TAMIS_TRY(tamis__input_open(&input, context, path, err));
    tamis__input_sequential(&input);
    MD5Init(&state);
    for (size_t at = 0; status == TAMIS_OK && at < input.size;) {
        size_t size = input.size - at < PIECE ? input.size - at : PIECE;
        MD5Update(&state, input.data + at, size);
        at += size;
        status = tamis__progress(context, "MD5", at, input.size, "bytes", NULL, err);
    }
    tamis__input_close(&input);
    if (status != TAMIS_OK) return status;
    MD5Final(digest, &state);
    for (int i = 0; i < MD5_DIGEST_LENGTH; i++)
        snprintf(ret_text + 2 * i, 3, "%02x", (unsigned)digest[i]);
    return TAMIS_OK;
}
