/* Splits of rows into folds.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/folds.h"

#include "base/error.h"
#include "base/rng.h"

/* Numbers below or at `most`, from 32 bits that are masked and drawn again when they are above. */
static uint64_t draw(gsl_rng *rng, uint64_t most)
{
    uint64_t mask = most, value;
    for (unsigned shift = 1; shift < 64; shift *= 2) mask |= mask >> shift;
    do value = gsl_rng_get(rng) & mask;
    while (value > most);
    return value;
}

tamis_status tamis__shuffle_folds(uint64_t n, uint64_t seed, uint64_t *ret_order, tamis_error *err)
{
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    if (!rng) return tamis__fail_memory(err, "random numbers", 0);
    gsl_rng_set(rng, seed & UINT32_MAX);
    for (uint64_t i = 0; i < n; i++) ret_order[i] = i;
    for (uint64_t i = n; i-- > 1;) {
        uint64_t j = draw(rng, i), held = ret_order[i];
        ret_order[i] = ret_order[j];
        ret_order[j] = held;
    }
    gsl_rng_free(rng);
    return TAMIS_OK;
}

uint64_t tamis__fold_start(uint64_t n, uint64_t folds, uint64_t i)
{
    return i * (n / folds) + (i < n % folds ? i : n % folds);
}
