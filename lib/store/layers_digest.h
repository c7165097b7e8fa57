/* A number that tells layer tables apart.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_LAYERS_DIGEST_H
#define TAMIS_STORE_LAYERS_DIGEST_H

#include <tamis/store.h>

/* Digest of names, widths and biases in order, as docs/formats.md has it. Never 0. */
uint64_t tamis__layers_digest(const tamis_layer *layer, uint32_t layers);

#endif
