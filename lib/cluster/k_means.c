/* k-means: every point goes to its nearest centroid, every centroid to the mean of its points.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "cluster/k_means.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"

/* Points that are multiplied at once, and shares of the clusters that are added up by one thread
 * each. */
enum { BLOCK = 512, SHARES = 16 };

typedef struct lloyd {
    tamis__cluster_rows *rows;
    const tamis__k_means_params *params;
    tamis__k_means *means;
    double factor;     /* of products, a power of two: points have a length near 1 for them */
    double *origin;    /* [columns] mean of the centroids: what they are measured from */
    float *shifted;    /* [clusters, columns] factor (centroid - origin) */
    double *bias;      /* [clusters] what a product less it is greatest for the nearest */
    double margin;     /* of a product, times the length of a point: what it may be wrong by */
    double *square;    /* [clusters] |centroid|^2 */
    float **product;   /* [threads] of [BLOCK, clusters] */
    double *sum;       /* [clusters, columns] of a cluster's points */
    uint64_t *moved;   /* [blocks of a chunk] points that changed the cluster */
    const float *some; /* the chunk */
    uint64_t first, n; /* and which points it is */
} lloyd;

/* --- the nearest centroid --------------------------------------------------------------------- */

/* From a common origin, so that differences of centroids that are small beside their length are not
 * lost in a product of floats. */
static void prepare(lloyd *l)
{
    uint64_t k = l->means->clusters, p = l->means->columns;
    memset(l->origin, 0, p * sizeof *l->origin);
    for (uint64_t j = 0; j < k; j++)
        for (uint64_t c = 0; c < p; c++) l->origin[c] += l->means->centroid[j * p + c];
    for (uint64_t c = 0; c < p; c++) l->origin[c] /= (double)k;
    double longest = 0;
    for (uint64_t j = 0; j < k; j++) {
        double bias = 0, square = 0, length = 0;
        for (uint64_t c = 0; c < p; c++) {
            double x = l->means->centroid[j * p + c], d = x - l->origin[c];
            length += d * d;
            bias += d * (l->origin[c] + d / 2);
            square += x * x;
            l->shifted[j * p + c] = (float)(l->factor * d);
        }
        l->bias[j] = l->factor * bias;
        l->square[j] = square;
        longest = fmax(longest, length);
    }
    l->margin = l->factor * sqrt(longest) * 2 * (2 + sqrt((double)p)) * (double)FLT_EPSILON;
}

static double squared_distance(const lloyd *l, const float *x, double square, uint64_t j)
{
    uint64_t p = l->means->columns;
    double dot = 0, own = square + l->square[j];
    l->rows->dots.floats(&dot, 1, l->means->centroid + j * p, 0, x, p, 1, p);
    /* What rounding makes of equal points is no distance. */
    return own - 2 * dot > 1e-13 * own ? own - 2 * dot : 0;
}

/* The nearest by products of floats. Where others are as near within what those may be wrong by,
 * the nearest of them by products in double. */
static uint32_t nearest(const lloyd *l, const float *x, double square, const float *product)
{
    const tamis__k_means *m = l->means;
    double least = (double)INFINITY, most = -(double)INFINITY, margin = l->margin * sqrt(square);
    uint32_t best = 0;
    for (uint64_t j = 0; j < m->clusters; j++) {
        double score = (double)product[j] - l->bias[j];
        if (score > most) most = score, best = (uint32_t)j;
    }
    uint64_t rivals = 0;
    for (uint64_t j = 0; j < m->clusters; j++)
        rivals += (double)product[j] - l->bias[j] >= most - margin;
    for (uint64_t j = 0; j < m->clusters && rivals > 1; j++) {
        if ((double)product[j] - l->bias[j] < most - margin) continue;
        double d = squared_distance(l, x, square, j);
        if (d < least) least = d, best = (uint32_t)j;
    }
    return best;
}

static tamis_status assign_block(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                 tamis_error *err)
{
    (void)slot;
    lloyd *l = arg;
    tamis__k_means *m = l->means;
    uint64_t at = item * BLOCK, left = l->n - at, rows = left < BLOCK ? left : BLOCK,
             p = m->columns, k = m->clusters;
    const float *x = l->some + at * p;
    float *product = l->product[worker];
    TAMIS_TRY(tamis__sgemm(false, true, rows, k, p, 1, x, p, l->shifted, p, 0, product, k, err));
    for (uint64_t i = 0; i < rows; i++) {
        uint64_t row = l->first + at + i;
        double square = l->rows->square[row];
        uint32_t j = nearest(l, x + i * p, square, product + i * k);
        m->distance[row] = squared_distance(l, x + i * p, square, j);
        l->moved[item] += m->cluster[row] != j;
        m->cluster[row] = j;
    }
    return TAMIS_OK;
}

/* --- sums ------------------------------------------------------------------------------------- */

/* A thread has clusters of its own, and takes their points in order. */
static tamis_status add_share(void *arg, uint64_t item, unsigned slot, unsigned worker,
                              tamis_error *err)
{
    (void)slot;
    (void)worker;
    (void)err;
    lloyd *l = arg;
    uint64_t p = l->means->columns;
    const uint32_t *cluster = l->means->cluster + l->first;
    for (uint64_t i = 0; i < l->n; i++)
        if (cluster[i] % SHARES == item)
            l->rows->dots.add(l->sum + cluster[i] * p, l->some + i * p, p);
    return TAMIS_OK;
}

static tamis_status pass_chunk(lloyd *l, uint64_t *moved, tamis_error *err)
{
    tamis__pool *pool = l->rows->context->pool;
    uint64_t blocks = (l->n + BLOCK - 1) / BLOCK;
    const tamis__pipeline assign = {.arg = l, .items = blocks, .work = assign_block},
                          add = {.arg = l, .items = SHARES, .work = add_share};
    memset(l->moved, 0, blocks * sizeof *l->moved);
    tamis__blas_begin();
    tamis_status status = tamis__pool_run(pool, &assign, err);
    tamis__blas_end();
    TAMIS_TRY(status);
    for (uint64_t b = 0; b < blocks; b++) *moved += l->moved[b];
    return tamis__pool_run(pool, &add, err);
}

/* All points once: clusters, distances, sizes, sums. */
static tamis_status pass(lloyd *l, uint64_t *ret_moved, tamis_error *err)
{
    tamis__k_means *m = l->means;
    uint64_t moved = 0, rows = l->rows->n;
    prepare(l);
    memset(l->sum, 0, m->clusters * m->columns * sizeof *l->sum);
    memset(m->size, 0, m->clusters * sizeof *m->size);
    for (l->first = 0; l->first < rows; l->first += l->n) {
        l->n = rows - l->first < l->rows->chunk ? rows - l->first : l->rows->chunk;
        TAMIS_TRY(tamis__cluster_rows_some(l->rows, l->first, l->n, &l->some, err));
        TAMIS_TRY(pass_chunk(l, &moved, err));
    }
    m->objective = 0;
    for (uint64_t i = 0; i < rows; i++) {
        m->objective += m->distance[i];
        m->size[m->cluster[i]]++;
    }
    *ret_moved = moved;
    return TAMIS_OK;
}

/* --- new centroids ---------------------------------------------------------------------------- */

/* The farthest point that its cluster can spare; n = there is none. */
static uint64_t farthest(const lloyd *l)
{
    const tamis__k_means *m = l->means;
    uint64_t best = l->rows->n;
    double most = 0;
    for (uint64_t i = 0; i < l->rows->n; i++)
        if (m->distance[i] > most && m->size[m->cluster[i]] > 1) most = m->distance[i], best = i;
    return best;
}

static tamis_status fill(lloyd *l, uint64_t empty, uint64_t row, float *x, tamis_error *err)
{
    tamis__k_means *m = l->means;
    uint64_t p = m->columns, from = m->cluster[row];
    tamis__blas_begin();
    tamis_status status = tamis__cluster_rows_take(l->rows, &row, 1, 0, x, err);
    tamis__blas_end();
    TAMIS_TRY(status);
    for (uint64_t c = 0; c < p; c++) {
        l->sum[from * p + c] -= (double)x[c];
        l->sum[empty * p + c] = (double)x[c];
    }
    m->size[from]--;
    m->size[empty] = 1;
    m->cluster[row] = (uint32_t)empty;
    m->distance[row] = 0;
    return TAMIS_OK;
}

static tamis_status fill_empty(lloyd *l, bool *ret_filled, tamis_error *err)
{
    tamis_status status = TAMIS_OK;
    float *x = tamis__malloc(l->means->columns, sizeof *x);
    if (!x) return tamis__fail_memory(err, "a row", l->means->columns * sizeof *x);
    for (uint64_t j = 0; j < l->means->clusters && status == TAMIS_OK; j++) {
        uint64_t row = l->means->size[j] > 0 ? l->rows->n : farthest(l);
        if (row == l->rows->n) continue;
        status = fill(l, j, row, x, err);
        *ret_filled = true;
    }
    free(x);
    return status;
}

/* A cluster without points keeps its centroid, and so does one whose points cancel where only their
 * direction counts. */
static void move_centroids(lloyd *l)
{
    tamis__k_means *m = l->means;
    uint64_t p = m->columns;
    for (uint64_t j = 0; j < m->clusters; j++) {
        const double *sum = l->sum + j * p;
        double divisor = (double)m->size[j], square = 0;
        for (uint64_t c = 0; c < p; c++) square += sum[c] * sum[c];
        if (l->params->spherical) divisor = sqrt(square);
        for (uint64_t c = 0; divisor > 0 && c < p; c++) m->centroid[j * p + c] = sum[c] / divisor;
    }
}

static tamis_status iterate(lloyd *l, tamis_error *err)
{
    tamis__k_means *m = l->means;
    double before = (double)INFINITY;
    for (;;) {
        uint64_t moved;
        bool filled = false;
        TAMIS_TRY(pass(l, &moved, err));
        m->iterations++;
        bool has_empty = false;
        for (uint64_t j = 0; j < m->clusters; j++) has_empty |= m->size[j] == 0;
        bool still = moved == 0 || before - m->objective <= l->params->tolerance * before;
        m->converged = m->iterations > 1 && still && (!has_empty || farthest(l) == l->rows->n);
        if (m->converged || m->iterations == l->params->iterations) return TAMIS_OK;
        if (has_empty) TAMIS_TRY(fill_empty(l, &filled, err));
        move_centroids(l);
        before = filled ? (double)INFINITY : m->objective;
        TAMIS_TRY(tamis__progress(l->rows->context, "clusters", m->iterations,
                                  l->params->iterations, "iterations", NULL, err));
    }
}

/* --- memory ----------------------------------------------------------------------------------- */

static tamis_status allocate(lloyd *l, tamis_error *err)
{
    tamis__k_means *m = l->means;
    unsigned threads = tamis_context_threads(l->rows->context);
    uint64_t k = m->clusters, p = m->columns, n = l->rows->n;
    uint64_t bytes = n * (sizeof *m->cluster + sizeof *m->distance) +
                     k * p * (2 * sizeof(double) + sizeof(float)) +
                     threads * BLOCK * k * sizeof(float);
    TAMIS_TRY(tamis__memory_check(l->rows->context, l->rows->bytes + bytes,
                                  "clusters (take fewer, or project the rows)", err));
    m->cluster = tamis__calloc(n, sizeof *m->cluster);
    m->distance = tamis__malloc(n, sizeof *m->distance);
    m->size = tamis__malloc(k, sizeof *m->size);
    m->centroid = tamis__malloc(k * p, sizeof *m->centroid);
    l->origin = tamis__malloc(p, sizeof *l->origin);
    l->shifted = tamis__aligned(k * p, sizeof *l->shifted);
    l->bias = tamis__malloc(k, sizeof *l->bias);
    l->square = tamis__malloc(k, sizeof *l->square);
    l->sum = tamis__aligned(k * p, sizeof *l->sum);
    l->moved = tamis__malloc(l->rows->chunk / BLOCK + 1, sizeof *l->moved);
    l->product = tamis__calloc(threads, sizeof *l->product);
    bool all = m->cluster && m->distance && m->size && m->centroid && l->origin && l->shifted &&
               l->bias && l->square && l->sum && l->moved && l->product;
    for (unsigned t = 0; all && t < threads; t++)
        all = (l->product[t] = tamis__aligned(BLOCK * k, sizeof **l->product)) != NULL;
    return all ? TAMIS_OK : tamis__fail_memory(err, "clusters", bytes);
}

static void release(lloyd *l)
{
    for (unsigned t = 0; l->product && t < tamis_context_threads(l->rows->context); t++)
        free(l->product[t]);
    free(l->product);
    free(l->origin);
    free(l->shifted);
    free(l->bias);
    free(l->square);
    free(l->sum);
    free(l->moved);
}

void tamis__k_means_fini(tamis__k_means *m)
{
    free(m->cluster);
    free(m->distance);
    free(m->size);
    free(m->centroid);
    *m = (tamis__k_means){0};
}

static double factor_for(const tamis__cluster_rows *rows)
{
    int exponent;
    double most = 0;
    for (uint64_t i = 0; i < rows->n; i++) most = fmax(most, rows->square[i]);
    if (!(most > 0)) return 1;
    frexp(most, &exponent);
    return ldexp(1, -exponent < -120 ? -120 : -exponent > 120 ? 120 : -exponent);
}

tamis_status tamis__k_means_find(tamis__cluster_rows *rows, const tamis__k_means_params *params,
                                 tamis__k_means *ret_means, tamis_error *err)
{
    tamis__k_means means = {.clusters = params->clusters, .columns = rows->columns};
    lloyd l = {.rows = rows, .params = params, .means = &means, .factor = factor_for(rows)};
    tamis_status status = allocate(&l, err);
    if (status == TAMIS_OK)
        status = tamis__k_means_seed(rows, params->clusters, params->seed, means.centroid, err);
    if (status == TAMIS_OK) status = iterate(&l, err);
    release(&l);
    if (status == TAMIS_OK)
        *ret_means = means;
    else
        tamis__k_means_fini(&means);
    return status;
}
