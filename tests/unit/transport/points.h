/* Random points, weights and costs for the tests of transport.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_TRANSPORT_POINTS_H
#define TAMIS_TEST_TRANSPORT_POINTS_H

#include <math.h>
#include <tamis/transport.h>

#include "base/rng.h"
#include "import/npy.h"
#include "small_files.h"

static inline gsl_rng *random_of(uint64_t item)
{
    gsl_rng *rng = tamis__rng_create();
    tamis__rng_key(rng, 7, TAMIS__STREAM_TEST, item);
    return rng;
}

/* [rows, columns] in [-1, 1). */
static inline float *random_points(gsl_rng *rng, uint64_t rows, uint64_t columns)
{
    float *x = calloc(rows * columns, sizeof *x);
    for (uint64_t i = 0; i < rows * columns; i++) x[i] = (float)(2 * gsl_rng_uniform(rng) - 1);
    return x;
}

/* Sum 1; every seventh is 0 when there are that many. */
static inline double *random_weights(gsl_rng *rng, uint64_t n)
{
    double *w = calloc(n, sizeof *w), sum = 0;
    for (uint64_t i = 0; i < n; i++) sum += w[i] = i % 7 == 6 ? 0 : gsl_rng_uniform(rng) + 0.01;
    for (uint64_t i = 0; i < n; i++) w[i] /= sum;
    return w;
}

static inline double distance_of(const float *x, const float *y, uint64_t columns,
                                 tamis_transport_cost cost)
{
    double square = 0, xx = 0, yy = 0;
    for (uint64_t c = 0; c < columns; c++) {
        xx += (double)x[c] * (double)x[c];
        yy += (double)y[c] * (double)y[c];
    }
    double fx = cost == TAMIS_COST_COSINE ? 1 / sqrt(xx) : 1;
    double fy = cost == TAMIS_COST_COSINE ? 1 / sqrt(yy) : 1;
    for (uint64_t c = 0; c < columns; c++) {
        double difference = (double)x[c] * fx - (double)y[c] * fy;
        square += difference * difference;
    }
    return cost == TAMIS_COST_SQEUCLIDEAN ? square : sqrt(square);
}

static inline double *costs_of(const float *x, uint64_t n, const float *y, uint64_t m,
                               uint64_t columns, tamis_transport_cost cost)
{
    double *c = calloc(n * m, sizeof *c);
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t j = 0; j < m; j++)
            c[i * m + j] = distance_of(x + i * columns, y + j * columns, columns, cost);
    return c;
}

/* --- the reference's files -------------------------------------------------------------------- */

/* An array of doubles, copied. */
static inline double *reference_f8(const char *folder, const char *name, const char *what,
                                   uint64_t *ret_rows, uint64_t *ret_columns)
{
    char path[200];
    tamis_error err = {0};
    tamis__npy npy;
    snprintf(path, sizeof path, "reference/%s/%s_%s.npy", folder, name, what);
    ck_ok(tamis__npy_open(&npy, NULL, test_data(path), &err));
    ck_assert_int_eq(npy.type, TAMIS__NPY_F8);
    double *values = malloc(npy.rows * npy.cols * sizeof *values);
    memcpy(values, npy.data, npy.rows * npy.cols * sizeof *values);
    if (ret_rows) *ret_rows = npy.rows;
    if (ret_columns) *ret_columns = npy.cols;
    tamis__npy_close(&npy);
    return values;
}

/* Costs between the reference's points, which are doubles. */
static inline double *reference_costs(const double *x, uint64_t n, const double *y, uint64_t m,
                                      uint64_t columns, bool root)
{
    double *c = calloc(n * m, sizeof *c);
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t j = 0; j < m; j++) {
            double square = 0;
            for (uint64_t k = 0; k < columns; k++) {
                double difference = x[i * columns + k] - y[j * columns + k];
                square += difference * difference;
            }
            c[i * m + j] = root ? sqrt(square) : square;
        }
    return c;
}

/* The number behind a key, after the places of the other texts in values.json. */
static inline double reference_value(const char *json, const char *const *keys)
{
    const char *at = json;
    for (; *keys; keys++) {
        char quoted[80];
        snprintf(quoted, sizeof quoted, "\"%s\":", *keys);
        at = strstr(at, quoted);
        ck_assert_msg(at != NULL, "no %s", quoted);
        at += strlen(quoted);
    }
    return strtod(at, NULL);
}

#endif
