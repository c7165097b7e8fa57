/* The annealing schedule of TAROT's released code: averaged updates at ever smaller epsilons, each
 * once, and the dual value of what has come of it. Nothing is checked for convergence; it is here
 * to be compared with.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/transport.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "transport/pair.h"
#include "transport/softmin.h"
#include "transport/weights.h"

/* geomloss's blur and scaling, and p = 2, which only the schedule knows of: costs are not
 * squared. */
#define BLUR    0.01
#define SCALING 0.5

#define PHASE "annealed transport"

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

/* --- both softmins ---------------------------------------------------------------------------- */

/* Costs in float are gone through once for both sides, as floats; others once for each side, in
 * double. */
typedef struct annealed {
    tamis__cost cost;
    tamis__softmin passes;
    tamis__pair pair; /* zeroed with costs in double */
    bool floats;
    tamis__weights weights;
    double mass; /* of a side before it was scaled to 1 */
    uint64_t n, m;
    double *log_a, *log_b; /* [n], [m]; -infinity for a weight of 0 */
    double *f, *g;
    double *own, *h; /* [n], [m] log weights and potentials over epsilon */
    double *f_next, *g_next;
} annealed;

static void fini(annealed *s)
{
    tamis__softmin_end(&s->passes);
    tamis__cost_close(&s->cost);
    tamis__pair_end(&s->pair);
    tamis__weights_fini(&s->weights);
    double *const owned[] = {s->log_a, s->log_b, s->f, s->g, s->own, s->h, s->f_next, s->g_next};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
}

static tamis_status allocate(annealed *s, tamis_error *err)
{
    double **const of_a[] = {&s->log_a, &s->f, &s->own, &s->f_next};
    double **const of_b[] = {&s->log_b, &s->g, &s->h, &s->g_next};
    bool enough = true;
    for (int i = 0; i < 4; i++) {
        *of_a[i] = tamis__aligned(s->n, sizeof(double));
        *of_b[i] = tamis__aligned(s->m, sizeof(double));
        enough = enough && *of_a[i] && *of_b[i];
    }
    return enough ? TAMIS_OK
                  : tamis__fail_memory(err, "potentials", 4 * (s->n + s->m) * sizeof(double));
}

static tamis_status init(annealed *s, tamis_context *context,
                         const tamis_transport_problem *problem, tamis_error *err)
{
    tamis__weights *w = &s->weights;
    *s = (annealed){.n = problem->n, .m = problem->m, .floats = problem->cost_f32 != NULL};
    if (s->floats) {
        TAMIS_TRY(tamis__pair_begin(&s->pair, context, problem, PHASE, err));
    } else {
        TAMIS_TRY(tamis__cost_open(&s->cost, context, problem, true, err));
        TAMIS_TRY(tamis__softmin_begin(&s->passes, &s->cost, PHASE, err));
    }
    TAMIS_TRY(tamis__weights_init(w, problem, true, err));
    TAMIS_TRY(allocate(s, err));
    s->mass = w->mass_a;
    for (uint64_t i = 0; i < s->n; i++) s->log_a[i] = log(w->a[i] /= s->mass);
    for (uint64_t j = 0; j < s->m; j++) s->log_b[j] = log(w->b[j] /= s->mass);
    return TAMIS_OK;
}

/* Potentials made of the present ones, or with `first` of none, into f_next and g_next. */
static tamis_status soften(annealed *s, double epsilon, bool first, tamis_error *err)
{
    double rate = 1.0 / epsilon;
    for (uint64_t i = 0; i < s->n; i++) s->own[i] = s->log_a[i] + (first ? 0.0 : s->f[i] / epsilon);
    for (uint64_t j = 0; j < s->m; j++) s->h[j] = s->log_b[j] + (first ? 0.0 : s->g[j] / epsilon);
    if (s->floats) {
        TAMIS_TRY(tamis__pair_pass(&s->pair, s->own, s->h, rate, s->f_next, s->g_next, err));
    } else {
        TAMIS_TRY(tamis__softmin_pass(&s->passes, 0, s->h, rate, s->f_next, err));
        TAMIS_TRY(tamis__softmin_pass(&s->passes, 1, s->own, rate, s->g_next, err));
    }
    for (uint64_t i = 0; i < s->n; i++) s->f_next[i] *= -epsilon;
    for (uint64_t j = 0; j < s->m; j++) s->g_next[j] *= -epsilon;
    s->pair.done = ++s->passes.done;
    return TAMIS_OK;
}

/* --- the schedule ----------------------------------------------------------------------------- */

/* Both updates from the old potentials; the new ones are `share` of the way there. */
static tamis_status step(annealed *s, double epsilon, double share, tamis_error *err)
{
    TAMIS_TRY(soften(s, epsilon, false, err));
    for (uint64_t i = 0; i < s->n; i++) s->f[i] += share * (s->f_next[i] - s->f[i]);
    for (uint64_t j = 0; j < s->m; j++) s->g[j] += share * (s->g_next[j] - s->g[j]);
    return TAMIS_OK;
}

static tamis_status anneal(annealed *s, const double *epsilon, unsigned steps, tamis_error *err)
{
    s->pair.total = s->passes.total = steps + 2;
    TAMIS_TRY(soften(s, epsilon[0], true, err));
    memcpy(s->f, s->f_next, s->n * sizeof *s->f);
    memcpy(s->g, s->g_next, s->m * sizeof *s->g);
    for (unsigned k = 0; k < steps; k++) TAMIS_TRY(step(s, epsilon[k], 0.5, err));
    return step(s, epsilon[steps - 1], 1.0, err);
}

static tamis_status solve(annealed *s, double diameter, tamis_transport_annealed_result *result,
                          tamis_error *err)
{
    double *epsilon = tamis__malloc(STEPS_MOST, sizeof *epsilon);
    if (!epsilon) return tamis__fail_memory(err, "a schedule", STEPS_MOST * sizeof *epsilon);
    unsigned steps = schedule(epsilon, diameter);
    tamis_status status = anneal(s, epsilon, steps, err);
    free(epsilon);
    TAMIS_TRY(status);
    result->value = s->mass *
                    (tamis__dot(s->weights.a, s->f, s->n) + tamis__dot(s->weights.b, s->g, s->m));
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
    annealed s;
    tamis_transport_annealed_result result = {0};
    if (!(diameter >= 0) || isinf(diameter))
        return tamis__fail(err, TAMIS_ERR_ARG, "the diameter is %g: give a number above 0",
                           diameter);
    if (!(diameter > 0) && !problem->x)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "costs without points have no box: give its diameter");
    tamis_status status = init(&s, context, problem, err);
    if (status == TAMIS_OK)
        status = solve(&s, diameter > 0 ? diameter : s.cost.diameter, &result, err);
    fini(&s);
    if (status == TAMIS_OK) *ret = result;
    return status;
}

void tamis_transport_annealed_fini(tamis_transport_annealed_result *result)
{
    free(result->f);
    free(result->g);
    *result = (tamis_transport_annealed_result){0};
}
