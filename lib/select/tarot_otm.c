/* tarot-otm: as many of the targets' nearest candidates as bring them nearest to other targets.
 *
 * Targets are split into folds. Those of a fold pick: their k nearest candidates of positive score,
 * k = 1, 2, ...; those of the other folds judge: the distance of transport between the picked and
 * them. The k of the least distance is kept, and the union over folds is the selection. Rows that
 * must be kept are among the picked from the start.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "select/folds.h"
#include "select/facts.h"
#include "select/tarot.h"

enum { SOLVER = TAMIS__TAROT_SHARED, FOLDS, PATIENCE };

enum { NOT_PICKED, REQUIRED, PICKED };

/* A distance that is smaller by less than this share of itself is not smaller: it is rounding, and
 * a copy of a row that is there already brings nothing else. */
#define SMALLER 1e-6

/* Lists are made this long at first, and four times as long when they are used up. */
enum { FIRST_LENGTH = 32, MOST_LENGTH = 2000 };

static const char *const solver_names[] = {"annealed", "sinkhorn", "exact", NULL};

static const tamis_param_desc params[] = {
    TAMIS__TAROT_PARAMS,
    {.name = "solver",
     .help = "of the distance: the released schedule, entropic until it converges, or exact",
     .type = TAMIS_PARAM_CHOICE,
     .choices = solver_names},
    {.name = "folds",
     .help = "of the targets; no more than there are targets",
     .type = TAMIS_PARAM_INTEGER,
     .min = 2,
     .max = 1e6,
     .fallback = 10},
    {.name = "patience",
     .help = "stop after so many k without a smaller distance",
     .type = TAMIS_PARAM_INTEGER,
     .min = 1,
     .max = 1e6,
     .fallback = 1},
};

typedef struct otm {
    tamis__tarot_options options;
    tamis__tarot_solver solver;
    uint64_t folds, patience;
} otm;

static tamis_status init(void *state, const tamis_param_value *param, tamis_error *err)
{
    otm *o = state;
    *o = (otm){.solver = (tamis__tarot_solver)param[SOLVER].number,
               .folds = (uint64_t)param[FOLDS].number,
               .patience = (uint64_t)param[PATIENCE].number};
    TAMIS_TRY(tamis__tarot_read("tarot-otm", param, &o->options, err));
    if (o->options.compat && (o->solver != TAMIS__TAROT_ANNEALED || o->patience != 1))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "tarot-otm: compat=tarot-2024-12 is solver=annealed,patience=1: leave "
                           "them out");
    return TAMIS_OK;
}

typedef struct run {
    const otm *o;
    tamis__tarot tarot;
    uint64_t folds, most; /* k goes up to `most` */
    uint64_t *order;      /* [m] targets by folds */
    uint64_t *judge;      /* [m] targets outside of a fold */
    uint64_t *fresh;      /* [m] candidates that a k adds */
    uint64_t *stamp;      /* [n] last fold that picked it, from 1 */
    uint64_t *required;   /* [tarot.required] rows that must be kept */
    uint8_t *step;        /* [n] 0 = not picked, then by what */
    json_t *facts;
} run;

/* --- a fold ----------------------------------------------------------------------------------- */

typedef struct fold {
    uint64_t number;        /* from 1 */
    const uint64_t *picker; /* [pickers] targets */
    uint64_t pickers;
    uint64_t k, best_k, best_n;
    double value, best;
    json_t *size, *distance; /* of each k */
    tamis__tarot_sides sides;
} fold;

static int by_row(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* Candidates that the fold's targets have at place k - 1, by row, that it has not picked yet. */
static uint64_t fresh_rows(run *r, const fold *f)
{
    const tamis__tarot *t = &r->tarot;
    uint64_t n = 0;
    for (uint64_t i = 0; i < f->pickers; i++) {
        uint64_t at = f->picker[i] * t->k + f->k - 1, row = t->row[at];
        if (row >= t->n || !(t->score[at] > 0.0f) || r->stamp[row] == f->number) continue;
        r->stamp[row] = f->number;
        r->fresh[n++] = row;
    }
    qsort(r->fresh, n, sizeof *r->fresh, by_row);
    return n;
}

static tamis_status record(fold *f, tamis_error *err)
{
    if (json_array_append_new(f->size, json_integer((json_int_t)f->sides.n)) == 0 &&
        json_array_append_new(f->distance, json_real(f->value)) == 0)
        return TAMIS_OK;
    return tamis__fail_memory(err, "a selection's provenance", 0);
}

static tamis_status longer_lists(run *r, uint64_t k, tamis_error *err)
{
    if (k <= r->tarot.k) return TAMIS_OK;
    uint64_t length = 4 * r->tarot.k;
    return tamis__tarot_lists(&r->tarot, length < r->most ? length : r->most, err);
}

static tamis_status add_required(run *r, fold *f, tamis_error *err)
{
    for (uint64_t i = 0; i < r->tarot.required; i++) r->stamp[r->required[i]] = f->number;
    return tamis__tarot_sides_add(&f->sides, r->required, r->tarot.required, err);
}

/* A k that adds nothing has the distance of the one before it, without solving. */
static tamis_status search(run *r, fold *f, tamis_error *err)
{
    uint64_t waited = 0;
    double margin = r->o->options.compat ? 0.0 : SMALLER;
    f->best = HUGE_VAL;
    for (f->k = 1; f->k <= r->most && waited < r->o->patience; f->k++) {
        TAMIS_TRY(longer_lists(r, f->k, err));
        uint64_t n = fresh_rows(r, f);
        if (n == 0 && f->sides.n == 0) return TAMIS_OK;
        if (n > 0 || f->k == 1) {
            TAMIS_TRY(tamis__tarot_sides_add(&f->sides, r->fresh, n, err));
            TAMIS_TRY(tamis__tarot_sides_value(&f->sides, r->o->solver, &f->value, err));
        }
        TAMIS_TRY(record(f, err));
        waited = f->value < f->best * (1.0 - margin) ? 0 : waited + 1;
        /* As released: the last set is taken, though it is no better. */
        if (waited == 0 || r->o->options.compat) {
            f->best_k = f->k;
            f->best_n = f->sides.n;
        }
        if (waited == 0) f->best = f->value;
    }
    return TAMIS_OK;
}

static tamis_status keep(run *r, fold *f, tamis_error *err)
{
    for (uint64_t i = r->tarot.required; i < f->best_n; i++) r->step[f->sides.row[i]] = PICKED;
    json_t *facts = json_pack("{s:I, s:I, s:O, s:O}", "k", (json_int_t)f->best_k, "picked",
                              (json_int_t)f->best_n, "sizes", f->size, "distances", f->distance);
    if (facts && json_array_append_new(r->facts, facts) == 0) return TAMIS_OK;
    return tamis__fail_memory(err, "a selection's provenance", 0);
}

static tamis_status run_fold(run *r, uint64_t at, tamis_error *err)
{
    uint64_t m = r->tarot.m, first = tamis__fold_start(m, r->folds, at), n = 0;
    uint64_t end = tamis__fold_start(m, r->folds, at + 1);
    fold f = {.number = at + 1, .picker = r->order + first, .pickers = end - first};
    for (uint64_t i = 0; i < m; i++)
        if (i < first || i >= end) r->judge[n++] = r->order[i];
    /* A single target judges what it picks. */
    if (n == 0) r->judge[n++] = r->order[0];
    qsort(r->judge, n, sizeof *r->judge, by_row);
    f.size = json_array();
    f.distance = json_array();
    tamis_status status = f.size && f.distance
                              ? tamis__tarot_sides_init(&f.sides, &r->tarot, r->judge, n, err)
                              : tamis__fail_memory(err, "a selection's provenance", 0);
    if (status == TAMIS_OK) status = add_required(r, &f, err);
    if (status == TAMIS_OK) status = search(r, &f, err);
    if (status == TAMIS_OK) status = keep(r, &f, err);
    if (status == TAMIS_OK)
        status = tamis__progress(r->tarot.context, "choosing", at + 1, r->folds, "folds", NULL,
                                 err);
    tamis__tarot_sides_fini(&f.sides);
    json_decref(f.size);
    json_decref(f.distance);
    return status;
}

/* --- the selection ---------------------------------------------------------------------------- */

static tamis_status run_folds(run *r, const tamis__candidates *c, tamis_error *err)
{
    uint64_t seed = r->o->options.compat ? 42 : c->seed, kept = 0, required = 0;
    for (uint64_t i = 0; i < r->tarot.n; i++) {
        if (!tamis__tarot_required(&r->tarot, i)) continue;
        r->required[required++] = i;
        r->step[i] = REQUIRED;
    }
    if (r->folds < r->o->folds)
        tamis__log(c->context, TAMIS_LOG_INFO,
                   "tarot-otm: %" PRIu64 " targets make %" PRIu64 " folds, not %" PRIu64,
                   r->tarot.m, r->folds, r->o->folds);
    TAMIS_TRY(tamis__shuffle_folds(r->tarot.m, seed, r->order, err));
    TAMIS_TRY(tamis__tarot_lists(&r->tarot, FIRST_LENGTH < r->most ? FIRST_LENGTH : r->most, err));
    for (uint64_t i = 0; i < r->folds; i++) TAMIS_TRY(run_fold(r, i, err));
    for (uint64_t i = 0; i < r->tarot.n; i++) kept += r->step[i] != NOT_PICKED;
    if (kept > 0) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "tarot-otm: no row of '%s' has a score above 0 with a target in '%s': they "
                       "have nothing in common",
                       tamis_store_path(r->tarot.train), tamis_store_path(r->tarot.query));
}

static tamis_status give(run *r, tamis_selection *selection, tamis_error *err)
{
    const char *const reason[] = {"not picked by a fold of the targets", "must be kept",
                                  "among the nearest candidates of a fold of the targets"};
    TAMIS_TRY(tamis__tarot_give(&r->tarot, r->step, reason, selection, err));
    TAMIS_TRY(tamis__tarot_weigh(&r->tarot, selection, err));
    json_t *facts = json_pack("{s:s, s:I, s:O}", "solver", solver_names[r->o->solver], "targets",
                              (json_int_t)r->tarot.m, "folds", r->facts);
    return tamis__selection_facts(selection, facts, err);
}

static tamis_status allocate(run *r, tamis_error *err)
{
    uint64_t n = r->tarot.n, m = r->tarot.m;
    r->order = tamis__malloc(m, sizeof *r->order);
    r->judge = tamis__malloc(m + 1, sizeof *r->judge);
    r->fresh = tamis__malloc(m, sizeof *r->fresh);
    r->stamp = tamis__calloc(n, sizeof *r->stamp);
    r->required = tamis__malloc(r->tarot.required, sizeof *r->required);
    r->step = tamis__calloc(n, sizeof *r->step);
    r->facts = json_array();
    if (r->order && r->judge && r->fresh && r->stamp && r->required && r->step && r->facts)
        return TAMIS_OK;
    return tamis__fail_memory(err, "folds", (3 * m + n) * sizeof *r->order);
}

static tamis_status choose(void *state, const tamis__candidates *c, tamis_selection *selection,
                           tamis_error *err)
{
    const otm *o = state;
    run r = {.o = o};
    uint64_t asked = o->options.neighbours ? o->options.neighbours : MOST_LENGTH;
    TAMIS_TRY(tamis__tarot_open(&r.tarot, c, &o->options, err));
    r.folds = o->folds < r.tarot.m ? o->folds : r.tarot.m;
    r.most = asked < c->rows ? asked : c->rows;
    /* As released: the last layer is never tried. */
    if (o->options.compat && r.most > 1) r.most--;
    tamis_status status = allocate(&r, err);
    if (status == TAMIS_OK) status = run_folds(&r, c, err);
    if (status == TAMIS_OK) status = give(&r, selection, err);
    free(r.order);
    free(r.judge);
    free(r.fresh);
    free(r.stamp);
    free(r.required);
    free(r.step);
    json_decref(r.facts);
    tamis__tarot_close(&r.tarot);
    return status;
}

const tamis__selector_class tamis__selector_tarot_otm = {
    .abi = TAMIS__SELECTOR_ABI,
    .info = {.name = "tarot-otm",
             .summary = "keep as many near candidates as bring them nearest to held-out targets",
             .citation = "Feng, Nie, Liang and Alahi, TAROT: Targeted Data Selection via Optimal "
                         "Transport, ICML 2025: optimal transport distance minimisation",
             .flags = TAMIS_SELECTOR_STORES | TAMIS_SELECTOR_NO_BUDGET | TAMIS_SELECTOR_LISTS,
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .state_size = sizeof(otm),
    .init = init,
    .select = choose,
};
