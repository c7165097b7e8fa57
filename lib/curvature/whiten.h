/* Mean and covariance of rows, while they are summed up, merged and factorised. Between the files
 * whiten*.c.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CURVATURE_WHITEN_H
#define TAMIS_CURVATURE_WHITEN_H

#include <stdbool.h>
#include <tamis/curvature.h>

/* --- whiten_scatter.c ------------------------------------------------------------------------- */

/* Sums over rows of z = x - centre. Sums about a point near the mean lose nothing where the mean is
 * large against the deviation, and are moved to the mean itself without looking at the rows again.
 * The third and fourth are what Ledoit and Wolf's shrinkage needs. */
typedef struct tamis__scatter {
    uint64_t columns, rows;
    double *centre;  /* [columns] */
    double *sum;     /* [columns] of z */
    double *scatter; /* [columns, columns] of z z^T */
    double *third;   /* [columns] of |z|^2 z */
    double fourth;   /* of |z|^4 */
    double *offset;  /* [columns]: by what the centre is moved */
} tamis__scatter;

/* All zeros. Errors: NOMEM. */
tamis_status tamis__scatter_init(tamis__scatter *ret_moments, uint64_t columns, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__scatter_fini(tamis__scatter *moments);
uint64_t tamis__scatter_bytes(uint64_t columns);

/* Add the rows of a store, summed over its checkpoints; only the lower triangle of the scatter.
 * With no rows so far the centre becomes the mean of the first block. The same bits for any number
 * of threads: blocks are of fixed size, and an entry of a sum is one thread's.
 * Errors: NUMERIC (a row is not finite, or the sums are not), NOMEM, IO, CANCELLED. */
tamis_status tamis__scatter_add(tamis__scatter *moments, tamis_context *context,
                                const tamis_store *store, tamis_error *err);
/* Bytes that it takes besides the sums. */
uint64_t tamis__scatter_add_bytes(const tamis_context *context, uint64_t columns);

/* Put the centre at the mean, where the sum is zero; both triangles of the scatter are there from
 * then on. */
void tamis__scatter_centre(tamis__scatter *moments);

/* The same to another point [columns], for sums about their mean. */
void tamis__scatter_move(tamis__scatter *moments, const double *point);

/* Add sums about the same centre. */
void tamis__scatter_join(tamis__scatter *moments, const tamis__scatter *other);

/* --- whiten_factor.c -------------------------------------------------------------------------- */

/* Sums about the mean become the factor, in place of the scatter, and eigenvalues [columns]; NULL =
 * they are not looked for, nor facts made of them, which is safe where the damping is relative and
 * well above columns^2 times the precision of a double. `name` is what messages call the rows.
 * Errors: NUMERIC, NOMEM. */
tamis_status tamis__whiten_factor(tamis__scatter *moments, const tamis_whiten_params *params,
                                  const char *name, double *ret_eigenvalues,
                                  tamis_whiten_facts *ret_facts, tamis_error *err);
/* Bytes that it takes besides the sums. */
uint64_t tamis__whiten_factor_bytes(uint64_t columns);

/* Damping and shrinkage that make sense; ARG otherwise. NULL gives the defaults. */
tamis_status tamis__whiten_params(const tamis_whiten_params *params,
                                  tamis_whiten_params *ret_params, tamis_error *err);

/* --- whiten_fit.c ----------------------------------------------------------------------------- */

tamis_status tamis__whiten_fit(tamis_context *context, const tamis_fit_curvature_params *params,
                               tamis_error *err);

/* Write sums, or with info->stage final what is made of them, which takes `params`. Warns of few
 * rows. */
tamis_status tamis__whiten_write(tamis_context *context, tamis_curvature_info *info,
                                 tamis__scatter *moments, const tamis_whiten_params *params,
                                 const char *path, bool force, tamis_error *err);

/* --- whiten_merge.c --------------------------------------------------------------------------- */

/* `info` is that of the result. Parts fit together. */
tamis_status tamis__whiten_merge(tamis_context *context, tamis_curvature *const *part, size_t n,
                                 tamis_curvature_info *info, const tamis_whiten_params *params,
                                 const char *path, bool force, tamis_error *err);

#endif
