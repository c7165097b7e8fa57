/* What TSDS's selectors are made of: how much of the targets' mass each candidate is given.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_TSDS_H
#define TAMIS_SELECT_TSDS_H

#include "select/tarot.h"

/* --- the plan (tsds_plan.c) ------------------------------------------------------------------- */

/* Plans of row sums 1 / m that minimise
 *
 *     alpha / C sum_ij P_ij d_ij + (1 - alpha) m max_ij density_j P_ij.
 *
 * At the optimum no share exceeds 1 / (m s density_j), for one s, and each target gives as much to
 * its nearest candidates, in their order, as it may (Liu, Karbasi and Rekatsinas 2024). The slope
 * in s of the whole changes only where a target uses a candidate up. */
typedef struct tamis__tsds_problem {
    uint64_t n, m, k;    /* candidates, targets, so many of a list count */
    uint64_t length;     /* of a list, >= k */
    const uint64_t *row; /* [m, length] nearest first */
    const float *cosine; /* [m, length] of that candidate and the target; d = sqrt(2 - 2 cosine) */
    const double *density; /* [n] > 0 where a row is among the k of a list; NULL = all are 1 */
    double price;          /* C (1 - alpha) / alpha; may be infinite */
} tamis__tsds_problem;

/* What is between two unit rows. */
double tamis__tsds_distance(float cosine);

typedef struct tamis__tsds_plan {
    double spread;  /* s: by how many candidates of density 1 a target's mass is shared */
    bool cut;       /* a target's list is used up: the best plan within the lists */
    uint64_t *full; /* [m] so many of a target's list have all that they may have */
    double *mass;   /* [n] column sums, 1 together */
} tamis__tsds_plan;

/* Complexity: O(m k log m). Errors: NOMEM. */
tamis_status tamis__tsds_plan_make(const tamis__tsds_problem *problem, tamis__tsds_plan *ret_plan,
                                   tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__tsds_plan_fini(tamis__tsds_plan *plan);

/* --- densities (tsds_density.c) --------------------------------------------------------------- */

typedef struct tamis__tsds_kernel {
    double sigma;  /* > 0 */
    uint64_t most; /* so many nearest rows count, the row itself among them */
} tamis__tsds_kernel;

/* Densities of the rows among the first `k` of the lists which are still 0 in `density` [n]: the
 * sum of max(0, 1 - d^2 / sigma^2) over the `most` candidates nearest to the row, itself among
 * them, whose own term is 1. All rows of a batch are one product with the candidates. Errors:
 * NOMEM, IO, CANCELLED. */
tamis_status tamis__tsds_densities(tamis__tarot *tarot, const tamis__tsds_kernel *by, uint64_t k,
                                   double *density, tamis_error *err);

#endif
