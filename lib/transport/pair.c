/* One pass over float costs for both sides' softmins.
 *
 * A tile of rows and columns is gone through twice while it is in the cache: for what is largest in
 * each row and column, then for the exponentials below that.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "transport/pair.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "transport/cost.h"

/* Their sizes are part of the result's last bits. Fewer costs than ALONE are not worth waking
 * threads for. */
enum { ROWS = 32, COLUMNS = 2048, ALONE = 1 << 15 };

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* --- memory ----------------------------------------------------------------------------------- */

static tamis__pipeline pipeline_of(uint64_t n)
{
    return (tamis__pipeline){.items = (n + ROWS - 1) / ROWS};
}

tamis_status tamis__pair_begin(tamis__pair *ret_pair, tamis_context *context,
                               const tamis_transport_problem *problem, const char *phase,
                               tamis_error *err)
{
    TAMIS_TRY(tamis__cost_check_floats(problem, err));
    tamis__pair p = {.context = context,
                     .cost = problem->cost_f32,
                     .stride = problem->cost_stride ? problem->cost_stride : problem->m,
                     .n = problem->n,
                     .m = problem->m,
                     .phase = phase};
    tamis__pipeline pipeline = pipeline_of(p.n);
    uint64_t slots = tamis__pool_slots(context->pool, &pipeline), m = p.m;
    tamis__softmin_pair_init(&p.kernels, context->cpu);
    p.own = tamis__aligned(p.n, sizeof *p.own);
    p.h = tamis__aligned(m, sizeof *p.h);
    p.top = tamis__aligned(m, sizeof *p.top);
    p.all = tamis__aligned(m, sizeof *p.all);
    p.part_top = tamis__aligned(slots * m, sizeof *p.part_top);
    p.part_sum = tamis__aligned(slots * m, sizeof *p.part_sum);
    if (!p.own || !p.h || !p.top || !p.all || !p.part_top || !p.part_sum) {
        tamis__pair_end(&p);
        return tamis__fail_memory(err, "sums of columns",
                                  p.n * 4 + m * (16 + 2 * slots * sizeof *p.part_top));
    }
    *ret_pair = p;
    return TAMIS_OK;
}

void tamis__pair_end(tamis__pair *p)
{
    free(p->own);
    free(p->h);
    free(p->top);
    free(p->all);
    free(p->part_top);
    free(p->part_sum);
    *p = (tamis__pair){0};
}

/* --- a pass ----------------------------------------------------------------------------------- */

typedef struct pass {
    tamis__pair *pair;
    float rate;
    double *rows;
} pass;

/* Rows of a sum that grows by tiles: sum * exp(top). */
typedef struct running {
    double top[ROWS], sum[ROWS];
} running;

static void add_row(running *r, size_t i, double most, double sum)
{
    if (!(most > -(double)INFINITY)) return;
    if (most > r->top[i]) {
        r->sum[i] *= exp(r->top[i] - most);
        r->top[i] = most;
        r->sum[i] += sum;
    } else {
        r->sum[i] += sum * exp(most - r->top[i]);
    }
}

static void do_tile(const pass *s, uint64_t first_row, size_t rows, uint64_t first, size_t columns,
                    float *top, float *sum, running *r)
{
    const tamis__pair *p = s->pair;
    const float *cost = p->cost + first_row * p->stride + first, *h = p->h + first;
    float most[ROWS];
    for (size_t j = 0; j < columns; j++) top[j] = -HUGE_VALF;
    memset(sum, 0, columns * sizeof *sum);
    for (size_t i = 0; i < rows; i++)
        most[i] = p->kernels.tops(cost + i * p->stride, h, p->own[first_row + i], s->rate, top,
                                  columns);
    for (size_t i = 0; i < rows; i++)
        add_row(r, i, (double)most[i],
                (double)p->kernels.sums(cost + i * p->stride, h, p->own[first_row + i], s->rate,
                                        most[i], top, sum, columns));
}

static tamis_status work(void *arg, uint64_t item, unsigned slot, unsigned worker, tamis_error *err)
{
    (void)worker, (void)err;
    const pass *s = arg;
    const tamis__pair *p = s->pair;
    uint64_t first_row = item * ROWS;
    size_t rows = (size_t)lesser(ROWS, p->n - first_row);
    running r = {.sum = {0}};
    for (size_t i = 0; i < rows; i++) r.top[i] = -(double)INFINITY;
    for (uint64_t j = 0; j < p->m; j += COLUMNS)
        do_tile(s, first_row, rows, j, (size_t)lesser(COLUMNS, p->m - j),
                p->part_top + slot * p->m + j, p->part_sum + slot * p->m + j, &r);
    for (size_t i = 0; i < rows; i++) s->rows[first_row + i] = r.top[i] + log(r.sum[i]);
    return TAMIS_OK;
}

static tamis_status join(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)item;
    const pass *s = arg;
    tamis__pair *p = s->pair;
    p->kernels.join(p->top, p->all, p->part_top + slot * p->m, p->part_sum + slot * p->m,
                    (size_t)p->m);
    return tamis__progress(p->context, p->phase, p->done, p->total, "iterations", NULL, err);
}

static tamis_status run(pass *s, tamis_error *err)
{
    const tamis__pair *p = s->pair;
    tamis__pipeline pipeline = pipeline_of(p->n);
    pipeline.arg = s;
    pipeline.work = work;
    pipeline.consume = join;
    if (p->n * p->m > ALONE) return tamis__pool_run(p->context->pool, &pipeline, err);
    for (uint64_t i = 0; i < pipeline.items; i++) {
        TAMIS_TRY(work(s, i, 0, 0, err));
        TAMIS_TRY(join(s, i, 0, err));
    }
    return TAMIS_OK;
}

tamis_status tamis__pair_pass(tamis__pair *p, const double *own, const double *h, double rate,
                              double *rows, double *columns, tamis_error *err)
{
    pass s = {.pair = p, .rate = (float)rate, .rows = rows};
    for (uint64_t i = 0; i < p->n; i++) p->own[i] = (float)own[i];
    for (uint64_t j = 0; j < p->m; j++) p->h[j] = (float)h[j];
    for (uint64_t j = 0; j < p->m; j++) p->top[j] = -HUGE_VALF;
    memset(p->all, 0, p->m * sizeof *p->all);
    TAMIS_TRY(run(&s, err));
    for (uint64_t j = 0; j < p->m; j++) columns[j] = (double)p->top[j] + log(p->all[j]);
    return TAMIS_OK;
}
