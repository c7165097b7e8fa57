/* Inputs and deltas of groups of rows, by matrix products.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/factors.h"

#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
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
        memcpy(f->input[to] + at * in, batch->input[l], rows * in * sizeof(float));
        memcpy(f->delta[to] + at * out, batch->delta[l], rows * out * sizeof(float));
    }
    memcpy(f->loss[k] + at, batch->loss, rows * sizeof(float));
    memcpy(f->margin[k] + at, batch->margin, rows * sizeof(float));
    memcpy(f->probability[k] + at * job->classes, batch->probability,
           rows * job->classes * sizeof(float));
}

/* Item: a group at a checkpoint. */
static tamis_status compute_group(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                  tamis_error *err)
{
    (void)slot;
    const compute *c = arg;
    const tamis__gradient_job *job = c->job;
    uint32_t k = (uint32_t)(item % job->checkpoints.items);
    uint64_t at = item / job->checkpoints.items * TAMIS__GROUP_ROWS, row = c->factors->first + at;
    size_t rows = (size_t)(c->end - row < TAMIS__GROUP_ROWS ? c->end - row : TAMIS__GROUP_ROWS);
    tamis__network network = tamis__model_network(job->model, job->checkpoints.item[k]);
    tamis__batch *batch = &c->batches[worker];
    tamis__batch_load(batch, &network, job->data, NULL, row, rows);
    TAMIS_TRY(tamis__forward(batch, &network, err));
    (void)tamis__cross_entropy(batch, &network, 1.0f);
    if (job->function == TAMIS_FUNCTION_MARGIN) tamis__margin_delta(batch, &network);
    TAMIS_TRY(tamis__backward(batch, &network, job->layers.item[0], err));
    keep(c, batch, k, at);
    return TAMIS_OK;
}

/* Nothing is written yet, but here too the caller may ask to stop. */
static tamis_status report(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)item, (void)slot;
    const compute *c = arg;
    return tamis__progress(c->job->context, "writing gradients", c->written, c->job->data->rows,
                           "rows", NULL, err);
}

tamis_status tamis__factors_compute(tamis__factors *factors, const tamis__gradient_job *job,
                                    uint64_t end, tamis__batch *batches, uint64_t written,
                                    tamis_error *err)
{
    compute c = {
        .factors = factors, .job = job, .end = end, .written = written, .batches = batches};
    uint64_t groups = (end - factors->first + TAMIS__GROUP_ROWS - 1) / TAMIS__GROUP_ROWS;
    tamis__pipeline pipeline = {.arg = &c,
                                .items = groups * job->checkpoints.items,
                                .work = compute_group,
                                .consume = report};
    return tamis__pool_run(job->context->pool, &pipeline, err);
}
