/* Entropic transport, its plan, and the divergence made of three of them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/transport.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "transport/plan.h"
#include "transport/sinkhorn.h"

/* --- a solution ------------------------------------------------------------------------------- */

/* sum_i a_i f_i = 0: the plan does not change. */
static void fix_gauge(const tamis__sinkhorn *s)
{
    double mean = tamis__dot(s->weights.a, s->f, s->cost.n) / s->weights.mass_a;
    for (uint64_t i = 0; i < s->cost.n; i++) s->f[i] -= mean;
    for (uint64_t j = 0; j < s->cost.m; j++) s->g[j] += mean;
}

/* The plan's cost and mass, in one more pass. */
static tamis_status take_transport(tamis__sinkhorn *s, tamis_transport_entropic_result *r,
                                   tamis_error *err)
{
    double cost, mass;
    tamis__sinkhorn_weigh(s->h, s->log_b, s->g, s->target, s->cost.m);
    tamis__sinkhorn_weigh(s->next, s->log_a, s->f, s->target, s->cost.n);
    TAMIS_TRY(
        tamis__softmin_transport(&s->passes, s->next, s->h, 1.0 / s->target, &cost, &mass, err));
    r->transport = s->mass * cost;
    r->mass = s->mass * mass;
    return TAMIS_OK;
}

static tamis_status take(tamis__sinkhorn *s, tamis_transport_entropic_result *r, tamis_error *err)
{
    *r = (tamis_transport_entropic_result){.epsilon = s->target,
                                           .marginal = s->residual,
                                           .converged = s->residual <= s->tolerance,
                                           .iterations = s->iterations,
                                           .bytes = s->cost.bytes,
                                           .online = s->cost.online};
    r->regularised = tamis__sinkhorn_value(s, false);
    if (s->reach <= 0) fix_gauge(s);
    TAMIS_TRY(take_transport(s, r, err));
    r->f = s->f;
    r->g = s->g;
    s->f = s->g = NULL;
    return TAMIS_OK;
}

static void warn(tamis_context *context, const tamis__sinkhorn *s)
{
    if (s->residual > s->tolerance)
        tamis__log(context, TAMIS_LOG_WARNING,
                   "transport has not converged: after %" PRIu64
                   " iterations marginals are off by %.3g, above %.3g; raise the iterations, "
                   "epsilon (%.4g) or the tolerance",
                   s->iterations, s->residual, s->tolerance, s->target);
}

tamis_status tamis_transport_entropic(tamis_context *context,
                                      const tamis_transport_problem *problem,
                                      const tamis_transport_entropic_params *params,
                                      tamis_transport_entropic_result *ret, tamis_error *err)
{
    tamis__sinkhorn s = {0};
    tamis_transport_entropic_result result;
    TAMIS_TRY(tamis__sinkhorn_init(&s, context, problem, params, err));
    tamis_status status = tamis__sinkhorn_solve(&s, err);
    if (status == TAMIS_OK) status = take(&s, &result, err);
    if (status == TAMIS_OK) {
        warn(context, &s);
        *ret = result;
    }
    tamis__sinkhorn_fini(&s);
    return status;
}

void tamis_transport_entropic_fini(tamis_transport_entropic_result *result)
{
    free(result->f);
    free(result->g);
    *result = (tamis_transport_entropic_result){0};
}

/* --- the plan --------------------------------------------------------------------------------- */

tamis_status tamis__plan_open(tamis__plan *ret_plan, tamis_context *context,
                              const tamis_transport_problem *problem,
                              const tamis_transport_entropic_params *params,
                              const tamis_transport_entropic_result *result, tamis_error *err)
{
    tamis__plan p = {.f = result->f, .epsilon = result->epsilon};
    bool balanced = !params || params->reach <= 0;
    if (!result->f || !result->g || !(result->epsilon > 0))
        return tamis__fail(err, TAMIS_ERR_ARG, "there are no potentials: solve first");
    TAMIS_TRY(tamis__cost_open(&p.cost, context, problem, false, err));
    tamis_status status = tamis__weights_init(&p.weights, problem, balanced, err);
    p.h = tamis__malloc(p.cost.m, sizeof *p.h);
    p.scratch = tamis__aligned(tamis__cost_scratch(&p.cost, 1), sizeof *p.scratch);
    if (status == TAMIS_OK && (!p.h || !p.scratch))
        status = tamis__fail_memory(err, "a plan", p.cost.m * sizeof *p.h);
    if (status != TAMIS_OK) {
        tamis__plan_close(&p);
        return status;
    }
    double mass = balanced ? p.weights.mass_a : 1.0;
    for (uint64_t j = 0; j < p.cost.m; j++)
        p.h[j] = log(p.weights.b[j] / mass) + result->g[j] / p.epsilon;
    *ret_plan = p;
    return TAMIS_OK;
}

void tamis__plan_close(tamis__plan *p)
{
    tamis__cost_close(&p->cost);
    tamis__weights_fini(&p->weights);
    free(p->h);
    free(p->scratch);
    *p = (tamis__plan){0};
}

void tamis__plan_row(const tamis__plan *p, uint64_t i, double *out)
{
    const tamis__softmin_kernels *kernels = &p->cost.softmin;
    double own = log(p->weights.a[i]) + p->f[i] / p->epsilon;
    uint64_t step = p->cost.online && p->cost.problem->row ? p->cost.m : TAMIS__COST_COLUMNS;
    if (!(own > -(double)INFINITY)) {
        memset(out, 0, p->cost.m * sizeof *out);
        return;
    }
    for (uint64_t j = 0; j < p->cost.m; j += step) {
        size_t columns = (size_t)(p->cost.m - j < step ? p->cost.m - j : step), stride;
        const double *cost = tamis__cost_tile(&p->cost, 0, i, 1, j, columns, p->scratch, &stride);
        kernels->shift(out + j, p->h + j, cost, 1.0 / p->epsilon, columns);
        kernels->exp(out + j, -own, columns);
    }
}

tamis_status tamis_transport_plan(tamis_context *context, const tamis_transport_problem *problem,
                                  const tamis_transport_entropic_params *params,
                                  const tamis_transport_entropic_result *result, uint64_t first_row,
                                  uint64_t rows, double *out, tamis_error *err)
{
    tamis__plan p = {0};
    if (first_row > problem->n || rows > problem->n - first_row)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "rows %" PRIu64 " to %" PRIu64 " of a plan with %" PRIu64 " rows",
                           first_row, first_row + rows, problem->n);
    TAMIS_TRY(tamis__plan_open(&p, context, problem, params, result, err));
    for (uint64_t i = 0; i < rows; i++) tamis__plan_row(&p, first_row + i, out + i * problem->m);
    tamis__plan_close(&p);
    return TAMIS_OK;
}

/* --- the divergence --------------------------------------------------------------------------- */

/* The value of a side with itself. `epsilon` is that of the problem between the sides. */
static tamis_status self_value(tamis_context *context, const tamis_transport_problem *problem,
                               const tamis_transport_entropic_params *params, double epsilon,
                               double *ret_value, tamis_error *err)
{
    tamis__sinkhorn s = {0};
    tamis_transport_entropic_params p = *params;
    p.epsilon = epsilon;
    TAMIS_TRY(tamis__sinkhorn_init(&s, context, problem, &p, err));
    tamis_status status = tamis__sinkhorn_solve_self(&s, err);
    if (status == TAMIS_OK) {
        warn(context, &s);
        *ret_value = tamis__sinkhorn_value(&s, true);
    }
    tamis__sinkhorn_fini(&s);
    return status;
}

/* Side 0 or 1 of a problem as both sides. */
static tamis_status self_problem(const tamis_transport_problem *problem, int side,
                                 const tamis_transport_problem *given,
                                 tamis_transport_problem *ret_self, tamis_error *err)
{
    const double *weight = side ? problem->b : problem->a;
    uint64_t n = side ? problem->m : problem->n;
    if (!given && !problem->x)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "the debiased divergence needs the costs of side %c with itself",
                           side ? 'b' : 'a');
    if (given && (given->n != n || given->m != n))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "the costs of side %c with itself are %" PRIu64 " x %" PRIu64
                           " for %" PRIu64 " points",
                           side ? 'b' : 'a', given->n, given->m, n);
    *ret_self = given ? *given : *problem;
    ret_self->n = ret_self->m = n;
    ret_self->a = ret_self->b = weight;
    if (!given) ret_self->x = ret_self->y = side ? problem->y : problem->x;
    return TAMIS_OK;
}

/* Masses of both sides as they were given; the balanced problem has the first for both. */
static tamis_status masses(const tamis_transport_problem *problem, bool balanced, double *a,
                           double *b, tamis_error *err)
{
    tamis__weights w;
    TAMIS_TRY(tamis__weights_init(&w, problem, balanced, err));
    *a = w.mass_a;
    *b = w.mass_b;
    tamis__weights_fini(&w);
    return TAMIS_OK;
}

tamis_status
tamis_transport_divergence(tamis_context *context, const tamis_transport_problem *problem,
                           const tamis_transport_problem *self_a,
                           const tamis_transport_problem *self_b,
                           const tamis_transport_entropic_params *params, double *ret_divergence,
                           tamis_transport_entropic_result *ret_problem, tamis_error *err)
{
    tamis_transport_entropic_params none = {0}, p = params ? *params : none;
    tamis_transport_entropic_result between = {0};
    tamis_transport_problem self[2];
    double value[2], mass[2], own[2];
    bool balanced = p.reach <= 0;
    for (int side = 0; side < 2; side++)
        TAMIS_TRY(self_problem(problem, side, side ? self_b : self_a, &self[side], err));
    TAMIS_TRY(tamis_transport_entropic(context, problem, &p, &between, err));
    tamis_status status = masses(problem, balanced, &mass[0], &mass[1], err);
    for (int side = 0; side < 2 && status == TAMIS_OK; side++) {
        status = self_value(context, &self[side], &p, between.epsilon, &value[side], err);
        if (status == TAMIS_OK) status = masses(&self[side], balanced, &own[side], &own[side], err);
        /* Uniform weights of a side have the mass of the other, and of 1 by themselves. */
        if (status == TAMIS_OK && balanced) value[side] *= mass[side] / own[side];
    }
    if (status != TAMIS_OK) {
        tamis_transport_entropic_fini(&between);
        return status;
    }
    double divergence = between.regularised - 0.5 * (value[0] + value[1]);
    if (!balanced) divergence += 0.5 * between.epsilon * (mass[0] - mass[1]) * (mass[0] - mass[1]);
    double noise = (p.tolerance > 0 ? p.tolerance : 1e-6) *
                   (fabs(between.regularised) + fabs(value[0]) + fabs(value[1]) +
                    between.epsilon * mass[0]);
    *ret_divergence = divergence < 0 && divergence >= -noise ? 0.0 : divergence;
    if (ret_problem)
        *ret_problem = between;
    else
        tamis_transport_entropic_fini(&between);
    return TAMIS_OK;
}
