/* From a covariance to its factor: shrinkage, damping, Cholesky.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "curvature/whiten.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"

/* --- parameters ------------------------------------------------------------------------------- */

tamis_status tamis__whiten_params(const tamis_whiten_params *params,
                                  tamis_whiten_params *ret_params, tamis_error *err)
{
    tamis_whiten_params p = params ? *params : (tamis_whiten_params){.damping = 1e-5};
    if (!(p.damping >= 0.0) || !isfinite(p.damping))
        return tamis__fail(err, TAMIS_ERR_ARG, "damping %g: it is a number of at least 0",
                           p.damping);
    if (p.shrinkage != TAMIS_SHRINKAGE_NONE && p.shrinkage != TAMIS_SHRINKAGE_LEDOIT_WOLF)
        return tamis__fail(err, TAMIS_ERR_ARG, "there is no shrinkage %d", (int)p.shrinkage);
    *ret_params = p;
    return TAMIS_OK;
}

/* --- shrinkage -------------------------------------------------------------------------------- */

static double mean_of_diagonal(const double *a, uint64_t p)
{
    double trace = 0;
    for (uint64_t i = 0; i < p; i++) trace += a[i * p + i];
    return trace / (double)p;
}

/* Weight of the identity. Since sum over rows of ||y y^T - S||^2 = sum of |y|^4 - n ||S||^2, rows
 * are not needed again. d^2 is that of S - m I, not a difference of large numbers. */
static double ledoit_wolf(const double *s, uint64_t p, double rows, double fourth, double m)
{
    double square = 0, d2 = 0;
    for (uint64_t i = 0; i < p; i++) {
        double all = 0, off = 0;
        for (uint64_t j = 0; j < p; j++) {
            double x = s[i * p + j], y = x - (i == j ? m : 0.0);
            all += x * x;
            off += y * y;
        }
        square += all;
        d2 += off;
    }
    double b2 = (fourth - rows * square) / (rows * rows);
    if (b2 < 0) b2 = 0;
    return d2 > 0 ? fmin(b2, d2) / d2 : 0.0;
}

static void shrink(double *s, uint64_t p, double weight, double m)
{
    if (weight <= 0.0) return;
    for (uint64_t i = 0; i < p * p; i++) s[i] *= 1.0 - weight;
    for (uint64_t i = 0; i < p; i++) s[i * p + i] += weight * m;
}

/* --- eigenvalues ------------------------------------------------------------------------------ */

static tamis_status find_eigenvalues(const double *c, uint64_t p, double *ret_values,
                                     tamis_error *err)
{
    double *copy = tamis__malloc(p * p, sizeof *copy);
    if (!copy) return tamis__fail_memory(err, "eigenvalues", p * p * sizeof *copy);
    memcpy(copy, c, p * p * sizeof *copy);
    tamis_status status = tamis__symmetric_eigen(p, copy, p, false, ret_values, err);
    free(copy);
    return status;
}

uint64_t tamis__whiten_factor_bytes(uint64_t columns)
{
    return (columns * columns + 3 * columns + 1) * sizeof(double) + sizeof(uint64_t);
}

static double effective_rank(const double *values, uint64_t p)
{
    double sum = 0, entropy = 0;
    for (uint64_t i = 0; i < p; i++) sum += values[i] > 0 ? values[i] : 0;
    for (uint64_t i = 0; i < p; i++) {
        double share = values[i] / sum;
        if (share > 0) entropy -= share * log(share);
    }
    return exp(entropy);
}

/* --- the factor ------------------------------------------------------------------------------- */

static tamis_status check_rows(const tamis__scatter *m, const char *name, double mean,
                               tamis_error *err)
{
    if (m->rows < 2)
        return tamis__fail(err, TAMIS_ERR_NUMERIC,
                           "%s: %" PRIu64 " row has no covariance: whitening needs at least 2, and "
                           "more of them than columns to mean anything",
                           name, m->rows);
    if (mean > 0.0 && isfinite(mean)) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "%s: all %" PRIu64 " rows are the same, so that there is no covariance to "
                       "whiten by",
                       name, m->rows);
}

/* Cholesky may go through where rounding has made a zero eigenvalue positive; what it gives is
 * noise. */
static tamis_status check_definite(const tamis__scatter *m, const char *name, uint64_t constant,
                                   const tamis_whiten_facts *f, tamis_error *err)
{
    double floor = f->most * (double)m->columns * DBL_EPSILON;
    if (f->least + f->damping > floor) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "%s: the covariance of %" PRIu64
                       " rows is singular: its smallest eigenvalue "
                       "%.3g with damping %.3g is not above what rounding leaves of the largest, "
                       "%.3g (%" PRIu64 " of %" PRIu64 " columns are constant): raise the damping, "
                       "or take shrinkage ledoit-wolf",
                       name, m->rows, f->least, f->damping, f->most, constant, m->columns);
}

static tamis_status factorise(tamis__scatter *m, const char *name, uint64_t constant,
                              tamis_whiten_facts *f, double *values, tamis_error *err)
{
    uint64_t p = m->columns;
    double *c = m->scatter;
    char what[512];
    if (values) {
        TAMIS_TRY(find_eigenvalues(c, p, values, err));
        f->least = values[0];
        f->most = values[p - 1];
        TAMIS_TRY(check_definite(m, name, constant, f, err));
        f->effective_rank = effective_rank(values, p);
        f->condition = (f->most + f->damping) / (f->least + f->damping);
    }
    for (uint64_t i = 0; i < p; i++) c[i * p + i] += f->damping;
    snprintf(what, sizeof what, "%.400s: the covariance with its damping", name);
    TAMIS_TRY(tamis__cholesky(p, c, p, what, "raise the damping", err));
    for (uint64_t i = 0; i < p; i++) memset(c + i * p + i + 1, 0, (p - i - 1) * sizeof *c);
    return TAMIS_OK;
}

tamis_status tamis__whiten_factor(tamis__scatter *moments, const tamis_whiten_params *params,
                                  const char *name, double *ret_eigenvalues,
                                  tamis_whiten_facts *ret_facts, tamis_error *err)
{
    uint64_t p = moments->columns, constant = 0;
    double *s = moments->scatter, rows = (double)moments->rows;
    tamis_whiten_facts f = {.params = *params, .damping = params->damping};
    for (uint64_t i = 0; i < p * p && moments->rows; i++) s[i] /= rows;
    for (uint64_t i = 0; i < p; i++) constant += !(s[i * p + i] > 0.0);
    double m = mean_of_diagonal(s, p);
    TAMIS_TRY(check_rows(moments, name, m, err));
    if (params->shrinkage == TAMIS_SHRINKAGE_LEDOIT_WOLF)
        f.shrinkage = ledoit_wolf(s, p, rows, moments->fourth, m);
    shrink(s, p, f.shrinkage, m);
    if (!params->absolute) f.damping *= m;
    tamis__blas_begin();
    tamis_status status = factorise(moments, name, constant, &f, ret_eigenvalues, err);
    tamis__blas_end();
    if (status == TAMIS_OK) *ret_facts = f;
    return status;
}
