/* Clustering: an iteration of k-means, its seeds, and the selector fid on the same rows; beside the
 * floor, the engine's product of the same size, and the loops that one would write. One JSON object
 * a line; "ratio" is the time over the floor's.
 *
 * An iteration's floor multiplies rows with centroids at the processor's peak and reads the rows
 * once for the sums.
 *
 * Arguments: rows (60000), columns (512), clusters (100).
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <tamis/tamis.h>

#include "base/rng.h"
#include "cluster/k_means.h"
#include "machine.h"
#include "stream/engine.h"

static tamis_error err;

static void need(tamis_status status)
{
    if (status == TAMIS_OK) return;
    fprintf(stderr, "bench_cluster: %s\n", err.message);
    exit(EXIT_FAILURE);
}

static void *need_memory(void *memory)
{
    if (memory) return memory;
    fprintf(stderr, "bench_cluster: out of memory\n");
    exit(EXIT_FAILURE);
}

typedef struct sizes {
    uint64_t rows, columns, clusters;
} sizes;

/* Rows about as many centres as there are clusters. */
static void write_rows(tamis_context *context, const char *path, uint64_t rows, const sizes *z,
                       uint64_t centres, uint64_t seed)
{
    uint64_t p = z->columns;
    float *x = need_memory(malloc(rows * p * sizeof *x)),
          *centre = need_memory(malloc(centres * p * sizeof *centre));
    gsl_rng *rng = need_memory(tamis__rng_create());
    tamis__rng_key(rng, 1, TAMIS__STREAM_TEST, 0);
    for (uint64_t i = 0; i < centres * p; i++) centre[i] = (float)(gsl_rng_uniform(rng) - 0.5);
    for (uint64_t i = 0; i < rows; i++) {
        tamis__rng_key(rng, seed, TAMIS__STREAM_TEST, i + 1);
        uint64_t state = gsl_rng_get(rng) | 1, j = (state >> 8) % centres;
        for (uint64_t c = 0; c < p; c++) {
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            x[i * p + c] = centre[j * p + c] + (float)(state >> 40) * 0x1p-23f - 1;
        }
    }
    tamis_layer layer = {.name = "rows", .out = 1, .in = p};
    const tamis_checkpoint checkpoint = {.learning_rate = 1};
    const tamis_examples none = {0};
    const tamis_store_spec spec = {.path = path,
                                   .rows = rows,
                                   .layer = &layer,
                                   .layers = 1,
                                   .checkpoint = &checkpoint,
                                   .checkpoints = 1,
                                   .force = true};
    tamis_store_writer *writer = NULL;
    const float *gradient = x;
    need(tamis_store_writer_open(&writer, context, &spec, &err));
    need(tamis_store_writer_append(writer, rows, &gradient, &none, NULL, NULL, NULL, &err));
    need(tamis_store_writer_commit(&writer, &err));
    gsl_rng_free(rng);
    free(x);
    free(centre);
}

static void say(const char *what, double seconds, double floor)
{
    printf("{\"what\": \"%s\", \"seconds\": %.4f", what, seconds);
    if (floor > 0) printf(", \"floor\": %.4f, \"ratio\": %.2f", floor, seconds / floor);
    printf("}\n");
    fflush(stdout);
}

/* Seconds of a run of so many iterations, seeds included. */
static double run(tamis__cluster_rows *rows, const sizes *z, uint64_t iterations)
{
    const tamis__k_means_params how = {
        .clusters = z->clusters, .iterations = iterations, .tolerance = -1};
    tamis__k_means means = {0};
    double start = now();
    need(tamis__k_means_find(rows, &how, &means, &err));
    double seconds = now() - start;
    if (means.iterations != iterations)
        fprintf(stderr, "converged after %d\n", (int)means.iterations);
    tamis__k_means_fini(&means);
    return seconds;
}

static double min(double a, double b)
{
    return a < b ? a : b;
}

/* The nearest centroid of some rows, as one would write it. */
static double plain_loops(const float *x, const sizes *z)
{
    enum { ROWS = 2000 };
    uint64_t n = z->rows < ROWS ? z->rows : ROWS, p = z->columns;
    double start = now(), sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        float least = INFINITY;
        for (uint64_t j = 0; j < z->clusters; j++) {
            float square = 0;
            for (uint64_t c = 0; c < p; c++) {
                float d = x[i * p + c] - x[j * p + c];
                square += d * d;
            }
            if (square < least) least = square;
        }
        sum += (double)least;
    }
    keep_float = (float)sum;
    return (now() - start) * (double)z->rows / (double)n;
}

static void bench_k_means(tamis_context *context, tamis_store *store, const sizes *z, double floor)
{
    enum { MORE = 10, TRIES = 3 };
    tamis__cluster_rows rows = {.context = context, .store = store};
    double start = now(), one = (double)INFINITY, many = (double)INFINITY;
    need(tamis__cluster_rows_open(&rows, &err));
    say("rows made floats and held", now() - start, 0);
    for (int t = 0; t < TRIES; t++) {
        one = min(one, run(&rows, z, 1));
        many = min(many, run(&rows, z, 1 + MORE));
    }
    double each = (many - one) / MORE;
    say("an iteration of k-means", each, floor);
    say("seeds", one - each, 0);
    say("an iteration in plain loops, one thread, from 2,000 rows", plain_loops(rows.held, z),
        floor);
    tamis__cluster_rows_close(&rows);
}

static tamis_status drop(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                         uint64_t queries, const float *values, size_t stride, tamis_error *e)
{
    (void)first_row, (void)first_query, (void)stride, (void)e, (void)rows, (void)queries;
    *(float *)arg += values[0];
    return TAMIS_OK;
}

/* Rows times as many queries by the engine, in floats. */
static void bench_product(tamis_context *context, tamis_store *store, const sizes *z, double floor)
{
    tamis__held_queries q = {0};
    float sum = 0;
    double weight = 1, best = (double)INFINITY;
    need(tamis__held_queries_init(&q, context, 1, z->clusters, z->columns, &err));
    need(tamis_store_read(store, 0, 0, z->clusters, 0, z->columns, q.values[0], z->columns, &err));
    need(tamis__held_queries_ready(&q, context, "a query", &err));
    const tamis__product product = {.context = context,
                                    .train = store,
                                    .queries = &q.queries,
                                    .weight = &weight,
                                    .panel = TAMIS__PANEL_EXACT,
                                    .sink = {.arg = &sum, .put = drop}};
    for (int t = 0; t < 3; t++) {
        double start = now();
        need(tamis__product_run(&product, NULL, &err));
        best = min(best, now() - start);
    }
    keep_float = sum;
    say("the engine's product alone", best, floor);
    tamis__held_queries_fini(&q);
}

static void bench_fid(tamis_context *context, tamis_store *store, tamis_store *query,
                      const sizes *z)
{
    char selector[64];
    tamis_selection *selection = NULL;
    snprintf(selector, sizeof selector, "fid:clusters=%d", (int)z->clusters);
    const tamis_select_params params = {
        .selector = selector, .train = store, .query = query, .budget = "10%"};
    double start = now();
    need(tamis_select(&selection, context, &params, &err));
    say("fid, 10% of the rows, 1,000 targets", now() - start, 0);
    tamis_selection_free(&selection);
}

int main(int argc, char **argv)
{
    sizes z = {60000, 512, 100};
    if (argc > 1) z.rows = strtoull(argv[1], NULL, 10);
    if (argc > 2) z.columns = strtoull(argv[2], NULL, 10);
    if (argc > 3) z.clusters = strtoull(argv[3], NULL, 10);
    tamis_context *context = NULL;
    tamis_store *store = NULL, *query = NULL;
    const tamis_context_params how = {0};
    need(tamis_context_create(&context, &how, &err));
    unsigned threads = tamis_context_threads(context), cpu = tamis_context_cpu(context);
    write_rows(context, "bench_cluster.h5", z.rows, &z, z.clusters, 2);
    write_rows(context, "bench_cluster_query.h5", 1000, &z, z.clusters / 10 + 1, 3);
    need(tamis_store_open(&store, context, "bench_cluster.h5", &err));
    need(tamis_store_open(&query, context, "bench_cluster_query.h5", &err));
    size_t bytes = z.rows * z.columns * sizeof(float);
    float *copy = need_memory(calloc(bytes, 1));
    memset(copy, 1, bytes);
    double flops = 2.0 * (double)(z.rows * z.columns * z.clusters);
    double floor = flops / machine_rate(threads, cpu, NULL, 0) +
                   (double)bytes / machine_rate(threads, cpu, copy, bytes);
    free(copy);
    bench_k_means(context, store, &z, floor);
    bench_product(context, store, &z, floor);
    bench_fid(context, store, query, &z);
    tamis_store_close(&store);
    tamis_store_close(&query);
    tamis_context_destroy(&context);
    remove("bench_cluster.h5");
    remove("bench_cluster_query.h5");
    return EXIT_SUCCESS;
}
