/* A block of rows on its way from a thread to the store's writer, in either form.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/grad_block.h"

#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "model/labels.h"

static bool in_factors(const tamis__gradient_job *job)
{
    return job->form == TAMIS_FORM_FACTORS;
}

static uint64_t input_columns(const tamis__gradient_job *job)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < job->layers.items; i++) sum += tamis__input_stride(&job->layer[i]);
    return sum;
}

static uint64_t output_columns(const tamis__gradient_job *job)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < job->layers.items; i++) sum += job->layer[i].out;
    return sum;
}

/* --- memory ----------------------------------------------------------------------------------- */

/* Columns and scales only. */
static tamis__block_side plan_side(const tamis__gradient_job *job, int which)
{
    tamis__block_side side = {0};
    if (!in_factors(job)) {
        side.columns = which == 0 ? job->stored : 0;
        side.scales = which == 0 && job->dtype == TAMIS_I8;
        return side;
    }
    side.columns = which == 0 ? input_columns(job) : output_columns(job);
    side.scales = job->dtype == TAMIS_I8 ? job->layers.items : 0;
    return side;
}

uint64_t tamis__grad_block_bytes(const tamis__gradient_job *job, uint64_t capacity)
{
    uint64_t row = sizeof(float), offsets = in_factors(job) ? capacity + 1 : 0;
    for (int i = 0; i < TAMIS__BLOCK_SIDES; i++) {
        tamis__block_side side = plan_side(job, i);
        row += side.columns * tamis_dtype_size(job->dtype) + side.scales * sizeof(float);
    }
    return capacity * row * job->checkpoints.items + offsets * sizeof(uint64_t);
}

static bool side_init(tamis__block_side *side, const tamis__gradient_job *job, uint64_t capacity)
{
    uint32_t checkpoints = job->checkpoints.items;
    size_t bytes = (size_t)(capacity * side->columns) * tamis_dtype_size(job->dtype);
    size_t scales = (size_t)capacity * side->scales;
    if (side->columns == 0) return true;
    side->memory = tamis__aligned(checkpoints, bytes);
    side->value = tamis__calloc(checkpoints, sizeof *side->value);
    if (!side->memory || !side->value) return false;
    for (uint32_t k = 0; k < checkpoints; k++) side->value[k] = (char *)side->memory + k * bytes;
    if (side->scales == 0) return true;
    side->scale_memory = tamis__calloc(checkpoints, scales * sizeof *side->scale_memory);
    side->scale = tamis__calloc(checkpoints, sizeof *side->scale);
    if (!side->scale_memory || !side->scale) return false;
    for (uint32_t k = 0; k < checkpoints; k++) side->scale[k] = side->scale_memory + k * scales;
    return true;
}

tamis_status tamis__grad_block_init(tamis__grad_block *block, const tamis__gradient_job *job,
                                    uint64_t capacity, tamis_error *err)
{
    uint32_t checkpoints = job->checkpoints.items;
    bool done = true;
    block->capacity = capacity;
    for (int i = 0; i < TAMIS__BLOCK_SIDES; i++) {
        block->side[i] = plan_side(job, i);
        done &= side_init(&block->side[i], job, capacity);
    }
    block->norms = tamis__calloc(checkpoints, (size_t)capacity * sizeof *block->norms);
    block->norm = tamis__calloc(checkpoints, sizeof *block->norm);
    block->loss = tamis__calloc(checkpoints, sizeof *block->loss);
    block->margin = tamis__calloc(checkpoints, sizeof *block->margin);
    block->probability = tamis__calloc(checkpoints, sizeof *block->probability);
    if (in_factors(job)) {
        block->offset = tamis__calloc((size_t)capacity + 1, sizeof *block->offset);
        block->squares = tamis__calloc(job->layers.items, 2 * sizeof *block->squares);
        done &= block->offset && block->squares;
    }
    if (!done || !block->norms || !block->norm || !block->loss || !block->margin ||
        !block->probability)
        return tamis__fail_memory(err, "a block of gradients",
                                  tamis__grad_block_bytes(job, capacity));
    for (uint32_t k = 0; k < checkpoints; k++) block->norm[k] = block->norms + k * capacity;
    for (uint64_t i = 0; block->offset && i <= capacity; i++) block->offset[i] = i;
    return TAMIS_OK;
}

void tamis__grad_block_fini(tamis__grad_block *block)
{
    for (int i = 0; i < TAMIS__BLOCK_SIDES; i++) {
        free(block->side[i].memory);
        free(block->side[i].scale_memory);
        free(block->side[i].value);
        free(block->side[i].scale);
    }
    free(block->norms);
    free(block->norm);
    free(block->loss);
    free(block->margin);
    free(block->probability);
    free(block->offset);
    free(block->squares);
    *block = (tamis__grad_block){0};
}

/* --- filling in ------------------------------------------------------------------------------- */

/* Where a side of a row is in the factors: layers lie apart there. */
static const float *side_at(const tamis__gradient_job *job, const tamis__factors *factors, int side,
                            uint32_t k, uint32_t i, uint64_t at, size_t *ret_width)
{
    size_t block = (size_t)k * job->layers.items + i;
    const tamis_layer *layer = &job->layer[i];
    *ret_width = side == 0 ? tamis__input_stride(layer) : (size_t)layer->out;
    return (side == 0 ? factors->input : factors->delta)[block] + at * *ret_width;
}

/* A side of a row, layer by layer, with the layers' squared norms; for i8 each layer has its
 * scale. */
static tamis_status narrow_side(const tamis__gradient_job *job, const tamis__factors *factors,
                                int side, uint32_t k, uint64_t row, const double *squares,
                                char *stored, float *scale, tamis_error *err)
{
    size_t size = tamis_dtype_size(job->dtype), width = 0;
    for (uint32_t i = 0; i < job->layers.items; i++) {
        const float *value = side_at(job, factors, side, k, i, row - factors->first, &width);
        /* Values whose squares add up to so little fit every type. */
        if (squares[i] > 1e9 && tamis__row_overflows(job->dtype, value, width))
            return tamis__row_refused(job, side == 0 ? "input" : "output gradient", k, row, true,
                                      err);
        float step = tamis__narrow(&job->kernels, job->dtype, stored, value, width);
        if (scale) scale[i] = step;
        stored += width * size;
    }
    return TAMIS_OK;
}

/* Row `row` to place `to`. */
static tamis_status fill_row(tamis__grad_block *block, const tamis__gradient_job *job,
                             const tamis__factors *factors, uint32_t k, uint64_t row, uint64_t to,
                             tamis_error *err)
{
    size_t size = tamis_dtype_size(job->dtype), width = 0;
    double *squares[TAMIS__BLOCK_SIDES] = {block->squares};
    double sum = 0.0;
    squares[1] = squares[0] + job->layers.items;
    for (uint32_t i = 0; i < job->layers.items; i++) {
        for (int s = 0; s < TAMIS__BLOCK_SIDES; s++) {
            const float *value = side_at(job, factors, s, k, i, row - factors->first, &width);
            squares[s][i] = job->kernels.sum_squares(value, width);
        }
        sum += squares[1][i] * squares[0][i];
    }
    float norm = (float)sqrt(sum);
    /* A finite norm leaves nothing infinite on either side: 0 times infinity is not finite. */
    if (!isfinite(norm)) return tamis__row_refused(job, "gradient", k, row, false, err);
    block->norms[to] = norm;
    for (int s = 0; s < TAMIS__BLOCK_SIDES; s++) {
        const tamis__block_side *side = &block->side[s];
        TAMIS_TRY(narrow_side(job, factors, s, k, row, squares[s],
                              (char *)side->memory + to * side->columns * size,
                              side->scales ? side->scale_memory + to * side->scales : NULL, err));
    }
    return TAMIS_OK;
}

static uint64_t factors_digest(const tamis__grad_block *block, const tamis__gradient_job *job,
                               uint32_t k, uint64_t first, uint64_t rows)
{
    const tamis__block_side *side = block->side;
    tamis__factor_shape shape = {
        .layer = job->layer,
        .layers = job->layers.items,
        .dtype = job->dtype,
        .input_columns = side[0].columns,
        .output_columns = side[1].columns,
    };
    tamis__factor_rows stored = {
        .input = side[0].value[k],
        .output_gradient = side[1].value[k],
        .input_scale = side[0].scale ? side[0].scale[k] : NULL,
        .output_gradient_scale = side[1].scale ? side[1].scale[k] : NULL,
    };
    return tamis__store_factors_digest(&shape, &stored, rows, block->offset, first, k);
}

static tamis_status fill_rows(tamis__grad_block *block, const tamis__gradient_job *job,
                              const tamis__factors *factors, uint32_t k, uint64_t first,
                              uint64_t rows, void *scratch, tamis_error *err)
{
    const tamis__block_side *side = &block->side[0];
    size_t bytes = (size_t)(block->capacity * side->columns) * tamis_dtype_size(job->dtype);
    tamis__row_block to = {
        .stored = (char *)side->memory + k * bytes,
        .scale = side->scales ? side->scale_memory + k * block->capacity : NULL,
        .norm = block->norms + k * block->capacity,
    };
    return tamis__factors_expand(factors, job, k, first, rows, scratch, &to, err);
}

tamis_status tamis__grad_block_fill(tamis__grad_block *block, const tamis__gradient_job *job,
                                    const tamis__factors *factors, uint64_t first, uint64_t rows,
                                    void *scratch, tamis_error *err)
{
    const tamis__block_side *side = &block->side[0];
    block->digest = 0;
    for (uint32_t k = 0; k < job->checkpoints.items; k++) {
        if (in_factors(job)) {
            for (uint64_t i = 0; i < rows; i++)
                TAMIS_TRY(
                    fill_row(block, job, factors, k, first + i, k * block->capacity + i, err));
            block->digest += factors_digest(block, job, k, first, rows);
            continue;
        }
        TAMIS_TRY(fill_rows(block, job, factors, k, first, rows, scratch, err));
        block->digest += tamis__store_rows_digest(side->value[k],
                                                  side->scale ? side->scale[k] : NULL, rows, first,
                                                  job->stored, job->dtype, k);
    }
    return TAMIS_OK;
}

/* --- writing ---------------------------------------------------------------------------------- */

static tamis__store_block store_block(const tamis__grad_block *block,
                                      const tamis__gradient_job *job, uint64_t rows)
{
    const tamis__block_side *side = block->side;
    tamis__store_block store = {
        .rows = rows,
        .norm = block->norm,
        .digest = block->digest,
        .loss = block->loss,
        .margin = block->margin,
        .probability = block->probability,
    };
    if (!in_factors(job)) {
        store.gradient = side[0].value;
        store.scale = side[0].scale;
        return store;
    }
    store.offset = block->offset;
    store.input = side[0].value;
    store.output_gradient = side[1].value;
    store.input_scale = side[0].scale;
    store.output_gradient_scale = side[1].scale;
    return store;
}

tamis_status tamis__grad_block_write(tamis__grad_block *block, const tamis__gradient_job *job,
                                     const tamis__factors *factors, tamis_store_writer *writer,
                                     uint64_t first, uint64_t rows, tamis_error *err)
{
    uint64_t at = first - factors->first;
    for (uint32_t k = 0; k < job->checkpoints.items; k++) {
        block->loss[k] = factors->loss[k] + at;
        block->margin[k] = factors->margin[k] + at;
        block->probability[k] = factors->probability[k] + at * job->classes;
    }
    tamis__store_block store = store_block(block, job, rows);
    void *memory = NULL;
    TAMIS_TRY(tamis__labels_examples(job, first, rows, &store.examples, &memory, err));
    tamis_status status = tamis__store_writer_put_block(writer, &store, err);
    free(memory);
    if (status != TAMIS_OK) return status;
    return tamis__progress(job->context, "writing gradients", first + rows, job->rows, "rows", NULL,
                           err);
}
