/* Which arrays a curvature file has, what they are called and how large they are.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/curvature_file.h"

#include <stdio.h>
#include <string.h>

#include "base/digest.h"

static const char *const kinds[] = {"ekfac", "kfac", "diagonal", "gram", "whiten"};
static const char *const stages[] = {"covariance", "lambda", "final"};

static const char *const names[TAMIS__CURVATURE_ARRAYS] = {
    [TAMIS__OUTPUT_COVARIANCE] = "output_covariance",
    [TAMIS__INPUT_COVARIANCE] = "input_covariance",
    [TAMIS__OUTPUT_VECTORS] = "output_vectors",
    [TAMIS__INPUT_VECTORS] = "input_vectors",
    [TAMIS__OUTPUT_VALUES] = "output_values",
    [TAMIS__INPUT_VALUES] = "input_values",
    [TAMIS__LAMBDA] = "lambda",
    [TAMIS__GRAM] = "gram",
    [TAMIS__WHITEN_MEAN] = "mean",
    [TAMIS__WHITEN_SCATTER] = "scatter",
    [TAMIS__WHITEN_THIRD] = "third",
    [TAMIS__WHITEN_FOURTH] = "fourth",
    [TAMIS__WHITEN_FACTOR] = "factor",
    [TAMIS__WHITEN_EIGENVALUES] = "eigenvalues",
};

const char *tamis__curvature_kind_name(tamis_curvature_kind kind)
{
    return kinds[kind];
}

const char *tamis__curvature_stage_name(tamis_curvature_stage stage)
{
    return stages[stage];
}

const char *tamis__shrinkage_name(tamis_shrinkage shrinkage)
{
    static const char *const shrinkages[] = {"none", "ledoit-wolf"};
    size_t i = (size_t)shrinkage;
    return i < sizeof shrinkages / sizeof *shrinkages ? shrinkages[i] : NULL;
}

static bool by_blocks(tamis__curvature_array array)
{
    return array <= TAMIS__INPUT_VECTORS;
}

static bool of_output(tamis__curvature_array array)
{
    return array == TAMIS__OUTPUT_COVARIANCE || array == TAMIS__OUTPUT_VECTORS ||
           array == TAMIS__OUTPUT_VALUES;
}

static bool of_whiten(tamis__curvature_array array)
{
    return array >= TAMIS__WHITEN_MEAN && array <= TAMIS__WHITEN_EIGENVALUES;
}

/* Does a file of this kind and stage have arrays of this name? */
static bool has(const tamis_curvature_info *info, tamis__curvature_array array)
{
    bool factored = info->kind == TAMIS_CURVATURE_EKFAC || info->kind == TAMIS_CURVATURE_KFAC;
    switch (array) {
    case TAMIS__OUTPUT_COVARIANCE:
    case TAMIS__INPUT_COVARIANCE: return factored && info->stage == TAMIS_STAGE_COVARIANCE;
    case TAMIS__OUTPUT_VECTORS:
    case TAMIS__INPUT_VECTORS:
    case TAMIS__OUTPUT_VALUES:
    case TAMIS__INPUT_VALUES: return factored && info->stage != TAMIS_STAGE_COVARIANCE;
    case TAMIS__LAMBDA:
        return info->kind == TAMIS_CURVATURE_DIAGONAL ||
               (info->kind == TAMIS_CURVATURE_EKFAC && info->stage != TAMIS_STAGE_COVARIANCE);
    case TAMIS__GRAM: return info->kind == TAMIS_CURVATURE_GRAM;
    case TAMIS__WHITEN_MEAN: return info->kind == TAMIS_CURVATURE_WHITEN;
    case TAMIS__WHITEN_SCATTER:
    case TAMIS__WHITEN_THIRD:
    case TAMIS__WHITEN_FOURTH:
        return info->kind == TAMIS_CURVATURE_WHITEN && info->stage != TAMIS_STAGE_FINAL;
    case TAMIS__WHITEN_FACTOR:
    case TAMIS__WHITEN_EIGENVALUES:
        return info->kind == TAMIS_CURVATURE_WHITEN && info->stage == TAMIS_STAGE_FINAL;
    case TAMIS__CURVATURE_ARRAYS: break;
    }
    return false;
}

static uint64_t width(const tamis_curvature_info *info, const tamis__curvature_place *place)
{
    const tamis_layer *layer = &info->layer[place->layer];
    return of_output(place->array) ? layer->out : layer->in + layer->bias;
}

static uint32_t blocks_of(const tamis_curvature_info *info, const tamis__curvature_place *place)
{
    return by_blocks(place->array) ? tamis__curvature_blocks(width(info, place), info->max_block)
                                   : 1;
}

bool tamis__curvature_next(const tamis_curvature_info *info, tamis__curvature_place *place,
                           bool *started)
{
    bool dense = info->kind == TAMIS_CURVATURE_GRAM || info->kind == TAMIS_CURVATURE_WHITEN;
    uint32_t layers = dense ? 1 : info->layers;
    if (*started && place->block + 1 < blocks_of(info, place)) {
        place->block++;
        return true;
    }
    int array = *started ? (int)place->array + 1 : 0;
    if (!*started) *place = (tamis__curvature_place){0};
    *started = true;
    place->block = 0;
    for (; place->layer < layers; place->layer++, array = 0)
        for (; array < TAMIS__CURVATURE_ARRAYS; array++) {
            place->array = (tamis__curvature_array)array;
            if (has(info, place->array)) return true;
        }
    return false;
}

void tamis__curvature_shape(const tamis_curvature_info *info, const tamis__curvature_place *place,
                            uint64_t *ret_rows, uint64_t *ret_columns)
{
    const tamis_layer *layer = &info->layer[place->layer];
    if (by_blocks(place->array)) {
        uint32_t blocks = blocks_of(info, place);
        uint64_t n = width(info, place);
        *ret_rows = *ret_columns = tamis__curvature_block(n, blocks, place->block + 1) -
                                   tamis__curvature_block(n, blocks, place->block);
    } else if (place->array == TAMIS__LAMBDA) {
        *ret_rows = layer->out;
        *ret_columns = layer->in + layer->bias;
    } else if (place->array == TAMIS__GRAM || place->array == TAMIS__WHITEN_SCATTER ||
               place->array == TAMIS__WHITEN_FACTOR) {
        *ret_rows = *ret_columns = info->columns;
    } else if (of_whiten(place->array)) {
        *ret_rows = place->array == TAMIS__WHITEN_FOURTH ? 1 : info->columns;
        *ret_columns = 0;
    } else {
        *ret_rows = width(info, place);
        *ret_columns = 0;
    }
}

void tamis__curvature_name(const tamis__curvature_place *place,
                           char ret_name[TAMIS__CURVATURE_NAME_SIZE])
{
    const char *name = names[place->array];
    if (place->array == TAMIS__GRAM)
        snprintf(ret_name, TAMIS__CURVATURE_NAME_SIZE, "%s", name);
    else if (of_whiten(place->array))
        snprintf(ret_name, TAMIS__CURVATURE_NAME_SIZE, "whiten/%s", name);
    else if (by_blocks(place->array))
        snprintf(ret_name, TAMIS__CURVATURE_NAME_SIZE, "factor/%u/%s_%u", (unsigned)place->layer,
                 name, (unsigned)place->block);
    else
        snprintf(ret_name, TAMIS__CURVATURE_NAME_SIZE, "factor/%u/%s", (unsigned)place->layer,
                 name);
}

uint64_t tamis__curvature_digest(const tamis_curvature_info *info,
                                 const tamis__curvature_place *place, const double *values)
{
    char name[TAMIS__CURVATURE_NAME_SIZE];
    tamis__curvature_name(place, name);
    return tamis__digest_seeded(values, tamis__curvature_values(info, place) * sizeof *values,
                                tamis__digest(name, strlen(name)));
}
