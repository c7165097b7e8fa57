/* Fitting a whitening: joint mean and covariance of the rows of several stores.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "curvature/match.h"
#include "curvature/whiten.h"
#include "store/curvature_file.h"

/* Rows for each column below which a covariance is mostly noise. */
enum { ROWS_PER_COLUMN = 5 };

/* --- writing ---------------------------------------------------------------------------------- */

static void warn_few(const tamis_context *context, const char *path, uint64_t rows,
                     uint64_t columns, tamis_shrinkage shrinkage)
{
    uint64_t narrow = rows / ROWS_PER_COLUMN;
    if (narrow >= columns) return;
    tamis__log(
        context, TAMIS_LOG_WARNING,
        "'%s': %" PRIu64 " rows for %" PRIu64 " columns, fewer than %d for each: %s; project "
        "to at most %" PRIu64 " columns (tamis convert --project)%s",
        path, rows, columns, (int)ROWS_PER_COLUMN,
        rows <= columns ? "the covariance is singular but for what is added to it, and "
                          "whitened rows are nearly equally far apart"
                        : "its smallest eigenvalues are mostly noise, and whitened rows with "
                          "them",
        narrow ? narrow : 1,
        shrinkage == TAMIS_SHRINKAGE_NONE ? ", or take shrinkage ledoit-wolf" : "");
}

static const double *array_of(const tamis__scatter *m, const double *eigenvalues,
                              tamis__curvature_array array)
{
    switch (array) {
    case TAMIS__WHITEN_MEAN: return m->centre;
    case TAMIS__WHITEN_THIRD: return m->third;
    case TAMIS__WHITEN_FOURTH: return &m->fourth;
    case TAMIS__WHITEN_EIGENVALUES: return eigenvalues;
    default: return m->scatter; /* or the factor, in its place */
    }
}

static tamis_status write_arrays(tamis_context *context, const tamis_curvature_info *info,
                                 const tamis__scatter *m, const double *eigenvalues,
                                 const char *path, bool force, tamis_error *err)
{
    tamis__curvature_writer *writer = NULL;
    tamis__curvature_place place;
    TAMIS_TRY(tamis__curvature_create(&writer, context, path, info, force, err));
    tamis_status status = TAMIS_OK;
    for (bool started = false; status == TAMIS_OK && tamis__curvature_next(info, &place, &started);)
        status = tamis__curvature_put(writer, &place, array_of(m, eigenvalues, place.array), err);
    if (status == TAMIS_OK) return tamis__curvature_commit(&writer, 0, m->rows, err);
    tamis__curvature_abort(&writer);
    return status;
}

tamis_status tamis__whiten_write(tamis_context *context, tamis_curvature_info *info,
                                 tamis__scatter *moments, const tamis_whiten_params *params,
                                 const char *path, bool force, tamis_error *err)
{
    tamis_whiten_facts facts;
    double *eigenvalues = NULL;
    char name[512];
    tamis_status status = TAMIS_OK;
    if (info->stage == TAMIS_STAGE_FINAL) {
        snprintf(name, sizeof name, "'%.500s'", path);
        eigenvalues = tamis__aligned(moments->columns, sizeof *eigenvalues);
        if (!eigenvalues)
            return tamis__fail_memory(err, "eigenvalues", moments->columns * sizeof *eigenvalues);
        status = tamis__whiten_factor(moments, params, name, eigenvalues, &facts, err);
        info->whiten = &facts;
        if (status == TAMIS_OK)
            warn_few(context, path, moments->rows, moments->columns, params->shrinkage);
    }
    if (status == TAMIS_OK)
        status = write_arrays(context, info, moments, eigenvalues, path, force, err);
    info->whiten = NULL;
    free(eigenvalues);
    return status;
}

/* --- is it possible? -------------------------------------------------------------------------- */

static tamis_status check_options(const tamis_fit_curvature_params *p, tamis_error *err)
{
    const char *what = p->lambda      ? "second pass: give more stores with --with"
                       : p->from      ? "file to go on from: merge sums, and finish them there"
                       : p->max_block ? "blocks: project wide rows first"
                       : p->resume    ? "resuming: fit parts with --until covariance, and merge"
                                      : NULL;
    if (what) return tamis__fail(err, TAMIS_ERR_ARG, "whiten takes no %s", what);
    if (p->until == TAMIS_STAGE_LAMBDA)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "whiten has no stage lambda: stop at covariance, or make it final");
    if (!p->train) return tamis__fail(err, TAMIS_ERR_ARG, "there is no store to fit whiten from");
    return TAMIS_OK;
}

/* Rows of a curvature of influence would be whitened twice; that is for whoever asks to know. */
static tamis_status check_store(const tamis_store *first, const tamis_store *store,
                                tamis_error *err)
{
    tamis__columns_of a = tamis__columns_of_store(first), b = tamis__columns_of_store(store);
    uint32_t there = tamis_store_info_get(first)->checkpoints,
             here = tamis_store_info_get(store)->checkpoints;
    TAMIS_TRY(tamis__match_columns(&a, &b, err));
    if (here == there) return TAMIS_OK;
    return tamis__fail(
        err, TAMIS_ERR_SHAPE,
        "there are %u checkpoints in '%s' and %u in '%s': rows are summed over them, "
        "so both must have the same ones",
        (unsigned)there, a.path, (unsigned)here, b.path);
}

static tamis_status check_memory(const tamis_context *context, const tamis_store *store, bool final,
                                 tamis_error *err)
{
    uint64_t n = tamis_store_info_get(store)->columns, limit = tamis_context_memory(context);
    uint64_t pass = tamis__scatter_add_bytes(context, n);
    uint64_t factor = final ? tamis__whiten_factor_bytes(n) + n * sizeof(double) : 0;
    uint64_t bytes = tamis__scatter_bytes(n) + (factor > pass ? factor : pass);
    if (n < UINT64_C(1) << 28 && bytes <= limit) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_NOMEM,
                       "'%s': the covariance of %" PRIu64 " columns needs %" PRIu64
                       " bytes, the limit is %" PRIu64 ": project the rows first (tamis convert "
                       "--project), or raise --memory",
                       tamis_store_path(store), n, bytes, limit);
}

/* --- all of it -------------------------------------------------------------------------------- */

static tamis_status fit(tamis_context *context, const tamis_fit_curvature_params *p,
                        const tamis_whiten_params *whiten, tamis__scatter *m, tamis_error *err)
{
    const tamis_store_info *store = tamis_store_info_get(p->train);
    tamis_curvature_info info = {.kind = TAMIS_CURVATURE_WHITEN,
                                 .stage = p->until,
                                 .columns = store->columns,
                                 .layers = store->layers,
                                 .layer = store->layer,
                                 .checkpoint = store->checkpoints,
                                 .labels = store->labels,
                                 .projected_by = store->projected_by,
                                 .provenance = p->provenance};
    TAMIS_TRY(tamis__scatter_init(m, store->columns, err));
    TAMIS_TRY(tamis__scatter_add(m, context, p->train, err));
    for (size_t i = 0; i < p->n_with; i++)
        TAMIS_TRY(tamis__scatter_add(m, context, p->with[i], err));
    tamis__scatter_centre(m);
    return tamis__whiten_write(context, &info, m, whiten, p->path, p->force, err);
}

tamis_status tamis__whiten_fit(tamis_context *context, const tamis_fit_curvature_params *params,
                               tamis_error *err)
{
    tamis_whiten_params whiten;
    tamis__scatter m = {0};
    if (!params->path) return tamis__fail(err, TAMIS_ERR_ARG, "no curvature file is named");
    TAMIS_TRY(check_options(params, err));
    TAMIS_TRY(tamis__whiten_params(params->whiten, &whiten, err));
    for (size_t i = 0; i < params->n_with; i++)
        TAMIS_TRY(check_store(params->train, params->with[i], err));
    TAMIS_TRY(tamis__output_check(params->path, params->force, false, err));
    TAMIS_TRY(check_memory(context, params->train, params->until == TAMIS_STAGE_FINAL, err));
    tamis_status status = fit(context, params, &whiten, &m, err);
    tamis__scatter_fini(&m);
    return status;
}
