/* Preconditioned queries cut off at a rank: Grosse et al. 2023, section 3.2.2.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"
#include "linalg/low_rank.h"
#include "score/ekfac_queries.h"

/* All singular vectors are found of sides up to this; more random vectors than the rank, and passes
 * over the matrix, where they are not. */
enum { WHOLE = 512, OVER = 8, POWER = 2 };

static bool whole(uint64_t narrow, uint64_t rank)
{
    return narrow <= WHOLE || rank + OVER > narrow / 4;
}

uint64_t tamis__ekfac_cut_bytes(uint64_t out, uint64_t in, uint64_t rank)
{
    uint64_t narrow = out < in ? out : in, wide = out < in ? in : out;
    if (rank >= narrow) return 0;
    uint64_t own = (narrow * wide + rank * (narrow + wide)) * sizeof(double);
    if (whole(narrow, rank)) return own + tamis__low_rank_bytes(narrow);
    return own + (rank + OVER) * wide * sizeof(double) +
           tamis__low_rank_sketch_bytes(narrow, wide, rank + OVER);
}

static void transpose(const double *v, uint64_t rows, uint64_t columns, double *out)
{
    for (uint64_t i = 0; i < rows; i++)
        for (uint64_t j = 0; j < columns; j++) out[j * rows + i] = v[i * columns + j];
}

typedef struct room {
    double *turned, *left, *right, *start;
} room;

/* v [narrow, wide] */
static tamis_status find(const double *v, uint64_t narrow, uint64_t wide, uint64_t rank,
                         uint64_t seed, uint64_t item, const room *r, tamis_error *err)
{
    uint64_t width = rank + OVER;
    if (whole(narrow, rank)) return tamis__low_rank(narrow, wide, v, rank, r->left, r->right, err);
    TAMIS_TRY(tamis__low_rank_start(seed, item, width, wide, r->start, err));
    return tamis__low_rank_sketch(narrow, wide, v, rank, POWER, width, r->start, r->left, r->right,
                                  err);
}

static tamis_status cut(double *v, uint64_t out, uint64_t in, uint64_t rank, uint64_t seed,
                        uint64_t item, const room *r, tamis_error *err)
{
    if (out <= in) {
        TAMIS_TRY(find(v, out, in, rank, seed, item, r, err));
        return tamis__dgemm(true, false, out, in, rank, 1.0, r->left, out, r->right, in, 0.0, v, in,
                            err);
    }
    transpose(v, out, in, r->turned);
    TAMIS_TRY(find(r->turned, in, out, rank, seed, item, r, err));
    return tamis__dgemm(true, false, out, in, rank, 1.0, r->right, out, r->left, in, 0.0, v, in,
                        err);
}

tamis_status tamis__ekfac_cut(double *v, uint64_t out, uint64_t in, uint64_t rank, uint64_t seed,
                              uint64_t item, tamis_error *err)
{
    uint64_t narrow = out < in ? out : in, wide = out < in ? in : out;
    if (rank >= narrow) return TAMIS_OK;
    room r = {
        .turned = tamis__malloc(out > in ? out * in : 1, sizeof(double)),
        .left = tamis__malloc(rank * narrow, sizeof(double)),
        .right = tamis__malloc(rank * wide, sizeof(double)),
        .start = tamis__malloc(whole(narrow, rank) ? 1 : (rank + OVER) * wide, sizeof(double))};
    tamis_status status = r.turned && r.left && r.right && r.start
                              ? cut(v, out, in, rank, seed, item, &r, err)
                              : tamis__fail_memory(err, "a query of low rank",
                                                   tamis__ekfac_cut_bytes(out, in, rank));
    free(r.turned);
    free(r.left);
    free(r.right);
    free(r.start);
    return status;
}
