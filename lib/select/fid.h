/* What `fid` is made of: clusters of candidates, and how far they are from the targets.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_FID_H
#define TAMIS_SELECT_FID_H

#include "cluster/frechet.h"
#include "cluster/k_means.h"

typedef struct tamis__fid {
    tamis__cluster_rows rows, target; /* opened by the caller */
    tamis__k_means means;             /* found by the caller */
    tamis__frechet frechet;
    uint64_t *at;            /* [n] points by cluster, ascending in each */
    uint64_t *first;         /* [clusters + 1] where a cluster's start in it */
    tamis__frechet_set *set; /* [clusters] */
    double *distance;        /* [clusters] of each from the targets */
    uint64_t *order;         /* [occupied] clusters, nearest first, ties to the lower one */
    uint64_t occupied;       /* clusters that have points */
    double *together; /* [occupied] distance of the first 1, 2, ... of the order put together */
    uint64_t best;    /* how many of them together are nearest; of equals the fewest */
} tamis__fid;

/* Everything after `means`. Errors: NOMEM, NUMERIC, IO, CANCELLED. */
tamis_status tamis__fid_measure(tamis__fid *fid, tamis_error *err);
/* Closes rows and means too. Accepts a zeroed struct. */
void tamis__fid_fini(tamis__fid *fid);

/* Rows of one cluster that are picked by k-center. */
typedef struct tamis__fid_picks {
    uint64_t given, wanted; /* there already, and in all */
    uint64_t *pick;         /* [wanted] points, in their order */
} tamis__fid_picks;

/* For each of the first `used` clusters of the order: pick [given] is there, unless given is 0,
 * when the point nearest to the centroid is the first. Errors: NOMEM, IO, CANCELLED. */
tamis_status tamis__fid_pick(tamis__fid *fid, uint64_t used, tamis__fid_picks *picks,
                             tamis_error *err);

#endif
