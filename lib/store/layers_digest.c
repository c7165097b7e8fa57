/* A number that tells layer tables apart.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/layers_digest.h"

#include <string.h>

#include "base/digest.h"

enum { NAME = sizeof(((tamis_layer *)0)->name), NUMBER = 8, RECORD = NAME + 3 * NUMBER };

static void put(unsigned char *out, uint64_t number)
{
    for (int i = 0; i < NUMBER; i++) out[i] = (unsigned char)(number >> 8 * i);
}

uint64_t tamis__layers_digest(const tamis_layer *layer, uint32_t layers)
{
    uint64_t digest = 0;
    for (uint32_t i = 0; i < layers; i++) {
        unsigned char record[RECORD] = {0};
        memcpy(record, layer[i].name, strnlen(layer[i].name, NAME));
        put(record + NAME, layer[i].out);
        put(record + NAME + NUMBER, layer[i].in);
        put(record + NAME + 2 * NUMBER, layer[i].bias);
        digest = tamis__digest_seeded(record, sizeof record, digest);
    }
    return digest ? digest : 1;
}
