/* k-means against plain loops.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/cluster.h>
#include <tamis/columns.h>

#include "base/rng.h"
#include "cluster/k_means.h"
#include "points.h"

static tamis_context *context;

static void setup(void)
{
    enter_scratch();
    context = small_context(2);
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

/* --- Lloyd ------------------------------------------------------------------------------------ */

/* One round in double: clusters by the centroids, then centroids. Returns the objective before. */
static double round_by_loops(const float *x, uint64_t n, uint64_t p, uint64_t k, bool spherical,
                             double *centroid, uint32_t *cluster)
{
    double objective = 0, *sum = calloc(k * p, sizeof *sum);
    uint64_t *size = calloc(k, sizeof *size);
    for (uint64_t i = 0; i < n; i++) {
        double least = (double)INFINITY;
        for (uint64_t j = 0; j < k; j++) {
            double d = square_between(x + i * p, centroid + j * p, p);
            if (d < least) least = d, cluster[i] = (uint32_t)j;
        }
        objective += least;
        size[cluster[i]]++;
        for (uint64_t c = 0; c < p; c++) sum[cluster[i] * p + c] += (double)x[i * p + c];
    }
    for (uint64_t j = 0; j < k; j++) {
        double square = 0;
        for (uint64_t c = 0; c < p; c++) square += sum[j * p + c] * sum[j * p + c];
        double divisor = spherical ? sqrt(square) : (double)size[j];
        for (uint64_t c = 0; c < p; c++) centroid[j * p + c] = sum[j * p + c] / divisor;
    }
    free(sum);
    free(size);
    return objective;
}

static void unit_rows(float *x, uint64_t n, uint64_t p)
{
    for (uint64_t i = 0; i < n; i++) {
        double square = 0;
        for (uint64_t c = 0; c < p; c++) square += (double)x[i * p + c] * (double)x[i * p + c];
        for (uint64_t c = 0; c < p; c++)
            x[i * p + c] = (float)((double)x[i * p + c] / sqrt(square));
    }
}

static const struct {
    uint64_t n, p, k;
    double offset, scale;
    bool spherical;
} lloyd_scenes[] = {
    {1000, 7, 5, 0, 1, false},   {700, 40, 12, 0, 1, false},   {600, 17, 9, 0, 1, true},
    {500, 8, 6, 3000, 1, false}, {500, 8, 6, 0, 1e-18, false}, {500, 8, 6, 0, 1e12, false},
    {5000, 3, 20, 0, 1, false},  {300, 130, 1, 0, 1, false},
};

/* The same clusters, centroids and objective as loops in double that start from the same seeds,
 * after any number of rounds. */
START_TEST(rounds_are_those_of_plain_loops)
{
    tamis_error err = {0};
    uint64_t n = lloyd_scenes[_i].n, p = lloyd_scenes[_i].p, k = lloyd_scenes[_i].k;
    bool spherical = lloyd_scenes[_i].spherical;
    float *x = malloc(n * p * sizeof *x);
    double *centroid = malloc(k * p * sizeof *centroid), *last = malloc(k * p * sizeof *last);
    uint32_t *cluster = malloc(n * sizeof *cluster);
    tamis__cluster_rows rows;
    make_blobs(x, n, p, 7, 1.5, lloyd_scenes[_i].offset, lloyd_scenes[_i].scale);
    if (spherical) unit_rows(x, n, p);
    open_points(&rows, context, "x.h5", x, n, p, spherical);
    for (uint64_t rounds = 1; rounds < 8; rounds += 3) {
        const tamis__k_means_params how = {
            .clusters = k, .iterations = rounds, .spherical = spherical, .seed = 3};
        tamis__k_means means = {0};
        double objective = 0, length = 0;
        ck_ok(tamis__k_means_seed(&rows, k, how.seed, centroid, &err));
        ck_ok(tamis__k_means_find(&rows, &how, &means, &err));
        for (uint64_t i = 0; i < means.iterations; i++) {
            memcpy(last, centroid, k * p * sizeof *last);
            objective = round_by_loops(x, n, p, k, spherical, centroid, cluster);
        }
        ck_assert_double_eq_tol(means.objective / objective, 1, 1e-6);
        for (uint64_t i = 0; i < k * p; i++) length = fmax(length, fabs(last[i]));
        for (uint64_t i = 0; i < k * p; i++)
            ck_assert_double_eq_tol(means.centroid[i] / length, last[i] / length, 1e-6);
        for (uint64_t i = 0; i < n; i++) ck_assert_uint_eq(means.cluster[i], cluster[i]);
        tamis__k_means_fini(&means);
    }
    close_points(&rows);
    free(x);
    free(centroid);
    free(last);
    free(cluster);
}
END_TEST

/* --- seeds ------------------------------------------------------------------------------------ */

/* Greedy k-means++ in plain loops, with the same numbers. */
static void seeds_by_loops(const float *x, uint64_t n, uint64_t p, uint64_t k, uint64_t seed,
                           uint64_t *at)
{
    gsl_rng *rng = tamis__rng_create();
    double *near = malloc(n * sizeof *near), *best = malloc(n * sizeof *best);
    double *now = malloc(n * sizeof *now), centre[64];
    for (uint64_t i = 0; i < n; i++) near[i] = (double)INFINITY;
    tamis__rng_key(rng, seed, TAMIS__STREAM_CLUSTER, UINT64_MAX);
    for (uint64_t j = 0; j < k; j++) {
        int trials = j == 0 ? 1 : 2 + (int)log((double)k);
        double least = (double)INFINITY, total = 0;
        for (uint64_t i = 0; i < n; i++) total += near[i];
        uint64_t candidate[40];
        for (int t = 0; t < trials; t++) {
            double u = gsl_rng_uniform(rng), mass = 0;
            uint64_t pick = j == 0 ? (uint64_t)(u * (double)n) : n - 1;
            for (uint64_t i = 0; i < n && j > 0; i++) {
                mass += near[i];
                if (u * total < mass) {
                    pick = i;
                    break;
                }
            }
            candidate[t] = pick;
        }
        for (int t = 0; t < trials; t++) {
            double sum = 0;
            for (uint64_t c = 0; c < p; c++) centre[c] = (double)x[candidate[t] * p + c];
            for (uint64_t i = 0; i < n; i++)
                sum += now[i] = fmin(near[i], square_between(x + i * p, centre, p));
            if (sum >= least) continue;
            least = sum;
            at[j] = candidate[t];
            memcpy(best, now, n * sizeof *now);
        }
        memcpy(near, best, n * sizeof *near);
    }
    gsl_rng_free(rng);
    free(near);
    free(best);
    free(now);
}

START_TEST(seeds_are_those_of_plain_loops)
{
    enum { N = 900, P = 6, K = 25 };
    tamis_error err = {0};
    float x[N * P];
    double centroid[K * P];
    uint64_t at[K];
    tamis__cluster_rows rows;
    make_blobs(x, N, P, 9, 2, 0, 1);
    open_points(&rows, context, "x.h5", x, N, P, false);
    for (uint64_t seed = 0; seed < 20; seed++) {
        ck_ok(tamis__k_means_seed(&rows, K, seed, centroid, &err));
        seeds_by_loops(x, N, P, K, seed, at);
        for (int j = 0; j < K; j++)
            ck_assert(square_between(x + at[j] * P, centroid + j * P, P) == 0);
    }
    close_points(&rows);
}
END_TEST

/* Blobs that lie far apart are found one by one, from a sample too. */
START_TEST(blobs_are_found)
{
    enum { N = 20000, P = 5, K = 12 };
    tamis_error err = {0};
    float *x = malloc(N * P * sizeof *x);
    tamis_store *store = NULL;
    make_blobs(x, N, P, K, 40, 0, 1);
    small_store(context, "x.h5", TAMIS_F32, N, P, 1, x, NULL, 0);
    ck_ok(tamis_store_open(&store, context, "x.h5", &err));
    for (uint64_t seed = 0; seed < 5; seed++) {
        const tamis_cluster_params params = {.store = store, .clusters = K, .seed = seed};
        tamis_clusters c = {0};
        ck_ok(tamis_cluster(context, &params, &c, &err));
        ck_assert(c.converged);
        for (uint64_t i = K; i < N; i++) ck_assert_uint_eq(c.cluster[i], c.cluster[i % K]);
        for (uint64_t j = 0; j < K; j++)
            ck_assert_uint_eq(c.size[c.cluster[j]], N / K + (j < N % K));
        tamis_clusters_fini(&c);
    }
    tamis_store_close(&store);
    free(x);
}
END_TEST

/* --- whatever it is run with ------------------------------------------------------------------ */

static void find(unsigned threads, uint64_t memory, const char *path, bool spherical,
                 tamis_clusters *ret)
{
    tamis_error err = {0};
    tamis_context *with = NULL;
    tamis_store *store = NULL;
    const tamis_context_params how = {.threads = threads, .memory = memory};
    ck_ok(tamis_context_create(&with, &how, &err));
    ck_ok(tamis_store_open(&store, with, path, &err));
    const tamis_cluster_params params = {
        .store = store, .clusters = 30, .iterations = 6, .spherical = spherical, .seed = 9};
    ck_ok(tamis_cluster(with, &params, ret, &err));
    tamis_store_close(&store);
    tamis_context_destroy(&with);
}

START_TEST(same_bits_however_it_is_run)
{
    enum { N = 9000, P = 200 };
    float *x = malloc(N * P * sizeof *x);
    bool spherical = _i;
    tamis_clusters a = {0}, b = {0};
    make_blobs(x, N, P, 20, 0.3, 1, 1);
    small_store(context, "x.h5", TAMIS_F32, N, P, 3, x, NULL, 0);
    small_store(context, "y.h5", TAMIS_F32, N, P, 3, x, NULL, 1000);
    find(1, 0, "x.h5", spherical, &a);
    const struct {
        unsigned threads;
        uint64_t memory;
        const char *path;
    } ways[] = {{2, 0, "x.h5"}, {5, 0, "y.h5"}, {2, UINT64_C(24) << 20, "x.h5"}};
    for (int w = 0; w < 3; w++) {
        find(ways[w].threads, ways[w].memory, ways[w].path, spherical, &b);
        ck_assert_mem_eq(a.cluster, b.cluster, N * sizeof *a.cluster);
        ck_assert_mem_eq(a.distance, b.distance, N * sizeof *a.distance);
        ck_assert_mem_eq(a.centroid, b.centroid, 30 * P * sizeof *a.centroid);
        ck_assert(a.objective == b.objective);
        tamis_clusters_fini(&b);
    }
    tamis_clusters_fini(&a);
    free(x);
}
END_TEST

/* What is given is consistent: nearest centroids, distances to them, sizes, their sum. */
START_TEST(results_belong_together)
{
    enum { N = 2000, P = 9, K = 40 };
    tamis_error err = {0};
    float x[N * P];
    uint64_t size[K] = {0};
    double sum = 0;
    tamis_store *store = NULL;
    tamis_clusters c = {0};
    make_blobs(x, N, P, 11, 1, 0, 1);
    small_store(context, "x.h5", TAMIS_F32, N, P, 1, x, NULL, 0);
    ck_ok(tamis_store_open(&store, context, "x.h5", &err));
    const tamis_cluster_params params = {.store = store, .clusters = K, .tolerance = -1};
    ck_ok(tamis_cluster(context, &params, &c, &err));
    ck_assert(c.converged);
    for (uint64_t i = 0; i < N; i++) {
        double own = 0;
        for (uint64_t j = 0; j < K; j++) {
            double centre[P];
            for (int d = 0; d < P; d++) centre[d] = (double)c.centroid[j * P + (uint64_t)d];
            double here = square_between(x + i * P, centre, P);
            if (j == 0) {
                for (int d = 0; d < P; d++)
                    centre[d] = (double)c.centroid[c.cluster[i] * P + (uint64_t)d];
                own = square_between(x + i * P, centre, P);
            }
            ck_assert_double_ge(here, own * (1 - 1e-5));
        }
        ck_assert_double_eq_tol((double)c.distance[i], sqrt(own), 1e-5);
        sum += own;
        size[c.cluster[i]]++;
    }
    for (int j = 0; j < K; j++) ck_assert_uint_eq(c.size[j], size[j]);
    ck_assert_double_eq_tol(c.objective / sum, 1, 1e-6);
    tamis_clusters_fini(&c);
    tamis_store_close(&store);
}
END_TEST

/* --- edges ------------------------------------------------------------------------------------ */

/* Five different rows, each often: no more clusters have rows, and every row lies on its centroid.
 */
START_TEST(equal_rows_leave_clusters_empty)
{
    enum { N = 200, P = 3 };
    tamis_error err = {0};
    float x[N * P];
    draws = 3;
    for (int i = 0; i < N * P; i++) x[i] = i < 5 * P ? (float)normal() : x[i - 5 * P];
    tamis_store *store = NULL;
    small_store(context, "x.h5", TAMIS_F32, N, P, 1, x, NULL, 0);
    ck_ok(tamis_store_open(&store, context, "x.h5", &err));
    for (uint64_t k = 1; k <= N; k = k < 8 ? k + 1 : k * 5) {
        const tamis_cluster_params params = {.store = store, .clusters = k};
        tamis_clusters c = {0};
        uint64_t occupied = 0;
        ck_ok(tamis_cluster(context, &params, &c, &err));
        for (uint64_t j = 0; j < k; j++) occupied += c.size[j] > 0;
        ck_assert_uint_eq(occupied, k < 5 ? k : 5);
        if (k >= 5) ck_assert(c.objective == 0);
        ck_assert(c.converged);
        tamis_clusters_fini(&c);
    }
    tamis_store_close(&store);
}
END_TEST

/* As many clusters as rows; and rows that are all zero. */
START_TEST(every_row_may_be_a_cluster)
{
    enum { N = 60, P = 4 };
    tamis_error err = {0};
    float x[N * P] = {0};
    tamis_store *store = NULL;
    tamis_clusters c = {0};
    tamis_cluster_params params = {.clusters = N};
    small_store(context, "zero.h5", TAMIS_F32, N, P, 1, x, NULL, 0);
    ck_ok(tamis_store_open(&store, context, "zero.h5", &err));
    params.store = store;
    for (int spherical = 0; spherical < 2; spherical++) {
        params.spherical = spherical;
        ck_ok(tamis_cluster(context, &params, &c, &err));
        for (int i = 0; i < N; i++) ck_assert_uint_eq(c.cluster[i], c.cluster[0]);
        tamis_clusters_fini(&c);
    }
    tamis_store_close(&store);
    make_blobs(x, N, P, 3, 2, 0, 1);
    small_store(context, "x.h5", TAMIS_F32, N, P, 1, x, NULL, 0);
    ck_ok(tamis_store_open(&store, context, "x.h5", &err));
    params = (tamis_cluster_params){.store = store, .clusters = N};
    ck_ok(tamis_cluster(context, &params, &c, &err));
    for (int j = 0; j < N; j++) ck_assert_uint_eq(c.size[j], 1);
    ck_assert(c.objective == 0);
    tamis_clusters_fini(&c);
    tamis_store_close(&store);
}
END_TEST

START_TEST(what_cannot_be_clustered_is_refused)
{
    tamis_error err = {0};
    float x[40];
    tamis_store *store = NULL;
    tamis_clusters c = {0};
    make_blobs(x, 10, 4, 3, 2, 0, 1);
    small_store(context, "x.h5", TAMIS_F32, 10, 4, 1, x, NULL, 0);
    ck_ok(tamis_store_open(&store, context, "x.h5", &err));
    tamis_cluster_params params = {.store = store};
    ck_fails(tamis_cluster(context, &params, &c, &err), TAMIS_ERR_ARG, "no clusters");
    params.clusters = 11;
    ck_fails(tamis_cluster(context, &params, &c, &err), TAMIS_ERR_ARG, "10 rows");
    params.clusters = 2;
    params.tolerance = 1;
    ck_fails(tamis_cluster(context, &params, &c, &err), TAMIS_ERR_ARG, "tolerance");
    params.tolerance = (double)NAN;
    ck_fails(tamis_cluster(context, &params, &c, &err), TAMIS_ERR_ARG, "tolerance");
    ck_assert(c.cluster == NULL);
    tamis_store_close(&store);
}
END_TEST

/* --- files ------------------------------------------------------------------------------------ */

START_TEST(files_hold_the_clusters)
{
    tamis_error err = {0};
    uint32_t cluster[] = {1, 0, 1};
    float distance[] = {0.5f, 0, 2}, centroid[] = {1, 2, 3, 4};
    uint64_t size[] = {1, 2};
    const char *const id[] = {"a", "b,\"c", "d"};
    const tamis_examples examples = {.id_text = id};
    const tamis_clusters c = {.rows = 3,
                              .columns = 2,
                              .clusters = 2,
                              .cluster = cluster,
                              .distance = distance,
                              .size = size,
                              .centroid = centroid};
    ck_ok(tamis_clusters_write(context, &c, &examples, TAMIS_CLUSTER_CSV, "c.csv", false, &err));
    char *text = slurp("c.csv", NULL);
    ck_assert_str_eq(text, "id,row,cluster,distance\na,0,1,0.5\n\"b,\"\"c\",1,0,0\nd,2,1,2\n");
    free(text);
    ck_fails(tamis_clusters_write(context, &c, NULL, TAMIS_CLUSTER_CSV, "c.csv", false, &err),
             TAMIS_ERR_IO, "exists");
    ck_ok(tamis_clusters_write(context, &c, NULL, TAMIS_CLUSTER_TEXT, "c.txt", false, &err));
    tamis_group_list groups = {0};
    ck_ok(tamis_group_list_load(&groups, context, "c.txt", 3, &err));
    for (int i = 0; i < 3; i++) ck_assert_int_eq(groups.group[i], (int32_t)cluster[i]);
    tamis_group_list_fini(&groups);
    ck_ok(tamis_clusters_write_centroids(context, &c, NULL, "c.h5", false, NULL, &err));
    tamis_store *store = NULL;
    float row[4];
    ck_ok(tamis_store_open(&store, context, "c.h5", &err));
    ck_ok(tamis_store_read(store, 0, 0, 2, 0, 2, row, 2, &err));
    ck_assert_mem_eq(row, centroid, sizeof row);
    ck_fails(tamis_clusters_write_centroids(context, &c, store, "c.h5", false, NULL, &err),
             TAMIS_ERR_IO, "exists");
    tamis_store_close(&store);
    float wide[6] = {0};
    small_store(context, "wide.h5", TAMIS_F32, 2, 3, 1, wide, NULL, 0);
    ck_ok(tamis_store_open(&store, context, "wide.h5", &err));
    ck_fails(tamis_clusters_write_centroids(context, &c, store, "d.h5", false, NULL, &err),
             TAMIS_ERR_SHAPE, "3 columns and the centroids 2");
    tamis_store_close(&store);
}
END_TEST

/* --- failures --------------------------------------------------------------------------------- */

static tamis_status find_and_drop(const tamis_cluster_params *params, tamis_error *err)
{
    tamis_clusters c = {0};
    tamis_status status = tamis_cluster(context, params, &c, err);
    if (status != TAMIS_OK) ck_assert(c.cluster == NULL && c.centroid == NULL);
    tamis_clusters_fini(&c);
    return status;
}

START_TEST(every_allocation_may_fail)
{
    enum { N = 300, P = 5 };
    tamis_error err = {0};
    float x[N * P];
    tamis_store *store = NULL;
    make_blobs(x, N, P, 3, 2, 0, 1);
    small_store(context, "x.h5", TAMIS_F32, N, P, 1, x, NULL, 0);
    ck_ok(tamis_store_open(&store, context, "x.h5", &err));
    const tamis_cluster_params params = {.store = store, .clusters = 4};
    ck_survives(tamis__fault_memory_after, find_and_drop(&params, &err), "none");
    tamis_clusters c = {0};
    ck_ok(tamis_cluster(context, &params, &c, &err));
    ck_survives(tamis__fault_io_after,
                tamis_clusters_write(context, &c, NULL, TAMIS_CLUSTER_CSV, "f.csv", false, &err),
                "f.csv");
    tamis_clusters_fini(&c);
    tamis_store_close(&store);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("k-means");
    TCase *tc = tcase_create("k-means");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, rounds_are_those_of_plain_loops, 0,
                        (int)(sizeof lloyd_scenes / sizeof *lloyd_scenes));
    tcase_add_test(tc, seeds_are_those_of_plain_loops);
    tcase_add_test(tc, blobs_are_found);
    tcase_add_loop_test(tc, same_bits_however_it_is_run, 0, 2);
    tcase_add_test(tc, results_belong_together);
    tcase_add_test(tc, equal_rows_leave_clusters_empty);
    tcase_add_test(tc, every_row_may_be_a_cluster);
    tcase_add_test(tc, what_cannot_be_clustered_is_refused);
    tcase_add_test(tc, files_hold_the_clusters);
    tcase_add_test(tc, every_allocation_may_fail);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
