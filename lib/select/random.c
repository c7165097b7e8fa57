/* random: rows drawn without looking at any value; what every other selector is compared with.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "select/greedy.h"
#include "select/values.h"

/* A number for every row, keyed by the row alone: a row keeps its number when others come or go.
 * Rows without a score get none, so that they are not drawn. */
static tamis_status draw(const tamis__candidates *c, double **ret_values, tamis_error *err)
{
    double *value = tamis__malloc((size_t)c->rows, sizeof *value);
    gsl_rng *rng = value ? tamis__rng_create() : NULL;
    if (!rng) {
        free(value);
        return tamis__fail_memory(err, "random numbers", c->rows * sizeof *value);
    }
    for (uint64_t row = 0; row < c->rows; row++) {
        tamis__rng_key(rng, c->seed, TAMIS__STREAM_SELECT, row);
        value[row] = gsl_rng_uniform(rng);
        if (c->value && isnan(c->value[row])) value[row] = (double)NAN;
    }
    gsl_rng_free(rng);
    *ret_values = value;
    return TAMIS_OK;
}

/* Drawn rows in their order, those that must be kept before them, and those that cost too much
 * passed over. */
static tamis_status pick_drawn(const tamis__candidates *c, const double *value,
                               const uint64_t *order, tamis_selection *selection, tamis_error *err)
{
    char kept[128], dropped[128];
    tamis__picks picks = {0};
    TAMIS_TRY(tamis__picks_init(&picks, c, err));
    snprintf(kept, sizeof kept, "drawn at random (seed %" PRIu64 ")", c->seed);
    snprintf(dropped, sizeof dropped, "not drawn (seed %" PRIu64 ")", c->seed);
    tamis__picks_walk(&picks, order, c->rows);
    tamis_status status = tamis__picks_give(&picks, value, kept, dropped, selection, err);
    tamis__picks_fini(&picks);
    return status;
}

static tamis_status choose(void *state, const tamis__candidates *c, tamis_selection *selection,
                           tamis_error *err)
{
    (void)state;
    char kept[256], dropped[256];
    double *value = NULL;
    uint64_t *order = NULL;
    TAMIS_TRY(draw(c, &value, err));
    tamis_status status = tamis__order(value, c->rows, true, &order, err);
    if (status == TAMIS_OK)
        for (uint64_t row = 0; row < c->rows; row++) selection->score[row] = (float)value[row];
    if (status == TAMIS_OK && (c->standing || c->cost)) {
        status = pick_drawn(c, value, order, selection, err);
    } else if (status == TAMIS_OK) {
        snprintf(kept, sizeof kept,
                 "drawn at random (%" PRIu64 " of %" PRIu64 ", seed %" PRIu64 ")", c->budget,
                 c->rows, c->seed);
        snprintf(dropped, sizeof dropped,
                 "not drawn (%" PRIu64 " of %" PRIu64 " at random, seed %" PRIu64 ")", c->budget,
                 c->rows, c->seed);
        status = tamis__take(selection, order, c->budget, kept, dropped, err);
    }
    free(order);
    free(value);
    return status;
}

const tamis__selector_class tamis__selector_random = {
    .abi = TAMIS__SELECTOR_ABI,
    .info = {.name = "random",
             .summary = "keep rows drawn at random, the baseline for every other selector",
             .citation = "simple random sampling without replacement, keyed by (seed, row)",
             .flags = TAMIS_SELECTOR_NO_VALUE | TAMIS_SELECTOR_LISTS | TAMIS_SELECTOR_COSTS},
    .select = choose,
};
