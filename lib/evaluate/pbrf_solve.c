/* Where the proximal objective has its minimum with one row up- and down-weighted.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "evaluate/pbrf.h"
#include "linalg/lapack.h"

uint64_t tamis__pbrf_solver_bytes(const tamis__wide *network)
{
    return tamis__wide_batch_bytes(network, TAMIS__PBRF_ROWS) +
           4 * network->parameters * sizeof(double);
}

tamis_status tamis__pbrf_solver_init(tamis__pbrf_solver *ret_solver, const tamis__wide *network,
                                     tamis_error *err)
{
    tamis__pbrf_solver solver = {0};
    size_t n = (size_t)network->parameters;
    TAMIS_TRY(tamis__wide_batch_init(&solver.batch, network, TAMIS__PBRF_ROWS, err));
    solver.theta = tamis__malloc(2 * n, sizeof *solver.theta);
    solver.gradient = tamis__malloc(2 * n, sizeof *solver.gradient);
    if (!solver.theta || !solver.gradient) {
        tamis__pbrf_solver_fini(&solver);
        return tamis__fail_memory(err, "weights", 4 * n * sizeof(double));
    }
    *ret_solver = solver;
    return TAMIS_OK;
}

void tamis__pbrf_solver_fini(tamis__pbrf_solver *solver)
{
    tamis__wide_batch_fini(&solver->batch);
    free(solver->theta);
    free(solver->gradient);
    *solver = (tamis__pbrf_solver){0};
}

/* --- the objective's gradient ----------------------------------------------------------------- */

/* The mean over the training rows of the divergence's gradient: by the logits it is the difference
 * of the probabilities to those at the start. */
static tamis_status add_divergence(const tamis__pbrf_problem *p, tamis__wide_batch *batch,
                                   const double *theta, double *gradient, tamis_error *err)
{
    size_t classes = (size_t)p->network.classes;
    uint32_t last = p->network.layers - 1;
    for (uint64_t first = 0; first < p->train->rows; first += TAMIS__PBRF_ROWS) {
        uint64_t left = p->train->rows - first;
        size_t rows = (size_t)(left < TAMIS__PBRF_ROWS ? left : TAMIS__PBRF_ROWS);
        TAMIS_TRY(tamis__wide_forward(batch, &p->network, theta, p->train, first, rows, err));
        double *delta = batch->delta[last];
        const double *start = p->probability + first * classes;
        for (size_t i = 0; i < rows; i++)
            tamis__wide_softmax(batch->output[last] + i * classes, classes, delta + i * classes);
        for (size_t i = 0; i < rows * classes; i++) delta[i] -= start[i];
        TAMIS_TRY(tamis__wide_backward(batch, &p->network, theta, err));
        TAMIS_TRY(
            tamis__wide_gradient(batch, &p->network, 1.0 / (double)p->train->rows, gradient, err));
    }
    return TAMIS_OK;
}

static tamis_status add_row(const tamis__pbrf_problem *p, tamis__wide_batch *batch,
                            const double *theta, uint64_t row, double weight, double *gradient,
                            tamis_error *err)
{
    uint32_t last = p->network.layers - 1;
    TAMIS_TRY(tamis__wide_forward(batch, &p->network, theta, p->train, row, 1, err));
    tamis__wide_softmax(batch->output[last], (size_t)p->network.classes, batch->delta[last]);
    batch->delta[last][p->train->label[row]] -= 1.0;
    TAMIS_TRY(tamis__wide_backward(batch, &p->network, theta, err));
    return tamis__wide_gradient(batch, &p->network, weight, gradient, err);
}

/* Its norm into *ret_norm. */
static tamis_status objective_gradient(const tamis__pbrf_problem *p, tamis__wide_batch *batch,
                                       const double *theta, uint64_t row, double weight,
                                       double *gradient, double *ret_norm, tamis_error *err)
{
    double squares = 0.0;
    for (uint32_t l = 0; l < p->network.layers; l++) {
        const tamis_layer *layer = &p->network.layer[l];
        uint64_t end = layer->first_column + tamis_layer_columns(layer);
        for (uint64_t i = layer->first_column; i < end; i++)
            gradient[i] = p->damping[l] * (theta[i] - p->start[i]);
    }
    TAMIS_TRY(add_divergence(p, batch, theta, gradient, err));
    TAMIS_TRY(add_row(p, batch, theta, row, weight, gradient, err));
    for (uint64_t i = 0; i < p->network.parameters; i++) squares += gradient[i] * gradient[i];
    *ret_norm = sqrt(squares);
    return TAMIS_OK;
}

/* --- Newton ----------------------------------------------------------------------------------- */

/* Both weightings at once, so that each step reads the factor once. A solution that is reached
 * stays: its gradient is 0 from then on, and so are its steps. */
static tamis_status minimise(const tamis__pbrf_problem *p, tamis__pbrf_solver *solver, uint64_t row,
                             uint32_t *ret_steps, tamis_error *err)
{
    size_t n = (size_t)p->network.parameters;
    double norm[2] = {HUGE_VAL, HUGE_VAL};
    uint32_t steps = 0;
    for (uint32_t step = 0;; step++) {
        for (int sign = 0; sign < 2; sign++) {
            double *gradient = solver->gradient + (size_t)sign * n;
            if (norm[sign] < p->tolerance) {
                memset(gradient, 0, n * sizeof *gradient);
                continue;
            }
            TAMIS_TRY(objective_gradient(p, &solver->batch, solver->theta + (size_t)sign * n, row,
                                         sign ? -p->epsilon : p->epsilon, gradient, &norm[sign],
                                         err));
            steps += norm[sign] >= p->tolerance;
            if (norm[sign] < p->tolerance) memset(gradient, 0, n * sizeof *gradient);
        }
        *ret_steps = steps;
        double worst = norm[0] > norm[1] ? norm[0] : norm[1];
        if (worst < p->tolerance) return TAMIS_OK;
        if (step >= p->most_steps || !isfinite(norm[0]) || !isfinite(norm[1]))
            return tamis__fail(err, TAMIS_ERR_NUMERIC,
                               "row %llu of the training data: not converged: after %u steps the "
                               "gradient's norm is %.3g, wanted below %.3g: raise --damping, or "
                               "--tolerance",
                               (unsigned long long)row, step, worst, p->tolerance);
        TAMIS_TRY(tamis__cholesky_solve(n, 2, p->matrix, n, solver->gradient, n, err));
        for (size_t i = 0; i < 2 * n; i++) solver->theta[i] -= solver->gradient[i];
    }
}

static tamis_status query_losses(const tamis__pbrf_problem *p, tamis__wide_batch *batch,
                                 const double *theta, double *ret_loss, tamis_error *err)
{
    size_t classes = (size_t)p->network.classes;
    const double *logit = batch->output[p->network.layers - 1];
    for (uint64_t first = 0; first < p->query->rows; first += TAMIS__PBRF_ROWS) {
        uint64_t left = p->query->rows - first;
        size_t rows = (size_t)(left < TAMIS__PBRF_ROWS ? left : TAMIS__PBRF_ROWS);
        TAMIS_TRY(tamis__wide_forward(batch, &p->network, theta, p->query, first, rows, err));
        for (size_t i = 0; i < rows; i++)
            ret_loss[first + i] = tamis__wide_loss(logit + i * classes, classes,
                                                   (size_t)p->query->label[first + i]);
    }
    return TAMIS_OK;
}

tamis_status tamis__pbrf_solve(const tamis__pbrf_problem *problem, tamis__pbrf_solver *solver,
                               uint64_t row, double *ret_above, double *ret_below,
                               uint32_t *ret_steps, tamis_error *err)
{
    const tamis__pbrf_problem *p = problem;
    size_t n = (size_t)p->network.parameters;
    memcpy(solver->theta, p->start, n * sizeof *solver->theta);
    memcpy(solver->theta + n, p->start, n * sizeof *solver->theta);
    TAMIS_TRY(minimise(p, solver, row, ret_steps, err));
    TAMIS_TRY(query_losses(p, &solver->batch, solver->theta, ret_above, err));
    return query_losses(p, &solver->batch, solver->theta + n, ret_below, err);
}
