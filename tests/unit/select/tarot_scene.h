/* Candidates and targets for the tests of the TAROT selectors.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TEST_TAROT_SCENE_H
#define TAMIS_TEST_TAROT_SCENE_H

#include <math.h>
#include <tamis/curvature.h>
#include <tamis/select.h>

#include "small_files.h"

static tamis_context *context;

static inline void setup(void)
{
    enter_scratch();
    context = small_context(2);
}

static inline void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

/* Opens what it is given, by the names of files. */
typedef struct inputs {
    tamis_store *train, *query;
    tamis_curvature *curvature;
} inputs;

static inline void open_inputs(inputs *in, tamis_context *with, const char *train,
                               const char *query, const char *curvature)
{
    tamis_error err = {0};
    *in = (inputs){0};
    ck_ok(tamis_store_open(&in->train, with, train, &err));
    ck_ok(tamis_store_open(&in->query, with, query, &err));
    if (curvature) ck_ok(tamis_curvature_open(&in->curvature, with, curvature, &err));
}

static inline void close_inputs(inputs *in)
{
    tamis_store_close(&in->train);
    tamis_store_close(&in->query);
    tamis_curvature_close(&in->curvature);
}

static inline tamis_status choose(tamis_context *with, const inputs *in, const char *selector,
                                  const char *budget, uint64_t seed, tamis_selection **ret,
                                  tamis_error *err)
{
    tamis_select_params params = {.selector = selector,
                                  .train = in->train,
                                  .query = in->query,
                                  .curvature = in->curvature,
                                  .budget = budget,
                                  .seed = seed,
                                  .provenance = "{\"by\":\"a test\"}"};
    return tamis_select(ret, with, &params, err);
}

/* --- rows with ties -------------------------------------------------------------------------- */

enum { N = 90, M = 7, COLUMNS = 5 };

static uint64_t draws;

static inline float draw(void)
{
    draws = draws * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(draws >> 11) * 0x1p-53 * 2 - 1);
}

/* Every third candidate is the one before it once more, so that scores tie. */
static inline void small_pair(float *train, float *query)
{
    draws = 17;
    for (int i = 0; i < N * COLUMNS; i++) train[i] = draw();
    for (int i = 2; i < N; i += 3)
        memcpy(train + i * COLUMNS, train + (i - 1) * COLUMNS, COLUMNS * sizeof *train);
    for (int i = 0; i < M * COLUMNS; i++) query[i] = draw();
    small_store(context, "c.h5", TAMIS_F32, N, COLUMNS, 2, train, NULL, 0);
    small_store(context, "t.h5", TAMIS_F32, M, COLUMNS, 2, query, NULL, 0);
}

static inline double cosine(const float *a, const float *b)
{
    double ab = 0, aa = 0, bb = 0;
    for (int c = 0; c < COLUMNS; c++) {
        ab += (double)a[c] * (double)b[c];
        aa += (double)a[c] * (double)a[c];
        bb += (double)b[c] * (double)b[c];
    }
    return ab / sqrt(aa * bb);
}

/* The candidate of place `at` of a target; equal scores by row. */
static inline int place(const float *train, const float *target, int at)
{
    for (int i = 0; i < N; i++) {
        double own = cosine(train + i * COLUMNS, target);
        int before = 0;
        for (int k = 0; k < N; k++) {
            double other = cosine(train + k * COLUMNS, target);
            before += other > own || (k < i && other == own);
        }
        if (before == at) return i;
    }
    return -1;
}

#endif
