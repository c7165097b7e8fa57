/* Inputs and deltas of groups of rows, by matrix products.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/factors.h"

#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "model/labels.h"
#include "model/object.h"

static uint64_t row_floats(const tamis__gradient_job *job)
{
    uint64_t floats = 2 + job->classes;
    for (uint32_t i = 0; i < job->layers.items; i++)
        floats += tamis__input_stride(&job->layer[i]) + job->layer[i].out;
    return floats;
}

uint64_t tamis__factors_row_bytes(const tamis__gradient_job *job)
{
    return row_floats(job) * job->checkpoints.items * sizeof(float);
}

/* The pieces of one checkpoint; returns where the next one starts. */
static float *cut(tamis__factors *factors, const tamis__gradient_job *job, uint32_t k, float *next)
{
    uint64_t rows = factors->capacity;
    for (uint32_t i = 0; i < job->layers.items; i++) {
        size_t at = (size_t)k * job->layers.items + i;
        factors->input[at] = next;
        next += rows * tamis__input_stride(&job->layer[i]);
        factors->delta[at] = next;
        next += rows * job->layer[i].out;
    }
    factors->loss[k] = next;
    factors->margin[k] = next + rows;
    factors->probability[k] = next + 2 * rows;
    return next + (2 + (uint64_t)job->classes) * rows;
}

tamis_status tamis__factors_init(tamis__factors *ret_factors, const tamis__gradient_job *job,
                                 uint64_t capacity, tamis_error *err)
{
    uint32_t checkpoints = job->checkpoints.items;
    size_t blocks = (size_t)checkpoints * job->layers.items;
    tamis__factors f = {
        .capacity = capacity,
        .input = tamis__calloc(blocks, sizeof *f.input),
        .delta = tamis__calloc(blocks, sizeof *f.delta),
        .loss = tamis__calloc(checkpoints, sizeof *f.loss),
        .margin = tamis__calloc(checkpoints, sizeof *f.margin),
        .probability = tamis__calloc(checkpoints, sizeof *f.probability),
        .memory = tamis__aligned(capacity, tamis__factors_row_bytes(job)),
    };
    if (!f.input || !f.delta || !f.loss || !f.margin || !f.probability || !f.memory) {
        tamis__factors_fini(&f);
        return tamis__fail_memory(err, "the rows' factors",
                                  capacity * tamis__factors_row_bytes(job));
    }
    float *next = f.memory;
    for (uint32_t k = 0; k < checkpoints; k++) next = cut(&f, job, k, next);
    *ret_factors = f;
    return TAMIS_OK;
}

void tamis__factors_fini(tamis__factors *factors)
{
    free(factors->input);
    free(factors->delta);
    free(factors->loss);
    free(factors->margin);
    free(factors->probability);
    free(factors->memory);
    *factors = (tamis__factors){0};
}

typedef struct compute {
    tamis__factors *factors;
    const tamis__gradient_job *job;
    uint64_t end, written;
    tamis__batch *batches;
} compute;

/* Rows of a batch to every per_example-th row of the factors. */
static void put(const tamis__gradient_job *job, float *to, const float *from, size_t rows,
                size_t width)
{
    size_t step = job->per_example * width;
    if (job->per_example == 1)
        memcpy(to, from, rows * width * sizeof *to);
    else
        for (size_t i = 0; i < rows; i++)
            memcpy(to + i * step, from + i * width, width * sizeof *to);
}

/* Keep what expanding needs of a finished batch; `at` is its first row in the factors. */
static void keep(const compute *c, const tamis__batch *batch, uint32_t k, uint64_t at)
{
    const tamis__gradient_job *job = c->job;
    const tamis__factors *f = c->factors;
    size_t rows = batch->rows;
    for (uint32_t i = 0; i < job->layers.items; i++) {
        size_t to = (size_t)k * job->layers.items + i;
        size_t in = tamis__input_stride(&job->layer[i]), out = (size_t)job->layer[i].out;
        uint32_t l = job->layers.item[i];
        put(job, f->input[to] + at * in, batch->input[l], rows, in);
        put(job, f->delta[to] + at * out, batch->delta[l], rows, out);
    }
    put(job, f->loss[k] + at, batch->loss, rows, 1);
    put(job, f->margin[k] + at, batch->margin, rows, 1);
    put(job, f->probability[k] + at * job->classes, batch->probability, rows, job->classes);
}

/* From logits and labels to the factors of rows `at` and on. */
static tamis_status backward(const compute *c, tamis__batch *batch, const tamis__network *network,
                             uint32_t k, uint64_t at, tamis_error *err)
{
    const tamis__gradient_job *job = c->job;
    (void)tamis__cross_entropy(batch, network, 1.0f);
    if (job->function == TAMIS_FUNCTION_MARGIN) tamis__margin_delta(batch, network);
    if (job->labels == TAMIS_LABELS_EXPECTED) tamis__weigh_delta(batch, network);
    TAMIS_TRY(tamis__backward(batch, network, job->layers.item[0], err));
    keep(c, batch, k, at);
    return TAMIS_OK;
}

/* Every class of every example in turn. */
static tamis_status backward_classes(const compute *c, tamis__batch *batch,
                                     const tamis__network *network, uint32_t k, uint64_t at,
                                     tamis_error *err)
{
    for (uint32_t label = 0; label < c->job->per_example; label++) {
        for (size_t i = 0; i < batch->rows; i++) batch->label[i] = (int32_t)label;
        TAMIS_TRY(backward(c, batch, network, k, at + label, err));
    }
    return TAMIS_OK;
}

/* Item: a group at a checkpoint. */
static tamis_status compute_group(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                  tamis_error *err)
{
    (void)slot;
    const compute *c = arg;
    const tamis__gradient_job *job = c->job;
    uint32_t k = (uint32_t)(item % job->checkpoints.items);
    uint64_t at = item / job->checkpoints.items * job->group, row = c->factors->first + at;
    uint64_t rows = c->end - row < job->group ? c->end - row : job->group;
    uint64_t example = row / job->per_example;
    tamis__network network = tamis__model_network(job->model, job->checkpoints.item[k]);
    tamis__batch *batch = &c->batches[worker];
    tamis__batch_load(batch, &network, job->data, NULL, example, (size_t)rows / job->per_example);
    TAMIS_TRY(tamis__forward(batch, &network, err));
    if (job->labels == TAMIS_LABELS_EXPECTED)
        return backward_classes(c, batch, &network, k, at, err);
    TAMIS_TRY(tamis__labels_set(job, &network, example, batch, err));
    return backward(c, batch, &network, k, at, err);
}

tamis_status tamis__factors_group(tamis__factors *factors, const tamis__gradient_job *job,
                                  uint64_t end, tamis__batch *batch, tamis_error *err)
{
    compute c = {.factors = factors, .job = job, .end = end, .batches = batch};
    for (uint32_t k = 0; k < job->checkpoints.items; k++)
        TAMIS_TRY(compute_group(&c, k, 0, 0, err));
    return TAMIS_OK;
}

/* Nothing is written yet, but here too the caller may ask to stop. */
static tamis_status report(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)item, (void)slot;
    const compute *c = arg;
    return tamis__progress(c->job->context, "writing gradients", c->written, c->job->rows, "rows",
                           NULL, err);
}

tamis_status tamis__factors_compute(tamis__factors *factors, const tamis__gradient_job *job,
                                    uint64_t end, tamis__batch *batches, uint64_t written,
                                    tamis_error *err)
{
    compute c = {
        .factors = factors, .job = job, .end = end, .written = written, .batches = batches};
    uint64_t groups = (end - factors->first + job->group - 1) / job->group;
    tamis__pipeline pipeline = {.arg = &c,
                                .items = groups * job->checkpoints.items,
                                .work = compute_group,
                                .consume = report};
    return tamis__pool_run(job->context->pool, &pipeline, err);
}
