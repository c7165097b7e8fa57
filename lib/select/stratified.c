/* stratified: a share of the budget for every stratum of values, or every group of rows.
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
#include "select/quotas.h"
#include "select/values.h"

enum { BY, STRATA, PRUNE, END, QUOTA, LEAST, MOST, WITHIN, PARAMS };

/* A stratum of values has a reason of its own up to so many of them. */
#define NAMED 1000

typedef struct stratified {
    bool group, lowest, equal, top;
    uint64_t strata, least, most;
    double prune;
} stratified;

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
               .help = "rows kept of a group, where it has as many",
               .type = TAMIS_PARAM_INTEGER,
               .max = 1e15},
    [MOST] = {.name = "most",
              .help = "rows kept of a group; 0: as many as it has",
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
    stratified *s = state;
    *s = (stratified){.group = param[BY].number > 0,
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
    if (s->most > 0 && s->least > s->most)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "stratified: least=%" PRIu64 " is above most=%" PRIu64, s->least,
                           s->most);
    return TAMIS_OK;
}

/* --- strata ----------------------------------------------------------------------------------- */

typedef struct strata {
    const stratified *options;
    const tamis__candidates *from;
    tamis__picks *picks;
    uint64_t n;
    uint64_t *of;    /* [rows] which stratum a free row is in; UINT64_MAX = pruned, or not free */
    uint64_t *size;  /* [n] free rows */
    uint64_t *quota; /* [n] of them that are kept */
    double *key;     /* [rows] rows of a stratum are kept by it, highest first */
} strata;

/* The first floor(share * rows) of the order are pruned: rows keep UINT64_MAX. */
static tamis_status prune(strata *s, tamis_error *err)
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
static tamis_status cut_values(strata *s, tamis_error *err)
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

static void cut_groups(strata *s)
{
    const tamis__groups *group = s->from->group;
    for (uint64_t row = 0; row < s->from->rows; row++)
        if (s->of[row] != UINT64_MAX)
            s->of[row] = group->of[row] < 0 ? group->groups : (uint64_t)group->of[row];
}

/* --- quotas ----------------------------------------------------------------------------------- */

/* Rows that must be kept count towards their group. */
static tamis_status share_groups(strata *s, uint64_t total, tamis_error *err)
{
    const stratified *o = s->options;
    const tamis__groups *group = s->from->group;
    double *weight = tamis__calloc((size_t)s->n, sizeof *weight);
    uint64_t *bound = tamis__calloc((size_t)s->n, 3 * sizeof *bound);
    tamis_status status = TAMIS_OK;
    if (!weight || !bound) status = tamis__fail_memory(err, "strata", s->n * 4 * sizeof *bound);
    if (status == TAMIS_OK) {
        uint64_t *low = bound, *high = bound + s->n, *held = bound + 2 * s->n;
        for (uint64_t i = 0; i < s->picks->n; i++) {
            int32_t of = group->of[s->picks->row[i]];
            held[of < 0 ? group->groups : (uint32_t)of]++;
        }
        for (uint64_t g = 0; g < s->n; g++) {
            uint64_t rows = s->size[g] + held[g];
            high[g] = o->most > 0 && o->most < rows ? o->most : rows;
            low[g] = o->least < rows ? o->least : rows;
            if (high[g] < held[g]) high[g] = held[g];
            if (low[g] < held[g]) low[g] = held[g];
            weight[g] = rows == 0 ? 0 : o->equal ? 1 : (double)rows;
        }
        status = tamis__quotas_bounded(weight, low, high, s->n, total + s->picks->n, s->quota, err);
        for (uint64_t g = 0; g < s->n && status == TAMIS_OK; g++) s->quota[g] -= held[g];
    }
    free(weight);
    free(bound);
    return status;
}

static tamis_status share_out(strata *s, tamis_error *err)
{
    uint64_t left = 0, total = (uint64_t)(s->picks->left > 0 ? s->picks->left : 0);
    for (uint64_t row = 0; row < s->from->rows; row++) {
        if (s->of[row] == UINT64_MAX) continue;
        s->size[s->of[row]]++;
        left++;
    }
    if (left < total)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "stratified: prune=%g leaves %" PRIu64 " rows of %" PRIu64
                           ", the budget '%s' wants %" PRIu64 " of them: prune less or keep fewer",
                           s->options->prune, left, s->picks->free_rows, s->from->budget_text,
                           total);
    if (s->options->group) return share_groups(s, total, err);
    return tamis__quotas_smallest_first(s->size, s->n, total, s->quota, err);
}

/* --- rows ------------------------------------------------------------------------------------- */

static tamis_status fill_keys(strata *s, tamis_error *err)
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

/* `quota` is what is left of each. */
static tamis_status pick(strata *s, tamis_error *err)
{
    uint64_t *order = NULL;
    TAMIS_TRY(tamis__order(s->key, s->from->rows, true, &order, err));
    for (uint64_t i = 0; i < s->from->rows; i++) {
        uint64_t of = s->of[order[i]];
        if (of == UINT64_MAX || s->quota[of] == 0) continue;
        s->quota[of]--;
        tamis__picks_add(s->picks, order[i]);
    }
    free(order);
    return TAMIS_OK;
}

/* --- reasons ---------------------------------------------------------------------------------- */

static void name_stratum(const strata *s, uint64_t i, char *text, size_t size)
{
    const tamis__groups *group = s->from->group;
    if (!s->options->group)
        snprintf(text, size, "stratum %" PRIu64 " of %" PRIu64, i + 1, s->n);
    else if (i == group->groups)
        snprintf(text, size, "no group");
    else if (group->name)
        snprintf(text, size, "group %.128s", group->name[i]);
    else
        snprintf(text, size, "group %" PRIu64, i);
}

/* `taken` [n] of those in the stratum. */
static tamis_status explain_stratum(const strata *s, uint64_t i, uint64_t taken,
                                    tamis_selection *selection, uint16_t ret_reason[2],
                                    tamis_error *err)
{
    char text[320], name[192];
    const char *how = s->options->top ? "the highest" : "drawn";
    name_stratum(s, i, name, sizeof name);
    snprintf(text, sizeof text, "%s %" PRIu64 " of %" PRIu64 " in %s", how, taken, s->size[i],
             name);
    if (taken > 0) TAMIS_TRY(tamis_selection_reason(selection, text, &ret_reason[1], err));
    snprintf(text, sizeof text, "not %s %" PRIu64 " of %" PRIu64 " in %s",
             s->options->top ? "among the highest" : "drawn", taken, s->size[i], name);
    if (taken == s->size[i]) return TAMIS_OK;
    return tamis_selection_reason(selection, text, &ret_reason[0], err);
}

static tamis_status explain(const strata *s, const uint64_t *taken, uint16_t *reason,
                            tamis_selection *selection, tamis_error *err)
{
    uint16_t pruned = 0;
    char text[96];
    for (uint64_t i = 0; i < s->n && s->n <= NAMED; i++)
        if (s->size[i] > 0)
            TAMIS_TRY(explain_stratum(s, i, taken[i], selection, reason + 2 * i, err));
    snprintf(text, sizeof text, "pruned: in the %s %g%% of values",
             s->options->lowest ? "lowest" : "highest", 100 * s->options->prune);
    if (s->options->prune > 0) TAMIS_TRY(tamis_selection_reason(selection, text, &pruned, err));
    for (uint64_t row = 0; row < s->from->rows; row++) {
        if (!tamis__picks_free(s->from, row)) continue;
        uint64_t of = s->of[row];
        if (of == UINT64_MAX)
            selection->reason[row] = pruned;
        else if (s->n <= NAMED)
            selection->reason[row] = reason[2 * of + selection->keep[row]];
    }
    return TAMIS_OK;
}

static tamis_status give(const strata *s, uint64_t *scratch, tamis_selection *selection,
                         tamis_error *err)
{
    TAMIS_TRY(tamis__picks_give(s->picks, s->key, "kept of its stratum", "not kept of its stratum",
                                selection, err));
    for (uint64_t row = 0; row < s->from->rows; row++)
        if (s->of[row] != UINT64_MAX) scratch[s->of[row]] += selection->keep[row];
    return explain(s, scratch, (uint16_t *)(void *)(scratch + s->n), selection, err);
}

/* --- all -------------------------------------------------------------------------------------- */

static tamis_status stratify(strata *s, tamis_selection *selection, tamis_error *err)
{
    size_t rows = (size_t)s->from->rows, n = (size_t)s->n;
    s->of = tamis__malloc(rows, sizeof *s->of);
    s->key = tamis__malloc(rows, sizeof *s->key);
    s->size = tamis__calloc(n, sizeof *s->size);
    s->quota = tamis__calloc(n, 3 * sizeof *s->quota); /* and scratch for the reasons */
    if (!s->of || !s->key || !s->size || !s->quota)
        return tamis__fail_memory(err, "strata", rows * 16 + n * 32);
    TAMIS_TRY(prune(s, err));
    if (s->options->group)
        cut_groups(s);
    else
        TAMIS_TRY(cut_values(s, err));
    TAMIS_TRY(share_out(s, err));
    TAMIS_TRY(fill_keys(s, err));
    TAMIS_TRY(pick(s, err));
    return give(s, s->quota + n, selection, err);
}

static tamis_status choose(void *state, const tamis__candidates *c, tamis_selection *selection,
                           tamis_error *err)
{
    const stratified *options = state;
    tamis__picks picks = {0};
    strata s = {.options = options, .from = c, .picks = &picks, .n = options->strata};
    if (options->group && !c->group)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "stratified:by=group needs groups or labels of the rows, and there are "
                           "none: give groups, or leave by=group out");
    if (options->group) s.n = (uint64_t)c->group->groups + 1;
    TAMIS_TRY(tamis__picks_init(&picks, c, err));
    tamis_status status = stratify(&s, selection, err);
    free(s.of);
    free(s.key);
    free(s.size);
    free(s.quota);
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
             .flags = TAMIS_SELECTOR_LISTS,
             .params = params,
             .n_params = PARAMS},
    .state_size = sizeof(stratified),
    .init = init,
    .select = choose,
};
