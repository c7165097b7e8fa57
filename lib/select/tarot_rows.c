/* Whitened unit rows of candidates and targets.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "curvature/whiten.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"
#include "select/pair.h"
#include "select/tarot.h"

/* --- the whitening ---------------------------------------------------------------------------- */

/* The factor as `fit whiten` makes it of both stores with its defaults; as released the damping is
 * absolute. */
static tamis_status fit(tamis__tarot *t, tamis_error *err)
{
    tamis_whiten_params params = {.damping = 1e-5,
                                  .absolute = t->options.whiten == TAMIS__TAROT_RELEASED};
    tamis_whiten_facts facts;
    tamis__scatter sums = {0};
    char name[512];
    uint64_t p = t->columns, factor = tamis__whiten_factor_bytes(p) + p * sizeof(double);
    uint64_t pass = tamis__scatter_add_bytes(t->context, p);
    TAMIS_TRY(tamis__memory_check(t->context,
                                  tamis__scatter_bytes(p) + (factor > pass ? factor : pass),
                                  "a covariance (project the rows first, or whiten=none)", err));
    snprintf(name, sizeof name, "'%.240s' and '%.240s'", tamis_store_path(t->train),
             tamis_store_path(t->query));
    /* A relative damping leaves nothing singular, so that eigenvalues have nothing to tell. */
    double *eigenvalues = params.absolute ? tamis__aligned(p, sizeof *eigenvalues) : NULL;
    if (params.absolute && !eigenvalues)
        return tamis__fail_memory(err, "eigenvalues", p * sizeof *eigenvalues);
    tamis_status status = tamis__scatter_init(&sums, p, err);
    if (status == TAMIS_OK) status = tamis__scatter_add(&sums, t->context, t->train, err);
    if (status == TAMIS_OK) status = tamis__scatter_add(&sums, t->context, t->query, err);
    if (status == TAMIS_OK) {
        tamis__scatter_centre(&sums);
        status = tamis__whiten_factor(&sums, &params, name, eigenvalues, &facts, err);
    }
    if (status == TAMIS_OK) {
        t->whitening = (tamis__whitening){p, sums.centre, sums.scatter};
        sums.centre = sums.scatter = NULL;
    }
    tamis__scatter_fini(&sums);
    free(eigenvalues);
    return status;
}

static void warn_few(const tamis__tarot *t)
{
    uint64_t rows = t->n + t->m;
    if (rows / 5 >= t->columns) return;
    tamis__log(t->context, TAMIS_LOG_WARNING,
               "%" PRIu64 " rows for %" PRIu64 " columns, fewer than 5 for each: whitened rows are "
               "nearly equally far apart; project the rows first (tamis convert --project), or "
               "take a curvature with shrinkage",
               rows, t->columns);
}

/* (L^-1)^T, so that a row times L^-1 is a product of rows. */
static tamis_status invert(tamis__tarot *t, tamis_error *err)
{
    uint64_t p = t->columns;
    t->inverse = tamis__aligned(p * p, sizeof *t->inverse);
    t->product = tamis__calloc(t->workers, sizeof *t->product);
    if (!t->inverse || !t->product)
        return tamis__fail_memory(err, "a whitening", p * p * sizeof *t->inverse);
    for (unsigned w = 0; w < t->workers; w++) {
        t->product[w] = tamis__aligned(TAMIS__FEATURE_ROWS * p, sizeof **t->product);
        if (!t->product[w]) return tamis__fail_memory(err, "rows", p * sizeof **t->product);
    }
    for (uint64_t i = 0; i < p; i++) t->inverse[i * p + i] = 1.0;
    return tamis__triangular_solve(p, p, t->whitening.factor, p, t->inverse, p, err);
}

static tamis_status find_whitening(tamis__tarot *t, const tamis_curvature *curvature,
                                   tamis_error *err)
{
    if (t->options.whiten == TAMIS__TAROT_PLAIN && curvature)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "whiten=none does not go with the curvature '%s': leave one out",
                           tamis_curvature_path(curvature));
    if (t->options.whiten == TAMIS__TAROT_PLAIN) return TAMIS_OK;
    if (!curvature) warn_few(t);
    if (curvature) {
        TAMIS_TRY(
            tamis__memory_check(t->context, tamis__whitening_bytes(curvature), "a whitening", err));
        TAMIS_TRY(tamis__whitening_load(&t->whitening, curvature, err));
    } else {
        TAMIS_TRY(fit(t, err));
    }
    t->bytes += t->columns * t->columns * sizeof(double);
    if (t->options.whiten == TAMIS__TAROT_RELEASED) {
        t->bytes += t->columns * t->columns * sizeof(double);
        TAMIS_TRY(invert(t, err));
    }
    return TAMIS_OK;
}

/* --- rows ------------------------------------------------------------------------------------- */

/* Summed rows less the mean, times L^-1, unit; in blocks of one size, so that a row's bits do not
 * depend on its neighbours. */
static tamis_status released(const tamis__tarot *t, uint64_t rows, unsigned worker,
                             tamis_error *err)
{
    uint64_t p = t->columns;
    double *x = t->scratch[worker].values, *y = t->product[worker];
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t c = 0; c < p; c++) x[r * p + c] -= t->whitening.mean[c];
    memset(x + rows * p, 0, (TAMIS__FEATURE_ROWS - rows) * p * sizeof *x);
    TAMIS_TRY(tamis__dgemm(false, true, TAMIS__FEATURE_ROWS, p, p, 1.0, x, p, t->inverse, p, 0.0, y,
                           p, err));
    for (uint64_t r = 0; r < rows; r++) {
        double square = 0;
        for (uint64_t c = 0; c < p; c++) square += y[r * p + c] * y[r * p + c];
        double norm = square > 1e-24 ? sqrt(square) : 1e-12;
        for (uint64_t c = 0; c < p; c++) x[r * p + c] = y[r * p + c] / norm;
    }
    return TAMIS_OK;
}

/* Into the worker's values. */
static tamis_status make_some(const tamis__tarot *t, const tamis_store *store, uint64_t first,
                              uint64_t rows, unsigned worker, tamis_error *err)
{
    tamis__feature_scratch *scratch = &t->scratch[worker];
    if (!t->inverse)
        return tamis__features_some(store, t->whitening.factor ? &t->whitening : NULL, true, first,
                                    rows, scratch, err);
    TAMIS_TRY(tamis__rows_summed(store, first, rows, scratch->row, scratch->values, err));
    return released(t, rows, worker, err);
}

/* The same of candidates `row` [rows], ascending. */
static tamis_status make_listed(const tamis__tarot *t, const uint64_t *row, uint64_t rows,
                                unsigned worker, tamis_error *err)
{
    tamis__feature_scratch *scratch = &t->scratch[worker];
    if (!t->inverse)
        return tamis__features_listed(t->train, t->whitening.factor ? &t->whitening : NULL, true,
                                      row, rows, scratch, err);
    TAMIS_TRY(tamis__rows_listed(t->train, row, rows, scratch->row, scratch->values, err));
    return released(t, rows, worker, err);
}

tamis_status tamis__tarot_make(const tamis__tarot *t, uint64_t first, uint64_t rows,
                               unsigned worker, float *out, tamis_error *err)
{
    TAMIS_TRY(make_some(t, t->train, first, rows, worker, err));
    for (uint64_t i = 0; i < rows * t->columns; i++) out[i] = (float)t->scratch[worker].values[i];
    return TAMIS_OK;
}

typedef struct job {
    const tamis__tarot *tarot;
    const tamis_store *store;
    uint64_t rows;
    float *out;
} job;

static tamis_status do_rows(void *arg, uint64_t item, unsigned slot, unsigned worker,
                            tamis_error *err)
{
    (void)slot;
    const job *j = arg;
    const tamis__tarot *t = j->tarot;
    uint64_t first = item * TAMIS__FEATURE_ROWS, left = j->rows - first;
    uint64_t rows = left < TAMIS__FEATURE_ROWS ? left : TAMIS__FEATURE_ROWS;
    TAMIS_TRY(make_some(t, j->store, first, rows, worker, err));
    for (uint64_t i = 0; i < rows * t->columns; i++)
        j->out[first * t->columns + i] = (float)t->scratch[worker].values[i];
    return TAMIS_OK;
}

static tamis_status tell(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)slot;
    const job *j = arg;
    uint64_t done = (item + 1) * TAMIS__FEATURE_ROWS;
    return tamis__progress(j->tarot->context, "features", done < j->rows ? done : j->rows, j->rows,
                           "rows", NULL, err);
}

static tamis_status make_all(const tamis__tarot *t, const tamis_store *store, uint64_t rows,
                             float *out, tamis_error *err)
{
    job j = {t, store, rows, out};
    tamis__pipeline p = {.arg = &j,
                         .items = (rows + TAMIS__FEATURE_ROWS - 1) / TAMIS__FEATURE_ROWS,
                         .work = do_rows,
                         .consume = tell};
    return tamis__pool_run(t->context->pool, &p, err);
}

typedef struct listed {
    const tamis__tarot *tarot;
    const uint64_t *row;
    uint64_t n;
    float *out;
} listed;

static tamis_status do_listed(void *arg, uint64_t item, unsigned slot, unsigned worker,
                              tamis_error *err)
{
    (void)slot;
    const listed *j = arg;
    const tamis__tarot *t = j->tarot;
    uint64_t first = item * TAMIS__FEATURE_ROWS, left = j->n - first;
    uint64_t rows = left < TAMIS__FEATURE_ROWS ? left : TAMIS__FEATURE_ROWS;
    TAMIS_TRY(make_listed(t, j->row + first, rows, worker, err));
    for (uint64_t i = 0; i < rows * t->columns; i++)
        j->out[first * t->columns + i] = (float)t->scratch[worker].values[i];
    return TAMIS_OK;
}

tamis_status tamis__tarot_take(const tamis__tarot *t, const uint64_t *row, uint64_t n, float *out,
                               tamis_error *err)
{
    uint64_t p = t->columns;
    listed j = {t, row, n, out};
    tamis__pipeline pipeline = {
        .arg = &j, .items = (n + TAMIS__FEATURE_ROWS - 1) / TAMIS__FEATURE_ROWS, .work = do_listed};
    if (!t->held) return tamis__pool_run(t->context->pool, &pipeline, err);
    for (uint64_t i = 0; i < n; i++) memcpy(out + i * p, t->held + row[i] * p, p * sizeof *out);
    return TAMIS_OK;
}

/* --- opening ---------------------------------------------------------------------------------- */

static tamis_status open_scratch(tamis__tarot *t, tamis_error *err)
{
    t->workers = tamis_context_threads(t->context);
    t->bytes = t->workers * tamis__feature_scratch_bytes(t->columns);
    TAMIS_TRY(tamis__memory_check(t->context, t->bytes, "rows", err));
    t->scratch = tamis__calloc(t->workers, sizeof *t->scratch);
    if (!t->scratch) return tamis__fail_memory(err, "rows", t->workers * sizeof *t->scratch);
    for (unsigned w = 0; w < t->workers; w++)
        TAMIS_TRY(tamis__feature_scratch_init(&t->scratch[w], t->columns, err));
    return TAMIS_OK;
}

/* Rows of candidates are held when they take at most a quarter of the memory limit. */
static tamis_status open_rows(tamis__tarot *t, tamis_error *err)
{
    uint64_t bytes = t->n * t->columns * sizeof *t->held;
    TAMIS_TRY(tamis__held_queries_init(&t->target, t->context, 1, t->m, t->columns, err));
    TAMIS_TRY(make_all(t, t->query, t->m, t->target.values[0], err));
    TAMIS_TRY(tamis__held_queries_ready(&t->target, t->context, "a target", err));
    t->best = tamis__malloc(t->n, sizeof *t->best);
    if (!t->best) return tamis__fail_memory(err, "a value a row", t->n * sizeof *t->best);
    if (bytes > tamis_context_memory(t->context) / 4) return TAMIS_OK;
    /* Zeroing it first would cost a tenth of making the rows, on one thread. */
    t->held = tamis__malloc(t->n * t->columns, sizeof *t->held);
    if (!t->held) return tamis__fail_memory(err, "rows", bytes);
    t->bytes += bytes;
    return make_all(t, t->train, t->n, t->held, err);
}

/* What lists and filters say of candidates. */
static tamis_status open_standing(tamis__tarot *t, tamis_error *err)
{
    if (!t->standing) return TAMIS_OK;
    if (t->options.compat)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "compat=tarot-2024-12 knows nothing of rows that must be kept or dropped: "
            "leave out the lists and filters, or compat");
    t->skip = tamis__calloc(t->n, sizeof *t->skip);
    if (!t->skip) return tamis__fail_memory(err, "a list of rows", t->n);
    for (uint64_t i = 0; i < t->n; i++) {
        t->required += t->standing[i] == TAMIS__MUST_KEEP;
        t->skip[i] = t->standing[i] == TAMIS__BARRED;
    }
    return TAMIS_OK;
}

static tamis_status open_parts(tamis__tarot *t, const tamis_curvature *curvature, tamis_error *err)
{
    TAMIS_TRY(open_standing(t, err));
    TAMIS_TRY(open_scratch(t, err));
    TAMIS_TRY(find_whitening(t, curvature, err));
    return open_rows(t, err);
}

/* In place: the queries point to themselves. */
tamis_status tamis__tarot_open(tamis__tarot *t, const tamis__candidates *candidates,
                               const tamis__tarot_options *options, tamis_error *err)
{
    const tamis_select_params *source = candidates->source;
    TAMIS_TRY(tamis__pair_check(source, err));
    *t = (tamis__tarot){.context = candidates->context,
                        .train = source->train,
                        .query = source->query,
                        .options = *options,
                        .standing = candidates->standing,
                        .n = candidates->rows,
                        .m = tamis_store_info_get(source->query)->rows,
                        .columns = tamis_store_info_get(source->train)->columns};
    tamis__blas_begin();
    tamis_status status = open_parts(t, source->curvature, err);
    tamis__blas_end();
    if (status != TAMIS_OK) tamis__tarot_close(t);
    return status;
}

void tamis__tarot_close(tamis__tarot *t)
{
    for (unsigned w = 0; w < t->workers; w++) {
        if (t->scratch) tamis__feature_scratch_fini(&t->scratch[w]);
        if (t->product) free(t->product[w]);
    }
    free(t->scratch);
    free(t->product);
    free(t->inverse);
    free(t->held);
    free(t->skip);
    free(t->row);
    free(t->score);
    free(t->best);
    tamis__tarot_costs_fini(&t->costs);
    tamis__held_queries_fini(&t->target);
    tamis__whitening_fini(&t->whitening);
    *t = (tamis__tarot){0};
}
