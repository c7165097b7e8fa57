/* knn-uniform, knn-kde: targets share their mass out among their nearest candidates, and rows are
 * drawn by it.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/facts.h"
#include "select/quotas.h"
#include "select/tsds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "select/greedy.h"
#include "select/rules.h"

enum { ALPHA, C, NEIGHBOURS, WHITEN, DRAW, WEIGHTS, REPEATS, SHARED, SIGMA = SHARED, KDE };
enum { DRAW_SAMPLE, DRAW_LARGEST };
enum { WEIGHTS_NONE, WEIGHTS_MASS };

/* Lists are made this long at first, and four times as long when they are used up. With densities,
 * which are dear, so many of a list count at first, and half as many again when they are used
 * up. */
enum { FIRST_LENGTH = 64, FIRST_COUNTED = 8, MOST_LENGTH = 5000 };

static const char *const draw_names[] = {"sample", "largest", NULL};
static const char *const weights_names[] = {"none", "mass", NULL};
static const char *const whiten_names[] = {"none", "cholesky", NULL};

/* clang-format off */
#define PARAMS \
    {.name = "alpha", \
     .help = "1: every target sends its mass to the nearest row; the less, the more rows share it", \
     .type = TAMIS_PARAM_REAL, \
     .max = 1, \
     .fallback = 0.01}, \
    {.name = "c", \
     .help = "what a distance counts as large by; rows are of length 1", \
     .type = TAMIS_PARAM_REAL, \
     .min = 1e-12, \
     .max = 1e12, \
     .fallback = 1}, \
    {.name = "neighbours", \
     .help = "most rows that share a target's mass; 0: 5000, or a tenth of the rows where that is less", \
     .type = TAMIS_PARAM_INTEGER, \
     .max = 1e9}, \
    {.name = "whiten", \
     .help = "of rows; whitened by --curvature where one is given", \
     .type = TAMIS_PARAM_CHOICE, \
     .choices = whiten_names}, \
    {.name = "draw", \
     .help = "rows at random by their mass, without repeats; or those of the largest mass", \
     .type = TAMIS_PARAM_CHOICE, \
     .choices = draw_names}, \
    {.name = "weights", \
     .help = "of kept rows: equal, or by mass", \
     .type = TAMIS_PARAM_CHOICE, \
     .choices = weights_names}, \
    {.name = "repeats", \
     .help = "round weights to whole numbers of this sum; 0: leave them, their mean is 1", \
     .type = TAMIS_PARAM_INTEGER, \
     .max = 16777216}
/* clang-format on */

static const tamis_param_desc uniform_params[] = {PARAMS};
static const tamis_param_desc kde_params[] = {
    PARAMS,
    {.name = "sigma",
     .help = "rows nearer than this are near-duplicates, which share one portion; 0: none are",
     .type = TAMIS_PARAM_REAL,
     .max = 1e12,
     .fallback = 0.75},
    {.name = "kde",
     .help = "so many nearest rows count in a row's density, at most",
     .type = TAMIS_PARAM_INTEGER,
     .min = 1,
     .max = 1e9,
     .fallback = 1000},
};

typedef struct tsds {
    tamis__tarot_options rows;
    double alpha, c, sigma; /* sigma 0 = no densities */
    uint64_t neighbours, kde, repeats;
    bool whiten_given, largest, by_mass;
} tsds;

static tamis_status init_shared(const char *name, tsds *t, const tamis_param_value *param,
                                tamis_error *err)
{
    bool whiten = param[WHITEN].number > 0;
    *t = (tsds){.rows = {.whiten = whiten ? TAMIS__TAROT_CHOLESKY : TAMIS__TAROT_PLAIN,
                         .whiten_given = param[WHITEN].given != 0},
                .alpha = param[ALPHA].number,
                .c = param[C].number,
                .neighbours = (uint64_t)param[NEIGHBOURS].number,
                .repeats = (uint64_t)param[REPEATS].number,
                .whiten_given = param[WHITEN].given != 0,
                .largest = param[DRAW].number > DRAW_SAMPLE,
                .by_mass = param[WEIGHTS].number > WEIGHTS_NONE};
    if (t->repeats > 0 && !t->by_mass)
        return tamis__fail(err, TAMIS_ERR_ARG, "%s: repeats are made of weights: say weights=mass",
                           name);
    return TAMIS_OK;
}

static tamis_status init_uniform(void *state, const tamis_param_value *param, tamis_error *err)
{
    return init_shared("knn-uniform", state, param, err);
}

static tamis_status init_kde(void *state, const tamis_param_value *param, tamis_error *err)
{
    tsds *t = state;
    TAMIS_TRY(init_shared("knn-kde", t, param, err));
    t->sigma = param[SIGMA].number;
    t->kde = (uint64_t)param[KDE].number;
    if (param[KDE].given && t->sigma == 0)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "knn-kde: kde= is of densities, which sigma=0 leaves out: leave one out");
    return TAMIS_OK;
}

/* --- the plan --------------------------------------------------------------------------------- */

typedef struct run {
    const tsds *options;
    const tamis__candidates *c;
    tamis__tarot tarot;
    double *density; /* [n] 0 = not asked for; NULL without sigma */
    tamis__tsds_plan plan;
    tamis__picks picks;
} run;

/* The plan among the first `counted` of each list. */
static tamis_status plan_with(run *r, uint64_t counted, tamis_error *err)
{
    const tsds *o = r->options;
    tamis__tarot *t = &r->tarot;
    const tamis__tsds_kernel kernel = {o->sigma, o->kde};
    tamis__tsds_plan_fini(&r->plan);
    if (r->density) TAMIS_TRY(tamis__tsds_densities(t, &kernel, counted, r->density, err));
    const tamis__tsds_problem problem = {.n = t->n,
                                         .m = t->m,
                                         .k = counted,
                                         .length = t->k,
                                         .row = t->row,
                                         .cosine = t->score,
                                         .density = r->density,
                                         .price = o->alpha > 0 ? o->c * (1.0 - o->alpha) / o->alpha
                                                               : (double)INFINITY};
    return tamis__tsds_plan_make(&problem, &r->plan, err);
}

/* Lists grow until they hold all that targets send mass to. */
static tamis_status find_plan(run *r, tamis_error *err)
{
    uint64_t there = tamis__count_unbarred(r->c->standing, r->tarot.n),
             most = r->options->neighbours;
    uint64_t tenth = there / 10 > 0 ? there / 10 : 1, counted = r->density ? FIRST_COUNTED : 0;
    if (most == 0) most = tenth < MOST_LENGTH ? tenth : MOST_LENGTH;
    if (most > there) most = there;
    for (uint64_t length = FIRST_LENGTH;; length *= 4) {
        if (length > most) length = most;
        TAMIS_TRY(tamis__tarot_lists(&r->tarot, length, err));
        for (bool cut = true; cut; counted += counted / 2) {
            if (!r->density || counted > length) counted = length;
            TAMIS_TRY(plan_with(r, counted, err));
            cut = r->plan.cut && counted < length;
        }
        if (!r->plan.cut || length == most) return TAMIS_OK;
    }
}

/* --- the draw --------------------------------------------------------------------------------- */

typedef struct place {
    double key; /* ascending; infinite without mass */
    float near; /* largest cosine with a target: among equals the nearer one */
    uint64_t row;
} place;

static int by_key(const void *left, const void *right)
{
    const place *a = left, *b = right;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    if (a->near != b->near) return a->near > b->near ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

/* The largest mass for its cost, or rows drawn one by one, each in proportion to its mass among
 * those that are left: waiting times -log(u) / mass, keyed by the row. Returns how many rows may be
 * kept. */
static tamis_status find_places(const run *r, place *places, uint64_t *ret_n, tamis_error *err)
{
    const tamis__candidates *c = r->c;
    uint64_t n = 0;
    gsl_rng *rng = tamis__rng_create();
    if (!rng) return tamis__fail_memory(err, "random numbers", 64);
    for (uint64_t i = 0; i < r->tarot.n; i++) {
        double mass = r->plan.mass[i], wait = c->cost ? -mass / c->cost[i] : -mass;
        if (c->standing && c->standing[i] == TAMIS__BARRED) continue;
        if (!r->options->largest) {
            tamis__rng_key(rng, c->seed, TAMIS__STREAM_SELECT, i);
            wait = -log(gsl_rng_uniform_pos(rng)) / mass;
        }
        places[n++] = (place){mass > 0 ? wait : (double)INFINITY, r->tarot.best[i], i};
    }
    gsl_rng_free(rng);
    qsort(places, n, sizeof *places, by_key);
    *ret_n = n;
    return TAMIS_OK;
}

enum { DRAWN, FILLED, NOT_DRAWN, WITHOUT };

static const char *reason_of(const run *r, int why)
{
    bool largest = r->options->largest;
    switch (why) {
    case DRAWN:
        return largest ? "among the largest shares of the targets' mass"
                       : "drawn by its share of the targets' mass";
    case FILLED:
        return r->c->cost
                   ? "no target sends it mass, but it is among the nearest such rows that fit"
                   : "no target sends it mass, but it is the nearest of such rows";
    case NOT_DRAWN:
        return largest ? "others have larger shares of the targets' mass"
                       : "not drawn by its share of the targets' mass";
    default: return "no target sends it mass";
    }
}

/* Of rows that are free and were not passed over. */
static tamis_status give_reasons(const run *r, tamis_selection *selection, tamis_error *err)
{
    bool known[WITHOUT + 1] = {false};
    uint16_t reason[WITHOUT + 1];
    for (uint64_t row = 0; row < r->tarot.n; row++) {
        if (r->picks.taken[row] == TAMIS__PASSED_OVER || !tamis__picks_free(r->c, row)) continue;
        int why = (selection->keep[row] ? DRAWN : NOT_DRAWN) + !(r->plan.mass[row] > 0);
        if (!known[why])
            TAMIS_TRY(tamis_selection_reason(selection, reason_of(r, why), &reason[why], err));
        known[why] = true;
        selection->reason[row] = reason[why];
    }
    return TAMIS_OK;
}

/* Rows that must be kept, then as many of the places' order as fit. */
static tamis_status give_rows(run *r, const place *places, uint64_t n, double *value,
                              tamis_selection *selection, tamis_error *err)
{
    TAMIS_TRY(tamis__picks_init(&r->picks, r->c, err));
    for (uint64_t i = 0; i < r->tarot.n; i++) value[i] = (double)NAN;
    for (uint64_t at = 0; at < n; at++) {
        uint64_t row = places[at].row;
        value[row] = -(double)at;
        if (!tamis__picks_done(&r->picks)) tamis__picks_try(&r->picks, row);
    }
    for (uint64_t i = 0; i < r->tarot.n; i++)
        selection->score[i] = isnan(value[i]) ? NAN : (float)r->plan.mass[i];
    TAMIS_TRY(tamis__picks_give(&r->picks, value, reason_of(r, DRAWN), reason_of(r, NOT_DRAWN),
                                selection, err));
    return give_reasons(r, selection, err);
}

/* --- weights ---------------------------------------------------------------------------------- */

static tamis_status give_weights(const run *r, tamis_selection *selection, tamis_error *err)
{
    uint64_t n = r->picks.n, at = 0, total = r->options->repeats;
    double *weight = tamis__malloc(n, sizeof *weight), sum = 0;
    uint64_t *share = tamis__malloc(n, sizeof *share);
    tamis_status status = weight && share ? TAMIS_OK
                                          : tamis__fail_memory(err, "weights", n * sizeof *weight);
    for (uint64_t i = 0; i < r->tarot.n && status == TAMIS_OK; i++)
        if (selection->keep[i]) sum += weight[at++] = r->plan.mass[i];
    if (status == TAMIS_OK && total > 0)
        status = tamis__largest_remainder(weight, n, total, share, err);
    at = 0;
    for (uint64_t i = 0; i < r->tarot.n && status == TAMIS_OK; i++) {
        if (!selection->keep[i]) continue;
        double mean_one = sum > 0 ? weight[at] * ((double)n / sum) : 1.0;
        selection->weight[i] = total > 0 ? (float)share[at] : (float)mean_one;
        at++;
    }
    free(weight);
    free(share);
    return status;
}

/* --- the selection ---------------------------------------------------------------------------- */

static json_t *facts_of(const run *r)
{
    uint64_t n = r->tarot.n, with = 0, longest = 0;
    double densest = 0;
    for (uint64_t i = 0; i < n; i++) {
        with += r->plan.mass[i] > 0;
        if (r->density) densest = fmax(densest, r->density[i]);
    }
    for (uint64_t j = 0; j < r->tarot.m; j++)
        if (r->plan.full[j] > longest) longest = r->plan.full[j];
    json_t *facts = json_pack("{s:I, s:f, s:I, s:b, s:I}", "targets", (json_int_t)r->tarot.m,
                              "spread", r->plan.spread, "longest", (json_int_t)longest, "cut",
                              (int)r->plan.cut, "with_mass", (json_int_t)with);
    if (facts && r->density && json_object_set_new(facts, "densest", json_real(densest)) < 0) {
        json_decref(facts);
        return NULL;
    }
    return facts;
}

static tamis_status give(run *r, tamis_selection *selection, tamis_error *err)
{
    uint64_t n = 0;
    place *places = tamis__malloc(r->tarot.n, sizeof *places);
    double *value = tamis__malloc(r->tarot.n, sizeof *value);
    tamis_status status = places && value ? find_places(r, places, &n, err)
                                          : tamis__fail_memory(err, "the order of the rows",
                                                               r->tarot.n * sizeof *places);
    if (status == TAMIS_OK) status = give_rows(r, places, n, value, selection, err);
    free(places);
    free(value);
    if (status == TAMIS_OK && r->options->by_mass && r->picks.n > 0)
        status = give_weights(r, selection, err);
    return status == TAMIS_OK ? tamis__selection_facts(selection, facts_of(r), err) : status;
}

static tamis_status choose(void *state, const tamis__candidates *c, tamis_selection *selection,
                           tamis_error *err)
{
    tsds *o = state;
    run r = {.options = o, .c = c};
    if (c->source->curvature && !o->whiten_given) o->rows.whiten = TAMIS__TAROT_CHOLESKY;
    TAMIS_TRY(tamis__tarot_open(&r.tarot, c, &o->rows, err));
    tamis_status status = TAMIS_OK;
    if (o->sigma > 0) {
        r.density = tamis__calloc(r.tarot.n, sizeof *r.density);
        if (!r.density)
            status = tamis__fail_memory(err, "densities", r.tarot.n * sizeof *r.density);
    }
    if (status == TAMIS_OK) status = find_plan(&r, err);
    if (status == TAMIS_OK) status = give(&r, selection, err);
    tamis__tsds_plan_fini(&r.plan);
    tamis__picks_fini(&r.picks);
    free(r.density);
    tamis__tarot_close(&r.tarot);
    return status;
}

#define CITATION                                                                                   \
    "Liu, Karbasi and Rekatsinas, TSDS: Data Selection for Task-Specific Model Finetuning, "       \
    "NeurIPS 2024: "

const tamis__selector_class tamis__selector_knn_kde = {
    .abi = TAMIS__SELECTOR_ABI,
    .info = {.name = "knn-kde",
             .summary = "draw rows by the targets' mass, of which near-duplicates share a portion",
             .citation = CITATION "KNN-KDE",
             .flags = TAMIS_SELECTOR_STORES | TAMIS_SELECTOR_LISTS | TAMIS_SELECTOR_COSTS,
             .params = kde_params,
             .n_params = sizeof kde_params / sizeof *kde_params},
    .state_size = sizeof(tsds),
    .init = init_kde,
    .select = choose,
};

const tamis__selector_class tamis__selector_knn_uniform = {
    .abi = TAMIS__SELECTOR_ABI,
    .info = {.name = "knn-uniform",
             .summary = "draw rows by the targets' mass, shared among the nearest candidates",
             .citation = CITATION "KNN-Uniform",
             .flags = TAMIS_SELECTOR_STORES | TAMIS_SELECTOR_LISTS | TAMIS_SELECTOR_COSTS,
             .params = uniform_params,
             .n_params = sizeof uniform_params / sizeof *uniform_params},
    .state_size = sizeof(tsds),
    .init = init_uniform,
    .select = choose,
};
