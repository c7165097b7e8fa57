/* A Newton step on the dual of a small balanced problem: where parts of the sides are nearly apart,
 * alternating updates equalise them ever so slowly, and this does it at once.
 *
 * With r and c the sums of the plan P, the step solves r df + P dg = eps (a - r), P^T df + c dg =
 * eps (b - c). df goes out; what is left, scaled by the roots of c, is I - Q^T Q with Q_ij = P_ij /
 * sqrt(r_i c_j): a Laplacian, of which the heaviest point is held fast. Its diagonal is taken from
 * the others in its row, since 1 - q^2 would leave nothing of couplings below the last digit of 1,
 * which are what makes updates slow.
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

/* A potential moves by at most so many epsilons in a step: beyond, the model is worth nothing, and
 * couplings grow exponentially on the way. What hangs together moves alike, and so is cut alike. */
#define STEP_MOST 2.0

/* Of the diagonal, added to it: far below what matters, and the matrix stays positive where
 * couplings vanish. */
#define RIDGE 1e-13

typedef struct newton {
    tamis__sinkhorn *s;
    uint64_t n, m;
    double epsilon;
    double *p;       /* [n, m] the plan, then Q */
    double *schur;   /* [m, m] */
    double *r, *c;   /* [n], [m] */
    double *df, *dg; /* [n], [m] */
    double *scratch; /* for tiles of a row */
} newton;

static void fill_plan(newton *w)
{
    tamis__sinkhorn *s = w->s;
    const tamis__softmin_kernels *kernels = &s->cost.softmin;
    tamis__sinkhorn_weigh(s->h, s->log_b, s->g, w->epsilon, w->m);
    memset(w->c, 0, w->m * sizeof *w->c);
    for (uint64_t i = 0; i < w->n; i++) {
        double own = s->log_a[i] + s->f[i] / w->epsilon, *p = w->p + i * w->m;
        w->r[i] = 0;
        for (uint64_t j = 0; j < w->m; j += TAMIS__COST_COLUMNS) {
            size_t columns = w->m - j < TAMIS__COST_COLUMNS ? w->m - j : TAMIS__COST_COLUMNS,
                   stride;
            const double *cost = tamis__cost_tile(&s->cost, 0, i, 1, j, columns, w->scratch,
                                                  &stride);
            kernels->shift(p + j, s->h + j, cost, 1.0 / w->epsilon, columns);
            kernels->exp(p + j, -own, columns);
        }
        for (uint64_t j = 0; j < w->m; j++) {
            w->r[i] += p[j];
            w->c[j] += p[j];
        }
    }
}

/* The diagonal, and the heaviest point fast. */
static void ground(newton *w)
{
    uint64_t heaviest = 0;
    for (uint64_t j = 0; j < w->m; j++) {
        double *row = w->schur + j * w->m, sum = 0;
        for (uint64_t k = 0; k < w->m; k++)
            if (k != j) sum -= row[k] * sqrt(w->c[k]);
        row[j] = sum > 0 ? sum / sqrt(w->c[j]) + RIDGE : 1.0;
        if (w->c[j] > w->c[heaviest]) heaviest = j;
    }
    for (uint64_t k = 0; k < w->m; k++)
        w->schur[k * w->m + heaviest] = w->schur[heaviest * w->m + k] = 0;
    w->schur[heaviest * w->m + heaviest] = 1.0;
    w->dg[heaviest] = 0;
}

/* The right-hand side into dg, the plan into Q, I - Q^T Q into schur. */
static tamis_status fill_system(newton *w, tamis_error *err)
{
    for (uint64_t j = 0; j < w->m; j++) w->dg[j] = w->epsilon * (w->s->weights.b[j] - w->c[j]);
    for (uint64_t i = 0; i < w->n; i++) {
        double *p = w->p + i * w->m;
        double off = w->r[i] > 0 ? w->epsilon * (w->s->weights.a[i] - w->r[i]) / w->r[i] : 0;
        for (uint64_t j = 0; j < w->m; j++) {
            double root = sqrt(w->r[i]) * sqrt(w->c[j]);
            w->dg[j] -= p[j] * off;
            p[j] = root > 0 ? p[j] / root : 0;
        }
    }
    for (uint64_t j = 0; j < w->m; j++) w->dg[j] = w->c[j] > 0 ? w->dg[j] / sqrt(w->c[j]) : 0;
    TAMIS_TRY(tamis__dgemm(true, false, w->m, w->m, w->n, -1.0, w->p, w->m, w->p, w->m, 0.0,
                           w->schur, w->m, err));
    ground(w);
    return TAMIS_OK;
}

static double cut(double step, double epsilon)
{
    return fmax(fmin(step, STEP_MOST * epsilon), -STEP_MOST * epsilon);
}

static void step(const newton *w)
{
    for (uint64_t i = 0; i < w->n; i++) {
        double root = sqrt(w->r[i]), sum = 0;
        for (uint64_t j = 0; j < w->m; j++) sum += w->p[i * w->m + j] * w->dg[j];
        if (root > 0)
            w->df[i] = (w->epsilon * (w->s->weights.a[i] - w->r[i]) / root - sum) / root;
        else
            w->df[i] = 0;
    }
    for (uint64_t i = 0; i < w->n; i++) w->s->f[i] += cut(w->df[i], w->epsilon);
    for (uint64_t j = 0; j < w->m; j++)
        if (w->c[j] > 0) w->s->g[j] += cut(w->dg[j] / sqrt(w->c[j]), w->epsilon);
}

static tamis_status solve(newton *w, tamis_error *err)
{
    fill_plan(w);
    tamis__blas_begin();
    tamis_status status = fill_system(w, err);
    if (status == TAMIS_OK)
        status = tamis__cholesky(w->m, w->schur, w->m, "the transport step", "raise epsilon", err);
    if (status == TAMIS_OK)
        status = tamis__cholesky_solve(w->m, 1, w->schur, w->m, w->dg, w->m, err);
    tamis__blas_end();
    if (status == TAMIS_OK) step(w);
    return status;
}

bool tamis__newton_fits(const tamis__sinkhorn *s)
{
    return !(s->reach > 0) && s->cost.n <= TAMIS__NEWTON_MOST && s->cost.m <= TAMIS__NEWTON_MOST;
}

tamis_status tamis__newton_step(tamis__sinkhorn *s, double epsilon, tamis_error *err)
{
    newton w = {.s = s, .n = s->cost.n, .m = s->cost.m, .epsilon = epsilon};
    w.p = tamis__malloc(w.n * w.m, sizeof *w.p);
    w.schur = tamis__malloc(w.m * w.m, sizeof *w.schur);
    w.r = tamis__malloc(2 * (w.n + w.m), sizeof *w.r);
    w.scratch = tamis__aligned(tamis__cost_scratch(&s->cost, 1), sizeof *w.scratch);
    tamis_status status;
    if (!w.p || !w.schur || !w.r || !w.scratch) {
        status = tamis__fail_memory(err, "a transport step", (w.n + w.m) * w.m * sizeof *w.p);
    } else {
        w.c = w.r + w.n;
        w.df = w.c + w.m;
        w.dg = w.df + w.n;
        tamis_error lost = {0};
        status = solve(&w, &lost);
        /* Not positive definite to the last digit: the updates go on alone. */
        if (status == TAMIS_ERR_NUMERIC)
            status = TAMIS_OK;
        else if (status != TAMIS_OK && err)
            *err = lost;
    }
    free(w.p);
    free(w.schur);
    free(w.r);
    free(w.scratch);
    return status;
}
