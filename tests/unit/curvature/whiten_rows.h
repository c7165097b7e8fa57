/* Rows with large means and correlated columns, and their moments in plain loops.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_WHITEN_ROWS_H
#define TAMIS_TEST_WHITEN_ROWS_H

#include "stream/stores.h"

#include <tamis/curvature.h>

#include "curvature/whiten.h"
#include "curvature/whitening.h"
#include "store/curvature_file.h"

enum { CHECKPOINTS = 2, COLUMNS = 150, TRAIN = 1100, TARGETS = 90 };

/* A store written from values [checkpoints] of [rows, columns]. */
typedef struct table {
    const char *path;
    uint64_t rows, columns, shard_rows;
    uint32_t checkpoints;
    float *value[2];
    tamis_dtype dtype;
} table;

static inline table make_table(const char *path, uint64_t seed, uint64_t rows, uint64_t columns,
                               uint32_t checkpoints)
{
    table t = {.path = path, .rows = rows, .columns = columns, .checkpoints = checkpoints};
    const store_plan noise = {.seed = seed, .rows = rows, .columns = columns};
    for (uint32_t k = 0; k < checkpoints; k++) {
        t.value[k] = calloc(rows * columns, sizeof(float));
        ck_assert_ptr_nonnull(t.value[k]);
        for (uint64_t i = 0; i < rows; i++)
            for (uint64_t c = 0; c < columns; c++) {
                float x = plan_value(&noise, k, i, c), y = plan_value(&noise, k, i, c / 2);
                t.value[k][i * columns + c] = (x + 0.8f * y) * (float)(1 + c % 7) +
                                              (float)(40 * (c % 5));
            }
    }
    return t;
}

static inline void free_table(table *t)
{
    for (int k = 0; k < 2; k++) free(t->value[k]);
    *t = (table){0};
}

static inline tamis_store *store_of(tamis_context *context, const table *t)
{
    tamis_layer layer = {.name = "rows", .out = 1, .in = t->columns};
    tamis_store_spec spec = {.path = t->path,
                             .rows = t->rows,
                             .layer = &layer,
                             .layers = 1,
                             .checkpoint = plan_checkpoints,
                             .checkpoints = t->checkpoints,
                             .dtype = t->dtype,
                             .shard_rows = t->shard_rows,
                             .force = true};
    const float *value[2] = {t->value[0], t->value[1]};
    tamis_store_writer *writer = NULL;
    tamis_store *store = NULL;
    ck_ok(tamis_store_writer_open(&writer, context, &spec, &err));
    ck_ok(tamis_store_writer_append(writer, t->rows, value, NULL, NULL, NULL, NULL, &err));
    ck_ok(tamis_store_writer_commit(&writer, &err));
    ck_ok(tamis_store_open(&store, context, t->path, &err));
    return store;
}

/* Sums over checkpoints of all rows of the tables, one after the other. */
static inline double *rows_of_tables(const table *t, size_t n, uint64_t *ret_rows)
{
    uint64_t rows = 0, at = 0, p = t->columns;
    for (size_t i = 0; i < n; i++) rows += t[i].rows;
    double *x = calloc(rows * p, sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < n; at += t[i++].rows * p)
        for (uint64_t v = 0; v < t[i].rows * p; v++)
            for (uint32_t k = 0; k < t[i].checkpoints; k++) x[at + v] += (double)t[i].value[k][v];
    *ret_rows = rows;
    return x;
}

/* About the mean, with the mean itself taken away from x. */
typedef struct plain {
    uint64_t rows, p;
    double *x, *mean, *scatter, *third, fourth;
} plain;

static inline plain plain_of(const table *t, size_t n)
{
    plain m = {.p = t->columns};
    m.x = rows_of_tables(t, n, &m.rows);
    m.mean = calloc(m.p, sizeof(double));
    m.scatter = calloc(m.p * m.p, sizeof(double));
    m.third = calloc(m.p, sizeof(double));
    ck_assert(m.mean && m.scatter && m.third);
    for (uint64_t c = 0; c < m.p; c++) {
        long double sum = 0;
        for (uint64_t i = 0; i < m.rows; i++) sum += (long double)m.x[i * m.p + c];
        m.mean[c] = (double)(sum / (long double)m.rows);
    }
    for (uint64_t i = 0; i < m.rows; i++) {
        double *y = m.x + i * m.p, square = 0;
        for (uint64_t c = 0; c < m.p; c++) {
            y[c] -= m.mean[c];
            square += y[c] * y[c];
        }
        for (uint64_t a = 0; a < m.p; a++) {
            m.third[a] += square * y[a];
            for (uint64_t b = 0; b < m.p; b++) m.scatter[a * m.p + b] += y[a] * y[b];
        }
        m.fourth += square * square;
    }
    return m;
}

static inline void free_plain(plain *m)
{
    free(m->x);
    free(m->mean);
    free(m->scatter);
    free(m->third);
}

static inline double *array(const tamis_curvature *c, tamis__curvature_array which)
{
    const tamis__curvature_place place = {.array = which};
    double *values = calloc(tamis__curvature_values(tamis_curvature_info_get(c), &place),
                            sizeof *values);
    ck_assert_ptr_nonnull(values);
    ck_ok(tamis__curvature_read(c, &place, values, &err));
    return values;
}

static inline tamis_curvature *open_curvature(tamis_context *context, const char *path)
{
    tamis_curvature *c = NULL;
    ck_ok(tamis_curvature_open(&c, context, path, &err));
    return c;
}

/* Largest difference over the largest value. */
static inline double off(const double *got, const double *want, uint64_t n)
{
    double worst = 0, most = 0;
    for (uint64_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs(got[i] - want[i]));
        most = fmax(most, fabs(want[i]));
    }
    return worst / most;
}

static inline tamis_fit_curvature_params whiten_params(tamis_store *train, const char *path,
                                                       tamis_curvature_stage until,
                                                       const tamis_whiten_params *whiten)
{
    return (tamis_fit_curvature_params){.kind = TAMIS_CURVATURE_WHITEN,
                                        .train = train,
                                        .until = until,
                                        .whiten = whiten,
                                        .path = path,
                                        .force = true};
}

#endif
