/* Fitting a curvature from stores.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "curvature/fit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "curvature/gram.h"
#include "curvature/whiten.h"

/* Blocks of several layers at once: no more than they need to stay near the processor. */
#define MOST_BUFFERS ((uint64_t)64 << 20)

/* --- the group -------------------------------------------------------------------------------- */

double *tamis__fit_array(const tamis__fit *fit, const tamis__curvature_place *place)
{
    if (place->array == TAMIS__GRAM) return fit->gram;
    return tamis__kronecker_array(&fit->factors[place->layer], place);
}

tamis_status tamis__fit_open_group(tamis__fit *fit, uint32_t n, tamis_error *err)
{
    for (uint32_t l = fit->first; l < fit->first + n; l++) {
        TAMIS_TRY(tamis__kronecker_init(&fit->factors[l], &fit->info.layer[l], l, fit->sides,
                                        fit->lambda, fit->info.max_block, err));
        fit->n++;
    }
    return TAMIS_OK;
}

static void close_group(tamis__fit *fit)
{
    for (uint32_t l = fit->first; l < fit->first + fit->n; l++)
        tamis__kronecker_fini(&fit->factors[l]);
    fit->first += fit->n;
    fit->n = 0;
    fit->next_row = 0;
    fit->at = TAMIS_STAGE_COVARIANCE;
    fit->whole = false;
}

static tamis_status after_block(void *arg, uint64_t row, tamis_error *err)
{
    tamis__fit *fit = arg;
    fit->next_row = row;
    return tamis__fit_due(fit) ? tamis__fit_save(fit, false, err) : TAMIS_OK;
}

/* What memory has room for besides the layers of the group. */
static uint64_t room(const tamis__fit *fit)
{
    uint64_t limit = tamis_context_memory(fit->context), taken = fit->fixed;
    for (uint32_t l = fit->first; l < fit->first + fit->n; l++)
        taken += tamis__kronecker_bytes(&fit->info.layer[l], fit->sides, fit->lambda,
                                        fit->info.max_block);
    return taken < limit ? limit - taken : 0;
}

static tamis__pass pass_of(tamis__fit *fit, const tamis__tokens *tokens, const char *phase,
                           char note[64])
{
    uint64_t left = room(fit);
    snprintf(note, 64, "layers %u-%u of %u", (unsigned)fit->first + 1,
             (unsigned)(fit->first + fit->n), (unsigned)fit->info.layers);
    return (tamis__pass){.context = fit->context,
                         .tokens = tokens,
                         .factors = fit->factors + fit->first,
                         .n = fit->n,
                         .first_row = fit->next_row,
                         .buffers = left < MOST_BUFFERS ? left : MOST_BUFFERS,
                         .phase = phase,
                         .note = fit->n < fit->info.layers ? note : NULL,
                         .after = after_block,
                         .arg = fit};
}

/* Sums that belong to no block are not saved: a failure within a block leaves `whole` unset. */
static tamis_status run_pass(tamis__fit *fit, const tamis__pass *pass,
                             tamis_status (*run)(const tamis__pass *, tamis_error *),
                             tamis_error *err)
{
    fit->whole = true;
    tamis_status status = run(pass, err);
    if (status != TAMIS_OK && status != TAMIS_ERR_CANCELLED) fit->whole = false;
    return status;
}

/* --- output ----------------------------------------------------------------------------------- */

/* Arrays of the layers before `end` that were not written yet. */
static tamis_status write_layers(tamis__fit *fit, uint32_t end, tamis_error *err)
{
    tamis__curvature_place next = fit->place;
    bool started = fit->started;
    while (tamis__curvature_next(&fit->info, &next, &started) && next.layer < end) {
        TAMIS_TRY(tamis__curvature_put(fit->writer, &next, tamis__fit_array(fit, &next), err));
        fit->place = next;
        fit->started = started;
    }
    return TAMIS_OK;
}

static void mirror_side(const tamis__basis *basis)
{
    for (uint32_t b = 0; b < basis->blocks; b++)
        tamis__mirror(basis->vectors[b], basis->first[b + 1] - basis->first[b]);
}

static void divide(double *values, uint64_t n, double by)
{
    for (uint64_t i = 0; i < n; i++) values[i] /= by;
}

/* Sums become what the file holds at its stage. */
static tamis_status finish_group(tamis__fit *fit, tamis_error *err)
{
    bool final = fit->info.stage == TAMIS_STAGE_FINAL;
    fit->whole = false;
    for (uint32_t l = fit->first; l < fit->first + fit->n; l++) {
        tamis__kronecker *f = &fit->factors[l];
        if (fit->info.stage == TAMIS_STAGE_COVARIANCE) {
            mirror_side(&f->output);
            mirror_side(&f->input);
        }
        if (f->lambda && final)
            divide(f->lambda, tamis_layer_columns(&f->layer), (double)fit->info.examples);
    }
    if (final) TAMIS_TRY(tamis__fit_refuse_zero(fit, err));
    TAMIS_TRY(write_layers(fit, fit->first + fit->n, err));
    bool last = fit->first + fit->n == fit->info.layers;
    if (!last) TAMIS_TRY(tamis__fit_save(fit, true, err));
    close_group(fit);
    return TAMIS_OK;
}

/* --- ekfac, kfac ------------------------------------------------------------------------------ */

/* Covariances, or eigenvectors, that are there. */
static tamis_status load_group(tamis__fit *fit, tamis_error *err)
{
    const tamis_curvature_info *from = tamis_curvature_info_get(fit->params->from);
    tamis__curvature_place place;
    for (bool started = false; tamis__curvature_next(from, &place, &started);) {
        if (place.layer < fit->first || place.layer >= fit->first + fit->n) continue;
        if (place.array == TAMIS__LAMBDA) continue;
        TAMIS_TRY(
            tamis__curvature_read(fit->params->from, &place, tamis__fit_array(fit, &place), err));
    }
    return TAMIS_OK;
}

static tamis_status find_vectors(tamis__fit *fit, tamis_error *err)
{
    const tamis_curvature *from = fit->params->from;
    bool there = from && tamis_curvature_info_get(from)->stage != TAMIS_STAGE_COVARIANCE;
    if (fit->whole) TAMIS_TRY(tamis__fit_save(fit, false, err));
    fit->whole = false;
    if (!there)
        TAMIS_TRY(tamis__kronecker_eigen(fit->context, fit->factors + fit->first, fit->n,
                                         fit->info.tokens, room(fit), err));
    fit->at = TAMIS_STAGE_LAMBDA;
    fit->next_row = 0;
    if (!fit->second) return TAMIS_OK;
    fit->whole = true;
    return tamis__fit_save(fit, false, err);
}

static tamis_status fit_factored(tamis__fit *fit, tamis_error *err)
{
    char note[64];
    if (fit->at == TAMIS_STAGE_COVARIANCE) {
        if (fit->params->from) {
            TAMIS_TRY(load_group(fit, err));
        } else {
            tamis__pass pass = pass_of(fit, &fit->train_tokens.tokens, "covariances", note);
            TAMIS_TRY(run_pass(fit, &pass, tamis__pass_covariance, err));
        }
        if (fit->info.stage == TAMIS_STAGE_COVARIANCE) return TAMIS_OK;
        TAMIS_TRY(find_vectors(fit, err));
    }
    if (!fit->second) return TAMIS_OK;
    tamis__pass pass = pass_of(fit, &fit->second_tokens.tokens, "Lambda", note);
    return run_pass(fit, &pass, tamis__pass_lambda, err);
}

/* --- diagonal, gram --------------------------------------------------------------------------- */

static tamis_status pass_full(const tamis__pass *pass, tamis_error *err)
{
    const tamis__fit *fit = pass->arg;
    return tamis__pass_diagonal(pass, fit->params->train, fit->train_checkpoint, err);
}

static tamis_status fit_diagonal(tamis__fit *fit, tamis_error *err)
{
    char note[64];
    bool full = tamis_store_info_get(fit->params->train)->form == TAMIS_FORM_FULL;
    tamis__pass pass = pass_of(fit, &fit->train_tokens.tokens, "squares", note);
    return run_pass(fit, &pass, full ? pass_full : tamis__pass_lambda, err);
}

static tamis_status fit_gram(tamis__fit *fit, tamis_error *err)
{
    uint64_t n = fit->info.columns;
    const tamis__rows rows = {.context = fit->context,
                              .store = fit->params->train,
                              .checkpoint = fit->train_checkpoint,
                              .columns = n,
                              .reserved = n * n * sizeof(double),
                              .phase = "second moment"};
    TAMIS_TRY(tamis__rows_memory(&rows, tamis__gram_bytes(&rows), "the second moment", err));
    if (!fit->gram) fit->gram = tamis__aligned(n * n, sizeof *fit->gram);
    if (!fit->gram) return tamis__fail_memory(err, "a second moment", n * n * sizeof *fit->gram);
    fit->whole = true;
    tamis_status status = tamis__gram_add(&rows, fit->next_row, fit->gram, after_block, fit, err);
    if (status != TAMIS_OK && status != TAMIS_ERR_CANCELLED) fit->whole = false;
    TAMIS_TRY(status);
    fit->whole = false;
    tamis__mirror(fit->gram, n);
    if (fit->info.stage == TAMIS_STAGE_FINAL) {
        divide(fit->gram, n * n, (double)fit->info.examples);
        TAMIS_TRY(tamis__fit_refuse_zero(fit, err));
    }
    return write_layers(fit, fit->info.layers, err);
}

/* --- warnings --------------------------------------------------------------------------------- */

static void warn_side(const tamis__fit *fit, const tamis_layer *layer, const char *side, uint64_t n)
{
    uint32_t blocks = tamis__curvature_blocks(n, fit->info.max_block);
    uint64_t w = tamis__curvature_block(n, blocks, 1);
    if (fit->info.tokens >= w) return;
    tamis__log(fit->context, TAMIS_LOG_WARNING,
               "layer '%s': %" PRIu64 " tokens for a covariance of %s %" PRIu64
               " wide: its rank is at most %" PRIu64 ", fit from more examples",
               layer->name, fit->info.tokens, side, w, fit->info.tokens);
}

static void warn_few(const tamis__fit *fit)
{
    for (uint32_t l = 0; l < fit->info.layers && fit->sides; l++) {
        const tamis_layer *layer = &fit->info.layer[l];
        warn_side(fit, layer, "inputs", layer->in + layer->bias);
        warn_side(fit, layer, "output gradients", layer->out);
    }
}

/* --- all of it -------------------------------------------------------------------------------- */

static tamis_status open_tokens(tamis__fit *fit, tamis__store_tokens *ret_tokens,
                                tamis_store *store, uint32_t checkpoint, tamis_error *err)
{
    if (!store || tamis_store_info_get(store)->form != TAMIS_FORM_FACTORS) return TAMIS_OK;
    TAMIS_TRY(tamis__tokens_of_store(ret_tokens, fit->context, store, checkpoint, err));
    uint64_t capacity = tamis__tokens_capacity(&ret_tokens->tokens);
    if (capacity > fit->capacity) fit->capacity = capacity;
    fit->fixed += tamis__store_tokens_bytes(fit->context, ret_tokens->widest);
    return TAMIS_OK;
}

static tamis_status open_stores(tamis__fit *fit, tamis_error *err)
{
    const tamis_fit_curvature_params *p = fit->params;
    fit->capacity = 1;
    if (p->kind == TAMIS_CURVATURE_GRAM) return TAMIS_OK;
    if (!p->from)
        TAMIS_TRY(open_tokens(fit, &fit->train_tokens, p->train, fit->train_checkpoint, err));
    TAMIS_TRY(open_tokens(fit, &fit->second_tokens, fit->second, fit->second_checkpoint, err));
    fit->info.tokens = p->from                   ? tamis_curvature_info_get(p->from)->tokens
                       : fit->train_tokens.store ? tamis__tokens_count(&fit->train_tokens.tokens)
                                                 : 0;
    if (fit->sides && fit->info.tokens == 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' has no tokens at checkpoint %u",
                           tamis_store_path(p->train), (unsigned)fit->train_checkpoint);
    if (!p->from) warn_few(fit);
    return TAMIS_OK;
}

static tamis_status fit_groups(tamis__fit *fit, tamis_error *err)
{
    bool factored = fit->sides;
    while (fit->first < fit->info.layers) {
        uint32_t n = 0;
        if (fit->n == 0) {
            TAMIS_TRY(tamis__fit_plan(fit, &n, err));
            TAMIS_TRY(tamis__fit_open_group(fit, n, err));
        }
        TAMIS_TRY(factored ? fit_factored(fit, err) : fit_diagonal(fit, err));
        TAMIS_TRY(finish_group(fit, err));
    }
    return TAMIS_OK;
}

static tamis_status run_fit(tamis__fit *fit, tamis_error *err)
{
    const tamis_fit_curvature_params *p = fit->params;
    bool found = false;
    TAMIS_TRY(tamis__fit_check(fit, err));
    TAMIS_TRY(tamis__output_check(p->path, p->force, false, err));
    TAMIS_TRY(open_stores(fit, err));
    fit->factors = tamis__calloc(fit->info.layers, sizeof *fit->factors);
    if (!fit->factors)
        return tamis__fail_memory(err, "layers", fit->info.layers * sizeof *fit->factors);
    if (p->kind != TAMIS_CURVATURE_GRAM) {
        uint32_t n;
        TAMIS_TRY(tamis__fit_plan(fit, &n, err)); /* before anything is written */
    }
    TAMIS_TRY(
        tamis__curvature_create(&fit->writer, fit->context, p->path, &fit->info, p->force, err));
    if (p->resume) TAMIS_TRY(tamis__fit_resume(fit, &found, err));
    TAMIS_TRY(p->kind == TAMIS_CURVATURE_GRAM ? fit_gram(fit, err) : fit_groups(fit, err));
    TAMIS_TRY(tamis__curvature_commit(&fit->writer, fit->info.tokens, fit->info.examples, err));
    tamis__fit_forget(fit);
    return TAMIS_OK;
}

static void close_fit(tamis__fit *fit)
{
    tamis__curvature_abort(&fit->writer);
    if (fit->factors) close_group(fit);
    free(fit->factors);
    free(fit->gram);
    free(fit->state_path);
    tamis__store_tokens_fini(&fit->train_tokens);
    tamis__store_tokens_fini(&fit->second_tokens);
}

tamis_status tamis__fit_curvature(tamis_context *context, const tamis_fit_curvature_params *params,
                                  double interval, tamis_error *err)
{
    tamis__fit fit = {.context = context, .params = params, .interval = interval};
    tamis_status status = run_fit(&fit, err);
    /* Whoever stops a run that is to be resumed loses no block. */
    if (status == TAMIS_ERR_CANCELLED && fit.state_path && fit.whole)
        (void)tamis__fit_save(&fit, false, NULL);
    close_fit(&fit);
    return status;
}

tamis_status tamis_fit_curvature(tamis_context *context, const tamis_fit_curvature_params *params,
                                 tamis_error *err)
{
    if (params->kind == TAMIS_CURVATURE_WHITEN) return tamis__whiten_fit(context, params, err);
    return tamis__fit_curvature(context, params, 30.0, err);
}
