/* The product behind scores: 100,000 x 4,096 rows of each type in a store that is in the system's
 * cache, with 64, 8 and 1 queries, beside what a user has otherwise for the same rows in memory:
 * one call of cblas_sgemm or cblas_sgemv with all threads, and oneDNN where it is installed. The
 * floor is operations over the peak or bytes over the bandwidth, whichever takes longer; both are
 * measured in this run, the bandwidth on the store's own mapped pages. Peaks of bf16 and i8 are
 * twice that of floats: two products an instruction's lane, and for i8 four in each of two passes.
 *
 * One JSON object a line. Usage: bench_score [DIRECTORY]; 1.7 GB are written there and removed.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <cblas.h>
#include <unistd.h>

#include "machine.h"
#if HAVE_DNNL
#include "onednn.h"
#endif

#include "kernels/kernels.h"
#include "stream/engine.h"

enum { ROWS = 100000, COLUMNS = 4096, QUERIES = 64, REPEATS = 7 };

static tamis_context *context;
static unsigned threads, cpu;
static double peak;
static tamis_error err;

static void check(tamis_status status)
{
    if (status == TAMIS_OK) return;
    fprintf(stderr, "bench_score: %s\n", err.message);
    exit(EXIT_FAILURE);
}

/* --- rows and queries ------------------------------------------------------------------------- */

static void fill(float *row, uint32_t seed)
{
    seed = seed * 2654435761u + 1;
    for (size_t c = 0; c < COLUMNS; c++) {
        seed = seed * 1664525u + 1013904223u;
        row[c] = (float)(int32_t)seed * 0x1p-31f;
    }
}

/* Each row resembles one of the queries: a quarter of it, and noise. */
static float *make_rows(const float *query)
{
    float *rows = malloc(sizeof *rows * ROWS * COLUMNS);
    if (!rows) exit(EXIT_FAILURE);
    for (size_t i = 0; i < ROWS; i++) {
        float *row = rows + i * COLUMNS;
        fill(row, (uint32_t)i + 1000);
        for (size_t c = 0; c < COLUMNS; c++) row[c] += 0.25f * query[i % QUERIES * COLUMNS + c];
    }
    return rows;
}

static void write_store(const char *path, tamis_dtype dtype, uint64_t rows, const float *values)
{
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
    check(tamis_store_writer_open(&writer, context, &spec, &err));
    check(tamis_store_writer_append(writer, rows, &values, &none, NULL, NULL, NULL, &err));
    check(tamis_store_writer_commit(&writer, &err));
}

/* --- one case --------------------------------------------------------------------------------- */

static tamis_status look(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                         uint64_t queries, const float *values, size_t stride, tamis_error *e)
{
    (void)arg, (void)first_row, (void)rows, (void)first_query, (void)queries, (void)stride, (void)e;
    keep_float = values[0];
    return TAMIS_OK;
}

static double time_product(tamis_store *train, tamis__store_queries *query, uint64_t queries,
                           tamis__panel_mode mode, tamis__product_report *report)
{
    static const double weight[1] = {1.0};
    tamis__queries some = query->queries;
    some.rows = queries;
    tamis__product product = {.context = context,
                              .train = train,
                              .queries = &some,
                              .weight = weight,
                              .panel = mode,
                              .sink = {.put = look}};
    double best = 1e30;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = now();
        check(tamis__product_run(&product, report, &err));
        if (now() - start < best) best = now() - start;
    }
    return best;
}

/* Bytes a second of a sum over the store's mapped pages, from its first row to its last. */
static double read_rate(const tamis_store *train)
{
    uint64_t run = 0;
    const char *first = tamis_store_map(train, 0, 0, &run);
    const char *last = tamis_store_map(train, 0, ROWS - 1, &run);
    if (!first || last < first) {
        fprintf(stderr, "bench_score: the rows are not mapped in their order\n");
        exit(EXIT_FAILURE);
    }
    return machine_rate(threads, cpu, first, (size_t)(last - first));
}

static void print(const char *what, const char *kernel, const char *panel, tamis_dtype dtype,
                  uint64_t queries, double seconds, double rate)
{
    double flops = 2.0 * ROWS * COLUMNS * (double)queries;
    double bytes = (double)ROWS * COLUMNS * (double)tamis_dtype_size(dtype);
    bool doubled = !strcmp(panel, "bf16") || !strcmp(panel, "i16");
    double by_peak = flops / (doubled ? 2 * peak : peak), by_bytes = bytes / rate;
    double floor = by_peak > by_bytes ? by_peak : by_bytes;
    printf("{\"bench\":\"score\",\"what\":\"%s\",\"kernel\":\"%s\",\"panel\":\"%s\","
           "\"dtype\":\"%s\",\"queries\":%llu,\"threads\":%u,\"seconds\":%.4f,\"gflops\":%.1f,"
           "\"gbytes_per_second\":%.2f,\"read_sum_gbytes_per_second\":%.2f,\"floor\":\"%s\","
           "\"floor_over_measured\":%.3f}\n",
           what, kernel, panel, tamis_dtype_name(dtype), (unsigned long long)queries, threads,
           seconds, 1e-9 * flops / seconds, 1e-9 * bytes / seconds, 1e-9 * rate,
           by_peak > by_bytes ? "peak" : "bytes", floor / seconds);
    fflush(stdout);
}

static void measure_type(tamis_dtype dtype, const float *rows)
{
    static const uint64_t queries[] = {64, 8, 1};
    tamis_store *train = NULL, *query = NULL;
    tamis__store_queries prepared = {0};
    write_store("train.h5", dtype, ROWS, rows);
    check(tamis_store_open(&train, context, "train.h5", &err));
    check(tamis_store_open(&query, context, "query.h5", &err));
    check(tamis__queries_of_store(&prepared, query, false, &err));
    double rate = read_rate(train);
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        for (int mode = TAMIS__PANEL_AUTO; mode <= TAMIS__PANEL_EXACT; mode++) {
            tamis__product_report report;
            double seconds = time_product(train, &prepared, queries[i], (tamis__panel_mode)mode,
                                          &report);
            print("tamis", report.kernel, report.panel, dtype, queries[i], seconds, rate);
            if (report.error <= 0) break; /* exact as it is */
        }
    tamis__store_queries_fini(&prepared);
    tamis_store_close(&query);
    tamis_store_close(&train);
}

/* --- what a user has otherwise ---------------------------------------------------------------- */

static void measure_blas(const float *rows, const float *query, int queries, double rate)
{
    float *out = malloc(sizeof *out * ROWS * QUERIES);
    double best = 1e30;
    if (!out) exit(EXIT_FAILURE);
    openblas_set_num_threads((int)threads);
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = now();
        if (queries == 1)
            cblas_sgemv(CblasRowMajor, CblasNoTrans, ROWS, COLUMNS, 1.0f, rows, COLUMNS, query, 1,
                        0.0f, out, 1);
        else
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, ROWS, queries, COLUMNS, 1.0f, rows,
                        COLUMNS, query, COLUMNS, 0.0f, out, queries);
        if (now() - start < best) best = now() - start;
    }
    keep_float = out[ROWS / 2];
    free(out);
    print("OpenBLAS", queries == 1 ? "sgemv" : "sgemm", "f32", TAMIS_F32, (uint64_t)queries, best,
          rate);
}

#if HAVE_DNNL
/* Both in bf16 or both in float. */
static void measure_onednn(bool bf16, float *rows, float *query, int queries, double rate)
{
    float *out = malloc(sizeof *out * ROWS * QUERIES);
    void *narrow_rows = rows, *narrow_query = query;
    double best = 1e30;
    if (bf16) {
        tamis__kernels kernels;
        tamis__kernels_init(&kernels, cpu);
        narrow_rows = malloc(sizeof(uint16_t) * ROWS * COLUMNS);
        narrow_query = malloc(sizeof(uint16_t) * QUERIES * COLUMNS);
        if (!narrow_rows || !narrow_query) exit(EXIT_FAILURE);
        kernels.narrow_bf16(narrow_rows, rows, (size_t)ROWS * COLUMNS);
        kernels.narrow_bf16(narrow_query, query, (size_t)QUERIES * COLUMNS);
    }
    if (!out) exit(EXIT_FAILURE);
    onednn d = onednn_make(bf16, ROWS, queries, COLUMNS, narrow_rows, narrow_query, out);
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = now();
        onednn_multiply(&d);
        if (now() - start < best) best = now() - start;
    }
    keep_float = out[ROWS / 2];
    onednn_free(&d);
    free(out);
    if (bf16) free(narrow_rows), free(narrow_query);
    print("oneDNN", "matmul", bf16 ? "bf16" : "f32", bf16 ? TAMIS_BF16 : TAMIS_F32,
          (uint64_t)queries, best, rate);
}
#endif

int main(int argc, char **argv)
{
    char directory[] = "/tmp/tamis-bench-XXXXXX";
    const char *where = argc > 1 ? argv[1] : mkdtemp(directory);
    static float query[QUERIES * COLUMNS];
    if (!where || chdir(where)) {
        perror("bench_score");
        return EXIT_FAILURE;
    }
    check(tamis_context_create(&context, NULL, &err));
    threads = tamis_context_threads(context), cpu = tamis_context_cpu(context);
    if (threads > MACHINE_THREADS) threads = MACHINE_THREADS;
    for (size_t q = 0; q < QUERIES; q++) fill(query + q * COLUMNS, (uint32_t)q);
    float *rows = make_rows(query);
    peak = machine_rate(threads, cpu, NULL, 0);
    double rate = machine_rate(threads, cpu, rows, sizeof *rows * ROWS * COLUMNS);
    printf("{\"bench\":\"score\",\"what\":\"machine\",\"threads\":%u,\"peak_gflops\":%.1f,"
           "\"read_sum_gbytes_per_second\":%.1f}\n",
           threads, 1e-9 * peak, 1e-9 * rate);
    for (int queries = 64; queries > 0; queries /= 8) {
        measure_blas(rows, query, queries, rate);
#if HAVE_DNNL
        measure_onednn(false, rows, query, queries, rate);
        measure_onednn(true, rows, query, queries, rate);
#endif
    }
    write_store("query.h5", TAMIS_F32, QUERIES, query);
    measure_type(TAMIS_F32, rows);
    measure_type(TAMIS_BF16, rows);
    measure_type(TAMIS_F16, rows);
    measure_type(TAMIS_I8, rows);
    free(rows);
    tamis_context_destroy(&context);
    unlink("train.h5"), unlink("query.h5");
    if (argc <= 1 && chdir("/") == 0) rmdir(directory);
    return EXIT_SUCCESS;
}
