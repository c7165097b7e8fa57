/* Layers while they are fitted: memory, eigenvectors.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "curvature/kronecker.h"

#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"

/* --- memory ----------------------------------------------------------------------------------- */

static tamis_status init_side(tamis__basis *basis, uint64_t n, uint64_t max_block, tamis_error *err)
{
    uint32_t blocks = tamis__curvature_blocks(n, max_block);
    basis->first = tamis__calloc((size_t)blocks + 1, sizeof *basis->first);
    basis->vectors = tamis__calloc(blocks, sizeof *basis->vectors);
    basis->values = tamis__calloc(n, sizeof *basis->values);
    if (!basis->first || !basis->vectors || !basis->values)
        return tamis__fail_memory(err, "eigenvalues", n * sizeof *basis->values);
    basis->blocks = blocks;
    for (uint32_t b = 0; b <= blocks; b++) basis->first[b] = tamis__curvature_block(n, blocks, b);
    for (uint32_t b = 0; b < blocks; b++) {
        uint64_t w = basis->first[b + 1] - basis->first[b];
        basis->vectors[b] = tamis__aligned(w * w, sizeof *basis->vectors[b]);
        if (!basis->vectors[b])
            return tamis__fail_memory(err, "a covariance", w * w * sizeof *basis->vectors[b]);
    }
    return TAMIS_OK;
}

static tamis_status init(tamis__kronecker *f, bool sides, bool lambda, uint64_t max_block,
                         tamis_error *err)
{
    f->output.n = f->layer.out;
    f->input.n = f->layer.in + f->layer.bias;
    if (sides) {
        TAMIS_TRY(init_side(&f->output, f->output.n, max_block, err));
        TAMIS_TRY(init_side(&f->input, f->input.n, max_block, err));
    }
    if (!lambda) return TAMIS_OK;
    f->lambda = tamis__aligned(tamis_layer_columns(&f->layer), sizeof *f->lambda);
    if (f->lambda) return TAMIS_OK;
    return tamis__fail_memory(err, "Lambda", tamis_layer_columns(&f->layer) * sizeof *f->lambda);
}

tamis_status tamis__kronecker_init(tamis__kronecker *ret_kronecker, const tamis_layer *layer,
                                   uint32_t index, bool sides, bool lambda, uint64_t max_block,
                                   tamis_error *err)
{
    tamis__kronecker f = {.index = index, .layer = *layer};
    tamis_status status = init(&f, sides, lambda, max_block, err);
    if (status == TAMIS_OK) {
        *ret_kronecker = f;
        return TAMIS_OK;
    }
    tamis__kronecker_fini(&f);
    return tamis__prefix(err, status, "layer '%s'", layer->name);
}

void tamis__kronecker_fini(tamis__kronecker *factors)
{
    tamis__basis_fini(&factors->output);
    tamis__basis_fini(&factors->input);
    free(factors->lambda);
    *factors = (tamis__kronecker){0};
}

static uint64_t widest_block(uint64_t n, uint64_t max_block)
{
    /* The first blocks are the longer ones. */
    return tamis__curvature_block(n, tamis__curvature_blocks(n, max_block), 1);
}

static uint64_t side_bytes(uint64_t n, uint64_t max_block)
{
    uint32_t blocks = tamis__curvature_blocks(n, max_block);
    uint64_t bytes = n * sizeof(double), w;
    for (uint32_t b = 0; b < blocks; b++) {
        w = tamis__curvature_block(n, blocks, b + 1) - tamis__curvature_block(n, blocks, b);
        bytes += w * w * sizeof(double) + sizeof(uint64_t) + sizeof(double *);
    }
    return bytes;
}

uint64_t tamis__kronecker_bytes(const tamis_layer *layer, bool sides, bool lambda,
                                uint64_t max_block)
{
    uint64_t bytes = sizeof(tamis__kronecker);
    if (sides)
        bytes += side_bytes(layer->out, max_block) + side_bytes(layer->in + layer->bias, max_block);
    return bytes + (lambda ? tamis_layer_columns(layer) * sizeof(double) : 0);
}

/* Of the eigensolver: 2 w^2 + 6 w + 1 doubles and 5 w + 3 integers. */
static uint64_t eigen_bytes(uint64_t w)
{
    return (2 * w * w + 6 * w + 1) * sizeof(double) + (5 * w + 3) * sizeof(int64_t);
}

uint64_t tamis__kronecker_eigen_bytes(const tamis_layer *layer, uint64_t max_block)
{
    uint64_t out = widest_block(layer->out, max_block),
             in = widest_block(layer->in + layer->bias, max_block);
    return eigen_bytes(out > in ? out : in);
}

double *tamis__kronecker_array(const tamis__kronecker *factors, const tamis__curvature_place *place)
{
    switch (place->array) {
    case TAMIS__OUTPUT_COVARIANCE:
    case TAMIS__OUTPUT_VECTORS: return factors->output.vectors[place->block];
    case TAMIS__INPUT_COVARIANCE:
    case TAMIS__INPUT_VECTORS: return factors->input.vectors[place->block];
    case TAMIS__OUTPUT_VALUES: return factors->output.values;
    case TAMIS__INPUT_VALUES: return factors->input.values;
    case TAMIS__LAMBDA: return factors->lambda;
    case TAMIS__GRAM:
    case TAMIS__WHITEN_MEAN:
    case TAMIS__WHITEN_SCATTER:
    case TAMIS__WHITEN_THIRD:
    case TAMIS__WHITEN_FOURTH:
    case TAMIS__WHITEN_FACTOR:
    case TAMIS__WHITEN_EIGENVALUES:
    case TAMIS__CURVATURE_ARRAYS: break;
    }
    return NULL;
}

/* By tiles, since one of the two is read down its columns. */
void tamis__mirror(double *matrix, uint64_t n)
{
    enum { TILE = 32 };
    for (uint64_t ti = 0; ti < n; ti += TILE)
        for (uint64_t tj = 0; tj <= ti; tj += TILE)
            for (uint64_t i = ti; i < n && i < ti + TILE; i++)
                for (uint64_t j = tj; j < i && j < tj + TILE; j++)
                    matrix[j * n + i] = matrix[i * n + j];
}

/* --- eigenvectors ----------------------------------------------------------------------------- */

/* One block's problem. */
typedef struct problem {
    const char *layer, *side;
    double *matrix, *values;
    uint64_t n;
} problem;

typedef struct solver {
    tamis_context *context;
    problem *problem;
    uint64_t problems;
    double tokens;
} solver;

static void add_problems(solver *s, const tamis__kronecker *f, const tamis__basis *basis,
                         const char *side)
{
    for (uint32_t b = 0; b < basis->blocks; b++)
        s->problem[s->problems++] = (problem){f->layer.name, side, basis->vectors[b],
                                              basis->values + basis->first[b],
                                              basis->first[b + 1] - basis->first[b]};
}

static int widest_first(const void *a, const void *b)
{
    const problem *x = a, *y = b;
    return x->n < y->n ? 1 : x->n > y->n ? -1 : 0;
}

static tamis_status solve(void *arg, uint64_t item, unsigned slot, unsigned worker,
                          tamis_error *err)
{
    (void)slot, (void)worker;
    const solver *s = arg;
    const problem *p = &s->problem[item];
    for (uint64_t i = 0; i < p->n; i++)
        for (uint64_t j = 0; j <= i; j++) p->matrix[i * p->n + j] /= s->tokens;
    tamis_status status = tamis__symmetric_eigen(p->n, p->matrix, p->n, true, p->values, err);
    if (status == TAMIS_OK) return TAMIS_OK;
    return tamis__prefix(err, status, "layer '%s', covariance of %s", p->layer, p->side);
}

static tamis_status tell(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)slot;
    const solver *s = arg;
    return tamis__progress(s->context, "eigenvectors", item + 1, s->problems, "matrices", NULL,
                           err);
}

/* So many at once as memory has room for; the first is the widest. */
static unsigned at_once(const solver *s, uint64_t memory)
{
    uint64_t each = eigen_bytes(s->problem[0].n);
    uint64_t fit = memory / (each ? each : 1), threads = tamis_context_threads(s->context);
    return fit < 1 ? 1 : (unsigned)(fit < threads ? fit : threads);
}

tamis_status tamis__kronecker_eigen(tamis_context *context, tamis__kronecker *factors, uint32_t n,
                                    uint64_t tokens, uint64_t memory, tamis_error *err)
{
    solver s = {.context = context, .tokens = (double)tokens};
    size_t most = 0;
    for (uint32_t i = 0; i < n; i++)
        most += (size_t)factors[i].output.blocks + factors[i].input.blocks;
    s.problem = tamis__calloc(most, sizeof *s.problem);
    if (!s.problem) return tamis__fail_memory(err, "eigenvectors", most * sizeof *s.problem);
    for (uint32_t i = 0; i < n; i++) {
        add_problems(&s, &factors[i], &factors[i].output, "output gradients");
        add_problems(&s, &factors[i], &factors[i].input, "inputs");
    }
    qsort(s.problem, s.problems, sizeof *s.problem, widest_first);
    tamis__pipeline p = {.arg = &s,
                         .items = s.problems,
                         .slots = at_once(&s, memory),
                         .work = solve,
                         .consume = tell};
    tamis__blas_begin();
    tamis_status status = tamis__progress(context, "eigenvectors", 0, s.problems, "matrices", NULL,
                                          err);
    if (status == TAMIS_OK) status = tamis__pool_run(context->pool, &p, err);
    tamis__blas_end();
    free(s.problem);
    return status;
}
