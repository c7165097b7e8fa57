/* Exact transport: weights as whole numbers for the simplex, and the plan and its proof of what it
 * leaves.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/transport.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "transport/simplex.h"
#include "transport/weights.h"

/* Units that the mass of a side is cut into, when the weights are not all the same: far finer than
 * doubles tell apart, and sums of them stay within 63 bits. */
#define UNITS (INT64_C(1) << 60)

/* Gaps that are proof enough; where a gap is measured against the size of costs. */
#define GAP   1e-9
#define SMALL 1e-6

/* --- whole supplies --------------------------------------------------------------------------- */

typedef struct unit_rest {
    double rest;
    uint64_t at;
} unit_rest;

/* Most is missing first; then in order. */
static int by_rest(const void *a, const void *b)
{
    const unit_rest *x = a, *y = b;
    if (x->rest > y->rest) return -1;
    if (x->rest < y->rest) return 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static int64_t greatest_divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Shares of `units` by largest remainder: the sum is exact. A point without weight gets none. */
static tamis_status cut(int64_t *out, const double *weight, uint64_t n, double mass, int64_t units,
                        tamis_error *err)
{
    unit_rest *rest = tamis__malloc(n, sizeof *rest);
    int64_t left = units;
    if (!rest) return tamis__fail_memory(err, "weights", n * sizeof *rest);
    for (uint64_t i = 0; i < n; i++) {
        double share = weight[i] / mass * (double)units, whole = floor(share);
        out[i] = (int64_t)whole;
        left -= out[i];
        rest[i] = (unit_rest){weight[i] > 0 ? share - whole : -1.0, i};
    }
    qsort(rest, n, sizeof *rest, by_rest);
    uint64_t able = 0;
    while (able < n && rest[able].rest >= 0) able++;
    for (uint64_t k = 0; left > 0; k = k + 1 == able ? 0 : k + 1) {
        int64_t each = k == 0 && left > (int64_t)able ? left / (int64_t)able : 1;
        out[rest[k].at] += each;
        left -= each;
    }
    for (uint64_t k = 0; left < 0; k = k + 1 == n ? 0 : k + 1) {
        int64_t *at = &out[rest[n - 1 - k].at], most = *at < -left ? *at : -left;
        int64_t each = most > -left / (int64_t)n + 1 ? -left / (int64_t)n + 1 : most;
        *at -= each;
        left += each;
    }
    free(rest);
    return TAMIS_OK;
}

/* Uniform weights share the least common multiple, so that equal masses stay equal and ties are
 * ties. */
static tamis_status whole_supplies(const tamis__weights *w, uint64_t n, uint64_t m, int64_t *supply,
                                   int64_t *demand, int64_t *ret_units, tamis_error *err)
{
    if (!w->uniform) {
        *ret_units = UNITS;
        TAMIS_TRY(cut(supply, w->a, n, w->mass_a, UNITS, err));
        return cut(demand, w->b, m, w->mass_b, UNITS, err);
    }
    int64_t common = greatest_divisor((int64_t)n, (int64_t)m);
    for (uint64_t i = 0; i < n; i++) supply[i] = (int64_t)m / common;
    for (uint64_t j = 0; j < m; j++) demand[j] = (int64_t)n / common;
    *ret_units = (int64_t)n / common * (int64_t)m;
    return TAMIS_OK;
}

/* --- what comes out --------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const tamis_transport_entry *x = a, *y = b;
    if (x->i != y->i) return x->i < y->i ? -1 : 1;
    return x->j < y->j ? -1 : x->j > y->j;
}

/* Crumbs of a few units only make up for weights that are no whole numbers of them. */
static bool is_crumb(int64_t flow, int64_t supply, int64_t demand, uint64_t nodes)
{
    int64_t least = supply < demand ? supply : demand;
    return flow < (int64_t)nodes && flow < least / INT64_C(1000000000000);
}

static tamis_status take_plan(const tamis__simplex *s, const int64_t *supply, const int64_t *demand,
                              double unit, tamis_transport_exact_result *r, tamis_error *err)
{
    const tamis__tree *t = &s->tree;
    r->plan = tamis__malloc(t->root, sizeof *r->plan);
    if (!r->plan) return tamis__fail_memory(err, "the plan", t->root * sizeof *r->plan);
    for (uint32_t k = 0; k < t->root; k++) {
        uint32_t parent = t->parent[k];
        if (parent == t->root || t->flow[k] == 0) continue;
        uint32_t i = k < t->n ? k : parent, j = (k < t->n ? parent : k) - t->n;
        if (is_crumb(t->flow[k], supply[i], demand[j], t->root)) continue;
        r->plan[r->entries++] = (tamis_transport_entry){i, j, (double)t->flow[k] * unit};
    }
    qsort(r->plan, r->entries, sizeof *r->plan, by_place);
    return TAMIS_OK;
}

static tamis_status take_duals(const tamis__simplex *s, const tamis__weights *w,
                               tamis_transport_exact_result *r, tamis_error *err)
{
    const tamis__tree *t = &s->tree;
    r->f = tamis__malloc(t->n, sizeof *r->f);
    r->g = tamis__malloc(t->m, sizeof *r->g);
    if (!r->f || !r->g) return tamis__fail_memory(err, "duals", t->root * sizeof *r->f);
    memcpy(r->f, t->potential, t->n * sizeof *r->f);
    double mean = tamis__dot(r->f, w->a, t->n) / w->mass_a;
    for (uint32_t i = 0; i < t->n; i++) r->f[i] -= mean;
    for (uint32_t j = 0; j < t->m; j++) r->g[j] = mean - t->potential[t->n + j];
    r->dual = tamis__dot(r->f, w->a, t->n) + tamis__dot(r->g, w->b, t->m);
    return TAMIS_OK;
}

/* Sum of the differences between what a plan moves and the weights, and the plan's cost. */
static tamis_status take_distance(const tamis__simplex *s, const tamis__weights *w,
                                  tamis_transport_exact_result *r, tamis_error *err)
{
    const tamis__tree *t = &s->tree;
    double *moved = tamis__calloc(t->root, sizeof *moved), *part = NULL, largest = 0, off = 0;
    part = tamis__malloc(r->entries, sizeof *part);
    if (!moved || !part) {
        free(moved);
        free(part);
        return tamis__fail_memory(err, "marginals", t->root * sizeof *moved);
    }
    for (uint64_t e = 0; e < r->entries; e++) {
        size_t stride;
        const tamis_transport_entry *p = &r->plan[e];
        double cost = *tamis__cost_tile(s->cost, 0, p->i, 1, p->j, 1, s->scratch, &stride);
        part[e] = p->mass * cost;
        largest = fabs(cost) > largest ? fabs(cost) : largest;
        moved[p->i] += p->mass;
        moved[t->n + p->j] += p->mass;
    }
    for (uint32_t i = 0; i < t->n; i++) off += fabs(moved[i] - w->a[i]);
    for (uint32_t j = 0; j < t->m; j++) off += fabs(moved[t->n + j] - w->b[j]);
    r->distance = tamis__sum(part, r->entries);
    r->marginal = off / w->mass_a;
    double scale = fmax(fabs(r->distance), SMALL * largest * w->mass_a);
    r->gap = scale > 0 ? fabs(r->distance - r->dual) / scale : 0;
    free(moved);
    free(part);
    return TAMIS_OK;
}

static tamis_status certify(const tamis_transport_exact_result *r, tamis_error *err)
{
    if (r->gap <= GAP && r->marginal <= 1e-10) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "the plan costs %.17g and the duals prove %.17g, marginals are off by %.3g: "
                       "the costs or weights differ too much in size",
                       r->distance, r->dual, r->marginal);
}

/* --- the call --------------------------------------------------------------------------------- */

static tamis_status solve(tamis__cost *cost, const tamis__weights *w, int64_t *supply,
                          int64_t *demand, tamis_transport_exact_result *r, tamis_error *err)
{
    int64_t units = 1;
    tamis__simplex s = {0};
    TAMIS_TRY(whole_supplies(w, cost->n, cost->m, supply, demand, &units, err));
    tamis_status status = tamis__simplex_solve(&s, cost, supply, demand, err);
    if (status == TAMIS_OK)
        status = take_plan(&s, supply, demand, w->mass_a / (double)units, r, err);
    if (status == TAMIS_OK) status = take_duals(&s, w, r, err);
    if (status == TAMIS_OK) status = take_distance(&s, w, r, err);
    if (status == TAMIS_OK) status = certify(r, err);
    r->mass = w->mass_a;
    r->slack = s.slack;
    r->pivots = s.pivots;
    tamis__simplex_fini(&s);
    return status;
}

tamis_status tamis_transport_exact(tamis_context *context, const tamis_transport_problem *problem,
                                   tamis_transport_exact_result *ret, tamis_error *err)
{
    tamis__cost cost = {0};
    tamis__weights weights = {0};
    tamis_transport_exact_result result = {0};
    TAMIS_TRY(tamis__cost_open(&cost, context, problem, false, err));
    int64_t *supply = tamis__malloc(problem->n, sizeof *supply);
    int64_t *demand = tamis__malloc(problem->m, sizeof *demand);
    tamis_status status = supply && demand
                              ? tamis__weights_init(&weights, problem, true, err)
                              : tamis__fail_memory(err, "weights", problem->n + problem->m);
    if (status == TAMIS_OK) status = solve(&cost, &weights, supply, demand, &result, err);
    free(supply);
    free(demand);
    tamis__weights_fini(&weights);
    tamis__cost_close(&cost);
    if (status != TAMIS_OK)
        tamis_transport_exact_fini(&result);
    else
        *ret = result;
    return status;
}

void tamis_transport_exact_fini(tamis_transport_exact_result *result)
{
    free(result->plan);
    free(result->f);
    free(result->g);
    *result = (tamis_transport_exact_result){0};
}
