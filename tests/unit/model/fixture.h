/* What the tests of lib/model share: random data and models, and an independent reference in double
 * precision, written row by row with plain loops.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_MODEL_FIXTURE_H
#define TAMIS_TEST_MODEL_FIXTURE_H

#include <math.h>
#include <stdint.h>
#include <tamis/model.h>

#include "base/rng.h"
#include "harness.h"
#include "import/npy.h"
#include "model/object.h"

#define MAX_WIDTH 64

/* --- random numbers --------------------------------------------------------------------------- */

typedef struct fixture_rng {
    uint64_t state;
} fixture_rng;

/* In [-1, 1). */
static inline double fixture_uniform(fixture_rng *rng)
{
    rng->state = rng->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(rng->state >> 11) * 0x1p-52 - 1.0;
}

/* --- data ------------------------------------------------------------------------------------- */

static inline tamis_data *fixture_data(uint64_t rows, uint64_t columns, uint32_t classes,
                                       uint64_t seed)
{
    fixture_rng rng = {seed};
    tamis_data *data = calloc(1, sizeof *data);
    data->rows = rows;
    data->columns = columns;
    data->classes = classes;
    data->x = calloc(rows * columns, sizeof *data->x);
    data->label = calloc(rows, sizeof *data->label);
    for (uint64_t i = 0; i < rows * columns; i++) data->x[i] = (float)(2.0 * fixture_uniform(&rng));
    for (uint64_t i = 0; i < rows; i++)
        data->label[i] = (int32_t)((fixture_uniform(&rng) + 1.0) / 2.0 * classes);
    return data;
}

/* Clusters that a line between any two separates. */
static inline tamis_data *fixture_separable(uint64_t rows, uint32_t classes, uint64_t seed)
{
    tamis_data *data = fixture_data(rows, 4, classes, seed);
    for (uint64_t i = 0; i < rows; i++) {
        float *x = data->x + i * 4;
        double angle = 2.0 * 3.14159265358979323846 * data->label[i] / classes;
        x[0] = 0.1f * x[0] + (float)(3.0 * cos(angle)) + 7.0f;
        x[1] = 0.1f * x[1] + (float)(3.0 * sin(angle));
        x[3] = 5.0f; /* constant */
    }
    return data;
}

static inline void fixture_data_free(tamis_data *data)
{
    free(data->x);
    free(data->label);
    free(data->digest);
    free(data->id_number);
    free(data->group);
    free(data);
}

/* --- models ----------------------------------------------------------------------------------- */

typedef struct fixture_spec {
    uint32_t layers;
    uint64_t width[8]; /* [layers + 1] */
    tamis_activation activation;
    uint32_t no_bias; /* bit i: layer i */
    uint32_t checkpoints;
    bool standardise;
    uint64_t seed;
} fixture_spec;

static inline tamis_model *fixture_model(const fixture_spec *spec)
{
    fixture_rng rng = {spec->seed + 77};
    tamis__model_file file = {.layers = spec->layers, .checkpoints = spec->checkpoints};
    file.layer = calloc(spec->layers, sizeof *file.layer);
    file.checkpoint = calloc(spec->checkpoints, sizeof *file.checkpoint);
    file.weight = calloc((size_t)spec->layers * spec->checkpoints, sizeof *file.weight);
    file.classes = (uint32_t)spec->width[spec->layers];
    snprintf(file.activation, sizeof file.activation, "%s",
             tamis__activation_name(spec->activation));
    for (uint32_t l = 0; l < spec->layers; l++)
        tamis__layer_init(&file.layer[l], l, spec->width[l + 1], spec->width[l],
                          !(spec->no_bias >> l & 1), 0);
    for (uint32_t k = 0; k < spec->checkpoints; k++) {
        file.checkpoint[k] = (tamis_checkpoint){.step = 10 * (k + 1),
                                                .learning_rate = 0.1 / (k + 1)};
        for (uint32_t l = 0; l < spec->layers; l++) {
            uint64_t n = tamis_layer_columns(&file.layer[l]);
            float *w = malloc(n * sizeof *w);
            for (uint64_t i = 0; i < n; i++)
                w[i] = (float)(1.5 * fixture_uniform(&rng) / sqrt((double)file.layer[l].in));
            file.weight[k * spec->layers + l] = w;
        }
    }
    if (spec->standardise) {
        file.mean = calloc(spec->width[0], sizeof *file.mean);
        file.scale = calloc(spec->width[0], sizeof *file.scale);
        for (uint64_t j = 0; j < spec->width[0]; j++) {
            file.mean[j] = (float)(0.3 * fixture_uniform(&rng));
            file.scale[j] = (float)(1.0 + 0.5 * fixture_uniform(&rng));
        }
    }
    tamis_model *model = NULL;
    tamis_error err = {0};
    ck_ok(tamis__model_adopt(&model, &file, "fixture", &err));
    return model;
}

/* --- the reference ---------------------------------------------------------------------------- */

static inline double reference_activation(tamis_activation activation, double z)
{
    switch (activation) {
    case TAMIS_TANH: return tanh(z);
    case TAMIS_GELU: return z * 0.5 * (1.0 + erf(z / sqrt(2.0)));
    case TAMIS_RELU: break;
    }
    return z > 0 ? z : 0;
}

static inline double reference_slope(tamis_activation activation, double z)
{
    switch (activation) {
    case TAMIS_TANH: return 1.0 - tanh(z) * tanh(z);
    case TAMIS_GELU:
        return 0.5 * (1.0 + erf(z / sqrt(2.0))) +
               z * exp(-0.5 * z * z) / sqrt(2.0 * 3.14159265358979323846);
    case TAMIS_RELU: break;
    }
    return z > 0;
}

/* A row's way through a network: the inputs (with the 1 of the bias) and deltas of every layer. */
typedef struct reference {
    double input[8][MAX_WIDTH + 1], output[8][MAX_WIDTH], delta[8][MAX_WIDTH];
    double loss, margin, probability[MAX_WIDTH];
} reference;

static inline double reference_log_sum(const double *z, uint64_t n, uint64_t without)
{
    double top = -HUGE_VAL, sum = 0;
    for (uint64_t c = 0; c < n; c++)
        if (c != without && z[c] > top) top = z[c];
    for (uint64_t c = 0; c < n; c++)
        if (c != without) sum += exp(z[c] - top);
    return top + log(sum);
}

/* `weight` [layers] in double, each [out, in + bias]. */
static inline void reference_forward(reference *r, const tamis_model_info *info,
                                     double *const *weight, const float *x, int32_t label)
{
    for (uint64_t j = 0; j < info->layer[0].in; j++) {
        double v = (double)x[j];
        r->input[0][j] = info->mean ? (v - (double)info->mean[j]) / (double)info->scale[j] : v;
    }
    for (uint32_t l = 0; l < info->layers; l++) {
        uint64_t in = info->layer[l].in, out = info->layer[l].out, width = in + info->layer[l].bias;
        r->input[l][in] = 1.0;
        for (uint64_t o = 0; o < out; o++) {
            double z = 0;
            for (uint64_t j = 0; j < width; j++) z += weight[l][o * width + j] * r->input[l][j];
            r->output[l][o] = z;
            if (l + 1 < info->layers)
                r->input[l + 1][o] = reference_activation(info->activation, z);
        }
    }
    const double *logit = r->output[info->layers - 1];
    double total = reference_log_sum(logit, info->classes, UINT64_MAX);
    r->loss = total - logit[label];
    r->margin = logit[label] - reference_log_sum(logit, info->classes, (uint64_t)label);
    for (uint64_t c = 0; c < info->classes; c++) r->probability[c] = exp(logit[c] - total);
}

static inline void reference_backward(reference *r, const tamis_model_info *info,
                                      double *const *weight, int32_t label)
{
    uint32_t last = info->layers - 1;
    for (uint64_t c = 0; c < info->classes; c++)
        r->delta[last][c] = r->probability[c] - (c == (uint64_t)label ? 1.0 : 0.0);
    for (uint32_t l = last; l > 0; l--) {
        uint64_t width = info->layer[l].in + info->layer[l].bias;
        for (uint64_t j = 0; j < info->layer[l].in; j++) {
            double sum = 0;
            for (uint64_t o = 0; o < info->layer[l].out; o++)
                sum += r->delta[l][o] * weight[l][o * width + j];
            r->delta[l - 1][j] = sum * reference_slope(info->activation, r->output[l - 1][j]);
        }
    }
}

/* Weights of a checkpoint, widened; freed with reference_weights_free(). */
static inline double **reference_weights(const tamis_model *model, uint32_t checkpoint)
{
    const tamis_model_info *info = tamis_model_info_get(model);
    double **weight = calloc(info->layers, sizeof *weight);
    for (uint32_t l = 0; l < info->layers; l++) {
        uint64_t n = tamis_layer_columns(&info->layer[l]);
        const float *w = tamis_model_weights(model, checkpoint, l);
        weight[l] = calloc(n, sizeof **weight);
        for (uint64_t i = 0; i < n; i++) weight[l][i] = (double)w[i];
    }
    return weight;
}

static inline void reference_weights_free(double **weight, uint32_t layers)
{
    for (uint32_t l = 0; l < layers; l++) free(weight[l]);
    free(weight);
}

/* d loss / d weight by central differences of the forward pass. */
static inline double reference_difference(const tamis_model_info *info, double *const *weight,
                                          uint32_t l, uint64_t i, const float *x, int32_t label)
{
    const double h = 1e-5;
    reference r = {0};
    double kept = weight[l][i];
    weight[l][i] = kept + h;
    reference_forward(&r, info, weight, x, label);
    double above = r.loss;
    weight[l][i] = kept - h;
    reference_forward(&r, info, weight, x, label);
    weight[l][i] = kept;
    return (above - r.loss) / (2.0 * h);
}

/* The reference's data: features and labels from .npy files below tests/data. */
static inline tamis_data *fixture_reference_data(tamis_context *context, const char *x_name,
                                                 const char *y_name)
{
    tamis_error err = {0};
    tamis__npy x, y;
    char path[2][1100];
    snprintf(path[0], sizeof path[0], "%s/%s", test_data("reference/ekfac"), x_name);
    snprintf(path[1], sizeof path[1], "%s/%s", test_data("reference/ekfac"), y_name);
    ck_ok(tamis__npy_open(&x, context, path[0], &err));
    ck_ok(tamis__npy_open(&y, context, path[1], &err));
    tamis_data *data = fixture_data(x.rows, x.cols, 10, 1);
    tamis__npy_rows(&x, 0, x.rows, data->x, x.cols);
    for (uint64_t i = 0; i < y.rows; i++) {
        int64_t label = 0;
        ck_ok(tamis__npy_integer(&y, i, &label, path[1], &err));
        data->label[i] = (int32_t)label;
    }
    tamis__npy_close(&x);
    tamis__npy_close(&y);
    return data;
}

/* --- contexts --------------------------------------------------------------------------------- */

static inline tamis_context *fixture_context(unsigned threads)
{
    tamis_context *context = NULL;
    tamis_error err = {0};
    ck_ok(tamis_context_create(&context, &(tamis_context_params){.threads = threads}, &err));
    return context;
}

#endif
