/* What the machine can do, measured in the run that uses it: arithmetic in registers and sums over
 * memory, with so many threads.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BENCH_MACHINE_H
#define TAMIS_BENCH_MACHINE_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tamis/context.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { MACHINE_THREADS = 256, FMA_ROUNDS = 20000000, CHAINS = 10 };

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static volatile float keep_float;
static volatile uint64_t keep_word;

/* --- arithmetic: each returns the operations it did, all of them in registers ----------------- */

static inline double peak_plain(void)
{
    float sum[CHAINS * 4];
    for (int i = 0; i < CHAINS * 4; i++) sum[i] = (float)i;
    for (int r = 0; r < FMA_ROUNDS / 8; r++)
        for (int i = 0; i < CHAINS * 4; i++) sum[i] = sum[i] * 0.999f + 0.001f;
    for (int i = 0; i < CHAINS * 4; i++) keep_float = sum[i];
    return 2.0 * CHAINS * 4 * (FMA_ROUNDS / 8);
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static inline double peak_avx2(void)
{
    __m256 sum[CHAINS], factor = _mm256_set1_ps(0.999f), term = _mm256_set1_ps(0.001f);
    for (int i = 0; i < CHAINS; i++) sum[i] = _mm256_set1_ps((float)i);
    for (int r = 0; r < FMA_ROUNDS; r++) {
#pragma GCC unroll 10
        for (int i = 0; i < CHAINS; i++) sum[i] = _mm256_fmadd_ps(sum[i], factor, term);
    }
    for (int i = 0; i < CHAINS; i++) keep_float = _mm256_cvtss_f32(sum[i]);
    return 2.0 * CHAINS * 8 * FMA_ROUNDS;
}

__attribute__((target("avx512f"))) static inline double peak_avx512(void)
{
    __m512 sum[CHAINS], factor = _mm512_set1_ps(0.999f), term = _mm512_set1_ps(0.001f);
    for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_set1_ps((float)i);
    for (int r = 0; r < FMA_ROUNDS; r++) {
#pragma GCC unroll 10
        for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_fmadd_ps(sum[i], factor, term);
    }
    for (int i = 0; i < CHAINS; i++) keep_float = _mm512_cvtss_f32(sum[i]);
    return 2.0 * CHAINS * 16 * FMA_ROUNDS;
}
#endif

/* --- memory ----------------------------------------------------------------------------------- */

typedef uint64_t machine_words __attribute__((vector_size(64), aligned(1)));

static inline double read_sum(const void *from, size_t bytes)
{
    machine_words a = {0}, b = a, c = a, d = a;
    const machine_words *p = from;
    for (size_t i = 0; i + 4 <= bytes / sizeof *p; i += 4) {
        a += p[i];
        b += p[i + 1];
        c += p[i + 2];
        d += p[i + 3];
    }
    a += b + c + d;
    for (int i = 0; i < 8; i++) keep_word += a[i];
    return (double)bytes;
}

/* --- several threads -------------------------------------------------------------------------- */

typedef struct machine_probe {
    unsigned cpu;
    const char *from; /* NULL = arithmetic, else bytes to read */
    size_t bytes;
    double work; /* done: operations or bytes */
} machine_probe;

static inline void *machine_run(void *arg)
{
    machine_probe *p = arg;
    if (p->from) {
        p->work = read_sum(p->from, p->bytes);
        return NULL;
    }
    p->work = 0;
#if defined(__x86_64__)
    if (p->cpu & TAMIS_CPU_AVX512)
        p->work = peak_avx512();
    else if (p->cpu & TAMIS_CPU_AVX2)
        p->work = peak_avx2();
#endif
    if (p->work <= 0) p->work = peak_plain();
    return NULL;
}

/* Work per second of all threads together, the best of five tries: operations on floats, or with
 * `from` bytes read, each thread its share. */
static inline double machine_rate(unsigned threads, unsigned cpu, const void *from, size_t bytes)
{
    pthread_t thread[MACHINE_THREADS];
    machine_probe probes[MACHINE_THREADS];
    double best = 0;
    for (int repeat = 0; repeat < 5; repeat++) {
        double start = now(), work = 0;
        size_t share = bytes / threads / 64 * 64;
        for (unsigned i = 0; i < threads; i++) {
            probes[i] = (machine_probe){cpu, from ? (const char *)from + i * share : NULL, share,
                                        0};
            if (pthread_create(&thread[i], NULL, machine_run, &probes[i])) exit(EXIT_FAILURE);
        }
        for (unsigned i = 0; i < threads; i++) {
            pthread_join(thread[i], NULL);
            work += probes[i].work;
        }
        double rate = work / (now() - start);
        if (rate > best) best = rate;
    }
    return best;
}

#endif
