/* The annealing schedule of TAROT's released code: averaged updates at ever smaller epsilons, each
 * once, and the dual value of what has come of it. Nothing is checked for convergence; it is here
 * to be compared with.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/transport.h>

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "transport/sinkhorn.h"

/* geomloss's blur and scaling, and p = 2, which only the schedule knows of: costs are not
 * squared. */
#define BLUR    0.01
#define SCALING 0.5

enum { STEPS_MOST = 2200 };

/* diameter^2, then exp of 2 ln diameter, 2 ln diameter + 2 ln scaling, ... above 2 ln blur, then
 * blur^2. So the first comes twice. */
static unsigned schedule(double *epsilon, double diameter)
{
    unsigned steps = 0;
    if (diameter > 0) {
        double start = 2 * log(diameter), stop = 2 * log(BLUR), step = 2 * log(SCALING);
        double count = ceil((stop - start) / step);
        epsilon[steps++] = diameter * diameter;
        for (double k = 0; k < count && steps + 1 < STEPS_MOST; k++)
            epsilon[steps++] = exp(start + k * step);
    }
    epsilon[steps++] = BLUR * BLUR;
    return steps;
}

/* softmin of side 0 or 1 with these potentials of the other, or none, into `out`. */
static tamis_status soften(tamis__sinkhorn *s, int side, const double *potential, double epsilon,
                           double *out, tamis_error *err)
{
    uint64_t own = side ? s->cost.m : s->cost.n, other = side ? s->cost.n : s->cost.m;
    const double *log_weight = side ? s->log_a : s->log_b;
    for (uint64_t i = 0; i < other; i++)
        s->h[i] = log_weight[i] + (potential ? potential[i] / epsilon : 0.0);
    TAMIS_TRY(tamis__softmin_pass(&s->passes, side, s->h, 1.0 / epsilon, out, err));
    for (uint64_t i = 0; i < own; i++) out[i] *= -epsilon;
    return TAMIS_OK;
}

/* Both updates from the old potentials; the new ones are `share` of the way there. */
static tamis_status step(tamis__sinkhorn *s, double epsilon, double share, double *f_next,
                         double *g_next, tamis_error *err)
{
    TAMIS_TRY(soften(s, 0, s->g, epsilon, f_next, err));
    TAMIS_TRY(soften(s, 1, s->f, epsilon, g_next, err));
    for (uint64_t i = 0; i < s->cost.n; i++) s->f[i] += share * (f_next[i] - s->f[i]);
    for (uint64_t j = 0; j < s->cost.m; j++) s->g[j] += share * (g_next[j] - s->g[j]);
    s->passes.done++;
    return TAMIS_OK;
}

static tamis_status anneal(tamis__sinkhorn *s, const double *epsilon, unsigned steps,
                           tamis_error *err)
{
    double *f_next = tamis__malloc(s->cost.n, sizeof *f_next);
    double *g_next = tamis__malloc(s->cost.m, sizeof *g_next);
    tamis_status status = f_next && g_next
                              ? soften(s, 0, NULL, epsilon[0], s->f, err)
                              : tamis__fail_memory(err, "potentials", s->cost.n + s->cost.m);
    if (status == TAMIS_OK) status = soften(s, 1, NULL, epsilon[0], s->g, err);
    for (unsigned k = 0; k < steps && status == TAMIS_OK; k++)
        status = step(s, epsilon[k], 0.5, f_next, g_next, err);
    if (status == TAMIS_OK) status = step(s, epsilon[steps - 1], 1.0, f_next, g_next, err);
    free(f_next);
    free(g_next);
    return status;
}

static tamis_status solve(tamis__sinkhorn *s, double diameter,
                          tamis_transport_annealed_result *result, tamis_error *err)
{
    double *epsilon = tamis__malloc(STEPS_MOST, sizeof *epsilon);
    if (!epsilon) return tamis__fail_memory(err, "a schedule", STEPS_MOST * sizeof *epsilon);
    unsigned steps = schedule(epsilon, diameter);
    tamis_status status = tamis__softmin_begin(&s->passes, &s->cost, "annealed transport", err);
    if (status == TAMIS_OK) {
        s->passes.total = steps + 1;
        status = anneal(s, epsilon, steps, err);
    }
    free(epsilon);
    TAMIS_TRY(status);
    result->value = s->mass * (tamis__dot(s->weights.a, s->f, s->cost.n) +
                               tamis__dot(s->weights.b, s->g, s->cost.m));
    result->diameter = diameter;
    result->iterations = steps;
    result->f = s->f;
    result->g = s->g;
    s->f = s->g = NULL;
    return TAMIS_OK;
}

tamis_status tamis_transport_annealed(tamis_context *context,
                                      const tamis_transport_problem *problem, double diameter,
                                      tamis_transport_annealed_result *ret, tamis_error *err)
{
    tamis__sinkhorn s = {0};
    tamis_transport_annealed_result result = {0};
    if (!(diameter >= 0) || isinf(diameter))
        return tamis__fail(err, TAMIS_ERR_ARG, "the diameter is %g: give a number above 0",
                           diameter);
    if (!(diameter > 0) && !problem->x)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "costs without points have no box: give its diameter");
    TAMIS_TRY(tamis__sinkhorn_init(&s, context, problem, NULL, err));
    tamis_status status = solve(&s, diameter > 0 ? diameter : s.cost.diameter, &result, err);
    tamis__sinkhorn_fini(&s);
    if (status == TAMIS_OK) *ret = result;
    return status;
}

void tamis_transport_annealed_fini(tamis_transport_annealed_result *result)
{
    free(result->f);
    free(result->g);
    *result = (tamis_transport_annealed_result){0};
}
