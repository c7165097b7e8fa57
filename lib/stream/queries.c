/* Where prepared queries come from: a store, or memory.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "kernels/kernels.h"
#include "stream/engine.h"

/* --- checks ----------------------------------------------------------------------------------- */

static tamis_status refuse_row(const tamis_store *store, uint32_t checkpoint, uint64_t row,
                               const char *what, tamis_error *err)
{
    char id[256];
    tamis_store_id(store, row, id, sizeof id);
    return tamis__fail(err, TAMIS_ERR_NUMERIC, "'%s': row %llu (id %s) at checkpoint %u %s",
                       tamis_store_path(store), (unsigned long long)row, id, checkpoint, what);
}

tamis_status tamis__finite_norms(tamis_store *store, uint32_t checkpoint, bool direction,
                                 const float **ret_norms, tamis_error *err)
{
    const float *norms;
    TAMIS_TRY(tamis_store_norms(store, checkpoint, &norms, err));
    uint64_t rows = tamis_store_info_get(store)->rows;
    for (uint64_t i = 0; i < rows; i++) {
        if (!isfinite(norms[i]))
            return refuse_row(store, checkpoint, i,
                              "is not finite: make the store again without it", err);
        if (direction && norms[i] == 0.0f)
            return refuse_row(
                store, checkpoint, i,
                "is zero, so it has no direction: leave it out, or ask for zero=score0", err);
    }
    *ret_norms = norms;
    return TAMIS_OK;
}

/* --- rows of a store -------------------------------------------------------------------------- */

static tamis_status read_store(void *arg, uint32_t checkpoint, uint64_t first, uint64_t rows,
                               uint64_t first_column, uint64_t columns, float *out, size_t stride,
                               tamis_error *err)
{
    return tamis_store_read(arg, checkpoint, first, rows, first_column, columns, out, stride, err);
}

tamis_status tamis__queries_of_store(tamis__store_queries *ret_queries, tamis_store *store,
                                     bool direction, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    tamis_status status = TAMIS_OK;
    const float **norm = tamis__calloc(info->checkpoints, sizeof *norm);
    if (!norm) return tamis__fail_memory(err, "norms", info->checkpoints * sizeof *norm);
    for (uint32_t k = 0; k < info->checkpoints && status == TAMIS_OK; k++)
        status = tamis__finite_norms(store, k, direction, &norm[k], err);
    if (status != TAMIS_OK) {
        free(norm);
        return status;
    }
    *ret_queries = (tamis__store_queries){
        .queries = {.arg = store, .rows = info->rows, .norm = norm, .read = read_store},
        .norm = norm,
        .store = store};
    return TAMIS_OK;
}

void tamis__store_queries_fini(tamis__store_queries *queries)
{
    free(queries->norm);
    *queries = (tamis__store_queries){0};
}

/* --- unit rows of a store --------------------------------------------------------------------- */

static tamis_status fill_scales(tamis__unit_queries *q, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(q->rows.store);
    q->owned = tamis__calloc(info->checkpoints, sizeof *q->owned);
    if (!q->owned) return tamis__fail_memory(err, "norms", info->checkpoints * sizeof *q->owned);
    for (uint32_t k = 0; k < info->checkpoints; k++) {
        double *scale = q->owned[k] = tamis__malloc(info->rows, sizeof *scale);
        if (!scale) return tamis__fail_memory(err, "norms", info->rows * sizeof *scale);
        for (uint64_t i = 0; i < info->rows; i++) {
            double norm = (double)q->rows.norm[k][i];
            scale[i] = norm > 0.0 ? 1.0 / norm : 0.0;
        }
    }
    q->scale = (const double *const *)q->owned;
    return TAMIS_OK;
}

tamis_status tamis__unit_queries_of_store(tamis__unit_queries *ret_queries, tamis_store *store,
                                          bool direction, tamis_error *err)
{
    tamis__unit_queries q = {0};
    TAMIS_TRY(tamis__queries_of_store(&q.rows, store, direction, err));
    tamis_status status = fill_scales(&q, err);
    if (status != TAMIS_OK)
        tamis__unit_queries_fini(&q);
    else
        *ret_queries = q;
    return status;
}

void tamis__unit_queries_fini(tamis__unit_queries *queries)
{
    uint32_t n = queries->rows.store ? tamis_store_info_get(queries->rows.store)->checkpoints : 0;
    for (uint32_t k = 0; queries->owned && k < n; k++) free(queries->owned[k]);
    free(queries->owned);
    tamis__store_queries_fini(&queries->rows);
    *queries = (tamis__unit_queries){0};
}

/* --- rows in memory --------------------------------------------------------------------------- */

static tamis_status read_held(void *arg, uint32_t checkpoint, uint64_t first, uint64_t rows,
                              uint64_t first_column, uint64_t columns, float *out, size_t stride,
                              tamis_error *err)
{
    (void)err;
    const tamis__held_queries *held = arg;
    const float *from = held->values[checkpoint] + first * held->columns + first_column;
    for (uint64_t i = 0; i < rows; i++)
        memcpy(out + i * stride, from + i * held->columns, columns * sizeof *out);
    return TAMIS_OK;
}

static bool allocate(tamis__held_queries *q)
{
    q->values = tamis__calloc(q->checkpoints, sizeof *q->values);
    q->norm = tamis__calloc(q->checkpoints, sizeof *q->norm);
    for (uint32_t k = 0; q->values && q->norm && k < q->checkpoints; k++) {
        q->values[k] = tamis__calloc(q->rows * q->columns, sizeof **q->values);
        q->norm[k] = tamis__calloc(q->rows, sizeof **q->norm);
        if (!q->values[k] || !q->norm[k]) return false;
    }
    return q->values && q->norm;
}

uint64_t tamis__held_queries_bytes(const tamis__held_queries *q)
{
    return q->checkpoints * q->rows * q->columns * sizeof(float);
}

tamis_status tamis__held_queries_init(tamis__held_queries *ret_queries,
                                      const tamis_context *context, uint32_t checkpoints,
                                      uint64_t rows, uint64_t columns, tamis_error *err)
{
    tamis__held_queries q = {.checkpoints = checkpoints, .rows = rows, .columns = columns};
    uint64_t bytes = tamis__held_queries_bytes(&q);
    TAMIS_TRY(tamis__memory_check(context, bytes, "holding the prepared queries", err));
    if (!allocate(&q)) {
        tamis__held_queries_fini(&q);
        return tamis__fail_memory(err, "prepared queries", bytes);
    }
    *ret_queries = q;
    return TAMIS_OK;
}

tamis_status tamis__held_queries_ready(tamis__held_queries *queries, const tamis_context *context,
                                       const char *what, tamis_error *err)
{
    tamis__kernels kernels;
    tamis__kernels_init(&kernels, tamis_context_cpu(context));
    for (uint32_t k = 0; k < queries->checkpoints; k++)
        for (uint64_t i = 0; i < queries->rows; i++) {
            const float *row = queries->values[k] + i * queries->columns;
            float norm = (float)sqrt(kernels.sum_squares(row, queries->columns));
            if (!isfinite(norm))
                return tamis__fail(err, TAMIS_ERR_NUMERIC,
                                   "%s: query %llu at checkpoint %u is too large for a float", what,
                                   (unsigned long long)i, k);
            queries->norm[k][i] = norm;
        }
    queries->queries = (tamis__queries){.arg = queries,
                                        .rows = queries->rows,
                                        .bytes = tamis__held_queries_bytes(queries),
                                        .norm = (const float *const *)queries->norm,
                                        .read = read_held};
    return TAMIS_OK;
}

void tamis__held_queries_fini(tamis__held_queries *queries)
{
    for (uint32_t k = 0; queries->values && k < queries->checkpoints; k++) free(queries->values[k]);
    for (uint32_t k = 0; queries->norm && k < queries->checkpoints; k++) free(queries->norm[k]);
    free(queries->values);
    free(queries->norm);
    *queries = (tamis__held_queries){0};
}
