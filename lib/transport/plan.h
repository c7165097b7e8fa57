/* Rows of the plan that potentials stand for.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TRANSPORT_PLAN_H
#define TAMIS_TRANSPORT_PLAN_H

#include "transport/cost.h"
#include "transport/weights.h"

typedef struct tamis__plan {
    tamis__cost cost;
    tamis__weights weights;
    const double *f; /* the result's */
    double epsilon;
    double *h, *scratch;
} tamis__plan;

/* Errors: as tamis_transport_plan(). */
tamis_status tamis__plan_open(tamis__plan *ret_plan, tamis_context *context,
                              const tamis_transport_problem *problem,
                              const tamis_transport_entropic_params *params,
                              const tamis_transport_entropic_result *result, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__plan_close(tamis__plan *plan);

/* out[m]. One thread at a time. */
void tamis__plan_row(const tamis__plan *plan, uint64_t i, double *out);

#endif
