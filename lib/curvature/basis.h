/* One side of a Kronecker-factored layer: an orthogonal basis in diagonal blocks.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CURVATURE_BASIS_H
#define TAMIS_CURVATURE_BASIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Q of [n, n], eigenvectors in columns as in the formulas; block b covers first[b] .. first[b + 1]
 * - 1. vectors[b] is [size, size] row-major with eigenvector i of the block as ROW i (what
 * tamis__symmetric_eigen() leaves): Q^T of the block. blocks == 0: Q is the identity. */
typedef struct tamis__basis {
    uint64_t n;
    uint32_t blocks;
    uint64_t *first;  /* [blocks + 1] */
    double **vectors; /* [blocks] */
    double *values;   /* [n] eigenvalues, ascending within a block; NULL with blocks == 0 */
} tamis__basis;

void tamis__basis_fini(tamis__basis *basis);

/* Rows x [rows, n] become x Q, or with `back` x Q^T; `out` may not overlap `x`. On the calling
 * thread, between tamis__blas_begin() and _end(); ld* are the values from row to row. */
void tamis__basis_rotate(const tamis__basis *basis, bool back, size_t rows, const double *x,
                         size_t ldx, double *out, size_t ldo);

/* out = Q_S^T V Q_A, or with `back` Q_S V Q_A^T, V [S.n, A.n] and `out` packed, `scratch` as large
 * as V. On the calling thread, between tamis__blas_begin() and _end(). */
void tamis__basis_rotate_both(const tamis__basis *output, const tamis__basis *input, bool back,
                              const double *v, double *scratch, double *out);

#endif
