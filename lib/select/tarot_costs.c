/* Costs between candidates and all targets, of inner products that are computed once.
 *
 * Products are taken in float by the multipliers of scoring, |x|^2 + |y|^2 - 2 <x, y> in double;
 * where that loses digits, a pair is done again from its differences. The costs of a candidate are
 * held once they are made, as long as there is room, for the next fold that picks it.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "kernels/kernels.h"
#include "select/tarot.h"

/* Candidates that a thread takes at once, and that a page of held costs has. */
enum { ROWS = 16, PAGE = 256, PANEL = TAMIS__MAX_TILE };

/* --- targets ---------------------------------------------------------------------------------- */

/* Rows are of unit length, but for rounding, or zero; those count as 1 as they do in the cost. */
static double square_of(const float *row, uint64_t columns)
{
    double sum = 0;
    for (uint64_t c = 0; c < columns; c++) sum += (double)row[c] * (double)row[c];
    return sum > 0.5 ? sum : 1.0;
}

static size_t size_of_panel(const tamis__multiplier *m, uint64_t columns)
{
    uint64_t steps = columns / m->step, rest = columns % m->step;
    return (size_t)steps * m->size(PANEL, m->step) + (rest ? m->size(PANEL, (size_t)rest) : 0);
}

static void pack(const tamis__tarot *t, tamis__tarot_costs *c)
{
    const float *target = t->target.values[0];
    uint64_t p = t->columns;
    for (uint64_t first = 0; first < t->m; first += PANEL) {
        char *at = c->panels + first / PANEL * c->panel_bytes;
        uint64_t n = t->m - first < PANEL ? t->m - first : PANEL, step;
        for (uint64_t column = 0; column < p; column += step) {
            step = p - column < c->multiplier->step ? p - column : c->multiplier->step;
            c->multiplier->pack(at, target + first * p + column, p, n, PANEL, step);
            at += c->multiplier->size(PANEL, step);
        }
    }
    for (uint64_t j = 0; j < t->m; j++) c->square[j] = square_of(target + j * p, p);
}

/* At most a quarter of the memory limit is held, a quarter goes to rows, and the rest is for what
 * is made of them. */
static tamis_status open_costs(tamis__tarot *t, tamis_error *err)
{
    tamis__tarot_costs *c = &t->costs;
    uint64_t panels = (t->m + PANEL - 1) / PANEL, page = PAGE * t->m * sizeof(float);
    tamis__kernels kernels;
    tamis__kernels_init(&kernels, tamis_context_cpu(t->context));
    tamis__softmin_init(&c->softmin, tamis_context_cpu(t->context));
    c->multiplier = kernels.multiplier;
    c->panel_bytes = size_of_panel(c->multiplier, t->columns);
    c->width = panels * PANEL;
    c->pages = tamis_context_memory(t->context) / 4 / page;
    if (c->pages > (t->n + PAGE - 1) / PAGE) c->pages = (t->n + PAGE - 1) / PAGE;
    uint64_t bytes = panels * c->panel_bytes + t->n * sizeof *c->place +
                     t->workers * ROWS * c->width * sizeof(double);
    TAMIS_TRY(tamis__memory_check(t->context, t->bytes + bytes, "costs", err));
    c->panels = tamis__aligned(panels, c->panel_bytes);
    c->square = tamis__aligned(c->width, sizeof *c->square);
    c->place = tamis__calloc(t->n, sizeof *c->place);
    c->page = tamis__calloc(c->pages + 1, sizeof *c->page);
    c->inner = tamis__aligned(t->workers * ROWS * c->width, sizeof *c->inner);
    if (!c->panels || !c->square || !c->place || !c->page || !c->inner) {
        tamis__tarot_costs_fini(c);
        return tamis__fail_memory(err, "costs", bytes);
    }
    t->bytes += bytes;
    pack(t, c);
    return TAMIS_OK;
}

void tamis__tarot_costs_fini(tamis__tarot_costs *c)
{
    for (uint64_t i = 0; c->page && i < c->pages; i++) free(c->page[i]);
    free(c->panels);
    free(c->square);
    free(c->place);
    free(c->page);
    free(c->inner);
    *c = (tamis__tarot_costs){0};
}

/* --- costs ------------------------------------------------------------------------------------ */

typedef struct job {
    const tamis__tarot *tarot;
    const float *row;   /* [n, columns] unit rows */
    float *const *cost; /* [n] of [targets], where a row's costs go */
    uint64_t n;
} job;

/* The costs of one row that the formula gave up on, from the differences. */
static void mend(const tamis__tarot *t, const float *row, double own, double *cost)
{
    const float *target = t->target.values[0];
    for (uint64_t j = 0; j < t->m; j++) {
        double square = 0;
        if (cost[j] * cost[j] > 1.0001 * TAMIS__NEAR * (own + t->costs.square[j])) continue;
        for (uint64_t c = 0; c < t->columns; c++) {
            double off = (double)row[c] - (double)target[j * t->columns + c];
            square += off * off;
        }
        cost[j] = sqrt(square);
    }
}

static tamis_status make_some(void *arg, uint64_t item, unsigned slot, unsigned worker,
                              tamis_error *err)
{
    (void)slot, (void)err;
    const job *k = arg;
    const tamis__tarot *t = k->tarot;
    const tamis__tarot_costs *c = &t->costs;
    uint64_t p = t->columns, first = item * ROWS, left = k->n - first, step;
    uint64_t rows = left < ROWS ? left : ROWS;
    double *inner = c->inner + worker * ROWS * c->width;
    memset(inner, 0, rows * c->width * sizeof *inner);
    for (uint64_t j = 0; j < c->width; j += PANEL) {
        const char *panel = c->panels + j / PANEL * c->panel_bytes;
        for (uint64_t column = 0; column < p; column += step) {
            step = p - column < c->multiplier->step ? p - column : c->multiplier->step;
            c->multiplier->add(inner + j, c->width, k->row + first * p + column, p * sizeof(float),
                               rows, panel, PANEL, step);
            panel += c->multiplier->size(PANEL, step);
        }
    }
    for (uint64_t r = 0; r < rows; r++) {
        const float *row = k->row + (first + r) * p;
        double own = square_of(row, p), *cost = inner + r * c->width;
        if (c->softmin.distance(cost, c->square, own, 1.0, true, t->m) <= 0.0)
            mend(t, row, own, cost);
        for (uint64_t j = 0; j < t->m; j++) k->cost[first + r][j] = (float)cost[j];
    }
    return TAMIS_OK;
}

/* Where the costs of a candidate are to be held; NULL when there is no room. */
static float *new_place(tamis__tarot *t, uint64_t row)
{
    tamis__tarot_costs *c = &t->costs;
    uint64_t page = c->held / PAGE;
    if (page == c->pages) return NULL;
    if (!c->page[page]) {
        c->page[page] = tamis__malloc(PAGE * t->m, sizeof **c->page);
        if (!c->page[page]) return NULL;
        t->bytes += PAGE * t->m * sizeof **c->page;
    }
    c->place[row] = (uint32_t)++c->held;
    return c->page[page] + (c->held - 1) % PAGE * t->m;
}

tamis_status tamis__tarot_costs_of(tamis__tarot *t, const uint64_t *row, uint64_t n, float *unit,
                                   float *spare, const float **ret_cost, tamis_error *err)
{
    float *made[TAMIS__TAROT_BATCH];
    uint64_t fresh = 0, p = t->columns;
    if (!t->costs.panels) TAMIS_TRY(open_costs(t, err));
    const tamis__tarot_costs *c = &t->costs;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = c->place[row[i]];
        if (at > 0) {
            ret_cost[i] = c->page[(at - 1) / PAGE] + (at - 1) % PAGE * t->m;
            continue;
        }
        float *cost = new_place(t, row[i]);
        ret_cost[i] = made[fresh] = cost ? cost : spare + i * t->m;
        if (fresh < i) memcpy(unit + fresh * p, unit + i * p, p * sizeof *unit);
        fresh++;
    }
    job k = {.tarot = t, .row = unit, .cost = made, .n = fresh};
    tamis__pipeline pipeline = {.arg = &k, .items = (fresh + ROWS - 1) / ROWS, .work = make_some};
    return fresh == 0 ? TAMIS_OK : tamis__pool_run(t->context->pool, &pipeline, err);
}
