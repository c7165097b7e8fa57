/* Clusters of a store's rows, for the public interface.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/cluster.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "cluster/k_means.h"

enum { MOST_ITERATIONS = 100 };

static tamis_status check(const tamis_cluster_params *p, tamis_error *err)
{
    uint64_t rows = tamis_store_info_get(p->store)->rows;
    if (p->clusters == 0)
        return tamis__fail(err, TAMIS_ERR_ARG, "no clusters are asked for: ask for one or more");
    if (p->clusters > rows || p->clusters > UINT32_MAX)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' has %" PRIu64 " rows, too few for %" PRIu64
                           " clusters: ask for fewer",
                           tamis_store_path(p->store), rows, p->clusters);
    if (!(p->tolerance < 1))
        return tamis__fail(err, TAMIS_ERR_ARG, "a tolerance of %g: give one below 1", p->tolerance);
    return TAMIS_OK;
}

/* --- clustering ------------------------------------------------------------------------------- */

/* The caller's arrays are floats, and take their memory over where they can. */
static tamis_status give(tamis__k_means *means, uint64_t rows, tamis_clusters *ret_clusters,
                         tamis_error *err)
{
    uint64_t values = means->clusters * means->columns;
    tamis_clusters c = {.rows = rows,
                        .columns = means->columns,
                        .clusters = means->clusters,
                        .distance = tamis__malloc(rows, sizeof *c.distance),
                        .centroid = tamis__malloc(values, sizeof *c.centroid),
                        .objective = means->objective,
                        .iterations = means->iterations,
                        .converged = means->converged};
    if (!c.distance || !c.centroid) {
        tamis_clusters_fini(&c);
        return tamis__fail_memory(err, "clusters", (rows + values) * sizeof(float));
    }
    for (uint64_t i = 0; i < rows; i++) c.distance[i] = (float)sqrt(means->distance[i]);
    for (uint64_t i = 0; i < values; i++) c.centroid[i] = (float)means->centroid[i];
    c.cluster = means->cluster;
    c.size = means->size;
    means->cluster = NULL;
    means->size = NULL;
    *ret_clusters = c;
    return TAMIS_OK;
}

tamis_status tamis_cluster(tamis_context *context, const tamis_cluster_params *params,
                           tamis_clusters *ret_clusters, tamis_error *err)
{
    tamis__whitening whitening = {0};
    tamis__k_means means = {0};
    TAMIS_TRY(check(params, err));
    if (params->curvature) {
        TAMIS_TRY(tamis__memory_check(context, tamis__whitening_bytes(params->curvature),
                                      "a whitening", err));
        TAMIS_TRY(tamis__whitening_load(&whitening, params->curvature, err));
    }
    tamis__cluster_rows rows = {.context = context,
                                .store = params->store,
                                .whitening = params->curvature ? &whitening : NULL,
                                .unit = params->spherical};
    const tamis__k_means_params how = {.clusters = params->clusters,
                                       .iterations = params->iterations ? params->iterations
                                                                        : MOST_ITERATIONS,
                                       .tolerance = params->tolerance > 0 ? params->tolerance : 0,
                                       .spherical = params->spherical,
                                       .seed = params->seed};
    tamis_status status = tamis__cluster_rows_open(&rows, err);
    if (status == TAMIS_OK) status = tamis__k_means_find(&rows, &how, &means, err);
    uint64_t n = rows.n;
    tamis__cluster_rows_close(&rows);
    tamis__whitening_fini(&whitening);
    if (status == TAMIS_OK) status = give(&means, n, ret_clusters, err);
    tamis__k_means_fini(&means);
    return status;
}

void tamis_clusters_fini(tamis_clusters *c)
{
    free(c->cluster);
    free(c->distance);
    free(c->size);
    free(c->centroid);
    *c = (tamis_clusters){0};
}

/* --- files ------------------------------------------------------------------------------------ */

static tamis_status put_id(tamis__output *output, const tamis_examples *examples, uint64_t row,
                           tamis_error *err)
{
    if (examples && examples->id_text)
        return tamis__output_csv(output, examples->id_text[row], err);
    uint64_t id = examples && examples->id_number ? examples->id_number[row] : row;
    return tamis__output_printf(output, err, "%" PRIu64, id);
}

static tamis_status put_rows(tamis__output *output, const tamis_clusters *c,
                             const tamis_examples *examples, tamis_cluster_format format,
                             tamis_error *err)
{
    char number[TAMIS__NUMBER_SIZE];
    if (format == TAMIS_CLUSTER_CSV)
        TAMIS_TRY(tamis__output_printf(output, err, "id,row,cluster,distance\n"));
    for (uint64_t i = 0; i < c->rows; i++) {
        if (format == TAMIS_CLUSTER_TEXT) {
            TAMIS_TRY(tamis__output_printf(output, err, "%" PRIu32 "\n", c->cluster[i]));
            continue;
        }
        tamis__format_float(number, c->distance[i]);
        TAMIS_TRY(put_id(output, examples, i, err));
        TAMIS_TRY(tamis__output_printf(output, err, ",%" PRIu64 ",%" PRIu32 ",%s\n", i,
                                       c->cluster[i], number));
    }
    return TAMIS_OK;
}

tamis_status tamis_clusters_write(tamis_context *context, const tamis_clusters *clusters,
                                  const tamis_examples *examples, tamis_cluster_format format,
                                  const char *path, bool force, tamis_error *err)
{
    tamis__output output;
    TAMIS_TRY(tamis__output_open(&output, context, path, force, err));
    tamis_status status = put_rows(&output, clusters, examples, format, err);
    if (status == TAMIS_OK) return tamis__output_commit(&output, err);
    tamis__output_abort(&output);
    return status;
}

tamis_status tamis_clusters_write_centroids(tamis_context *context, const tamis_clusters *clusters,
                                            const tamis_store *like, const char *path, bool force,
                                            const char *provenance, tamis_error *err)
{
    const tamis_store_info *info = like ? tamis_store_info_get(like) : NULL;
    const tamis_layer one = {.name = "centroid", .out = 1, .in = clusters->columns};
    const tamis_checkpoint checkpoint = {.learning_rate = 1};
    const tamis_examples none = {0};
    const tamis_store_spec spec = {.path = path,
                                   .rows = clusters->clusters,
                                   .layer = info ? info->layer : &one,
                                   .layers = info ? info->layers : 1,
                                   .checkpoint = &checkpoint,
                                   .checkpoints = 1,
                                   .projection = info ? info->projected_by : NULL,
                                   .whitening = info ? info->whitened_by : NULL,
                                   .function = info ? info->function : NULL,
                                   .direction = info ? info->direction : NULL,
                                   .force = force,
                                   .provenance = provenance};
    tamis_store_writer *writer = NULL;
    if (info && info->columns != clusters->columns)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' has %" PRIu64 " columns and the centroids %" PRIu64
                           ": give the store that was clustered",
                           tamis_store_path(like), info->columns, clusters->columns);
    TAMIS_TRY(tamis_store_writer_open(&writer, context, &spec, err));
    const float *rows = clusters->centroid;
    tamis_status status = tamis_store_writer_append(writer, clusters->clusters, &rows, &none, NULL,
                                                    NULL, NULL, err);
    if (status == TAMIS_OK) return tamis_store_writer_commit(&writer, err);
    tamis_store_writer_abort(&writer);
    return status;
}
