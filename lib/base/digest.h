/* XXH3 digests. The only room that includes xxhash.h.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BASE_DIGEST_H
#define TAMIS_BASE_DIGEST_H

#include "base/file.h"

/* XXH3-64 with seed 0: digests of records and files. */
uint64_t tamis__digest(const void *bytes, size_t size);

/* The same of all bytes of a file, which are let go of on the way. False when out of memory. */
bool tamis__digest_input(const tamis__input *input, uint64_t *ret_digest);

/* XXH3-64 with a seed: digests of stored rows, seed = row * 256 + checkpoint. */
uint64_t tamis__digest_seeded(const void *bytes, size_t size, uint64_t seed);

#endif
