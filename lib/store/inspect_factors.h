/* What an inspection sees of one example's factors.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_STORE_INSPECT_FACTORS_H
#define TAMIS_STORE_INSPECT_FACTORS_H

#include <stdbool.h>
#include <tamis/store.h>

#include "store/store_factors.h"

/* A thread's buffers. Zero-initialise. */
typedef struct tamis__factor_look {
    tamis__factor_joiner joiner;
    float *wide; /* inputs, then output gradients, of `room` tokens */
    uint64_t room;
} tamis__factor_look;

typedef struct tamis__factor_seen {
    uint64_t digest; /* the row's share of the content digest */
    uint64_t hash;   /* of its factors, whatever its number */
    double norm;     /* of the full gradient; NaN when something is not finite */
    double bound;    /* how far rounding to the stored type can have moved the norm */
    bool bad_bias;   /* an input of a layer with a bias does not end with 1 */
} tamis__factor_seen;

/* Errors: IO, NOMEM. */
tamis_status tamis__factor_look_at(tamis__factor_look *look, const tamis_store *store,
                                   uint32_t checkpoint, uint64_t row, const uint64_t *offset,
                                   tamis__factor_seen *ret_seen, tamis_error *err);
void tamis__factor_look_fini(tamis__factor_look *look);

#endif
