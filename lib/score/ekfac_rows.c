/* Influence by preconditioned, or whitened, queries through the engine.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/error.h"
#include "curvature/spectra.h"
#include "score/ekfac_queries.h"
#include "score/output.h"
#include "store/curvature_file.h"

/* --- raw queries ------------------------------------------------------------------------------ */

/* Queries at one checkpoint; with a reduction what is made of them, in memory. */
typedef struct source {
    tamis_store *store;
    uint32_t checkpoint;
    tamis__queries rows;
    tamis__held_queries reduced;
} source;

static tamis_status read_source(void *arg, uint32_t checkpoint, uint64_t first, uint64_t rows,
                                uint64_t first_column, uint64_t columns, float *out, size_t stride,
                                tamis_error *err)
{
    const source *s = arg;
    (void)checkpoint;
    return tamis_store_read(s->store, s->checkpoint, first, rows, first_column, columns, out,
                            stride, err);
}

/* Influence is linear in the query, so a mean of scores costs one preconditioned query. */
static tamis_status reduce(const tamis__ekfac_job *job, source *s, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(s->store);
    tamis_reduce how = job->call->output->params->reduce;
    if (how == TAMIS_REDUCE_NONE || how == TAMIS_REDUCE_MAX) return TAMIS_OK;
    s->rows = (tamis__queries){.arg = s, .rows = info->rows, .read = read_source};
    tamis__product product = {.queries = &s->rows};
    return tamis__reduce_queries(job->call, &product, 1, info->columns, &s->reduced, err);
}

static tamis_status source_init(const tamis__ekfac_job *job, const tamis__spectrum *spectrum,
                                source *s, tamis__ekfac_plan *plan, tamis_error *err)
{
    const tamis__score_call *call = job->call;
    const tamis_store_info *info = tamis_store_info_get(call->query);
    const float *norms = NULL;
    s->store = call->query;
    TAMIS_TRY(tamis__curvature_checkpoint(call->curvature, s->store, &s->checkpoint, err));
    TAMIS_TRY(tamis__finite_norms(s->store, s->checkpoint, false, &norms, err));
    TAMIS_TRY(reduce(job, s, err));
    plan->job = job;
    plan->queries = s->reduced.rows ? s->reduced.rows : info->rows;
    if (!s->reduced.rows)
        return tamis__eigen_rows_of_store(&plan->rows, s->store, s->checkpoint, spectrum, err);
    tamis__eigen_rows_of_values(&plan->rows, s->reduced.values[0], info->columns, info->layers,
                                spectrum);
    return TAMIS_OK;
}

/* --- products --------------------------------------------------------------------------------- */

static tamis_status score_whole(tamis__ekfac_plan *plan, const source *s, tamis_error *err)
{
    const tamis__score_call *call = plan->job->call;
    tamis__ekfac_queries queries = {0};
    plan->layers = plan->rows.layers;
    plan->columns = tamis_store_info_get(call->train)->columns;
    TAMIS_TRY(tamis__ekfac_queries_init(&queries, plan, err));
    tamis__product product = {.queries = &queries.queries,
                              .weight = call->weight,
                              .reserved = tamis__held_queries_bytes(&s->reduced)};
    tamis_status status = tamis__score_reduced(call, &product, err);
    tamis__ekfac_queries_fini(&queries);
    return status;
}

/* One layer's columns of rows and queries; `part` counts the training store's layers. */
static tamis_status score_layer(tamis__ekfac_plan *plan, uint32_t layer, uint32_t part,
                                tamis_error *err)
{
    const tamis__score_call *call = plan->job->call;
    const tamis_store_info *train = tamis_store_info_get(call->train);
    tamis__ekfac_queries queries = {0};
    plan->first_layer = layer;
    plan->layers = 1;
    plan->first_column = train->layer[part].first_column;
    plan->columns = tamis_layer_columns(&train->layer[part]);
    TAMIS_TRY(tamis__ekfac_queries_init(&queries, plan, err));
    tamis__product product = {.queries = &queries.queries,
                              .weight = call->weight,
                              .first_column = plan->first_column,
                              .columns = plan->columns};
    tamis_status status = tamis__score_part(call, &product, part, train->layers, err);
    tamis__ekfac_queries_fini(&queries);
    return status;
}

/* Layers of which whitening has left nothing are not in the store. */
static tamis_status score_by_layer(tamis__ekfac_plan *plan, tamis_error *err)
{
    uint32_t part = 0;
    for (uint32_t l = 0; l < plan->rows.layers; l++) {
        if (plan->whitener && plan->whitener->count[l] == 0) continue;
        TAMIS_TRY(score_layer(plan, l, part++, err));
    }
    return TAMIS_OK;
}

static tamis_status score(const tamis__ekfac_job *job, const tamis__spectrum *spectrum,
                          const tamis__whitener *whitener, tamis_error *err)
{
    tamis__ekfac_plan plan = {.whitener = whitener};
    source s = {0};
    tamis_status status = source_init(job, spectrum, &s, &plan, err);
    if (status == TAMIS_OK)
        status = job->by == TAMIS_BY_LAYER ? score_by_layer(&plan, err)
                                           : score_whole(&plan, &s, err);
    tamis__held_queries_fini(&s.reduced);
    return status;
}

/* What multiplies factors has nothing to multiply here. */
static tamis_status refuse_ranks(const tamis__ekfac_job *job, tamis_error *err)
{
    const char *kind = tamis__curvature_kind_name(job->kind),
               *name = job->spectral_rank ? "spectral-rank" : "rescore";
    const tamis_store *full = job->call->train;
    if (!job->spectral_rank && !job->rescore) return TAMIS_OK;
    if (tamis_store_info_get(full)->form == TAMIS_FORM_FACTORS) full = job->call->query;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "%s:%s wants both stores in factor form, and '%s' holds whole gradients: "
                       "make it with 'tamis grad --form factors', or leave %s out",
                       kind, name, tamis_store_path(full), name);
}

tamis_status tamis__ekfac_rows(const tamis__ekfac_job *job, tamis_error *err)
{
    TAMIS_TRY(refuse_ranks(job, err));
    return score(job, job->spectrum, NULL, err);
}

/* --- whitened rows ---------------------------------------------------------------------------- */

static tamis_status check_whitening(const tamis__ekfac_job *job, const tamis_whitening *by,
                                    tamis_error *err)
{
    const tamis__score_call *call = job->call;
    const char *kind = tamis__curvature_kind_name(job->kind), *path = tamis_store_path(call->train);
    uint64_t digest = tamis_curvature_info_get(call->curvature)->digest;
    char had[TAMIS__DAMPING_TEXT], wanted[TAMIS__DAMPING_TEXT];
    if (by->curvature != digest)
        return tamis__fail(
            err, TAMIS_ERR_SHAPE,
            "'%s' was whitened with the curvature %016llx, and '%s' is %016llx: give "
            "that one, or whiten again",
            path, (unsigned long long)by->curvature, tamis_curvature_path(call->curvature),
            (unsigned long long)digest);
    tamis__damping_text(by->damping, by->relative, had);
    tamis__damping_text(job->damping.value, job->damping.relative, wanted);
    if (strcmp(by->kind, kind) || by->damping != job->damping.value ||
        by->relative != job->damping.relative)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' was whitened for %s with a damping of %s, and %s with %s is asked "
                           "for: ask for the same, or whiten again",
                           path, by->kind, had, kind, wanted);
    if (job->spectral_rank || job->query_rank || job->rescore)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' is whitened, so that scores are plain products: leave out ranks "
                           "and rescore",
                           path);
    return TAMIS_OK;
}

static tamis_status check_table(const tamis__score_call *call, const tamis__whitener *w,
                                tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(call->train);
    bool same = w->tables == info->layers && w->columns == info->columns;
    for (uint32_t l = 0; same && l < w->tables; l++)
        same = !strcmp(w->table[l].name, info->layer[l].name) &&
               w->table[l].first_column == info->layer[l].first_column;
    if (same) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_SHAPE,
                       "'%s' does not have the layers that whitening with '%s' gives: whiten again",
                       tamis_store_path(call->train), tamis_curvature_path(call->curvature));
}

/* Both stores are whitened: nothing is left of the curvature. */
static tamis_status score_alike(const tamis__score_call *call, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(call->train);
    tamis__store_queries query = {0};
    tamis_status status = TAMIS_OK;
    TAMIS_TRY(tamis__queries_of_store(&query, call->query, false, err));
    tamis__product product = {.queries = &query.queries, .weight = call->weight};
    for (uint32_t l = 0; call->by == TAMIS_BY_LAYER && l < info->layers && status == TAMIS_OK;
         l++) {
        product.first_column = info->layer[l].first_column;
        product.columns = tamis_layer_columns(&info->layer[l]);
        status = tamis__score_part(call, &product, l, info->layers, err);
    }
    if (call->by != TAMIS_BY_LAYER) status = tamis__score_product(call, &product, err);
    tamis__store_queries_fini(&query);
    return status;
}

tamis_status tamis__ekfac_whitened(const tamis__ekfac_job *job, tamis_error *err)
{
    const tamis__score_call *call = job->call;
    const tamis_whitening *by = tamis_store_info_get(call->train)->whitened_by;
    tamis__whitener whitener = {0};
    TAMIS_TRY(check_whitening(job, by, err));
    if (tamis_store_info_get(call->query)->whitened_by) return score_alike(call, err);
    TAMIS_TRY(tamis__whitener_init(&whitener, call->context, call->curvature, by, err));
    tamis_status status = check_table(call, &whitener, err);
    if (status == TAMIS_OK) status = score(job, whitener.spectra.layer, &whitener, err);
    tamis__whitener_fini(&whitener);
    return status;
}
