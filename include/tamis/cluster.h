/* tamis - clusters of the rows of a store, by k-means.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLUSTER_H
#define TAMIS_CLUSTER_H

#include <stdbool.h>
#include <tamis/curvature.h>

TAMIS_BEGIN

/** What to cluster, and how. Zero-initialise. */
typedef struct tamis_cluster_params {
    tamis_store *store; /**< rows, summed over checkpoints: the points; required, not closed */
    const tamis_curvature *curvature; /**< of kind whiten: points are rows whitened by it; NULL =
                                         rows as they are. Not closed */
    uint64_t clusters;                /**< how many, in [1, rows] */
    bool spherical;      /**< rows and centroids are of length 1, so that the nearest centroid is
                              that of the largest cosine; false = distances of rows as they are */
    uint64_t iterations; /**< most comparisons of all points with all centroids; 0 = 100 */
    double tolerance;    /**< stop when the objective falls by no more than this share of itself, in
                              [0, 1); negative = 0, only when no point changes its cluster */
    uint64_t seed;       /**< of the points that are started from; default 0 */
} tamis_cluster_params;

/** What was found. Free with tamis_clusters_fini(). */
typedef struct tamis_clusters {
    uint64_t rows, columns, clusters; /**< of the store; as asked for */
    uint32_t *cluster;                /**< [rows] each row's, in [0, clusters) */
    float *distance;                  /**< [rows] from the row's centroid, Euclidean; in spherical
                                           clustering that of unit rows, sqrt(2 - 2 cosine) */
    uint64_t *size;      /**< [clusters] rows of each; 0 only where there are fewer different
                                           rows than clusters */
    float *centroid;     /**< [clusters, columns] row-major, of whitened rows with a curvature */
    double objective;    /**< sum of squared distances */
    uint64_t iterations; /**< that were done, at least 1 */
    bool converged;      /**< false = stopped by `iterations` */
} tamis_clusters;

/** Lloyd's k-means, started by greedy k-means++ (Arthur and Vassilvitskii 2007, k-means++: The
 *  Advantages of Careful Seeding) among all rows or a sample of max(4096, 16 clusters) of them;
 *  spherical: Dhillon and Modha 2001, Concept Decompositions for Large Sparse Text Data. Every row
 *  is in the cluster of the nearest of the centroids given, ties in the lower one. A cluster that
 *  runs empty starts anew at the row farthest from its centroid. The same bits for any number of
 *  threads, memory limit and sharding.
 *  Errors: ARG (no or more clusters than rows, a tolerance of 1 or more or NaN), SHAPE (the
 *  curvature is of other columns), NUMERIC (a row is not finite: names it), NOMEM, IO, CANCELLED.
 *  Complexity: rows * columns * clusters an iteration; columns^2 * rows more with a curvature. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_cluster(tamis_context *context,
                                                     const tamis_cluster_params *params,
                                                     tamis_clusters *ret_clusters,
                                                     tamis_error *err);
/** Accepts a zeroed struct. */
TAMIS_API void tamis_clusters_fini(tamis_clusters *clusters);

/** How clusters are written. Values are pinned. */
typedef enum tamis_cluster_format {
    TAMIS_CLUSTER_CSV = 0, /**< id,row,cluster,distance: a line for each row of the store */
    TAMIS_CLUSTER_TEXT =
        1 /**< a line for each row, its cluster: as tamis_group_list_load() reads */
} tamis_cluster_format;

/** Write which cluster each row is in. `examples` gives the ids and may be NULL. The file appears
 *  whole or not at all. Errors: IO (also when it exists and `force` is false), NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_clusters_write(
    tamis_context *context, const tamis_clusters *clusters, const tamis_examples *examples,
    tamis_cluster_format format, const char *path, bool force, tamis_error *err);

/** Write the centroids as a gradient store of one checkpoint, whose ids are the numbers of the
 *  clusters. It has the layers and the projection of `like`, the store that was clustered, so that
 *  centroids can be queries beside it; NULL = one layer, for centroids of whitened rows.
 *  `provenance`: JSON text; NULL = "{}".
 *  Errors: SHAPE (another number of columns than `like` has), IO (also when it exists and `force`
 *  is false), NUMERIC (a centroid overflows float), NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_clusters_write_centroids(
    tamis_context *context, const tamis_clusters *clusters, const tamis_store *like,
    const char *path, bool force, const char *provenance, tamis_error *err);

TAMIS_END

#endif
