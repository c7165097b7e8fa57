/* Alternating updates of the potentials of entropic transport.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TRANSPORT_SINKHORN_H
#define TAMIS_TRANSPORT_SINKHORN_H

#include "transport/softmin.h"
#include "transport/weights.h"

/* Parameters with their defaults filled in. Weights of the balanced problem have the sum 1. */
typedef struct tamis__sinkhorn {
    tamis__cost cost;
    tamis__softmin passes;
    tamis__weights weights;
    double *log_a, *log_b; /* [n], [m]; -infinity for a weight of 0 */
    double *f, *g;         /* [n], [m] potentials */
    double *h;             /* [the longer side] scratch */
    double *next;          /* [the longer side] scratch */
    double mass;           /* of a side before it was scaled to 1; 1 when unbalanced */
    double target;         /* the last epsilon */
    double tolerance, scaling;
    double reach;   /* 0 = balanced */
    uint64_t limit; /* iterations at the last epsilon */
    uint64_t iterations;
    double residual; /* L1 error of the row sums */
    double row_mass; /* sum of the plan's rows, when they were last looked at */
} tamis__sinkhorn;

/* Open the costs, take the parameters. Errors: as tamis_transport_entropic(). */
tamis_status tamis__sinkhorn_init(tamis__sinkhorn *ret_sinkhorn, tamis_context *context,
                                  const tamis_transport_problem *problem,
                                  const tamis_transport_entropic_params *params, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__sinkhorn_fini(tamis__sinkhorn *sinkhorn);

/* Update until the residual is below the tolerance, or iterations are used up. Column sums are
 * exact afterwards. */
tamis_status tamis__sinkhorn_solve(tamis__sinkhorn *sinkhorn, tamis_error *err);

/* The same of a side with itself: one potential, of averaged updates. */
tamis_status tamis__sinkhorn_solve_self(tamis__sinkhorn *sinkhorn, tamis_error *err);

/* The dual value of the potentials: with `self`, of f on both sides. Of masses as they were
 * given. */
double tamis__sinkhorn_value(const tamis__sinkhorn *sinkhorn, bool self);

/* h[j] = log weight + potential / epsilon: what a pass needs. */
void tamis__sinkhorn_weigh(double *h, const double *log_weight, const double *potential,
                           double epsilon, uint64_t n);

#endif
