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

/* A curvature is that of one checkpoint. */
static tamis_status find_checkpoint(const tamis__ekfac_job *job, uint32_t *ret_checkpoint,
                                    tamis_error *err)
{
    const tamis_store_info *train = tamis_store_info_get(job->call->train);
    uint32_t k = job->call->curvature
                     ? tamis_curvature_info_get(job->call->curvature)->checkpoint
                     : 0;
    *ret_checkpoint = train->checkpoints == 1 ? 0 : k;
    if (*ret_checkpoint < train->checkpoints) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_SHAPE,
                       "the curvature was fitted on checkpoint %u, and '%s' has only %u: fit it on a "
                       "store with the same ones",
                       k, tamis_store_path(job->call->train), train->checkpoints);
}

static uint64_t spectrum_bytes(const tamis__ekfac_job *job)
{
    uint64_t doubles = 0;
    for (uint32_t l = 0; l < tamis_store_info_get(job->call->train)->layers; l++) {
        const tamis__spectrum *s = &job->spectrum[l];
        doubles += 2 * s->out * s->in;
        if (s->output.blocks) doubles += s->out * s->out;
        if (s->input.blocks) doubles += s->in * s->in;
    }
    return doubles * sizeof(double);
}

static uint64_t tokens_bytes(const tamis__tokens *t)
{
    return t->runs * sizeof *t->run + (t->own ? 2 * t->items * sizeof *t->own : 0);
}

/* --- queries ---------------------------------------------------------------------------------- */

/* Means and sums of scores are scores of means and sums of queries. */
static tamis_status take_queries(const tamis__ekfac_job *job, uint32_t checkpoint,
                                 tamis__tokens *ret_query, tamis_error *err)
{
    const tamis__score_output *output = job->call->output;
    tamis_reduce reduce = output->params->reduce;
    if (reduce == TAMIS_REDUCE_NONE || reduce == TAMIS_REDUCE_MAX)
        return tamis__tokens_of_store(ret_query, job->call->query, checkpoint, false, err);
    return tamis__tokens_gather(ret_query, job->call->query, checkpoint, output->groups.n,
                                output->groups.member, output->groups.size, err);
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
    /* What a run did at once is counted in columns. */
    uint64_t layers = tamis_store_info_get(call->train)->layers;
    product->pass = product->job->by == TAMIS_BY_LAYER ? output->pass / layers : output->pass;
    if (best) product->reserved += product->train->items * sizeof(float);
    tamis_status status = tamis__factor_product_run(product, &output->report, err);
    tamis__pair_filter_fini(&pairs);
    tamis__max_sink_fini(&max);
    return status;
}

static tamis_status run(const tamis__ekfac_job *job, const tamis__tokens *train,
                        const tamis__tokens *query, tamis_error *err)
{
    tamis__score_output *output = job->call->output;
    tamis__factor_product product = {
        .job = job,
        .train = train,
        .query = query,
        .skip = tamis__score_skipped(job->call),
        .reserved = spectrum_bytes(job) + tamis__score_output_bytes(output) + tokens_bytes(query),
        .phase = "scoring"};
    output->stages.spectral_rank = job->spectral_rank;
    output->stages.query_rank = job->query_rank;
    if (job->rescore) return tamis__ekfac_stages(&product, err);
    return run_once(&product, job->call, err);
}

tamis_status tamis__ekfac_factors(const tamis__ekfac_job *job, tamis_error *err)
{
    const tamis__score_call *call = job->call;
    tamis__tokens train = {0}, query = {0};
    const float *norms;
    uint32_t checkpoint = 0;
    TAMIS_TRY(check(job, err));
    TAMIS_TRY(find_checkpoint(job, &checkpoint, err));
    if (!tamis__score_norms(call)) TAMIS_TRY(tamis__score_rows(call, false, err));
    TAMIS_TRY(tamis__finite_norms(call->query, checkpoint, false, &norms, err));
    TAMIS_TRY(tamis__tokens_of_store(&train, call->train, checkpoint, job->by == TAMIS_BY_TOKEN,
                                     err));
    tamis_status status = take_queries(job, checkpoint, &query, err);
    if (status == TAMIS_OK) status = run(job, &train, &query, err);
    tamis__tokens_fini(&train);
    tamis__tokens_fini(&query);
    return status;
}
