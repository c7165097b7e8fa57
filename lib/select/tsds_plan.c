/* The best plan of TSDS, by a sweep over how far the mass of targets is spread.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/tsds.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"

double tamis__tsds_distance(float cosine)
{
    double square = 2.0 - 2.0 * (double)cosine;
    return square > 0 ? sqrt(square) : 0.0;
}

/* Where a target stands. Shares are weights 1 / density, of which it gives out s. */
typedef struct target {
    uint64_t index, full; /* candidates at the head of its list that have all that they may have */
    double weight;        /* of these together */
    double weighted;      /* their distances times their weights */
    double slope;         /* what it costs this target that s grows */
    double next;          /* the s at which one more will be full */
} target;

typedef struct sweep {
    const tamis__tsds_problem *p;
    target *heap; /* [m] by next, then index: the root is the first to change */
    double s, slope;
    bool cut;
} sweep;

static double weight_at(const tamis__tsds_problem *p, uint64_t j, uint64_t at)
{
    return p->density ? 1.0 / p->density[p->row[j * p->length + at]] : 1.0;
}

static double distance_at(const tamis__tsds_problem *p, uint64_t j, uint64_t at)
{
    return tamis__tsds_distance(p->cosine[j * p->length + at]);
}

static bool before(const target *a, const target *b)
{
    return a->next < b->next || (a->next == b->next && a->index < b->index);
}

static void sift_down(target *heap, uint64_t n, uint64_t at)
{
    for (uint64_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && before(&heap[child + 1], &heap[child])) child++;
        if (!before(&heap[child], &heap[at])) break;
        target swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
    }
}

static void start(sweep *w)
{
    const tamis__tsds_problem *p = w->p;
    for (uint64_t j = 0; j < p->m; j++)
        w->heap[j] = (target){.index = j, .next = weight_at(p, j, 0)};
    for (uint64_t at = p->m / 2; at-- > 0;) sift_down(w->heap, p->m, at);
}

/* s grows to where the first target uses a candidate up; false when it should grow no more. From
 * here on what the target's nearer candidates give up with every bit of s goes to the next one. */
static bool advance(sweep *w)
{
    const tamis__tsds_problem *p = w->p;
    target *t = &w->heap[0];
    double weight = t->next - t->weight, old = t->slope;
    w->s = t->next;
    t->weighted += weight * distance_at(p, t->index, t->full);
    t->weight = t->next;
    t->full++;
    if (t->full == p->k) {
        w->cut = true;
        return false;
    }
    t->slope = distance_at(p, t->index, t->full) * t->weight - t->weighted;
    w->slope += t->slope - old;
    if (w->slope >= w->p->price * (double)p->m) return false;
    t->next = t->weight + weight_at(p, t->index, t->full);
    sift_down(w->heap, p->m, 0);
    return true;
}

/* Each target's mass, 1 / m, in the proportions of weights; what is left goes to the next
 * candidate. */
static void give(const sweep *w, tamis__tsds_plan *plan)
{
    const tamis__tsds_problem *p = w->p;
    double each = 1.0 / (double)p->m;
    for (uint64_t h = 0; h < p->m; h++) plan->full[w->heap[h].index] = w->heap[h].full;
    for (uint64_t j = 0; j < p->m; j++) {
        const uint64_t *row = p->row + j * p->length;
        double left = w->s;
        for (uint64_t at = 0; at < plan->full[j]; at++) {
            double weight = weight_at(p, j, at);
            plan->mass[row[at]] += each * (weight / w->s);
            left -= weight;
        }
        if (plan->full[j] < p->k && left > 0)
            plan->mass[row[plan->full[j]]] += each * (left / w->s);
    }
    plan->spread = w->s;
    plan->cut = w->cut;
}

tamis_status tamis__tsds_plan_make(const tamis__tsds_problem *p, tamis__tsds_plan *ret_plan,
                                   tamis_error *err)
{
    tamis__tsds_plan plan = {.full = tamis__calloc(p->m, sizeof *plan.full),
                             .mass = tamis__calloc(p->n, sizeof *plan.mass)};
    sweep w = {.p = p, .heap = tamis__malloc(p->m, sizeof *w.heap)};
    if (!plan.full || !plan.mass || !w.heap) {
        tamis__tsds_plan_fini(&plan);
        free(w.heap);
        return tamis__fail_memory(err, "a plan", p->n * sizeof(double) + p->m * sizeof(target));
    }
    start(&w);
    while (advance(&w))
        ;
    give(&w, &plan);
    free(w.heap);
    *ret_plan = plan;
    return TAMIS_OK;
}

void tamis__tsds_plan_fini(tamis__tsds_plan *plan)
{
    free(plan->full);
    free(plan->mass);
    *plan = (tamis__tsds_plan){0};
}
