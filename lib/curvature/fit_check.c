/* What is fitted, and whether it can be.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "curvature/fit.h"
#include "curvature/match.h"

/* --- parameters ------------------------------------------------------------------------------- */

static bool factored(const tamis__fit *fit)
{
    return fit->params->kind == TAMIS_CURVATURE_EKFAC || fit->params->kind == TAMIS_CURVATURE_KFAC;
}

static tamis_status check_stages(const tamis_fit_curvature_params *p, tamis_error *err)
{
    const char *kind = tamis__curvature_kind_name(p->kind);
    if (p->until == TAMIS_STAGE_LAMBDA && p->kind != TAMIS_CURVATURE_EKFAC)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "%s has no stage lambda: stop at covariance, or make it final", kind);
    if (p->lambda && p->kind != TAMIS_CURVATURE_EKFAC)
        return tamis__fail(err, TAMIS_ERR_ARG, "a second store is for ekfac alone, not for %s",
                           kind);
    if (p->lambda && p->until == TAMIS_STAGE_COVARIANCE)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "the second store is not read when the fit stops at covariance: leave "
                           "it out");
    if (p->max_block && p->kind != TAMIS_CURVATURE_EKFAC && p->kind != TAMIS_CURVATURE_KFAC)
        return tamis__fail(err, TAMIS_ERR_ARG, "blocks are for ekfac and kfac, not for %s", kind);
    if (p->n_with || p->whiten)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "more stores, damping and shrinkage are for whiten, not for %s", kind);
    if (!p->train && !(p->from && p->lambda))
        return tamis__fail(err, TAMIS_ERR_ARG, "there is no store to fit %s from", kind);
    if (p->from && p->train && p->lambda)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "the sums over the first store come from '%s': name the store of the "
                           "Lambda pass alone",
                           tamis_curvature_path(p->from));
    return TAMIS_OK;
}

static tamis_status check_from(const tamis_fit_curvature_params *p, tamis_error *err)
{
    if (!p->from) return TAMIS_OK;
    const tamis_curvature_info *from = tamis_curvature_info_get(p->from);
    const char *path = tamis_curvature_path(p->from);
    if (p->kind != TAMIS_CURVATURE_EKFAC || from->kind != TAMIS_CURVATURE_EKFAC)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' is of kind %s, and %s is to be fitted: only ekfac goes on from a "
                           "curvature file",
                           path, tamis__curvature_kind_name(from->kind),
                           tamis__curvature_kind_name(p->kind));
    if (p->until == TAMIS_STAGE_COVARIANCE)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' has the covariances: stop at lambda, or make it final", path);
    if (p->max_block && p->max_block != from->max_block)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' has blocks of at most %" PRIu64 " (0 = whole), %" PRIu64
                           " are asked for: leave max_block out",
                           path, from->max_block, p->max_block);
    return TAMIS_OK;
}

/* --- stores ----------------------------------------------------------------------------------- */

static tamis_status pick_checkpoint(const tamis_store *store, uint32_t wanted, uint32_t *ret_k,
                                    tamis_error *err)
{
    uint32_t n = tamis_store_info_get(store)->checkpoints;
    *ret_k = wanted == UINT32_MAX ? n - 1 : wanted;
    if (*ret_k < n) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG, "'%s' has no checkpoint %u: it has %u, counted from 0",
                       tamis_store_path(store), (unsigned)wanted, (unsigned)n);
}

static tamis_status check_store(const tamis__fit *fit, const tamis_store *store, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    TAMIS_TRY(tamis__refuse_whitened(store, err));
    if (info->rows_per_example == 0 || info->rows % info->rows_per_example != 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' has %" PRIu64 " rows, which are no whole examples of %u rows each",
                           tamis_store_path(store), info->rows, (unsigned)info->rows_per_example);
    if (factored(fit) && info->form != TAMIS_FORM_FACTORS)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' is in full form, and %s needs inputs and output gradients: make "
                           "it with tamis grad --form factors",
                           tamis_store_path(store), tamis__curvature_kind_name(fit->params->kind));
    if (info->labels && !strcmp(info->labels, "true"))
        tamis__log(fit->context, TAMIS_LOG_WARNING,
                   "'%s' has gradients of the true labels: this fits the empirical Fisher, not the "
                   "Gauss-Newton matrix, which needs labels of the model (tamis grad --labels "
                   "sampled)",
                   tamis_store_path(store));
    return TAMIS_OK;
}

static tamis_status check_stores(tamis__fit *fit, tamis_error *err)
{
    const tamis_fit_curvature_params *p = fit->params;
    if (p->train) {
        TAMIS_TRY(pick_checkpoint(p->train, p->checkpoint, &fit->train_checkpoint, err));
        TAMIS_TRY(check_store(fit, p->train, err));
    }
    bool second = p->kind == TAMIS_CURVATURE_EKFAC && p->until != TAMIS_STAGE_COVARIANCE;
    fit->second = !second ? NULL : p->lambda ? p->lambda : p->train;
    if (fit->second)
        TAMIS_TRY(pick_checkpoint(fit->second, p->checkpoint, &fit->second_checkpoint, err));
    if (p->lambda) TAMIS_TRY(check_store(fit, p->lambda, err));
    tamis__columns_of a, b;
    if (p->from) {
        a = tamis__columns_of_curvature(p->from);
        b = tamis__columns_of_store(fit->second);
        TAMIS_TRY(tamis__match_columns(&a, &b, err));
        return tamis__match_steps(p->from, fit->second, fit->second_checkpoint, err);
    }
    if (!p->lambda || p->lambda == p->train) return TAMIS_OK;
    a = tamis__columns_of_store(p->train);
    b = tamis__columns_of_store(p->lambda);
    return tamis__match_columns(&a, &b, err);
}

/* --- the output's facts ----------------------------------------------------------------------- */

static void fill_info(tamis__fit *fit)
{
    const tamis_fit_curvature_params *p = fit->params;
    const tamis_store *store = p->train ? p->train : fit->second;
    const tamis_store_info *s = tamis_store_info_get(store);
    const tamis_curvature_info *from = p->from ? tamis_curvature_info_get(p->from) : NULL;
    fit->info = (tamis_curvature_info){.kind = p->kind,
                                       .stage = p->until,
                                       .columns = s->columns,
                                       .layers = s->layers,
                                       .layer = s->layer,
                                       .checkpoint = p->train ? fit->train_checkpoint
                                                              : fit->second_checkpoint,
                                       .step_known = true,
                                       .max_block = from ? from->max_block : p->max_block,
                                       .labels = from ? from->labels : s->labels,
                                       .projected_by = s->projected_by,
                                       .provenance = p->provenance};
    fit->info.step = s->checkpoint[fit->info.checkpoint].step;
    const tamis_store_info *counted = tamis_store_info_get(fit->second ? fit->second : p->train);
    fit->info.examples = counted->rows / counted->rows_per_example;
    fit->sides = factored(fit);
    fit->lambda = p->kind == TAMIS_CURVATURE_DIAGONAL || fit->second != NULL;
}

tamis_status tamis__fit_check(tamis__fit *fit, tamis_error *err)
{
    const tamis_fit_curvature_params *p = fit->params;
    if (!p->path) return tamis__fail(err, TAMIS_ERR_ARG, "no curvature file is named");
    TAMIS_TRY(check_stages(p, err));
    TAMIS_TRY(check_from(p, err));
    TAMIS_TRY(check_stores(fit, err));
    fill_info(fit);
    return TAMIS_OK;
}

/* --- memory ----------------------------------------------------------------------------------- */

/* Besides the layers themselves: one at a time needs so much. */
static uint64_t passing_bytes(const tamis__fit *fit, const tamis_layer *layer)
{
    if (!fit->sides && tamis_store_info_get(fit->params->train)->form == TAMIS_FORM_FULL)
        return tamis__pass_diagonal_bytes(fit->context);
    uint64_t pass = tamis__pass_bytes(fit->context, layer, fit->capacity);
    if (!fit->sides || fit->info.stage == TAMIS_STAGE_COVARIANCE) return pass;
    uint64_t eigen = tamis__kronecker_eigen_bytes(layer, fit->info.max_block);
    return eigen > pass ? eigen : pass;
}

uint64_t tamis__fit_bytes(const tamis__fit *fit, uint32_t first, uint32_t n)
{
    uint64_t bytes = fit->fixed, most = 0;
    for (uint32_t l = first; l < first + n; l++) {
        const tamis_layer *layer = &fit->info.layer[l];
        uint64_t passing = passing_bytes(fit, layer);
        bytes += tamis__kronecker_bytes(layer, fit->sides, fit->lambda, fit->info.max_block);
        if (passing > most) most = passing;
    }
    return bytes + most;
}

tamis_status tamis__fit_plan(const tamis__fit *fit, uint32_t *ret_n, tamis_error *err)
{
    uint64_t limit = tamis_context_memory(fit->context);
    uint32_t n = 1;
    uint64_t bytes = tamis__fit_bytes(fit, fit->first, 1);
    if (bytes > limit)
        return tamis__fail(err, TAMIS_ERR_NOMEM,
                           "layer '%s' needs %" PRIu64 " bytes to be fitted, the limit is %" PRIu64
                           ": %sraise --memory",
                           fit->info.layer[fit->first].name, bytes, limit,
                           fit->sides ? "split its covariances with max_block (--max-block), or "
                                      : "");
    while (fit->first + n < fit->info.layers && tamis__fit_bytes(fit, fit->first, n + 1) <= limit)
        n++;
    *ret_n = n;
    return TAMIS_OK;
}

/* --- results ---------------------------------------------------------------------------------- */

static bool all_zero(const double *values, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (values[i] > 0.0) return false;
    return true;
}

tamis_status tamis__fit_refuse_zero(const tamis__fit *fit, tamis_error *err)
{
    const char *layer = NULL;
    if (fit->gram) {
        bool zero = true;
        for (uint64_t i = 0; i < fit->info.columns; i++)
            zero &= !(fit->gram[i * fit->info.columns + i] > 0.0);
        if (zero) layer = fit->info.layer[0].name;
    }
    for (uint32_t l = fit->first; l < fit->first + fit->n && !layer && !fit->gram; l++) {
        const tamis__kronecker *f = &fit->factors[l];
        bool zero = f->lambda ? all_zero(f->lambda, tamis_layer_columns(&f->layer))
                              : all_zero(f->output.values, f->output.n) ||
                                    all_zero(f->input.values, f->input.n);
        if (zero) layer = f->layer.name;
    }
    if (!layer) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "layer '%s': every eigenvalue is zero, so that it has no inverse: all of "
                       "its gradients are zero; leave the layer out (tamis convert --layers)",
                       layer);
}
