/* gumbel-top-k: rows drawn without replacement in proportion to exp(value / temperature).
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

typedef struct gumbel {
    double temperature;
    bool weights;
} gumbel;

static const char *const value_names[] = {"log-weights", "weights", NULL};
static const tamis_param_desc params[] = {
    {.name = "temperature",
     .help = "0 takes the highest values, a high one draws at random",
     .type = TAMIS_PARAM_REAL,
     .max = 1e300,
     .fallback = 1},
    {.name = "values",
     .help = "what values are: logarithms of weights, as scores are taken, or weights >= 0",
     .type = TAMIS_PARAM_CHOICE,
     .choices = value_names},
};

static tamis_status init(void *state, const tamis_param_value *param, tamis_error *err)
{
    (void)err;
    gumbel *g = state;
    *g = (gumbel){param[0].number, param[1].number > 0};
    return TAMIS_OK;
}

/* The k largest of value + temperature * G, G standard Gumbel and independent, are k rows drawn one
 * by one, each in proportion to exp(value / temperature) among those that are left. G is keyed by
 * the row: it keeps it when others come or go. */
static tamis_status perturb(const gumbel *g, const tamis__candidates *c, double *key,
                            tamis_error *err)
{
    gsl_rng *rng = tamis__rng_create();
    if (!rng) return tamis__fail_memory(err, "random numbers", 64);
    tamis_status status = TAMIS_OK;
    for (uint64_t row = 0; row < c->rows && status == TAMIS_OK; row++) {
        double value = c->value[row];
        if (g->weights && value < 0 && tamis__picks_free(c, row))
            status = tamis__fail(err, TAMIS_ERR_ARG,
                                 "row %" PRIu64 ": a weight of %g is negative: leave "
                                 "values=weights out when values are scores",
                                 row, value);
        tamis__rng_key(rng, c->seed, TAMIS__STREAM_SELECT, row);
        double noise = -log(-log(gsl_rng_uniform_pos(rng)));
        key[row] = (g->weights ? log(value) : value) + g->temperature * noise;
    }
    gsl_rng_free(rng);
    return status;
}

static tamis_status draw(const double *key, tamis__picks *picks, tamis_selection *selection,
                         tamis_error *err)
{
    char kept[256], dropped[256];
    uint64_t *order = NULL;
    const tamis__candidates *c = picks->from;
    tamis__candidates free_of_cost = *c;
    free_of_cost.cost = NULL; /* the order of draws is the law; what does not fit is passed over */
    TAMIS_TRY(tamis__order_by_cost(&free_of_cost, key, true, &order, err));
    tamis__picks_walk(picks, order, c->rows);
    free(order);
    snprintf(kept, sizeof kept, "drawn by %s (%" PRIu64 " of %" PRIu64 ", seed %" PRIu64 ")",
             c->value_name, picks->n, c->rows, c->seed);
    snprintf(dropped, sizeof dropped,
             "not drawn by %s (%" PRIu64 " of %" PRIu64 ", seed %" PRIu64 ")", c->value_name,
             picks->n, c->rows, c->seed);
    return tamis__picks_give(picks, key, kept, dropped, selection, err);
}

static tamis_status choose(void *state, const tamis__candidates *c, tamis_selection *selection,
                           tamis_error *err)
{
    tamis__picks picks = {0};
    double *key = tamis__malloc((size_t)c->rows, sizeof *key);
    if (!key) return tamis__fail_memory(err, "random numbers", c->rows * sizeof *key);
    tamis_status status = perturb(state, c, key, err);
    if (status == TAMIS_OK) status = tamis__picks_init(&picks, c, err);
    if (status == TAMIS_OK) status = draw(key, &picks, selection, err);
    tamis__picks_fini(&picks);
    free(key);
    return status;
}

const tamis__selector_class tamis__selector_gumbel_top_k = {
    .abi = TAMIS__SELECTOR_ABI,
    .info = {.name = "gumbel-top-k",
             .summary = "draw rows without replacement in proportion to exp(value / temperature)",
             .citation =
                 "Kool et al. 2019, arXiv 1903.06059: the k largest of value + temperature * "
                 "Gumbel(0, 1); as DSIR, and MATES with the sign put right",
             .flags = TAMIS_SELECTOR_LISTS | TAMIS_SELECTOR_COSTS,
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .state_size = sizeof(gumbel),
    .init = init,
    .select = choose,
};
