/* A block of rows on its way from a thread to the store's writer, in either form.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/grad_block.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"

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
    if (in_factors(job)) block->offset = tamis__calloc((size_t)capacity + 1, sizeof *block->offset);
    if (!done || !block->norms || !block->norm || (in_factors(job) && !block->offset))
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
    free(block->offset);
    *block = (tamis__grad_block){0};
}

/* --- filling in ------------------------------------------------------------------------------- */

/* One side of a row, layer by layer: what lies apart in the factors lies side by side in the store.
 * For i8 each layer has its scale. */
static tamis_status narrow_side(const tamis__gradient_job *job, float *const *from, uint64_t at,
                                bool input, uint32_t k, uint64_t row, char *stored, float *scale,
                                tamis_error *err)
{
    size_t size = tamis_dtype_size(job->dtype);
    for (uint32_t i = 0; i < job->layers.items; i++) {
        const tamis_layer *layer = &job->layer[i];
        size_t width = input ? tamis__input_stride(layer) : (size_t)layer->out;
        const float *value = from[(size_t)k * job->layers.items + i] + at * width;
        if (tamis__row_overflows(job->dtype, value, width))
            return tamis__row_refused(job, input ? "input" : "output gradient", k, row, true, err);
        float step = tamis__narrow(&job->kernels, job->dtype, stored, value, width);
        if (scale) scale[i] = step;
        stored += width * size;
    }
    return TAMIS_OK;
}

/* Rows of one checkpoint as their factors. */
static tamis_status fill_factors(tamis__grad_block *block, const tamis__gradient_job *job,
                                 const tamis__factors *factors, uint32_t k, uint64_t first,
                                 uint64_t rows, tamis_error *err)
{
    const tamis__block_side *side = block->side;
    size_t size = tamis_dtype_size(job->dtype);
    for (uint64_t i = 0; i < rows; i++) {
        uint64_t row = first + i, at = row - factors->first, to = k * block->capacity + i;
        /* A finite norm leaves nothing infinite on either side: 0 times infinity is not finite. */
        TAMIS_TRY(tamis__gradient_norm(factors, job, k, row, &block->norms[to], err));
        for (int s = 0; s < TAMIS__BLOCK_SIDES; s++)
            TAMIS_TRY(narrow_side(
                job, s == 0 ? factors->input : factors->delta, at, s == 0, k, row,
                (char *)side[s].memory + to * side[s].columns * size,
                side[s].scales ? side[s].scale_memory + to * side[s].scales : NULL, err));
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
            TAMIS_TRY(fill_factors(block, job, factors, k, first, rows, err));
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

tamis__store_block tamis__grad_block_store(const tamis__grad_block *block,
                                           const tamis__gradient_job *job, uint64_t rows)
{
    const tamis__block_side *side = block->side;
    tamis__store_block store = {.rows = rows, .norm = block->norm, .digest = block->digest};
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
