/* Features of rows under the inverse of their covariance.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "curvature/whitening.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"
#include "store/curvature_file.h"

/* --- loading ---------------------------------------------------------------------------------- */

static tamis_status check_file(const tamis_curvature *curvature, tamis_error *err)
{
    const tamis_curvature_info *info = tamis_curvature_info_get(curvature);
    const char *path = tamis_curvature_path(curvature);
    if (info->kind != TAMIS_CURVATURE_WHITEN)
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s' is of kind %s: fit one of kind whiten", path,
                           tamis__curvature_kind_name(info->kind));
    if (info->stage != TAMIS_STAGE_FINAL)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' holds sums that are to be merged: make it final first (tamis "
                           "merge --finish)",
                           path);
    return TAMIS_OK;
}

/* A factor that was changed would divide by zero. */
static tamis_status check_diagonal(const tamis__whitening *w, const char *path, tamis_error *err)
{
    for (uint64_t i = 0; i < w->columns; i++)
        if (!(w->factor[i * w->columns + i] > 0.0))
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s': dataset 'whiten/factor' is %g at (%" PRIu64 ", %" PRIu64
                               "), and a Cholesky factor is above zero there: fit it again",
                               path, w->factor[i * w->columns + i], i, i);
    return TAMIS_OK;
}

uint64_t tamis__whitening_bytes(const tamis_curvature *curvature)
{
    uint64_t n = tamis_curvature_info_get(curvature)->columns;
    return (n * n + n) * sizeof(double);
}

tamis_status tamis__whitening_load(tamis__whitening *ret_whitening,
                                   const tamis_curvature *curvature, tamis_error *err)
{
    const tamis__curvature_place mean = {.array = TAMIS__WHITEN_MEAN},
                                 factor = {.array = TAMIS__WHITEN_FACTOR};
    TAMIS_TRY(check_file(curvature, err));
    tamis__whitening w = {.columns = tamis_curvature_info_get(curvature)->columns};
    w.mean = tamis__aligned(w.columns, sizeof *w.mean);
    w.factor = tamis__aligned(w.columns * w.columns, sizeof *w.factor);
    tamis_status status = w.mean && w.factor
                              ? TAMIS_OK
                              : tamis__fail_memory(err, "a whitening",
                                                   tamis__whitening_bytes(curvature));
    if (status == TAMIS_OK) status = tamis__curvature_read(curvature, &mean, w.mean, err);
    if (status == TAMIS_OK) status = tamis__curvature_read(curvature, &factor, w.factor, err);
    if (status == TAMIS_OK) status = check_diagonal(&w, tamis_curvature_path(curvature), err);
    if (status == TAMIS_OK)
        *ret_whitening = w;
    else
        tamis__whitening_fini(&w);
    return status;
}

void tamis__whitening_fini(tamis__whitening *whitening)
{
    free(whitening->mean);
    free(whitening->factor);
    *whitening = (tamis__whitening){0};
}

/* --- on one thread ---------------------------------------------------------------------------- */

uint64_t tamis__feature_scratch_bytes(uint64_t columns)
{
    return TAMIS__FEATURE_ROWS * columns * (sizeof(float) + sizeof(double));
}

tamis_status tamis__feature_scratch_init(tamis__feature_scratch *ret_scratch, uint64_t columns,
                                         tamis_error *err)
{
    float *row = tamis__aligned(TAMIS__FEATURE_ROWS * columns, sizeof *row);
    double *values = tamis__aligned(TAMIS__FEATURE_ROWS * columns, sizeof *values);
    if (!row || !values) {
        free(row);
        free(values);
        return tamis__fail_memory(err, "features", tamis__feature_scratch_bytes(columns));
    }
    *ret_scratch = (tamis__feature_scratch){.row = row, .values = values};
    return TAMIS_OK;
}

void tamis__feature_scratch_fini(tamis__feature_scratch *scratch)
{
    free(scratch->row);
    free(scratch->values);
    *scratch = (tamis__feature_scratch){0};
}

static tamis_status refuse_row(const tamis_store *store, uint64_t row, const char *what,
                               tamis_error *err)
{
    char id[256];
    tamis_store_id(store, row, id, sizeof id);
    return tamis__fail(err, TAMIS_ERR_NUMERIC, "'%s': row %" PRIu64 " (id %s) %s",
                       tamis_store_path(store), row, id, what);
}

/* In several sums, which do not wait for each other. */
static bool all_finite(const double *x, uint64_t n)
{
    double check[8] = {0}, sum = 0;
    uint64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++) check[k] += x[i + (uint64_t)k] * 0.0;
    for (; i < n; i++) sum += x[i] * 0.0;
    for (int k = 0; k < 8; k++) sum += check[k];
    return sum >= 0.0;
}

tamis_status tamis__rows_summed(const tamis_store *store, uint64_t first, uint64_t rows, float *row,
                                double *out, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    uint64_t columns = info->columns, n = rows * columns;
    for (uint32_t k = 0; k < info->checkpoints; k++) {
        TAMIS_TRY(tamis_store_read(store, k, first, rows, 0, columns, row, columns, err));
        for (uint64_t i = 0; i < n; i++) out[i] = k ? out[i] + (double)row[i] : (double)row[i];
    }
    for (uint64_t r = 0; r < rows; r++)
        if (!all_finite(out + r * columns, columns))
            return refuse_row(store, first + r, "is not finite: make the store again without it",
                              err);
    return TAMIS_OK;
}

tamis_status tamis__rows_listed(const tamis_store *store, const uint64_t *row, uint64_t rows,
                                float *scratch, double *out, tamis_error *err)
{
    uint64_t columns = tamis_store_info_get(store)->columns;
    for (uint64_t i = 0, n; i < rows; i += n) {
        for (n = 1; i + n < rows && row[i + n] == row[i] + n;) n++;
        TAMIS_TRY(tamis__rows_summed(store, row[i], n, scratch, out + i * columns, err));
    }
    return TAMIS_OK;
}

static double norm_of(const double *x, uint64_t n)
{
    double sum = 0;
    for (uint64_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sqrt(sum);
}

/* Summed rows in scratch->values become features; row i of them is row[i] of the store, or first +
 * i. */
static tamis_status finish(const tamis_store *store, const tamis__whitening *whitening, bool unit,
                           const uint64_t *row, uint64_t first, uint64_t rows,
                           tamis__feature_scratch *scratch, tamis_error *err)
{
    uint64_t columns = tamis_store_info_get(store)->columns;
    double *x = scratch->values;
    if (whitening) {
        for (uint64_t r = 0; r < rows; r++)
            for (uint64_t c = 0; c < columns; c++) x[r * columns + c] -= whitening->mean[c];
        memset(x + rows * columns, 0, (TAMIS__FEATURE_ROWS - rows) * columns * sizeof *x);
        TAMIS_TRY(tamis__triangular_solve(columns, TAMIS__FEATURE_ROWS, whitening->factor, columns,
                                          x, columns, err));
    }
    for (uint64_t r = 0; r < rows; r++) {
        double *values = x + r * columns, norm = scratch->norm[r] = norm_of(values, columns);
        if (!isfinite(norm) || norm > (double)FLT_MAX)
            return refuse_row(store, row ? row[r] : first + r,
                              "is too large once it is whitened: scale the rows", err);
        for (uint64_t c = 0; unit && norm > 0.0 && c < columns; c++) values[c] /= norm;
    }
    return TAMIS_OK;
}

tamis_status tamis__features_some(const tamis_store *store, const tamis__whitening *whitening,
                                  bool unit, uint64_t first, uint64_t rows,
                                  tamis__feature_scratch *scratch, tamis_error *err)
{
    TAMIS_TRY(tamis__rows_summed(store, first, rows, scratch->row, scratch->values, err));
    return finish(store, whitening, unit, NULL, first, rows, scratch, err);
}

tamis_status tamis__features_listed(const tamis_store *store, const tamis__whitening *whitening,
                                    bool unit, const uint64_t *row, uint64_t rows,
                                    tamis__feature_scratch *scratch, tamis_error *err)
{
    TAMIS_TRY(tamis__rows_listed(store, row, rows, scratch->row, scratch->values, err));
    return finish(store, whitening, unit, row, 0, rows, scratch, err);
}

/* --- on all threads --------------------------------------------------------------------------- */

typedef struct job {
    tamis_context *context;
    const tamis_store *store;
    const tamis__whitening *whitening;
    bool unit;
    uint64_t first, rows, columns;
    float *out;
    tamis__feature_scratch *scratch; /* [worker] */
} job;

static uint64_t rows_of(const job *j, uint64_t item)
{
    uint64_t left = j->rows - item * TAMIS__FEATURE_ROWS;
    return left < TAMIS__FEATURE_ROWS ? left : TAMIS__FEATURE_ROWS;
}

static tamis_status do_rows(void *arg, uint64_t item, unsigned slot, unsigned worker,
                            tamis_error *err)
{
    (void)slot;
    const job *j = arg;
    uint64_t at = item * TAMIS__FEATURE_ROWS, n = rows_of(j, item) * j->columns;
    tamis__feature_scratch *scratch = &j->scratch[worker];
    TAMIS_TRY(tamis__features_some(j->store, j->whitening, j->unit, j->first + at, rows_of(j, item),
                                   scratch, err));
    for (uint64_t i = 0; i < n; i++) j->out[at * j->columns + i] = (float)scratch->values[i];
    return TAMIS_OK;
}

static tamis_status tell(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)slot;
    const job *j = arg;
    return tamis__progress(j->context, "features", item * TAMIS__FEATURE_ROWS + rows_of(j, item),
                           j->rows, "rows", NULL, err);
}

static tamis_status run(job *j, tamis_error *err)
{
    unsigned threads = tamis_context_threads(j->context);
    tamis_status status = TAMIS_OK;
    j->scratch = tamis__calloc(threads, sizeof *j->scratch);
    if (!j->scratch) return tamis__fail_memory(err, "features", threads * sizeof *j->scratch);
    for (unsigned t = 0; t < threads && status == TAMIS_OK; t++)
        status = tamis__feature_scratch_init(&j->scratch[t], j->columns, err);
    if (status == TAMIS_OK) {
        tamis__pipeline p = {.arg = j,
                             .items = (j->rows + TAMIS__FEATURE_ROWS - 1) / TAMIS__FEATURE_ROWS,
                             .work = do_rows,
                             .consume = tell};
        tamis__blas_begin();
        status = tamis__pool_run(j->context->pool, &p, err);
        tamis__blas_end();
    }
    for (unsigned t = 0; t < threads; t++) tamis__feature_scratch_fini(&j->scratch[t]);
    free(j->scratch);
    return status;
}

tamis_status tamis__features(tamis_context *context, tamis_store *store,
                             const tamis__whitening *whitening, bool unit, uint64_t first,
                             uint64_t rows, float *out, tamis_error *err)
{
    job j = {.context = context,
             .store = store,
             .whitening = whitening,
             .unit = unit,
             .first = first,
             .rows = rows,
             .columns = tamis_store_info_get(store)->columns,
             .out = out};
    if (whitening && whitening->columns != j.columns)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' has rows of %" PRIu64 " columns, the whitening is of %" PRIu64,
                           tamis_store_path(store), j.columns, whitening->columns);
    TAMIS_TRY(tamis__memory_check(
        context, tamis_context_threads(context) * tamis__feature_scratch_bytes(j.columns),
        "whitening rows", err));
    return run(&j, err);
}
