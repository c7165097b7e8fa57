/* One side of a Kronecker-factored layer.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "curvature/basis.h"

#include <stdlib.h>
#include <string.h>

#include "linalg/blas.h"

void tamis__basis_fini(tamis__basis *basis)
{
    for (uint32_t b = 0; b < basis->blocks && basis->vectors; b++) free(basis->vectors[b]);
    free(basis->first);
    free(basis->vectors);
    free(basis->values);
    *basis = (tamis__basis){0};
}

/* Products of sizes that were taken for a basis fit BLAS: whoever makes one has seen to it. */
static void multiply(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k,
                     const double *a, size_t lda, const double *b, size_t ldb, double *c,
                     size_t ldc)
{
    (void)tamis__dgemm(transpose_a, transpose_b, m, n, k, 1.0, a, lda, b, ldb, 0.0, c, ldc, NULL);
}

void tamis__basis_rotate(const tamis__basis *basis, bool back, size_t rows, const double *x,
                         size_t ldx, double *out, size_t ldo)
{
    for (size_t i = 0; i < rows && basis->blocks == 0; i++)
        memcpy(out + i * ldo, x + i * ldx, basis->n * sizeof *out);
    for (uint32_t b = 0; b < basis->blocks; b++) {
        size_t first = basis->first[b], size = basis->first[b + 1] - first;
        multiply(false, !back, rows, size, size, x + first, ldx, basis->vectors[b], size,
                 out + first, ldo);
    }
}

void tamis__basis_rotate_both(const tamis__basis *output, const tamis__basis *input, bool back,
                              const double *v, double *scratch, double *out)
{
    size_t columns = input->n;
    /* The side without a rotation costs no pass over V. */
    double *rotated = output->blocks == 0 ? out : scratch;
    tamis__basis_rotate(input, back, output->n, v, columns, rotated, columns);
    for (uint32_t b = 0; b < output->blocks; b++) {
        size_t first = output->first[b], size = output->first[b + 1] - first;
        multiply(back, false, size, columns, size, output->vectors[b], size,
                 rotated + first * columns, columns, out + first * columns, columns);
    }
}
