/* One value a row from a gradient store's per-example columns.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "select/values.h"

static tamis_status not_a_number(const tamis_store *store, const char *column, uint64_t row,
                                 tamis_error *err)
{
    char id[128];
    tamis_store_id(store, row, id, sizeof id);
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "'%s': row %" PRIu64
                       " (id %s): its %s is not a number: run 'tamis inspect' on it",
                       tamis_store_path(store), row, id, column);
}

static tamis_status add_squared_norms(tamis_store *store, uint32_t checkpoint, double *value,
                                      tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    double weight = info->checkpoint[checkpoint].learning_rate;
    const float *norm;
    TAMIS_TRY(tamis_store_norms(store, checkpoint, &norm, err));
    for (uint64_t i = 0; i < info->rows; i++)
        value[i] += weight * (double)norm[i] * (double)norm[i];
    return TAMIS_OK;
}

static tamis_status self_influence(tamis_store *store, double *value, tamis_error *err)
{
    uint32_t checkpoints = tamis_store_info_get(store)->checkpoints;
    for (uint32_t k = 0; k < checkpoints; k++) TAMIS_TRY(add_squared_norms(store, k, value, err));
    return TAMIS_OK;
}

static tamis_status norm(tamis_store *store, double *value, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    const float *norms;
    TAMIS_TRY(tamis_store_norms(store, info->checkpoints - 1, &norms, err));
    for (uint64_t i = 0; i < info->rows; i++) value[i] = (double)norms[i];
    return TAMIS_OK;
}

static tamis_status output(tamis_store *store, const char *column, double *value, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    float *values = NULL;
    TAMIS_TRY(tamis_store_outputs(store, info->checkpoints - 1, column, &values, err));
    if (!values)
        return tamis__fail(
            err, TAMIS_ERR_FORMAT,
            "'%s' has no %s recorded: make it with 'tamis grad', or select by norm or self",
            tamis_store_path(store), column);
    for (uint64_t i = 0; i < info->rows; i++) value[i] = (double)values[i];
    free(values);
    return TAMIS_OK;
}

static tamis_status length(tamis_store *store, double *value, tamis_error *err)
{
    const uint32_t *lengths = tamis_store_examples(store)->length;
    if (!lengths)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' has no lengths recorded: import it with --lengths",
                           tamis_store_path(store));
    for (uint64_t i = 0; i < tamis_store_info_get(store)->rows; i++) value[i] = (double)lengths[i];
    return TAMIS_OK;
}

static tamis_status fill(tamis_store *store, const char *column, double *value, tamis_error *err)
{
    static const char *const names[] = {"length", "loss", "margin", "norm", "self"};
    if (!strcmp(column, "length")) return length(store, value, err);
    if (!strcmp(column, "self")) return self_influence(store, value, err);
    if (!strcmp(column, "norm")) return norm(store, value, err);
    if (!strcmp(column, "loss") || !strcmp(column, "margin"))
        return output(store, column, value, err);
    const char *near = tamis_suggest(column, names, sizeof names / sizeof *names);
    if (near)
        return tamis__fail(err, TAMIS_ERR_ARG, "there is no column '%s': did you mean '%s'?",
                           column, near);
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "there is no column '%s': it is length, loss, margin, norm or self", column);
}

tamis_status tamis__column(tamis_store *store, const char *column, double **ret_values,
                           tamis_error *err)
{
    uint64_t rows = tamis_store_info_get(store)->rows;
    double *value = tamis__calloc((size_t)rows, sizeof *value);
    if (!value) return tamis__fail_memory(err, "one value a row", rows * sizeof *value);
    tamis_status status = fill(store, column, value, err);
    for (uint64_t i = 0; status == TAMIS_OK && i < rows; i++)
        if (isnan(value[i])) status = not_a_number(store, column, i, err);
    if (status == TAMIS_OK)
        *ret_values = value;
    else
        free(value);
    return status;
}
