/* Clusters of candidates: how far each, and the nearest ones together, are from the targets.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "cluster/k_center.h"
#include "linalg/blas.h"
#include "select/fid.h"

enum { ROWS = TAMIS__FEATURE_ROWS };

/* --- points by cluster ------------------------------------------------------------------------ */

static void sort_points(tamis__fid *f)
{
    uint64_t k = f->means.clusters;
    for (uint64_t j = 0; j < k; j++) f->first[j + 1] = f->first[j] + f->means.size[j];
    for (uint64_t i = 0; i < f->rows.n; i++) f->at[f->first[f->means.cluster[i]]++] = i;
    for (uint64_t j = k; j > 0; j--) f->first[j] = f->first[j - 1];
    f->first[0] = 0;
}

/* --- distances -------------------------------------------------------------------------------- */

typedef struct measuring {
    tamis__fid *fid;
    uint64_t numbers;        /* of a work space */
    double **work;           /* [threads] */
    float **rows;            /* [threads] of [ROWS, columns] */
    tamis__frechet_set sum;  /* of the clusters so far */
    tamis__frechet_set *set; /* [slots] copies of it */
} measuring;

static tamis_status measure_cluster(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                    tamis_error *err)
{
    (void)slot;
    measuring *m = arg;
    tamis__fid *f = m->fid;
    uint64_t end = f->first[item + 1];
    for (uint64_t i = f->first[item], n; i < end; i += n) {
        n = end - i < ROWS ? end - i : ROWS;
        TAMIS_TRY(tamis__cluster_rows_take(&f->rows, f->at + i, n, worker, m->rows[worker], err));
        TAMIS_TRY(tamis__frechet_set_add(&f->set[item], &f->frechet, m->rows[worker], n,
                                         m->work[worker], err));
    }
    f->distance[item] = (double)INFINITY;
    if (f->set[item].rows == 0) return TAMIS_OK;
    return tamis__frechet_distance(&f->frechet, &f->set[item], m->work[worker], &f->distance[item],
                                   err);
}

static tamis_status tell(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)slot;
    const measuring *m = arg;
    return tamis__progress(m->fid->rows.context, "distances", item + 1, m->fid->means.clusters,
                           "clusters", NULL, err);
}

static tamis_status add_next(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    measuring *m = arg;
    tamis__fid *f = m->fid;
    (void)err;
    tamis__frechet_set_merge(&m->sum, &f->frechet, &f->set[f->order[item]]);
    tamis__frechet_set_copy(&m->set[slot], &f->frechet, &m->sum);
    return TAMIS_OK;
}

static tamis_status measure_together(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                     tamis_error *err)
{
    measuring *m = arg;
    return tamis__frechet_distance(&m->fid->frechet, &m->set[slot], m->work[worker],
                                   &m->fid->together[item], err);
}

static void sort_clusters(tamis__fid *f)
{
    for (uint64_t j = 0; j < f->means.clusters; j++) {
        uint64_t at = f->occupied;
        if (f->set[j].rows == 0) continue;
        for (; at > 0 && f->distance[f->order[at - 1]] > f->distance[j]; at--)
            f->order[at] = f->order[at - 1];
        f->order[at] = j;
        f->occupied++;
    }
}

static tamis_status measure(measuring *m, unsigned slots, tamis_error *err)
{
    tamis__fid *f = m->fid;
    tamis__pool *pool = f->rows.context->pool;
    const tamis__pipeline each = {.arg = m,
                                  .items = f->means.clusters,
                                  .slots = slots,
                                  .work = measure_cluster,
                                  .consume = tell};
    TAMIS_TRY(tamis__pool_run(pool, &each, err));
    sort_clusters(f);
    const tamis__pipeline together = {.arg = m,
                                      .items = f->occupied,
                                      .slots = slots,
                                      .produce = add_next,
                                      .work = measure_together};
    TAMIS_TRY(tamis__pool_run(pool, &together, err));
    f->best = 1;
    for (uint64_t i = 1; i < f->occupied; i++)
        if (f->together[i] < f->together[f->best - 1]) f->best = i + 1;
    return TAMIS_OK;
}

/* --- memory ----------------------------------------------------------------------------------- */

static tamis_status allocate_measuring(measuring *m, unsigned threads, unsigned slots,
                                       tamis_error *err)
{
    const tamis__fid *f = m->fid;
    uint64_t p = f->frechet.columns, r = f->frechet.rank;
    m->numbers = ROWS * (p + r) > r * (r + 1) ? ROWS * (p + r) : r * (r + 1);
    m->work = tamis__calloc(threads, sizeof *m->work);
    m->rows = tamis__calloc(threads, sizeof *m->rows);
    m->set = tamis__calloc(slots, sizeof *m->set);
    bool all = m->work && m->rows && m->set;
    for (unsigned t = 0; all && t < threads; t++) {
        m->work[t] = tamis__aligned(m->numbers, sizeof **m->work);
        m->rows[t] = tamis__aligned(ROWS * p, sizeof **m->rows);
        all = m->work[t] && m->rows[t];
    }
    if (!all) return tamis__fail_memory(err, "distances", threads * m->numbers * sizeof **m->work);
    TAMIS_TRY(tamis__frechet_set_init(&m->sum, &f->frechet, err));
    for (unsigned s = 0; s < slots; s++)
        TAMIS_TRY(tamis__frechet_set_init(&m->set[s], &f->frechet, err));
    return TAMIS_OK;
}

static void release_measuring(measuring *m, unsigned threads, unsigned slots)
{
    for (unsigned t = 0; t < threads; t++) {
        if (m->work) free(m->work[t]);
        if (m->rows) free(m->rows[t]);
    }
    for (unsigned s = 0; m->set && s < slots; s++) tamis__frechet_set_fini(&m->set[s]);
    tamis__frechet_set_fini(&m->sum);
    free(m->work);
    free(m->rows);
    free(m->set);
}

static tamis_status allocate(tamis__fid *f, unsigned threads, unsigned slots, tamis_error *err)
{
    uint64_t k = f->means.clusters, each = tamis__frechet_set_bytes(&f->frechet);
    TAMIS_TRY(tamis__memory_check(
        f->rows.context, f->rows.bytes + f->target.bytes + (k + threads + slots + 1) * each,
        "covariances of clusters (take fewer, or project the rows)", err));
    f->at = tamis__malloc(f->rows.n, sizeof *f->at);
    f->first = tamis__calloc(k + 1, sizeof *f->first);
    f->set = tamis__calloc(k, sizeof *f->set);
    f->distance = tamis__malloc(k, sizeof *f->distance);
    f->order = tamis__malloc(k, sizeof *f->order);
    f->together = tamis__malloc(k, sizeof *f->together);
    if (!f->at || !f->first || !f->set || !f->distance || !f->order || !f->together)
        return tamis__fail_memory(err, "clusters", f->rows.n * sizeof *f->at);
    for (uint64_t j = 0; j < k; j++)
        TAMIS_TRY(tamis__frechet_set_init(&f->set[j], &f->frechet, err));
    return TAMIS_OK;
}

tamis_status tamis__fid_measure(tamis__fid *f, tamis_error *err)
{
    unsigned threads = tamis_context_threads(f->rows.context), slots = threads + 1;
    measuring m = {.fid = f};
    TAMIS_TRY(tamis__frechet_open(&f->frechet, &f->target, f->rows.bytes, err));
    TAMIS_TRY(allocate(f, threads, slots, err));
    sort_points(f);
    tamis_status status = allocate_measuring(&m, threads, slots, err);
    tamis__blas_begin();
    if (status == TAMIS_OK) status = measure(&m, slots, err);
    tamis__blas_end();
    release_measuring(&m, threads, slots);
    return status;
}

void tamis__fid_fini(tamis__fid *f)
{
    for (uint64_t j = 0; f->set && j < f->means.clusters; j++) tamis__frechet_set_fini(&f->set[j]);
    free(f->set);
    free(f->at);
    free(f->first);
    free(f->distance);
    free(f->order);
    free(f->together);
    tamis__frechet_close(&f->frechet);
    tamis__k_means_fini(&f->means);
    tamis__cluster_rows_close(&f->rows);
    tamis__cluster_rows_close(&f->target);
    *f = (tamis__fid){0};
}

/* --- inside a cluster ------------------------------------------------------------------------- */

typedef struct picking {
    tamis__fid *fid;
    tamis__fid_picks *picks; /* [used] */
    float **point;           /* [threads] of [largest, columns] */
    double **work;           /* [threads] of [2 largest + columns] */
    uint64_t largest;        /* rows of a cluster */
} picking;

/* Of points [n], ascending, the index of one. */
static uint64_t index_of(const uint64_t *at, uint64_t n, uint64_t point)
{
    uint64_t low = 0, high = n;
    while (low + 1 < high) {
        uint64_t middle = low + (high - low) / 2;
        if (at[middle] <= point)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static tamis_status pick_inside(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                tamis_error *err)
{
    (void)slot;
    picking *p = arg;
    tamis__fid *f = p->fid;
    tamis__fid_picks *picks = &p->picks[item];
    uint64_t cluster = f->order[item], n = f->means.size[cluster], given = picks->given;
    const uint64_t *at = f->at + f->first[cluster];
    double *square = p->work[worker];
    if (picks->wanted == given) return TAMIS_OK;
    TAMIS_TRY(tamis__cluster_rows_take(&f->rows, at, n, worker, p->point[worker], err));
    for (uint64_t i = 0; i < n; i++) square[i] = f->rows.square[at[i]];
    for (uint64_t i = 0; i < given; i++) picks->pick[i] = index_of(at, n, picks->pick[i]);
    if (given == 0) {
        picks->pick[0] = 0;
        for (uint64_t i = 1; i < n; i++)
            if (f->means.distance[at[i]] < f->means.distance[at[picks->pick[0]]])
                picks->pick[0] = i;
    }
    const tamis__k_center problem = {.dots = &f->rows.dots,
                                     .point = p->point[worker],
                                     .square = square,
                                     .n = n,
                                     .columns = f->rows.columns,
                                     .near = square + p->largest,
                                     .centre = square + 2 * p->largest};
    tamis__k_center_find(&problem, given > 0 ? given : 1, picks->wanted, picks->pick);
    for (uint64_t i = 0; i < picks->wanted; i++) picks->pick[i] = at[picks->pick[i]];
    return TAMIS_OK;
}

static tamis_status allocate_picking(picking *p, unsigned threads, tamis_error *err)
{
    const tamis__fid *f = p->fid;
    uint64_t columns = f->rows.columns,
             each = p->largest * (columns * sizeof(float) + 2 * sizeof(double)) + columns * 8;
    TAMIS_TRY(tamis__memory_check(f->rows.context, f->rows.bytes + threads * each,
                                  "the largest cluster (take more of them, or project the rows)",
                                  err));
    p->point = tamis__calloc(threads, sizeof *p->point);
    p->work = tamis__calloc(threads, sizeof *p->work);
    bool all = p->point && p->work;
    for (unsigned t = 0; all && t < threads; t++) {
        p->point[t] = tamis__aligned(p->largest * columns, sizeof **p->point);
        p->work[t] = tamis__aligned(2 * p->largest + columns, sizeof **p->work);
        all = p->point[t] && p->work[t];
    }
    return all ? TAMIS_OK : tamis__fail_memory(err, "the largest cluster", threads * each);
}

tamis_status tamis__fid_pick(tamis__fid *f, uint64_t used, tamis__fid_picks *picks,
                             tamis_error *err)
{
    unsigned threads = tamis_context_threads(f->rows.context);
    picking p = {.fid = f, .picks = picks};
    for (uint64_t i = 0; i < used; i++)
        if (f->means.size[f->order[i]] > p.largest) p.largest = f->means.size[f->order[i]];
    const tamis__pipeline pipeline = {.arg = &p, .items = used, .work = pick_inside};
    tamis_status status = allocate_picking(&p, threads, err);
    tamis__blas_begin();
    if (status == TAMIS_OK) status = tamis__pool_run(f->rows.context->pool, &pipeline, err);
    tamis__blas_end();
    for (unsigned t = 0; t < threads; t++) {
        if (p.point) free(p.point[t]);
        if (p.work) free(p.work[t]);
    }
    free(p.point);
    free(p.work);
    return status;
}
