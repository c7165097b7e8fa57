/* The parts of the proximal Bregman response.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_EVALUATE_PBRF_H
#define TAMIS_EVALUATE_PBRF_H

#include <tamis/pbrf.h>

#include "model/wide.h"

/* Rows that go through the network together. A constant: bits may depend on it. */
#define TAMIS__PBRF_ROWS 256

/* What is solved, once made only read. */
typedef struct tamis__pbrf_problem {
    tamis_context *context;
    const tamis_data *train, *query;
    tamis__wide network;
    double *start;       /* [parameters] */
    double *probability; /* [train rows, classes] at the start */
    double *matrix;      /* [parameters, parameters] lower triangle: the Gauss-Newton matrix at the
                            start, in the end the Cholesky factor of the damped one */
    double *damping;     /* [layers] absolute */
    double epsilon, tolerance;
    uint32_t most_steps;
} tamis__pbrf_problem;

/* Fill in `probability`, `damping` (by `relative` to the mean eigenvalue of each layer's block,
 * unless `absolute` [layers] is there) and `matrix`. NUMERIC, NOMEM, CANCELLED. */
tamis_status tamis__pbrf_matrix(tamis__pbrf_problem *problem, double relative,
                                const double *absolute, tamis_error *err);
/* Bytes that it takes besides. */
uint64_t tamis__pbrf_matrix_bytes(const tamis__wide *network);

/* What one thread solves with. */
typedef struct tamis__pbrf_solver {
    tamis__wide_batch batch;
    double *theta;    /* [2, parameters] at +epsilon and -epsilon */
    double *gradient; /* the same; then the steps */
} tamis__pbrf_solver;

uint64_t tamis__pbrf_solver_bytes(const tamis__wide *network);
tamis_status tamis__pbrf_solver_init(tamis__pbrf_solver *ret_solver, const tamis__wide *network,
                                     tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__pbrf_solver_fini(tamis__pbrf_solver *solver);

/* Losses of the queries [queries] with a row up- and down-weighted, and the steps of both solves.
 * Between tamis__blas_begin() and _end(). NUMERIC naming the row. */
tamis_status tamis__pbrf_solve(const tamis__pbrf_problem *problem, tamis__pbrf_solver *solver,
                               uint64_t row, double *ret_above, double *ret_below,
                               uint32_t *ret_steps, tamis_error *err);

#endif
