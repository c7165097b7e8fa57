/* Transport: the exact solver at several sizes, and an iteration of the entropic one with costs
 * computed as they are needed, beside its floor. One JSON object a line; "ratio" is the time over
 * the floor's.
 *
 * The floor of an iteration is the arithmetic of its two passes at the rate that this machine has
 * for it in registers: 2 * columns operations in float for an inner product, and in double, at half
 * the rate, 48 for a distance and an exponential. A root, in float, counts as 8.
 *
 * Arguments: the largest size of the exact problem (2000), rows of the two sides (100000 10000) and
 * columns (64) of the entropic one.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <sys/resource.h>
#include <tamis/tamis.h>

#include "base/context.h"
#include "base/rng.h"
#include "machine.h"

enum { DOUBLE_OPERATIONS = 48 };

static tamis_error err;

static void need(tamis_status status)
{
    if (status == TAMIS_OK) return;
    fprintf(stderr, "bench_transport: %s\n", err.message);
    exit(EXIT_FAILURE);
}

static void *need_memory(void *memory)
{
    if (memory) return memory;
    fprintf(stderr, "bench_transport: out of memory\n");
    exit(EXIT_FAILURE);
}

static tamis_context *context_of(uint64_t memory)
{
    tamis_context *context = NULL;
    tamis_context_params params = {.memory = memory};
    need(tamis_context_create(&context, &params, &err));
    return context;
}

/* --- exact ------------------------------------------------------------------------------------ */

static double processor_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void exact_once(tamis_context *context, const char *what,
                       const tamis_transport_problem *problem)
{
    tamis_transport_exact_result r = {0};
    double best = 0, best_processor = 0;
    int repeats = problem->n > 4000 ? 1 : 3;
    for (int k = 0; k < repeats; k++) {
        tamis_transport_exact_fini(&r);
        double start = now(), processor = processor_time();
        need(tamis_transport_exact(context, problem, &r, &err));
        double seconds = now() - start;
        processor = processor_time() - processor;
        if (k == 0 || processor < best_processor) best_processor = processor;
        if (k == 0 || seconds < best) best = seconds;
    }
    printf("{\"bench\": \"transport exact\", \"costs\": \"%s\", \"n\": %llu, \"m\": %llu, "
           "\"seconds\": %.4f, \"processor_seconds\": %.4f, \"pivots\": %llu, \"distance\": %.10g, "
           "\"gap\": %.2g}\n",
           what, (unsigned long long)problem->n, (unsigned long long)problem->m, best,
           best_processor, (unsigned long long)r.pivots, r.distance, r.gap);
    fflush(stdout);
    tamis_transport_exact_fini(&r);
}

static void exact(uint64_t n)
{
    enum { COLUMNS = 32 };
    gsl_rng *rng = need_memory(tamis__rng_create());
    tamis_context *context = context_of(UINT64_C(4) << 30);
    double *cost = need_memory(malloc(n * n * sizeof *cost));
    float *x = need_memory(malloc(2 * n * COLUMNS * sizeof *x));
    tamis__rng_key(rng, 1, TAMIS__STREAM_TEST, n);
    for (uint64_t i = 0; i < n * n; i++) cost[i] = gsl_rng_uniform(rng);
    for (uint64_t i = 0; i < 2 * n * COLUMNS; i++) x[i] = (float)gsl_rng_uniform(rng);
    tamis_transport_problem random = {.n = n, .m = n, .cost_f64 = cost};
    tamis_transport_problem points = {
        .n = n, .m = n, .x = x, .y = x + n * COLUMNS, .columns = COLUMNS};
    exact_once(context, "uniform random", &random);
    exact_once(context, "euclidean, 32 columns", &points);
    free(cost);
    free(x);
    gsl_rng_free(rng);
    tamis_context_destroy(&context);
}

/* --- entropic --------------------------------------------------------------------------------- */

static double iterations(tamis_context *context, const tamis_transport_problem *problem,
                         uint64_t limit, uint64_t *ret_iterations, double *ret_processor)
{
    /* Without a way down from larger epsilons: every iteration is counted. */
    tamis_transport_entropic_params params = {
        .epsilon = 100.0, .tolerance = 1e-300, .iterations = limit};
    tamis_transport_entropic_result r = {0};
    double start = now(), processor = processor_time();
    need(tamis_transport_entropic(context, problem, &params, &r, &err));
    double seconds = now() - start;
    *ret_processor = processor_time() - processor;
    *ret_iterations = r.iterations;
    if (!r.online) fprintf(stderr, "bench_transport: costs were held\n");
    tamis_transport_entropic_fini(&r);
    return seconds;
}

static void entropic(uint64_t n, uint64_t m, uint64_t columns)
{
    gsl_rng *rng = need_memory(tamis__rng_create());
    tamis_context *context = context_of(UINT64_C(2) << 30);
    float *x = need_memory(malloc((n + m) * columns * sizeof *x));
    uint64_t few, many;
    double short_processor, long_processor;
    struct rusage usage;
    tamis__rng_key(rng, 2, TAMIS__STREAM_TEST, n);
    for (uint64_t i = 0; i < (n + m) * columns; i++) x[i] = (float)gsl_rng_uniform(rng);
    for (int cost = 0; cost < 2; cost++) {
        tamis_transport_problem problem = {.n = n,
                                           .m = m,
                                           .x = x,
                                           .y = x + n * columns,
                                           .columns = columns,
                                           .cost = (tamis_transport_cost)cost};
        double short_run = iterations(context, &problem, 1, &few, &short_processor);
        double long_run = iterations(context, &problem, 4, &many, &long_processor);
        double each = (long_run - short_run) / (double)(many - few);
        double rate = machine_rate(tamis_context_threads(context), tamis_context_cpu(context), NULL,
                                   0);
        double pairs = 2 * (double)n * (double)m;
        double root = cost == TAMIS_COST_EUCLIDEAN ? 8 : 0;
        double floor = pairs * (2 * (double)columns + 2 * DOUBLE_OPERATIONS + root) / rate;
        getrusage(RUSAGE_SELF, &usage);
        printf("{\"bench\": \"transport entropic online\", \"cost\": \"%s\", \"n\": %llu, "
               "\"m\": %llu, \"columns\": %llu, \"seconds_per_iteration\": %.4f, "
               "\"processor_seconds\": %.4f, "
               "\"floor\": %.4f, \"ratio\": %.2f, \"peak_mib\": %ld}\n",
               cost == TAMIS_COST_EUCLIDEAN ? "euclidean" : "sqeuclidean", (unsigned long long)n,
               (unsigned long long)m, (unsigned long long)columns, each,
               (long_processor - short_processor) / (double)(many - few), floor, each / floor,
               usage.ru_maxrss / 1024);
        fflush(stdout);
    }
    free(x);
    gsl_rng_free(rng);
    tamis_context_destroy(&context);
}

static uint64_t argument(int argc, char **argv, int i, uint64_t fallback)
{
    return argc > i ? strtoull(argv[i], NULL, 10) : fallback;
}

int main(int argc, char **argv)
{
    uint64_t largest = argument(argc, argv, 1, 2000), n = argument(argc, argv, 2, 100000);
    for (uint64_t size = 500; size < largest; size *= 2) exact(size);
    if (largest > 0) exact(largest);
    if (n > 0) entropic(n, argument(argc, argv, 3, 10000), argument(argc, argv, 4, 64));
    return EXIT_SUCCESS;
}
