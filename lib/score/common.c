/* What several scorers share.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>

#include "base/error.h"
#include "score/damping.h"
#include "score/output.h"

const char *const tamis__damping_units[] = {"relative", "absolute", NULL};
const char *const tamis__weights_choices[] = {"learning-rate", "equal", "normalised", NULL};

tamis_status tamis__score_weights(const tamis__score_call *call, int choice, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(call->train);
    double sum = 0;
    for (uint32_t k = 0; k < info->checkpoints; k++) sum += info->checkpoint[k].learning_rate;
    if (!isfinite(sum) || sum <= 0)
        return tamis__fail(err, TAMIS_ERR_NUMERIC,
                           "'%s': learning rates that add up to %g weight no checkpoint",
                           tamis_store_path(call->train), sum);
    for (uint32_t k = 0; k < info->checkpoints; k++) {
        double rate = info->checkpoint[k].learning_rate;
        call->weight[k] = choice == TAMIS__WEIGHTS_EQUAL        ? 1.0
                          : choice == TAMIS__WEIGHTS_NORMALISED ? rate / sum
                                                                : rate;
    }
    return TAMIS_OK;
}

/* What every product of a run has, from the call. */
static tamis__product complete(const tamis__score_call *call, const tamis__product *product)
{
    tamis__score_output *output = call->output;
    tamis__product whole = *product;
    whole.context = call->context;
    whole.train = call->train;
    whole.skip = output->skip;
    whole.panel = (tamis__panel_mode)output->params->panel;
    whole.panel_error = output->params->panel_error;
    whole.first_item = output->resumed;
    whole.pass = output->pass;
    whole.reserved += tamis__score_output_bytes(output);
    whole.row = output->filter.row;
    whole.listed = output->filter.listed;
    return whole;
}

/* The product into the output, or its largest column. */
static tamis_status run_product(const tamis__score_call *call, const tamis__product *product,
                                bool best, tamis_error *err)
{
    tamis__score_output *output = call->output;
    tamis__product whole = complete(call, product);
    tamis__pair_filter pairs = {0};
    tamis__max_sink max;
    tamis__max_sink_init(&max, output->rows, product->queries->rows, tamis__tee_of(&output->tee));
    whole.reserved += best ? output->rows * sizeof(float) : 0;
    whole.sink = best ? tamis__max_sink_of(&max) : tamis__tee_of(&output->tee);
    if (best) tamis__pair_filter_put(&pairs, &output->filter, &whole.sink);
    tamis_status status = tamis__product_run(&whole, &output->report, err);
    tamis__pair_filter_fini(&pairs);
    tamis__max_sink_fini(&max);
    return status;
}

tamis_status tamis__score_best(const tamis__score_call *call, const tamis__product *product,
                               tamis_error *err)
{
    return run_product(call, product, true, err);
}

tamis_status tamis__score_reduced(const tamis__score_call *call, const tamis__product *product,
                                  tamis_error *err)
{
    return run_product(call, product, tamis__reduce_to_max(call->output->params->reduce), err);
}

tamis_status tamis__score_product(const tamis__score_call *call, const tamis__product *product,
                                  tamis_error *err)
{
    tamis_reduce reduce = call->output->params->reduce;
    if (reduce == TAMIS_REDUCE_NONE || reduce == TAMIS_REDUCE_MAX)
        return run_product(call, product, reduce == TAMIS_REDUCE_MAX, err);
    tamis__held_queries held = {0};
    tamis__product reduced = *product;
    const tamis_store_info *info = tamis_store_info_get(call->train);
    uint32_t checkpoints = product->maker ? 1 : info->checkpoints;
    TAMIS_TRY(tamis__reduce_queries(call, product, checkpoints, info->columns, &held, err));
    reduced.queries = &held.queries;
    reduced.query_scale = NULL;
    reduced.reserved += product->queries->bytes;
    if (reduce == TAMIS_REDUCE_SUM) reduced.bound = 0;
    tamis_status status = run_product(call, &reduced, tamis__reduce_to_max(reduce), err);
    tamis__held_queries_fini(&held);
    return status;
}

/* --- parts ------------------------------------------------------------------------------------ */

typedef struct parting {
    tamis__sink next;
    uint64_t first, apart;
} parting;

/* A column at a time: those of a part are not beside one another. */
static tamis_status put_part(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                             uint64_t queries, const float *values, size_t stride, tamis_error *err)
{
    const parting *p = arg;
    for (uint64_t q = 0; q < queries; q++)
        TAMIS_TRY(p->next.put(p->next.arg, first_row, rows, (first_query + q) * p->apart + p->first,
                              1, values + q, stride, err));
    return TAMIS_OK;
}

tamis_status tamis__score_part(const tamis__score_call *call, const tamis__product *product,
                               uint64_t first, uint64_t apart, tamis_error *err)
{
    tamis__product_report *last = &call->output->report, report = *last;
    parting to = {tamis__tee_of(&call->output->tee), first, apart};
    tamis__product whole = complete(call, product);
    whole.sink = (tamis__sink){.arg = &to, .put = put_part};
    TAMIS_TRY(tamis__product_run(&whole, &report, err));
    /* What is told is the part that was rounded most. */
    if (!last->kernel || report.error > last->error) *last = report;
    return TAMIS_OK;
}

tamis_status tamis__score_put(const tamis__score_call *call, uint64_t first_row, uint64_t rows,
                              const float *values, tamis_error *err)
{
    tamis__sink sink = tamis__tee_of(&call->output->tee);
    return sink.put(sink.arg, first_row, rows, 0, 1, values, 1, err);
}
