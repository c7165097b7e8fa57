/* Fitting a curvature: covariances, eigenvectors and Lambda of an MLP 784-512-256-10 with biases at
 * 60,000 tokens, and eigenvectors of a layer 8,192 wide, with one thread a processor. The floor is
 * their number of operations at the speed of BLAS's own product, measured in the same run: `ratio`
 * is the time over the floor's, and `cpu_ratio` the same of processor time, which other programs on
 * the machine hardly change. One JSON object a line. With the argument "small" the wide layer is
 * left out, which takes minutes.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <tamis/context.h>
#include <time.h>

#include "base/context.h"
#include "base/mem.h"
#include "curvature/kronecker.h"
#include "linalg/blas.h"

enum { TOKENS = 60000, REPEATS = 3, PEAK = 1024, WIDE = 8192 };

static tamis_error err;

/* Seconds that passed, and those that processors worked for this program: on a machine that others
 * use too, only the latter say how fast a step is. */
typedef struct moment {
    double wall, busy;
} moment;

static moment now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    moment m = {.wall = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    m.busy = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    return m;
}

static void check(tamis_status status)
{
    if (status == TAMIS_OK) return;
    fprintf(stderr, "bench_curvature: %s\n", err.message);
    exit(EXIT_FAILURE);
}

static void *need(void *memory)
{
    if (memory) return memory;
    fprintf(stderr, "bench_curvature: out of memory\n");
    exit(EXIT_FAILURE);
}

/* --- the floor -------------------------------------------------------------------------------- */

typedef struct products {
    double *a, *b, *c; /* [worker, PEAK, PEAK] */
} products;

static tamis_status multiply(void *arg, uint64_t item, unsigned slot, unsigned worker,
                             tamis_error *e)
{
    (void)item, (void)slot;
    const products *p = arg;
    size_t n = (size_t)PEAK * PEAK;
    return tamis__dgemm(false, false, PEAK, PEAK, PEAK, 1.0, p->a + worker * n, PEAK,
                        p->b + worker * n, PEAK, 0.0, p->c + worker * n, PEAK, e);
}

/* The better of two. */
static moment better(moment a, moment b)
{
    return (moment){a.wall < b.wall ? a.wall : b.wall, a.busy < b.busy ? a.busy : b.busy};
}

static moment since(moment start)
{
    moment end = now();
    return (moment){end.wall - start.wall, end.busy - start.busy};
}

/* Seconds of an operation, all threads having products of their own. */
static moment peak(tamis_context *context)
{
    unsigned threads = tamis_context_threads(context);
    size_t n = (size_t)PEAK * PEAK * threads;
    products p = {need(tamis__aligned(n, 8)), need(tamis__aligned(n, 8)),
                  need(tamis__aligned(n, 8))};
    tamis__pipeline run = {.arg = &p, .items = 8u * threads, .work = multiply};
    moment best = {1e9, 1e9};
    double operations = 2.0 * PEAK * PEAK * PEAK * (double)run.items;
    for (size_t i = 0; i < n; i++) p.a[i] = p.b[i] = (double)(i % 17) - 8.0;
    for (int repeat = 0; repeat < 5; repeat++) {
        moment start = now();
        check(tamis__pool_run(context->pool, &run, &err));
        best = better(best, since(start));
    }
    free(p.a);
    free(p.b);
    free(p.c);
    return (moment){best.wall / operations, best.busy / operations};
}

/* --- the layers ------------------------------------------------------------------------------- */

/* Any numbers, as floats, read again and again. */
typedef struct source {
    const tamis_layer *layer;
    const float *values;
    size_t n;
} source;

static void take(const source *s, uint64_t from, uint64_t n, double *out)
{
    for (uint64_t i = 0; i < n; i++) out[i] = (double)s->values[(from + i) & (s->n - 1)];
}

static tamis_status read_source(void *arg, uint32_t layer, uint64_t first, uint64_t tokens,
                                double *input, double *output, unsigned worker, tamis_error *e)
{
    (void)worker, (void)e;
    const source *s = arg;
    uint64_t in = s->layer[layer].in + s->layer[layer].bias, out = s->layer[layer].out;
    take(s, (first * 31 + layer) * in, tokens * in, input);
    take(s, (first * 17 + layer) * out, tokens * out, output);
    return TAMIS_OK;
}

static source make_source(const tamis_layer *layer)
{
    size_t n = (size_t)1 << 22;
    float *values = need(tamis__aligned(n, sizeof *values));
    uint64_t z = 1;
    for (size_t i = 0; i < n; i++) {
        z = z * 6364136223846793005u + 1442695040888963407u;
        values[i] = (float)((double)(int64_t)z * 0x1p-63);
    }
    return (source){layer, values, n};
}

static double peak_memory(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024.0;
}

static void report(const char *what, moment took, double operations, moment floor)
{
    printf("{\"bench\":\"curvature\",\"what\":\"%s\",\"seconds\":%.3f,\"cpu_seconds\":%.3f,"
           "\"gflops\":%.1f,\"peak_gflops\":%.1f,\"floor_seconds\":%.3f,\"ratio\":%.2f,"
           "\"cpu_ratio\":%.2f,\"peak_mib\":%.0f}\n",
           what, took.wall, took.busy, operations / took.wall * 1e-9, 1e-9 / floor.wall,
           operations * floor.wall, took.wall / operations / floor.wall,
           took.busy / operations / floor.busy, peak_memory());
    fflush(stdout);
}

/* Reduction to tridiagonal form 4/3, the tridiagonal problem 4/3, turning back 2 n^3. */
static double eigen_operations(double n)
{
    return 14.0 / 3.0 * n * n * n;
}

static void run(tamis_context *context, const tamis_layer *layer, uint32_t layers, uint64_t tokens,
                moment floor, const char *names[3], bool lambda)
{
    uint64_t *offset = need(tamis__malloc(tokens + 1, sizeof *offset));
    for (uint64_t i = 0; i <= tokens; i++) offset[i] = i;
    source s = make_source(layer);
    tamis__tokens t = {
        .rows = tokens, .rows_per_example = 1, .offset = offset, .arg = &s, .read = read_source};
    tamis__kronecker *f = need(tamis__calloc(layers, sizeof *f));
    double covariance = 0, eigen = 0, squares = 0;
    for (uint32_t l = 0; l < layers; l++) {
        double out = (double)layer[l].out, in = (double)(layer[l].in + layer[l].bias);
        check(tamis__kronecker_init(&f[l], &layer[l], l, true, lambda, 0, &err));
        covariance += (double)tokens * (out * (out + 1) + in * (in + 1));
        eigen += eigen_operations(out) + eigen_operations(in);
        squares += 2 * (double)tokens * (out * out + in * in + out * in);
    }
    tamis__pass pass = {.context = context,
                        .tokens = &t,
                        .factors = f,
                        .n = layers,
                        .buffers = 64u << 20,
                        .phase = "benchmark"};
    moment best[3] = {{1e9, 1e9}, {1e9, 1e9}, {1e9, 1e9}}, start;
    for (int repeat = 0; repeat < (lambda ? REPEATS : 1); repeat++) {
        for (uint32_t l = 0; l < layers; l++) {
            uint64_t out = f[l].output.n, in = f[l].input.n;
            memset(f[l].output.vectors[0], 0, out * out * 8);
            memset(f[l].input.vectors[0], 0, in * in * 8);
        }
        start = now();
        check(tamis__pass_covariance(&pass, &err));
        best[0] = better(best[0], since(start));
        start = now();
        check(tamis__kronecker_eigen(context, f, layers, tokens, (uint64_t)8 << 30, &err));
        best[1] = better(best[1], since(start));
        if (!lambda) break;
        start = now();
        check(tamis__pass_lambda(&pass, &err));
        best[2] = better(best[2], since(start));
    }
    report(names[0], best[0], covariance, floor);
    report(names[1], best[1], eigen, floor);
    if (lambda) report(names[2], best[2], squares, floor);
    for (uint32_t l = 0; l < layers; l++) tamis__kronecker_fini(&f[l]);
    free(f);
    free(offset);
    free((void *)(uintptr_t)s.values);
}

int main(int argc, char **argv)
{
    static const tamis_layer mlp[] = {{.name = "0", .out = 512, .in = 784, .bias = 1},
                                      {.name = "1", .out = 256, .in = 512, .bias = 1},
                                      {.name = "2", .out = 10, .in = 256, .bias = 1}};
    static const tamis_layer wide = {.name = "wide", .out = 16, .in = WIDE - 1, .bias = 1};
    const char *small[3] = {"covariance", "eigenvectors", "lambda"};
    const char *large[3] = {"covariance 8192", "eigenvectors 8192", ""};
    tamis_context *context = NULL;
    check(tamis_context_create(&context, NULL, &err));
    tamis__blas_begin();
    moment floor = peak(context);
    tamis__blas_end();
    run(context, mlp, 3, TOKENS, floor, small, true);
    if (argc < 2 || strcmp(argv[1], "small") != 0)
        run(context, &wide, 1, 2 * WIDE, floor, large, false);
    tamis_context_destroy(&context);
    return EXIT_SUCCESS;
}
