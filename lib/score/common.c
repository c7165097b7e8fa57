/* What several scorers share.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>

#include "base/error.h"
#include "score/output.h"

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

static tamis_status put(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                        uint64_t queries, const float *values, size_t stride, tamis_error *err)
{
    return tamis_scores_writer_put(arg, first_row, rows, first_query, queries, values, stride, err);
}

tamis_status tamis__score_product_to(const tamis__score_call *call, const tamis__product *product,
                                     tamis__sink sink, tamis_error *err)
{
    tamis__product whole = *product;
    whole.context = call->context;
    whole.train = call->train;
    whole.skip = call->output->skip;
    whole.sink = sink;
    return tamis__product_run(&whole, &call->output->report, err);
}

tamis_status tamis__score_product(const tamis__score_call *call, const tamis__product *product,
                                  tamis_error *err)
{
    tamis__sink sink = {.arg = call->output->writer, .put = put};
    return tamis__score_product_to(call, product, sink, err);
}

tamis_status tamis__score_put(const tamis__score_call *call, uint64_t first_row, uint64_t rows,
                              const float *values, tamis_error *err)
{
    return tamis_scores_writer_put(call->output->writer, first_row, rows, 0, 1, values, 1, err);
}
