/* The terms of a query at a layer, made when they are wanted: rows of its weights, or factors of
 * low rank.
 *
 * The arithmetic is in double, and each number is rounded once, to the float that is multiplied.
 * They are scaled by powers of two, by the largest factors of the query and the largest of the
 * inverse, so that tiny gradients do not vanish in floats.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>

#include "base/error.h"
#include "linalg/blas.h"
#include "score/ekfac_factors.h"

enum { STEP = TAMIS__MANY_STEP, TILE = TAMIS__TERM_TILE, SLICE = TAMIS__TERM_SLICE };

static int exponent_of(const float *values, uint64_t n)
{
    int exponent;
    float most = 0;
    for (uint64_t i = 0; i < n; i++) most = fabsf(values[i]) > most ? fabsf(values[i]) : most;
    if (!(most > 0) || !isfinite(most)) return 0;
    frexpf(most, &exponent);
    return exponent;
}

void tamis__factor_query_init(tamis__factor_query *query, const tamis__factor_layer *layer)
{
    query->kind = tamis__factor_layer_kind(layer, query->tokens);
    query->terms = tamis__factor_layer_terms(layer, query->kind, query->tokens);
    if (query->kind == TAMIS__TERMS_QUERY) {
        query->exponent = layer->query_exponent[query->index];
    } else {
        query->exponent = exponent_of(query->x, query->tokens * layer->x) +
                          exponent_of(query->y, query->tokens * layer->y);
        query->exponent += query->kind == TAMIS__TERMS_EXACT ? layer->exponent
                                                             : layer->spectral_exponent;
    }
    query->factor = ldexp(query->weight, query->exponent);
}

/* --- exact ------------------------------------------------------------------------------------ */

/* wide [n, columns] becomes the sum over tokens of y x^T at these places. Slices of tokens have a
 * fixed size, and rows that are asked for together are always the same ones. */
static tamis_status outer(const tamis__factor_layer *layer, const tamis__factor_query *query,
                          uint64_t first, uint64_t n, uint64_t column, uint64_t columns,
                          const tamis__term_room *room, tamis_error *err)
{
    for (uint64_t t = 0; t < query->tokens; t += SLICE) {
        uint64_t tokens = query->tokens - t < SLICE ? query->tokens - t : SLICE;
        for (uint64_t i = 0; i < tokens; i++) {
            const float *x = query->x + (t + i) * layer->x + column;
            const float *y = query->y + (t + i) * layer->y + first;
            for (uint64_t c = 0; c < columns; c++) room->wide_x[i * STEP + c] = (double)x[c];
            for (uint64_t j = 0; j < n; j++) room->wide_y[i * TILE + j] = (double)y[j];
        }
        TAMIS_TRY(tamis__dgemm(true, false, n, columns, tokens, 1.0, room->wide_y, TILE,
                               room->wide_x, STEP, t ? 1.0 : 0.0, room->wide, STEP, err));
    }
    return TAMIS_OK;
}

/* One token needs no sum. */
static void outer_one(const tamis__factor_query *query, uint64_t first, uint64_t n, uint64_t column,
                      uint64_t columns, double *wide)
{
    for (uint64_t j = 0; j < n; j++) {
        double y = (double)query->y[first + j];
        for (uint64_t c = 0; c < columns; c++)
            wide[j * STEP + c] = y * (double)query->x[column + c];
    }
}

/* wide becomes rows of the weights. */
static tamis_status weigh(const tamis__factor_layer *layer, const tamis__factor_query *query,
                          uint64_t first, uint64_t n, uint64_t column, uint64_t columns,
                          const tamis__term_room *room, tamis_error *err)
{
    const double *inverse = layer->spectrum->inverse;
    double scale = ldexp(1.0, -query->exponent);
    if (query->tokens == 1)
        outer_one(query, first, n, column, columns, room->wide);
    else
        TAMIS_TRY(outer(layer, query, first, n, column, columns, room, err));
    for (uint64_t j = 0; j < n && !layer->swapped; j++) {
        const double *row = inverse + (first + j) * layer->x + column;
        double *to = room->wide + j * STEP;
        for (uint64_t c = 0; c < columns; c++) to[c] *= row[c] * scale;
    }
    for (uint64_t c = 0; c < columns && layer->swapped; c++) {
        const double *row = inverse + (column + c) * layer->y + first;
        for (uint64_t j = 0; j < n; j++) room->wide[j * STEP + c] *= row[j] * scale;
    }
    return TAMIS_OK;
}

static tamis_status exact(const tamis__factor_layer *layer, const tamis__factor_query *query,
                          uint64_t first, uint64_t n, uint64_t column, uint64_t columns,
                          const tamis__term_room *room, float *out, size_t stride, tamis_error *err)
{
    TAMIS_TRY(weigh(layer, query, first, n, column, columns, room, err));
    for (uint64_t j = 0; j < n; j++)
        for (uint64_t c = 0; c < columns; c++)
            out[j * stride + c] = (float)room->wide[j * STEP + c];
    return TAMIS_OK;
}

tamis_status tamis__factor_weights(const tamis__factor_layer *layer,
                                   const tamis__factor_query *query, const tamis__term_room *room,
                                   double *ret_weights, tamis_error *err)
{
    for (uint64_t first = 0; first < layer->y; first += TILE)
        for (uint64_t column = 0; column < layer->x; column += STEP) {
            uint64_t n = layer->y - first < TILE ? layer->y - first : TILE;
            uint64_t columns = layer->x - column < STEP ? layer->x - column : STEP;
            TAMIS_TRY(weigh(layer, query, first, n, column, columns, room, err));
            for (uint64_t j = 0; j < n; j++)
                for (uint64_t c = 0; c < columns; c++)
                    ret_weights[(first + j) * layer->x + column + c] = room->wide[j * STEP + c];
        }
    return TAMIS_OK;
}

/* --- low rank --------------------------------------------------------------------------------- */

/* Term t * rank + r: the r-th outer product of the spectrum, times the query's token t. The power
 * of two of either side is its own; together they are query->exponent. */
static void spectral(const tamis__factor_layer *layer, const tamis__factor_query *query, bool of_y,
                     uint64_t first, uint64_t n, uint64_t column, uint64_t columns, float *out,
                     size_t stride)
{
    uint64_t width = of_y ? layer->y : layer->x;
    const float *tokens = of_y ? query->y : query->x;
    const double *terms = of_y ? layer->spectral_y : layer->spectral_x;
    double scale = ldexp(1.0, -exponent_of(tokens, query->tokens * width));
    for (uint64_t j = 0; j < n; j++) {
        const float *token = tokens + (first + j) / layer->spectral * width + column;
        const double *term = terms + (first + j) % layer->spectral * width + column;
        for (uint64_t c = 0; c < columns; c++)
            out[j * stride + c] = (float)((double)token[c] * scale * term[c]);
    }
}

tamis_status tamis__factor_terms(const tamis__factor_layer *layer, const tamis__factor_query *query,
                                 bool of_y, uint64_t first, uint64_t n, uint64_t column,
                                 uint64_t columns, const tamis__term_room *room, float *out,
                                 size_t stride, tamis_error *err)
{
    if (query->kind == TAMIS__TERMS_EXACT)
        return exact(layer, query, first, n, column, columns, room, out, stride, err);
    if (query->kind == TAMIS__TERMS_SPECTRAL) {
        spectral(layer, query, of_y, first, n, column, columns, out, stride);
        return TAMIS_OK;
    }
    uint64_t width = of_y ? layer->y : layer->x;
    const float *terms = (of_y ? layer->query_y : layer->query_x) +
                         (query->index * layer->query + first) * width + column;
    for (uint64_t j = 0; j < n; j++)
        for (uint64_t c = 0; c < columns; c++) out[j * stride + c] = terms[j * width + c];
    return TAMIS_OK;
}
