/* Layers of a curvature file, ready to be applied.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "curvature/match.h"
#include "curvature/spectrum.h"
#include "store/curvature_file.h"

/* --- sizes ------------------------------------------------------------------------------------ */

static uint64_t side_bytes(uint64_t n, uint64_t max_block)
{
    uint32_t blocks = tamis__curvature_blocks(n, max_block);
    uint64_t bytes = n * sizeof(double) + blocks * (sizeof(uint64_t) + sizeof(double *));
    for (uint32_t b = 0; b < blocks; b++) {
        uint64_t w = tamis__curvature_block(n, blocks, b + 1) -
                     tamis__curvature_block(n, blocks, b);
        bytes += w * w * sizeof(double);
    }
    return bytes;
}

uint64_t tamis__spectrum_bytes(const tamis_curvature *curvature, uint32_t layer)
{
    const tamis_curvature_info *info = tamis_curvature_info_get(curvature);
    uint64_t bytes = 0;
    bool turned = info->kind == TAMIS_CURVATURE_EKFAC || info->kind == TAMIS_CURVATURE_KFAC;
    for (uint32_t i = 0; i < info->layers; i++) {
        const tamis_layer *l = &info->layer[i];
        if (layer != UINT32_MAX && layer != i) continue;
        bytes += 2 * tamis_layer_columns(l) * sizeof(double);
        if (turned)
            bytes += side_bytes(l->out, info->max_block) +
                     side_bytes(l->in + l->bias, info->max_block);
    }
    return bytes;
}

/* --- loading ---------------------------------------------------------------------------------- */

typedef struct loader {
    const tamis_curvature *curvature;
    const tamis_curvature_info *info;
    uint32_t layer;
} loader;

static tamis_status read_array(const loader *l, tamis__curvature_array array, uint32_t block,
                               double **ret_values, tamis_error *err)
{
    tamis__curvature_place place = {array, l->layer, block};
    uint64_t n = tamis__curvature_values(l->info, &place);
    double *values = tamis__aligned(n, sizeof *values);
    if (!values) return tamis__fail_memory(err, "curvature", n * sizeof *values);
    tamis_status status = tamis__curvature_read(l->curvature, &place, values, err);
    if (status != TAMIS_OK)
        free(values);
    else
        *ret_values = values;
    return status;
}

static tamis_status load_basis(const loader *l, tamis__basis *basis, tamis__curvature_array vectors,
                               tamis__curvature_array values, tamis_error *err)
{
    uint32_t blocks = tamis__curvature_blocks(basis->n, l->info->max_block);
    basis->first = tamis__calloc((size_t)blocks + 1, sizeof *basis->first);
    basis->vectors = tamis__calloc(blocks, sizeof *basis->vectors);
    if (!basis->first || !basis->vectors)
        return tamis__fail_memory(err, "curvature", blocks * 2 * sizeof *basis->first);
    basis->blocks = blocks;
    for (uint32_t b = 0; b <= blocks; b++)
        basis->first[b] = tamis__curvature_block(basis->n, blocks, b);
    for (uint32_t b = 0; b < blocks; b++)
        TAMIS_TRY(read_array(l, vectors, b, &basis->vectors[b], err));
    return read_array(l, values, 0, &basis->values, err);
}

/* Eigenvalues of a matrix without full rank come out around zero on either side. */
static double at_least_zero(double value)
{
    return value > 0.0 ? value : 0.0;
}

static tamis_status outer_product(tamis__spectrum *s, tamis_error *err)
{
    s->lambda = tamis__aligned(s->out * s->in, sizeof *s->lambda);
    if (!s->lambda) return tamis__fail_memory(err, "curvature", s->out * s->in * sizeof(double));
    for (uint64_t i = 0; i < s->out; i++)
        for (uint64_t j = 0; j < s->in; j++)
            s->lambda[i * s->in + j] = at_least_zero(s->output.values[i]) *
                                       at_least_zero(s->input.values[j]);
    return TAMIS_OK;
}

static tamis_status load_lambda(const loader *l, tamis__spectrum *s, tamis_error *err)
{
    TAMIS_TRY(read_array(l, TAMIS__LAMBDA, 0, &s->lambda, err));
    for (uint64_t i = 0; i < s->out * s->in; i++)
        if (s->lambda[i] < 0.0)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s': layer '%s': lambda is %g at (%" PRIu64 ", %" PRIu64
                               "), below zero",
                               tamis_curvature_path(l->curvature), s->layer.name, s->lambda[i],
                               i / s->in, i % s->in);
    return TAMIS_OK;
}

static tamis_status load(const loader *l, tamis__spectrum *s, tamis_curvature_kind kind,
                         tamis__damping damping, tamis_error *err)
{
    s->layer = l->info->layer[l->layer];
    s->out = s->output.n = s->layer.out;
    s->in = s->input.n = s->layer.in + s->layer.bias;
    if (kind != TAMIS_CURVATURE_DIAGONAL) {
        TAMIS_TRY(load_basis(l, &s->output, TAMIS__OUTPUT_VECTORS, TAMIS__OUTPUT_VALUES, err));
        TAMIS_TRY(load_basis(l, &s->input, TAMIS__INPUT_VECTORS, TAMIS__INPUT_VALUES, err));
    }
    if (kind == TAMIS_CURVATURE_KFAC)
        TAMIS_TRY(outer_product(s, err));
    else
        TAMIS_TRY(load_lambda(l, s, err));
    tamis_status status = tamis__spectrum_damp(s, damping, err);
    return status == TAMIS_ERR_NUMERIC
               ? tamis__prefix(err, status, "'%s'", tamis_curvature_path(l->curvature))
               : status;
}

static tamis_status check_final(const tamis_curvature *curvature, tamis_error *err)
{
    if (tamis_curvature_info_get(curvature)->stage == TAMIS_STAGE_FINAL) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "'%s' holds sums that are to be merged or gone on with: make it final first "
                       "(tamis merge --finish, tamis fit --from)",
                       tamis_curvature_path(curvature));
}

tamis_status tamis__spectrum_load(tamis__spectrum *ret_spectrum, const tamis_curvature *curvature,
                                  uint32_t layer, tamis_curvature_kind kind, tamis__damping damping,
                                  tamis_error *err)
{
    loader l = {curvature, tamis_curvature_info_get(curvature), layer};
    bool serves = kind == l.info->kind ||
                  (kind == TAMIS_CURVATURE_KFAC && l.info->kind == TAMIS_CURVATURE_EKFAC);
    if (!serves || kind == TAMIS_CURVATURE_GRAM || kind == TAMIS_CURVATURE_WHITEN)
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s' is of kind %s: fit one of kind %s",
                           tamis_curvature_path(curvature),
                           tamis__curvature_kind_name(l.info->kind),
                           tamis__curvature_kind_name(kind));
    TAMIS_TRY(check_final(curvature, err));
    if (layer >= l.info->layers)
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s' has no layer %u",
                           tamis_curvature_path(curvature), (unsigned)layer);
    tamis__spectrum spectrum = {0};
    tamis_status status = load(&l, &spectrum, kind, damping, err);
    if (status != TAMIS_OK)
        tamis__spectrum_fini(&spectrum);
    else
        *ret_spectrum = spectrum;
    return status;
}

/* --- does it fit? ----------------------------------------------------------------------------- */

tamis_status tamis__curvature_fits(const tamis_curvature *curvature, const tamis_store *store,
                                   tamis_error *err)
{
    tamis__columns_of a = tamis__columns_of_curvature(curvature),
                      b = tamis__columns_of_store(store);
    TAMIS_TRY(check_final(curvature, err));
    TAMIS_TRY(tamis__refuse_whitened(store, err));
    return tamis__match_columns(&a, &b, err);
}

/* --- dense ------------------------------------------------------------------------------------ */

tamis_status tamis__curvature_gram(const tamis_curvature *curvature, double *ret_gram,
                                   tamis_error *err)
{
    const tamis_curvature_info *info = tamis_curvature_info_get(curvature);
    const tamis__curvature_place place = {.array = TAMIS__GRAM};
    if (info->kind != TAMIS_CURVATURE_GRAM)
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s' is of kind %s: fit one of kind gram",
                           tamis_curvature_path(curvature), tamis__curvature_kind_name(info->kind));
    TAMIS_TRY(check_final(curvature, err));
    return tamis__curvature_read(curvature, &place, ret_gram, err);
}
