/* A layer of a product of factors: its shape, and its inverse spectrum by low rank.
 *
 * The damped inverse spectrum R = 1 / (lambda + damping) is written as a short sum of outer
 * products. Its own singular vectors would be spent on where it is largest, which is where
 * gradients vanish; so each entry is weighted by the size that gradients have there: s R a with the
 * row means s and the column means a of lambda, each with a ten-thousandth of its largest added as
 * a floor.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"
#include "linalg/low_rank.h"
#include "score/ekfac_factors.h"

/* Where all singular vectors are found: of an inverse spectrum, which is done once, and of
 * queries. */
enum { WHOLE_SPECTRUM = 1024, WHOLE_QUERY = 128 };
/* Beyond the rank, and iterations, of the random search for the others. */
enum { MORE_SPECTRUM = 16, POWER_SPECTRUM = 6, MORE_QUERY = 8 };
static const double FLOOR = 1e-4;

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool saves(const tamis__factor_layer *layer, uint64_t terms)
{
    return terms > 0 &&
           (double)terms * (double)(layer->x + layer->y) < (double)layer->x * (double)layer->y;
}

void tamis__factor_layer_init(tamis__factor_layer *ret_layer, const tamis__spectrum *spectrum,
                              uint32_t index, uint64_t spectral_rank, uint64_t query_rank)
{
    tamis__factor_layer l = {.spectrum = spectrum, .index = index};
    l.swapped = spectrum->out > spectrum->in;
    l.x = l.swapped ? spectrum->out : spectrum->in;
    l.y = l.swapped ? spectrum->in : spectrum->out;
    l.spectral = saves(&l, spectral_rank) ? spectral_rank : 0;
    l.query = saves(&l, query_rank) ? query_rank : 0;
    uint64_t width = smaller(l.query + MORE_QUERY, l.y);
    if (l.query && l.y > WHOLE_QUERY && 2 * width < l.y) l.start_width = width;
    *ret_layer = l;
}

void tamis__factor_layer_fini(tamis__factor_layer *layer)
{
    free(layer->spectral_x);
    free(layer->spectral_y);
    free(layer->query_x);
    free(layer->query_y);
    free(layer->query_exponent);
    free(layer->start);
    *layer = (tamis__factor_layer){0};
}

tamis__term_kind tamis__factor_layer_kind(const tamis__factor_layer *layer, uint64_t tokens)
{
    uint64_t spectral = tokens * layer->spectral;
    if (!saves(layer, spectral)) spectral = 0;
    if (spectral && (!layer->query || spectral <= layer->query)) return TAMIS__TERMS_SPECTRAL;
    return layer->query ? TAMIS__TERMS_QUERY : TAMIS__TERMS_EXACT;
}

uint64_t tamis__factor_layer_terms(const tamis__factor_layer *layer, tamis__term_kind kind,
                                   uint64_t tokens)
{
    if (tokens == 0) return 0;
    switch (kind) {
    case TAMIS__TERMS_SPECTRAL: return tokens * layer->spectral;
    case TAMIS__TERMS_QUERY: return layer->query;
    default: return layer->y;
    }
}

/* --- memory ----------------------------------------------------------------------------------- */

static uint64_t spectrum_width(const tamis__factor_layer *layer)
{
    return smaller(layer->spectral + MORE_SPECTRUM, layer->y);
}

uint64_t tamis__factor_layer_bytes(const tamis__factor_layer *layer, bool meanwhile)
{
    uint64_t sides = layer->x + layer->y;
    uint64_t kept = layer->spectral * sides + layer->start_width * layer->x;
    if (!meanwhile || !layer->spectral) return kept * sizeof(double);
    uint64_t search = layer->y <= WHOLE_SPECTRUM
                          ? tamis__low_rank_bytes(layer->y)
                          : tamis__low_rank_sketch_bytes(layer->y, layer->x,
                                                         spectrum_width(layer)) +
                                spectrum_width(layer) * layer->x * sizeof(double);
    return (kept + layer->x * layer->y + sides) * sizeof(double) + search;
}

uint64_t tamis__factor_query_bytes(const tamis__factor_layer *layer, bool meanwhile)
{
    uint64_t sides = layer->x + layer->y;
    if (!layer->query) return 0;
    if (!meanwhile) return layer->query * sides * sizeof(float) + sizeof(int);
    uint64_t search = layer->start_width
                          ? tamis__low_rank_sketch_bytes(layer->y, layer->x, layer->start_width)
                          : tamis__low_rank_bytes(layer->y);
    return (layer->x * layer->y + layer->query * sides) * sizeof(double) + search;
}

/* --- the inverse spectrum --------------------------------------------------------------------- */

static void add_floor(double *mean, uint64_t n)
{
    double most = 0;
    for (uint64_t i = 0; i < n; i++) most = fmax(most, mean[i]);
    for (uint64_t i = 0; i < n; i++) mean[i] = most > 0 ? mean[i] + FLOOR * most : 1.0;
}

/* Means of lambda over the other side. */
static void means(const tamis__factor_layer *layer, double *x, double *y)
{
    const tamis__spectrum *s = layer->spectrum;
    double *rows = layer->swapped ? x : y, *columns = layer->swapped ? y : x;
    for (uint64_t j = 0; j < s->in; j++) columns[j] = 0;
    for (uint64_t i = 0; i < s->out; i++) {
        rows[i] = 0;
        for (uint64_t j = 0; j < s->in; j++) {
            rows[i] += s->lambda[i * s->in + j];
            columns[j] += s->lambda[i * s->in + j];
        }
    }
    for (uint64_t i = 0; i < s->out; i++) rows[i] /= (double)s->in;
    for (uint64_t j = 0; j < s->in; j++) columns[j] /= (double)s->out;
    add_floor(x, layer->x);
    add_floor(y, layer->y);
}

static int exponent_of(const double *values, uint64_t n)
{
    int exponent;
    double most = 0;
    for (uint64_t i = 0; i < n; i++) most = fmax(most, fabs(values[i]));
    if (!(most > 0) || !isfinite(most)) return 0;
    frexp(most, &exponent);
    return exponent;
}

/* Divide by the weights again; each term of x is brought near 1, all of y together. */
static void unweight(tamis__factor_layer *layer, const double *x, const double *y)
{
    for (uint64_t r = 0; r < layer->spectral; r++) {
        double *of_x = layer->spectral_x + r * layer->x, *of_y = layer->spectral_y + r * layer->y;
        for (uint64_t i = 0; i < layer->x; i++) of_x[i] /= x[i];
        for (uint64_t i = 0; i < layer->y; i++) of_y[i] /= y[i];
        int exponent = exponent_of(of_x, layer->x);
        for (uint64_t i = 0; i < layer->x; i++) of_x[i] = ldexp(of_x[i], -exponent);
        for (uint64_t i = 0; i < layer->y; i++) of_y[i] = ldexp(of_y[i], exponent);
    }
    uint64_t values = layer->spectral * layer->y;
    layer->spectral_exponent = exponent_of(layer->spectral_y, values);
    for (uint64_t i = 0; i < values; i++)
        layer->spectral_y[i] = ldexp(layer->spectral_y[i], -layer->spectral_exponent);
}

static tamis_status search(tamis__factor_layer *layer, uint64_t seed, const double *weighted,
                           tamis_error *err)
{
    uint64_t width = spectrum_width(layer);
    if (layer->y <= WHOLE_SPECTRUM)
        return tamis__low_rank(layer->y, layer->x, weighted, layer->spectral, layer->spectral_y,
                               layer->spectral_x, err);
    double *start = tamis__malloc(width * layer->x, sizeof *start);
    tamis_status status = start ? tamis__low_rank_start(seed, layer->index, width, layer->x, start,
                                                        err)
                                : tamis__fail_memory(err, "an inverse spectrum",
                                                     width * layer->x * sizeof *start);
    if (status == TAMIS_OK)
        status = tamis__low_rank_sketch(layer->y, layer->x, weighted, layer->spectral,
                                        POWER_SPECTRUM, width, start, layer->spectral_y,
                                        layer->spectral_x, err);
    free(start);
    return status;
}

static tamis_status factorise(tamis__factor_layer *layer, uint64_t seed, tamis_error *err)
{
    double *x = tamis__malloc(layer->x, sizeof *x), *y = tamis__malloc(layer->y, sizeof *y);
    double *weighted = tamis__malloc(layer->x * layer->y, sizeof *weighted);
    layer->spectral_x = tamis__malloc(layer->spectral * layer->x, sizeof(double));
    layer->spectral_y = tamis__malloc(layer->spectral * layer->y, sizeof(double));
    tamis_status status = TAMIS_OK;
    if (!x || !y || !weighted || !layer->spectral_x || !layer->spectral_y)
        status = tamis__fail_memory(err, "an inverse spectrum",
                                    layer->x * layer->y * sizeof *weighted);
    if (status == TAMIS_OK) {
        means(layer, x, y);
        for (uint64_t i = 0; i < layer->y; i++)
            for (uint64_t j = 0; j < layer->x; j++)
                weighted[i * layer->x + j] = y[i] * tamis__factor_layer_inverse(layer, i, j) * x[j];
        status = search(layer, seed, weighted, err);
    }
    if (status == TAMIS_OK) unweight(layer, x, y);
    free(x);
    free(y);
    free(weighted);
    return status;
}

tamis_status tamis__factor_layer_ready(tamis__factor_layer *layer, uint64_t seed, tamis_error *err)
{
    const tamis__spectrum *s = layer->spectrum;
    layer->exponent = exponent_of(s->inverse, s->out * s->in);
    if (layer->start_width) {
        layer->start = tamis__malloc(layer->start_width * layer->x, sizeof *layer->start);
        if (!layer->start)
            return tamis__fail_memory(err, "random numbers",
                                      layer->start_width * layer->x * sizeof *layer->start);
        TAMIS_TRY(tamis__low_rank_start(seed, layer->index, layer->start_width, layer->x,
                                        layer->start, err));
    }
    if (!layer->spectral) return TAMIS_OK;
    tamis__blas_begin();
    tamis_status status = factorise(layer, seed, err);
    tamis__blas_end();
    if (status == TAMIS_OK) return TAMIS_OK;
    return tamis__prefix(err, status, "layer '%s'", s->layer.name);
}
