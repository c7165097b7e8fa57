/* Greedy maximisation of a set function under a budget, plain and lazy.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/greedy.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"

/* Picks between two reports of progress. */
#define REPORT 256

typedef struct entry {
    double worth; /* gain over cost, or a bound of it */
    uint64_t row;
    uint64_t when; /* picks there were when it was found */
} entry;

typedef struct search {
    tamis__picks *picks;
    const tamis__gain *gain;
    entry *heap; /* [n] the best one at its root */
    uint64_t n;
} search;

static bool before(const entry *a, const entry *b)
{
    if (a->worth != b->worth) return a->worth > b->worth;
    return a->row < b->row;
}

static void sift_down(search *s, uint64_t i)
{
    entry moved = s->heap[i];
    for (uint64_t child = 2 * i + 1; child < s->n; i = child, child = 2 * i + 1) {
        if (child + 1 < s->n && before(&s->heap[child + 1], &s->heap[child])) child++;
        if (!before(&s->heap[child], &moved)) break;
        s->heap[i] = s->heap[child];
    }
    s->heap[i] = moved;
}

static void drop_root(search *s)
{
    s->heap[0] = s->heap[--s->n];
    if (s->n > 0) sift_down(s, 0);
}

static tamis_status evaluate(const search *s, entry *e, tamis_error *err)
{
    double gain = 0;
    const double *cost = s->picks->from->cost;
    TAMIS_TRY(s->gain->gain(s->gain->arg, e->row, &gain, err));
    if (isnan(gain))
        return tamis__fail(err, TAMIS_ERR_NUMERIC,
                           "row %" PRIu64 ": what it adds to the %" PRIu64
                           " picked before is not a number: run 'tamis inspect' on the inputs",
                           e->row, s->picks->n);
    e->worth = !cost ? gain : cost[e->row] > 0 ? gain / cost[e->row] : gain < 0 ? gain : HUGE_VAL;
    e->when = s->picks->n;
    return TAMIS_OK;
}

static tamis_status pick(const search *s, uint64_t row, tamis_error *err)
{
    tamis__picks_add(s->picks, row);
    if (s->gain->add) TAMIS_TRY(s->gain->add(s->gain->arg, row, err));
    if (s->picks->n % REPORT != 0) return TAMIS_OK;
    return tamis__progress(s->picks->from->context, "choosing", s->picks->n, s->picks->from->budget,
                           "rows", NULL, err);
}

static tamis_status evaluate_all(search *s, tamis_error *err)
{
    for (uint64_t i = 0; i < s->n; i++) TAMIS_TRY(evaluate(s, &s->heap[i], err));
    for (uint64_t i = s->n / 2; i-- > 0;) sift_down(s, i);
    return TAMIS_OK;
}

/* A bound that still leads after it was found anew is the largest gain. */
static tamis_status pick_lazily(search *s, tamis_error *err)
{
    TAMIS_TRY(evaluate_all(s, err));
    while (s->n > 0 && !tamis__picks_done(s->picks)) {
        entry *root = &s->heap[0];
        if (!tamis__picks_fits(s->picks, root->row)) {
            tamis__picks_try(s->picks, root->row);
            drop_root(s);
        } else if (root->when == s->picks->n) {
            uint64_t row = root->row;
            drop_root(s);
            TAMIS_TRY(pick(s, row, err));
        } else {
            TAMIS_TRY(evaluate(s, root, err));
            sift_down(s, 0);
        }
    }
    return TAMIS_OK;
}

static tamis_status pick_plainly(search *s, tamis_error *err)
{
    while (s->n > 0 && !tamis__picks_done(s->picks)) {
        uint64_t kept = 0, best = 0;
        for (uint64_t i = 0; i < s->n; i++) {
            if (tamis__picks_fits(s->picks, s->heap[i].row))
                s->heap[kept++] = s->heap[i];
            else
                s->picks->taken[s->heap[i].row] = TAMIS__PASSED_OVER;
        }
        s->n = kept;
        for (uint64_t i = 0; i < s->n; i++) {
            TAMIS_TRY(evaluate(s, &s->heap[i], err));
            if (before(&s->heap[i], &s->heap[best])) best = i;
        }
        if (s->n > 0) TAMIS_TRY(pick(s, s->heap[best].row, err));
    }
    return TAMIS_OK;
}

tamis_status tamis__greedy(tamis__picks *picks, const tamis__gain *gain, tamis_error *err)
{
    search s = {.picks = picks, .gain = gain};
    const tamis__candidates *from = picks->from;
    for (uint64_t i = 0; i < picks->n && gain->add; i++)
        TAMIS_TRY(gain->add(gain->arg, picks->row[i], err));
    s.heap = tamis__malloc((size_t)from->rows, sizeof *s.heap);
    if (!s.heap)
        return tamis__fail_memory(err, "the gains of all rows", from->rows * sizeof *s.heap);
    for (uint64_t row = 0; row < from->rows; row++)
        if (picks->taken[row] == TAMIS__PICK_OPEN && tamis__picks_free(from, row))
            s.heap[s.n++] = (entry){.row = row};
    tamis_status status = gain->submodular ? pick_lazily(&s, err) : pick_plainly(&s, err);
    free(s.heap);
    return status;
}
