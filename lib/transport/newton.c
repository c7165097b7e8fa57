/* A Newton step on the dual of a balanced problem: where parts of the sides are nearly apart,
 * alternating updates equalise them ever so slowly, and this does it at once.
 *
 * With r and c the sums of the plan P, rows those of the larger side, the step solves r df + P dg =
 * eps (a - r), P^T df + c dg = eps (b - c). df goes out; what is left, scaled by the roots of c, is
 * I - Q^T Q with Q_ij = P_ij / sqrt(r_i c_j): a Laplacian, of which the heaviest point is held
 * fast. Its diagonal is taken from the others in its row, since 1 - q^2 would leave nothing of
 * couplings below the last digit of 1, which are what makes updates slow.
 *
 * The plan is made in blocks of rows, twice, and never held: first for the system, in which a tile
 * is one thread's and blocks are added in their order, then for df.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "transport/newton.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"

/* Their sizes are part of the result's last bits. Entries of the system's row that make it dear. */
enum { BLOCK = 512, ROWS = TAMIS__COST_ROWS, TILE = 128, DEAR = 256 };

/* A potential moves by at most so many epsilons in a step: beyond, the model is worth nothing, and
 * couplings grow exponentially on the way. What hangs together moves alike, and so is cut alike. */
#define STEP_MOST 2.0

/* Of the diagonal, added to it: far below what matters, and the matrix stays positive where
 * couplings vanish. */
#define RIDGE 1e-13

typedef struct newton {
    tamis__sinkhorn *s;
    int side; /* that rows are of: the larger one */
    uint64_t n, m;
    double epsilon;
    uint64_t first, rows; /* of the block */
    bool last;            /* of the two times: take df */
    double *block;        /* [BLOCK, m] P_ij / sqrt(r_i) */
    double *schur;        /* [m, m] */
    double *h;            /* [m] what exponents of columns start from */
    double *r, *df;       /* [n] */
    double *c, *dg;       /* [m] */
    double **scratch;     /* [worker] for tiles */
} newton;

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* --- the plan --------------------------------------------------------------------------------- */

static double sum_of(const double *x, uint64_t n)
{
    double sum[4] = {0};
    for (uint64_t i = 0; i < n; i++) sum[i % 4] += x[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static const double *weights_of(const newton *w, bool rows)
{
    return (w->side == 0) == rows ? w->s->weights.a : w->s->weights.b;
}

/* What a row lacks of its weight, over its root. */
static double lack_of(const newton *w, uint64_t i)
{
    return w->epsilon * (weights_of(w, true)[i] - w->r[i]) / sqrt(w->r[i]);
}

static void take_row(const newton *w, uint64_t i, double *p)
{
    if (w->last) {
        double sum[4] = {0}, root = sqrt(w->r[i]);
        for (uint64_t j = 0; j < w->m; j++) sum[j % 4] += p[j] * w->dg[j];
        w->df[i] = w->r[i] > 0
                       ? lack_of(w, i) / root - ((sum[0] + sum[1]) + (sum[2] + sum[3])) / w->r[i]
                       : 0;
        return;
    }
    w->r[i] = sum_of(p, w->m);
    double factor = w->r[i] > 0 ? 1.0 / sqrt(w->r[i]) : 0;
    for (uint64_t j = 0; j < w->m; j++) p[j] *= factor;
}

static tamis_status fill(void *arg, uint64_t item, unsigned slot, unsigned worker, tamis_error *err)
{
    (void)slot, (void)err;
    const newton *w = arg;
    tamis__sinkhorn *s = w->s;
    const tamis__softmin_kernels *kernels = &s->cost.softmin;
    const double *log_weight = w->side ? s->log_b : s->log_a, *potential = w->side ? s->g : s->f;
    uint64_t first = item * ROWS, rows = lesser(ROWS, w->rows - first), at = w->first + first;
    double *p = w->block + first * w->m;
    for (uint64_t j = 0; j < w->m; j += TAMIS__COST_COLUMNS) {
        size_t columns = (size_t)lesser(TAMIS__COST_COLUMNS, w->m - j), stride;
        const double *cost = tamis__cost_tile(&s->cost, w->side, at, (size_t)rows, j, columns,
                                              w->scratch[worker], &stride);
        for (uint64_t i = 0; i < rows; i++) {
            double own = log_weight[at + i] + potential[at + i] / w->epsilon;
            kernels->shift(p + i * w->m + j, w->h + j, cost + i * stride, 1.0 / w->epsilon,
                           columns);
            kernels->exp(p + i * w->m + j, -own, columns);
        }
    }
    for (uint64_t i = 0; i < rows; i++) take_row(w, at + i, p + i * w->m);
    return TAMIS_OK;
}

/* --- the system ------------------------------------------------------------------------------- */

/* Sums of the columns, and what rows lack through them. */
static void add_columns(const newton *w, uint64_t first, uint64_t n)
{
    for (uint64_t i = 0; i < w->rows; i++) {
        const double *p = w->block + i * w->m + first;
        double root = sqrt(w->r[w->first + i]);
        if (!(root > 0)) continue;
        double lack = lack_of(w, w->first + i);
        for (uint64_t j = 0; j < n; j++) {
            w->c[first + j] += p[j] * root;
            w->dg[first + j] -= p[j] * lack;
        }
    }
}

/* Tiles of the triangle, row by row. */
static tamis_status add_tile(void *arg, uint64_t item, unsigned slot, unsigned worker,
                             tamis_error *err)
{
    (void)slot, (void)worker;
    const newton *w = arg;
    uint64_t row = 0, m = w->m;
    for (; item > row; row++) item -= row + 1;
    uint64_t i = row * TILE, j = item * TILE, n = lesser(TILE, m - i);
    if (i == j) add_columns(w, i, n);
    return tamis__dgemm(true, false, n, lesser(TILE, m - j), w->rows, -1.0, w->block + i, m,
                        w->block + j, m, 1.0, w->schur + i * m + j, m, err);
}

static tamis_status go_through(newton *w, bool last, tamis_error *err)
{
    tamis__pool *pool = w->s->cost.context->pool;
    uint64_t tiles = (w->m + TILE - 1) / TILE;
    w->last = last;
    for (w->first = 0; w->first < w->n; w->first += w->rows) {
        w->rows = lesser(BLOCK, w->n - w->first);
        tamis__pipeline make = {.arg = w, .items = (w->rows + ROWS - 1) / ROWS, .work = fill},
                        add = {.arg = w, .items = tiles * (tiles + 1) / 2, .work = add_tile};
        TAMIS_TRY(tamis__pool_run(pool, &make, err));
        if (!last) TAMIS_TRY(tamis__pool_run(pool, &add, err));
        TAMIS_TRY(tamis__progress(w->s->cost.context, w->s->passes.phase, w->s->passes.done,
                                  w->s->passes.total, "iterations", NULL, err));
    }
    return TAMIS_OK;
}

/* Scaled by the roots of c; the diagonal; and the heaviest point fast. */
static void finish_system(newton *w)
{
    uint64_t m = w->m, heaviest = 0;
    const double *b = weights_of(w, false);
    for (uint64_t j = 0; j < m; j++) {
        w->dg[j] = w->c[j] > 0 ? (w->epsilon * (b[j] - w->c[j]) + w->dg[j]) / sqrt(w->c[j]) : 0;
        for (uint64_t k = 0; k < j; k++) {
            double root = sqrt(w->c[j]) * sqrt(w->c[k]), *at = &w->schur[j * m + k];
            w->schur[k * m + j] = *at = root > 0 ? *at / root : 0;
        }
    }
    for (uint64_t j = 0; j < m; j++) {
        double *row = w->schur + j * m, sum = 0;
        for (uint64_t k = 0; k < m; k++)
            if (k != j) sum -= row[k] * sqrt(w->c[k]);
        row[j] = sum > 0 ? sum / sqrt(w->c[j]) + RIDGE : 1.0;
        if (w->c[j] > w->c[heaviest]) heaviest = j;
    }
    for (uint64_t k = 0; k < m; k++) w->schur[k * m + heaviest] = w->schur[heaviest * m + k] = 0;
    w->schur[heaviest * m + heaviest] = 1.0;
    w->dg[heaviest] = 0;
}

static double cut(double step, double epsilon)
{
    return fmax(fmin(step, STEP_MOST * epsilon), -STEP_MOST * epsilon);
}

static void move(const newton *w)
{
    double *of_rows = w->side ? w->s->g : w->s->f, *of_columns = w->side ? w->s->f : w->s->g;
    for (uint64_t i = 0; i < w->n; i++) of_rows[i] += cut(w->df[i], w->epsilon);
    for (uint64_t j = 0; j < w->m; j++) of_columns[j] += cut(w->dg[j], w->epsilon);
}

static tamis_status solve(newton *w, tamis_error *err)
{
    const tamis__sinkhorn *s = w->s;
    tamis__sinkhorn_weigh(w->h, w->side ? s->log_a : s->log_b, w->side ? s->f : s->g, w->epsilon,
                          w->m);
    TAMIS_TRY(go_through(w, false, err));
    finish_system(w);
    TAMIS_TRY(tamis__cholesky(w->m, w->schur, w->m, "the transport step", "raise epsilon", err));
    TAMIS_TRY(tamis__cholesky_solve(w->m, 1, w->schur, w->m, w->dg, w->m, err));
    for (uint64_t j = 0; j < w->m; j++) w->dg[j] = w->c[j] > 0 ? w->dg[j] / sqrt(w->c[j]) : 0;
    TAMIS_TRY(go_through(w, true, err));
    move(w);
    return TAMIS_OK;
}

/* --- a step ----------------------------------------------------------------------------------- */

static newton sides_of(const tamis__sinkhorn *s)
{
    bool turned = s->cost.n < s->cost.m;
    return (newton){
        .side = turned, .n = turned ? s->cost.m : s->cost.n, .m = turned ? s->cost.n : s->cost.m};
}

bool tamis__newton_fits(const tamis__sinkhorn *s)
{
    newton w = sides_of(s);
    return !(s->reach > 0) && w.m <= TAMIS__NEWTON_MOST;
}

bool tamis__newton_dear(const tamis__sinkhorn *s)
{
    newton w = sides_of(s);
    return w.m > DEAR && w.n > TAMIS__NEWTON_MOST;
}

static tamis_status allocate(newton *w, tamis_error *err)
{
    unsigned workers = tamis__pool_threads(w->s->cost.context->pool);
    size_t tile = tamis__cost_scratch(&w->s->cost, ROWS);
    w->block = tamis__malloc(lesser(BLOCK, w->n) * w->m, sizeof *w->block);
    w->schur = tamis__calloc(w->m * w->m, sizeof *w->schur);
    w->h = tamis__aligned(w->m, sizeof *w->h);
    w->r = tamis__malloc(2 * w->n, sizeof *w->r);
    w->c = tamis__calloc(2 * w->m, sizeof *w->c);
    w->scratch = tamis__calloc(workers, sizeof *w->scratch);
    bool enough = w->block && w->schur && w->h && w->r && w->c && w->scratch;
    for (unsigned i = 0; enough && i < workers; i++)
        enough = (w->scratch[i] = tamis__aligned(tile, sizeof(double))) != NULL;
    if (!enough)
        return tamis__fail_memory(err, "a transport step", (w->m + BLOCK) * w->m * sizeof(double));
    w->df = w->r + w->n;
    w->dg = w->c + w->m;
    return TAMIS_OK;
}

static void release(newton *w)
{
    unsigned workers = tamis__pool_threads(w->s->cost.context->pool);
    for (unsigned i = 0; w->scratch && i < workers; i++) free(w->scratch[i]);
    free(w->scratch);
    free(w->block);
    free(w->schur);
    free(w->h);
    free(w->r);
    free(w->c);
}

tamis_status tamis__newton_step(tamis__sinkhorn *s, double epsilon, tamis_error *err)
{
    newton w = sides_of(s);
    tamis_error lost = {0};
    w.s = s;
    w.epsilon = epsilon;
    tamis_status status = allocate(&w, &lost);
    if (status == TAMIS_OK) {
        tamis__blas_begin();
        status = solve(&w, &lost);
        tamis__blas_end();
    }
    release(&w);
    /* Not positive definite to the last digit: the updates go on alone. */
    if (status == TAMIS_ERR_NUMERIC) return TAMIS_OK;
    if (status != TAMIS_OK && err) *err = lost;
    return status;
}
