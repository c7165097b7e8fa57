/* tamis cluster: which rows of a store belong together.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "command.h"
#include "report.h"

typedef struct cluster_args {
    common_args common;
    const char *store, *curvature, *centroids;
    uint64_t clusters, iterations;
    double tolerance;
    int format;
    bool spherical;
} cluster_args;

static const cluster_args defaults = {.iterations = 100, .tolerance = 1e-4, .format = -1};

#define AT(field) offsetof(cluster_args, field)

/* By tamis_cluster_format. */
static const char *const format_names[] = {"csv", "text", NULL};

static const opt options[] = {
    {.name = "clusters",
     .value = "K",
     .help = "how many",
     .type = OPT_UINT,
     .at = AT(clusters),
     .flags = OPT_REQUIRED,
     .min = 1,
     .max = 4294967295.0},
    {.name = "spherical",
     .help = "by cosine: rows and centroids are of length 1",
     .type = OPT_FLAG,
     .at = AT(spherical)},
    {.name = "curvature",
     .value = "CURV.h5",
     .help = "whiten the rows first",
     .type = OPT_STRING,
     .at = AT(curvature),
     .flags = OPT_FILE},
    {.name = "iterations",
     .value = "N",
     .help = "iterations at most",
     .type = OPT_UINT,
     .at = AT(iterations),
     .min = 1,
     .max = 1e9},
    {.name = "tolerance",
     .value = "T",
     .help = "stop when the sum of squared distances falls by no more than this share",
     .type = OPT_REAL,
     .at = AT(tolerance),
     .min = 0,
     .max = 0.5,
     .more = "0 goes on until no row changes its cluster."},
    {.name = "format",
     .value = "FORMAT",
     .help = "csv: id,row,cluster,distance; text: a cluster a line, as select --groups reads",
     .type = OPT_CHOICE,
     .at = AT(format),
     .choices = format_names,
     .fallback = "csv, or text where the output's name ends in .txt"},
    {.name = "centroids",
     .value = "OUT.h5",
     .help = "write the centroids too, as a store",
     .type = OPT_STRING,
     .at = AT(centroids),
     .flags = OPT_FILE},
};

static const operand operands[] = {
    {.name = "STORE.h5",
     .help = "rows of any kind",
     .min = 1,
     .max = 1,
     .at = AT(store),
     .file = true},
};

static int format_of(const cluster_args *args)
{
    const char *end = strrchr(args->common.output, '.');
    if (args->format >= 0) return args->format;
    return end && !strcmp(end, ".txt") ? TAMIS_CLUSTER_TEXT : TAMIS_CLUSTER_CSV;
}

static void report_clusters(session *s, const cluster_args *args, const tamis_clusters *c)
{
    report r;
    uint64_t largest = 0, smallest = UINT64_MAX, empty = 0;
    for (uint64_t j = 0; j < c->clusters; j++) {
        if (c->size[j] > largest) largest = c->size[j];
        if (c->size[j] < smallest) smallest = c->size[j];
        empty += c->size[j] == 0;
    }
    report_begin(&r, s);
    report_text(&r, "output", args->common.output);
    if (args->centroids) report_text(&r, "centroids", args->centroids);
    report_count(&r, "rows", c->rows);
    report_count(&r, "columns", c->columns);
    report_count(&r, "clusters", c->clusters);
    report_count(&r, "largest", largest);
    report_count(&r, "smallest", smallest);
    if (empty > 0) report_count(&r, "empty", empty);
    if (r.machine) json_put_real(&r.j, "objective", c->objective);
    report_labelled(&r, "objective", "%.10g", c->objective);
    report_count(&r, "iterations", c->iterations);
    report_text(&r, "converged", c->converged ? "yes" : "no");
    report_seconds(&r, seconds() - s->started);
    report_end(&r);
}

static tamis_status find(session *s, const cluster_args *args, const tamis_store *store,
                         const tamis_cluster_params *params, tamis_error *err)
{
    tamis_clusters clusters = {0};
    const char *provenance;
    TRY(session_provenance(s, &provenance, err));
    TRY(tamis_cluster(s->context, params, &clusters, err));
    tamis_status status = tamis_clusters_write(s->context, &clusters, tamis_store_examples(store),
                                               (tamis_cluster_format)format_of(args),
                                               args->common.output, args->common.force, err);
    if (status == TAMIS_OK && args->centroids)
        status = tamis_clusters_write_centroids(s->context, &clusters,
                                                params->curvature ? NULL : store, args->centroids,
                                                args->common.force, provenance, err);
    progress_end(&s->progress);
    if (status == TAMIS_OK && !session_streams(s)) report_clusters(s, args, &clusters);
    tamis_clusters_fini(&clusters);
    return status;
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    const cluster_args *args = cookie;
    tamis_store *store = NULL;
    tamis_curvature *curvature = NULL;
    TRY(session_add_input(s, "store", args->store, err));
    TRY(session_add_input(s, "curvature", args->curvature, err));
    TRY(session_add_output(s, args->common.output, OUTPUT_STREAM, err));
    TRY(session_add_output(s, args->centroids, 0, err));
    TRY(session_check_stream(s, err));
    tamis_status status = tamis_store_open(&store, s->context, args->store, err);
    if (status == TAMIS_OK && args->curvature)
        status = tamis_curvature_open(&curvature, s->context, args->curvature, err);
    const tamis_cluster_params params = {.store = store,
                                         .curvature = curvature,
                                         .clusters = args->clusters,
                                         .spherical = args->spherical,
                                         .iterations = args->iterations,
                                         .tolerance = args->tolerance,
                                         .seed = args->common.seed};
    if (status == TAMIS_OK) status = find(s, args, store, &params, err);
    tamis_curvature_close(&curvature);
    tamis_store_close(&store);
    return status;
}

const command cmd_cluster = {
    .name = "cluster",
    .group = "Look",
    .summary = "find rows of a store that belong together",
    .synopsis = "STORE.h5 --clusters K -o OUT.csv [OPTIONS]",
    .description =
        "k-means: every row goes to the nearest of K centroids, every centroid to the mean of its "
        "rows, until that changes little. It starts from rows that are drawn far apart by --seed. "
        "Rows are summed over checkpoints.\n\n"
        "The clusters can be groups of candidates (select --groups OUT.txt), a column to select by "
        "(select --add OUT.csv#distance), and the centroids, as a store, queries of any scorer.",
    .examples =
        "# groups to choose from equally\n"
        "tamis cluster pool.h5 --clusters 50 --spherical -o clusters.txt\n"
        "tamis select stratified:by=group --scores scores.h5 --groups clusters.txt --budget 10% "
        "-o chosen.h5",
    .options = options,
    .n_options = LEN(options),
    .operands = operands,
    .n_operands = LEN(operands),
    .common = COMMON_WRITES,
    .args_size = sizeof(cluster_args),
    .defaults = &defaults,
    .run = run,
};
