/* A counter-based generator behind GSL's interface.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/rng.h"

#include <stdlib.h>

#include "base/digest.h"
#include "base/mem.h"

typedef struct rng_state {
    uint64_t key[2];
    uint64_t counter;
} rng_state;

/* The finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection that passes BigCrush on a
 * plain counter. */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t next(rng_state *s)
{
    uint64_t x = s->counter++ * UINT64_C(0x9e3779b97f4a7c15);
    return mix(mix(x ^ s->key[0]) + s->key[1]);
}

static void set_key(rng_state *s, uint64_t seed, uint64_t stream, uint64_t item)
{
    uint64_t triple[3] = {seed, stream, item};
    s->key[0] = tamis__digest_seeded(triple, sizeof triple, 1);
    s->key[1] = tamis__digest_seeded(triple, sizeof triple, 2);
    s->counter = 0;
}

static void type_set(void *state, unsigned long seed)
{
    set_key(state, seed, 0, 0);
}

static unsigned long type_get(void *state)
{
    return next(state);
}

static double type_get_double(void *state)
{
    return (double)(next(state) >> 11) * 0x1p-53;
}

static const gsl_rng_type rng_type = {
    "tamis-counter", UINT64_MAX, 0, sizeof(rng_state), type_set, type_get, type_get_double};

gsl_rng *tamis__rng_create(void)
{
    /* Not gsl_rng_alloc(): its out-of-memory path runs GSL's error handler, which aborts. */
    gsl_rng *rng = tamis__calloc(1, sizeof *rng);
    if (!rng) return NULL;
    rng->state = tamis__calloc(1, rng_type.size);
    if (!rng->state) {
        free(rng);
        return NULL;
    }
    rng->type = &rng_type;
    gsl_rng_set(rng, 0);
    return rng;
}

void tamis__rng_key(gsl_rng *rng, uint64_t seed, uint64_t stream, uint64_t item)
{
    set_key(rng->state, seed, stream, item);
}

void tamis__rng_permutation(gsl_rng *rng, uint64_t *ret_order, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) ret_order[i] = i;
    for (uint64_t i = n; i > 1; i--) {
        uint64_t j = gsl_rng_uniform_int(rng, i);
        uint64_t swap = ret_order[i - 1];
        ret_order[i - 1] = ret_order[j];
        ret_order[j] = swap;
    }
}
