/* Random numbers through GSL, keyed by (seed, stream, item): the numbers of an item do not depend
 * on which other items were drawn, so sharding and thread count change nothing.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BASE_RNG_H
#define TAMIS_BASE_RNG_H

#include <gsl/gsl_rng.h>
#include <stdint.h>
#include <tamis/common.h>

/* Streams: what the numbers are for. Values are part of results; append only. */
enum {
    TAMIS__STREAM_INIT = 1,    /* initial weights: item = layer */
    TAMIS__STREAM_SHUFFLE = 2, /* order of rows: item = epoch */
    TAMIS__STREAM_SELECT = 3,  /* random selection: item = row */
    TAMIS__STREAM_SCORE = 5,   /* random scores: item = row */
    TAMIS__STREAM_LABEL = 6,   /* labels drawn from a model: item = row */
    TAMIS__STREAM_SKETCH = 12, /* random start of singular vectors: item = layer */
    TAMIS__STREAM_CLUSTER =
        13, /* seeds of clusters: item = stretch of points, and the last for draws */
    TAMIS__STREAM_SUBSET = 20,    /* subsets to retrain on: item = subset */
    TAMIS__STREAM_BOOTSTRAP = 21, /* resamples: item = draw */
    TAMIS__STREAM_REMOVAL = 22,   /* order of random removal: item = run */
    TAMIS__STREAM_MANIFEST = 40,  /* shuffled manifests: item = output */
    TAMIS__STREAM_SPLIT = 41,     /* splits of manifests: item = 0 */
    TAMIS__STREAM_TEST = 100      /* tests */
};

/* A GSL generator of our own type: a counter run through two keyed 64-bit finalisers, 2^64 values
 * per key. Set its key with tamis__rng_key(); gsl_rng_set() keys it by (seed, 0, 0). Free with
 * gsl_rng_free(). NULL when out of memory. */
gsl_rng *tamis__rng_create(void);

/* Go to the start of the numbers of (seed, stream, item). */
void tamis__rng_key(gsl_rng *rng, uint64_t seed, uint64_t stream, uint64_t item);

/* A permutation of 0 .. n-1 (Fisher-Yates). */
void tamis__rng_permutation(gsl_rng *rng, uint64_t *ret_order, uint64_t n);

#endif
