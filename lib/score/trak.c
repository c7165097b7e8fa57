/* TRAK: margins of the model, linearised, as one ridge regression.
 *
 *     score(i, q) = [ (1/C) sum_c < phi_i^c, (K^c)^-1 phi_q^c > ] * [ (1/C) sum_c (1 - p_i^c) ]
 *     phi = scale * gradient of the margin log(p / (1 - p)),   K = sum_j phi_j phi_j^T + ridge I
 *
 * C models are the checkpoints of the store.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/registry.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "curvature/factor.h"
#include "curvature/gram.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"

enum { RIDGE, RIDGE_UNIT, SCALE, SCALING, OUT_TO_LOSS };
enum { UNIT_RELATIVE, UNIT_ABSOLUTE };
enum { SCALING_RAW, SCALING_RELEASED };

static const char *const unit_choices[] = {"relative", "absolute", NULL};
static const char *const scaling_choices[] = {"raw", "released", NULL};

static const tamis_param_desc params[] = {
    {.name = "ridge",
     .help = "added to the diagonal of K",
     .type = TAMIS_PARAM_REAL,
     .min = 0,
     .max = 1e30,
     .fallback = 0.1},
    {.name = "ridge-unit",
     .help = "ridge is in units of the mean eigenvalue of K, or a plain number",
     .type = TAMIS_PARAM_CHOICE,
     .choices = unit_choices},
    {.name = "scale",
     .help = "rows are multiplied by it; the released code divides by the root of the parameters",
     .type = TAMIS_PARAM_REAL,
     .min = 1e-30,
     .max = 1e30,
     .fallback = 1},
    {.name = "scaling",
     .help = "of the inverse of K: none, or divided by its mean absolute entry as released",
     .type = TAMIS_PARAM_CHOICE,
     .choices = scaling_choices},
    {.name = "out-to-loss",
     .help = "multiply by 1 - p of the training example",
     .type = TAMIS_PARAM_BOOLEAN,
     .fallback = 1},
};

/* --- 1 - p of the training rows --------------------------------------------------------------- */

/* Of the other classes, so that nothing cancels when p is near 1. */
static double others(const float *probability, uint32_t classes, int32_t label)
{
    double sum = 0;
    for (uint32_t c = 0; c < classes; c++)
        if (c != (uint32_t)label) sum += (double)probability[c];
    return sum;
}

static tamis_status add_row(const tamis__score_call *call, uint64_t row, double value, double *sum,
                            tamis_error *err)
{
    const unsigned char *skip = tamis__score_skipped(call);
    char id[256];
    sum[row] += value;
    if (isfinite(value) || (skip && skip[row])) return TAMIS_OK;
    tamis_store_id(call->train, row, id, sizeof id);
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "'%s': row %llu (id %s) has no finite margin or probability: ask for "
                       "out-to-loss=false",
                       tamis_store_path(call->train), (unsigned long long)row, id);
}

static tamis_status add_margins(const tamis__score_call *call, const float *margin, double *sum,
                                tamis_error *err)
{
    uint64_t rows = tamis_store_info_get(call->train)->rows;
    for (uint64_t i = 0; i < rows; i++)
        TAMIS_TRY(add_row(call, i, 1.0 / (1.0 + exp((double)margin[i])), sum, err));
    return TAMIS_OK;
}

static tamis_status add_probabilities(const tamis__score_call *call, const float *probability,
                                      double *sum, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(call->train);
    const int32_t *label = tamis_store_examples(call->train)->label;
    for (uint64_t i = 0; i < info->rows; i++) {
        double value = (double)NAN;
        if (label[i] >= 0 && (uint32_t)label[i] < info->classes)
            value = others(probability + i * info->classes, info->classes, label[i]);
        TAMIS_TRY(add_row(call, i, value, sum, err));
    }
    return TAMIS_OK;
}

static tamis_status add_checkpoint(const tamis__score_call *call, uint32_t k, double *sum,
                                   tamis_error *err)
{
    float *values = NULL;
    tamis_status status = tamis_store_outputs(call->train, k, "margin", &values, err);
    if (status == TAMIS_OK && values) {
        status = add_margins(call, values, sum, err);
        free(values);
        return status;
    }
    TAMIS_TRY(status);
    if (tamis_store_examples(call->train)->label)
        TAMIS_TRY(tamis_store_outputs(call->train, k, "probability", &values, err));
    if (!values)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "'%s' has neither margins nor probabilities with labels, and 1 - p needs "
            "one of them: make it with 'tamis grad', or ask for out-to-loss=false",
            tamis_store_path(call->train));
    status = add_probabilities(call, values, sum, err);
    free(values);
    return status;
}

/* Mean over checkpoints, as floats; NULL when not wanted. */
static tamis_status multipliers(const tamis__score_call *call, float **ret_multiplier,
                                tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(call->train);
    tamis_status status = TAMIS_OK;
    if (call->values[OUT_TO_LOSS].number == 0) return TAMIS_OK;
    double *sum = tamis__calloc(info->rows, sizeof *sum);
    float *multiplier = tamis__malloc(info->rows, sizeof *multiplier);
    if (!sum || !multiplier) status = tamis__fail_memory(err, "margins", info->rows * sizeof *sum);
    for (uint32_t k = 0; k < info->checkpoints && status == TAMIS_OK; k++)
        status = add_checkpoint(call, k, sum, err);
    for (uint64_t i = 0; i < info->rows && status == TAMIS_OK; i++)
        multiplier[i] = (float)(sum[i] / info->checkpoints);
    free(sum);
    if (status != TAMIS_OK)
        free(multiplier);
    else
        *ret_multiplier = multiplier;
    return status;
}

/* --- the kernel ------------------------------------------------------------------------------- */

/* Mean of |K^-1|, both triangles; `work` holds the factor and is lost. */
static tamis_status mean_inverse(uint64_t n, double *work, double *ret_mean, tamis_error *err)
{
    double sum = 0;
    TAMIS_TRY(tamis__cholesky_inverse(n, work, n, err));
    for (uint64_t i = 0; i < n; i++) {
        for (uint64_t j = 0; j < i; j++) sum += 2.0 * fabs(work[i * n + j]);
        sum += fabs(work[i * n + i]);
    }
    *ret_mean = sum / ((double)n * (double)n);
    return TAMIS_OK;
}

/* From the sum of x x^T to the factor of K. */
static tamis_status factorise(const tamis__score_call *call, uint32_t k, uint64_t n, double *kernel,
                              tamis_error *err)
{
    char what[512];
    double scale = call->values[SCALE].number, ridge = call->values[RIDGE].number;
    for (uint64_t i = 0; i < n * n; i++) kernel[i] *= scale * scale;
    if (call->values[RIDGE_UNIT].number == UNIT_RELATIVE)
        ridge *= tamis__trace(kernel, n) / (double)n;
    for (uint64_t i = 0; i < n; i++) kernel[i * n + i] += ridge;
    snprintf(what, sizeof what, "'%s': the kernel at checkpoint %u", tamis_store_path(call->train),
             k);
    return tamis__cholesky(n, kernel, n, what, "raise ridge", err);
}

/* The factor, and what K^-1 x is to be multiplied by. */
static tamis_status make_kernel(const tamis__score_call *call, const tamis__rows *x, double *kernel,
                                double *work, double *ret_factor, tamis_error *err)
{
    double scale = call->values[SCALE].number, mean = 1.0;
    TAMIS_TRY(tamis__gram(x, kernel, err));
    tamis__blas_begin();
    tamis_status status = factorise(call, x->checkpoint, x->columns, kernel, err);
    if (status == TAMIS_OK && work) {
        memcpy(work, kernel, x->columns * x->columns * sizeof *work);
        status = mean_inverse(x->columns, work, &mean, err);
    }
    tamis__blas_end();
    *ret_factor = scale * scale / mean;
    return status;
}

/* --- queries ---------------------------------------------------------------------------------- */

static tamis_status prepare_all(const tamis__score_call *call, tamis__rows *x, double *kernel,
                                double *work, tamis__held_queries *held, tamis_error *err)
{
    tamis__rows v = *x;
    const float *norms;
    v.store = call->query;
    v.skip = NULL;
    v.phase = "preparing queries";
    v.reserved += held->columns * held->columns * sizeof(double);
    for (uint32_t k = 0; k < held->checkpoints; k++) {
        double factor;
        x->checkpoint = v.checkpoint = k;
        TAMIS_TRY(tamis__finite_norms(call->query, k, false, &norms, err));
        TAMIS_TRY(make_kernel(call, x, kernel, work, &factor, err));
        TAMIS_TRY(tamis__factor_solve(&v, kernel, factor, held->values[k], held->columns, err));
    }
    return tamis__held_queries_ready(held, call->context, "a query under the kernel", err);
}

static tamis_status prepare(const tamis__score_call *call, tamis__held_queries *held,
                            tamis_error *err)
{
    bool released = call->values[SCALING].number == SCALING_RELEASED;
    uint64_t n = held->columns, bytes = (released ? 2 : 1) * n * n * sizeof(double);
    tamis__rows x = {.context = call->context,
                     .store = call->train,
                     .columns = n,
                     .skip = tamis__score_skipped(call),
                     .phase = "second moments",
                     .reserved = bytes + tamis__held_queries_bytes(held)};
    TAMIS_TRY(tamis__rows_memory(&x, tamis__gram_bytes(&x), "the kernel", err));
    double *kernel = tamis__aligned(n * n, sizeof *kernel);
    double *work = released ? tamis__aligned(n * n, sizeof *work) : NULL;
    tamis_status status = kernel && (work || !released)
                              ? prepare_all(call, &x, kernel, work, held, err)
                              : tamis__fail_memory(err, "the kernel", bytes);
    free(kernel);
    free(work);
    return status;
}

static tamis_status score(const tamis__score_call *call, const float *multiplier, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(call->train);
    tamis__held_queries held = {0};
    for (uint32_t k = 0; k < info->checkpoints; k++) call->weight[k] = 1.0 / info->checkpoints;
    TAMIS_TRY(tamis__held_queries_init(&held, call->context, info->checkpoints,
                                       tamis_store_info_get(call->query)->rows, info->columns,
                                       err));
    tamis_status status = prepare(call, &held, err);
    tamis__product product = {.queries = &held.queries,
                              .weight = call->weight,
                              .row_multiplier = multiplier,
                              .reserved = multiplier ? info->rows * sizeof *multiplier : 0};
    if (status == TAMIS_OK) status = tamis__score_product(call, &product, err);
    tamis__held_queries_fini(&held);
    return status;
}

/* Rows whose function is not recorded are taken at their maker's word. */
static tamis_status check_function(const tamis_store *store, tamis_error *err)
{
    const char *function = tamis_store_info_get(store)->function;
    if (!function || !strcmp(function, "margin")) return TAMIS_OK;
    return tamis__fail(
        err, TAMIS_ERR_ARG,
        "'%s' holds gradients of the %s, and trak wants those of the margin: make it "
        "with 'tamis grad --function margin'",
        tamis_store_path(store), function);
}

static tamis_status run(const tamis__score_call *call, tamis_error *err)
{
    float *multiplier = NULL;
    TAMIS_TRY(check_function(call->train, err));
    TAMIS_TRY(check_function(call->query, err));
    TAMIS_TRY(tamis__score_rows(call, false, err));
    TAMIS_TRY(multipliers(call, &multiplier, err));
    tamis_status status = score(call, multiplier, err);
    free(multiplier);
    return status;
}

const tamis__scorer_class tamis__scorer_trak = {
    .info = {.name = "trak",
             .summary = "margins of the linearised model as one ridge regression",
             .citation = "Park, Georgiev, Ilyas, Leclerc and Madry, TRAK: Attributing Model "
                         "Behavior at Scale, ICML 2023: without soft thresholding",
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .run = run,
};
