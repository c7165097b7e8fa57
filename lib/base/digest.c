/* XXH3 digests.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/digest.h"

#include <xxhash.h>

uint64_t tamis__digest(const void *bytes, size_t size)
{
    return XXH3_64bits(bytes, size);
}

uint64_t tamis__digest_seeded(const void *bytes, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, size, seed);
}
