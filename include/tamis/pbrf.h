/* tamis - the proximal Bregman response: what up-weighting a training example really does to a
 * model near where it stands, and how well scores foretell it.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_PBRF_H
#define TAMIS_PBRF_H

#include <tamis/curvature.h>
#include <tamis/evaluate.h>
#include <tamis/model.h>

TAMIS_BEGIN

/** What is asked for. Zero-initialise. Everything belongs to the caller and is only read. */
typedef struct tamis_pbrf_params {
    const tamis_model *model; /**< required. Weights of a safetensors file of F64 are taken as they
                                   are there, others widened */
    uint32_t checkpoint;      /**< of the model; UINT32_MAX = the last */
    const tamis_data *train;  /**< labelled; required */
    const tamis_data *query;  /**< labelled; required */
    const uint64_t *row;      /**< [rows] of `train` to up-weight, each once; required */
    uint64_t rows;            /**< entries of `row`, > 0 */
    double damping; /**< times the mean eigenvalue of the layer's block of the Gauss-Newton matrix;
                         0 = 0.1 */
    const double *layer_damping; /**< [layers] instead, absolute, each > 0; NULL = by `damping` */
    double epsilon;              /**< how much a row is up- and down-weighted; 0 = 1e-3 / rows of
                                      `train` */
    double tolerance;            /**< norm of the objective's gradient to reach; 0 = 1e-12 */
    uint32_t steps;              /**< at most so many; 0 = 100 */
    const char *runs; /**< file that keeps every response as it is found and gives back those that
                           are in it; made when absent. NULL = none */
} tamis_pbrf_params;

/** Responses. Arrays belong to the struct. */
typedef struct tamis_pbrf {
    uint64_t rows, queries; /**< rows: those that were solved */
    uint64_t unsolved;      /**< rows left out: their solves did not converge */
    uint64_t train_rows;    /**< of the training data */
    uint64_t *row;          /**< [rows] of the training data */
    double
        *response; /**< [rows, queries] d loss of the query / d epsilon: negative where more of the
                           row helps the query, so a good score is close to minus this, but for a
                           positive factor */
    uint32_t layers;
    double *damping; /**< [layers] in force, absolute */
    double epsilon;  /**< in force */
    uint64_t steps;  /**< Newton steps of all solves that were done now */
    uint64_t reused; /**< rows that were in the file of runs already */
} tamis_pbrf;

/** The proximal Bregman response function (Bae et al. 2022; Grosse et al. 2023, eq. 7)
 *
 *     theta(e) = argmin 1/N sum_i D(h(theta, x_i), h(theta_s, x_i)) + e L(z_m, theta)
 *                       + 1/2 |theta - theta_s|^2 weighted by damping
 *
 *  with D the Bregman divergence of softmax cross-entropy, solved by Newton steps with the damped
 *  Gauss-Newton matrix at theta_s, which stays as it is, and central differences in e = +-epsilon.
 *  In double throughout. The same bits for any number of threads. The caller frees *ret_pbrf with
 *  tamis_pbrf_free(). With `runs` a computation that was stopped goes on with what is missing, and
 *  other rows of the same data, model and numbers may share the file. A row whose solve does not
 *  converge is left out and told of through the log: the minimum of a network with kinks (ReLU) may
 *  lie on one, where no gradient vanishes.
 *  Errors: ARG (no such checkpoint; a row that is not there or stands twice; a number out of
 *  range), SHAPE and FORMAT (data that do not fit the model), NUMERIC (the damped matrix is not
 *  positive definite; no solve converges: names the first row), NOMEM (the matrix does not fit the
 *  memory limit: says the bytes), CANCELLED (rows that are done are kept in `runs`), and of `runs`
 *  IO (cannot be written, in use by another run), SHAPE (holds runs on something else), FORMAT.
 *  Complexity: with p parameters 8 p^2 bytes, classes * N * p^2 flops for the matrix, and for each
 *  step 4 p^2 + 6 N p. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_pbrf_compute(tamis_pbrf *ret_pbrf,
                                                          tamis_context *context,
                                                          const tamis_pbrf_params *params,
                                                          tamis_error *err);

/** Damping of each layer of a model, [layers] into `ret_damping`: `relative` times its mean
 *  eigenvalue in a curvature file (ekfac: the mean of Lambda), which must be of all layers of the
 *  model. Errors: ARG (not final, or of kind gram; `relative` not > 0), SHAPE (other layers),
 *  NUMERIC (a layer without curvature), IO, FORMAT, NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_pbrf_damping(const tamis_curvature *curvature,
                                                          const tamis_model *model, double relative,
                                                          double *ret_damping, tamis_error *err);

/** Compare the scores of the rows with minus their responses: correlations over the rows, mean over
 *  the queries. In the result effects are minus responses, and there is one seed. The bootstrap is
 *  over the rows. The caller frees *ret_loo with tamis_loo_free(). Errors: ARG (lists, fewer than
 *  two rows), SHAPE (scores of other rows or queries), NUMERIC (a row without a score), IO, NOMEM,
 *  CANCELLED. */
TAMIS_API TAMIS_NODISCARD tamis_status
tamis_evaluate_pbrf(tamis_loo *ret_loo, tamis_context *context, const tamis_scores *scores,
                    const tamis_pbrf *pbrf, const tamis_bootstrap *bootstrap, tamis_error *err);

/** Free what the struct holds and zero it. Accepts a zeroed struct. */
TAMIS_API void tamis_pbrf_free(tamis_pbrf *pbrf);

TAMIS_END

#endif
