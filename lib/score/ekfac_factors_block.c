/* Products of tokens with panels of terms.
 *
 * The inner loop is that of the engine (kernels/product.h), an outer product kept in registers: a
 * panel holds up to 64 terms, of several queries where they have few. Sums are in float over 512
 * columns, in double beyond; what is made of them, too.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/error.h"
#include "score/ekfac_factors_state.h"

enum { STEP = TAMIS__MANY_STEP, TILE = TAMIS__TERM_TILE, BLOCK = TAMIS__TOKEN_BLOCK };

typedef struct segment {
    const tamis__factor_query *query;
    uint64_t column, first, n; /* terms first .. first + n - 1 */
} segment;

typedef struct tile {
    segment part[TILE];
    unsigned parts;
    uint64_t terms;
} tile;

static size_t panel_step(const tamis__factor_run *run, size_t width)
{
    return run->mul->size(width, STEP);
}

tamis__factor_query tamis__factor_query_at(const tamis__factor_run *run, uint64_t query)
{
    const tamis__factor_tokens *t = run->p->query;
    uint64_t base = tamis__factor_tokens_first(t, run->first_query);
    uint64_t first = tamis__factor_tokens_first(t, run->first_query + query);
    tamis__factor_query q = {
        .x = run->query_x + (first - base) * run->now->x,
        .y = run->query_y + (first - base) * run->now->y,
        .tokens = tamis__factor_tokens_first(t, run->first_query + query + 1) - first,
        .index = query,
        .weight = t->weight ? t->weight[run->first_query + query] : 1.0,
    };
    tamis__factor_query_init(&q, run->now);
    return q;
}

/* --- panels ----------------------------------------------------------------------------------- */

static tamis_status fill(const tamis__factor_run *run, const tile *t, bool of_y,
                         tamis__factor_worker *w, tamis_error *err)
{
    uint64_t columns = of_y ? run->now->y : run->now->x;
    size_t width = run->mul->width(t->terms);
    for (uint64_t column = 0; column < columns; column += STEP) {
        uint64_t n = tamis__least(STEP, columns - column), at = 0;
        for (unsigned i = 0; i < t->parts; at += t->part[i++].n)
            TAMIS_TRY(tamis__factor_terms(run->now, t->part[i].query, of_y, t->part[i].first,
                                          t->part[i].n, column, n, &w->room, w->narrow + at * STEP,
                                          STEP, err));
        run->mul->pack(w->panel[of_y] + column / STEP * panel_step(run, width), w->narrow, STEP,
                       t->terms, width, n);
    }
    return TAMIS_OK;
}

/* --- products --------------------------------------------------------------------------------- */

static void multiply(const tamis__factor_run *run, const tile *t, bool of_y, const float *tokens,
                     uint64_t n, tamis__factor_worker *w)
{
    uint64_t columns = of_y ? run->now->y : run->now->x;
    size_t width = run->mul->width(t->terms);
    memset(w->sum[of_y], 0, n * TILE * sizeof *w->sum[of_y]);
    for (uint64_t column = 0; column < columns; column += STEP)
        run->mul->add(w->sum[of_y], TILE, tokens + column, columns * sizeof *tokens, n,
                      w->panel[of_y] + column / STEP * panel_step(run, width), width,
                      tamis__least(STEP, columns - column));
}

/* From the sums of a block of tokens to scores. */
static void add_scores(const tamis__factor_run *run, const tile *t, const float *y, uint64_t n,
                       const tamis__factor_worker *w, double *acc, size_t stride)
{
    uint64_t at = 0;
    for (unsigned i = 0; i < t->parts; at += t->part[i++].n) {
        const segment *s = &t->part[i];
        double *to = acc + s->column * stride;
        if (s->query->kind == TAMIS__TERMS_EXACT)
            run->dots.floats(to, s->query->factor, w->sum[0] + at, TILE, y + s->first, run->now->y,
                             n, s->n);
        else
            run->dots.doubles(to, s->query->factor, w->sum[0] + at, TILE, w->sum[1] + at, TILE, n,
                              s->n);
    }
}

static tamis_status score_tile(const tamis__factor_run *run, const tile *t, tamis__factor_worker *w,
                               const float *x, const float *y, uint64_t tokens, double *acc,
                               size_t stride, tamis_error *err)
{
    bool exact = t->part[0].query->kind == TAMIS__TERMS_EXACT;
    TAMIS_TRY(fill(run, t, false, w, err));
    if (!exact) TAMIS_TRY(fill(run, t, true, w, err));
    for (uint64_t at = 0; at < tokens; at += BLOCK) {
        uint64_t n = tamis__least(BLOCK, tokens - at);
        multiply(run, t, false, x + at * run->now->x, n, w);
        if (!exact) multiply(run, t, true, y + at * run->now->y, n, w);
        add_scores(run, t, y + at * run->now->y, n, w, acc + at, stride);
    }
    return TAMIS_OK;
}

tamis_status tamis__factor_bundle_score(const tamis__factor_run *run,
                                        const tamis__factor_bundle *bundle,
                                        tamis__factor_worker *worker, const float *x,
                                        const float *y, uint64_t tokens, double *acc, size_t stride,
                                        tamis_error *err)
{
    tamis__factor_query query[TILE];
    tile t = {0};
    for (uint64_t i = 0; i < bundle->n; i++) {
        query[i] = tamis__factor_query_at(run, bundle->first + i);
        if (bundle->n == 1 || query[i].terms == 0) continue;
        t.part[t.parts++] = (segment){&query[i], i * run->columns, 0, query[i].terms};
        t.terms += query[i].terms;
    }
    if (t.parts) return score_tile(run, &t, worker, x, y, tokens, acc, stride, err);
    for (uint64_t first = 0; bundle->n == 1 && first < query[0].terms; first += TILE) {
        uint64_t n = tamis__least(TILE, query[0].terms - first);
        t = (tile){.part = {{query, 0, first, n}}, .parts = 1, .terms = n};
        TAMIS_TRY(score_tile(run, &t, worker, x, y, tokens, acc, stride, err));
    }
    return TAMIS_OK;
}
