/* Loss and accuracy of a model.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"
#include "model/object.h"

typedef struct evaluation {
    tamis_context *context;
    const tamis_data *data;
    tamis__network network;
    tamis__batch *batches; /* [threads] */
    int32_t *predicted;    /* [rows] */
    double *loss;          /* [slots] */
    double total_loss;
} evaluation;

static size_t group_rows(const evaluation *e, uint64_t item)
{
    uint64_t left = e->data->rows - item * TAMIS__GROUP_ROWS;
    return (size_t)(left < TAMIS__GROUP_ROWS ? left : TAMIS__GROUP_ROWS);
}

static tamis_status evaluate_group(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                   tamis_error *err)
{
    evaluation *e = arg;
    tamis__batch *batch = &e->batches[worker];
    uint64_t first = item * TAMIS__GROUP_ROWS;
    tamis__batch_load(batch, &e->network, e->data, NULL, first, group_rows(e, item));
    TAMIS_TRY(tamis__forward(batch, &e->network, err));
    e->loss[slot] = tamis__cross_entropy(batch, &e->network, 1.0f);
    for (size_t i = 0; i < batch->rows; i++)
        e->predicted[first + i] = tamis__predicted(batch, &e->network, i);
    return TAMIS_OK;
}

static tamis_status add_group(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    evaluation *e = arg;
    e->total_loss += e->loss[slot];
    return tamis__progress(e->context, "evaluating", item * TAMIS__GROUP_ROWS + group_rows(e, item),
                           e->data->rows, "rows", NULL, err);
}

static tamis_status run(evaluation *e, tamis_error *err)
{
    tamis__pipeline pipeline = {
        .arg = e,
        .items = (e->data->rows + TAMIS__GROUP_ROWS - 1) / TAMIS__GROUP_ROWS,
        .work = evaluate_group,
        .consume = add_group,
    };
    unsigned threads = tamis_context_threads(e->context);
    unsigned slots = tamis__pool_slots(e->context->pool, &pipeline);
    e->loss = tamis__calloc(slots, sizeof *e->loss);
    if (!e->loss) return tamis__fail_memory(err, "losses", slots * sizeof *e->loss);
    tamis_status status = tamis__batches_create(&e->batches, threads, &e->network,
                                                TAMIS__GROUP_ROWS, false, err);
    if (status == TAMIS_OK) {
        tamis__blas_begin();
        status = tamis__pool_run(e->context->pool, &pipeline, err);
        tamis__blas_end();
        tamis__batches_free(e->batches, threads);
    }
    free(e->loss);
    return status;
}

static tamis_status finish(const evaluation *e, tamis_fit *ret_fit, tamis_error *err)
{
    uint64_t rows = e->data->rows, correct = 0;
    for (uint64_t i = 0; i < rows; i++) correct += e->predicted[i] == e->data->label[i];
    tamis_fit fit = {.loss = e->total_loss / (double)rows,
                     .accuracy = (double)correct / (double)rows};
    if (!isfinite(fit.loss))
        return tamis__fail(err, TAMIS_ERR_NUMERIC, "the model's loss on these rows is not finite");
    if (ret_fit) *ret_fit = fit;
    return TAMIS_OK;
}

tamis_status tamis_model_evaluate(const tamis_model *model, tamis_context *context,
                                  uint32_t checkpoint, const tamis_data *data, tamis_fit *ret_fit,
                                  int32_t *ret_predicted, tamis_error *err)
{
    if (checkpoint >= model->info.checkpoints)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "no checkpoint %u: the model has %u, numbered from 0", checkpoint,
                           model->info.checkpoints);
    TAMIS_TRY(tamis__model_data_check(model, data, err));
    evaluation e = {
        .context = context, .data = data, .network = tamis__model_network(model, checkpoint)};
    e.predicted = tamis__malloc(data->rows, sizeof *e.predicted);
    if (!e.predicted)
        return tamis__fail_memory(err, "predictions", data->rows * sizeof *e.predicted);
    tamis_status status = run(&e, err);
    if (status == TAMIS_OK) status = finish(&e, ret_fit, err);
    for (uint64_t i = 0; status == TAMIS_OK && ret_predicted && i < data->rows; i++)
        ret_predicted[i] = e.predicted[i];
    free(e.predicted);
    return status;
}
