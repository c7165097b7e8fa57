/* Reading factors of a store, and rows in full form made of them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/store_factors.h"
#include "store/store_object.h"
#include "store/store_pages.h"

static uint64_t lowest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t highest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* --- factors ---------------------------------------------------------------------------------- */

/* The first token of each part at a checkpoint, and the end. */
static const uint64_t *first_tokens(const tamis_store *store, uint32_t checkpoint)
{
    return store->first_token + checkpoint * (store->info.shards + 1ul);
}

/* The last part that begins at the token or before it: parts without tokens are passed over. */
static uint32_t part_of_token(const tamis_store *store, const uint64_t *first, uint64_t token)
{
    uint32_t low = 0, high = store->info.shards;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (first[middle] <= token)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* A range whose tokens count within the store. */
static tamis_status read_range(const tamis_store *store, uint32_t checkpoint,
                               const tamis__factor_range *range, float *out, size_t stride,
                               tamis_error *err)
{
    const uint64_t *first = first_tokens(store, checkpoint);
    uint64_t end = range->first_token + range->tokens;
    if (range->tokens == 0 || range->columns == 0) return TAMIS_OK;
    uint32_t i = part_of_token(store, first, range->first_token);
    for (uint64_t token = range->first_token; token < end; i++) {
        tamis__factor_range some = *range;
        some.first_token = token - first[i];
        some.tokens = lowest(end, first[i + 1]) - token;
        TAMIS_TRY(tamis__store_part_factors(&store->part[i], &store->kernels, checkpoint, &some,
                                            out + (token - range->first_token) * stride, stride,
                                            err));
        token += some.tokens;
    }
    return TAMIS_OK;
}

static void touched(const tamis_store *store, uint64_t tokens, uint64_t columns, int side)
{
    uint64_t whole = side == TAMIS__INPUT ? store->info.input_columns : store->info.output_columns;
    uint64_t size = tamis_dtype_size(store->info.dtype);
    tamis__store_touched_some(store, tokens, columns * size, whole * size);
}

/* Tokens change nothing on the way: the parts they lie in must be what they were. */
static tamis_status tokens_there(const tamis_store *store, uint32_t checkpoint,
                                 uint64_t first_token, uint64_t tokens, tamis_error *err)
{
    const uint64_t *first = first_tokens(store, checkpoint);
    if (tokens == 0) return TAMIS_OK;
    uint32_t last = part_of_token(store, first, first_token + tokens - 1);
    for (uint32_t i = part_of_token(store, first, first_token); i <= last; i++)
        TAMIS_TRY(tamis__watch_check(&store->part[i].watch, store->part[i].path, err));
    return TAMIS_OK;
}

static tamis_status read_side(const tamis_store *store, uint32_t checkpoint, uint32_t layer,
                              int side, uint64_t first_token, uint64_t tokens, float *out,
                              size_t stride, tamis_error *err)
{
    const uint64_t *at = side == TAMIS__INPUT ? store->input_at : store->output_at;
    const tamis__factor_range range = {.side = side,
                                       .layer = layer,
                                       .first_token = first_token,
                                       .tokens = tokens,
                                       .first_column = at[layer],
                                       .columns = at[layer + 1] - at[layer]};
    if (!out) return TAMIS_OK;
    if (stride < range.columns)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "layer '%s' of '%s' has %llu values a token: a stride of %zu is too "
                           "small",
                           store->info.layer[layer].name, store->path,
                           (unsigned long long)range.columns, stride);
    TAMIS_TRY(read_range(store, checkpoint, &range, out, stride, err));
    touched(store, tokens, range.columns, side);
    return TAMIS_OK;
}

tamis_status tamis_store_read_factors(const tamis_store *store, uint32_t checkpoint, uint32_t layer,
                                      uint64_t first_token, uint64_t tokens, float *input,
                                      size_t input_stride, float *output_gradient,
                                      size_t output_stride, tamis_error *err)
{
    const tamis_store_info *info = &store->info;
    if (info->form != TAMIS_FORM_FACTORS)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' is a store in full form: it has no factors to be read",
                           store->path);
    uint64_t all = checkpoint < info->checkpoints ? first_tokens(store, checkpoint)[info->shards]
                                                  : 0;
    if (checkpoint >= info->checkpoints || layer >= info->layers || first_token > all ||
        tokens > all - first_token)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "'%s' has %u checkpoints and %u layers: %llu tokens from %llu of layer %u at "
            "checkpoint %u, which has %llu tokens, asked for",
            store->path, (unsigned)info->checkpoints, (unsigned)info->layers,
            (unsigned long long)tokens, (unsigned long long)first_token, (unsigned)layer,
            (unsigned)checkpoint, (unsigned long long)all);
    TAMIS_TRY(tokens_there(store, checkpoint, first_token, tokens, err));
    TAMIS_TRY(read_side(store, checkpoint, layer, TAMIS__INPUT, first_token, tokens, input,
                        input_stride, err));
    return read_side(store, checkpoint, layer, TAMIS__OUTPUT_GRADIENT, first_token, tokens,
                     output_gradient, output_stride, err);
}

/* --- full form -------------------------------------------------------------------------------- */

/* Floats of inputs and of output gradients held at a time: they stay in the cache while a tile of
 * the block is made of them. */
#define INPUT_ROOM  ((uint64_t)1 << 17)
#define OUTPUT_ROOM ((uint64_t)1 << 14)

typedef struct expansion {
    const tamis_store *store;
    uint32_t checkpoint;
    float *input, *output; /* tiles */
    uint64_t input_room, output_room;
} expansion;

/* Columns first .. end - 1 of a layer's block, of one row, go to `out`. */
typedef struct block_part {
    uint32_t layer;
    uint64_t first, end;
    uint64_t first_token, tokens;
    float *out;
} block_part;

/* Output row o of the block, input columns from .. from + columns - 1 of those in the tile. */
static void expand_row(const expansion *e, const block_part *part, const float *input,
                       uint64_t stride, const float *output, uint64_t output_stride, float *out,
                       uint64_t columns)
{
    const tamis__kernels *kernels = &e->store->kernels;
    if (part->tokens == 1)
        kernels->scale_f32(out, input, *output, columns);
    else
        kernels->sum_products(out, input, stride, output, output_stride, part->tokens, columns);
}

/* Input columns from .. to - 1 of output rows o .. o_end - 1, whose gradients are in e->output. */
static tamis_status expand_tile(const expansion *e, const block_part *part, uint64_t o,
                                uint64_t o_end, uint64_t from, uint64_t to, tamis_error *err)
{
    const tamis_store *store = e->store;
    uint64_t width = store->input_at[part->layer + 1] - store->input_at[part->layer];
    uint64_t n = to - from, outputs = o_end - o;
    const tamis__factor_range range = {.side = TAMIS__INPUT,
                                       .layer = part->layer,
                                       .first_token = part->first_token,
                                       .tokens = part->tokens,
                                       .first_column = store->input_at[part->layer] + from,
                                       .columns = n};
    TAMIS_TRY(read_range(store, e->checkpoint, &range, e->input, n, err));
    for (uint64_t i = 0; i < outputs; i++) {
        uint64_t first = highest((o + i) * width + from, part->first),
                 end = lowest((o + i) * width + to, part->end);
        if (first >= end) continue;
        expand_row(e, part, e->input + (first - (o + i) * width - from), n, e->output + i, outputs,
                   part->out + (first - part->first), end - first);
    }
    return TAMIS_OK;
}

static tamis_status expand_block(const expansion *e, const block_part *part, tamis_error *err)
{
    const tamis_store *store = e->store;
    uint64_t width = store->input_at[part->layer + 1] - store->input_at[part->layer];
    uint64_t o = part->first / width, o_end = (part->end - 1) / width + 1;
    bool one = o + 1 == o_end;
    uint64_t from = one ? part->first - o * width : 0, to = one ? part->end - o * width : width;
    uint64_t outputs = highest(e->output_room / part->tokens, 1),
             inputs = highest(e->input_room / part->tokens, 1);
    for (uint64_t at = o; at < o_end; at += outputs) {
        tamis__factor_range range = {.side = TAMIS__OUTPUT_GRADIENT,
                                     .layer = part->layer,
                                     .first_token = part->first_token,
                                     .tokens = part->tokens,
                                     .first_column = store->output_at[part->layer] + at,
                                     .columns = lowest(outputs, o_end - at)};
        TAMIS_TRY(read_range(store, e->checkpoint, &range, e->output, range.columns, err));
        for (uint64_t column = from; column < to; column += inputs)
            TAMIS_TRY(expand_tile(e, part, at, at + range.columns, column,
                                  lowest(column + inputs, to), err));
    }
    return TAMIS_OK;
}

/* The layer that holds a column. */
static uint32_t layer_of(const tamis_store_info *info, uint64_t column)
{
    uint32_t low = 0, high = info->layers;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (info->layer[middle].first_column <= column)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static tamis_status expand_one(const expansion *e, const uint64_t *offset, uint64_t first_column,
                               uint64_t columns, float *out, tamis_error *err)
{
    const tamis_store_info *info = &e->store->info;
    uint64_t end = first_column + columns;
    if (columns == 0) return TAMIS_OK;
    if (offset[0] == offset[1]) {
        memset(out, 0, columns * sizeof *out);
        return TAMIS_OK;
    }
    uint32_t i = layer_of(info, first_column);
    for (uint64_t at = first_column; at < end; i++) {
        const tamis_layer *layer = &info->layer[i];
        uint64_t block_end = lowest(end, layer->first_column + tamis_layer_columns(layer));
        const block_part part = {.layer = i,
                                 .first = at - layer->first_column,
                                 .end = block_end - layer->first_column,
                                 .first_token = offset[0],
                                 .tokens = offset[1] - offset[0],
                                 .out = out + (at - first_column)};
        TAMIS_TRY(expand_block(e, &part, err));
        at = block_end;
    }
    return TAMIS_OK;
}

/* Tokens of this many bytes are told of at once: rows lie together. */
#define TOLD (UINT64_C(4) << 20)

/* Tell of the tokens that were read for some columns: those of their layers. */
static void tell(const tamis_store *store, uint64_t tokens, uint64_t first_column, uint64_t columns)
{
    const tamis_store_info *info = &store->info;
    if (tokens == 0 || columns == 0) return;
    uint32_t first = layer_of(info, first_column),
             last = layer_of(info, first_column + columns - 1);
    touched(store, tokens, store->input_at[last + 1] - store->input_at[first], TAMIS__INPUT);
    touched(store, tokens, store->output_at[last + 1] - store->output_at[first],
            TAMIS__OUTPUT_GRADIENT);
}

/* Room for tiles that fit all rows asked for. */
static tamis_status make_room(expansion *e, const uint64_t *offset, uint64_t rows, tamis_error *err)
{
    const tamis_store *store = e->store;
    uint64_t tokens = 1, input = 1, output = 1;
    for (uint64_t i = 0; i < rows; i++) tokens = highest(tokens, offset[i + 1] - offset[i]);
    for (uint32_t i = 0; i < store->info.layers; i++) {
        input = highest(input, store->input_at[i + 1] - store->input_at[i]);
        output = highest(output, store->info.layer[i].out);
    }
    e->input_room = highest(tokens, input < INPUT_ROOM / tokens ? input * tokens : INPUT_ROOM);
    e->output_room = highest(tokens, output < OUTPUT_ROOM / tokens ? output * tokens : OUTPUT_ROOM);
    e->input = tamis__malloc(e->input_room + e->output_room, sizeof *e->input);
    if (!e->input)
        return tamis__fail_memory(err, "factors", (e->input_room + e->output_room) * sizeof(float));
    e->output = e->input + e->input_room;
    return TAMIS_OK;
}

tamis_status tamis__store_expand(const tamis_store *store, uint32_t checkpoint, uint64_t first_row,
                                 uint64_t rows, uint64_t first_column, uint64_t columns, float *out,
                                 size_t stride, tamis_error *err)
{
    const uint64_t *offset = NULL;
    expansion e = {.store = store, .checkpoint = checkpoint};
    TAMIS_TRY(tamis__store_rows_there(store, first_row, rows, err));
    TAMIS_TRY(tamis__store_tokens(store, checkpoint, &offset, err));
    offset += first_row;
    TAMIS_TRY(make_room(&e, offset, rows, err));
    uint64_t at_once = TOLD / tamis_dtype_size(store->info.dtype) /
                       (store->info.input_columns + store->info.output_columns);
    uint64_t told = offset[0];
    tamis_status status = TAMIS_OK;
    for (uint64_t i = 0; i < rows && status == TAMIS_OK; i++) {
        status = expand_one(&e, offset + i, first_column, columns, out + i * stride, err);
        if (offset[i + 1] - told < at_once && i + 1 < rows) continue;
        tell(store, offset[i + 1] - told, first_column, columns);
        told = offset[i + 1];
    }
    free(e.input);
    return status;
}
