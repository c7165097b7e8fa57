/* k-means: Lloyd's algorithm from seeds of k-means++.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLUSTER_K_MEANS_H
#define TAMIS_CLUSTER_K_MEANS_H

#include "cluster/rows.h"

typedef struct tamis__k_means_params {
    uint64_t clusters;   /* in [1, rows] */
    uint64_t iterations; /* most, > 0 */
    double tolerance;    /* stop when the objective falls by no more than this share */
    bool spherical;      /* centroids are brought to unit length; with rows of unit length */
    uint64_t seed;
} tamis__k_means_params;

typedef struct tamis__k_means {
    uint64_t clusters, columns;
    uint32_t *cluster;   /* [n] the nearest centroid of each point; ties go to the lower */
    double *distance;    /* [n] to it, squared */
    uint64_t *size;      /* [clusters] */
    double *centroid;    /* [clusters, columns]; those that points were compared with last */
    double objective;    /* sum of distance */
    uint64_t iterations; /* comparisons of all points with all centroids */
    bool converged;
} tamis__k_means;

/* The same bits for any number of threads, memory limit and sharding. A cluster that is left
 * without points gets the point that is farthest from its centroid; it stays empty when there are
 * fewer different points than clusters. Complexity: n * clusters * columns an iteration. Errors:
 * NOMEM, IO, CANCELLED. */
tamis_status tamis__k_means_find(tamis__cluster_rows *rows, const tamis__k_means_params *params,
                                 tamis__k_means *ret_means, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__k_means_fini(tamis__k_means *means);

/* --- seeds (k_means_seed.c) ------------------------------------------------------------------- */

/* Points to start from into centroid [clusters, columns]: k-means++, each the best of 2 +
 * log(clusters) drawn by their squared distance to those before. Among all points or, where there
 * are many, a sample of max(4096, 16 clusters) that are spread over them. Arthur and Vassilvitskii
 * 2007, k-means++: The Advantages of Careful Seeding, section 2.2 and the greedy version of
 * section 7. */
tamis_status tamis__k_means_seed(tamis__cluster_rows *rows, uint64_t clusters, uint64_t seed,
                                 double *centroid, tamis_error *err);

#endif
