/* Seeds of k-means.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cluster/k_means.h"
#include "linalg/blas.h"

enum { LEAST = 4096, PER_CLUSTER = 16, BLOCK = 256, MOST_TRIALS = 32 };

typedef struct seeding {
    const tamis__cluster_rows *rows;
    uint64_t n, columns, *at; /* [n] which points are in the sample */
    float *point;             /* [n, columns] */
    double *square, *near;    /* [n] |x|^2; squared distance to the nearest seed */
    uint64_t trials, trial[MOST_TRIALS];
    double *candidate; /* [trials, columns] */
    double *nearer;    /* [trials, n] what `near` would become */
    double *sum;       /* [blocks, trials] of it */
} seeding;

/* --- the sample ------------------------------------------------------------------------------- */

/* One of each stretch of the points, anywhere in it. */
static void pick(seeding *s, gsl_rng *rng, uint64_t seed)
{
    uint64_t all = s->rows->n;
    for (uint64_t i = 0; i < s->n; i++) {
        uint64_t first = (uint64_t)((double)i * (double)all / (double)s->n),
                 end = (uint64_t)((double)(i + 1) * (double)all / (double)s->n);
        s->at[i] = first;
        if (s->n == all || end <= first + 1) continue;
        tamis__rng_key(rng, seed, TAMIS__STREAM_CLUSTER, i);
        s->at[i] += (uint64_t)(gsl_rng_uniform(rng) * (double)(end - first));
    }
}

static tamis_status take_block(void *arg, uint64_t item, unsigned slot, unsigned worker,
                               tamis_error *err)
{
    (void)slot;
    seeding *s = arg;
    uint64_t first = item * BLOCK, n = s->n - first < BLOCK ? s->n - first : BLOCK;
    TAMIS_TRY(tamis__cluster_rows_take(s->rows, s->at + first, n, worker,
                                       s->point + first * s->columns, err));
    for (uint64_t i = first; i < first + n; i++) s->square[i] = s->rows->square[s->at[i]];
    return TAMIS_OK;
}

static tamis_status
run_blocks(seeding *s, tamis_status (*work)(void *, uint64_t, unsigned, unsigned, tamis_error *),
           tamis_error *err)
{
    const tamis__pipeline pipeline = {.arg = s, .items = (s->n + BLOCK - 1) / BLOCK, .work = work};
    tamis__blas_begin();
    tamis_status status = tamis__pool_run(s->rows->context->pool, &pipeline, err);
    tamis__blas_end();
    return status;
}

/* --- trials ----------------------------------------------------------------------------------- */

/* What remains of equal points after rounding is no distance. */
static double squared_distance(double a, double b, double dot)
{
    double d = a + b - 2 * dot;
    return d > 1e-13 * (a + b) ? d : 0;
}

static tamis_status try_block(void *arg, uint64_t item, unsigned slot, unsigned worker,
                              tamis_error *err)
{
    (void)slot;
    (void)worker;
    (void)err;
    seeding *s = arg;
    uint64_t first = item * BLOCK, n = s->n - first < BLOCK ? s->n - first : BLOCK;
    double dot[BLOCK];
    for (uint64_t t = 0; t < s->trials; t++) {
        double sum = 0, *nearer = s->nearer + t * s->n;
        memset(dot, 0, sizeof dot);
        s->rows->dots.floats(dot, 1, s->candidate + t * s->columns, 0,
                             s->point + first * s->columns, s->columns, n, s->columns);
        for (uint64_t i = first; i < first + n; i++) {
            double d = squared_distance(s->square[i], s->square[s->trial[t]], dot[i - first]);
            nearer[i] = d < s->near[i] ? d : s->near[i];
            sum += nearer[i];
        }
        s->sum[item * s->trials + t] = sum;
    }
    return TAMIS_OK;
}

/* Of the trials that make the sum least, the first. */
static uint64_t best_trial(const seeding *s)
{
    uint64_t best = 0, blocks = (s->n + BLOCK - 1) / BLOCK;
    double least = (double)INFINITY;
    for (uint64_t t = 0; t < s->trials; t++) {
        double sum = 0;
        for (uint64_t b = 0; b < blocks; b++) sum += s->sum[b * s->trials + t];
        if (sum < least) least = sum, best = t;
    }
    return best;
}

/* Points drawn by their share of `near`; by the first that has one when all of it is rounding. */
static void draw(seeding *s, gsl_rng *rng, uint64_t trials)
{
    double sum = 0;
    for (uint64_t i = 0; i < s->n; i++) sum += s->near[i];
    s->trials = trials;
    for (uint64_t t = 0; t < trials; t++) {
        double left = gsl_rng_uniform(rng) * sum;
        uint64_t i = 0;
        while (i + 1 < s->n && (left -= s->near[i]) >= 0) i++;
        while (i > 0 && !(s->near[i] > 0)) i--;
        s->trial[t] = i;
    }
}

static tamis_status seed_next(seeding *s, double *centroid, tamis_error *err)
{
    for (uint64_t t = 0; t < s->trials; t++)
        for (uint64_t c = 0; c < s->columns; c++)
            s->candidate[t * s->columns + c] = (double)s->point[s->trial[t] * s->columns + c];
    TAMIS_TRY(run_blocks(s, try_block, err));
    uint64_t best = best_trial(s);
    memcpy(centroid, s->candidate + best * s->columns, s->columns * sizeof *centroid);
    memcpy(s->near, s->nearer + best * s->n, s->n * sizeof *s->near);
    return TAMIS_OK;
}

static tamis_status find_seeds(seeding *s, uint64_t clusters, uint64_t seed, gsl_rng *rng,
                               double *centroid, tamis_error *err)
{
    uint64_t trials = 2 + (uint64_t)log((double)clusters);
    pick(s, rng, seed);
    TAMIS_TRY(run_blocks(s, take_block, err));
    for (uint64_t i = 0; i < s->n; i++) s->near[i] = (double)INFINITY;
    tamis__rng_key(rng, seed, TAMIS__STREAM_CLUSTER, UINT64_MAX);
    s->trials = 1;
    s->trial[0] = (uint64_t)(gsl_rng_uniform(rng) * (double)s->n);
    for (uint64_t k = 0; k < clusters; k++) {
        if (k > 0) draw(s, rng, trials < MOST_TRIALS ? trials : MOST_TRIALS);
        TAMIS_TRY(seed_next(s, centroid + k * s->columns, err));
        TAMIS_TRY(
            tamis__progress(s->rows->context, "seeds", k + 1, clusters, "clusters", NULL, err));
    }
    return TAMIS_OK;
}

/* --- memory ----------------------------------------------------------------------------------- */

static tamis_status allocate(seeding *s, tamis_error *err)
{
    uint64_t blocks = (s->n + BLOCK - 1) / BLOCK,
             bytes = s->n * (s->columns * sizeof(float) + (MOST_TRIALS + 3) * sizeof(double));
    TAMIS_TRY(tamis__memory_check(s->rows->context, s->rows->bytes + bytes,
                                  "seeds of clusters (project the rows, or take fewer clusters)",
                                  err));
    s->at = tamis__malloc(s->n, sizeof *s->at);
    s->point = tamis__aligned(s->n * s->columns, sizeof *s->point);
    s->square = tamis__malloc(s->n, sizeof *s->square);
    s->near = tamis__malloc(s->n, sizeof *s->near);
    s->candidate = tamis__malloc(MOST_TRIALS * s->columns, sizeof *s->candidate);
    s->nearer = tamis__malloc(MOST_TRIALS * s->n, sizeof *s->nearer);
    s->sum = tamis__malloc(MOST_TRIALS * blocks, sizeof *s->sum);
    if (s->at && s->point && s->square && s->near && s->candidate && s->nearer && s->sum)
        return TAMIS_OK;
    return tamis__fail_memory(err, "seeds of clusters", bytes);
}

static void release(seeding *s)
{
    free(s->at);
    free(s->point);
    free(s->square);
    free(s->near);
    free(s->candidate);
    free(s->nearer);
    free(s->sum);
}

tamis_status tamis__k_means_seed(tamis__cluster_rows *rows, uint64_t clusters, uint64_t seed,
                                 double *centroid, tamis_error *err)
{
    uint64_t n = clusters * PER_CLUSTER > LEAST ? clusters * PER_CLUSTER : LEAST;
    seeding s = {.rows = rows, .n = n < rows->n ? n : rows->n, .columns = rows->columns};
    gsl_rng *rng = tamis__rng_create();
    tamis_status status = rng ? allocate(&s, err) : tamis__fail_memory(err, "random numbers", 0);
    if (status == TAMIS_OK) status = find_seeds(&s, clusters, seed, rng, centroid, err);
    if (rng) gsl_rng_free(rng);
    release(&s);
    return status;
}
