/* How many queries and tokens are held at once, and the memory for them.
 *
 * More tokens at once mean that a query's terms are made less often, more queries that tokens are
 * rotated less often; scores do not depend on either.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "score/ekfac_factors_state.h"

enum {
    STEP = TAMIS__MANY_STEP,
    TILE = TAMIS__TERM_TILE,
    BLOCK = TAMIS__TOKEN_BLOCK,
    SLICE = TAMIS__TERM_SLICE,
    CHUNK = TAMIS__TOKEN_CHUNK,
    MOST_TOKENS = 8192, /* enough for the cost of terms not to be seen */
    MANY_QUERIES = 64   /* enough for the cost of rotations not to be */
};

static uint64_t rounded(uint64_t n, uint64_t unit)
{
    return tamis__ceil_div(n, unit) * unit;
}

static size_t panel_bytes(const tamis__factor_run *run, uint64_t columns)
{
    return tamis__ceil_div(columns, STEP) * run->mul->size(run->mul->width(TILE), STEP);
}

/* --- one thread's ----------------------------------------------------------------------------- */

/* Doubles that a query by low rank is found in, for any layer; without the search's own memory. */
static uint64_t weights_size(const tamis__factor_run *run)
{
    uint64_t most = 0;
    for (uint32_t l = 0; l < run->layers; l++) {
        const tamis__factor_layer *layer = &run->layer[l];
        uint64_t n = layer->x * layer->y + layer->query * (layer->x + layer->y);
        if (layer->query && n > most) most = n;
    }
    return most;
}

static uint64_t gather_rows(const tamis__factor_run *run)
{
    return run->p->pairs ? TAMIS__GATHER : CHUNK;
}

static uint64_t scratch_size(const tamis__factor_run *run)
{
    uint64_t most = 0;
    for (uint32_t l = 0; l < run->layers; l++)
        if (tamis__rotate_scratch(&run->layer[l]) > most)
            most = tamis__rotate_scratch(&run->layer[l]);
    return most;
}

static uint64_t worker_bytes(const tamis__factor_run *run)
{
    uint64_t doubles = TILE * STEP + SLICE * (STEP + TILE) + 2 * BLOCK * TILE + scratch_size(run);
    uint64_t floats = TILE * STEP + gather_rows(run) * (run->x + run->y), search = 0;
    for (uint32_t l = 0; l < run->layers; l++) {
        uint64_t bytes = tamis__factor_query_bytes(&run->layer[l], true);
        if (bytes > search) search = bytes;
    }
    return doubles * sizeof(double) + floats * sizeof(float) + panel_bytes(run, run->x) +
           panel_bytes(run, run->y) + search;
}

static bool worker_init(const tamis__factor_run *run, tamis__factor_worker *w)
{
    uint64_t weights = weights_size(run);
    w->room.wide = tamis__aligned(TILE * STEP, sizeof(double));
    w->room.wide_x = tamis__aligned(SLICE * STEP, sizeof(double));
    w->room.wide_y = tamis__aligned(SLICE * TILE, sizeof(double));
    w->narrow = tamis__aligned(TILE * STEP, sizeof(float));
    w->scratch = tamis__malloc(scratch_size(run), sizeof(double));
    w->weights = weights ? tamis__malloc(weights, sizeof(double)) : NULL;
    bool whole = w->room.wide && w->room.wide_x && w->room.wide_y && w->narrow && w->scratch &&
                 (w->weights || !weights);
    for (int side = 0; side < 2; side++) {
        uint64_t columns = side ? run->y : run->x;
        w->panel[side] = tamis__aligned(panel_bytes(run, columns), 1);
        w->sum[side] = tamis__aligned(BLOCK * TILE, sizeof(double));
        w->gather[side] = tamis__aligned(gather_rows(run) * columns, sizeof(float));
        whole = whole && w->panel[side] && w->sum[side] && w->gather[side];
    }
    return whole;
}

static void worker_fini(tamis__factor_worker *w)
{
    free(w->room.wide);
    free(w->room.wide_x);
    free(w->room.wide_y);
    free(w->narrow);
    free(w->scratch);
    free(w->weights);
    for (int side = 0; side < 2; side++) {
        free(w->panel[side]);
        free(w->sum[side]);
        free(w->gather[side]);
    }
}

/* --- the plan --------------------------------------------------------------------------------- */

/* Whatever the passes are. */
static uint64_t fixed_bytes(const tamis__factor_run *run)
{
    uint64_t bytes = run->p->reserved + run->workers * worker_bytes(run), meanwhile = 0;
    for (uint32_t l = 0; l < run->layers; l++) {
        uint64_t kept = tamis__factor_layer_bytes(&run->layer[l], false);
        uint64_t more = tamis__factor_layer_bytes(&run->layer[l], true) - kept;
        bytes += kept;
        if (more > meanwhile) meanwhile = more;
    }
    return bytes + meanwhile;
}

/* Tokens of the queries of a pass, at most. */
static uint64_t most_tokens(const tamis__factor_run *run, uint64_t capacity)
{
    const tamis__factor_tokens *t = run->p->query;
    uint64_t most = 0;
    for (uint64_t q = 0; q < t->items; q += capacity) {
        uint64_t end = tamis__least(q + capacity, t->items);
        uint64_t n = tamis__factor_tokens_first(t, end) - tamis__factor_tokens_first(t, q);
        if (n > most) most = n;
    }
    return most;
}

/* Tokens of pairs, which take a sum each. */
static uint64_t pair_tokens(const tamis__factor_run *run)
{
    const tamis__factor_pairs *p = run->p->pairs;
    uint64_t n = 0;
    if (!p) return 0;
    for (uint64_t i = 0; i < p->first[run->p->query->items]; i++)
        n += tamis__factor_tokens_first(run->p->train, p->row[i] + 1) -
             tamis__factor_tokens_first(run->p->train, p->row[i]);
    return n;
}

static uint64_t query_bytes(const tamis__factor_run *run, uint64_t capacity)
{
    uint64_t each = sizeof(tamis__factor_bundle) + 2 * sizeof(uint64_t);
    uint64_t bytes = most_tokens(run, capacity) * (run->x + run->y) * sizeof(float);
    if (!run->p->pairs) each += run->columns * (sizeof(double) + TAMIS__GIVE_ROWS * sizeof(float));
    for (uint32_t l = 0; l < run->layers; l++)
        each += tamis__factor_query_bytes(&run->layer[l], false);
    return bytes + capacity * each + pair_tokens(run) * sizeof(double);
}

static uint64_t token_bytes(const tamis__factor_run *run, uint64_t capacity)
{
    uint64_t bytes = (run->x + run->y) * sizeof(float);
    if (run->p->pairs || run->p->row) bytes++; /* a mark for each chunk, and some */
    return run->p->pairs ? bytes : bytes + capacity * run->columns * sizeof(double);
}

/* Tokens that are worth being held at once. */
static uint64_t wanted_tokens(const tamis__factor_run *run)
{
    const tamis__factor_tokens *query = run->p->query;
    uint64_t all = rounded(run->p->train->tokens, CHUNK), most = MOST_TOKENS;
    uint64_t each = query->tokens / query->items;
    if (all == 0) return CHUNK;
    if (run->p->pairs) return all;
    if (32 * each > most) most = rounded(32 * each, CHUNK);
    return tamis__least(most, all);
}

/* The largest capacity, by halves, with which at least so many tokens can be held. */
static bool fit(tamis__factor_run *run, uint64_t fixed, uint64_t least_tokens,
                uint64_t least_queries)
{
    uint64_t memory = tamis_context_memory(run->context), queries = run->p->query->items;
    uint64_t capacity = run->p->pass ? run->p->pass : queries;
    for (;; capacity = (capacity + 1) / 2) {
        uint64_t taken = fixed + query_bytes(run, capacity), each = token_bytes(run, capacity);
        if (taken < memory && (memory - taken) / each >= least_tokens) {
            run->capacity = capacity;
            run->span = tamis__least((memory - taken) / each / CHUNK * CHUNK, wanted_tokens(run));
            return true;
        }
        if (capacity <= least_queries || run->p->pass) return false;
    }
}

static tamis_status choose(tamis__factor_run *run, tamis_error *err)
{
    uint64_t fixed = fixed_bytes(run), queries = run->p->query->items;
    uint64_t wanted = wanted_tokens(run), many = tamis__least(queries, MANY_QUERIES);
    for (uint64_t tokens = MOST_TOKENS / 2; tokens >= 4 * CHUNK; tokens /= 4)
        if (fit(run, fixed, tamis__least(tokens, wanted), many)) return TAMIS_OK;
    if (fit(run, fixed, CHUNK, 1)) return TAMIS_OK;
    uint64_t least = run->p->pass ? run->p->pass : 1;
    uint64_t bytes = fixed + query_bytes(run, least) + CHUNK * token_bytes(run, least) + 1;
    TAMIS_TRY(tamis__memory_check(run->context, bytes,
                                  run->p->pass ? "going on with as many queries at once as before"
                                               : "scoring a query by factors",
                                  err));
    return tamis__fail_memory(err, "scoring a query by factors", bytes);
}

static tamis_status allocate(tamis__factor_run *run, tamis_error *err)
{
    uint64_t n = run->capacity, columns = n * run->columns;
    uint64_t sums = run->p->pairs ? pair_tokens(run) : columns * run->span;
    run->room = most_tokens(run, n);
    run->worker = tamis__calloc(run->workers, sizeof *run->worker);
    run->query_x = tamis__aligned(run->room * run->x, sizeof(float));
    run->query_y = tamis__aligned(run->room * run->y, sizeof(float));
    run->train_x = tamis__aligned(run->span * run->x, sizeof(float));
    run->train_y = tamis__aligned(run->span * run->y, sizeof(float));
    run->acc = tamis__aligned(sums, sizeof(double));
    run->bundle = tamis__malloc(n, sizeof *run->bundle);
    bool whole = run->worker && run->query_x && run->query_y && run->train_x && run->train_y &&
                 run->acc && run->bundle;
    if (run->p->pairs) {
        run->cursor = tamis__malloc(n, sizeof *run->cursor);
        run->place = tamis__malloc(n + 1, sizeof *run->place);
        whole = whole && run->cursor && run->place;
    } else {
        run->carry = tamis__malloc(columns, sizeof *run->carry);
        run->out = tamis__malloc(columns * TAMIS__GIVE_ROWS, sizeof *run->out);
        whole = whole && run->carry && run->out;
    }
    if (run->p->pairs || run->p->row) {
        run->wanted = tamis__malloc(run->span / CHUNK, 1);
        whole = whole && run->wanted;
    }
    for (unsigned w = 0; w < run->workers && run->worker; w++)
        whole = worker_init(run, &run->worker[w]) && whole;
    if (whole) return TAMIS_OK;
    return tamis__fail_memory(err, "the factors of a product", sums * sizeof(double));
}

static tamis_status allocate_queries(tamis__factor_layer *layer, uint64_t capacity,
                                     tamis_error *err)
{
    if (!layer->query) return TAMIS_OK;
    layer->query_x = tamis__malloc(capacity * layer->query * layer->x, sizeof(float));
    layer->query_y = tamis__malloc(capacity * layer->query * layer->y, sizeof(float));
    layer->query_exponent = tamis__calloc(capacity, sizeof(int));
    if (layer->query_x && layer->query_y && layer->query_exponent) return TAMIS_OK;
    return tamis__fail_memory(err, "queries of low rank",
                              capacity * tamis__factor_query_bytes(layer, false));
}

tamis_status tamis__factor_plan(tamis__factor_run *run, tamis_error *err)
{
    for (uint32_t l = 0; l < run->layers; l++) {
        if (run->layer[l].x > run->x) run->x = run->layer[l].x;
        if (run->layer[l].y > run->y) run->y = run->layer[l].y;
    }
    TAMIS_TRY(choose(run, err));
    for (uint32_t l = 0; l < run->layers; l++)
        TAMIS_TRY(allocate_queries(&run->layer[l], run->capacity, err));
    return allocate(run, err);
}

void tamis__factor_plan_fini(tamis__factor_run *run)
{
    for (unsigned w = 0; w < run->workers && run->worker; w++) worker_fini(&run->worker[w]);
    free(run->worker);
    free(run->query_x);
    free(run->query_y);
    free(run->train_x);
    free(run->train_y);
    free(run->acc);
    free(run->bundle);
    free(run->cursor);
    free(run->place);
    free(run->wanted);
    free(run->carry);
    free(run->out);
}
