/* The product of two stores of factors.
 *
 * In a pass over the training tokens, as many queries take part as fit the memory limit. Tokens
 * come in spans; of a span, layer by layer, the factors of tokens and of queries are read, rotated
 * into the eigenbasis in double and rounded to float. Then a thread takes a bundle of queries,
 * makes their terms, and multiplies all tokens of the span, or a part of them, with panels of
 * these.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"
#include "linalg/low_rank.h"
#include "score/ekfac_factors_state.h"
#include "store/store_changed.h"

enum {
    CHUNK = TAMIS__TOKEN_CHUNK,
    TILE = TAMIS__TERM_TILE,
    LEAST_PART = 1024, /* tokens of a bundle that one thread takes */
    SHARES = 8,        /* bundles of a thread, so that all of them end at about the same time */
    POWER = 2
};

/* --- factors at a layer ----------------------------------------------------------------------- */

/* Places of the queries' tokens of the pass. */
static void query_range(const tamis__factor_run *run, uint64_t *ret_first, uint64_t *ret_end)
{
    *ret_first = tamis__factor_tokens_first(run->p->query, run->first_query);
    *ret_end = tamis__factor_tokens_first(run->p->query, run->first_query + run->queries);
}

static tamis_status load_train(const tamis__factor_run *run, uint64_t chunk,
                               tamis__factor_worker *w, tamis_error *err)
{
    uint64_t at = chunk * CHUNK, n = tamis__least(CHUNK, run->tokens - at);
    if (run->wanted && !run->wanted[chunk]) return TAMIS_OK;
    return tamis__factor_tokens_rotate(run->p->train, run->now, run->first_token + at, n,
                                       w->scratch, run->train_x + at * run->now->x,
                                       run->train_y + at * run->now->y, err);
}

/* Chunks are those of all queries, so that a pass has the same bits wherever it begins. */
static tamis_status load_query(const tamis__factor_run *run, uint64_t chunk,
                               tamis__factor_worker *w, tamis_error *err)
{
    uint64_t first, end, x = run->now->x, y = run->now->y;
    query_range(run, &first, &end);
    uint64_t at = (first / CHUNK + chunk) * CHUNK;
    uint64_t n = tamis__least(CHUNK, run->p->query->tokens - at);
    TAMIS_TRY(tamis__factor_tokens_rotate(run->p->query, run->now, at, n, w->scratch, w->gather[0],
                                          w->gather[1], err));
    uint64_t from = at < first ? first : at, to = tamis__least(at + n, end);
    memcpy(run->query_x + (from - first) * x, w->gather[0] + (from - at) * x,
           (to - from) * x * sizeof(float));
    memcpy(run->query_y + (from - first) * y, w->gather[1] + (from - at) * y,
           (to - from) * y * sizeof(float));
    return TAMIS_OK;
}

static uint64_t train_chunks(const tamis__factor_run *run)
{
    return run->with_train ? tamis__ceil_div(run->tokens, CHUNK) : 0;
}

static tamis_status load_item(void *arg, uint64_t item, unsigned slot, unsigned worker,
                              tamis_error *err)
{
    const tamis__factor_run *run = arg;
    (void)slot;
    if (item < train_chunks(run)) return load_train(run, item, &run->worker[worker], err);
    return load_query(run, item - train_chunks(run), &run->worker[worker], err);
}

static tamis_status load(tamis__factor_run *run, uint32_t layer, bool with_train, tamis_error *err)
{
    uint64_t first, end;
    run->now = &run->layer[layer];
    run->with_train = with_train;
    query_range(run, &first, &end);
    uint64_t chunks = end > first ? tamis__ceil_div(end, CHUNK) - first / CHUNK : 0;
    tamis__pipeline pipeline = {.arg = run, .items = train_chunks(run) + chunks, .work = load_item};
    return tamis__pool_run(run->context->pool, &pipeline, err);
}

/* --- queries by low rank ---------------------------------------------------------------------- */

/* Of the numbers [n, width], brought near 1: their common power of two. */
static int narrow(const double *values, uint64_t n, float *out)
{
    double most = 0;
    int exponent = 0;
    for (uint64_t i = 0; i < n; i++) most = fmax(most, fabs(values[i]));
    if (most > 0 && isfinite(most)) frexp(most, &exponent);
    double scale = ldexp(1.0, -exponent);
    for (uint64_t i = 0; i < n; i++) out[i] = (float)(values[i] * scale);
    return exponent;
}

static tamis_status query_item(void *arg, uint64_t item, unsigned slot, unsigned worker,
                               tamis_error *err)
{
    const tamis__factor_run *run = arg;
    const tamis__factor_layer *l = run->now;
    tamis__factor_worker *w = &run->worker[worker];
    tamis__factor_query q = tamis__factor_query_at(run, item);
    double *left = w->weights + l->x * l->y, *right = left + l->query * l->y;
    (void)slot;
    if (q.kind != TAMIS__TERMS_QUERY || q.tokens == 0) return TAMIS_OK;
    q.exponent = 0;
    TAMIS_TRY(tamis__factor_weights(l, &q, &w->room, w->weights, err));
    int exponent = 0;
    uint64_t values = l->x * l->y;
    double most = 0;
    for (uint64_t i = 0; i < values; i++) most = fmax(most, fabs(w->weights[i]));
    if (most > 0 && isfinite(most)) frexp(most, &exponent);
    for (uint64_t i = 0; i < values; i++) w->weights[i] = ldexp(w->weights[i], -exponent);
    if (l->start)
        TAMIS_TRY(tamis__low_rank_sketch(l->y, l->x, w->weights, l->query, POWER, l->start_width,
                                         l->start, left, right, err));
    else
        TAMIS_TRY(tamis__low_rank(l->y, l->x, w->weights, l->query, left, right, err));
    exponent += narrow(left, l->query * l->y, l->query_y + item * l->query * l->y);
    exponent += narrow(right, l->query * l->x, l->query_x + item * l->query * l->x);
    l->query_exponent[item] = exponent;
    return TAMIS_OK;
}

static tamis_status query_done(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    const tamis__factor_run *run = arg;
    (void)slot;
    return tamis__progress(run->context, "preparing queries", run->first_query + item + 1,
                           run->p->query->items, "queries", NULL, err);
}

static tamis_status prepare_queries(tamis__factor_run *run, tamis_error *err)
{
    for (uint32_t l = 0; l < run->layers; l++) {
        if (!run->layer[l].query) continue;
        TAMIS_TRY(load(run, l, false, err));
        tamis__pipeline pipeline = {
            .arg = run, .items = run->queries, .work = query_item, .consume = query_done};
        tamis_status status = tamis__pool_run(run->context->pool, &pipeline, err);
        if (status == TAMIS_ERR_NUMERIC)
            return tamis__prefix(err, status, "layer '%s'", run->now->spectrum->layer.name);
        TAMIS_TRY(status);
    }
    return TAMIS_OK;
}

/* --- products --------------------------------------------------------------------------------- */

/* Queries that follow one another share a panel as long as their terms fit. */
static void bundle_queries(tamis__factor_run *run)
{
    uint64_t width = 0;
    tamis__term_kind kind = TAMIS__TERMS_EXACT;
    const tamis__factor_tokens *t = run->p->query;
    run->bundles = 0;
    for (uint64_t q = 0; q < run->queries; q++) {
        uint64_t at = run->first_query + q;
        uint64_t tokens = tamis__factor_tokens_first(t, at + 1) - tamis__factor_tokens_first(t, at);
        tamis__term_kind own = tamis__factor_layer_kind(run->now, tokens);
        uint64_t terms = tamis__factor_layer_terms(run->now, own, tokens);
        if (terms == 0) continue; /* its score of this layer is 0 */
        tamis__factor_bundle *last = run->bundles ? &run->bundle[run->bundles - 1] : NULL;
        if (last && last->first + last->n == q && own == kind && width + terms <= TILE) {
            last->n++;
            width += terms;
        } else {
            run->bundle[run->bundles++] = (tamis__factor_bundle){q, 1};
            width = terms;
            kind = own;
        }
    }
}

static void split_parts(tamis__factor_run *run)
{
    uint64_t least = SHARES * run->workers;
    run->parts = 1;
    if (run->bundles && run->bundles < least)
        run->parts = tamis__least(tamis__ceil_div(least, run->bundles),
                                  tamis__ceil_div(run->tokens, LEAST_PART));
    if (run->parts == 0) run->parts = 1;
    run->part = tamis__ceil_div(run->tokens, run->parts);
}

/* The next tokens from `at` on, before `end`, that are wanted. */
static uint64_t wanted_run(const tamis__factor_run *run, uint64_t *at, uint64_t end)
{
    if (!run->wanted) return end - *at;
    while (*at < end && !run->wanted[*at / CHUNK]) *at = (*at / CHUNK + 1) * CHUNK;
    uint64_t last = *at;
    while (last < end && run->wanted[last / CHUNK]) last = (last / CHUNK + 1) * CHUNK;
    return last > *at ? tamis__least(last, end) - *at : 0;
}

static tamis_status score_item(void *arg, uint64_t item, unsigned slot, unsigned worker,
                               tamis_error *err)
{
    const tamis__factor_run *run = arg;
    tamis__factor_worker *w = &run->worker[worker];
    (void)slot;
    if (run->p->pairs) return tamis__factor_pairs_score(run, item, w, err);
    const tamis__factor_bundle *bundle = &run->bundle[item / run->parts];
    uint64_t at = item % run->parts * run->part, end = tamis__least(at + run->part, run->tokens);
    uint64_t column = bundle->first * run->columns + (run->columns > 1 ? run->now->index : 0), n;
    for (; at < end && (n = wanted_run(run, &at, end)) > 0; at += n)
        TAMIS_TRY(tamis__factor_bundle_score(run, bundle, w, run->train_x + at * run->now->x,
                                             run->train_y + at * run->now->y, n,
                                             run->acc + column * run->span + at, run->span, err));
    return TAMIS_OK;
}

/* So that a run can be stopped between two bundles. */
static tamis_status score_done(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    const tamis__factor_run *run = arg;
    uint64_t all = run->p->train->items,
             items = run->p->pairs ? run->queries : run->bundles * run->parts;
    double share = run->tokens ? (double)run->tokens / (double)run->p->train->tokens : 0;
    double done = (double)run->first_token / (double)run->p->train->tokens;
    done += share * (run->now->index + (double)(item + 1) / (double)items) / run->layers;
    done = (done * (double)run->queries + (double)run->first_query) / (double)run->p->query->items;
    (void)slot;
    return tamis__progress(run->context, run->p->phase, (uint64_t)(done * (double)all), all, "rows",
                           NULL, err);
}

static tamis_status score_layer(tamis__factor_run *run, uint32_t layer, tamis_error *err)
{
    TAMIS_TRY(load(run, layer, true, err));
    bundle_queries(run);
    split_parts(run);
    tamis__pipeline pipeline = {.arg = run,
                                .items = run->p->pairs ? run->queries : run->bundles * run->parts,
                                .work = score_item,
                                .consume = score_done};
    return tamis__pool_run(run->context->pool, &pipeline, err);
}

static tamis_status score_span(tamis__factor_run *run, tamis_error *err)
{
    if (run->p->pairs)
        tamis__factor_pairs_begin(run);
    else
        memset(run->acc, 0, run->queries * run->columns * run->span * sizeof *run->acc);
    bool any = run->p->pairs ? run->place[run->queries] > 0 : tamis__factor_want(run);
    for (uint32_t l = 0; l < run->layers && run->tokens && any; l++)
        TAMIS_TRY(score_layer(run, l, err));
    if (!run->p->pairs) return tamis__factor_give(run, err);
    tamis__factor_pairs_end(run);
    return TAMIS_OK;
}

/* --- passes ----------------------------------------------------------------------------------- */

static tamis_status run_pass(tamis__factor_run *run, uint64_t first_row, tamis_error *err)
{
    const tamis__factor_tokens *train = run->p->train;
    uint64_t start = tamis__factor_tokens_first(train, first_row) / CHUNK * CHUNK;
    TAMIS_TRY(prepare_queries(run, err));
    run->next_row = first_row;
    run->filled = 0;
    if (run->carry) memset(run->carry, 0, run->queries * run->columns * sizeof *run->carry);
    for (uint64_t q = 0; q < run->queries && run->cursor; q++)
        run->cursor[q] = run->p->pairs->first[run->first_query + q];
    do {
        run->first_token = start;
        run->tokens = tamis__least(run->span, train->tokens - start);
        TAMIS_TRY(score_span(run, err));
        start += run->tokens;
    } while (start < train->tokens);
    return TAMIS_OK;
}

/* Blocks that the sink has are left out: whole passes, then the first blocks of one. */
static tamis_status run_passes(tamis__factor_run *run, tamis_error *err)
{
    uint64_t queries = run->p->query->items, rows = run->p->train->items;
    uint64_t blocks = tamis__ceil_div(rows, TAMIS__GIVE_ROWS), there = run->p->first_item;
    for (; run->first_query < queries; run->first_query += run->capacity) {
        uint64_t skip = tamis__least(there, blocks);
        there -= skip;
        if (skip == blocks && blocks) continue;
        run->queries = tamis__least(run->capacity, queries - run->first_query);
        TAMIS_TRY(run_pass(run, skip * TAMIS__GIVE_ROWS, err));
    }
    return TAMIS_OK;
}

static tamis_status init(tamis__factor_run *run, const tamis__factor_product *product,
                         tamis_error *err)
{
    const tamis__ekfac_job *job = product->job;
    const tamis_store_info *info = tamis_store_info_get(job->call->train);
    const tamis__product_wish wish = {
        .dtype = TAMIS_F32, .cpu = tamis_context_cpu(job->call->context), .exact = true};
    *run = (tamis__factor_run){.p = product,
                               .context = job->call->context,
                               .mul = tamis__multiplier_choose(&wish),
                               .layers = info->layers,
                               .columns = job->by == TAMIS_BY_LAYER ? info->layers : 1};
    tamis__row_dots_init(&run->dots, wish.cpu);
    run->workers = tamis_context_threads(run->context);
    run->layer = tamis__calloc(run->layers, sizeof *run->layer);
    if (!run->layer) return tamis__fail_memory(err, "layers", run->layers * sizeof *run->layer);
    for (uint32_t l = 0; l < run->layers; l++)
        tamis__factor_layer_init(&run->layer[l], &job->spectrum[l], l,
                                 product->exact ? 0 : job->spectral_rank,
                                 product->exact ? 0 : job->query_rank);
    TAMIS_TRY(tamis__factor_plan(run, err));
    for (uint32_t l = 0; l < run->layers; l++)
        TAMIS_TRY(tamis__factor_layer_ready(&run->layer[l], job->call->seed, err));
    return TAMIS_OK;
}

tamis_status tamis__factor_product_run(const tamis__factor_product *product,
                                       tamis__product_report *ret_report, tamis_error *err)
{
    tamis__factor_run run;
    tamis_status status = init(&run, product, err);
    tamis__blas_begin();
    if (status == TAMIS_OK) status = run_passes(&run, err);
    tamis__blas_end();
    if (status == TAMIS_OK) status = tamis__store_unchanged(product->train->store, err);
    if (status == TAMIS_OK) status = tamis__store_unchanged(product->query->store, err);
    for (uint32_t l = 0; l < run.layers && run.layer; l++) tamis__factor_layer_fini(&run.layer[l]);
    free(run.layer);
    if (status == TAMIS_OK && ret_report)
        *ret_report = (tamis__product_report){.kernel = run.mul->name, .panel = run.mul->panel};
    tamis__factor_plan_fini(&run);
    return status;
}
