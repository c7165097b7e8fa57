/* Alternating updates of the potentials of entropic transport, in the log domain.
 *
 *     f = -kappa eps log sum_j b_j exp((g_j - C_ij) / eps)      kappa = 1, or reach / (reach + eps)
 *
 * and the same for g. The error of the row sums needs no pass of its own: row i of the plan weighs
 * a_i exp((f_i - update of f_i) / eps).
 *
 * Updates are over-relaxed, f + omega (update - f): the error falls by a factor mu an iteration
 * without, and by omega - 1 with omega = 2 / (1 + sqrt(1 - mu)). mu is read off the fall of the
 * error, with the relation of successive over-relaxation when omega > 1 (Thibault et al. 2021;
 * Young 1954).
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "transport/sinkhorn.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "transport/newton.h"

/* Iterations at an epsilon on the way down, at most; the error that is enough there; iterations
 * that the fall of the error is measured over; the largest omega. */
enum { WAY_ITERATIONS = 30, WINDOW = 10, NEWTON_STEPS = 200 };
#define WAY_ERROR  0.05
#define OMEGA_MOST 1.9999

/* A slower fall of the error calls for Newton's steps, one after each pair of updates, where they
 * fit; where they take much longer, only a far slower one. */
#define CREEPS      0.9
#define CREEPS_DEAR 0.97

/* --- parameters ------------------------------------------------------------------------------- */

static tamis_status check(const tamis_transport_entropic_params *p, tamis_error *err)
{
    if (!(p->epsilon >= 0) || isinf(p->epsilon))
        return tamis__fail(err, TAMIS_ERR_ARG, "epsilon is %g: give a number above 0", p->epsilon);
    if (!(p->tolerance >= 0) || !(p->tolerance < 1))
        return tamis__fail(err, TAMIS_ERR_ARG, "the tolerance is %g: give a number in (0, 1)",
                           p->tolerance);
    if (!(p->scaling >= 0) || !(p->scaling < 1))
        return tamis__fail(err, TAMIS_ERR_ARG, "the scaling is %g: give a number in (0, 1)",
                           p->scaling);
    if (!(p->reach >= 0) || isinf(p->reach))
        return tamis__fail(err, TAMIS_ERR_ARG, "reach is %g: give a number above 0", p->reach);
    return TAMIS_OK;
}

static tamis_status allocate(tamis__sinkhorn *s, tamis_error *err)
{
    uint64_t n = s->cost.n, m = s->cost.m, longer = n > m ? n : m;
    s->log_a = tamis__malloc(n, sizeof(double));
    s->log_b = tamis__malloc(m, sizeof(double));
    s->f = tamis__calloc(n, sizeof(double));
    s->g = tamis__calloc(m, sizeof(double));
    s->h = tamis__aligned(longer, sizeof(double));
    s->next = tamis__aligned(longer, sizeof(double));
    if (!s->log_a || !s->log_b || !s->f || !s->g || !s->h || !s->next)
        return tamis__fail_memory(err, "potentials", 6 * longer * sizeof(double));
    return TAMIS_OK;
}

static void take_weights(tamis__sinkhorn *s)
{
    tamis__weights *w = &s->weights;
    s->mass = s->reach > 0 ? 1.0 : w->mass_a;
    for (uint64_t i = 0; i < s->cost.n; i++) s->log_a[i] = log(w->a[i] /= s->mass);
    for (uint64_t j = 0; j < s->cost.m; j++) s->log_b[j] = log(w->b[j] /= s->mass);
    w->mass_a /= s->mass;
    w->mass_b /= s->mass;
}

tamis_status tamis__sinkhorn_init(tamis__sinkhorn *ret_sinkhorn, tamis_context *context,
                                  const tamis_transport_problem *problem,
                                  const tamis_transport_entropic_params *params, tamis_error *err)
{
    tamis_transport_entropic_params none = {0}, p = params ? *params : none;
    tamis__sinkhorn s = {.tolerance = p.tolerance > 0 ? p.tolerance : 1e-6,
                         .scaling = p.scaling > 0 ? p.scaling : 0.5,
                         .reach = p.reach,
                         .limit = p.iterations ? p.iterations : 10000,
                         .residual = (double)INFINITY};
    TAMIS_TRY(check(&p, err));
    TAMIS_TRY(tamis__cost_open(&s.cost, context, problem, true, err));
    tamis_status status = tamis__weights_init(&s.weights, problem, s.reach <= 0, err);
    if (status == TAMIS_OK) status = allocate(&s, err);
    if (status != TAMIS_OK) {
        tamis__sinkhorn_fini(&s);
        return status;
    }
    take_weights(&s);
    s.target = p.epsilon > 0 ? p.epsilon : 0.01 * fabs(s.cost.mean);
    if (!(s.target > 0)) s.target = 1.0;
    *ret_sinkhorn = s;
    return TAMIS_OK;
}

void tamis__sinkhorn_fini(tamis__sinkhorn *s)
{
    tamis__softmin_end(&s->passes);
    tamis__cost_close(&s->cost);
    tamis__weights_fini(&s->weights);
    free(s->log_a);
    free(s->log_b);
    free(s->f);
    free(s->g);
    free(s->h);
    free(s->next);
    *s = (tamis__sinkhorn){0};
}

/* --- updates ---------------------------------------------------------------------------------- */

void tamis__sinkhorn_weigh(double *h, const double *log_weight, const double *potential,
                           double epsilon, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) h[i] = log_weight[i] + potential[i] / epsilon;
}

static double kappa_of(const tamis__sinkhorn *s, double epsilon)
{
    return s->reach > 0 ? s->reach / (s->reach + epsilon) : 1.0;
}

/* The update of side 0 or 1 into `next`. */
static tamis_status update(tamis__sinkhorn *s, int side, double epsilon, tamis_error *err)
{
    uint64_t own = side ? s->cost.m : s->cost.n, other = side ? s->cost.n : s->cost.m;
    double kappa = kappa_of(s, epsilon);
    tamis__sinkhorn_weigh(s->h, side ? s->log_a : s->log_b, side ? s->f : s->g, epsilon, other);
    TAMIS_TRY(tamis__softmin_pass(&s->passes, side, s->h, 1.0 / epsilon, s->next, err));
    for (uint64_t i = 0; i < own; i++) s->next[i] *= -kappa * epsilon;
    return TAMIS_OK;
}

/* How far the row sums are from the weights, and what they weigh together; of a potential that its
 * update is in `next` of. */
static void measure(tamis__sinkhorn *s, double epsilon)
{
    double error = 0, mass = 0, rate = 1.0 / (kappa_of(s, epsilon) * epsilon);
    for (uint64_t i = 0; i < s->cost.n; i++) {
        double factor = exp(fmin((s->f[i] - s->next[i]) / epsilon, 700.0));
        error += s->weights.a[i] * fabs(factor - 1.0);
        mass += s->weights.a[i] * exp(fmin(s->f[i] / epsilon - s->next[i] * rate, 700.0));
    }
    s->residual = error / s->weights.mass_a;
    s->row_mass = mass;
}

static void relax(double *potential, const double *next, double omega, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) potential[i] += omega * (next[i] - potential[i]);
}

/* log sum_i w_i exp(-x_i / reach). */
static double log_mean(const double *log_weight, const double *x, double reach, uint64_t n)
{
    double top = -(double)INFINITY, sum = 0;
    for (uint64_t i = 0; i < n; i++) top = fmax(top, log_weight[i] - x[i] / reach);
    for (uint64_t i = 0; i < n; i++) sum += exp(log_weight[i] - x[i] / reach - top);
    return top + log(sum);
}

/* Unbalanced: what can be moved from f to g without changing the plan is put where the dual is
 * largest. Updates alone would creep there when the reach is long. */
static void translate(tamis__sinkhorn *s)
{
    double shift = 0.5 * s->reach *
                   (log_mean(s->log_a, s->f, s->reach, s->cost.n) -
                    log_mean(s->log_b, s->g, s->reach, s->cost.m));
    for (uint64_t i = 0; i < s->cost.n; i++) s->f[i] += shift;
    for (uint64_t j = 0; j < s->cost.m; j++) s->g[j] -= shift;
}

/* --- over-relaxation -------------------------------------------------------------------------- */

typedef struct pace {
    double omega;
    double before; /* the error at the start of the window */
    unsigned in_window;
    double fall; /* of an iteration in the last whole window; 0 = not known */
} pace;

/* After each iteration: look at the fall of the error over a window, and choose omega anew. */
static void keep_pace(pace *p, double error)
{
    if (p->in_window == 0) p->before = error;
    if (p->in_window++ < WINDOW) return;
    p->in_window = 0;
    double fall = pow(error / p->before, 1.0 / WINDOW), mu;
    p->fall = fall;
    if (!(fall < 1.0)) {
        p->omega = 1.0; /* too much: start again */
        return;
    }
    if (p->omega <= 1.0) {
        mu = fall;
    } else {
        double over = fall + p->omega - 1.0;
        if (fall <= p->omega - 1.0) return;
        mu = over * over / (fall * p->omega * p->omega);
    }
    if (mu < 0.3 || !(mu < 1.0)) return;
    p->omega = fmin(2.0 / (1.0 + sqrt(1.0 - mu)), OMEGA_MOST);
}

/* Updates at one epsilon. Column sums are exact whenever the last update of g was not relaxed,
 * which is when an error may end it. */
static tamis_status stay(tamis__sinkhorn *s, double epsilon, double tolerance, uint64_t limit,
                         tamis_error *err)
{
    pace p = {.omega = 1.0};
    bool exact = false;
    double creeps = tamis__newton_dear(s) ? CREEPS_DEAR : CREEPS;
    unsigned newton = tolerance < WAY_ERROR && tamis__newton_fits(s) ? NEWTON_STEPS : 0;
    for (uint64_t k = 0;; k++) {
        TAMIS_TRY(update(s, 0, epsilon, err));
        measure(s, epsilon);
        bool done = s->residual <= tolerance || k >= limit;
        if (done && exact) return TAMIS_OK;
        exact = done || p.omega <= 1.0;
        relax(s->f, s->next, done ? 1.0 : p.omega, s->cost.n);
        TAMIS_TRY(update(s, 1, epsilon, err));
        relax(s->g, s->next, done ? 1.0 : p.omega, s->cost.m);
        if (s->reach > 0)
            translate(s);
        else if (!(p.fall > creeps && newton > 0))
            keep_pace(&p, s->residual);
        if (p.fall > creeps && newton > 0 && !done) {
            TAMIS_TRY(tamis__newton_step(s, epsilon, err));
            exact = false;
            p.omega = 1.0;
            newton--;
        }
        s->iterations++;
        s->passes.done++;
    }
}

/* Values of epsilon on the way down: from the range of the costs by the scaling. */
static double first_epsilon(const tamis__sinkhorn *s)
{
    return fmax(s->cost.most - s->cost.least, s->target);
}

/* With potentials of a like problem there is no need for a way down; where the first updates do not
 * bring them near, they were of another one. */
static tamis_status start_near(tamis__sinkhorn *s, bool *ret_near, tamis_error *err)
{
    const double *start = s->cost.problem->start;
    *ret_near = false;
    if (!start) return TAMIS_OK;
    memcpy(s->g, start, s->cost.m * sizeof *start);
    TAMIS_TRY(update(s, 0, s->target, err));
    relax(s->f, s->next, 1.0, s->cost.n);
    TAMIS_TRY(stay(s, s->target, WAY_ERROR, WAY_ITERATIONS, err));
    *ret_near = s->residual <= WAY_ERROR;
    if (*ret_near) return TAMIS_OK;
    memset(s->f, 0, s->cost.n * sizeof *s->f);
    memset(s->g, 0, s->cost.m * sizeof *s->g);
    return TAMIS_OK;
}

tamis_status tamis__sinkhorn_solve(tamis__sinkhorn *s, tamis_error *err)
{
    bool near;
    TAMIS_TRY(tamis__softmin_begin(&s->passes, &s->cost, "transport", err));
    TAMIS_TRY(start_near(s, &near, err));
    for (double e = first_epsilon(s); e > s->target && !near; e *= s->scaling)
        TAMIS_TRY(stay(s, e, WAY_ERROR, WAY_ITERATIONS, err));
    return stay(s, s->target, s->tolerance, s->limit, err);
}

static tamis_status stay_self(tamis__sinkhorn *s, double epsilon, double tolerance, uint64_t limit,
                              tamis_error *err)
{
    for (uint64_t k = 0;; k++) {
        for (uint64_t i = 0; i < s->cost.n; i++) s->g[i] = s->f[i];
        TAMIS_TRY(update(s, 0, epsilon, err));
        measure(s, epsilon);
        if (s->residual <= tolerance || k >= limit) return TAMIS_OK;
        relax(s->f, s->next, 0.5, s->cost.n);
        s->iterations++;
        s->passes.done++;
    }
}

tamis_status tamis__sinkhorn_solve_self(tamis__sinkhorn *s, tamis_error *err)
{
    TAMIS_TRY(tamis__softmin_begin(&s->passes, &s->cost, "transport to itself", err));
    for (double e = first_epsilon(s); e > s->target; e *= s->scaling)
        TAMIS_TRY(stay_self(s, e, WAY_ERROR, WAY_ITERATIONS, err));
    return stay_self(s, s->target, s->tolerance, s->limit, err);
}

/* --- the value -------------------------------------------------------------------------------- */

/* sum_i w_i x_i, or of -reach (exp(-x / reach) - 1) for x. */
static double paid(const double *weight, const double *x, double reach, uint64_t n)
{
    if (!(reach > 0)) return tamis__dot(weight, x, n);
    double sum = 0;
    for (uint64_t i = 0; i < n; i++) sum -= weight[i] * reach * expm1(-x[i] / reach);
    return sum;
}

double tamis__sinkhorn_value(const tamis__sinkhorn *s, bool self)
{
    double value = paid(s->weights.a, s->f, s->reach, s->cost.n);
    value += self ? value : paid(s->weights.b, s->g, s->reach, s->cost.m);
    value -= s->target * (s->row_mass - s->weights.mass_a * s->weights.mass_b);
    return s->mass * value;
}
