/* Network simplex on a transportation problem.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TRANSPORT_SIMPLEX_H
#define TAMIS_TRANSPORT_SIMPLEX_H

#include "transport/cost.h"
#include "transport/tree.h"

typedef struct tamis__simplex {
    tamis__cost *cost;
    tamis__tree tree;
    double *scratch;  /* for tiles of one row */
    double tolerance; /* a reduced cost that is above minus this is not negative */
    double slack;     /* largest by which a pair breaks the duals, at the end */
    uint64_t pivots;
} tamis__simplex;

/* Solve for whole supplies [n] and demands [m] of the same sum. Fill in and free with _fini(),
 * after a failure too. Errors: NUMERIC (no end in sight), NOMEM, CANCELLED. */
tamis_status tamis__simplex_solve(tamis__simplex *simplex, tamis__cost *cost, const int64_t *supply,
                                  const int64_t *demand, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__simplex_fini(tamis__simplex *simplex);

#endif
