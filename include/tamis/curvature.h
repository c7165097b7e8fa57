/* tamis - curvature: what `fit` makes of stores of pseudo-gradients, and influence needs.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CURVATURE_H
#define TAMIS_CURVATURE_H

#include <tamis/store.h>

TAMIS_BEGIN

/** Approximations of the Gauss-Newton Hessian, block-diagonal over layers but for the last. With a
 *  the input of a layer (trailing 1 for the bias) and d the gradient of its output:
 *  A = mean of a a^T over tokens, S = mean of d d^T, D = sum over an example's tokens of d a^T. */
typedef enum tamis_curvature_kind {
    TAMIS_CURVATURE_EKFAC = 0, /**< eigenvectors of A and S; Lambda = mean of (Q_S^T D Q_A)^2 over
                                       examples (George et al. 2018, eq. 9; Grosse et al. 2023) */
    TAMIS_CURVATURE_KFAC = 1,  /**< S (x) A (Martens and Grosse 2015): needs no second pass */
    TAMIS_CURVATURE_DIAGONAL = 2, /**< mean of D^2, entry by entry */
    TAMIS_CURVATURE_GRAM = 3,  /**< mean of x x^T over whole rows x: dense, for narrow or projected
                                       stores */
    TAMIS_CURVATURE_WHITEN = 4 /**< mean and covariance of whole rows, summed over checkpoints:
                                       features for distances, no Hessian (see
                                       tamis_whiten_params) */
} tamis_curvature_kind;

/** How far a curvature file is. Files before TAMIS_STAGE_FINAL hold sums and counts, and those of
 *  the same stage can be merged. */
typedef enum tamis_curvature_stage {
    TAMIS_STAGE_COVARIANCE = 0, /**< sums of a a^T and d d^T (ekfac, kfac), of x x^T (gram), of D^2
                                     (diagonal); mean and sums about it (whiten) */
    TAMIS_STAGE_LAMBDA = 1,     /**< ekfac: eigenvectors, and sums of (Q_S^T D Q_A)^2 */
    TAMIS_STAGE_FINAL = 2       /**< means; what score takes */
} tamis_curvature_stage;

/** How the covariance of rows is drawn towards a multiple of the identity. */
typedef enum tamis_shrinkage {
    TAMIS_SHRINKAGE_NONE = 0,
    TAMIS_SHRINKAGE_LEDOIT_WOLF = 1 /**< Ledoit and Wolf 2004, A well-conditioned estimator for
                                         large-dimensional covariance matrices: weight of the
                                         identity min(b^2, d^2) / d^2, d^2 = ||S - m I||_F^2, m =
                                         trace(S) / p, b^2 = (1/n^2) sum over rows of ||y y^T -
                                         S||_F^2 */
} tamis_shrinkage;

/** TAMIS_CURVATURE_WHITEN: what is made of the sums. C = S shrunk, S = (1/n) sum of (x - mean)
 *  (x - mean)^T, divided by n and not n - 1; then C + damping I = L L^T, and a row is whitened as
 *  L^-1 (x - mean). Zero-initialised: neither damping nor shrinkage. */
typedef struct tamis_whiten_params {
    double damping; /**< at least 0 */
    bool absolute;  /**< false: damping is in units of the mean eigenvalue, trace(C) / p */
    tamis_shrinkage shrinkage; /**< default: none */
} tamis_whiten_params;

/** What came of it. Eigenvalues are those of C, before damping. */
typedef struct tamis_whiten_facts {
    tamis_whiten_params params; /**< as they were given */
    double damping;             /**< in force: what was added to the diagonal of C */
    double shrinkage;           /**< weight of the identity in C, 0 to 1 */
    double least, most;         /**< eigenvalue of C */
    double effective_rank; /**< exponential of the entropy of the eigenvalues' shares, 1 to p (Roy
                                and Vetterli 2007) */
    double condition;      /**< (most + damping) / (least + damping) */
} tamis_whiten_facts;

/** An open curvature file; immutable, so it may be shared between threads. */
typedef struct tamis_curvature tamis_curvature;

/** What a curvature file says of itself. Strings and arrays belong to it. */
typedef struct tamis_curvature_info {
    tamis_curvature_kind kind;
    tamis_curvature_stage stage;
    uint64_t columns;          /**< of the rows that it fits */
    uint32_t layers;           /**< at least 1 */
    const tamis_layer *layer;  /**< [layers]; of those rows */
    uint32_t checkpoint;       /**< of the store, that it was fitted on; whiten: how many were
                                    summed up */
    uint64_t step;             /**< optimiser steps of that checkpoint; 0 when not known */
    bool step_known;           /**< false: files before this was written, whiten. A step that is
                                    known and not 0 must be that of the stores it is used with */
    uint64_t tokens, examples; /**< counted into A and S; into Lambda, D^2 or x x^T,
                                    rows of whiten */
    uint64_t max_block;        /**< widest diagonal block of A and S; 0 = they are whole */
    const tamis_whiten_facts *whiten; /**< NULL but for a final file of kind whiten */
    const char *labels;               /**< of the store, as in tamis_store_info; NULL = not said */
    const tamis_projection *projected_by; /**< of the store; NULL = not projected */
    uint64_t digest;        /**< XXH3-64 of all factors: names this curvature in stores that
                                       were whitened with it */
    const char *provenance; /**< JSON text; "{}" when absent */
} tamis_curvature_info;

/** Open a curvature file of any stage. Nothing but facts is read; layers are, when they are asked
 * for.
 *  Errors: IO, FORMAT (not a curvature file, truncated, a dataset missing or of the wrong shape, a
 *  value that is not finite), UNSUPPORTED (written by a newer version), NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_curvature_open(tamis_curvature **ret_curvature,
                                                            tamis_context *context,
                                                            const char *path, tamis_error *err);
/** Close and set to NULL. Accepts NULL and a pointer to NULL. */
TAMIS_API void tamis_curvature_close(tamis_curvature **curvature);

/** The facts; owned by the curvature. Never NULL. Thread-safe. */
TAMIS_API const tamis_curvature_info *tamis_curvature_info_get(const tamis_curvature *curvature);
/** The path it was opened with; owned by the curvature. */
TAMIS_API const char *tamis_curvature_path(const tamis_curvature *curvature);

/** What to fit. Zero-initialise. */
typedef struct tamis_fit_curvature_params {
    tamis_curvature_kind kind;
    tamis_store *train;  /**< pseudo-gradients; for ekfac those of the first pass. Factor form for
                              ekfac and kfac, any for the others. NULL with `from` of stage
                              TAMIS_STAGE_COVARIANCE and no more sums to be taken of it */
    tamis_store *lambda; /**< ekfac: those of the second pass; NULL = `train` serves both */
    tamis_store *const *with; /**< [n_with] whiten: stores whose rows count as those of `train` do,
                                   the targets of candidates; none of them closed */
    size_t n_with;
    const tamis_whiten_params *whiten; /**< whiten, final: NULL = damping 1e-5 times the mean
                                            eigenvalue, no shrinkage */
    const tamis_curvature *from; /**< ekfac: sums of A and S that are there (a merged file), go on
                                      with the eigenvectors; of a later stage the eigenvectors are
                                      taken, and Lambda is summed up anew. The store is then
                                      `lambda`, or `train`. NULL = start with the sums */
    tamis_curvature_stage until; /**< stop at this stage; zero-initialised means
                                      TAMIS_STAGE_COVARIANCE, so set TAMIS_STAGE_FINAL */
    uint32_t checkpoint;         /**< of the stores; UINT32_MAX = the last; not looked at by whiten,
                                      which sums rows over all of them */
    uint64_t max_block; /**< split A and S into diagonal blocks at most so wide; 0 = whole */
    const char *path;   /**< curvature file to write; required */
    bool resume; /**< keep sums in "<path>.sums" while they are taken, and go on from there; not for
                      whiten */
    bool force;  /**< replace an existing output */
    const char *provenance; /**< JSON text; NULL = "{}" */
} tamis_fit_curvature_params;

/** Fit and write atomically. Warns through the log when a layer has fewer tokens than it is wide,
 *  and whiten when there are fewer than 5 rows for each column.
 *  Same bits for any number of threads, memory limit and sharding.
 *  Errors: ARG (form, stage), SHAPE (two stores that do not fit together, a store that is
 *  whitened), NUMERIC (rows not finite,
 *  every Lambda of a layer zero, an eigenproblem that does not converge: names the layer; whiten:
 *  one row, or a covariance that is singular even with its damping), NOMEM (names the layer and the
 *  bytes, and says that max_block splits it; whiten: that a projection makes rows narrower), IO,
 *  CANCELLED. Complexity of whiten: rows * columns^2 flops, and 2 * columns^2 doubles. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_fit_curvature(tamis_context *context,
                                                           const tamis_fit_curvature_params *params,
                                                           tamis_error *err);

/** Add up curvature files of one kind and stage (not final) into one. Sums are taken in the order
 *  of `parts`, so another order may differ in the last bits. Stage TAMIS_STAGE_LAMBDA needs the
 *  same eigenvectors in all of them. With `finish` the result is final (ekfac: only from
 *  TAMIS_STAGE_LAMBDA; whiten: with `whiten` as in tamis_fit_curvature_params, else NULL). Errors:
 *  ARG, SHAPE (files that do not fit together: says which and how), NUMERIC (as when fitting), IO,
 *  NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_merge_curvature(
    tamis_context *context, const char *const *parts, size_t n_parts, const char *path, bool finish,
    const tamis_whiten_params *whiten, bool force, const char *provenance, tamis_error *err);

TAMIS_END

#endif
