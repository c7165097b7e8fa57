/* TrackStar: cosine under the inverse of a mixed second moment.
 *
 *     score(i, q) = sum_k w_k < phi_i^k, phi_q^k >,   phi = R^-1/2 x / || R^-1/2 x ||
 *     R = mix * R_query + (1 - mix) * R_train, one block for each layer; R_set = mean of x x^T
 *
 * Since <R^-1/2 x, R^-1/2 y> = <x, R^-1 y>, the queries become R^-1 q, and rows are divided by
 * ||L^-1 x|| where R = L L^T. With second-moment=rows, x stands for x / d, d a value for each
 * column; it goes into the factor: (D L)^-1 x = L^-1 (x / d).
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "score/registry.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "curvature/factor.h"
#include "curvature/gram.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"
#include "score/trackstar_mix.h"

enum { MIX, COMPONENT, DAMPING, SECOND_MOMENT, EPS, ZERO };
enum { MOMENT_NONE, MOMENT_ROWS };
enum { ZERO_ERROR };

static const char *const moment_choices[] = {"none", "rows", NULL};
static const char *const zero_choices[] = {"error", "score0", NULL};

static const tamis_param_desc params[] = {
    {.name = "mix",
     .help = "share of the queries in R, 0 to 1, or auto: where the spectra meet",
     .type = TAMIS_PARAM_STRING,
     .fallback_text = "auto"},
    {.name = "component",
     .help = "for mix=auto: the eigenvalue at which the spectra meet, largest first",
     .type = TAMIS_PARAM_INTEGER,
     .min = 1,
     .max = 1e15,
     .fallback = 1000},
    {.name = "damping",
     .help = "added to the diagonal of a layer's R, in units of its mean eigenvalue",
     .type = TAMIS_PARAM_REAL,
     .min = 0,
     .max = 1e30,
     .fallback = 0.1},
    {.name = "second-moment",
     .help = "divide columns by: nothing, or their root mean square over the training rows",
     .type = TAMIS_PARAM_CHOICE,
     .choices = moment_choices},
    {.name = "eps",
     .help = "for second-moment=rows: added to each root, in units of the roots' mean",
     .type = TAMIS_PARAM_REAL,
     .min = 0,
     .max = 1e30,
     .fallback = 1e-3},
    {.name = "zero",
     .help = "a zero gradient has no direction: stop with an error, or give it the score 0",
     .type = TAMIS_PARAM_CHOICE,
     .choices = zero_choices},
};

typedef struct trackstar {
    const tamis__score_call *call;
    const tamis_store_info *info;
    double mix; /* -1 = auto */
    uint64_t train_rows, query_rows;
    uint64_t reserved; /* bytes of what is below */
    tamis__held_queries held;
    tamis__moments moments; /* of the checkpoint at hand */
    double *work;           /* [largest layer squared] */
    double *scale;          /* [columns]: what columns are divided by */
    double *square;         /* [train rows], then [query rows]: ||L^-1 x||^2 */
    float **divisor;        /* [checkpoints] of [train rows] */
    double **query_scale;   /* [checkpoints] of [query rows] */
} trackstar;

static tamis__rows rows_of(const trackstar *t, tamis_store *store, uint32_t k, const char *phase)
{
    return (tamis__rows){.context = t->call->context,
                         .store = store,
                         .checkpoint = k,
                         .skip = store == t->call->train ? tamis__score_skipped(t->call) : NULL,
                         .phase = phase,
                         .reserved = t->reserved};
}

static tamis_status parse_mix(const tamis__score_call *call, double *ret_mix, tamis_error *err)
{
    static const tamis_param_desc share = {.name = "mix", .type = TAMIS_PARAM_REAL, .max = 1};
    tamis_param_value value;
    if (!strcmp(call->values[MIX].text, "auto")) {
        *ret_mix = -1;
        return TAMIS_OK;
    }
    tamis_status status = tamis_param_parse_value(&share, "trackstar", call->values[MIX].text,
                                                  &value, err);
    if (status == TAMIS_OK) *ret_mix = value.number;
    return status == TAMIS_OK ? status : tamis__prefix(err, status, "mix is auto or a number");
}

/* --- memory ----------------------------------------------------------------------------------- */

/* What the product does not need. */
static void free_moments(trackstar *t)
{
    for (uint32_t l = 0; l < t->info->layers; l++) {
        if (t->moments.train) free(t->moments.train[l]);
        if (t->moments.query) free(t->moments.query[l]);
    }
    free(t->moments.train);
    free(t->moments.query);
    free(t->work);
    free(t->scale);
    free(t->square);
    t->moments.train = t->moments.query = NULL;
    t->work = t->scale = t->square = NULL;
}

static void fini(trackstar *t)
{
    free_moments(t);
    for (uint32_t k = 0; k < t->info->checkpoints; k++) {
        if (t->divisor) free(t->divisor[k]);
        if (t->query_scale) free(t->query_scale[k]);
    }
    free(t->divisor);
    free(t->query_scale);
    tamis__held_queries_fini(&t->held);
}

static bool allocate(trackstar *t, uint64_t widest)
{
    t->moments.train = tamis__calloc(t->info->layers, sizeof *t->moments.train);
    t->moments.query = tamis__calloc(t->info->layers, sizeof *t->moments.query);
    t->divisor = tamis__calloc(t->info->checkpoints, sizeof *t->divisor);
    t->query_scale = tamis__calloc(t->info->checkpoints, sizeof *t->query_scale);
    t->work = tamis__aligned(widest * widest, sizeof *t->work);
    t->scale = tamis__calloc(t->info->columns, sizeof *t->scale);
    t->square = tamis__calloc(t->train_rows + t->query_rows, sizeof *t->square);
    if (!t->moments.train || !t->moments.query || !t->divisor || !t->query_scale || !t->work ||
        !t->scale || !t->square)
        return false;
    for (uint32_t l = 0; l < t->info->layers; l++) {
        uint64_t n = tamis_layer_columns(&t->info->layer[l]);
        t->moments.train[l] = tamis__aligned(n * n, sizeof(double));
        t->moments.query[l] = tamis__aligned(n * n, sizeof(double));
        if (!t->moments.train[l] || !t->moments.query[l]) return false;
    }
    for (uint32_t k = 0; k < t->info->checkpoints; k++) {
        t->divisor[k] = tamis__calloc(t->train_rows, sizeof **t->divisor);
        t->query_scale[k] = tamis__calloc(t->query_rows, sizeof **t->query_scale);
        if (!t->divisor[k] || !t->query_scale[k]) return false;
    }
    return true;
}

/* Norms of the rows under R, as the product takes them. */
static uint64_t divisor_bytes(const trackstar *t)
{
    return t->info->checkpoints *
           (t->train_rows * sizeof **t->divisor + t->query_rows * sizeof **t->query_scale);
}

static tamis_status init(trackstar *t, tamis_error *err)
{
    uint64_t widest = 0, squares = 0;
    tamis__rows x = rows_of(t, t->call->train, 0, "second moments");
    x.columns = t->info->columns;
    for (uint32_t l = 0; l < t->info->layers; l++) {
        uint64_t n = tamis_layer_columns(&t->info->layer[l]);
        widest = n > widest ? n : widest;
        squares += n * n;
    }
    uint64_t bytes = (2 * squares + widest * widest) * sizeof(double);
    TAMIS_TRY(tamis__held_queries_init(&t->held, t->call->context, t->info->checkpoints,
                                       t->query_rows, t->info->columns, err));
    t->reserved = bytes + tamis__held_queries_bytes(&t->held) + divisor_bytes(t) +
                  (t->train_rows + t->query_rows) * sizeof *t->square;
    x.reserved = t->reserved;
    TAMIS_TRY(tamis__rows_memory(&x, tamis__gram_bytes(&x), "the second moment", err));
    t->moments.train_rows = tamis__rows_count(&x);
    t->moments.query_rows = t->query_rows;
    return allocate(t, widest) ? TAMIS_OK : tamis__fail_memory(err, "second moments", bytes);
}

/* --- second moments --------------------------------------------------------------------------- */

static tamis_status mean_squares(const trackstar *t, tamis_store *store, uint32_t k, uint64_t rows,
                                 double **moment, tamis_error *err)
{
    tamis__rows x = rows_of(t, store, k, "second moments");
    for (uint32_t l = 0; l < t->info->layers; l++) {
        tamis__rows_layer(&x, l);
        TAMIS_TRY(tamis__gram(&x, moment[l], err));
        for (uint64_t i = 0; i < x.columns * x.columns; i++) moment[l][i] /= (double)rows;
    }
    return TAMIS_OK;
}

/* What columns are divided by: 1, or the root of their mean square. */
static void column_scales(const trackstar *t)
{
    double mean = 0;
    bool rows = t->call->values[SECOND_MOMENT].number == MOMENT_ROWS;
    for (uint32_t l = 0; l < t->info->layers; l++) {
        const tamis_layer *layer = &t->info->layer[l];
        uint64_t n = tamis_layer_columns(layer);
        for (uint64_t c = 0; c < n; c++) {
            double *scale = &t->scale[layer->first_column + c];
            *scale = rows ? sqrt(t->moments.train[l][c * n + c]) : 1.0;
            mean += *scale / (double)t->info->columns;
        }
    }
    for (uint64_t c = 0; rows && c < t->info->columns; c++) {
        t->scale[c] += mean * t->call->values[EPS].number;
        if (t->scale[c] <= 0) t->scale[c] = 1.0; /* eps=0, and a column of zeros */
    }
}

static void divide_columns(const trackstar *t, double **moment)
{
    for (uint32_t l = 0; l < t->info->layers; l++) {
        uint64_t n = tamis_layer_columns(&t->info->layer[l]);
        const double *scale = t->scale + t->info->layer[l].first_column;
        for (uint64_t i = 0; i < n; i++)
            for (uint64_t j = 0; j <= i; j++) moment[l][i * n + j] /= scale[i] * scale[j];
    }
}

static tamis_status find_moments(const trackstar *t, uint32_t k, tamis_error *err)
{
    const tamis__moments *m = &t->moments;
    TAMIS_TRY(mean_squares(t, t->call->train, k, m->train_rows, m->train, err));
    TAMIS_TRY(mean_squares(t, t->call->query, k, m->query_rows, m->query, err));
    column_scales(t);
    divide_columns(t, m->train);
    divide_columns(t, m->query);
    return TAMIS_OK;
}

/* --- R ---------------------------------------------------------------------------------------- */

/* The factor of a layer's R in place of its training moment, times the columns' scales. *ret_empty:
 * all rows are zero there. */
static tamis_status factorise(const trackstar *t, uint32_t k, uint32_t l, double mix,
                              bool *ret_empty, tamis_error *err)
{
    char what[512];
    const tamis_layer *layer = &t->info->layer[l];
    uint64_t n = tamis_layer_columns(layer);
    double *r = t->moments.train[l];
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t j = 0; j <= i; j++)
            r[i * n + j] = mix * t->moments.query[l][i * n + j] + (1.0 - mix) * r[i * n + j];
    double mean = tamis__trace(r, n) / (double)n;
    *ret_empty = !(mean > 0);
    if (*ret_empty) return TAMIS_OK;
    for (uint64_t i = 0; i < n; i++) r[i * n + i] += t->call->values[DAMPING].number * mean;
    snprintf(what, sizeof what, "'%s': the second moment of layer '%s' at checkpoint %u",
             tamis_store_path(t->call->train), layer->name, k);
    tamis__blas_begin();
    tamis_status status = tamis__cholesky(n, r, n, what, "raise damping", err);
    tamis__blas_end();
    for (uint64_t i = 0; i < n && status == TAMIS_OK; i++)
        for (uint64_t j = 0; j <= i; j++) r[i * n + j] *= t->scale[layer->first_column + i];
    return status;
}

static tamis_status whiten_layer(const trackstar *t, uint32_t k, uint32_t l, double mix,
                                 tamis_error *err)
{
    bool empty;
    const double *factor = t->moments.train[l];
    TAMIS_TRY(factorise(t, k, l, mix, &empty, err));
    if (empty) return TAMIS_OK;
    tamis__rows x = rows_of(t, t->call->train, k, "whitening"),
                v = rows_of(t, t->call->query, k, "whitening");
    tamis__rows_layer(&x, l);
    tamis__rows_layer(&v, l);
    TAMIS_TRY(tamis__factor_norms(&x, factor, t->square, err));
    TAMIS_TRY(tamis__factor_norms(&v, factor, t->square + t->train_rows, err));
    return tamis__factor_solve(&v, factor, 1.0, t->held.values[k] + v.first_column, t->held.columns,
                               err);
}

static tamis_status prepare_checkpoint(const trackstar *t, uint32_t k, tamis_error *err)
{
    double mix = t->mix;
    const float *norms;
    bool direction = t->call->values[ZERO].number == ZERO_ERROR;
    TAMIS_TRY(tamis__finite_norms(t->call->query, k, direction, &norms, err));
    TAMIS_TRY(find_moments(t, k, err));
    if (mix < 0)
        TAMIS_TRY(tamis__trackstar_mix(
            t->call, &t->moments, (uint64_t)t->call->values[COMPONENT].number, t->work, &mix, err));
    tamis__log(t->call->context, TAMIS_LOG_INFO,
               "trackstar: checkpoint %u: the queries' share of R is %.6g", k, mix);
    memset(t->square, 0, (t->train_rows + t->query_rows) * sizeof *t->square);
    for (uint32_t l = 0; l < t->info->layers; l++) TAMIS_TRY(whiten_layer(t, k, l, mix, err));
    for (uint64_t i = 0; i < t->train_rows; i++) t->divisor[k][i] = (float)sqrt(t->square[i]);
    for (uint64_t q = 0; q < t->query_rows; q++) {
        double square = t->square[t->train_rows + q];
        t->query_scale[k][q] = square > 0 ? 1.0 / sqrt(square) : 0.0;
    }
    return TAMIS_OK;
}

static tamis_status score(trackstar *t, tamis_error *err)
{
    TAMIS_TRY(init(t, err));
    for (uint32_t k = 0; k < t->info->checkpoints; k++) {
        t->moments.first = k == 0;
        TAMIS_TRY(prepare_checkpoint(t, k, err));
    }
    free_moments(t);
    TAMIS_TRY(tamis__held_queries_ready(&t->held, t->call->context, "a whitened query", err));
    tamis__product product = {.queries = &t->held.queries,
                              .weight = t->call->weight,
                              .query_scale = (const double *const *)t->query_scale,
                              .row_divisor = (const float *const *)t->divisor,
                              .reserved = divisor_bytes(t),
                              .bound = 1.0};
    return tamis__score_product(t->call, &product, err);
}

static tamis_status run(const tamis__score_call *call, tamis_error *err)
{
    trackstar t = {.call = call,
                   .info = tamis_store_info_get(call->train),
                   .train_rows = tamis_store_info_get(call->train)->rows,
                   .query_rows = tamis_store_info_get(call->query)->rows};
    TAMIS_TRY(parse_mix(call, &t.mix, err));
    TAMIS_TRY(tamis__score_weights(call, TAMIS__WEIGHTS_NORMALISED, err));
    TAMIS_TRY(tamis__score_rows(call, call->values[ZERO].number == ZERO_ERROR, err));
    tamis_status status = score(&t, err);
    fini(&t);
    return status;
}

const tamis__scorer_class tamis__scorer_trackstar = {
    .info = {.name = "trackstar",
             .summary = "cosine under the inverse of a mixed second moment of the gradients",
             .citation = "Chang, Rajagopal, Bolukbasi, Dixon and Tenney, Scalable Influence and "
                         "Fact Tracing for Large Language Model Pretraining, ICLR 2025: TrackStar",
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .run = run,
};
