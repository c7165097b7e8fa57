/* Layers while they are fitted: sums of covariances, which become eigenvectors in place, and sums
 * of Lambda.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CURVATURE_KRONECKER_H
#define TAMIS_CURVATURE_KRONECKER_H

#include "curvature/basis.h"
#include "curvature/tokens.h"
#include "store/curvature_file.h"

typedef struct tamis__kronecker {
    uint32_t index; /* of the layer in the store */
    tamis_layer layer;
    /* Blocks of S and A: sums of d d^T and a a^T in the lower triangle until
     * tamis__kronecker_eigen(). No blocks: of a diagonal curvature. */
    tamis__basis output, input;
    double *lambda; /* [out, in + bias] sums; NULL = not wanted */
} tamis__kronecker;

/* Everything zero. */
tamis_status tamis__kronecker_init(tamis__kronecker *ret_kronecker, const tamis_layer *layer,
                                   uint32_t index, bool sides, bool lambda, uint64_t max_block,
                                   tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__kronecker_fini(tamis__kronecker *factors);

/* Bytes of what _init() makes, and of what _eigen() needs besides for one block at a time. */
uint64_t tamis__kronecker_bytes(const tamis_layer *layer, bool sides, bool lambda,
                                uint64_t max_block);
uint64_t tamis__kronecker_eigen_bytes(const tamis_layer *layer, uint64_t max_block);

/* The memory of an array of the layer. */
double *tamis__kronecker_array(const tamis__kronecker *factors,
                               const tamis__curvature_place *place);

/* --- sums ------------------------------------------------------------------------------------- */

/* One pass over tokens for some layers. */
typedef struct tamis__pass {
    tamis_context *context;
    const tamis__tokens *tokens;
    tamis__kronecker *factors; /* [n] */
    uint32_t n;
    uint64_t first_row; /* where a block starts */
    uint64_t
        buffers; /* bytes for blocks of several layers at once; one layer takes what it needs */
    const char *phase, *note; /* of progress */
    /* After every block; `row` is the first that is not summed up. A failure ends the pass with
     * whole blocks. NULL = nothing to do. */
    tamis_status (*after)(void *arg, uint64_t row, tamis_error *err);
    void *arg;
} tamis__pass;

/* Buffers that one layer needs. */
uint64_t tamis__pass_bytes(const tamis_context *context, const tamis_layer *layer,
                           uint64_t capacity);

/* Add a a^T and d d^T: lower triangles. Inputs are those of the first row of every example. The
 * same bits for any number of threads, memory and layers at once: an entry is one thread's, blocks
 * are fixed. Errors: NUMERIC (not finite, names the layer), NOMEM, those of read() and after(). */
tamis_status tamis__pass_covariance(const tamis__pass *pass, tamis_error *err);

/* Add (Q_S^T D Q_A)^2 of every row, D the sum of its d a^T. Errors: as above. */
tamis_status tamis__pass_lambda(const tamis__pass *pass, tamis_error *err);

/* Sums of `tokens` tokens become eigenvectors and eigenvalues of their mean. As many at once as fit
 * `memory`, at least one. Errors: NUMERIC (names the layer and side), NOMEM, CANCELLED. */
tamis_status tamis__kronecker_eigen(tamis_context *context, tamis__kronecker *factors, uint32_t n,
                                    uint64_t tokens, uint64_t memory, tamis_error *err);

/* What is above the diagonal becomes what is below. */
void tamis__mirror(double *matrix, uint64_t n);

#endif
