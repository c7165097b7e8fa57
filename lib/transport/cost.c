/* Costs between two sides: of the caller's matrix in place, else held as doubles where they fit,
 * else computed for each tile.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "transport/cost.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

enum { ROWS = TAMIS__COST_ROWS, COLUMNS = TAMIS__COST_COLUMNS, PANEL = TAMIS__POINT_PANEL };

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* --- the problem ------------------------------------------------------------------------------ */

static tamis_status check(const tamis_transport_problem *p, tamis_error *err)
{
    bool points = p->x || p->y;
    int sources = (p->cost_f64 != NULL) + (p->cost_f32 != NULL) + points + (p->row != NULL);
    if (p->n == 0 || p->m == 0)
        return tamis__fail(err, TAMIS_ERR_ARG, "side %c has no points: give at least one",
                           p->n == 0 ? 'a' : 'b');
    if (p->n > INT32_MAX || p->m > INT32_MAX)
        return tamis__fail(err, TAMIS_ERR_ARG, "a side has more than 2^31 points: take fewer");
    if (sources != 1)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "costs come from %d sources: give one of a matrix, points or a function",
                           sources);
    if (points && (!p->x || !p->y || p->columns == 0))
        return tamis__fail(err, TAMIS_ERR_ARG, "points need both sides and at least one column");
    if ((unsigned)p->cost > TAMIS_COST_COSINE)
        return tamis__fail(err, TAMIS_ERR_ARG, "there is no cost number %d", (int)p->cost);
    for (uint64_t j = 0; p->start && j < p->m; j++)
        if (!isfinite(p->start[j]))
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "potential %" PRIu64
                               " to start from is %g: give finite ones, or none",
                               j, p->start[j]);
    if (p->cost_stride != 0 && p->cost_stride < p->m)
        return tamis__fail(err, TAMIS_ERR_ARG, "a stride of %zu is below the %" PRIu64 " columns",
                           p->cost_stride, p->m);
    return TAMIS_OK;
}

/* --- tiles ------------------------------------------------------------------------------------ */

size_t tamis__cost_scratch(const tamis__cost *cost, size_t rows)
{
    if (cost->online && cost->problem->row) return cost->m;
    return rows * (COLUMNS + PANEL);
}

/* Rows of side b are columns of the matrix. Eight values of a row are written at once: rows of a
 * tile are 4 KiB apart, so that one value of each row after the other would drive the lines they
 * lie in out of the cache. */
static void turn(const tamis__cost *c, uint64_t first_row, size_t rows, uint64_t first,
                 size_t columns, double *out)
{
    size_t stride = c->stride;
    if (c->f32) {
        c->softmin.turn(out, COLUMNS, c->f32 + first * stride + first_row, stride, c->unit, rows,
                        columns);
        return;
    }
    for (size_t j = 0; j < columns; j += 8) {
        size_t n = columns - j < 8 ? columns - j : 8, at = (first + j) * stride + first_row;
        for (size_t i = 0; i < rows; i++, at++) {
            double *restrict to = out + i * COLUMNS + j;
            const double *restrict from = c->f64 + at;
            if (n == 8)
                for (size_t k = 0; k < 8; k++) to[k] = from[k * stride];
            else
                for (size_t k = 0; k < n; k++) to[k] = from[k * stride];
        }
    }
}

const double *tamis__cost_tile(const tamis__cost *c, int side, uint64_t first_row, size_t rows,
                               uint64_t first, size_t columns, double *scratch, size_t *ret_stride)
{
    if (c->f64 && side == 0) {
        *ret_stride = c->stride;
        return c->f64 + first_row * c->stride + first;
    }
    *ret_stride = COLUMNS;
    if (c->f64 || (c->f32 && side == 1)) {
        turn(c, first_row, rows, first, columns, scratch);
    } else if (c->f32) {
        for (size_t i = 0; i < rows; i++)
            c->softmin.widen(scratch + i * COLUMNS, c->f32 + (first_row + i) * c->stride + first,
                             c->unit, columns);
    } else if (c->problem->row) {
        c->problem->row(c->problem->cookie, first_row, scratch);
        return scratch + first;
    } else {
        uint64_t down = first % PANEL;
        *ret_stride = COLUMNS + PANEL;
        tamis__points_tile(&c->points, side, first_row, rows, first - down, columns + down, scratch,
                           COLUMNS + PANEL);
        return scratch + down;
    }
    return scratch;
}

/* --- one look at all -------------------------------------------------------------------------- */

/* Of a block of rows, so that sums are added in their order. */
typedef struct part {
    double sum, least, most;
} part;

typedef struct look {
    tamis__cost *cost;
    double *keep;       /* [n, m], or */
    float *keep_floats; /* [n, m], over the unit, or neither */
    double **scratch;
    size_t rows; /* of a block */
    uint64_t blocks;
    part *part; /* [blocks] */
} look;

static tamis_status refuse_cost(uint64_t row, uint64_t column, double cost, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "the cost of row %" PRIu64 " of side a with row %" PRIu64
                       " of side b is %g: costs are finite numbers",
                       row, column, cost);
}

static tamis_status look_at(const double *cost, size_t columns, uint64_t row, uint64_t first,
                            part *p, tamis_error *err)
{
    double sum = 0;
    for (size_t j = 0; j < columns; j++) {
        sum += cost[j];
        p->least = cost[j] < p->least ? cost[j] : p->least;
        p->most = cost[j] > p->most ? cost[j] : p->most;
    }
    p->sum += sum;
    if (isfinite(sum)) return TAMIS_OK;
    for (size_t j = 0; j < columns; j++)
        if (!isfinite(cost[j])) return refuse_cost(row, first + j, cost[j], err);
    return tamis__fail(err, TAMIS_ERR_NUMERIC, "costs are too large to be added: scale them");
}

/* They are floats times the unit. */
static void narrow(float *out, const double *in, double factor, size_t n)
{
    for (size_t j = 0; j < n; j++) out[j] = (float)(in[j] * factor);
}

static tamis_status look_work(void *arg, uint64_t item, unsigned slot, unsigned worker,
                              tamis_error *err)
{
    look *l = arg;
    const tamis__cost *c = l->cost;
    uint64_t first_row = item * l->rows;
    size_t rows = (size_t)lesser(l->rows, c->n - first_row), stride;
    part p = {0, (double)INFINITY, -(double)INFINITY};
    (void)slot;
    uint64_t step = c->problem->row ? c->m : COLUMNS;
    for (uint64_t j = 0; j < c->m; j += step) {
        size_t columns = (size_t)lesser(step, c->m - j);
        const double *tile = tamis__cost_tile(c, 0, first_row, rows, j, columns, l->scratch[worker],
                                              &stride);
        for (size_t i = 0; i < rows; i++) {
            TAMIS_TRY(look_at(tile + i * stride, columns, first_row + i, j, &p, err));
            if (l->keep)
                memcpy(l->keep + (first_row + i) * c->m + j, tile + i * stride,
                       columns * sizeof *tile);
            if (l->keep_floats)
                narrow(l->keep_floats + (first_row + i) * c->m + j, tile + i * stride,
                       1.0 / c->unit, columns);
        }
    }
    l->part[item] = p;
    return TAMIS_OK;
}

static tamis_status look_progress(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    look *l = arg;
    (void)slot;
    return tamis__progress(l->cost->context, "costs", item + 1, l->blocks, "blocks", NULL, err);
}

/* A function of the caller is not called from several threads. */
static tamis_status look_alone(look *l, tamis_error *err)
{
    for (uint64_t i = 0; i < l->blocks; i++) {
        TAMIS_TRY(look_work(l, i, 0, 0, err));
        TAMIS_TRY(look_progress(l, i, 0, err));
    }
    return TAMIS_OK;
}

static void look_end(look *l)
{
    tamis__cost *c = l->cost;
    double sum = 0;
    c->least = (double)INFINITY;
    c->most = -(double)INFINITY;
    for (uint64_t i = 0; i < l->blocks; i++) {
        sum += l->part[i].sum;
        c->least = l->part[i].least < c->least ? l->part[i].least : c->least;
        c->most = l->part[i].most > c->most ? l->part[i].most : c->most;
    }
    c->mean = sum / (double)c->n / (double)c->m;
    c->largest = fmax(fabs(c->least), fabs(c->most));
}

static tamis_status look_through(tamis__cost *c, tamis_error *err)
{
    unsigned threads = tamis__pool_threads(c->context->pool);
    bool alone = c->problem->row != NULL;
    look l = {.cost = c, .keep = c->held, .keep_floats = c->held_floats, .rows = alone ? 1 : ROWS};
    l.blocks = (c->n + l.rows - 1) / l.rows;
    l.part = tamis__calloc(l.blocks, sizeof *l.part);
    l.scratch = tamis__calloc(threads, sizeof *l.scratch);
    bool enough = l.part && l.scratch;
    for (unsigned i = 0; enough && i < threads; i++)
        enough = (l.scratch[i] = tamis__aligned(tamis__cost_scratch(c, ROWS), sizeof(double))) !=
                 NULL;
    tamis__pipeline pipeline = {
        .arg = &l, .items = l.blocks, .work = look_work, .consume = look_progress};
    tamis_status status = !enough ? tamis__fail_memory(err, "tiles of costs", l.blocks)
                          : alone ? look_alone(&l, err)
                                  : tamis__pool_run(c->context->pool, &pipeline, err);
    if (status == TAMIS_OK) look_end(&l);
    for (unsigned i = 0; l.scratch && i < threads; i++) free(l.scratch[i]);
    free(l.scratch);
    free(l.part);
    return status;
}

/* Exponents of all ones are those of what is not finite. */
static bool all_finite(const float *cost, size_t n)
{
    const uint32_t ones = UINT32_C(0x7f800000);
    uint32_t found = 0;
    for (size_t j = 0; j < n; j++) {
        uint32_t bits;
        memcpy(&bits, cost + j, sizeof bits);
        found |= (bits & ones) == ones;
    }
    return !found;
}

tamis_status tamis__cost_check_floats(const tamis_transport_problem *p, tamis_error *err)
{
    size_t stride = p->cost_stride ? p->cost_stride : p->m;
    TAMIS_TRY(check(p, err));
    for (uint64_t i = 0; i < p->n; i++) {
        const float *cost = p->cost_f32 + i * stride;
        if (all_finite(cost, p->m)) continue;
        for (uint64_t j = 0; j < p->m; j++)
            if (!isfinite(cost[j])) return refuse_cost(i, j, (double)cost[j], err);
    }
    return TAMIS_OK;
}

/* --- open and close --------------------------------------------------------------------------- */

/* Do so many bytes for each cost fit half of the memory limit, beside the points? */
static bool fits(const tamis__cost *c, uint64_t each, uint64_t points)
{
    return c->m < UINT64_MAX / 2 / each / c->n &&
           c->n * c->m * each + points <= c->context->memory / 2;
}

static tamis_status hold(tamis__cost *c, bool floats, tamis_error *err)
{
    uint64_t each = floats ? sizeof(float) : sizeof(double);
    if (floats)
        c->held_floats = tamis__malloc(c->n * c->m, each);
    else
        c->held = tamis__malloc(c->n * c->m, each);
    if (!c->held && !c->held_floats) return tamis__fail_memory(err, "costs", c->n * c->m * each);
    TAMIS_TRY(look_through(c, err));
    tamis__points_fini(&c->points);
    c->f64 = c->held;
    c->f32 = c->held_floats;
    c->bytes = c->n * c->m * each;
    c->online = false;
    return TAMIS_OK;
}

static tamis_status open_computed(tamis__cost *c, bool both, tamis_error *err)
{
    uint64_t points = c->problem->x ? tamis__points_bytes(c->problem) : 0;
    bool floats = points > 0 && !tamis__points_direct(c->problem);
    bool held = fits(c, floats ? sizeof(float) : sizeof(double), points);
    if (both && c->problem->row && !held)
        return tamis__fail(err, TAMIS_ERR_NOMEM,
                           "%" PRIu64 " x %" PRIu64
                           " costs of a function do not fit half of the memory limit: "
                           "raise --memory, or give points",
                           c->n, c->m);
    TAMIS_TRY(tamis__memory_check(c->context, 2 * points, "transport between these points", err));
    if (points > 0) {
        TAMIS_TRY(tamis__points_init(&c->points, c->context, c->problem, both && !held, err));
        c->unit = c->points.unit;
    }
    c->diameter = c->points.diameter;
    c->online = true;
    if (held) return hold(c, floats, err);
    c->bytes = points;
    return look_through(c, err);
}

tamis_status tamis__cost_open(tamis__cost *ret_cost, tamis_context *context,
                              const tamis_transport_problem *problem, bool both, tamis_error *err)
{
    TAMIS_TRY(check(problem, err));
    tamis__cost c = {.context = context,
                     .problem = problem,
                     .n = problem->n,
                     .m = problem->m,
                     .f64 = problem->cost_f64,
                     .f32 = problem->cost_f32,
                     .unit = 1.0};
    c.stride = problem->cost_stride ? problem->cost_stride : problem->m;
    tamis__softmin_init(&c.softmin, context->cpu);
    tamis_status status;
    if (c.f64 || c.f32) {
        status = look_through(&c, err);
    } else {
        c.stride = c.m;
        status = open_computed(&c, both, err);
    }
    if (status != TAMIS_OK)
        tamis__cost_close(&c);
    else
        *ret_cost = c;
    return status;
}

void tamis__cost_close(tamis__cost *cost)
{
    free(cost->held);
    free(cost->held_floats);
    tamis__points_fini(&cost->points);
    *cost = (tamis__cost){0};
}
