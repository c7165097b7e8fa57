/* The Frechet distance of sets of rows from a target: that of the normal distributions with their
 * means and covariances,
 *
 *     |m - m_t|^2 + tr S + tr S_t - 2 tr (S S_t)^(1/2)
 *
 * (Dowson and Landau 1982). With S_t = R^T R, R of as many rows as S_t has rank, the last term is
 * the sum of the square roots of the eigenvalues of R S R^T: so of a set only the sums of z = R (x
 * - m_t) and z z^T are kept, and sets are put together by adding them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLUSTER_FRECHET_H
#define TAMIS_CLUSTER_FRECHET_H

#include "cluster/rows.h"

typedef struct tamis__frechet {
    uint64_t columns, rank;
    double *mean;  /* [columns] of the target */
    double *root;  /* [rank, columns] R */
    double trace;  /* of the target's covariance */
    uint64_t rows; /* of the target */
} tamis__frechet;

/* From all points of the target; covariances are divided by one less than the rows. Errors: NOMEM,
 * NUMERIC (an eigenproblem), IO, CANCELLED. */
tamis_status tamis__frechet_open(tamis__frechet *ret_frechet, tamis__cluster_rows *target,
                                 uint64_t reserved, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__frechet_close(tamis__frechet *frechet);

/* Sums over a set of rows, about the target's mean. */
typedef struct tamis__frechet_set {
    uint64_t rows;
    double square;    /* of |x - m_t|^2 */
    double *sum;      /* [columns] of x - m_t */
    double *z_sum;    /* [rank] */
    double *z_square; /* [rank, rank] lower triangle */
} tamis__frechet_set;
uint64_t tamis__frechet_set_bytes(const tamis__frechet *frechet);
tamis_status tamis__frechet_set_init(tamis__frechet_set *ret_moments, const tamis__frechet *frechet,
                                     tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__frechet_set_fini(tamis__frechet_set *moments);

/* At most TAMIS__FEATURE_ROWS rows more. `work` holds TAMIS__FEATURE_ROWS * (columns + rank)
 * numbers. Between tamis__blas_begin() and _end(), as below. */
tamis_status tamis__frechet_set_add(tamis__frechet_set *moments, const tamis__frechet *frechet,
                                    const float *rows, uint64_t n, double *work, tamis_error *err);
void tamis__frechet_set_copy(tamis__frechet_set *into, const tamis__frechet *frechet,
                             const tamis__frechet_set *from);
void tamis__frechet_set_merge(tamis__frechet_set *into, const tamis__frechet *frechet,
                              const tamis__frechet_set *other);

/* `work` holds rank * (rank + 1) numbers. Errors: NUMERIC (an eigenproblem), NOMEM. */
tamis_status tamis__frechet_distance(const tamis__frechet *frechet,
                                     const tamis__frechet_set *moments, double *work,
                                     double *ret_distance, tamis_error *err);

#endif
