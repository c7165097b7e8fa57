/* stratified: a share of the budget for every stratum of values, or every group of rows.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "select/rules.h"
#include "select/strata.h"
#include "select/values.h"

enum { BY, STRATA, PRUNE, END, QUOTA, LEAST, MOST, WITHIN, PARAMS };

/* Of all arrays that have an entry for each. */
#define BYTES_OF_STRATUM 112

static const char *const by_names[] = {"value", "group", NULL};
static const char *const end_names[] = {"high", "low", NULL};
static const char *const quota_names[] = {"proportional", "equal", NULL};
static const char *const within_names[] = {"random", "top", NULL};
static const tamis_param_desc params[] = {
    [BY] = {.name = "by",
            .help = "what strata are: intervals of equal width of the value, or groups of rows",
            .type = TAMIS_PARAM_CHOICE,
            .choices = by_names},
    [STRATA] = {.name = "strata",
                .help = "intervals of the value",
                .type = TAMIS_PARAM_INTEGER,
                .min = 1,
                .max = 1e4,
                .fallback = 50},
    [PRUNE] = {.name = "prune",
               .help = "share of the rows that is dropped first, from one end",
               .type = TAMIS_PARAM_REAL,
               .max = 1},
    [END] = {.name = "end",
             .help = "which end that is",
             .type = TAMIS_PARAM_CHOICE,
             .choices = end_names},
    [QUOTA] = {.name = "quota",
               .help = "of a group: in proportion to its rows, or the same for all",
               .type = TAMIS_PARAM_CHOICE,
               .choices = quota_names},
    [LEAST] = {.name = "least",
               .help = "rows kept of a group, where it has as many; with costs what they cost",
               .type = TAMIS_PARAM_INTEGER,
               .max = 1e15},
    [MOST] = {.name = "most",
              .help = "rows kept of a group, or with costs what they cost; 0: all that it has",
              .type = TAMIS_PARAM_INTEGER,
              .max = 1e15},
    [WITHIN] = {.name = "within",
                .help = "who is kept of a stratum: rows drawn by the seed, or those of the highest "
                        "values",
                .type = TAMIS_PARAM_CHOICE,
                .choices = within_names},
};

static tamis_status init(void *state, const tamis_param_value *param, tamis_error *err)
{
    tamis__strata_options *s = state;
    *s = (tamis__strata_options){.group = param[BY].number > 0,
                                 .lowest = param[END].number > 0,
                                 .equal = param[QUOTA].number > 0,
                                 .top = param[WITHIN].number > 0,
                                 .strata = (uint64_t)param[STRATA].number,
                                 .least = (uint64_t)param[LEAST].number,
                                 .most = (uint64_t)param[MOST].number,
                                 .prune = param[PRUNE].number};
    for (int i = QUOTA; i <= MOST; i++)
        if (param[i].given && !s->group)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "stratified: %s= is of groups: say by=group as well",
                               params[i].name);
    if (param[STRATA].given && s->group)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "stratified: strata= is of by=value, and by=group takes the groups");
    if (param[END].given && !param[PRUNE].given)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "stratified: end=%s says where rows are pruned: say prune= as well",
                           end_names[(int)param[END].number]);
    if (s->most > 0 && s->least > s->most)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "stratified: least=%" PRIu64 " is above most=%" PRIu64, s->least,
                           s->most);
    return TAMIS_OK;
}

/* --- strata ----------------------------------------------------------------------------------- */

/* The first floor(share * rows) of the order are pruned: rows keep UINT64_MAX. */
static tamis_status prune(tamis__strata *s, tamis_error *err)
{
    const tamis__candidates *c = s->from;
    uint64_t *order = NULL, n = s->picks->free_rows;
    uint64_t pruned = (uint64_t)(s->options->prune * (double)n + 1e-9);
    TAMIS_TRY(tamis__order(c->value, c->rows, !s->options->lowest, &order, err));
    for (uint64_t i = 0; i < c->rows; i++) {
        s->of[order[i]] = UINT64_MAX;
        if (!tamis__picks_free(c, order[i])) continue;
        if (pruned > 0)
            pruned--;
        else
            s->of[order[i]] = 0;
    }
    free(order);
    return TAMIS_OK;
}

/* Intervals [low + i * width, low + (i + 1) * width), the last one closed. */
static tamis_status cut_values(tamis__strata *s, tamis_error *err)
{
    const double *value = s->from->value;
    double low = HUGE_VAL, high = -HUGE_VAL;
    for (uint64_t row = 0; row < s->from->rows; row++) {
        if (s->of[row] == UINT64_MAX) continue;
        if (isinf(value[row]))
            return tamis__fail(err, TAMIS_ERR_NUMERIC,
                               "row %" PRIu64 ": its value is infinite, and strata have a width: "
                               "leave the row out, or normalise by rank",
                               row);
        low = value[row] < low ? value[row] : low;
        high = value[row] > high ? value[row] : high;
    }
    /* Halves, as the difference of two finite numbers may be none. */
    double width = (high / 2 - low / 2) / (double)s->n;
    for (uint64_t row = 0; row < s->from->rows; row++) {
        if (s->of[row] == UINT64_MAX) continue;
        double place = width > 0 ? (value[row] / 2 - low / 2) / width : 0;
        s->of[row] = place < (double)s->n ? (uint64_t)place : s->n - 1;
    }
    return TAMIS_OK;
}

static void cut_groups(tamis__strata *s)
{
    const tamis__groups *group = s->from->group;
    for (uint64_t row = 0; row < s->from->rows; row++)
        if (s->of[row] != UINT64_MAX)
            s->of[row] = group->of[row] < 0 ? group->groups : (uint64_t)group->of[row];
}

/* --- keys ------------------------------------------------------------------------------------- */

static tamis_status fill_keys(tamis__strata *s, tamis_error *err)
{
    gsl_rng *rng = tamis__rng_create();
    if (!rng) return tamis__fail_memory(err, "random numbers", 64);
    for (uint64_t row = 0; row < s->from->rows; row++) {
        tamis__rng_key(rng, s->from->seed, TAMIS__STREAM_SELECT, row);
        double drawn = gsl_rng_uniform(rng);
        s->key[row] = s->of[row] == UINT64_MAX ? (double)NAN
                      : s->options->top        ? s->from->value[row]
                                               : drawn;
    }
    gsl_rng_free(rng);
    return TAMIS_OK;
}

/* --- all -------------------------------------------------------------------------------------- */

static void count(tamis__strata *s)
{
    for (uint64_t row = 0; row < s->from->rows; row++)
        if (s->of[row] != UINT64_MAX) s->size[s->of[row]]++;
}

static tamis_status allocate(tamis__strata *s, tamis_error *err)
{
    size_t rows = (size_t)s->from->rows, n = (size_t)s->n;
    s->of = tamis__malloc(rows, sizeof *s->of);
    s->key = tamis__malloc(rows, sizeof *s->key);
    s->size = tamis__calloc(n, 3 * sizeof *s->size);
    s->share = tamis__calloc(n, 2 * sizeof *s->share);
    if (!s->of || !s->key || !s->size || !s->share)
        return tamis__fail_memory(err, "strata", rows * 16 + n * 40);
    s->quota = s->size + n;
    s->taken = s->size + 2 * n;
    s->spent = s->share + n;
    return TAMIS_OK;
}

static tamis_status stratify(tamis__strata *s, tamis_selection *selection, tamis_error *err)
{
    TAMIS_TRY(allocate(s, err));
    TAMIS_TRY(prune(s, err));
    if (s->options->group)
        cut_groups(s);
    else
        TAMIS_TRY(cut_values(s, err));
    count(s);
    TAMIS_TRY(fill_keys(s, err));
    TAMIS_TRY(s->from->cost ? tamis__strata_fill_costs(s, err) : tamis__strata_fill_rows(s, err));
    TAMIS_TRY(tamis__picks_give(s->picks, s->key, "kept of its stratum", "not kept of its stratum",
                                selection, err));
    return tamis__strata_explain(s, selection, err);
}

static tamis_status choose(void *state, const tamis__candidates *c, tamis_selection *selection,
                           tamis_error *err)
{
    const tamis__strata_options *options = state;
    tamis__picks picks = {0};
    tamis__strata s = {.options = options, .from = c, .picks = &picks, .n = options->strata};
    if (options->group && !c->group)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "stratified:by=group needs groups or labels of the rows, and there are "
                           "none: give groups, or leave by=group out");
    if (!options->group && c->source && !tamis__groups_heeded(c->source) &&
        (c->source->group || c->source->group_by))
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "stratified: groups of candidates are of by=group: say that, or leave them "
            "out");
    if (options->group) s.n = (uint64_t)c->group->groups + 1;
    TAMIS_TRY(tamis__memory_check(c->context, c->rows * 16 + s.n * BYTES_OF_STRATUM,
                                  "strata (number groups from 0)", err));
    TAMIS_TRY(tamis__picks_init(&picks, c, err));
    tamis_status status = stratify(&s, selection, err);
    free(s.of);
    free(s.key);
    free(s.size);
    free(s.share);
    tamis__picks_fini(&picks);
    return status;
}

const tamis__selector_class tamis__selector_stratified = {
    .abi = TAMIS__SELECTOR_ABI,
    .info = {.name = "stratified",
             .summary = "share the budget among strata of the value, or groups of rows",
             .citation = "Zheng et al. 2023, CCS, arXiv 2210.15809, and Lin et al. 2024, DEALRec, "
                         "arXiv 2401.17197: equal widths, smallest first; groups by largest "
                         "remainder",
             .flags = TAMIS_SELECTOR_LISTS | TAMIS_SELECTOR_COSTS | TAMIS_SELECTOR_GROUPS,
             .params = params,
             .n_params = PARAMS},
    .state_size = sizeof(tamis__strata_options),
    .init = init,
    .select = choose,
};
