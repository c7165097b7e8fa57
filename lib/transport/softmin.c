/* Passes over all costs, a block of rows at a time.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "transport/softmin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

enum { ROWS = TAMIS__COST_ROWS, COLUMNS = TAMIS__COST_COLUMNS, ALONE = 1 << 14 };

typedef struct pass {
    tamis__softmin *s;
    int side;
    const double *h, *k;
    double rate;
    double *out, *moved; /* [rows]; `moved` NULL: log sums only */
} pass;

tamis_status tamis__softmin_begin(tamis__softmin *ret_softmin, const tamis__cost *cost,
                                  const char *phase, tamis_error *err)
{
    tamis__softmin s = {
        .cost = cost, .phase = phase, .threads = tamis__pool_threads(cost->context->pool)};
    size_t size = tamis__cost_scratch(cost, ROWS) + COLUMNS;
    s.scratch = tamis__calloc(s.threads, sizeof *s.scratch);
    s.moved = tamis__malloc(2 * cost->n, sizeof *s.moved);
    bool enough = s.scratch && s.moved;
    for (unsigned i = 0; enough && i < s.threads; i++)
        enough = (s.scratch[i] = tamis__aligned(size, sizeof(double))) != NULL;
    if (!enough) {
        tamis__softmin_end(&s);
        return tamis__fail_memory(err, "tiles of costs", s.threads * size * sizeof(double));
    }
    *ret_softmin = s;
    return TAMIS_OK;
}

void tamis__softmin_end(tamis__softmin *s)
{
    for (unsigned i = 0; s->scratch && i < s->threads; i++) free(s->scratch[i]);
    free(s->scratch);
    free(s->moved);
    *s = (tamis__softmin){0};
}

/* Put a piece of a row's sum to what came before: sum * exp(top). */
static void add_piece(const tamis__softmin_kernels *kernels, const double *z, double most,
                      size_t columns, double *top, double *sum)
{
    if (most > *top) {
        *sum *= exp(*top - most);
        *top = most;
    }
    if (*top > -(double)INFINITY) *sum += kernels->sum_exp(z, *top, columns);
}

/* Mass and cost of a piece of a row of the plan. The exponentials are in z; what is added in which
 * order is fixed by the index. */
static void add_moved(const double *z, const double *cost, size_t columns, double *moved)
{
    double mass[4] = {0}, paid[4] = {0};
    for (size_t j = 0; j < columns; j++) {
        mass[j % 4] += z[j];
        paid[j % 4] += z[j] * cost[j];
    }
    moved[0] += (paid[0] + paid[1]) + (paid[2] + paid[3]);
    moved[1] += (mass[0] + mass[1]) + (mass[2] + mass[3]);
}

static void do_row(const pass *p, const double *cost, uint64_t row, uint64_t first, size_t columns,
                   double *z, double *top, double *sum)
{
    const tamis__softmin_kernels *kernels = &p->s->cost->softmin;
    double most = kernels->shift(z, p->h + first, cost, p->rate, columns);
    if (!p->moved) {
        add_piece(kernels, z, most, columns, top, sum);
    } else if (p->k[row] > -(double)INFINITY) {
        kernels->exp(z, -p->k[row], columns);
        add_moved(z, cost, columns, p->moved + 2 * row);
    }
}

static tamis_status work(void *arg, uint64_t item, unsigned slot, unsigned worker, tamis_error *err)
{
    const pass *p = arg;
    const tamis__cost *c = p->s->cost;
    uint64_t own = p->side ? c->m : c->n, other = p->side ? c->n : c->m, first_row = item * ROWS;
    size_t rows = (size_t)(own - first_row < ROWS ? own - first_row : ROWS), stride;
    double top[ROWS], sum[ROWS] = {0}, *z = p->s->scratch[worker];
    (void)slot, (void)err;
    for (size_t i = 0; i < rows; i++) top[i] = -(double)INFINITY;
    if (p->moved) memset(p->moved + 2 * first_row, 0, 2 * rows * sizeof *p->moved);
    for (uint64_t j = 0; j < other; j += COLUMNS) {
        size_t columns = (size_t)(other - j < COLUMNS ? other - j : COLUMNS);
        const double *tile = tamis__cost_tile(c, p->side, first_row, rows, j, columns, z + COLUMNS,
                                              &stride);
        for (size_t i = 0; i < rows; i++)
            do_row(p, tile + i * stride, first_row + i, j, columns, z, &top[i], &sum[i]);
    }
    for (size_t i = 0; i < rows && !p->moved; i++) p->out[first_row + i] = top[i] + log(sum[i]);
    return TAMIS_OK;
}

static tamis_status tell(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    const pass *p = arg;
    (void)item, (void)slot;
    return tamis__progress(p->s->cost->context, p->s->phase, p->s->done, p->s->total, "iterations",
                           NULL, err);
}

/* Waking threads takes longer than a few thousand exponentials. */
static tamis_status run(pass *p, tamis_error *err)
{
    const tamis__cost *c = p->s->cost;
    uint64_t own = p->side ? c->m : c->n, items = (own + ROWS - 1) / ROWS;
    tamis__pipeline pipeline = {.arg = p, .items = items, .work = work, .consume = tell};
    if (c->n * c->m > ALONE) return tamis__pool_run(c->context->pool, &pipeline, err);
    for (uint64_t i = 0; i < items; i++) TAMIS_TRY(work(p, i, 0, 0, err));
    return tell(p, 0, 0, err);
}

tamis_status tamis__softmin_pass(tamis__softmin *s, int side, const double *h, double rate,
                                 double *out, tamis_error *err)
{
    pass p = {.s = s, .side = side, .h = h, .rate = rate, .out = out};
    return run(&p, err);
}

tamis_status tamis__softmin_transport(tamis__softmin *s, const double *k, const double *h,
                                      double rate, double *ret_cost, double *ret_mass,
                                      tamis_error *err)
{
    pass p = {.s = s, .h = h, .k = k, .rate = rate, .moved = s->moved};
    TAMIS_TRY(run(&p, err));
    *ret_cost = *ret_mass = 0;
    for (uint64_t i = 0; i < s->cost->n; i++) {
        *ret_cost += s->moved[2 * i];
        *ret_mass += s->moved[2 * i + 1];
    }
    return TAMIS_OK;
}
