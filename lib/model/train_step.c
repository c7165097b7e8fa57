/* The gradient of a mini-batch: parts of constant size on all threads, added up in order.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "model/train.h"

static uint64_t parts(uint64_t rows)
{
    return (rows + TAMIS__PART_ROWS - 1) / TAMIS__PART_ROWS;
}

/* A mini-batch of one part needs no pool and no slots. */
static unsigned slots_for(unsigned threads, uint64_t batch)
{
    uint64_t n = parts(batch), most = 2 * (uint64_t)threads;
    if (n <= 1) return 0;
    return (unsigned)(n < most ? n : most);
}

uint64_t tamis__stepper_bytes(const tamis__network *network, uint64_t parameters, unsigned threads,
                              uint64_t batch)
{
    uint64_t slots = slots_for(threads, batch), workers = slots ? threads : 1;
    return (1 + slots) * parameters * sizeof(float) +
           workers * tamis__batch_bytes(network, TAMIS__PART_ROWS, true);
}

tamis_status tamis__stepper_init(tamis__stepper *ret_stepper, tamis_context *context,
                                 const tamis_data *data, const tamis__network *network,
                                 uint64_t parameters, uint64_t batch, tamis_error *err)
{
    unsigned threads = tamis_context_threads(context), slots = slots_for(threads, batch);
    size_t layers = network->layers;
    tamis__stepper s = {
        .context = context,
        .data = data,
        .network = *network,
        .parameters = parameters,
        .threads = slots ? threads : 1,
        .slots = slots,
        .memory = tamis__aligned((1 + slots) * (uint64_t)sizeof(float), parameters),
        .gradient = tamis__calloc((1 + slots) * layers, sizeof *s.gradient),
        .loss = tamis__calloc(slots, sizeof *s.loss),
        .correct = tamis__calloc(slots, sizeof *s.correct),
    };
    tamis_status status = TAMIS_OK;
    if (!s.memory || !s.gradient || !s.loss || !s.correct)
        status = tamis__fail_memory(err, "gradients", (1 + slots) * parameters * sizeof(float));
    else
        status = tamis__batches_create(&s.batches, s.threads, network, TAMIS__PART_ROWS, true, err);
    if (status != TAMIS_OK) {
        tamis__stepper_fini(&s);
        return status;
    }
    for (size_t i = 0; i < (1 + slots) * layers; i++)
        s.gradient[i] = s.memory + i / layers * parameters +
                        network->layer[i % layers].first_column;
    *ret_stepper = s;
    return TAMIS_OK;
}

void tamis__stepper_fini(tamis__stepper *stepper)
{
    tamis__batches_free(stepper->batches, stepper->threads);
    free(stepper->memory);
    free(stepper->gradient);
    free(stepper->loss);
    free(stepper->correct);
    *stepper = (tamis__stepper){0};
}

/* Part number `part` of the mini-batch into gradient `into`. */
static tamis_status part_gradient(const tamis__stepper *s, uint64_t part, tamis__batch *batch,
                                  size_t into, double *ret_loss, uint64_t *ret_correct,
                                  tamis_error *err)
{
    uint64_t at = part * TAMIS__PART_ROWS;
    size_t rows = (size_t)(s->rows - at < TAMIS__PART_ROWS ? s->rows - at : TAMIS__PART_ROWS);
    uint64_t correct = 0;
    tamis__batch_load(batch, &s->network, s->data, s->order, s->first + at, rows);
    TAMIS_TRY(tamis__forward(batch, &s->network, err));
    *ret_loss = tamis__cross_entropy(batch, &s->network, (float)(1.0 / (double)s->rows));
    for (size_t i = 0; i < rows; i++)
        correct += tamis__predicted(batch, &s->network, i) == batch->label[i];
    *ret_correct = correct;
    TAMIS_TRY(tamis__backward(batch, &s->network, 0, err));
    return tamis__weight_gradient(batch, &s->network, s->gradient + into * s->network.layers, err);
}

static tamis_status work_part(void *arg, uint64_t item, unsigned slot, unsigned worker,
                              tamis_error *err)
{
    tamis__stepper *s = arg;
    return part_gradient(s, item, &s->batches[worker], 1 + slot, &s->loss[slot], &s->correct[slot],
                         err);
}

static tamis_status add_part(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)err;
    tamis__stepper *s = arg;
    const float *restrict part = s->memory + (1 + slot) * s->parameters;
    float *restrict total = s->memory;
    s->total_loss += s->loss[slot];
    s->total_correct += s->correct[slot];
    if (item == 0)
        memcpy(total, part, s->parameters * sizeof *total);
    else
        for (uint64_t i = 0; i < s->parameters; i++) total[i] += part[i];
    return TAMIS_OK;
}

tamis_status tamis__stepper_gradient(tamis__stepper *stepper, const uint64_t *order, uint64_t first,
                                     uint64_t rows, tamis_error *err)
{
    stepper->order = order;
    stepper->first = first;
    stepper->rows = rows;
    stepper->total_loss = 0.0;
    stepper->total_correct = 0;
    if (parts(rows) == 1)
        return part_gradient(stepper, 0, &stepper->batches[0], 0, &stepper->total_loss,
                             &stepper->total_correct, err);
    tamis__pipeline pipeline = {
        .arg = stepper,
        .items = parts(rows),
        .slots = stepper->slots,
        .work = work_part,
        .consume = add_part,
    };
    return tamis__pool_run(stepper->context->pool, &pipeline, err);
}
