/* Points to be clustered.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "cluster/rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"

/* Floats of a chunk, and rows of it that are one thread's. */
enum { CHUNK = 1 << 21, PIECE = TAMIS__FEATURE_ROWS };

tamis_status tamis__cluster_rows_take(const tamis__cluster_rows *r, const uint64_t *at, uint64_t n,
                                      unsigned worker, float *out, tamis_error *err)
{
    uint64_t p = r->columns, row[PIECE];
    tamis__feature_scratch *scratch = &r->scratch[worker];
    for (uint64_t i = 0; i < n && r->held; i++)
        memcpy(out + i * p, r->held + at[i] * p, p * sizeof *out);
    for (uint64_t i = 0, some; i < n && !r->held; i += some) {
        some = n - i < PIECE ? n - i : PIECE;
        for (uint64_t k = 0; k < some; k++) row[k] = r->row ? r->row[at[i + k]] : at[i + k];
        TAMIS_TRY(tamis__features_listed(r->store, r->whitening, r->unit, row, some, scratch, err));
        for (uint64_t k = 0; k < some * p; k++) out[i * p + k] = (float)scratch->values[k];
    }
    return TAMIS_OK;
}

/* --- chunks ----------------------------------------------------------------------------------- */

typedef struct job {
    const tamis__cluster_rows *rows;
    uint64_t first, n;
    float *out;
    double *square; /* [n of all]; NULL = they are there */
} job;

static tamis_status do_piece(void *arg, uint64_t item, unsigned slot, unsigned worker,
                             tamis_error *err)
{
    (void)slot;
    const job *j = arg;
    uint64_t at[PIECE] = {0}, p = j->rows->columns, first = item * PIECE, left = j->n - first;
    uint64_t n = left < PIECE ? left : PIECE;
    float *out = j->out + first * p;
    for (uint64_t i = 0; i < n; i++) at[i] = j->first + first + i;
    TAMIS_TRY(tamis__cluster_rows_take(j->rows, at, n, worker, out, err));
    for (uint64_t i = 0; i < n && j->square; i++) {
        double sum = 0;
        for (uint64_t c = 0; c < p; c++) sum += (double)out[i * p + c] * (double)out[i * p + c];
        j->square[at[i]] = sum;
    }
    return TAMIS_OK;
}

static tamis_status make_chunk(const job *j, tamis_error *err)
{
    const tamis__pipeline pipeline = {
        .arg = (void *)(uintptr_t)j, .items = (j->n + PIECE - 1) / PIECE, .work = do_piece};
    tamis__blas_begin();
    tamis_status status = tamis__pool_run(j->rows->context->pool, &pipeline, err);
    tamis__blas_end();
    return status;
}

tamis_status tamis__cluster_rows_some(tamis__cluster_rows *r, uint64_t first, uint64_t n,
                                      const float **ret_points, tamis_error *err)
{
    if (!r->held) {
        const job j = {.rows = r, .first = first, .n = n, .out = r->some};
        TAMIS_TRY(make_chunk(&j, err));
    }
    *ret_points = r->held ? r->held + first * r->columns : r->some;
    return TAMIS_OK;
}

/* --- opening ---------------------------------------------------------------------------------- */

static tamis_status allocate(tamis__cluster_rows *r, float **ret_held, tamis_error *err)
{
    unsigned threads = tamis_context_threads(r->context);
    uint64_t p = r->columns, all = r->n * p * sizeof(float);
    bool hold = all <= tamis_context_memory(r->context) / 4;
    r->chunk = CHUNK / p / PIECE * PIECE;
    if (r->chunk < PIECE) r->chunk = PIECE;
    if (r->chunk > r->n) r->chunk = r->n;
    r->bytes = threads * tamis__feature_scratch_bytes(p) + r->n * sizeof *r->square +
               (hold ? all : r->chunk * p * sizeof *r->some);
    TAMIS_TRY(tamis__memory_check(r->context, r->bytes, "rows to be clustered", err));
    r->scratch = tamis__calloc(threads, sizeof *r->scratch);
    r->square = tamis__malloc(r->n, sizeof *r->square);
    if (hold)
        *ret_held = tamis__aligned(r->n * p, sizeof **ret_held);
    else
        r->some = tamis__aligned(r->chunk * p, sizeof *r->some);
    if (!r->scratch || !r->square || !(hold ? *ret_held : r->some))
        return tamis__fail_memory(err, "rows to be clustered", r->bytes);
    for (unsigned t = 0; t < threads; t++)
        TAMIS_TRY(tamis__feature_scratch_init(&r->scratch[t], p, err));
    return TAMIS_OK;
}

static tamis_status make_all(const tamis__cluster_rows *r, float *held, tamis_error *err)
{
    for (uint64_t first = 0; first < r->n; first += r->chunk) {
        uint64_t left = r->n - first;
        const job j = {.rows = r,
                       .first = first,
                       .n = left < r->chunk ? left : r->chunk,
                       .out = held ? held + first * r->columns : r->some,
                       .square = r->square};
        TAMIS_TRY(make_chunk(&j, err));
        TAMIS_TRY(tamis__progress(r->context, "features", first + j.n, r->n, "rows", NULL, err));
    }
    return TAMIS_OK;
}

tamis_status tamis__cluster_rows_open(tamis__cluster_rows *r, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(r->store);
    float *held = NULL;
    r->columns = info->columns;
    if (!r->row) r->n = info->rows;
    if (r->whitening && r->whitening->columns != r->columns)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' has rows of %" PRIu64 " columns, the whitening is of %" PRIu64,
                           tamis_store_path(r->store), r->columns, r->whitening->columns);
    tamis__row_dots_init(&r->dots, tamis_context_cpu(r->context));
    tamis_status status = allocate(r, &held, err);
    if (status == TAMIS_OK) status = make_all(r, held, err);
    r->held = held;
    if (status != TAMIS_OK) tamis__cluster_rows_close(r);
    return status;
}

void tamis__cluster_rows_close(tamis__cluster_rows *r)
{
    for (unsigned t = 0; r->scratch && t < tamis_context_threads(r->context); t++)
        tamis__feature_scratch_fini(&r->scratch[t]);
    free(r->scratch);
    free(r->square);
    free(r->held);
    free(r->some);
    *r = (tamis__cluster_rows){0};
}
