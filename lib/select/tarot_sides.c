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

/* --- targets ---------------------------------------------------------------------------------- */

static void widen_box(float *low, float *high, const float *row, uint64_t columns)
{
    for (uint64_t c = 0; c < columns; c++) {
        low[c] = row[c] < low[c] ? row[c] : low[c];
        high[c] = row[c] > high[c] ? row[c] : high[c];
    }
}

void tamis__tarot_sides_fini(tamis__tarot_sides *s)
{
    free(s->row);
    free(s->cost);
    free(s->low);
    free(s->unit);
    free(s->spare);
    free(s->potential);
    *s = (tamis__tarot_sides){0};
}

tamis_status tamis__tarot_sides_init(tamis__tarot_sides *ret_sides, tamis__tarot *t,
                                     const uint64_t *target, uint64_t m, tamis_error *err)
{
    uint64_t p = t->columns, bytes = (TAMIS__TAROT_BATCH * (p + t->m) + 2 * p) * sizeof(float);
    tamis__tarot_sides s = {.tarot = t, .m = m, .target = target};
    TAMIS_TRY(tamis__memory_check(t->context, t->bytes + bytes, "costs", err));
    s.low = tamis__malloc(2 * p, sizeof *s.low);
    s.unit = tamis__aligned(TAMIS__TAROT_BATCH * p, sizeof *s.unit);
    s.spare = tamis__malloc(TAMIS__TAROT_BATCH * t->m, sizeof *s.spare);
    if (!s.low || !s.unit || !s.spare) {
        tamis__tarot_sides_fini(&s);
        return tamis__fail_memory(err, "costs", bytes);
    }
    s.high = s.low + p;
    for (uint64_t c = 0; c < p; c++) {
        s.low[c] = HUGE_VALF;
        s.high[c] = -HUGE_VALF;
    }
    for (uint64_t j = 0; j < m; j++)
        widen_box(s.low, s.high, t->target.values[0] + (target ? target[j] : j) * p, p);
    *ret_sides = s;
    return TAMIS_OK;
}

/* --- candidates ------------------------------------------------------------------------------- */

static tamis_status make_room(tamis__tarot_sides *s, uint64_t n, tamis_error *err)
{
    if (n <= s->room) return TAMIS_OK;
    uint64_t room = s->room + s->room / 2 > n ? s->room + s->room / 2 : n;
    uint64_t bytes = room * (s->m * sizeof *s->cost + sizeof *s->row);
    TAMIS_TRY(tamis__memory_check(s->tarot->context, s->tarot->bytes + bytes,
                                  "costs of chosen rows to the targets", err));
    float *cost = tamis__realloc(s->cost, room * s->m, sizeof *cost);
    if (cost) s->cost = cost;
    uint64_t *row = tamis__realloc(s->row, room, sizeof *row);
    if (row) s->row = row;
    if (!cost || !row) return tamis__fail_memory(err, "costs", bytes);
    s->room = room;
    return TAMIS_OK;
}

static void take_costs(tamis__tarot_sides *s, const float *const *cost, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        float *out = s->cost + (s->n + i) * s->m;
        for (uint64_t j = 0; j < s->m; j++) out[j] = cost[i][s->target ? s->target[j] : j];
    }
}

static tamis_status add_batch(tamis__tarot_sides *s, const uint64_t *row, uint64_t n,
                              tamis_error *err)
{
    const float *cost[TAMIS__TAROT_BATCH];
    uint64_t p = s->tarot->columns;
    TAMIS_TRY(tamis__tarot_take(s->tarot, row, n, s->unit, err));
    for (uint64_t i = 0; i < n; i++) widen_box(s->low, s->high, s->unit + i * p, p);
    TAMIS_TRY(tamis__tarot_costs_of(s->tarot, row, n, s->unit, s->spare, cost, err));
    take_costs(s, cost, n);
    memcpy(s->row + s->n, row, n * sizeof *row);
    s->n += n;
    return TAMIS_OK;
}

tamis_status tamis__tarot_sides_add(tamis__tarot_sides *s, const uint64_t *row, uint64_t n,
                                    tamis_error *err)
{
    TAMIS_TRY(make_room(s, s->n + n, err));
    tamis_status status = TAMIS_OK;
    tamis__blas_begin();
    for (uint64_t i = 0; i < n && status == TAMIS_OK; i += TAMIS__TAROT_BATCH) {
        uint64_t left = n - i;
        status = add_batch(s, row + i, left < TAMIS__TAROT_BATCH ? left : TAMIS__TAROT_BATCH, err);
    }
    tamis__blas_end();
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
    return (tamis_transport_problem){
        .n = s->n, .m = s->m, .cost_f32 = s->cost, .start = s->potential};
}

/* Potentials of the targets are kept for the next time. */
static void keep_potentials(tamis__tarot_sides *s, double **g)
{
    free(s->potential);
    s->potential = *g;
    *g = NULL;
}

tamis_status tamis__tarot_sides_value(tamis__tarot_sides *s, tamis__tarot_solver solver,
                                      double *ret_value, tamis_error *err)
{
    tamis_context *context = s->tarot->context;
    const tamis_transport_problem problem = problem_of(s);
    if (solver == TAMIS__TAROT_EXACT) {
        tamis_transport_exact_result exact = {0};
        TAMIS_TRY(tamis_transport_exact(context, &problem, &exact, err));
        *ret_value = exact.distance;
        keep_potentials(s, &exact.g);
        tamis_transport_exact_fini(&exact);
    } else if (solver == TAMIS__TAROT_SINKHORN) {
        const tamis_transport_entropic_params params = {0};
        tamis_transport_entropic_result entropic = {0};
        TAMIS_TRY(tamis_transport_entropic(context, &problem, &params, &entropic, err));
        *ret_value = entropic.transport;
        keep_potentials(s, &entropic.g);
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
