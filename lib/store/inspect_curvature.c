/* Inspection of curvature files.
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
#include "linalg/blas.h"
#include "store/curvature_file.h"
#include "store/inspection.h"

/* Largest entry of Q^T Q - I that rounding explains: of a matrix of 8,192 it is about 1e-13. */
#define ORTHOGONAL 1e-9

enum { TILE = 128 };

typedef struct inspector {
    tamis_inspection *inspection;
    tamis_context *context;
    const tamis_curvature *curvature;
    const tamis_curvature_info *info;
    uint64_t digest;
    double *values; /* the array that is looked at */
} inspector;

/* --- orthogonal? ------------------------------------------------------------------------------ */

typedef struct gram {
    const double *vectors;
    uint64_t n;
    double *tile;  /* [worker, TILE, TILE] */
    double *worst; /* [worker] */
} gram;

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static tamis_status look_at_tile(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                 tamis_error *err)
{
    (void)slot;
    const gram *g = arg;
    uint64_t row = 0, n = g->n;
    for (; item > row; row++) item -= row + 1;
    uint64_t i0 = row * TILE, j0 = item * TILE, rows = smaller(TILE, n - i0),
             columns = smaller(TILE, n - j0);
    double *tile = g->tile + (size_t)worker * TILE * TILE;
    TAMIS_TRY(tamis__dgemm(false, true, rows, columns, n, 1.0, g->vectors + i0 * n, n,
                           g->vectors + j0 * n, n, 0.0, tile, columns, err));
    for (uint64_t i = 0; i < rows; i++)
        for (uint64_t j = 0; j < columns; j++) {
            double off = fabs(tile[i * columns + j] - (i0 + i == j0 + j ? 1.0 : 0.0));
            if (!(off <= g->worst[worker])) g->worst[worker] = off;
        }
    return TAMIS_OK;
}

static tamis_status distance_to_orthogonal(const inspector *in, uint64_t n, double *ret_worst,
                                           tamis_error *err)
{
    unsigned threads = tamis_context_threads(in->context);
    uint64_t tiles = (n + TILE - 1) / TILE;
    gram g = {.vectors = in->values, .n = n};
    tamis__pipeline p = {.arg = &g, .items = tiles * (tiles + 1) / 2, .work = look_at_tile};
    g.tile = tamis__aligned((size_t)threads * TILE * TILE, sizeof *g.tile);
    g.worst = tamis__calloc(threads, sizeof *g.worst);
    tamis_status status = g.tile && g.worst
                              ? TAMIS_OK
                              : tamis__fail_memory(err, "checking eigenvectors",
                                                   threads * TILE * TILE * sizeof *g.tile);
    tamis__blas_begin();
    if (status == TAMIS_OK) status = tamis__pool_run(in->context->pool, &p, err);
    tamis__blas_end();
    *ret_worst = 0;
    for (unsigned t = 0; t < threads && g.worst; t++)
        if (!(g.worst[t] <= *ret_worst)) *ret_worst = g.worst[t];
    free(g.tile);
    free(g.worst);
    return status;
}

static tamis_status check_vectors(inspector *in, const tamis__curvature_place *place, uint64_t n,
                                  tamis_error *err)
{
    char name[TAMIS__CURVATURE_NAME_SIZE];
    double worst;
    TAMIS_TRY(distance_to_orthogonal(in, n, &worst, err));
    if (worst <= ORTHOGONAL) return TAMIS_OK;
    tamis__curvature_name(place, name);
    return tamis__finding(in->inspection, true, "not_orthogonal", 1, err,
                          "layer '%s': %s: products of eigenvectors are off by %.3g",
                          in->info->layer[place->layer].name, name, worst);
}

/* --- eigenvalues ------------------------------------------------------------------------------ */

/* Smallest, largest and mean, and the effective rank: the exponential of the entropy of the values'
 * shares (Roy and Vetterli 2007). */
static tamis_status tell_spectrum(inspector *in, const tamis__curvature_place *place, uint64_t n,
                                  double divisor, tamis_error *err)
{
    char key[64];
    double least = (double)INFINITY, most = 0, sum = 0, entropy = 0;
    uint64_t negative = 0;
    const char *layer = in->info->layer[place->layer].name;
    for (uint64_t i = 0; i < n; i++) {
        double v = in->values[i] / divisor;
        least = v < least ? v : least;
        most = v > most ? v : most;
        negative += v < 0;
        sum += v > 0 ? v : 0;
    }
    for (uint64_t i = 0; i < n && sum > 0; i++) {
        double share = in->values[i] / divisor / sum;
        if (share > 0) entropy -= share * log(share);
    }
    snprintf(key, sizeof key, "layer_%u_lambda", (unsigned)place->layer);
    TAMIS_TRY(tamis__fact_text(in->inspection, key, err,
                               "%s: smallest %.4g, largest %.4g, mean %.4g, effective rank %.1f of "
                               "%" PRIu64,
                               layer, least, most, sum / (double)n, sum > 0 ? exp(entropy) : 0.0,
                               n));
    if (negative)
        TAMIS_TRY(tamis__finding(in->inspection, true, "negative_lambda", negative, err,
                                 "layer '%s': %" PRIu64 " values of Lambda are below zero", layer,
                                 negative));
    if (sum > 0) return TAMIS_OK;
    return tamis__finding(in->inspection, true, "zero_lambda", n, err,
                          "layer '%s': every value of Lambda is zero", layer);
}

/* Of a side: ascending within a block, and none clearly below zero. */
static tamis_status tell_values(inspector *in, const tamis__curvature_place *place, uint64_t n,
                                tamis_error *err)
{
    char key[64];
    bool output = place->array == TAMIS__OUTPUT_VALUES;
    double least = (double)INFINITY, most = -(double)INFINITY;
    uint64_t rank = 0, fallen = 0, block = 0;
    uint32_t blocks = tamis__curvature_blocks(n, in->info->max_block);
    for (uint64_t i = 0; i < n; i++) {
        least = fmin(least, in->values[i]);
        most = fmax(most, in->values[i]);
        bool starts = i == tamis__curvature_block(n, blocks, (uint32_t)block);
        block += starts;
        fallen += !starts && in->values[i] < in->values[i - 1];
    }
    double floor = most * 1e-12 * (double)n;
    for (uint64_t i = 0; i < n; i++) rank += in->values[i] > floor;
    snprintf(key, sizeof key, "layer_%u_%s", (unsigned)place->layer, output ? "output" : "input");
    TAMIS_TRY(tamis__fact_text(in->inspection, key, err,
                               "eigenvalues %.4g to %.4g, rank %" PRIu64 " of %" PRIu64, least,
                               most, rank, n));
    if (least < -floor || fallen)
        return tamis__finding(in->inspection, true, "bad_eigenvalues", 1, err,
                              "layer '%s': eigenvalues of the %s %s",
                              in->info->layer[place->layer].name, output ? "output" : "input",
                              fallen ? "are not in ascending order" : "are below zero");
    return TAMIS_OK;
}

/* What is made of the eigenvalues is in the attributes; they are looked at for themselves. */
static tamis_status tell_whiten_values(inspector *in, uint64_t n, tamis_error *err)
{
    uint64_t fallen = 0, rank = 0;
    double floor = in->values[n - 1] * 1e-12 * (double)n;
    for (uint64_t i = 0; i < n; i++) {
        fallen += i > 0 && in->values[i] < in->values[i - 1];
        rank += in->values[i] > floor;
    }
    TAMIS_TRY(tamis__fact_count(in->inspection, "rank", rank, err));
    if (!fallen && in->values[0] >= -floor) return TAMIS_OK;
    return tamis__finding(in->inspection, true, "bad_eigenvalues", 1, err,
                          "eigenvalues of the covariance %s",
                          fallen ? "are not in ascending order" : "are below zero");
}

/* Zeros above the diagonal, and nothing else than positive on it. */
static tamis_status check_factor(inspector *in, uint64_t n, tamis_error *err)
{
    uint64_t bad = 0;
    for (uint64_t i = 0; i < n; i++) {
        bad += !(in->values[i * n + i] > 0);
        for (uint64_t j = i + 1; j < n; j++) bad += fabs(in->values[i * n + j]) > 0;
    }
    if (!bad) return TAMIS_OK;
    return tamis__finding(in->inspection, true, "no_factor", bad, err,
                          "whiten/factor: %" PRIu64 " entries that no Cholesky factor has", bad);
}

/* Covariances and second moments are symmetric, with nothing negative on the diagonal. */
static tamis_status check_symmetric(inspector *in, const tamis__curvature_place *place, uint64_t n,
                                    tamis_error *err)
{
    char name[TAMIS__CURVATURE_NAME_SIZE];
    uint64_t bad = 0;
    for (uint64_t i = 0; i < n; i++) {
        bad += in->values[i * n + i] < 0;
        for (uint64_t j = 0; j < i; j++) {
            double a = in->values[i * n + j], b = in->values[j * n + i];
            bad += a < b || a > b;
        }
    }
    if (!bad) return TAMIS_OK;
    tamis__curvature_name(place, name);
    return tamis__finding(in->inspection, true, "not_symmetric", bad, err,
                          "%s: %" PRIu64 " entries that no sum of squares has", name, bad);
}

/* --- an array --------------------------------------------------------------------------------- */

static tamis_status look(inspector *in, const tamis__curvature_place *place, tamis_error *err)
{
    uint64_t rows, columns;
    bool sums = in->info->stage != TAMIS_STAGE_FINAL;
    tamis__curvature_shape(in->info, place, &rows, &columns);
    in->digest += tamis__curvature_digest(in->info, place, in->values);
    switch (place->array) {
    case TAMIS__OUTPUT_COVARIANCE:
    case TAMIS__INPUT_COVARIANCE:
    case TAMIS__GRAM:
    case TAMIS__WHITEN_SCATTER: return check_symmetric(in, place, rows, err);
    case TAMIS__WHITEN_FACTOR: return check_factor(in, rows, err);
    case TAMIS__WHITEN_EIGENVALUES: return tell_whiten_values(in, rows, err);
    case TAMIS__OUTPUT_VECTORS:
    case TAMIS__INPUT_VECTORS: return check_vectors(in, place, rows, err);
    case TAMIS__OUTPUT_VALUES:
    case TAMIS__INPUT_VALUES: return tell_values(in, place, rows, err);
    case TAMIS__LAMBDA:
        return tell_spectrum(in, place, rows * columns, sums ? (double)in->info->examples : 1.0,
                             err);
    case TAMIS__WHITEN_MEAN:
    case TAMIS__WHITEN_THIRD:
    case TAMIS__WHITEN_FOURTH:
    case TAMIS__CURVATURE_ARRAYS: break;
    }
    return TAMIS_OK;
}

/* An array with values that are not finite is a finding; it is not looked at further. */
static tamis_status look_at_array(inspector *in, const tamis__curvature_place *place,
                                  tamis_error *err)
{
    tamis_error why = {TAMIS_OK, 0, ""};
    uint64_t n = tamis__curvature_values(in->info, place);
    in->values = tamis__aligned(n, sizeof *in->values);
    if (!in->values) return tamis__fail_memory(err, "curvature", n * sizeof *in->values);
    tamis_status status = tamis__curvature_read(in->curvature, place, in->values, &why);
    if (status == TAMIS_OK)
        status = look(in, place, err);
    else if (status == TAMIS_ERR_FORMAT)
        status = tamis__finding(in->inspection, true, "not_finite", 1, err, "%.255s", why.message);
    else if (err)
        *err = why;
    free(in->values);
    in->values = NULL;
    return status;
}

static tamis_status full_check(inspector *in, tamis_error *err)
{
    tamis__curvature_place place;
    for (bool started = false; tamis__curvature_next(in->info, &place, &started);) {
        TAMIS_TRY(look_at_array(in, &place, err));
        TAMIS_TRY(tamis__progress(in->context, "inspecting", place.layer + 1, in->info->layers,
                                  "layers", NULL, err));
    }
    if (in->digest == in->info->digest) return TAMIS_OK;
    return tamis__finding(in->inspection, true, "digest_mismatch", 1, err,
                          "the factors do not have the recorded digest: they were changed");
}

/* --- facts ------------------------------------------------------------------------------------ */

static tamis_status describe_whiten(tamis_inspection *inspection, const tamis_curvature_info *info,
                                    tamis_error *err)
{
    const tamis_whiten_facts *f = info->whiten;
    const char *unit = f && f->params.absolute ? "absolute" : "times the mean eigenvalue";
    if (!f) return TAMIS_OK;
    TAMIS_TRY(tamis__fact_text(inspection, "damping", err, "%.4g (%.4g %s)", f->damping,
                               f->params.damping, unit));
    TAMIS_TRY(tamis__fact_text(inspection, "shrinkage", err, "%s",
                               tamis__shrinkage_name(f->params.shrinkage)));
    if (f->params.shrinkage != TAMIS_SHRINKAGE_NONE)
        TAMIS_TRY(tamis__fact_real(inspection, "shrinkage_weight", f->shrinkage, err));
    TAMIS_TRY(tamis__fact_real(inspection, "smallest_eigenvalue", f->least, err));
    TAMIS_TRY(tamis__fact_real(inspection, "largest_eigenvalue", f->most, err));
    TAMIS_TRY(tamis__fact_real(inspection, "effective_rank", f->effective_rank, err));
    TAMIS_TRY(tamis__fact_real(inspection, "condition", f->condition, err));
    if (info->examples / 5 >= info->columns) return TAMIS_OK;
    return tamis__finding(inspection, false, "few_rows", info->examples, err,
                          "%" PRIu64 " rows for %" PRIu64 " columns, fewer than 5 for each: the "
                          "covariance rests on its damping",
                          info->examples, info->columns);
}

static tamis_status describe(tamis_inspection *inspection, const tamis_curvature_info *info,
                             tamis_error *err)
{
    TAMIS_TRY(tamis__fact_text(inspection, "curvature", err, "%s",
                               tamis__curvature_kind_name(info->kind)));
    TAMIS_TRY(
        tamis__fact_text(inspection, "stage", err, "%s", tamis__curvature_stage_name(info->stage)));
    TAMIS_TRY(tamis__fact_count(inspection, "columns", info->columns, err));
    const bool whiten = info->kind == TAMIS_CURVATURE_WHITEN;
    TAMIS_TRY(tamis__fact_count(inspection, whiten ? "checkpoints" : "checkpoint", info->checkpoint,
                                err));
    if (info->step_known) TAMIS_TRY(tamis__fact_count(inspection, "step", info->step, err));
    TAMIS_TRY(tamis__fact_count(inspection, "tokens", info->tokens, err));
    TAMIS_TRY(tamis__fact_count(inspection, "examples", info->examples, err));
    TAMIS_TRY(tamis__fact_count(inspection, "max_block", info->max_block, err));
    TAMIS_TRY(tamis__fact_text(inspection, "labels", err, "%s",
                               info->labels ? info->labels : "not said"));
    TAMIS_TRY(
        tamis__fact_text(inspection, "projected", err, "%s", info->projected_by ? "yes" : "no"));
    TAMIS_TRY(tamis__fact_text(inspection, "digest", err, "%016" PRIx64, info->digest));
    TAMIS_TRY(describe_whiten(inspection, info, err));
    TAMIS_TRY(tamis__fact_layers(inspection, info->layer, info->layers, err));
    if (info->stage != TAMIS_STAGE_FINAL)
        TAMIS_TRY(tamis__finding(inspection, false, "not_final", 0, err,
                                 "it holds sums, to be merged or gone on with"));
    inspection->provenance = tamis__strdup(info->provenance);
    return inspection->provenance ? TAMIS_OK
                                  : tamis__fail_memory(err, "provenance", strlen(info->provenance));
}

tamis_status tamis__inspect_curvature(tamis_inspection *inspection, tamis_context *context,
                                      const char *path, bool quick, tamis_error *err)
{
    tamis_curvature *curvature;
    TAMIS_TRY(tamis_curvature_open(&curvature, context, path, err));
    inspector in = {.inspection = inspection,
                    .context = context,
                    .curvature = curvature,
                    .info = tamis_curvature_info_get(curvature)};
    tamis_status status = describe(inspection, in.info, err);
    if (status == TAMIS_OK && !quick) status = full_check(&in, err);
    tamis_curvature_close(&curvature);
    return status;
}
