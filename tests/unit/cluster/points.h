/* Points for the tests of clusters.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_CLUSTER_POINTS_H
#define TAMIS_TEST_CLUSTER_POINTS_H

#include <math.h>

#include "cluster/rows.h"
#include "small_files.h"

static uint64_t draws;

static inline double draw(void)
{
    draws = draws * 6364136223846793005u + 1442695040888963407u;
    return (double)(draws >> 11) * 0x1p-53;
}

static inline double normal(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++) sum += draw();
    return sum - 6;
}

/* `blobs` of points about centres that are `apart` from 0, all moved by `offset` and scaled. */
static inline void make_blobs(float *x, uint64_t n, uint64_t p, int blobs, double apart,
                              double offset, double scale)
{
    double centre[64 * 64];
    draws = 5;
    ck_assert_uint_le((uint64_t)blobs * p, 64 * 64);
    for (uint64_t i = 0; i < (uint64_t)blobs * p; i++) centre[i] = apart * normal();
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t c = 0; c < p; c++)
            x[i * p + c] = (float)(scale *
                                   (offset + centre[i % (uint64_t)blobs * p + c] + normal()));
}

/* Rows of a store that is written for it. */
static inline void open_points(tamis__cluster_rows *rows, tamis_context *context, const char *path,
                               const float *x, uint64_t n, uint64_t p, bool unit)
{
    tamis_error err = {0};
    tamis_store *store = NULL;
    small_store(context, path, TAMIS_F32, n, p, 1, x, NULL, 0);
    ck_ok(tamis_store_open(&store, context, path, &err));
    *rows = (tamis__cluster_rows){.context = context, .store = store, .unit = unit};
    ck_ok(tamis__cluster_rows_open(rows, &err));
}

static inline void close_points(tamis__cluster_rows *rows)
{
    tamis_store *store = rows->store;
    tamis__cluster_rows_close(rows);
    tamis_store_close(&store);
}

static inline double square_between(const float *a, const double *b, uint64_t p)
{
    double sum = 0;
    for (uint64_t c = 0; c < p; c++) sum += ((double)a[c] - b[c]) * ((double)a[c] - b[c]);
    return sum;
}

#endif
