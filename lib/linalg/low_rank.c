/* Matrices cut off at a rank.
 *
 * Vectors are rows everywhere, so that all products are plain ones of row-major matrices.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "linalg/low_rank.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"

/* Rows of v [k, n] are combined by those of e [k, k], taken from the last: the eigenvector of the
 * largest eigenvalue comes first. */
static tamis_status combine(size_t k, size_t n, const double *e, const double *v, size_t rank,
                            double *ret_rows, tamis_error *err)
{
    for (size_t r = 0; r < rank; r++)
        TAMIS_TRY(tamis__dgemm(false, false, 1, n, k, 1.0, e + (k - 1 - r) * k, k, v, n, 0.0,
                               ret_rows + r * n, n, err));
    return TAMIS_OK;
}

uint64_t tamis__low_rank_bytes(size_t m)
{
    return ((uint64_t)m * m * 4 + 8 * m) * sizeof(double); /* and LAPACK's workspace */
}

tamis_status tamis__low_rank(size_t m, size_t n, const double *a, size_t rank, double *ret_left,
                             double *ret_right, tamis_error *err)
{
    double *gram = tamis__malloc(m * m, sizeof *gram), *value = tamis__malloc(m, sizeof *value);
    tamis_status status = gram && value ? TAMIS_OK
                                        : tamis__fail_memory(err, "singular vectors",
                                                             tamis__low_rank_bytes(m));
    if (status == TAMIS_OK)
        status = tamis__dgemm(false, true, m, m, n, 1.0, a, n, a, n, 0.0, gram, m, err);
    if (status == TAMIS_OK) status = tamis__symmetric_eigen(m, gram, m, true, value, err);
    for (size_t r = 0; r < rank && status == TAMIS_OK; r++)
        memcpy(ret_left + r * m, gram + (m - 1 - r) * m, m * sizeof *gram);
    if (status == TAMIS_OK)
        status = tamis__dgemm(false, false, rank, n, m, 1.0, ret_left, m, a, n, 0.0, ret_right, n,
                              err);
    free(gram);
    free(value);
    return status;
}

/* --- randomised ------------------------------------------------------------------------------- */

typedef struct sketch {
    size_t m, n, width;
    const double *a;
    double *left, *right; /* [width, m], [width, n] */
    double *spare;        /* [width, n] */
    double *gram, *value; /* [width, width], [width] */
} sketch;

/* v becomes D^-1/2 E^T v with the eigenvectors of v v^T: orthonormal where v is not too oblique.
 * Directions of which nothing is left become zeros. */
static tamis_status straighten(const sketch *s, double *v, size_t n, tamis_error *err)
{
    size_t k = s->width;
    TAMIS_TRY(tamis__dgemm(false, true, k, k, n, 1.0, v, n, v, n, 0.0, s->gram, k, err));
    TAMIS_TRY(tamis__symmetric_eigen(k, s->gram, k, true, s->value, err));
    double least = s->value[k - 1] * 1e-30;
    for (size_t i = 0; i < k; i++) {
        double factor = s->value[i] > least ? 1.0 / sqrt(s->value[i]) : 0.0;
        for (size_t j = 0; j < k; j++) s->gram[i * k + j] *= factor;
    }
    TAMIS_TRY(tamis__dgemm(false, false, k, n, k, 1.0, s->gram, k, v, n, 0.0, s->spare, n, err));
    memcpy(v, s->spare, k * n * sizeof *v);
    return TAMIS_OK;
}

/* Once loses half the digits where v is oblique; twice gives them back. */
static tamis_status orthonormal(const sketch *s, double *v, size_t n, tamis_error *err)
{
    TAMIS_TRY(straighten(s, v, n, err));
    return straighten(s, v, n, err);
}

static tamis_status to_left(const sketch *s, const double *from, tamis_error *err)
{
    return tamis__dgemm(false, true, s->width, s->m, s->n, 1.0, from, s->n, s->a, s->n, 0.0,
                        s->left, s->m, err);
}

static tamis_status to_right(const sketch *s, tamis_error *err)
{
    return tamis__dgemm(false, false, s->width, s->n, s->m, 1.0, s->left, s->m, s->a, s->n, 0.0,
                        s->right, s->n, err);
}

static tamis_status find(const sketch *s, size_t rank, unsigned power, const double *start,
                         double *ret_left, double *ret_right, tamis_error *err)
{
    size_t k = s->width;
    TAMIS_TRY(to_left(s, start, err));
    for (unsigned i = 0; i < power; i++) {
        TAMIS_TRY(orthonormal(s, s->left, s->m, err));
        TAMIS_TRY(to_right(s, err));
        TAMIS_TRY(orthonormal(s, s->right, s->n, err));
        TAMIS_TRY(to_left(s, s->right, err));
    }
    TAMIS_TRY(orthonormal(s, s->left, s->m, err));
    TAMIS_TRY(to_right(s, err));
    TAMIS_TRY(tamis__dgemm(false, true, k, k, s->n, 1.0, s->right, s->n, s->right, s->n, 0.0,
                           s->gram, k, err));
    TAMIS_TRY(tamis__symmetric_eigen(k, s->gram, k, true, s->value, err));
    TAMIS_TRY(combine(k, s->m, s->gram, s->left, rank, ret_left, err));
    return combine(k, s->n, s->gram, s->right, rank, ret_right, err);
}

uint64_t tamis__low_rank_sketch_bytes(size_t m, size_t n, size_t width)
{
    return ((uint64_t)width * (m + 2 * n) + 4 * width * width + 8 * width) * sizeof(double);
}

tamis_status tamis__low_rank_sketch(size_t m, size_t n, const double *a, size_t rank,
                                    unsigned power, size_t width, const double *start,
                                    double *ret_left, double *ret_right, tamis_error *err)
{
    sketch s = {.m = m, .n = n, .width = width, .a = a};
    double *room = tamis__malloc(width * (m + 2 * n) + width * width + width, sizeof *room);
    if (!room)
        return tamis__fail_memory(err, "singular vectors",
                                  tamis__low_rank_sketch_bytes(m, n, width));
    s.left = room;
    s.right = s.left + width * m;
    s.spare = s.right + width * n;
    s.gram = s.spare + width * n;
    s.value = s.gram + width * width;
    tamis_status status = find(&s, rank, power, start, ret_left, ret_right, err);
    free(room);
    return status;
}

tamis_status tamis__low_rank_start(uint64_t seed, uint64_t item, size_t width, size_t n,
                                   double *ret_start, tamis_error *err)
{
    gsl_rng *rng = tamis__rng_create();
    if (!rng) return tamis__fail_memory(err, "random numbers", 0);
    tamis__rng_key(rng, seed, TAMIS__STREAM_SKETCH, item);
    for (size_t i = 0; i < width * n; i++) ret_start[i] = gsl_ran_gaussian_ziggurat(rng, 1.0);
    gsl_rng_free(rng);
    return TAMIS_OK;
}
