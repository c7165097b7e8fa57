/* Network simplex on a transportation problem: pivots on a strongly feasible tree, arcs looked at
 * in blocks.
 *
 * Flows are whole numbers and the arc that leaves is the last that blocks, seen from where the
 * cycle's two paths meet, along the way of the flow: so no tree comes twice, however many ties
 * there are (Cunningham 1976). What rounding the potentials gather is taken out when no arc is
 * left, and all arcs are looked at again.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "transport/simplex.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

/* Arcs looked at for one pivot, at least; rounds of refreshing before giving up; pivots between
 * reports. */
enum { BLOCK_MIN = 256, ROUNDS = 100, REPORT = 4096 };

/* Of the largest cost: well above what a path's additions round, well below what a gap may be. */
#define TOLERANCE 1e-13

typedef struct arc {
    uint32_t i, j;
    double cost, reduced;
} arc;

/* --- a start ---------------------------------------------------------------------------------- */

/* Each point of a in turn sends to the points of b that are nearest to it, beyond the nearest of
 * all to them or their potential where one is given, as long as they have room: each arc fills up
 * one of its ends, so there is no cycle. */
typedef struct start {
    int64_t *left; /* [m] room of points of b */
    double
        *handicap; /* [m] minus the least cost of a column, or its potential; infinite once full */
} start;

static const double *row_of(const tamis__simplex *s, uint64_t i, uint64_t first, size_t columns)
{
    size_t stride;
    return tamis__cost_tile(s->cost, 0, i, 1, first, columns, s->scratch, &stride);
}

static size_t step_of(const tamis__cost *cost)
{
    return cost->f64 || cost->f32 || (cost->problem->row && cost->online) ? (size_t)cost->m
                                                                          : TAMIS__COST_COLUMNS;
}

static void handicaps(const tamis__simplex *s, double *handicap)
{
    size_t step = s->cost->f32 ? TAMIS__COST_COLUMNS : step_of(s->cost);
    const double *given = s->cost->problem->start;
    for (uint64_t j = 0; given && j < s->cost->m; j++) handicap[j] = -given[j];
    if (given) return;
    for (uint64_t j = 0; j < s->cost->m; j++) handicap[j] = -(double)INFINITY;
    for (uint64_t i = 0; i < s->cost->n; i++)
        for (uint64_t j = 0; j < s->cost->m; j += step) {
            size_t columns = s->cost->m - j < step ? (size_t)(s->cost->m - j) : step;
            const double *c = row_of(s, i, j, columns);
            for (size_t k = 0; k < columns; k++)
                handicap[j + k] = -c[k] > handicap[j + k] ? -c[k] : handicap[j + k];
        }
}

/* The least of costs plus weights in a part of a row, or `bound` and no column when none is
 * below. */
static arc least_arc(const tamis__simplex *s, uint32_t i, uint64_t first, uint64_t end,
                     const double *weight, double bound)
{
    const tamis__cost *cost = s->cost;
    const tamis__softmin_kernels *kernels = &cost->softmin;
    size_t step = step_of(cost);
    arc best = {.i = i, .j = UINT32_MAX, .reduced = bound};
    for (uint64_t j = first; j < end; j += step) {
        size_t columns = end - j < step ? (size_t)(end - j) : step, at;
        const double *c = NULL;
        const float *narrow = cost->f32 ? cost->f32 + i * cost->stride + j : NULL;
        double value;
        if (narrow)
            at = kernels->least_float(narrow, cost->unit, weight + j, columns, best.reduced,
                                      &value);
        else
            at = kernels->least(c = row_of(s, i, j, columns), weight + j, columns, best.reduced,
                                &value);
        if (at < columns) {
            best.j = (uint32_t)(j + at);
            best.reduced = value;
            best.cost = narrow ? (double)narrow[at] * cost->unit : c[at];
        }
    }
    return best;
}

/* An arc between two trees: whichever end is the top of its own hangs from the other; where neither
 * is, the source's tree is turned. */
static void join(tamis__simplex *s, const arc *a, int64_t flow)
{
    tamis__tree *t = &s->tree;
    uint32_t source = a->i, sink = t->n + a->j, top = source;
    if (t->parent[sink] == t->root) {
        tamis__tree_hang(t, sink, sink, source, flow, a->cost);
        return;
    }
    while (t->parent[top] != t->root) top = t->parent[top];
    tamis__tree_hang(t, source, top, sink, flow, a->cost);
}

static tamis_status ship(tamis__simplex *s, start *begin, const int64_t *supply, tamis_error *err)
{
    for (uint32_t i = 0; i < s->tree.n; i++) {
        if (i % REPORT == 0)
            TAMIS_TRY(
                tamis__progress(s->cost->context, "first plan", i, s->tree.n, "rows", NULL, err));
        for (int64_t left = supply[i]; left > 0;) {
            arc a = least_arc(s, i, 0, s->cost->m, begin->handicap, (double)INFINITY);
            int64_t flow = left < begin->left[a.j] ? left : begin->left[a.j];
            join(s, &a, flow);
            left -= flow;
            begin->left[a.j] -= flow;
            if (begin->left[a.j] == 0) begin->handicap[a.j] = (double)INFINITY;
        }
    }
    return TAMIS_OK;
}

static tamis_status begin(tamis__simplex *s, const int64_t *supply, const int64_t *demand,
                          tamis_error *err)
{
    size_t m = s->tree.m;
    start b = {.left = tamis__malloc(m, sizeof *b.left),
               .handicap = tamis__malloc(m, sizeof *b.handicap)};
    tamis_status status = TAMIS_OK;
    if (!b.left || !b.handicap) {
        status = tamis__fail_memory(err, "a first plan", m * 16);
    } else {
        memcpy(b.left, demand, m * sizeof *demand);
        handicaps(s, b.handicap);
        for (size_t j = 0; j < m; j++)
            if (demand[j] == 0) b.handicap[j] = (double)INFINITY;
        status = ship(s, &b, supply, err);
    }
    free(b.left);
    free(b.handicap);
    if (status == TAMIS_OK) tamis__tree_refresh(&s->tree);
    return status;
}

/* --- pivots ----------------------------------------------------------------------------------- */

/* The last arc that blocks the flow into `a`: on the path of the source, flow runs down, on that of
 * the sink up. */
static uint32_t leaving(const tamis__tree *t, const arc *a, int64_t *ret_flow, bool *ret_source)
{
    uint32_t u = a->i, v = t->n + a->j, out = TAMIS__NO_NODE;
    int64_t least = INT64_MAX;
    *ret_source = true;
    uint32_t meet_u = u, meet_v = v;
    while (meet_u != meet_v) {
        if (t->depth[meet_u] >= t->depth[meet_v])
            meet_u = t->parent[meet_u];
        else
            meet_v = t->parent[meet_v];
    }
    for (; u != meet_u; u = t->parent[u])
        if (tamis__tree_up(t, u) && t->flow[u] < least) {
            least = t->flow[u];
            out = u;
        }
    for (; v != meet_u; v = t->parent[v])
        if (!tamis__tree_up(t, v) && t->flow[v] <= least) {
            least = t->flow[v];
            out = v;
            *ret_source = false;
        }
    *ret_flow = least;
    return out;
}

static void push(tamis__tree *t, const arc *a, int64_t flow)
{
    uint32_t u = a->i, v = t->n + a->j;
    while (u != v) {
        bool left = t->depth[u] >= t->depth[v];
        uint32_t at = left ? u : v;
        t->flow[at] += tamis__tree_up(t, at) == left ? -flow : flow;
        if (left)
            u = t->parent[u];
        else
            v = t->parent[v];
    }
}

static void pivot(tamis__simplex *s, const arc *a)
{
    tamis__tree *t = &s->tree;
    int64_t flow;
    bool source_side;
    uint32_t out = leaving(t, a, &flow, &source_side), sink = t->n + a->j;
    if (flow > 0) push(t, a, flow);
    if (source_side)
        tamis__tree_hang(t, a->i, out, sink, flow, a->cost);
    else
        tamis__tree_hang(t, sink, out, a->i, flow, a->cost);
    tamis__tree_shift(t, source_side ? a->i : sink, source_side ? a->reduced : -a->reduced);
    s->pivots++;
}

/* The best arc of the next block that has one, from *at on, or of none when all arcs were looked
 * at. */
static bool entering(const tamis__simplex *s, uint64_t block, uint32_t *row, uint64_t *column,
                     arc *ret_arc)
{
    const tamis__tree *t = &s->tree;
    const double *weight = t->potential + t->n;
    uint64_t m = s->cost->m, left = s->cost->n * m, in_block = block;
    arc best = {.reduced = -s->tolerance};
    bool found = false;
    while (left > 0) {
        uint64_t end = *column + in_block < m ? *column + in_block : m, seen = end - *column;
        if (seen > left) end = *column + (seen = left);
        arc a = least_arc(s, *row, *column, end, weight, best.reduced + t->potential[*row]);
        a.reduced -= t->potential[*row];
        if (a.j != UINT32_MAX && a.reduced < best.reduced) {
            best = a;
            found = true;
        }
        left -= seen;
        in_block -= seen;
        *column = end;
        if (end == m) {
            *column = 0;
            *row = *row + 1 == t->n ? 0 : *row + 1;
        }
        if (in_block > 0 && left > 0) continue;
        if (found) break;
        in_block = block;
    }
    *ret_arc = best;
    return found;
}

static tamis_status pivot_all(tamis__simplex *s, tamis_error *err)
{
    uint64_t column = 0, arcs = s->cost->n * s->cost->m;
    uint64_t block = (uint64_t)sqrt((double)arcs);
    uint32_t row = 0;
    arc a;
    if (block < BLOCK_MIN) block = BLOCK_MIN;
    while (entering(s, block, &row, &column, &a)) {
        pivot(s, &a);
        if (s->pivots % REPORT == 0)
            TAMIS_TRY(tamis__progress(s->cost->context, "network simplex", s->pivots, 0, "pivots",
                                      NULL, err));
    }
    return TAMIS_OK;
}

/* How far the potentials are from being duals, by a look at all arcs. */
static double slack_of(const tamis__simplex *s)
{
    const tamis__tree *t = &s->tree;
    double slack = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        arc a = least_arc(s, i, 0, s->cost->m, t->potential + t->n, (double)INFINITY);
        double over = t->potential[i] - a.reduced;
        slack = over > slack ? over : slack;
    }
    return slack;
}

tamis_status tamis__simplex_solve(tamis__simplex *s, tamis__cost *cost, const int64_t *supply,
                                  const int64_t *demand, tamis_error *err)
{
    s->cost = cost;
    s->tolerance = TOLERANCE * cost->largest;
    s->scratch = tamis__aligned(tamis__cost_scratch(cost, 1), sizeof *s->scratch);
    if (!s->scratch) return tamis__fail_memory(err, "tiles of costs", cost->m);
    TAMIS_TRY(tamis__tree_init(&s->tree, (uint32_t)cost->n, (uint32_t)cost->m, err));
    TAMIS_TRY(begin(s, supply, demand, err));
    for (int round = 0; round < ROUNDS; round++) {
        TAMIS_TRY(pivot_all(s, err));
        tamis__tree_refresh(&s->tree);
        s->slack = slack_of(s);
        if (s->slack <= s->tolerance) return TAMIS_OK;
    }
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "the network simplex still finds a better plan after %d rounds: the costs "
                       "differ too much in size",
                       ROUNDS);
}

void tamis__simplex_fini(tamis__simplex *s)
{
    tamis__tree_fini(&s->tree);
    free(s->scratch);
    *s = (tamis__simplex){0};
}
