/* Rows of a store in the eigenbases of a curvature: Q_S^T G Q_A, layer by layer.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CURVATURE_EIGEN_ROWS_H
#define TAMIS_CURVATURE_EIGEN_ROWS_H

#include "curvature/spectrum.h"

/* Rows of a group, which are rotated together where they are factors. The group is part of the
 * result's last bits: always begin at a multiple of it. */
enum { TAMIS__EIGEN_GROUP = 16 };

/* Where rows come from. Factors are rotated as such, which costs in^2 + out^2 for a token instead
 * of in * out * (in + out) for a gradient. */
typedef struct tamis__eigen_rows {
    tamis_store *store;  /* NULL = values */
    const float *values; /* [rows, columns] in full form, in memory */
    uint32_t checkpoint; /* of the store */
    uint64_t columns;    /* of a row in full form */
    uint32_t layers;
    const tamis__spectrum *spectrum; /* [layers], those of the rows */
    const uint64_t *offset;          /* first token of each row; NULL = full form */
    uint64_t widest;                 /* columns of the largest layer */
    uint64_t widest_side;            /* of all inputs and outputs */
    uint64_t tokens;                 /* rotated at once at most */
} tamis__eigen_rows;

/* Rows of a store at a checkpoint. Errors: FORMAT, IO, NOMEM of the tokens' offsets. */
tamis_status tamis__eigen_rows_of_store(tamis__eigen_rows *ret_rows, tamis_store *store,
                                        uint32_t checkpoint, const tamis__spectrum *spectrum,
                                        tamis_error *err);
/* Rows in memory, side by side. */
void tamis__eigen_rows_of_values(tamis__eigen_rows *ret_rows, const float *values, uint64_t columns,
                                 uint32_t layers, const tamis__spectrum *spectrum);

/* A thread's memory. */
typedef struct tamis__eigen_work {
    float *read;
    double *v, *scratch, *z; /* [widest] */
    double *raw;             /* factors: [tokens, widest side] as read */
    double *input, *output;  /* factors: the same rotated */
} tamis__eigen_work;

uint64_t tamis__eigen_work_bytes(const tamis__eigen_rows *r);
tamis_status tamis__eigen_work_init(tamis__eigen_work *ret_work, const tamis__eigen_rows *r,
                                    tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__eigen_work_fini(tamis__eigen_work *work);

/* Called with z = Q_S^T G Q_A [out, in] of a row, which may be changed. */
typedef tamis_status (*tamis__eigen_visit)(void *arg, uint64_t row, double *z, tamis_error *err);

/* Rows first .. first + rows - 1 at a layer, in order. On the calling thread, between
 * tamis__blas_begin() and _end(); several threads may, each with its own work. */
tamis_status tamis__eigen_rows_visit(const tamis__eigen_rows *r, tamis__eigen_work *work,
                                     uint32_t layer, uint64_t first, uint64_t rows,
                                     tamis__eigen_visit visit, void *arg, tamis_error *err);

/* ret_sum[i] += sum over the layer's coordinates of z^2 / (lambda + damping), for row first + i:
 * with one token a row, (g~^2)^T inverse (a~^2), a matrix product for many rows. As above. */
tamis_status tamis__eigen_rows_squares(const tamis__eigen_rows *r, tamis__eigen_work *work,
                                       uint32_t layer, uint64_t first, uint64_t rows,
                                       double *ret_sum, tamis_error *err);

#endif
