/* Frechet distances from a target.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "cluster/frechet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"

/* --- the target ------------------------------------------------------------------------------- */

/* Mean, trace, and all points less the mean over the root of (rows - 1) into out [rows, columns].
 */
static tamis_status read_target(tamis__frechet *f, tamis__cluster_rows *target, double *out,
                                tamis_error *err)
{
    uint64_t p = f->columns, n = f->rows;
    const float *x;
    memset(f->mean, 0, p * sizeof *f->mean);
    for (uint64_t first = 0, some; first < n; first += some) {
        some = n - first < target->chunk ? n - first : target->chunk;
        TAMIS_TRY(tamis__cluster_rows_some(target, first, some, &x, err));
        for (uint64_t i = 0; i < some * p; i++) {
            out[first * p + i] = (double)x[i];
            f->mean[i % p] += (double)x[i];
        }
    }
    for (uint64_t c = 0; c < p; c++) f->mean[c] /= (double)n;
    double scale = n > 1 ? 1 / sqrt((double)(n - 1)) : 0;
    for (uint64_t i = 0; i < n * p; i++) {
        out[i] = (out[i] - f->mean[i % p]) * scale;
        f->trace += out[i] * out[i];
    }
    return TAMIS_OK;
}

/* Eigenvectors times the roots of their eigenvalues, without those that are rounding. */
static tamis_status root_of(tamis__frechet *f, const double *x, tamis_error *err)
{
    uint64_t p = f->columns;
    double *values = tamis__malloc(p, sizeof *values);
    if (!values) return tamis__fail_memory(err, "eigenvalues", p * sizeof *values);
    tamis_status status = tamis__dsyrk(true, p, f->rows, 1, x, p, 0, f->root, p, err);
    if (status == TAMIS_OK) status = tamis__symmetric_eigen(p, f->root, p, true, values, err);
    f->rank = 0;
    for (uint64_t i = p; i-- > 0 && status == TAMIS_OK;) {
        if (!(values[i] > 1e-14 * values[p - 1])) break;
        f->rank++;
        for (uint64_t c = 0; c < p; c++) f->root[i * p + c] *= sqrt(values[i]);
    }
    if (status == TAMIS_OK)
        memmove(f->root, f->root + (p - f->rank) * p, f->rank * p * sizeof *f->root);
    free(values);
    return status;
}

static tamis_status make_root(tamis__frechet *f, tamis__cluster_rows *target, tamis_error *err)
{
    uint64_t p = f->columns, n = f->rows;
    if (n <= p) {
        TAMIS_TRY(read_target(f, target, f->root, err));
        f->rank = n;
        return TAMIS_OK;
    }
    double *x = tamis__aligned(n * p, sizeof *x);
    if (!x) return tamis__fail_memory(err, "targets", n * p * sizeof *x);
    tamis_status status = read_target(f, target, x, err);
    if (status == TAMIS_OK) status = root_of(f, x, err);
    free(x);
    return status;
}

tamis_status tamis__frechet_open(tamis__frechet *ret_frechet, tamis__cluster_rows *target,
                                 uint64_t reserved, tamis_error *err)
{
    uint64_t p = target->columns, n = target->n, most = n < p ? n : p;
    tamis__frechet f = {.columns = p, .rows = n};
    TAMIS_TRY(tamis__memory_check(target->context,
                                  reserved + target->bytes + (most + (n > p ? n : 1)) * p * 8,
                                  "the targets' covariance (project the rows)", err));
    f.mean = tamis__malloc(p, sizeof *f.mean);
    f.root = tamis__aligned(most * p, sizeof *f.root);
    tamis_status status = f.mean && f.root ? TAMIS_OK
                                           : tamis__fail_memory(err, "targets", most * p * 8);
    tamis__blas_begin();
    if (status == TAMIS_OK) status = make_root(&f, target, err);
    tamis__blas_end();
    if (status == TAMIS_OK)
        *ret_frechet = f;
    else
        tamis__frechet_close(&f);
    return status;
}

void tamis__frechet_close(tamis__frechet *f)
{
    free(f->mean);
    free(f->root);
    *f = (tamis__frechet){0};
}

/* --- sums ------------------------------------------------------------------------------------- */

uint64_t tamis__frechet_set_bytes(const tamis__frechet *f)
{
    return (f->columns + f->rank * (f->rank + 1)) * sizeof(double);
}

tamis_status tamis__frechet_set_init(tamis__frechet_set *ret_moments, const tamis__frechet *f,
                                     tamis_error *err)
{
    tamis__frechet_set m = {.sum = tamis__calloc(f->columns, sizeof *m.sum),
                            .z_sum = tamis__calloc(f->rank, sizeof *m.z_sum),
                            .z_square = tamis__aligned(f->rank * f->rank, sizeof *m.z_square)};
    if (!m.sum || !m.z_sum || !m.z_square) {
        tamis__frechet_set_fini(&m);
        return tamis__fail_memory(err, "a set of rows", tamis__frechet_set_bytes(f));
    }
    *ret_moments = m;
    return TAMIS_OK;
}

void tamis__frechet_set_fini(tamis__frechet_set *m)
{
    free(m->sum);
    free(m->z_sum);
    free(m->z_square);
    *m = (tamis__frechet_set){0};
}

tamis_status tamis__frechet_set_add(tamis__frechet_set *m, const tamis__frechet *f,
                                    const float *rows, uint64_t n, double *work, tamis_error *err)
{
    uint64_t p = f->columns, r = f->rank;
    double *x = work, *z = work + TAMIS__FEATURE_ROWS * p;
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t c = 0; c < p; c++) {
            double d = x[i * p + c] = (double)rows[i * p + c] - f->mean[c];
            m->sum[c] += d;
            m->square += d * d;
        }
    m->rows += n;
    if (r == 0) return TAMIS_OK;
    TAMIS_TRY(tamis__dgemm(false, true, n, r, p, 1, x, p, f->root, p, 0, z, r, err));
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t c = 0; c < r; c++) m->z_sum[c] += z[i * r + c];
    return tamis__dsyrk(true, r, n, 1, z, r, 1, m->z_square, r, err);
}

void tamis__frechet_set_copy(tamis__frechet_set *into, const tamis__frechet *f,
                             const tamis__frechet_set *from)
{
    into->rows = from->rows;
    into->square = from->square;
    memcpy(into->sum, from->sum, f->columns * sizeof *into->sum);
    memcpy(into->z_sum, from->z_sum, f->rank * sizeof *into->z_sum);
    memcpy(into->z_square, from->z_square, f->rank * f->rank * sizeof *into->z_square);
}

void tamis__frechet_set_merge(tamis__frechet_set *into, const tamis__frechet *f,
                              const tamis__frechet_set *other)
{
    into->rows += other->rows;
    into->square += other->square;
    for (uint64_t c = 0; c < f->columns; c++) into->sum[c] += other->sum[c];
    for (uint64_t c = 0; c < f->rank; c++) into->z_sum[c] += other->z_sum[c];
    for (uint64_t i = 0; i < f->rank * f->rank; i++) into->z_square[i] += other->z_square[i];
}

/* --- the distance ----------------------------------------------------------------------------- */

tamis_status tamis__frechet_distance(const tamis__frechet *f, const tamis__frechet_set *m,
                                     double *work, double *ret_distance, tamis_error *err)
{
    uint64_t r = f->rank;
    double n = (double)m->rows, mean = 0, root = 0, *values = work + r * r;
    for (uint64_t c = 0; c < f->columns; c++) mean += (m->sum[c] / n) * (m->sum[c] / n);
    if (m->rows == 1) { /* no covariance */
        *ret_distance = mean + f->trace;
        return TAMIS_OK;
    }
    for (uint64_t i = 0; i < r; i++)
        for (uint64_t j = 0; j <= i; j++)
            work[i * r + j] = (m->z_square[i * r + j] - m->z_sum[i] * (m->z_sum[j] / n)) / (n - 1);
    if (r > 0) TAMIS_TRY(tamis__symmetric_eigen(r, work, r, false, values, err));
    for (uint64_t i = 0; i < r; i++) root += values[i] > 0 ? sqrt(values[i]) : 0;
    double trace = (m->square - n * mean) / (n - 1);
    double distance = mean + trace + f->trace - 2 * root;
    *ret_distance = distance > 0 ? distance : 0;
    return TAMIS_OK;
}
