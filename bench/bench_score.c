/* Scoring speed: tracin with 64 queries over 20,000 x 4,096 stores of each type, beside one call of
 * cblas_sgemm with all threads on the same matrix in memory, and beside the floor: operations over
 * the peak or bytes over the bandwidth that this run measures, whichever is longer. One JSON object
 * a line. Usage: bench_score [DIRECTORY]; about 700 MB are written there and removed.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <cblas.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tamis/score.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { ROWS = 20000, COLUMNS = 4096, QUERIES = 64, REPEATS = 5, MAX_THREADS = 256 };

#define FLOPS (2.0 * ROWS * COLUMNS * QUERIES)

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check(tamis_status status, const tamis_error *err)
{
    if (status == TAMIS_OK) return;
    fprintf(stderr, "bench_score: %s\n", err->message);
    exit(EXIT_FAILURE);
}

static float *random_matrix(size_t rows, uint32_t seed)
{
    float *m = malloc(rows * COLUMNS * sizeof *m);
    if (!m) exit(EXIT_FAILURE);
    for (size_t i = 0; i < rows * COLUMNS; i++) {
        seed = seed * 1664525u + 1013904223u;
        m[i] = (float)(int32_t)seed * 0x1p-31f;
    }
    return m;
}

/* --- what the machine can do ------------------------------------------------------------------ */

static volatile float keep_float;
static volatile uint64_t keep_word;

enum { FMA_ROUNDS = 20000000, CHAINS = 10 };

/* Each returns the operations it did, all of them in registers. */
static double peak_plain(void)
{
    float sum[CHAINS * 4];
    for (int i = 0; i < CHAINS * 4; i++) sum[i] = (float)i;
    for (int r = 0; r < FMA_ROUNDS / 8; r++)
        for (int i = 0; i < CHAINS * 4; i++) sum[i] = sum[i] * 0.999f + 0.001f;
    for (int i = 0; i < CHAINS * 4; i++) keep_float = sum[i];
    return 2.0 * CHAINS * 4 * (FMA_ROUNDS / 8);
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static double peak_avx2(void)
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

__attribute__((target("avx512f"))) static double peak_avx512(void)
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

typedef struct probe {
    unsigned cpu;
    const float *from; /* NULL = arithmetic, else bytes to read */
    size_t bytes;
    double work; /* done: operations or bytes */
} probe;

typedef uint64_t words __attribute__((vector_size(16)));

static double read_sum(const float *from, size_t bytes)
{
    words a = {0}, b = a, c = a, d = a, next[4];
    const char *p = (const char *)from;
    for (size_t i = 0; i + sizeof next <= bytes; i += sizeof next) {
        memcpy(next, p + i, sizeof next);
        a += next[0];
        b += next[1];
        c += next[2];
        d += next[3];
    }
    a += b + c + d;
    keep_word = a[0] ^ a[1];
    return (double)bytes;
}

static void *run_probe(void *arg)
{
    probe *p = arg;
    if (p->from) {
        p->work = read_sum(p->from, p->bytes);
        return NULL;
    }
#if defined(__x86_64__)
    if (p->cpu & TAMIS_CPU_AVX512) {
        p->work = peak_avx512();
        return NULL;
    }
    if (p->cpu & TAMIS_CPU_AVX2) {
        p->work = peak_avx2();
        return NULL;
    }
#endif
    p->work = peak_plain();
    return NULL;
}

/* Work per second of all threads together, the best of some tries. */
static double measure(unsigned threads, unsigned cpu, const float *from, size_t bytes)
{
    pthread_t thread[MAX_THREADS];
    probe probes[MAX_THREADS];
    double best = 0;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = now(), work = 0;
        for (unsigned i = 0; i < threads; i++) {
            size_t share = bytes / threads / sizeof *from;
            probes[i] = (probe){
                .cpu = cpu, .from = from ? from + i * share : NULL, .bytes = share * sizeof *from};
            if (pthread_create(&thread[i], NULL, run_probe, &probes[i])) exit(EXIT_FAILURE);
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

/* --- the stores and the scoring --------------------------------------------------------------- */

static void write_store(tamis_context *context, const char *path, tamis_dtype dtype, uint64_t rows,
                        const float *values)
{
    tamis_error err = {0};
    tamis_layer layer = {.name = "rows", .out = 1, .in = COLUMNS};
    tamis_checkpoint checkpoint = {.step = 1, .learning_rate = 1.0};
    tamis_store_spec spec = {.path = path,
                             .dtype = dtype,
                             .rows = rows,
                             .layer = &layer,
                             .layers = 1,
                             .checkpoint = &checkpoint,
                             .checkpoints = 1,
                             .force = true};
    tamis_store_writer *writer = NULL;
    tamis_examples none = {0};
    check(tamis_store_writer_open(&writer, context, &spec, &err), &err);
    check(tamis_store_writer_append(writer, rows, &values, &none, NULL, NULL, NULL, &err), &err);
    check(tamis_store_writer_commit(&writer, &err), &err);
}

static double time_score(tamis_context *context, const char *train_path, const char *query_path,
                         const char *out)
{
    tamis_error err = {0};
    tamis_store *train = NULL, *query = NULL;
    double best = 1e30;
    check(tamis_store_open(&train, context, train_path, &err), &err);
    check(tamis_store_open(&query, context, query_path, &err), &err);
    tamis_score_params params = {
        .scorer = "tracin", .train = train, .query = query, .path = out, .force = true};
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = now();
        check(tamis_score(context, &params, NULL, &err), &err);
        if (now() - start < best) best = now() - start;
    }
    tamis_store_close(&train);
    tamis_store_close(&query);
    return best;
}

static double time_sgemm(int threads, const float *train, const float *query)
{
    float *c = malloc(sizeof *c * ROWS * QUERIES);
    double best = 1e30;
    if (!c) exit(EXIT_FAILURE);
    openblas_set_num_threads(threads);
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = now();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, ROWS, QUERIES, COLUMNS, 1.0f, train,
                    COLUMNS, query, COLUMNS, 0.0f, c, QUERIES);
        if (now() - start < best) best = now() - start;
    }
    free(c);
    return best;
}

static void report(const char *what, tamis_dtype dtype, unsigned threads, double seconds,
                   double peak, double bandwidth)
{
    double bytes = (double)ROWS * COLUMNS * (double)tamis_dtype_size(dtype);
    double floor = FLOPS / peak > bytes / bandwidth ? FLOPS / peak : bytes / bandwidth;
    printf(
        "{\"bench\":\"score\",\"what\":\"%s\",\"dtype\":\"%s\",\"rows\":%d,\"columns\":%d,"
        "\"queries\":%d,\"threads\":%u,\"seconds\":%.4f,\"gflops\":%.1f,\"gbytes_per_second\":%.2f,"
        "\"floor_seconds\":%.4f,\"over_floor\":%.2f}\n",
        what, tamis_dtype_name(dtype), ROWS, COLUMNS, QUERIES, threads, seconds,
        1e-9 * FLOPS / seconds, 1e-9 * bytes / seconds, floor, seconds / floor);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    tamis_error err = {0};
    tamis_context *context = NULL;
    tamis_context_params params = {0};
    char directory[] = "/tmp/tamis-bench-XXXXXX";
    const char *where = argc > 1 ? argv[1] : mkdtemp(directory);
    if (!where || chdir(where)) {
        perror("bench_score");
        return EXIT_FAILURE;
    }
    check(tamis_context_create(&context, &params, &err), &err);
    unsigned threads = tamis_context_threads(context), cpu = tamis_context_cpu(context);
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    float *train = random_matrix(ROWS, 1), *query = random_matrix(QUERIES, 2);
    size_t bytes = sizeof *train * ROWS * COLUMNS;
    double peak = measure(threads, cpu, NULL, 0), bandwidth = measure(threads, cpu, train, bytes);
    printf("{\"bench\":\"score\",\"what\":\"machine\",\"threads\":%u,\"peak_gflops\":%.1f,"
           "\"read_gbytes_per_second\":%.1f}\n",
           threads, 1e-9 * peak, 1e-9 * bandwidth);
    report("cblas_sgemm", TAMIS_F32, threads, time_sgemm((int)threads, train, query), peak,
           bandwidth);
    write_store(context, "query.h5", TAMIS_F32, QUERIES, query);
    for (tamis_dtype dtype = TAMIS_F32; dtype <= TAMIS_BF16; dtype++) {
        write_store(context, "train.h5", dtype, ROWS, train);
        report("tracin", dtype, threads, time_score(context, "train.h5", "query.h5", "scores.h5"),
               peak, bandwidth);
    }
    free(train);
    free(query);
    tamis_context_destroy(&context);
    unlink("train.h5"), unlink("query.h5"), unlink("scores.h5");
    if (argc <= 1 && chdir("/") == 0) rmdir(directory);
    return EXIT_SUCCESS;
}
