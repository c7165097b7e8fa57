/* MD5 by libmd. The only file that includes <md5.h>.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/md5_sum.h"

#include <sys/types.h>

#include <md5.h>
#include <stdio.h>

_Static_assert(sizeof(MD5_CTX) <= sizeof(tamis__md5), "what libmd keeps fits");

static MD5_CTX *context_of(tamis__md5 *md5)
{
    return (MD5_CTX *)(void *)md5->state;
}

void tamis__md5_start(tamis__md5 *md5)
{
    MD5Init(context_of(md5));
}

void tamis__md5_add(tamis__md5 *md5, const void *bytes, size_t size)
{
    MD5Update(context_of(md5), bytes, size);
}

void tamis__md5_end(tamis__md5 *md5, char ret_text[33])
{
    unsigned char digest[MD5_DIGEST_LENGTH];
    MD5Final(digest, context_of(md5));
    for (int i = 0; i < MD5_DIGEST_LENGTH; i++)
        snprintf(ret_text + 2 * i, 3, "%02x", (unsigned)digest[i]);
}
