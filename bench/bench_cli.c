/* `tamis score` as a user runs it: a bf16 store of 3.3 GB, 64 queries, the best 100 rows of each,
 * from the start of the program to its end. Warm, with the store in the system's cache, beside the
 * time of the product alone in this process. Cold, with the cache dropped (which needs root),
 * beside a plain read() of the file from its start to its end.
 *
 * One JSON object a line. Usage: bench_cli TAMIS [DIRECTORY]; 3.3 GB are written there and removed.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine.h"

#include "stream/engine.h"

enum { ROWS = 400000, COLUMNS = 4096, QUERIES = 64, BATCH = 4000, REPEATS = 5, COLD = 3 };

extern char **environ;

static tamis_context *context;
static tamis_error err;

static void check(tamis_status status)
{
    if (status == TAMIS_OK) return;
    fprintf(stderr, "bench_cli: %s\n", err.message);
    exit(EXIT_FAILURE);
}

/* --- stores: rows resemble the queries -------------------------------------------------------- */

static float query[QUERIES * COLUMNS];

static void fill(float *row, uint32_t seed, const float *like)
{
    seed = seed * 2654435761u + 1;
    for (size_t c = 0; c < COLUMNS; c++) {
        seed = seed * 1664525u + 1013904223u;
        row[c] = (float)(int32_t)seed * 0x1p-31f + (like ? 0.25f * like[c] : 0.0f);
    }
}

static void write_store(const char *path, tamis_dtype dtype, uint64_t rows, bool like)
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
    float *batch = malloc(sizeof *batch * BATCH * COLUMNS);
    const float *values = batch;
    if (!batch) exit(EXIT_FAILURE);
    check(tamis_store_writer_open(&writer, context, &spec, &err));
    for (uint64_t first = 0; first < rows; first += BATCH) {
        uint64_t n = rows - first < BATCH ? rows - first : BATCH;
        for (uint64_t i = 0; i < n; i++)
            fill(batch + i * COLUMNS, (uint32_t)(first + i) + (like ? 1000 : 0),
                 like ? query + (first + i) % QUERIES * COLUMNS : NULL);
        check(tamis_store_writer_append(writer, n, &values, &none, NULL, NULL, NULL, &err));
    }
    check(tamis_store_writer_commit(&writer, &err));
    free(batch);
}

/* --- times ------------------------------------------------------------------------------------ */

static tamis_status look(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                         uint64_t queries, const float *values, size_t stride, tamis_error *e)
{
    (void)arg, (void)first_row, (void)rows, (void)first_query, (void)queries, (void)stride, (void)e;
    keep_float = values[0];
    return TAMIS_OK;
}

static double time_kernel(tamis__product_report *report)
{
    static const double weight[1] = {1.0};
    tamis_store *train = NULL, *queries = NULL;
    tamis__store_queries prepared = {0};
    double best = 1e30;
    check(tamis_store_open(&train, context, "train.h5", &err));
    check(tamis_store_open(&queries, context, "query.h5", &err));
    check(tamis__queries_of_store(&prepared, queries, false, &err));
    tamis__product product = {.context = context,
                              .train = train,
                              .queries = &prepared.queries,
                              .weight = weight,
                              .sink = {.put = look}};
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = now();
        check(tamis__product_run(&product, report, &err));
        if (now() - start < best) best = now() - start;
    }
    tamis__store_queries_fini(&prepared);
    tamis_store_close(&queries);
    tamis_store_close(&train);
    return best;
}

static double time_program(const char *tamis)
{
    char *words[] = {strdup(tamis), "score", "tracin",    "--train",    "train.h5", "--query",
                     "query.h5",    "--top", "100",       "--progress", "never",    "-q",
                     "-f",          "-o",    "scores.h5", NULL};
    pid_t pid;
    int status = 0;
    double start = now();
    if (posix_spawn(&pid, tamis, NULL, NULL, words, environ) || waitpid(pid, &status, 0) != pid ||
        status != 0) {
        fprintf(stderr, "bench_cli: tamis score failed\n");
        exit(EXIT_FAILURE);
    }
    double seconds = now() - start;
    free(words[0]);
    return seconds;
}

static double time_read(const char *path)
{
    enum { PIECE = 8 << 20 };
    static char piece[PIECE];
    double start = now();
    int fd = open(path, O_RDONLY);
    ssize_t n = 1;
    while (fd >= 0 && n > 0) {
        n = read(fd, piece, PIECE);
        keep_word += (uint64_t)piece[0];
    }
    if (fd < 0 || n < 0) {
        perror("bench_cli");
        exit(EXIT_FAILURE);
    }
    close(fd);
    return now() - start;
}

static bool drop_caches(void)
{
    sync();
    int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
    bool done = fd >= 0 && write(fd, "3", 1) == 1;
    if (fd >= 0) close(fd);
    return done;
}

static void print(const char *what, const char *beside, double seconds, double other)
{
    printf("{\"bench\":\"cli\",\"what\":\"%s\",\"seconds\":%.3f,\"beside\":\"%s\","
           "\"beside_seconds\":%.3f,\"ratio\":%.3f}\n",
           what, seconds, beside, other, seconds / other);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char directory[] = "/tmp/tamis-bench-XXXXXX";
    const char *where = argc > 2 ? argv[2] : mkdtemp(directory);
    char *tamis = argc > 1 ? realpath(argv[1], NULL) : NULL;
    if (!tamis || !where || chdir(where)) {
        fprintf(stderr, "usage: bench_cli TAMIS [DIRECTORY]\n");
        return EXIT_FAILURE;
    }
    check(tamis_context_create(&context, NULL, &err));
    for (size_t q = 0; q < QUERIES; q++) fill(query + q * COLUMNS, (uint32_t)q, NULL);
    write_store("query.h5", TAMIS_F32, QUERIES, false);
    write_store("train.h5", TAMIS_BF16, ROWS, true);

    tamis__product_report report;
    double warm = 1e30, kernel = time_kernel(&report);
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double seconds = time_program(tamis);
        if (seconds < warm) warm = seconds;
    }
    printf("{\"bench\":\"cli\",\"what\":\"kernel\",\"kernel\":\"%s\",\"panel\":\"%s\","
           "\"seconds\":%.3f,\"gflops\":%.1f}\n",
           report.kernel, report.panel, kernel, 2e-9 * ROWS * COLUMNS * QUERIES / kernel);
    print("score, warm", "kernel", warm, kernel);

    double cold = 1e30, plain = 1e30;
    bool dropped = true;
    for (int repeat = 0; repeat < COLD && dropped; repeat++) {
        dropped = drop_caches();
        if (!dropped) break;
        double seconds = time_read("train.h5");
        if (seconds < plain) plain = seconds;
        drop_caches();
        seconds = time_program(tamis);
        if (seconds < cold) cold = seconds;
    }
    if (dropped)
        print("score, cold", "read()", cold, plain);
    else
        fprintf(stderr, "bench_cli: the cache cannot be dropped here: no cold times\n");
    tamis_context_destroy(&context);
    free(tamis);
    unlink("train.h5"), unlink("query.h5"), unlink("scores.h5");
    if (argc <= 2 && chdir("/") == 0) rmdir(directory);
    return EXIT_SUCCESS;
}
