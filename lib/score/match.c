/* Do the stores, the curvature and what is asked for fit together?
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/match.h"

#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "curvature/spectra.h"
#include "curvature/whitener.h"

/* --- stores ----------------------------------------------------------------------------------- */

typedef struct pair {
    const char *train_path, *query_path;
    const tamis_store_info *train, *query;
} pair;

static tamis_status compare_layer(const pair *p, uint32_t i, tamis_error *err)
{
    const tamis_layer *a = &p->train->layer[i], *b = &p->query->layer[i];
    if (strcmp(a->name, b->name))
        return tamis__fail(err, TAMIS_ERR_SHAPE, "layer %u is '%s' in '%s' and '%s' in '%s'", i,
                           a->name, p->train_path, b->name, p->query_path);
    if (a->out != b->out || a->in != b->in || a->bias != b->bias)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "layer '%s' is [%llu, %llu%s] in '%s' and [%llu, %llu%s] in '%s'",
                           a->name, (unsigned long long)a->out, (unsigned long long)a->in,
                           a->bias ? " + bias" : "", p->train_path, (unsigned long long)b->out,
                           (unsigned long long)b->in, b->bias ? " + bias" : "", p->query_path);
    if (a->first_column != b->first_column)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "layer '%s' begins at column %llu in '%s' and at column %llu in '%s'",
                           a->name, (unsigned long long)a->first_column, p->train_path,
                           (unsigned long long)b->first_column, p->query_path);
    return TAMIS_OK;
}

static tamis_status compare_layers(const pair *p, tamis_error *err)
{
    if (p->train->columns != p->query->columns)
        return tamis__fail(
            err, TAMIS_ERR_SHAPE,
            "rows have %llu columns in '%s' and %llu in '%s': both must come from the "
            "same model and layers",
            (unsigned long long)p->train->columns, p->train_path,
            (unsigned long long)p->query->columns, p->query_path);
    if (p->train->layers != p->query->layers)
        return tamis__fail(err, TAMIS_ERR_SHAPE, "there are %u layers in '%s' and %u in '%s'",
                           p->train->layers, p->train_path, p->query->layers, p->query_path);
    for (uint32_t i = 0; i < p->train->layers; i++) TAMIS_TRY(compare_layer(p, i, err));
    return TAMIS_OK;
}

/* A store that does not say which layers its rows were of is taken at its maker's word. */
static bool projected_alike(const tamis_projection *a, const tamis_projection *b)
{
    return !strcmp(a->kind, b->kind) && a->seed == b->seed && a->from == b->from &&
           a->to == b->to && a->nonzeros == b->nonzeros &&
           (a->layers == b->layers || !a->layers || !b->layers);
}

static tamis_status compare_projections(const pair *p, tamis_error *err)
{
    const char *a = p->train->projection, *b = p->query->projection;
    if (!a && !b) return TAMIS_OK;
    if (!a || !b)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' is projected and '%s' is not: project both alike",
                           a ? p->train_path : p->query_path, a ? p->query_path : p->train_path);
    if (!projected_alike(p->train->projected_by, p->query->projected_by))
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' and '%s' are projected differently: %s and %s", p->train_path,
                           p->query_path, a, b);
    return TAMIS_OK;
}

/* Rows that were whitened meet those that were whitened alike; the scorers on curvature files
 * whiten queries themselves. */
static tamis_status compare_whitenings(const pair *p, bool curvature, tamis_error *err)
{
    const tamis_whitening *a = p->train->whitened_by, *b = p->query->whitened_by;
    if (!a && !b) return TAMIS_OK;
    if (!a || (!b && !curvature))
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' is whitened and '%s' is not: whiten both alike ('tamis convert "
                           "--whiten')",
                           a ? p->train_path : p->query_path, a ? p->query_path : p->train_path);
    if (!b || tamis__whitened_alike(a, b)) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_SHAPE, "'%s' and '%s' are whitened differently: %s and %s",
                       p->train_path, p->query_path, p->train->whitening, p->query->whitening);
}

static void warn_of_steps(const pair *p, uint32_t k, uint32_t j, const tamis_context *context)
{
    uint64_t a = p->train->checkpoint[k].step, b = p->query->checkpoint[j].step;
    if (a == b) return;
    tamis__log(context, TAMIS_LOG_WARNING,
               "checkpoint %u is of step %llu in '%s' and of step %llu in '%s'", k,
               (unsigned long long)a, p->train_path, (unsigned long long)b, p->query_path);
}

static pair pair_of(const tamis_score_params *params)
{
    return (pair){.train_path = tamis_store_path(params->train),
                  .query_path = tamis_store_path(params->query),
                  .train = tamis_store_info_get(params->train),
                  .query = tamis_store_info_get(params->query)};
}

/* The training store's learning rates count; the query's are not looked at. */
static tamis_status compare_stores(const tamis_score_params *params, tamis_context *context,
                                   tamis_error *err)
{
    pair p = pair_of(params);
    /* First: these say why columns and layers differ. */
    TAMIS_TRY(compare_projections(&p, err));
    TAMIS_TRY(compare_whitenings(&p, false, err));
    TAMIS_TRY(compare_layers(&p, err));
    if (p.train->checkpoints != p.query->checkpoints)
        return tamis__fail(
            err, TAMIS_ERR_SHAPE,
            "there are %u checkpoints in '%s' and %u in '%s': both must hold gradients at "
            "the same ones",
            p.train->checkpoints, p.train_path, p.query->checkpoints, p.query_path);
    for (uint32_t k = 0; k < p.train->checkpoints; k++) warn_of_steps(&p, k, k, context);
    return TAMIS_OK;
}

/* --- curvature -------------------------------------------------------------------------------- */

/* A curvature is of one checkpoint, and is what both stores are compared with. */
static tamis_status compare_with_curvature(const tamis_score_params *params, tamis_context *context,
                                           tamis_error *err)
{
    const tamis_curvature *curvature = params->curvature;
    uint32_t k = 0, j = 0;
    /* The scorers by layer whiten queries to match; a second moment is of rows as they were. */
    bool whitened = tamis_store_info_get(params->train)->whitened_by &&
                    tamis_curvature_info_get(curvature)->kind != TAMIS_CURVATURE_GRAM;
    TAMIS_TRY(tamis__curvature_checkpoint(curvature, params->train, &k, err));
    if (!whitened) TAMIS_TRY(tamis__curvature_fits(curvature, params->train, err));
    if (!params->query) return TAMIS_OK;
    pair p = pair_of(params);
    TAMIS_TRY(compare_projections(&p, err));
    TAMIS_TRY(compare_whitenings(&p, true, err));
    TAMIS_TRY(tamis__curvature_checkpoint(curvature, params->query, &j, err));
    if (p.query->whitened_by) TAMIS_TRY(compare_layers(&p, err));
    if (!p.query->whitened_by) TAMIS_TRY(tamis__curvature_fits(curvature, params->query, err));
    warn_of_steps(&p, k, j, context);
    return TAMIS_OK;
}

/* A whitening is of rows summed over all checkpoints. */
static tamis_status compare_with_whitening(const tamis_score_params *params, tamis_context *context,
                                           tamis_error *err)
{
    uint32_t fitted = tamis_curvature_info_get(params->curvature)->checkpoint;
    uint32_t there = tamis_store_info_get(params->train)->checkpoints;
    TAMIS_TRY(compare_stores(params, context, err));
    TAMIS_TRY(tamis__curvature_fits(params->curvature, params->train, err));
    if (fitted == there) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_SHAPE,
                       "'%s' is of rows summed over %u checkpoints, '%s' has %u: fit it on rows of "
                       "the same ones",
                       tamis_curvature_path(params->curvature), (unsigned)fitted,
                       tamis_store_path(params->train), (unsigned)there);
}

static tamis_status check_curvature(const tamis_score_params *params, const tamis_scorer_info *info,
                                    tamis_error *err)
{
    const unsigned takes = TAMIS_SCORER_CURVATURE | TAMIS_SCORER_MAY_CURVATURE;
    if (params->curvature && !(info->flags & takes))
        return tamis__fail(err, TAMIS_ERR_ARG, "%s takes no curvature file: leave it out",
                           info->name);
    if (!params->curvature && (info->flags & TAMIS_SCORER_CURVATURE))
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "%s needs a curvature file: make one with 'tamis fit' and give it with "
                           "--curvature",
                           info->name);
    bool whiten = params->curvature &&
                  tamis_curvature_info_get(params->curvature)->kind == TAMIS_CURVATURE_WHITEN;
    if (!params->curvature || whiten == ((info->flags & TAMIS_SCORER_WHITENING) != 0))
        return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       whiten ? "'%s' is of kind whiten, which is no curvature of a loss: %s needs "
                                "one of another kind ('tamis fit')"
                              : "'%s' is a curvature of a loss: %s needs a file of kind whiten "
                                "('tamis fit whiten')",
                       tamis_curvature_path(params->curvature), info->name);
}

/* --- parts of scores -------------------------------------------------------------------------- */

static tamis_status check_tokens(const tamis_store *store, tamis_error *err)
{
    if (tamis_store_info_get(store)->form == TAMIS_FORM_FACTORS) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "'%s' holds whole gradients, in which tokens cannot be told apart any more: "
                       "make it with 'tamis grad --form factors', or ask for scores by layer",
                       tamis_store_path(store));
}

static tamis_status check_parts(const tamis_score_params *params, const tamis_scorer_info *info,
                                tamis_error *err)
{
    static const char *const names[] = {"example", "layer", "token"};
    const char *name = names[params->by];
    if (params->by == TAMIS_BY_EXAMPLE) return TAMIS_OK;
    if (!(info->flags & TAMIS_SCORER_PARTS))
        return tamis__fail(err, TAMIS_ERR_ARG, "scores of %s have no parts: leave out --by %s",
                           info->name, name);
    if (params->reduce != TAMIS_REDUCE_NONE)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "scores by %s are those of each query: leave out --reduce", name);
    if (params->resume)
        return tamis__fail(err, TAMIS_ERR_ARG, "scores by %s are not resumed: leave out --resume",
                           name);
    if (params->by == TAMIS_BY_LAYER) return TAMIS_OK;
    if (params->skip_bad_rows)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "scores by token want every example: leave out --bad-rows skip");
    TAMIS_TRY(check_tokens(params->train, err));
    return check_tokens(params->query, err);
}

tamis_status tamis__score_match(const tamis_score_params *params, const tamis_scorer_info *info,
                                tamis_context *context, tamis_error *err)
{
    bool alone = info->flags & TAMIS_SCORER_NO_QUERY;
    if (alone && params->query)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "%s scores each example by itself: leave out the query store",
                           info->name);
    if (!alone && !params->query)
        return tamis__fail(err, TAMIS_ERR_ARG, "%s needs a query store", info->name);
    TAMIS_TRY(check_curvature(params, info, err));
    TAMIS_TRY(check_parts(params, info, err));
    if (info->flags & TAMIS_SCORER_WHITENING) return compare_with_whitening(params, context, err);
    if (params->curvature) return compare_with_curvature(params, context, err);
    return alone ? TAMIS_OK : compare_stores(params, context, err);
}
