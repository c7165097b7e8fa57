/* Random stores for the tests of the engine and the scorers, and what they should give.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_STORES_H
#define TAMIS_TEST_STORES_H

#include "harness.h"

#include <math.h>
#include <tamis/store.h>

#include "base/mem.h"

static tamis_error err;

typedef struct store_plan {
    const char *path;
    uint64_t rows, columns;
    uint32_t checkpoints;
    tamis_dtype dtype;
    uint64_t shard_rows;
    uint64_t seed;
    double size;       /* 0 = 1: values are multiplied by it */
    uint64_t zero_row; /* this row - 1 is zero; 0 = none */
    const char *layer; /* name of the first layer; NULL = "first" */
} store_plan;

/* A value in [-1, 1) that depends on its place alone. */
static inline float plan_value(const store_plan *p, uint32_t k, uint64_t row, uint64_t column)
{
    uint64_t z = p->seed * 0x9e3779b97f4a7c15u + k * 0xd1b54a32d192ed03u +
                 row * 0xaef17502108ef2d9u + column * 0xf1357aea2e62a9c5u;
    if (p->zero_row == row + 1) return 0.0f;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (float)((double)(int64_t)z * 0x1p-63 * (p->size > 0 ? p->size : 1.0));
}

/* Two layers where there is room for both. */
static inline uint32_t plan_layers(const store_plan *p, tamis_layer layers[2])
{
    memset(layers, 0, 2 * sizeof *layers);
    snprintf(layers[0].name, sizeof layers[0].name, "%s", p->layer ? p->layer : "first");
    snprintf(layers[1].name, sizeof layers[1].name, "second");
    if (p->columns <= 18) {
        layers[0].out = 1, layers[0].in = p->columns;
        return 1;
    }
    layers[0].out = 3, layers[0].in = 5, layers[0].bias = 1;
    layers[1].out = 1, layers[1].in = p->columns - 18;
    return 2;
}

static const tamis_checkpoint plan_checkpoints[3] = {{.step = 10, .learning_rate = 0.5},
                                                     {.step = 20, .learning_rate = 0.1},
                                                     {.step = 30, .learning_rate = 0.02}};

static inline void write_store(tamis_context *context, const store_plan *p)
{
    tamis_layer layers[2];
    tamis_store_spec spec = {.path = p->path,
                             .dtype = p->dtype,
                             .rows = p->rows,
                             .layer = layers,
                             .layers = plan_layers(p, layers),
                             .checkpoint = plan_checkpoints,
                             .checkpoints = p->checkpoints,
                             .shard_rows = p->shard_rows};
    tamis_store_writer *writer = NULL;
    float *gradient[3] = {0};
    ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
    for (uint32_t k = 0; k < p->checkpoints; k++)
        ck_assert_ptr_nonnull(gradient[k] = calloc(p->rows * p->columns, sizeof(float)));
    uint64_t *id = calloc(p->rows, sizeof *id);
    ck_assert_ptr_nonnull(id);
    for (uint64_t i = 0; i < p->rows; i++) {
        id[i] = 7000 + i;
        for (uint32_t k = 0; k < p->checkpoints; k++)
            for (uint64_t c = 0; c < p->columns; c++)
                gradient[k][i * p->columns + c] = plan_value(p, k, i, c);
    }
    tamis_examples examples = {.id_number = id};
    ck_ok(tamis_store_writer_append(writer, p->rows, (const float *const *)gradient, &examples,
                                    NULL, NULL, NULL, &err));
    ck_ok(tamis_store_writer_commit(&writer, &err));
    for (uint32_t k = 0; k < p->checkpoints; k++) free(gradient[k]);
    free(id);
}

static inline tamis_store *make_store(tamis_context *context, const store_plan *p)
{
    tamis_store *store = NULL;
    write_store(context, p);
    ck_ok(tamis_store_open(&store, context, p->path, &err));
    return store;
}

static inline tamis_context *make_context(unsigned threads, uint64_t memory)
{
    tamis_context *context = NULL;
    tamis_context_params params = {.threads = threads, .memory = memory};
    ck_ok(tamis_context_create(&context, &params, &err));
    return context;
}

/* All rows of a checkpoint as doubles, after rounding to the stored type. */
static inline double *read_rows(const tamis_store *store, uint32_t k)
{
    const tamis_store_info *info = tamis_store_info_get(store);
    float *values = calloc(info->rows * info->columns, sizeof *values);
    double *wide = calloc(info->rows * info->columns, sizeof *wide);
    ck_assert(values && wide);
    ck_ok(tamis_store_read(store, k, 0, info->rows, 0, info->columns, values, info->columns, &err));
    for (uint64_t i = 0; i < info->rows * info->columns; i++) wide[i] = (double)values[i];
    free(values);
    return wide;
}

static inline double naive_norm(const store_plan *p, uint32_t k, uint64_t row)
{
    double sum = 0;
    for (uint64_t c = 0; c < p->columns; c++) {
        double value = (double)plan_value(p, k, row, c);
        sum += value * value;
    }
    return sqrt(sum);
}

/* Scores [rows, queries] by plain loops in double; unit rows of zero norm score 0. */
static inline double *naive_scores(const tamis_store *train, const store_plan *t,
                                   const tamis_store *query, const store_plan *q,
                                   const double *weight, bool unit)
{
    double *scores = calloc(t->rows * q->rows, sizeof *scores);
    ck_assert_ptr_nonnull(scores);
    for (uint32_t k = 0; k < t->checkpoints; k++) {
        double *x = read_rows(train, k), *y = read_rows(query, k);
        for (uint64_t i = 0; i < t->rows; i++)
            for (uint64_t j = 0; j < q->rows; j++) {
                double sum = 0;
                for (uint64_t c = 0; c < t->columns; c++)
                    sum += x[i * t->columns + c] * y[j * t->columns + c];
                double norms = unit ? naive_norm(t, k, i) * naive_norm(q, k, j) : 1.0;
                scores[i * q->rows + j] += norms > 0 ? weight[k] * sum / norms : 0.0;
            }
        free(x);
        free(y);
    }
    return scores;
}

/* The largest difference in units of the largest score. */
static inline double worst_difference(const float *got, const double *want, uint64_t n)
{
    double largest = 0, worst = 0;
    for (uint64_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs(want[i]));
        worst = fmax(worst, fabs((double)got[i] - want[i]));
    }
    return largest > 0 ? worst / largest : worst;
}

#endif
