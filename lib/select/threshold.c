/* threshold: every row whose value lies between two bounds.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "select/registry.h"
#include "select/values.h"

typedef struct threshold {
    double min, max;
    bool has_min, has_max;
} threshold;

static const tamis_param_desc params[] = {
    {.name = "min",
     .help = "lowest value kept",
     .type = TAMIS_PARAM_REAL,
     .min = -DBL_MAX,
     .max = DBL_MAX,
     .fallback = (double)NAN},
    {.name = "max",
     .help = "highest value kept",
     .type = TAMIS_PARAM_REAL,
     .min = -DBL_MAX,
     .max = DBL_MAX,
     .fallback = (double)NAN},
};

static tamis_status init(void *state, const tamis_param_value *param, tamis_error *err)
{
    threshold *t = state;
    *t = (threshold){param[0].number, param[1].number, param[0].given != 0, param[1].given != 0};
    if (!t->has_min && !t->has_max)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "threshold needs a bound: threshold:min=0 keeps values of at least 0, threshold:max=2 "
            "those of at most 2");
    if (t->has_min && t->has_max && t->min > t->max)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "threshold: min=%g is above max=%g, nothing could be kept", t->min,
                           t->max);
    return TAMIS_OK;
}

static bool below(const threshold *t, double value)
{
    return t->has_min && value < t->min;
}

static bool above(const threshold *t, double value)
{
    return t->has_max && value > t->max;
}

/* Neither is true of a row without a score, which no bounds let in. */
static bool inside(const threshold *t, double value)
{
    return !isnan(value) && !below(t, value) && !above(t, value);
}

static bool required(const tamis__candidates *c, uint64_t row)
{
    return c->standing && c->standing[row] == TAMIS__MUST_KEEP;
}

/* Rows that must be kept first, ascending, then those inside the bounds and those outside, each
 * part in its order. */
static uint64_t kept_first(const threshold *t, const tamis__candidates *c, uint64_t *order,
                           uint64_t *scratch)
{
    uint64_t kept = 0, n = 0;
    for (uint64_t row = 0; row < c->rows; row++)
        if (required(c, row)) scratch[n++] = row;
    for (int part = 0; part < 2; part++) {
        for (uint64_t i = 0; i < c->rows; i++)
            if (!required(c, order[i]) && inside(t, c->value[order[i]]) == (part == 0))
                scratch[n++] = order[i];
        if (part == 0) kept = n;
    }
    memcpy(order, scratch, (size_t)c->rows * sizeof *order);
    return kept;
}

/* Rows that must be kept are told so, and of the two ways to be dropped each row its own. */
static tamis_status explain(const threshold *t, const tamis__candidates *c,
                            tamis_selection *selection, tamis_error *err)
{
    char text[256], number[TAMIS__NUMBER_SIZE];
    uint16_t high, must;
    if (c->source->n_must_keep > 0) {
        TAMIS_TRY(tamis_selection_reason(selection, "must be kept", &must, err));
        for (uint64_t row = 0; row < c->rows; row++)
            if (required(c, row)) selection->reason[row] = must;
    }
    if (!t->has_max || !t->has_min) return TAMIS_OK;
    tamis__format_double(number, t->max);
    snprintf(text, sizeof text, "%s above %s", c->value_name, number);
    TAMIS_TRY(tamis_selection_reason(selection, text, &high, err));
    for (uint64_t row = 0; row < c->rows; row++)
        if (above(t, c->value[row]) && !required(c, row)) selection->reason[row] = high;
    return TAMIS_OK;
}

static void describe(const threshold *t, const char *name, char kept[256], char dropped[256])
{
    char min[TAMIS__NUMBER_SIZE], max[TAMIS__NUMBER_SIZE];
    tamis__format_double(min, t->min);
    tamis__format_double(max, t->max);
    if (t->has_min && t->has_max)
        snprintf(kept, 256, "%s from %s to %s", name, min, max);
    else
        snprintf(kept, 256, "%s of at %s %s", name, t->has_min ? "least" : "most",
                 t->has_min ? min : max);
    snprintf(dropped, 256, "%s %s %s", name, t->has_min ? "below" : "above",
             t->has_min ? min : max);
}

static tamis_status choose(void *state, const tamis__candidates *c, tamis_selection *selection,
                           tamis_error *err)
{
    const threshold *t = state;
    char kept_reason[256], dropped_reason[256];
    uint64_t *order = NULL;
    uint64_t *scratch = tamis__malloc((size_t)c->rows, sizeof *scratch);
    if (!scratch)
        return tamis__fail_memory(err, "the order of the rows", c->rows * sizeof *scratch);
    /* Who gives only an upper bound wants low values: the lowest is chosen first. */
    tamis_status status = tamis__order(c->value, c->rows, t->has_min, &order, err);
    if (status == TAMIS_OK) {
        uint64_t kept = kept_first(t, c, order, scratch);
        describe(t, c->value_name, kept_reason, dropped_reason);
        status = tamis__take(selection, order, kept, kept_reason, dropped_reason, err);
    }
    if (status == TAMIS_OK) status = explain(t, c, selection, err);
    free(order);
    free(scratch);
    return status;
}

const tamis__selector_class tamis__selector_threshold = {
    .abi = TAMIS__SELECTOR_ABI,
    .info = {.name = "threshold",
             .summary = "keep every row whose value is at least min and at most max",
             .citation = "threshold:min=A,max=B; both bounds included, at least one given",
             .flags = TAMIS_SELECTOR_NO_BUDGET | TAMIS_SELECTOR_LISTS,
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .state_size = sizeof(threshold),
    .init = init,
    .select = choose,
};
