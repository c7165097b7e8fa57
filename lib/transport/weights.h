/* Weights of the two sides, checked.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TRANSPORT_WEIGHTS_H
#define TAMIS_TRANSPORT_WEIGHTS_H

#include <tamis/transport.h>

typedef struct tamis__weights {
    double *a, *b; /* [n], [m]: of sums mass_a and mass_b */
    double mass_a, mass_b;
    bool uniform; /* all weights of each side are the same */
} tamis__weights;

/* Copy and check. With `balanced` b is scaled to a's sum, or refused. Errors: ARG, NOMEM. */
tamis_status tamis__weights_init(tamis__weights *ret_weights,
                                 const tamis_transport_problem *problem, bool balanced,
                                 tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__weights_fini(tamis__weights *weights);

/* Compensated, so that a sum of many does not depend on how they are ordered by more than its last
 * bits. */
double tamis__sum(const double *value, uint64_t n);

/* Sum of a[i] * b[i], compensated. */
double tamis__dot(const double *a, const double *b, uint64_t n);

#endif
