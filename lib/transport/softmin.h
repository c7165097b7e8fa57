/* Sums of exponentials of costs over rows and over columns: the passes of entropic transport.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TRANSPORT_SOFTMIN_H
#define TAMIS_TRANSPORT_SOFTMIN_H

#include "transport/cost.h"

/* Memory of a pass, for any number of them. */
typedef struct tamis__softmin {
    const tamis__cost *cost;
    const char *phase; /* for progress */
    uint64_t done, total;
    double **scratch; /* [threads] */
    unsigned threads;
    double *moved; /* [n] */
} tamis__softmin;

/* Errors: NOMEM. */
tamis_status tamis__softmin_begin(tamis__softmin *ret_softmin, const tamis__cost *cost,
                                  const char *phase, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__softmin_end(tamis__softmin *softmin);

/* out[i] = log sum_j exp(h[j] - rate C_ij) over the points j of the other side. Each row is one
 * thread's, and its columns are taken in order: the same bits for any number of threads. Errors:
 * CANCELLED. */
tamis_status tamis__softmin_pass(tamis__softmin *softmin, int side, const double *h, double rate,
                                 double *out, tamis_error *err);

/* Sum over all pairs of P_ij C_ij and of P_ij, P_ij = exp(k[i] + h[j] - rate C_ij); k may be
 * -infinity. */
tamis_status tamis__softmin_transport(tamis__softmin *softmin, const double *k, const double *h,
                                      double rate, double *ret_cost, double *ret_mass,
                                      tamis_error *err);

#endif
