/* Scores by curvature of two stores of factors: which product, of what, into what.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/ekfac_factors.h"

#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "score/ekfac_factors_stages.h"

/* --- what fits together ----------------------------------------------------------------------- */

static tamis_status check(const tamis__ekfac_job *job, tamis_error *err)
{
    const tamis_score_params *params = job->call->output->params;
    const char *why = NULL;
    if (!job->rescore) return TAMIS_OK;
    if (!params->top)
        why = "lists are scored again, and none are asked for: add top, or leave out rescore";
    else if (job->by != TAMIS_BY_EXAMPLE)
        why = "whole scores are scored again: leave out rescore, or by";
    else if (tamis__reduce_to_max(params->reduce))
        why = "a largest score is not scored again: leave out rescore, or reduce otherwise";
    else if (job->call->candidates)
        why = "there are candidates already: leave out rescore";
    return why ? tamis__fail(err, TAMIS_ERR_ARG, "%s", why) : TAMIS_OK;
}

static uint64_t tokens_bytes(const tamis__factor_tokens *t)
{
    return t->runs * sizeof *t->run + (t->own ? 2 * t->items * sizeof *t->own : 0);
}

/* --- queries ---------------------------------------------------------------------------------- */

/* Means and sums of scores are scores of means and sums of queries. */
static tamis_status take_queries(const tamis__ekfac_job *job, tamis__factor_tokens *ret_query,
                                 tamis_error *err)
{
    const tamis__score_output *output = job->call->output;
    tamis_reduce reduce = output->params->reduce;
    if (reduce == TAMIS_REDUCE_NONE || reduce == TAMIS_REDUCE_MAX)
        return tamis__factor_tokens_of_store(ret_query, job->call->query, job->checkpoint, false,
                                             err);
    return tamis__factor_tokens_gather(ret_query, job->call->query, job->checkpoint,
                                       output->groups.n, output->groups.member, output->groups.size,
                                       err);
}

/* One product, its scores into the output. */
static tamis_status run_once(tamis__factor_product *product, const tamis__score_call *call,
                             tamis_error *err)
{
    tamis__score_output *output = call->output;
    bool best = tamis__reduce_to_max(output->params->reduce);
    tamis__pair_filter pairs = {0};
    tamis__max_sink max;
    tamis__max_sink_init(&max, product->train->items, product->query->items,
                         tamis__tee_of(&output->tee));
    product->sink = best ? tamis__max_sink_of(&max) : tamis__tee_of(&output->tee);
    if (best) tamis__pair_filter_put(&pairs, &output->filter, &product->sink);
    product->first_item = output->resumed;
    product->row = output->filter.row;
    product->listed = output->filter.listed;
    /* What a run did at once is counted in columns. */
    uint64_t layers = tamis_store_info_get(call->train)->layers;
    product->pass = product->job->by == TAMIS_BY_LAYER ? output->pass / layers : output->pass;
    if (best) product->reserved += product->train->items * sizeof(float);
    tamis_status status = tamis__factor_product_run(product, &output->report, err);
    tamis__pair_filter_fini(&pairs);
    tamis__max_sink_fini(&max);
    return status;
}

static tamis_status run(const tamis__ekfac_job *job, const tamis__factor_tokens *train,
                        const tamis__factor_tokens *query, tamis_error *err)
{
    tamis__score_output *output = job->call->output;
    tamis__factor_product product = {
        .job = job,
        .train = train,
        .query = query,
        .skip = tamis__score_skipped(job->call),
        .reserved = job->spectrum_bytes + tamis__score_output_bytes(output) + tokens_bytes(query),
        .phase = "scoring"};
    output->stages.spectral_rank = job->spectral_rank;
    output->stages.query_rank = job->query_rank;
    if (job->rescore) return tamis__ekfac_stages(&product, err);
    return run_once(&product, job->call, err);
}

tamis_status tamis__ekfac_factors(const tamis__ekfac_job *job, tamis_error *err)
{
    const tamis__score_call *call = job->call;
    tamis__factor_tokens train = {0}, query = {0};
    const float *norms;
    TAMIS_TRY(check(job, err));
    TAMIS_TRY(tamis__finite_norms(call->query, job->checkpoint, false, &norms, err));
    TAMIS_TRY(tamis__factor_tokens_of_store(&train, call->train, job->checkpoint,
                                            job->by == TAMIS_BY_TOKEN, err));
    tamis_status status = take_queries(job, &query, err);
    if (status == TAMIS_OK) status = run(job, &train, &query, err);
    tamis__factor_tokens_fini(&train);
    tamis__factor_tokens_fini(&query);
    return status;
}
