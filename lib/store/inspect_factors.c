/* What an inspection sees of one example's factors.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/inspect_factors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "store/store_object.h"

/* One row, all its tokens. */
typedef struct factor_view {
    const tamis__kernels *kernels;
    tamis__factor_shape shape;
    tamis__factor_rows stored;
    float *input, *output; /* the same widened */
    uint64_t tokens;
} factor_view;

/* --- widening --------------------------------------------------------------------------------- */

static bool widen_scaled(const factor_view *v, bool input)
{
    const int8_t *from = input ? v->stored.input : v->stored.output_gradient;
    const float *scale = input ? v->stored.input_scale : v->stored.output_gradient_scale;
    float *out = input ? v->input : v->output;
    bool good = true;
    for (uint64_t t = 0; t < v->tokens; t++)
        for (uint32_t i = 0; i < v->shape.layers; i++, scale++) {
            const tamis_layer *layer = &v->shape.layer[i];
            uint64_t width = input ? layer->in + layer->bias : layer->out;
            good = good && *scale >= 0.0f && isfinite(*scale);
            v->kernels->widen_i8(out, from, *scale, width);
            from += width;
            out += width;
        }
    return good;
}

/* False when a scale is no scale. */
static bool widen(const factor_view *v)
{
    if (v->shape.dtype == TAMIS_I8) {
        bool good = widen_scaled(v, true);
        return widen_scaled(v, false) && good;
    }
    tamis__widen(v->kernels, v->shape.dtype, v->input, v->stored.input,
                 v->tokens * v->shape.input_columns);
    tamis__widen(v->kernels, v->shape.dtype, v->output, v->stored.output_gradient,
                 v->tokens * v->shape.output_columns);
    return true;
}

/* --- rounding --------------------------------------------------------------------------------- */

/* How far a vector of this norm can be from what was rounded to it. */
static double vector_error(tamis_dtype dtype, double norm, uint64_t width, float scale)
{
    double root = sqrt((double)width);
    if (dtype == TAMIS_BF16) return 0x1p-8 * norm;
    if (dtype == TAMIS_F16) return 0x1p-11 * norm + root * 0x1p-25;
    return dtype == TAMIS_I8 ? 0.505 * root * (double)scale : 0;
}

/* |g~ a~^T - g a^T| <= |da| |g| + |dg| |a| + |da| |dg|, summed over tokens; and 1e-5 of the norms
 * for sums that were taken in another order. */
static double layer_bound(const factor_view *v, uint32_t i, const float *input, const float *output)
{
    const tamis_layer *layer = &v->shape.layer[i];
    uint64_t in = layer->in + layer->bias;
    double sum = 0;
    for (uint64_t t = 0; t < v->tokens; t++) {
        bool scaled = v->shape.dtype == TAMIS_I8;
        uint64_t at = t * v->shape.layers + i;
        double a = sqrt(v->kernels->sum_squares(input + t * v->shape.input_columns, in));
        double g = sqrt(v->kernels->sum_squares(output + t * v->shape.output_columns, layer->out));
        double da = vector_error(v->shape.dtype, a, in, scaled ? v->stored.input_scale[at] : 0);
        double dg = vector_error(v->shape.dtype, g, layer->out,
                                 scaled ? v->stored.output_gradient_scale[at] : 0);
        sum += da * g + dg * a + da * dg + 1e-5 * a * g;
    }
    return sum;
}

static double rounding_bound(const factor_view *v)
{
    const float *input = v->input, *output = v->output;
    double squares = 0;
    for (uint32_t i = 0; i < v->shape.layers; i++) {
        double bound = layer_bound(v, i, input, output);
        squares += bound * bound;
        input += v->shape.layer[i].in + v->shape.layer[i].bias;
        output += v->shape.layer[i].out;
    }
    return sqrt(squares);
}

/* --- ones ------------------------------------------------------------------------------------- */

/* Tokens that only pad have zeros in place of everything, the 1 included. */
static bool is_one(const float *input, uint64_t width, double off)
{
    double last = (double)input[width - 1];
    if (fabs(last - 1) <= off) return true;
    for (uint64_t i = 0; i < width; i++)
        if (input[i] < 0.0f || input[i] > 0.0f) return false;
    return true;
}

static bool ones_there(const factor_view *v)
{
    for (uint64_t t = 0; t < v->tokens; t++) {
        const float *input = v->input + t * v->shape.input_columns;
        for (uint32_t i = 0; i < v->shape.layers; i++) {
            uint64_t width = v->shape.layer[i].in + v->shape.layer[i].bias;
            double off = v->shape.dtype == TAMIS_I8
                             ? 0.505 * (double)v->stored.input_scale[t * v->shape.layers + i]
                             : 0;
            if (v->shape.layer[i].bias && !is_one(input, width, off)) return false;
            input += width;
        }
    }
    return true;
}

/* --- entry ------------------------------------------------------------------------------------ */

static tamis_status need_room(tamis__factor_look *look, uint64_t tokens, uint64_t wide,
                              tamis_error *err)
{
    if (tokens <= look->room) return TAMIS_OK;
    float *grown = tamis__realloc(look->wide, tokens, wide * sizeof *grown);
    if (!grown)
        return tamis__fail_memory(err, "the tokens of a row", tokens * wide * sizeof *grown);
    look->wide = grown;
    look->room = tokens;
    return TAMIS_OK;
}

tamis_status tamis__factor_look_at(tamis__factor_look *look, const tamis_store *store,
                                   uint32_t checkpoint, uint64_t row, const uint64_t *offset,
                                   tamis__factor_seen *ret_seen, tamis_error *err)
{
    uint32_t i = tamis__store_part_of(store, row);
    const tamis__store_part *part = &store->part[i];
    uint64_t first = store->first_token[checkpoint * (store->info.shards + 1ul) + i];
    factor_view v = {.kernels = &store->kernels,
                     .shape = tamis__store_part_shape(part),
                     .tokens = offset[row + 1] - offset[row]};
    const uint64_t own[2] = {0, v.tokens};
    TAMIS_TRY(need_room(look, v.tokens, v.shape.input_columns + v.shape.output_columns, err));
    TAMIS_TRY(tamis__factor_join(&look->joiner, part, checkpoint, offset[row] - first, v.tokens,
                                 &v.stored, err));
    *ret_seen = (tamis__factor_seen){
        .digest = tamis__store_factors_digest(&v.shape, &v.stored, 1, own, row, checkpoint),
        .hash = tamis__store_factors_digest(&v.shape, &v.stored, 1, own, 0, 0)};
    if (v.tokens == 0) return TAMIS_OK;
    v.input = look->wide;
    v.output = look->wide + v.tokens * v.shape.input_columns;
    bool good = widen(&v);
    ret_seen->norm = good ? tamis__store_factors_norm(&v.shape, v.input, v.output, v.tokens)
                          : (double)NAN;
    ret_seen->bound = rounding_bound(&v);
    ret_seen->bad_bias = good && !ones_there(&v);
    return TAMIS_OK;
}

void tamis__factor_look_fini(tamis__factor_look *look)
{
    tamis__factor_joiner_fini(&look->joiner);
    free(look->wide);
    *look = (tamis__factor_look){.room = 0};
}
