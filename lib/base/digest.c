/* XXH3 digests.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/digest.h"

#include <xxhash.h>

/* Bytes of a file that are mapped at once. */
#define PIECE ((size_t)16 << 20)

uint64_t tamis__digest(const void *bytes, size_t size)
{
    return XXH3_64bits(bytes, size);
}

bool tamis__digest_input(const tamis__input *input, uint64_t *ret_digest)
{
    XXH3_state_t *state = XXH3_createState();
    if (!state) return false;
    XXH3_64bits_reset(state);
    for (size_t at = 0, n; at < input->size; at += n) {
        n = input->size - at < PIECE ? input->size - at : PIECE;
        XXH3_64bits_update(state, input->data + at, n);
        tamis__input_release(input, at, n);
    }
    *ret_digest = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return true;
}

uint64_t tamis__digest_seeded(const void *bytes, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, size, seed);
}
