/* Store speed: written and read in each stored type, beside plain write() and read() of the same
 * bytes and beside HDF5's own conversion of 16-bit floats. One JSON object a line; "ratio" is the
 * time over the floor's. Usage: bench_store [DIRECTORY]; about 600 MB are written there and
 * removed.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tamis/store.h>
#include <time.h>
#include <unistd.h>

#include "kernels/kernels.h"
#include "store/store_writer.h"

enum { COLUMNS = 4096, REPEATS = 5, READ_ROWS = 64, HDF5_ROWS = 512 };

/* Of every store, so that f32 has half the rows of the 16-bit types. */
#define BYTES (UINT64_C(256) << 20)
#define PIECE ((size_t)1 << 20)

static tamis_context *context;
static tamis_error err;
static volatile uint64_t keep;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check(tamis_status status)
{
    if (status == TAMIS_OK) return;
    fprintf(stderr, "bench_store: %s\n", err.message);
    exit(EXIT_FAILURE);
}

static void *need(void *memory)
{
    if (memory) return memory;
    fprintf(stderr, "bench_store: out of memory\n");
    exit(EXIT_FAILURE);
}

static void system_check(int failed, const char *what)
{
    if (!failed) return;
    perror(what);
    exit(EXIT_FAILURE);
}

/* The best of the runs: the others were disturbed. */
static double best(double (*run)(void *), void *arg)
{
    double least = run(arg);
    for (int i = 1; i < REPEATS; i++) {
        double seconds = run(arg);
        if (seconds < least) least = seconds;
    }
    return least;
}

static void report(const char *name, tamis_dtype dtype, uint64_t bytes, double seconds,
                   const char *floor, double floor_seconds)
{
    printf("{\"name\":\"%s_%s\",\"bytes\":%llu,\"seconds\":%.4f,\"gb_per_s\":%.3f,\"floor\":\"%s\","
           "\"floor_seconds\":%.4f,\"ratio\":%.3f}\n",
           name, tamis_dtype_name(dtype), (unsigned long long)bytes, seconds,
           (double)bytes / seconds * 1e-9, floor, floor_seconds, seconds / floor_seconds);
    fflush(stdout);
}

/* --- the data --------------------------------------------------------------------------------- */

typedef struct data {
    tamis_dtype dtype;
    uint64_t rows;
    float *gradient; /* [rows, COLUMNS] */
    void *stored;
    float *norm;
    uint64_t digest;
    float *out;
} data;

/* Normally distributed would be truer; the speed does not depend on it. */
static void make(data *d, tamis_dtype dtype)
{
    tamis__kernels kernels;
    uint32_t seed = 1;
    tamis__kernels_init(&kernels, tamis_context_cpu(context));
    *d = (data){.dtype = dtype, .rows = BYTES / COLUMNS / tamis_dtype_size(dtype)};
    d->gradient = need(malloc(d->rows * COLUMNS * sizeof(float)));
    for (uint64_t i = 0; i < d->rows * COLUMNS; i++) {
        seed = seed * 1664525u + 1013904223u;
        d->gradient[i] = (float)(int32_t)seed * 0x1p-31f;
    }
    d->stored = need(malloc(BYTES));
    d->norm = need(malloc(d->rows * sizeof(float)));
    d->out = need(malloc((size_t)READ_ROWS * COLUMNS * sizeof(float)));
    check(tamis__store_rows_narrow(&kernels, dtype, d->gradient, d->rows, COLUMNS, 0, 0, d->stored,
                                   NULL, d->norm, &err));
    d->digest = tamis__store_rows_digest(d->stored, NULL, d->rows, 0, COLUMNS, dtype, 0);
}

static void unmake(data *d)
{
    free(d->gradient), free(d->stored), free(d->norm), free(d->out);
    unlink("bench-store.h5");
    unlink("bench-plain");
}

/* --- writing ---------------------------------------------------------------------------------- */

static tamis_store_writer *start(const data *d)
{
    const tamis_layer layer = {.name = "rows", .out = 1, .in = COLUMNS};
    const tamis_checkpoint checkpoint = {.step = 1, .learning_rate = 0.1};
    const tamis_store_spec spec = {.path = "bench-store.h5",
                                   .dtype = d->dtype,
                                   .rows = d->rows,
                                   .layer = &layer,
                                   .layers = 1,
                                   .checkpoint = &checkpoint,
                                   .checkpoints = 1,
                                   .force = true};
    tamis_store_writer *writer = NULL;
    check(tamis_store_writer_open(&writer, context, &spec, &err));
    return writer;
}

/* Both end with the file synced and in place. */
static double write_plain(void *arg)
{
    const data *d = arg;
    const char *bytes = d->stored;
    unlink("bench-plain");
    double from = now();
    int fd = open("bench-plain.part", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    system_check(fd < 0, "bench-plain");
    for (uint64_t at = 0; at < BYTES;) {
        ssize_t put = write(fd, bytes + at, BYTES - at < 4 * PIECE ? BYTES - at : 4 * PIECE);
        system_check(put <= 0, "write");
        at += (uint64_t)put;
    }
    system_check(fsync(fd) || close(fd) || rename("bench-plain.part", "bench-plain"),
                 "bench-plain");
    return now() - from;
}

static double write_blocks(void *arg)
{
    const data *d = arg;
    unlink("bench-store.h5");
    double from = now();
    tamis_store_writer *writer = start(d);
    const void *gradient[1] = {d->stored};
    const float *norm[1] = {d->norm};
    const tamis__store_block block = {
        .rows = d->rows, .gradient = gradient, .norm = norm, .digest = d->digest};
    check(tamis__store_writer_put_block(writer, &block, &err));
    check(tamis_store_writer_commit(&writer, &err));
    return now() - from;
}

/* With rounding, norms and digests on this one thread. */
static double write_rows(void *arg)
{
    const data *d = arg;
    unlink("bench-store.h5");
    double from = now();
    tamis_store_writer *writer = start(d);
    const float *gradient[1] = {d->gradient};
    check(tamis_store_writer_append(writer, d->rows, gradient, NULL, NULL, NULL, NULL, &err));
    check(tamis_store_writer_commit(&writer, &err));
    return now() - from;
}

/* --- reading ---------------------------------------------------------------------------------- */

static double read_plain(void *arg)
{
    static char buffer[PIECE];
    uint64_t all = 0;
    (void)arg;
    double from = now();
    int fd = open("bench-store.h5", O_RDONLY);
    system_check(fd < 0, "bench-store.h5");
    for (ssize_t got = 1; got > 0; all += (uint64_t)got) {
        got = read(fd, buffer, sizeof buffer);
        system_check(got < 0, "read");
    }
    close(fd);
    keep = all;
    return now() - from;
}

static uint64_t sum_words(const void *bytes, uint64_t n)
{
    const uint64_t *word = bytes;
    uint64_t sum[8] = {0};
    for (uint64_t i = 0; i + 8 <= n / 8; i += 8)
        for (int j = 0; j < 8; j++) sum[j] += word[i + (uint64_t)j];
    return sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
}

/* The rows in place, every byte looked at. Opening and closing count. */
static double scan_mapped(void *arg)
{
    data *d = arg;
    uint64_t sum = 0, run = 0;
    tamis_store *store = NULL;
    double from = now();
    check(tamis_store_open(&store, context, "bench-store.h5", &err));
    for (uint64_t row = 0; row < d->rows; row += run) {
        const void *rows = need((void *)(uintptr_t)tamis_store_map(store, 0, row, &run));
        sum += sum_words(rows, run * COLUMNS * tamis_dtype_size(d->dtype));
    }
    tamis_store_close(&store);
    double seconds = now() - from;
    if (sum != sum_words(d->stored, BYTES)) {
        fprintf(stderr, "bench_store: the rows are not those written\n");
        exit(EXIT_FAILURE);
    }
    return seconds;
}

/* As floats, a block that stays in the cache at a time. */
static double read_widened(void *arg)
{
    data *d = arg;
    tamis_store *store = NULL;
    double from = now();
    check(tamis_store_open(&store, context, "bench-store.h5", &err));
    for (uint64_t row = 0; row < d->rows; row += READ_ROWS)
        check(tamis_store_read(store, 0, row, READ_ROWS, 0, COLUMNS, d->out, COLUMNS, &err));
    tamis_store_close(&store);
    return now() - from;
}

/* HDF5 converting to float itself: the first rows only, it is that slow for 16 bits. */
static double read_hdf5(void *arg)
{
    data *d = arg;
    const hsize_t count[2] = {READ_ROWS, COLUMNS};
    double from = now();
    hid_t file = H5Fopen("bench-store.h5", H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, "checkpoint/0/gradient", H5P_DEFAULT);
    hid_t space = H5Dget_space(dataset), memory = H5Screate_simple(2, count, NULL);
    for (hsize_t row = 0; row < HDF5_ROWS; row += READ_ROWS) {
        const hsize_t at[2] = {row, 0};
        H5Sselect_hyperslab(space, H5S_SELECT_SET, at, NULL, count, NULL);
        system_check(H5Dread(dataset, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, d->out) < 0,
                     "H5Dread");
    }
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(dataset);
    H5Fclose(file);
    return now() - from;
}

/* --- all of it -------------------------------------------------------------------------------- */

static void bench(tamis_dtype dtype)
{
    data d;
    make(&d, dtype);
    double plain = best(write_plain, &d);
    report("write_plain", dtype, BYTES, plain, "write+fsync", plain);
    report("store_write_blocks", dtype, BYTES, best(write_blocks, &d), "write+fsync", plain);
    report("store_write_rows", dtype, BYTES, best(write_rows, &d), "write+fsync", plain);
    double read = best(read_plain, &d);
    report("read_plain", dtype, BYTES, read, "read", read);
    report("store_scan", dtype, BYTES, best(scan_mapped, &d), "read", read);
    report("store_read", dtype, BYTES, best(read_widened, &d), "read", read);
    uint64_t some = (uint64_t)HDF5_ROWS * COLUMNS * tamis_dtype_size(dtype);
    report("hdf5_read", dtype, some, best(read_hdf5, &d), "read",
           read * (double)some / (double)BYTES);
    unmake(&d);
}

int main(int argc, char **argv)
{
    const char *directory = argc > 1 ? argv[1] : ".";
    const tamis_context_params params = {.threads = 1};
    system_check(chdir(directory), directory);
    check(tamis_context_create(&context, &params, &err));
    bench(TAMIS_F32);
    bench(TAMIS_F16);
    bench(TAMIS_BF16);
    tamis_context_destroy(&context);
    return EXIT_SUCCESS;
}
