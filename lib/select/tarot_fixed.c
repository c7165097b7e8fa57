/* tarot-fixed: layers of the targets' nearest candidates, up to the budget.
 *
 * Layer i holds the i-th nearest candidate of every target. Whole layers are taken while they fit;
 * of the first that does not, as many of its new members as are missing. Rows that must be kept
 * come before all layers.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "select/facts.h"
#include "select/tarot.h"

enum { LAST = TAMIS__TAROT_SHARED };
enum { NEAREST, POTENTIAL_DESC };
enum { NOT_CHOSEN, REQUIRED, WHOLE_LAYER, LAST_LAYER };

static const char *const last_names[] = {"nearest", "potential-desc", NULL};

static const tamis_param_desc params[] = {
    TAMIS__TAROT_PARAMS,
    {.name = "last",
     .help = "of the last layer: the best scores, or the dearest to move, as compat does",
     .type = TAMIS_PARAM_CHOICE,
     .choices = last_names},
};

typedef struct fixed {
    tamis__tarot_options options;
    int last;
} fixed;

static tamis_status init(void *state, const tamis_param_value *param, tamis_error *err)
{
    fixed *f = state;
    f->last = (int)param[LAST].number;
    TAMIS_TRY(tamis__tarot_read("tarot-fixed", param, &f->options, err));
    if (f->options.compat && !param[LAST].given) f->last = POTENTIAL_DESC;
    return TAMIS_OK;
}

/* --- layers ----------------------------------------------------------------------------------- */

typedef struct member {
    uint64_t row;
    double value; /* by which members of the last layer are chosen */
} member;

typedef struct run {
    const fixed *f;
    const tamis__candidates *c;
    tamis__tarot tarot;
    uint64_t most; /* layers that there can be */
    uint8_t *step; /* [n] 0 = not chosen, then what they were chosen by */
    member *layer; /* [m] new members of a layer */
    uint64_t chosen, layers, partly;
} run;

static int by_row(const void *left, const void *right)
{
    const member *a = left, *b = right;
    if (a->row != b->row) return a->row < b->row ? -1 : 1;
    return (a->value < b->value) - (a->value > b->value);
}

static int by_value(const void *left, const void *right)
{
    const member *a = left, *b = right;
    if (a->value != b->value) return a->value > b->value ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

/* What layer `at` adds, by row, each with its best score in the layer. */
static uint64_t new_members(const run *r, uint64_t at)
{
    const tamis__tarot *t = &r->tarot;
    uint64_t n = 0, kept = 0;
    for (uint64_t j = 0; j < t->m; j++) {
        uint64_t row = t->row[j * t->k + at];
        if (row < t->n && r->step[row] == 0)
            r->layer[n++] = (member){row, (double)t->score[j * t->k + at]};
    }
    qsort(r->layer, n, sizeof *r->layer, by_row);
    for (uint64_t i = 0; i < n; i++)
        if (i == 0 || r->layer[i].row != r->layer[i - 1].row) r->layer[kept++] = r->layer[i];
    return kept;
}

/* Potentials between the new members alone and all targets. */
static tamis_status find_potentials(run *r, uint64_t n, tamis_error *err)
{
    tamis__tarot_sides s = {0};
    TAMIS_TRY(tamis__tarot_sides_init(&s, &r->tarot, NULL, r->tarot.m, err));
    uint64_t *row = tamis__malloc(n, sizeof *row);
    double *potential = tamis__malloc(n, sizeof *potential);
    tamis_status status = row && potential ? TAMIS_OK
                                           : tamis__fail_memory(err, "potentials", n * sizeof *row);
    for (uint64_t i = 0; i < n && status == TAMIS_OK; i++) row[i] = r->layer[i].row;
    if (status == TAMIS_OK) status = tamis__tarot_sides_add(&s, row, n, err);
    if (status == TAMIS_OK) status = tamis__tarot_sides_potentials(&s, potential, err);
    for (uint64_t i = 0; i < n && status == TAMIS_OK; i++) r->layer[i].value = potential[i];
    free(row);
    free(potential);
    tamis__tarot_sides_fini(&s);
    return status;
}

static tamis_status take_part(run *r, uint64_t n, tamis_error *err)
{
    uint64_t wanted = r->c->budget - r->chosen;
    /* As released: none missing takes all. */
    if (r->f->options.compat && wanted == 0) wanted = n;
    if (wanted == 0) return TAMIS_OK;
    if (r->f->last == POTENTIAL_DESC) TAMIS_TRY(find_potentials(r, n, err));
    qsort(r->layer, n, sizeof *r->layer, by_value);
    for (uint64_t i = 0; i < wanted; i++) r->step[r->layer[i].row] = LAST_LAYER;
    r->chosen += wanted;
    r->partly = wanted;
    return TAMIS_OK;
}

/* Longer lists, until there is the layer; false when there is none. */
static tamis_status has_layer(run *r, uint64_t at, bool *ret_has, tamis_error *err)
{
    uint64_t longer = 4 * r->tarot.k < r->most ? 4 * r->tarot.k : r->most;
    *ret_has = at < r->most;
    if (!*ret_has || at < r->tarot.k) return TAMIS_OK;
    return tamis__tarot_lists(&r->tarot, longer, err);
}

static tamis_status take_required(run *r, tamis_error *err)
{
    for (uint64_t i = 0; i < r->tarot.n; i++)
        if (tamis__tarot_required(&r->tarot, i)) r->step[i] = REQUIRED;
    r->chosen = r->tarot.required;
    if (r->chosen <= r->c->budget) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "tarot-fixed: %" PRIu64 " rows must be kept, the budget '%s' is %" PRIu64
                       ": raise it or keep fewer",
                       r->chosen, r->c->budget_text, r->c->budget);
}

static tamis_status take_layers(run *r, tamis_error *err)
{
    bool has = true, full = r->chosen == r->c->budget;
    while (!full) {
        TAMIS_TRY(has_layer(r, r->layers, &has, err));
        if (!has) break;
        uint64_t n = new_members(r, r->layers);
        full = n > r->c->budget - r->chosen;
        if (full) {
            TAMIS_TRY(take_part(r, n, err));
            break;
        }
        for (uint64_t i = 0; i < n; i++) r->step[r->layer[i].row] = WHOLE_LAYER;
        r->chosen += n;
        r->layers++;
        full = r->chosen == r->c->budget && !r->f->options.compat;
    }
    if (r->chosen >= r->c->budget) return TAMIS_OK;
    if (!r->f->options.compat)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "tarot-fixed: %" PRIu64 " neighbours of %" PRIu64 " targets are %" PRIu64
                           " rows, the budget is %" PRIu64 ": leave out neighbours=, or raise it",
                           r->most, r->tarot.m, r->chosen, r->c->budget);
    tamis__log(r->c->context, TAMIS_LOG_WARNING,
               "tarot-fixed: %" PRIu64 " rows are kept, not %" PRIu64
               ": there are no more among the %" PRIu64 " neighbours of each target",
               r->chosen, r->c->budget, r->most);
    return TAMIS_OK;
}

/* --- the selection ---------------------------------------------------------------------------- */

static tamis_status give(run *r, tamis_selection *selection, tamis_error *err)
{
    char whole[128], part[128];
    const char *const reason[] = {"not among the nearest candidates of the targets", "must be kept",
                                  whole, part};
    snprintf(whole, sizeof whole, "among the %" PRIu64 " nearest candidates of a target",
             r->layers);
    snprintf(part, sizeof part, "number %" PRIu64 " of a target's nearest candidates, chosen by %s",
             r->layers + 1, r->f->last == NEAREST ? "score" : "potential");
    TAMIS_TRY(tamis__tarot_give(&r->tarot, r->step, reason, selection, err));
    TAMIS_TRY(tamis__tarot_weigh(&r->tarot, selection, err));
    json_t *facts = json_pack("{s:I, s:I, s:I}", "targets", (json_int_t)r->tarot.m, "whole_layers",
                              (json_int_t)r->layers, "of_last_layer", (json_int_t)r->partly);
    return tamis__selection_facts(selection, facts, err);
}

/* After B layers a target alone has B candidates, those that must be kept among them or not, so
 * more of them are never needed. */
static uint64_t first_length(const run *r)
{
    uint64_t guess = 8 + 4 * (r->c->budget / r->tarot.m);
    return guess < r->most ? guess : r->most;
}

static tamis_status choose(void *state, const tamis__candidates *c, tamis_selection *selection,
                           tamis_error *err)
{
    const fixed *f = state;
    run r = {.f = f, .c = c, .most = f->options.compat ? c->rows : c->budget};
    if (f->options.neighbours > 0 && f->options.neighbours < r.most) r.most = f->options.neighbours;
    TAMIS_TRY(tamis__tarot_open(&r.tarot, c, &f->options, err));
    r.step = tamis__calloc(r.tarot.n, sizeof *r.step);
    r.layer = tamis__malloc(r.tarot.m, sizeof *r.layer);
    tamis_status status = r.step && r.layer
                              ? TAMIS_OK
                              : tamis__fail_memory(err, "layers", r.tarot.n + r.tarot.m);
    if (status == TAMIS_OK) status = take_required(&r, err);
    if (status == TAMIS_OK) status = tamis__tarot_lists(&r.tarot, first_length(&r), err);
    if (status == TAMIS_OK) status = take_layers(&r, err);
    if (status == TAMIS_OK) status = give(&r, selection, err);
    free(r.step);
    free(r.layer);
    tamis__tarot_close(&r.tarot);
    return status;
}

const tamis__selector_class tamis__selector_tarot_fixed = {
    .abi = TAMIS__SELECTOR_ABI,
    .info = {.name = "tarot-fixed",
             .summary = "keep the candidates nearest to each target, whitened, in layers",
             .citation = "Feng, Nie, Liang and Alahi, TAROT: Targeted Data Selection via Optimal "
                         "Transport, ICML 2025: fixed-size selection",
             .flags = TAMIS_SELECTOR_STORES | TAMIS_SELECTOR_LISTS,
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .state_size = sizeof(fixed),
    .init = init,
    .select = choose,
};
