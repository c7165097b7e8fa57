/* Weights of the two sides: uniform where none are given, and of the same sum where they have to
 * be.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "transport/weights.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"

/* Sums that differ by more than rounding, of floats in the worst case, were not meant to be
 * equal. */
#define SAME_SUM 1e-6

/* Neumaier's. */
static void add_to(double *sum, double *lost, double value)
{
    double next = *sum + value;
    *lost += fabs(*sum) >= fabs(value) ? (*sum - next) + value : (value - next) + *sum;
    *sum = next;
}

double tamis__sum(const double *value, uint64_t n)
{
    double sum = 0, lost = 0;
    for (uint64_t i = 0; i < n; i++) add_to(&sum, &lost, value[i]);
    return sum + lost;
}

double tamis__dot(const double *a, const double *b, uint64_t n)
{
    double sum = 0, lost = 0;
    for (uint64_t i = 0; i < n; i++) add_to(&sum, &lost, a[i] * b[i]);
    return sum + lost;
}

static tamis_status check(const double *weight, uint64_t n, char side, double *ret_mass,
                          tamis_error *err)
{
    for (uint64_t i = 0; i < n; i++)
        if (!(weight[i] >= 0) || isinf(weight[i]))
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "weight %" PRIu64 " of side %c is %g: weights are finite and not "
                               "negative",
                               i, side, weight[i]);
    double mass = tamis__sum(weight, n);
    if (!(mass > 0) || isinf(mass))
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "the weights of side %c have the sum %g: give at least one point a weight "
            "above 0",
            side, mass);
    *ret_mass = mass;
    return TAMIS_OK;
}

static bool all_same(const double *weight, uint64_t n)
{
    for (uint64_t i = 1; weight && i < n; i++)
        if (weight[i] < weight[0] || weight[i] > weight[0]) return false;
    return true;
}

static void fill(double *out, const double *weight, uint64_t n, double mass, double scale)
{
    for (uint64_t i = 0; i < n; i++) out[i] = weight ? weight[i] * scale : mass / (double)n;
}

static tamis_status masses(const tamis_transport_problem *p, bool balanced, double *mass_a,
                           double *mass_b, tamis_error *err)
{
    if (p->a) TAMIS_TRY(check(p->a, p->n, 'a', mass_a, err));
    if (p->b) TAMIS_TRY(check(p->b, p->m, 'b', mass_b, err));
    if (!p->a) *mass_a = p->b && balanced ? *mass_b : 1.0;
    if (!p->b) *mass_b = p->a && balanced ? *mass_a : 1.0;
    double more = *mass_a > *mass_b ? *mass_a : *mass_b;
    if (balanced && fabs(*mass_a - *mass_b) > SAME_SUM * more)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "the weights of side a have the sum %.9g and those of side b %.9g: scale "
            "them to the same sum, or use the unbalanced method",
            *mass_a, *mass_b);
    return TAMIS_OK;
}

tamis_status tamis__weights_init(tamis__weights *ret_weights, const tamis_transport_problem *p,
                                 bool balanced, tamis_error *err)
{
    tamis__weights w = {0};
    TAMIS_TRY(masses(p, balanced, &w.mass_a, &w.mass_b, err));
    w.a = tamis__malloc(p->n, sizeof *w.a);
    w.b = tamis__malloc(p->m, sizeof *w.b);
    if (!w.a || !w.b) {
        tamis__weights_fini(&w);
        return tamis__fail_memory(err, "weights", (p->n + p->m) * sizeof *w.a);
    }
    fill(w.a, p->a, p->n, w.mass_a, 1.0);
    fill(w.b, p->b, p->m, w.mass_b, balanced ? w.mass_a / w.mass_b : 1.0);
    if (balanced) w.mass_b = w.mass_a;
    w.uniform = all_same(p->a, p->n) && all_same(p->b, p->m);
    *ret_weights = w;
    return TAMIS_OK;
}

void tamis__weights_fini(tamis__weights *w)
{
    free(w->a);
    free(w->b);
    *w = (tamis__weights){0};
}
