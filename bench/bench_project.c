/* Projection speed: rows of a million float columns to 8,192, both kinds, with one thread a
 * processor, beside a sum over the same rows, which is the floor: nobody projects a row without
 * reading it. One JSON object a line; "ratio" is the time over the floor's.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <tamis/context.h>
#include <time.h>

#include "base/mem.h"
#include "project/project.h"

/* Rows far beyond any cache, in batches as tamis convert takes them. */
enum { COLUMNS = 1000000, OUTPUTS = 8192, ROWS = 256, BATCH = 16, REPEATS = 5, MOST_THREADS = 64 };

static unsigned threads;
static tamis_error err;
static volatile double keep;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *need(void *memory)
{
    if (memory) return memory;
    fprintf(stderr, "bench_project: out of memory\n");
    exit(EXIT_FAILURE);
}

/* One thread's share of the rows. */
typedef struct part {
    const tamis__projector *projector; /* NULL = only read */
    const float *rows;
    size_t n;
    void *scratch;
    float *out;
    double sum;
} part;

typedef float lanes __attribute__((vector_size(64), aligned(4)));

static double sum_of(const float *x, size_t n)
{
    lanes a = {0}, b = {0}, c = {0}, d = {0};
    for (size_t i = 0; i + 64 <= n; i += 64) {
        a += *(const lanes *)(const void *)(x + i);
        b += *(const lanes *)(const void *)(x + i + 16);
        c += *(const lanes *)(const void *)(x + i + 32);
        d += *(const lanes *)(const void *)(x + i + 48);
    }
    a += b + c + d;
    double sum = 0;
    for (int i = 0; i < 16; i++) sum += (double)a[i];
    return sum;
}

static void *work(void *arg)
{
    part *p = arg;
    if (!p->projector) p->sum = sum_of(p->rows, p->n * COLUMNS);
    for (size_t r = 0; p->projector && r < p->n; r += BATCH)
        tamis__project(p->projector, p->scratch, p->n - r < BATCH ? p->n - r : BATCH,
                       p->rows + r * COLUMNS, COLUMNS, p->out, OUTPUTS);
    return NULL;
}

/* The best of the runs: the others were disturbed. */
static double run(part *parts, int repeats)
{
    double best = 0;
    for (int i = 0; i < repeats; i++) {
        pthread_t thread[MOST_THREADS];
        double start = now();
        for (unsigned t = 0; t < threads; t++)
            if (pthread_create(&thread[t], NULL, work, &parts[t])) exit(EXIT_FAILURE);
        for (unsigned t = 0; t < threads; t++) pthread_join(thread[t], NULL);
        double seconds = now() - start;
        if (i == 0 || seconds < best) best = seconds;
    }
    for (unsigned t = 0; t < threads; t++)
        keep += parts[t].projector ? (double)parts[t].out[0] : parts[t].sum;
    return best;
}

static void share(part *parts, const float *rows, size_t n)
{
    for (unsigned t = 0; t < threads; t++) {
        size_t first = n * t / threads;
        parts[t].rows = rows + first * COLUMNS;
        parts[t].n = n * (t + 1) / threads - first;
    }
}

static void measure(const char *name, const tamis__projection_spec *spec, unsigned cpu,
                    const float *rows, size_t n, int repeats)
{
    part parts[MOST_THREADS] = {{0}};
    tamis__kernels kernels;
    tamis__projector *projector = NULL;
    tamis__kernels_init(&kernels, cpu);
    share(parts, rows, n);
    double floor = run(parts, REPEATS);
    if (tamis__projector_create(&projector, spec, &kernels, &err)) exit(EXIT_FAILURE);
    for (unsigned t = 0; t < threads; t++) {
        parts[t].projector = projector;
        parts[t].scratch = need(tamis__aligned(tamis__projector_scratch(projector, BATCH), 1));
        parts[t].out = need(malloc((size_t)BATCH * OUTPUTS * sizeof(float)));
    }
    double seconds = run(parts, repeats);
    printf(
        "{\"name\":\"project_%s\",\"columns\":%d,\"outputs\":%d,\"nonzeros\":%llu,\"threads\":%u,"
        "\"rows_per_s\":%.1f,\"gb_per_s\":%.2f,\"floor\":\"sum of the rows\","
        "\"floor_gb_per_s\":%.2f,\"ratio\":%.3f}\n",
        name, COLUMNS, OUTPUTS, (unsigned long long)tamis__projector_spec(projector)->nonzeros,
        threads, (double)n / seconds, (double)n * COLUMNS * 4e-9 / seconds,
        (double)n * COLUMNS * 4e-9 / floor, seconds / floor);
    fflush(stdout);
    for (unsigned t = 0; t < threads; t++) free(parts[t].scratch), free(parts[t].out);
    tamis__projector_destroy(&projector);
}

int main(void)
{
    tamis_context *context = NULL;
    if (tamis_context_create(&context, NULL, &err)) exit(EXIT_FAILURE);
    threads = tamis_context_threads(context);
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    unsigned cpu = tamis_context_cpu(context);
    float *rows = need(malloc((size_t)ROWS * COLUMNS * sizeof *rows));
    uint32_t seed = 1;
    for (size_t i = 0; i < (size_t)ROWS * COLUMNS; i++) {
        seed = seed * 1664525u + 1013904223u;
        rows[i] = (float)(int32_t)seed * 0x1p-31f;
    }
    tamis__projection_spec spec = {.from = COLUMNS, .to = OUTPUTS};
    for (spec.nonzeros = 1; spec.nonzeros <= 8; spec.nonzeros *= 2)
        measure("sparse", &spec, cpu, rows, ROWS, REPEATS);
    spec.nonzeros = 0;
    measure("sparse_avx2", &spec, cpu & ~(unsigned)TAMIS_CPU_AVX512, rows, ROWS, REPEATS);
    measure("sparse_c", &spec, 0, rows, ROWS, 1);
    spec.kind = TAMIS__PROJECTION_RADEMACHER;
    measure("rademacher", &spec, cpu, rows, (size_t)2 * BATCH, 1);
    free(rows);
    tamis_context_destroy(&context);
    return 0;
}
