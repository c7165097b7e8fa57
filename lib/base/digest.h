/* XXH3 digests. The only room that includes xxhash.h.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BASE_DIGEST_H
#define TAMIS_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/* XXH3-64 with seed 0: digests of records and files. */
uint64_t tamis__digest(const void *bytes, size_t size);

/* XXH3-64 with a seed: digests of stored rows, seed = row * 256 + checkpoint. */
uint64_t tamis__digest_seeded(const void *bytes, size_t size, uint64_t seed);

#endif
