/* Distances between chosen candidates and targets.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/transport.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"
#include "select/tarot.h"

/* Candidates whose costs are made at once: always so many, zeros where there are fewer. */
enum { ROWS = 64 };

/* --- targets ---------------------------------------------------------------------------------- */

static void widen_box(float *low, float *high, const float *row, uint64_t columns)
{
    for (uint64_t c = 0; c < columns; c++) {
        low[c] = fminf(low[c], row[c]);
        high[c] = fmaxf(high[c], row[c]);
    }
}

/* Rows are of unit length, but for rounding, or zero; those count as 1 as they do in the cost. */
static double square_of(const double *row, uint64_t columns)
{
    double sum = 0;
    for (uint64_t c = 0; c < columns; c++) sum += row[c] * row[c];
    return sum > 0.5 ? sum : 1.0;
}

void tamis__tarot_sides_fini(tamis__tarot_sides *s)
{
    free(s->target);
    free(s->square);
    free(s->row);
    free(s->cost);
    free(s->low);
    *s = (tamis__tarot_sides){0};
}

tamis_status tamis__tarot_sides_init(tamis__tarot_sides *ret_sides, const tamis__tarot *t,
                                     const uint64_t *target, uint64_t m, tamis_error *err)
{
    uint64_t p = t->columns, bytes = m * (p + 1) * sizeof(double);
    tamis__tarot_sides s = {.tarot = t, .m = m};
    TAMIS_TRY(tamis__memory_check(t->context, t->bytes + bytes, "targets", err));
    s.target = tamis__aligned(m * p, sizeof *s.target);
    s.square = tamis__malloc(m, sizeof *s.square);
    s.low = tamis__malloc(2 * p, sizeof *s.low);
    if (!s.target || !s.square || !s.low) {
        tamis__tarot_sides_fini(&s);
        return tamis__fail_memory(err, "targets", bytes);
    }
    s.high = s.low + p;
    for (uint64_t c = 0; c < p; c++) {
        s.low[c] = HUGE_VALF;
        s.high[c] = -HUGE_VALF;
    }
    for (uint64_t j = 0; j < m; j++) {
        const float *from = t->target.values[0] + (target ? target[j] : j) * p;
        for (uint64_t c = 0; c < p; c++) s.target[j * p + c] = (double)from[c];
        s.square[j] = square_of(s.target + j * p, p);
        widen_box(s.low, s.high, from, p);
    }
    *ret_sides = s;
    return TAMIS_OK;
}

/* --- costs ------------------------------------------------------------------------------------ */

typedef struct costs {
    const tamis__tarot_sides *sides;
    const float *rows; /* [n, columns] */
    uint64_t n;
    double *row;     /* [worker] of [ROWS, columns] */
    double *product; /* [worker] of [ROWS, m] */
    double *out;     /* [n, m] */
} costs;

static tamis_status do_costs(void *arg, uint64_t item, unsigned slot, unsigned worker,
                             tamis_error *err)
{
    (void)slot;
    const costs *k = arg;
    const tamis__tarot_sides *s = k->sides;
    uint64_t p = s->tarot->columns, first = item * ROWS, left = k->n - first;
    uint64_t rows = left < ROWS ? left : ROWS;
    double *x = k->row + worker * ROWS * p, *inner = k->product + worker * ROWS * s->m;
    for (uint64_t i = 0; i < rows * p; i++) x[i] = (double)k->rows[first * p + i];
    memset(x + rows * p, 0, (ROWS - rows) * p * sizeof *x);
    TAMIS_TRY(
        tamis__dgemm(false, true, ROWS, s->m, p, 1.0, x, p, s->target, p, 0.0, inner, s->m, err));
    for (uint64_t r = 0; r < rows; r++) {
        double square = square_of(x + r * p, p), *out = k->out + (first + r) * s->m;
        for (uint64_t j = 0; j < s->m; j++)
            out[j] = sqrt(fabs(square + s->square[j] - 2.0 * inner[r * s->m + j]));
    }
    return TAMIS_OK;
}

static tamis_status make_costs(const tamis__tarot_sides *s, const float *rows, uint64_t n,
                               double *out, tamis_error *err)
{
    const tamis__tarot *t = s->tarot;
    costs k = {.sides = s, .rows = rows, .n = n, .out = out};
    tamis__pipeline pipeline = {.arg = &k, .items = (n + ROWS - 1) / ROWS, .work = do_costs};
    uint64_t each = t->workers * ROWS;
    TAMIS_TRY(
        tamis__memory_check(t->context, t->bytes + each * (t->columns + s->m) * 8, "costs", err));
    k.row = tamis__aligned(each * t->columns, sizeof *k.row);
    k.product = tamis__aligned(each * s->m, sizeof *k.product);
    tamis_status status = k.row && k.product
                              ? tamis__pool_run(t->context->pool, &pipeline, err)
                              : tamis__fail_memory(err, "costs", each * (t->columns + s->m) * 8);
    free(k.row);
    free(k.product);
    return status;
}

static tamis_status make_room(tamis__tarot_sides *s, uint64_t n, tamis_error *err)
{
    if (n <= s->room) return TAMIS_OK;
    uint64_t room = s->room + s->room / 2 > n ? s->room + s->room / 2 : n;
    uint64_t bytes = room * (s->m * sizeof *s->cost + sizeof *s->row);
    TAMIS_TRY(tamis__memory_check(s->tarot->context, s->tarot->bytes + bytes,
                                  "costs of chosen rows to the targets", err));
    double *cost = tamis__realloc(s->cost, room * s->m, sizeof *cost);
    if (cost) s->cost = cost;
    uint64_t *row = tamis__realloc(s->row, room, sizeof *row);
    if (row) s->row = row;
    if (!cost || !row) return tamis__fail_memory(err, "costs", bytes);
    s->room = room;
    return TAMIS_OK;
}

tamis_status tamis__tarot_sides_add(tamis__tarot_sides *s, const uint64_t *row, uint64_t n,
                                    tamis_error *err)
{
    uint64_t p = s->tarot->columns;
    if (n == 0) return TAMIS_OK;
    TAMIS_TRY(make_room(s, s->n + n, err));
    float *rows = tamis__malloc(n * p, sizeof *rows);
    if (!rows) return tamis__fail_memory(err, "rows", n * p * sizeof *rows);
    tamis__blas_begin();
    tamis_status status = tamis__tarot_take(s->tarot, row, n, rows, err);
    if (status == TAMIS_OK) status = make_costs(s, rows, n, s->cost + s->n * s->m, err);
    tamis__blas_end();
    if (status == TAMIS_OK) {
        memcpy(s->row + s->n, row, n * sizeof *row);
        for (uint64_t i = 0; i < n; i++) widen_box(s->low, s->high, rows + i * p, p);
        s->n += n;
    }
    free(rows);
    return status;
}

/* --- distances -------------------------------------------------------------------------------- */

/* Of the box around all points. The schedule needs one above 0: this is where it would end. */
static double diameter_of(const tamis__tarot_sides *s)
{
    double sum = 0;
    for (uint64_t c = 0; c < s->tarot->columns; c++) {
        double side = (double)s->high[c] - (double)s->low[c];
        sum += side * side;
    }
    return sum > 0 ? sqrt(sum) : 0.01;
}

static tamis_transport_problem problem_of(const tamis__tarot_sides *s)
{
    return (tamis_transport_problem){.n = s->n, .m = s->m, .cost_f64 = s->cost};
}

tamis_status tamis__tarot_sides_value(const tamis__tarot_sides *s, tamis__tarot_solver solver,
                                      double *ret_value, tamis_error *err)
{
    tamis_context *context = s->tarot->context;
    const tamis_transport_problem problem = problem_of(s);
    if (solver == TAMIS__TAROT_EXACT) {
        tamis_transport_exact_result exact = {0};
        TAMIS_TRY(tamis_transport_exact(context, &problem, &exact, err));
        *ret_value = exact.distance;
        tamis_transport_exact_fini(&exact);
    } else if (solver == TAMIS__TAROT_SINKHORN) {
        const tamis_transport_entropic_params params = {0};
        tamis_transport_entropic_result entropic = {0};
        TAMIS_TRY(tamis_transport_entropic(context, &problem, &params, &entropic, err));
        *ret_value = entropic.transport;
        tamis_transport_entropic_fini(&entropic);
    } else {
        tamis_transport_annealed_result annealed = {0};
        TAMIS_TRY(tamis_transport_annealed(context, &problem, diameter_of(s), &annealed, err));
        *ret_value = annealed.value;
        tamis_transport_annealed_fini(&annealed);
    }
    return TAMIS_OK;
}

tamis_status tamis__tarot_sides_potentials(const tamis__tarot_sides *s, double *out,
                                           tamis_error *err)
{
    const tamis_transport_problem problem = problem_of(s);
    tamis_transport_annealed_result annealed = {0};
    TAMIS_TRY(
        tamis_transport_annealed(s->tarot->context, &problem, diameter_of(s), &annealed, err));
    memcpy(out, annealed.f, s->n * sizeof *out);
    tamis_transport_annealed_fini(&annealed);
    return TAMIS_OK;
}
