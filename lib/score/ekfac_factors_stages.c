/* Lists in two stages: candidates by low rank, which are then scored exactly.
 *
 * A list is exact whenever its rows are among the candidates; how often that is so is measured on
 * some queries, evenly spaced, of which all rows are scored exactly.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/ekfac_factors_stages.h"

#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"

typedef struct lists {
    tamis__top_sink top, bottom;
    tamis__tee tee;
} lists;

static void lists_fini(lists *l)
{
    tamis__top_sink_fini(&l->top);
    tamis__top_sink_fini(&l->bottom);
}

static uint64_t lists_bytes(const lists *l)
{
    return (l->top.queries * l->top.k + l->bottom.queries * l->bottom.k) * sizeof(tamis__ranked);
}

/* Lists `times` as long as those of the output. */
static tamis_status lists_init(lists *l, const tamis__factor_product *p, uint64_t queries,
                               uint64_t times, tamis_error *err)
{
    const tamis_score_params *params = p->job->call->output->params;
    uint64_t rows = p->train->items;
    uint64_t top = params->top > rows / times ? rows : params->top * times;
    uint64_t bottom = params->bottom > rows / times ? rows : params->bottom * times;
    const tamis_context *context = p->job->call->context;
    TAMIS_TRY(tamis__top_sink_init(&l->top, context, queries, top, false, err));
    tamis__tee_add(&l->tee, tamis__top_sink_of(&l->top));
    if (!bottom) return TAMIS_OK;
    TAMIS_TRY(tamis__top_sink_init(&l->bottom, context, queries, bottom, true, err));
    tamis__tee_add(&l->tee, tamis__top_sink_of(&l->bottom));
    return TAMIS_OK;
}

/* --- the first stage -------------------------------------------------------------------------- */

static tamis_status find_candidates(const tamis__factor_product *product, lists *candidates,
                                    tamis_error *err)
{
    tamis__factor_product p = *product;
    tamis__score_output *output = p.job->call->output;
    TAMIS_TRY(lists_init(candidates, product, p.query->items, p.job->rescore, err));
    tamis__tee_add(&candidates->tee, tamis__statistics_sink_of(&output->statistics));
    p.sink = tamis__tee_of(&candidates->tee);
    p.reserved += lists_bytes(candidates);
    p.phase = "finding candidates";
    return tamis__factor_product_run(&p, &output->report, err);
}

/* --- the second ------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void add_list(tamis__top_sink *list, uint64_t query, float *scores, uint64_t *rows,
                     uint64_t *n)
{
    uint64_t held = list->k ? list->held[query] : 0;
    if (!list->k) return;
    tamis__top_sink_list(list, query, rows + *n, scores);
    *n += held;
}

/* The rows of both lists of every query, each once, ascending. */
static tamis_status pair_up(lists *candidates, uint64_t queries, tamis__factor_pairs *pairs,
                            tamis_error *err)
{
    uint64_t each = candidates->top.k + candidates->bottom.k, at = 0;
    float *scores = tamis__malloc(each, sizeof *scores);
    pairs->first = tamis__malloc(queries + 1, sizeof *pairs->first);
    pairs->row = tamis__malloc(queries * each, sizeof *pairs->row);
    pairs->value = tamis__calloc(queries * each, sizeof *pairs->value);
    bool whole = scores && pairs->first && pairs->row && pairs->value;
    for (uint64_t q = 0; q < queries && whole; q++) {
        uint64_t n = 0, *rows = pairs->row + at;
        pairs->first[q] = at;
        add_list(&candidates->top, q, scores, rows, &n);
        add_list(&candidates->bottom, q, scores, rows, &n);
        qsort(rows, n, sizeof *rows, ascending);
        for (uint64_t i = 0; i < n; i++)
            if (i == 0 || rows[i] != rows[i - 1]) pairs->row[at++] = rows[i];
    }
    if (whole) pairs->first[queries] = at;
    free(scores);
    if (whole) return TAMIS_OK;
    return tamis__fail_memory(err, "candidates", queries * each * 2 * sizeof(uint64_t));
}

static void pairs_fini(tamis__factor_pairs *pairs)
{
    free(pairs->first);
    free(pairs->row);
    free(pairs->value);
}

/* Into the lists of the output: rows ascend within a query, as they want them. */
static tamis_status give_pairs(const tamis__factor_product *p, const tamis__factor_pairs *pairs,
                               tamis_error *err)
{
    tamis__score_output *output = p->job->call->output;
    tamis__sink sinks[2] = {tamis__top_sink_of(&output->top), tamis__top_sink_of(&output->bottom)};
    for (uint64_t q = 0; q < p->query->items; q++)
        for (uint64_t i = pairs->first[q]; i < pairs->first[q + 1]; i++) {
            float score = (float)pairs->value[i];
            if (!isfinite(score))
                return tamis__fail(err, TAMIS_ERR_NUMERIC,
                                   "'%s': row %llu has no finite score for query %llu: raise the "
                                   "damping, or make the store again without it",
                                   tamis_store_path(p->train->store),
                                   (unsigned long long)pairs->row[i], (unsigned long long)q);
            for (int s = 0; s < (output->bottom.k ? 2 : 1); s++)
                TAMIS_TRY(sinks[s].put(sinks[s].arg, pairs->row[i], 1, q, 1, &score, 1, err));
        }
    return TAMIS_OK;
}

static tamis_status rescore(const tamis__factor_product *product, lists *candidates,
                            tamis_error *err)
{
    tamis__factor_product p = *product;
    tamis__factor_pairs pairs = {0};
    uint64_t most = lists_bytes(candidates) / sizeof(tamis__ranked);
    p.reserved += lists_bytes(candidates) + most * (sizeof(uint64_t) + sizeof(double)) +
                  (p.query->items + 1) * sizeof(uint64_t);
    tamis_status status = pair_up(candidates, p.query->items, &pairs, err);
    p.pairs = &pairs;
    p.exact = true;
    p.phase = "scoring candidates";
    if (status == TAMIS_OK) status = tamis__factor_product_run(&p, NULL, err);
    if (status == TAMIS_OK) status = give_pairs(&p, &pairs, err);
    if (status == TAMIS_OK) p.job->call->output->stages.rescored = pairs.first[p.query->items];
    pairs_fini(&pairs);
    return status;
}

/* --- how many of the exact lists are found ---------------------------------------------------- */

static uint64_t sampled(const tamis__factor_product *p, uint64_t i)
{
    return i * p->query->items / p->job->call->output->stages.sample;
}

/* Of which sampled query each row of the query store is a part. */
static tamis_status sample_tokens(const tamis__factor_product *p, tamis__factor_tokens *ret_tokens,
                                  tamis_error *err)
{
    const tamis__score_output *output = p->job->call->output;
    uint64_t rows = tamis_store_info_get(p->query->store)->rows, sample = output->stages.sample;
    uint64_t *of = tamis__malloc(rows, sizeof *of),
             *at = tamis__malloc(p->query->items, sizeof *at);
    double *size = tamis__malloc(sample, sizeof *size);
    tamis_status status = of && at && size
                              ? TAMIS_OK
                              : tamis__fail_memory(err, "a sample of queries", rows * sizeof *of);
    if (status == TAMIS_OK) {
        for (uint64_t q = 0; q < p->query->items; q++) at[q] = UINT64_MAX;
        for (uint64_t i = 0; i < sample; i++) {
            at[sampled(p, i)] = i;
            size[i] = p->query->weight ? 1.0 / p->query->weight[sampled(p, i)] : 1.0;
        }
        for (uint64_t r = 0; r < rows; r++)
            of[r] = at[output->groups.member ? output->groups.member[r] : r];
        status = tamis__factor_tokens_gather(ret_tokens, p->job->call->query, p->query->checkpoint,
                                             sample, of, size, err);
    }
    free(of);
    free(at);
    free(size);
    return status;
}

/* The share of `exact` that is in `found`. Both are given up to their end. */
static tamis_status compare(tamis__top_sink *exact, uint64_t i, tamis__top_sink *found, uint64_t q,
                            double *ret_share, tamis_error *err)
{
    uint64_t n = exact->held[i], both = 0;
    uint64_t *a = tamis__malloc(exact->k, sizeof *a), *b = tamis__malloc(found->k, sizeof *b);
    float *scores = tamis__malloc(exact->k > found->k ? exact->k : found->k, sizeof *scores);
    bool whole = a && b && scores;
    if (whole) {
        tamis__top_sink_list(exact, i, a, scores);
        tamis__top_sink_list(found, q, b, scores);
        qsort(a, n, sizeof *a, ascending);
        qsort(b, found->held[q], sizeof *b, ascending);
        for (uint64_t x = 0, y = 0; x < n && y < found->held[q];) {
            both += a[x] == b[y];
            if (a[x] <= b[y])
                x++;
            else
                y++;
        }
        *ret_share = n ? (double)both / (double)n : 1.0;
    }
    free(a);
    free(b);
    free(scores);
    return whole ? TAMIS_OK : tamis__fail_memory(err, "a list", exact->k * sizeof *a);
}

static tamis_status compare_all(const tamis__factor_product *p, lists *exact, tamis_error *err)
{
    tamis__score_output *output = p->job->call->output;
    tamis__score_stages *s = &output->stages;
    tamis__top_sink *of_exact[2] = {&exact->top, &exact->bottom};
    tamis__top_sink *of_output[2] = {&output->top, &output->bottom};
    int kinds = output->bottom.k ? 2 : 1;
    double sum = 0, least = 1;
    for (uint64_t i = 0; i < s->sample; i++)
        for (int kind = 0; kind < kinds; kind++) {
            double share = 0;
            TAMIS_TRY(compare(of_exact[kind], i, of_output[kind], sampled(p, i), &share, err));
            sum += share;
            least = fmin(least, share);
        }
    s->recall_mean = sum / (double)s->sample / kinds;
    s->recall_min = least;
    return TAMIS_OK;
}

static tamis_status measure(const tamis__factor_product *product, tamis_error *err)
{
    tamis__factor_product p = *product;
    tamis__score_stages *s = &p.job->call->output->stages;
    tamis__factor_tokens query = {0};
    lists exact = {0};
    s->sample = p.job->sample < p.query->items ? p.job->sample : p.query->items;
    if (s->sample == 0) return TAMIS_OK;
    TAMIS_TRY(sample_tokens(product, &query, err));
    tamis_status status = lists_init(&exact, product, s->sample, 1, err);
    p.query = &query;
    p.exact = true;
    p.sink = tamis__tee_of(&exact.tee);
    p.reserved += lists_bytes(&exact);
    p.phase = "checking lists";
    if (status == TAMIS_OK) status = tamis__factor_product_run(&p, NULL, err);
    if (status == TAMIS_OK) status = compare_all(product, &exact, err);
    lists_fini(&exact);
    tamis__factor_tokens_fini(&query);
    return status;
}

tamis_status tamis__ekfac_stages(const tamis__factor_product *product, tamis_error *err)
{
    tamis__ekfac_job job = *product->job;
    tamis__factor_product p = *product;
    tamis__score_stages *s = &job.call->output->stages;
    lists candidates = {0};
    if (!job.spectral_rank && !job.query_rank) job.spectral_rank = TAMIS__STAGES_RANK;
    s->spectral_rank = job.spectral_rank;
    s->query_rank = job.query_rank;
    p.job = &job;
    tamis_status status = find_candidates(&p, &candidates, err);
    if (status == TAMIS_OK) status = rescore(&p, &candidates, err);
    lists_fini(&candidates);
    if (status == TAMIS_OK) status = measure(&p, err);
    return status;
}
