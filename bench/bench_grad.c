/* Speed of per-example gradients for a network of Fashion-MNIST's shape (784-512-256-10, random
 * data): the last layer only, where the matrix products are the work, beside their floor; and whole
 * rows in bf16, where writing them is, beside the products' floor and a plain write() of as many
 * bytes; and all layers as their factors. Also training. One JSON object a line. Usage: bench_grad
 * [DIRECTORY [THREADS]]; about
 * 2.2 GB are written there, a few times, and removed.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <cblas.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tamis/model.h>
#include <time.h>
#include <unistd.h>

enum { ROWS = 20000, LONG_ROWS = 2000, INPUTS = 784, CLASSES = 10, REPEATS = 3, PEAK_SIZE = 2048 };

static const uint32_t hidden[] = {512, 256};

/* Multiplications of one row forward, and of the deltas back to the first layer's outputs. */
enum { FORWARD = 785 * 512 + 513 * 256 + 257 * 10, BACKWARD = 512 * 256 + 256 * 10 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check(tamis_status status, const tamis_error *err)
{
    if (status == TAMIS_OK) return;
    fprintf(stderr, "bench_grad: %s\n", err->message);
    exit(EXIT_FAILURE);
}

static void *need(void *memory)
{
    if (memory) return memory;
    fprintf(stderr, "bench_grad: out of memory\n");
    exit(EXIT_FAILURE);
}

static float next_float(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(int32_t)*seed * 0x1p-31f;
}

static tamis_data random_data(void)
{
    uint32_t seed = 1;
    tamis_data data = {.rows = ROWS, .columns = INPUTS, .classes = CLASSES};
    data.x = need(malloc((size_t)ROWS * INPUTS * sizeof *data.x));
    data.label = need(malloc(ROWS * sizeof *data.label));
    for (size_t i = 0; i < (size_t)ROWS * INPUTS; i++) data.x[i] = next_float(&seed);
    for (size_t i = 0; i < ROWS; i++) data.label[i] = (int32_t)(i % CLASSES);
    return data;
}

/* --- what the machine can do ------------------------------------------------------------------ */

/* Flops a second of one large product on all threads, the best of some. */
static double sgemm_peak(unsigned threads)
{
    size_t n = PEAK_SIZE;
    uint32_t seed = 2;
    float *a = need(malloc(3 * n * n * sizeof *a)), *b = a + n * n, *c = b + n * n;
    for (size_t i = 0; i < 3 * n * n; i++) a[i] = next_float(&seed);
    int before = openblas_get_num_threads();
    openblas_set_num_threads((int)threads);
    double best = 1e30;
    for (int r = 0; r < REPEATS + 1; r++) {
        double start = now();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)n, (blasint)n, (blasint)n,
                    1.0f, a, (blasint)n, b, (blasint)n, 0.0f, c, (blasint)n);
        double seconds = now() - start;
        if (seconds < best) best = seconds;
    }
    openblas_set_num_threads(before);
    free(a);
    return 2.0 * (double)n * (double)n * (double)n / best;
}

/* Seconds to write() and sync this many bytes, 4 MiB at a time. */
static double plain_write(const char *path, double bytes)
{
    size_t size = (size_t)4 << 20;
    char *block = need(malloc(size));
    memset(block, 0x5a, size);
    double start = now();
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    bool good = fd >= 0;
    for (double left = bytes; good && left > 0; left -= (double)size) {
        size_t n = left < (double)size ? (size_t)left : size;
        good = write(fd, block, n) == (ssize_t)n;
    }
    good = good && fsync(fd) == 0 && close(fd) == 0;
    double seconds = now() - start;
    unlink(path);
    free(block);
    if (good) return seconds;
    perror("bench_grad: plain write");
    exit(EXIT_FAILURE);
}

/* --- what we do ------------------------------------------------------------------------------- */

static tamis_model *train(tamis_context *context, const tamis_data *data, double peak)
{
    tamis_error err = {0};
    tamis_model *model = NULL;
    tamis_train_params params;
    tamis_train_defaults(&params);
    params.hidden = hidden;
    params.hidden_layers = 2;
    params.epochs = 1;
    params.batch = 128;
    params.learning_rate = 0.01;
    double start = now();
    check(tamis_train(&model, context, &params, data, NULL, &err), &err);
    double seconds = now() - start, flops = ROWS * 2.0 * (2.0 * FORWARD + BACKWARD);
    printf("{\"bench\":\"train\",\"threads\":%u,\"rows\":%d,\"seconds\":%.3f,"
           "\"examples_per_second\":%.0f,\"floor_seconds\":%.3f,\"over_floor\":%.2f}\n",
           tamis_context_threads(context), ROWS, seconds, ROWS / seconds, flops / peak,
           seconds * peak / flops);
    return model;
}

static double gradients(const tamis_model *model, tamis_context *context, const tamis_data *data,
                        const tamis_gradient_params *params)
{
    tamis_error err = {0};
    double best = 1e30;
    for (int r = 0; r < REPEATS; r++) {
        double start = now();
        check(tamis_gradients(model, context, data, params, &err), &err);
        double seconds = now() - start;
        if (seconds < best) best = seconds;
    }
    unlink(params->path);
    return best;
}

/* The floor is that of the products alone; a plain write() of the bytes stands beside it. */
static void last_layer(const tamis_model *model, tamis_context *context, const tamis_data *data,
                       const char *path, double peak)
{
    tamis_gradient_params params = {
        .path = path, .dtype = TAMIS_BF16, .layers = "2", .force = true};
    double seconds = gradients(model, context, data, &params), floor = ROWS * 2.0 * FORWARD / peak;
    double write_s = plain_write(path, ROWS * 2.0 * 257 * CLASSES);
    printf(
        "{\"bench\":\"grad\",\"what\":\"last layer\",\"dtype\":\"bf16\",\"threads\":%u,\"rows\":%d,"
        "\"seconds\":%.4f,\"examples_per_second\":%.0f,\"sgemm_peak_gflops\":%.1f,"
        "\"plain_write_seconds\":%.4f,\"floor_seconds\":%.4f,\"over_floor\":%.2f}\n",
        tamis_context_threads(context), ROWS, seconds, ROWS / seconds, peak * 1e-9, write_s, floor,
        seconds / floor);
}

static void whole_rows(const tamis_model *model, tamis_context *context, const tamis_data *data,
                       const char *path, double peak)
{
    tamis_gradient_params params = {.path = path, .dtype = TAMIS_BF16, .force = true};
    tamis_data some = *data;
    some.rows = LONG_ROWS;
    double bytes = 2.0 * LONG_ROWS * FORWARD, write_s = plain_write(path, bytes);
    double seconds = gradients(model, context, &some, &params), again = plain_write(path, bytes);
    if (again < write_s) write_s = again;
    double floor = LONG_ROWS * 2.0 * (FORWARD + BACKWARD) / peak + write_s;
    printf(
        "{\"bench\":\"grad\",\"what\":\"whole rows\",\"dtype\":\"bf16\",\"threads\":%u,\"rows\":%d,"
        "\"seconds\":%.3f,\"examples_per_second\":%.0f,\"gbytes_per_second\":%.2f,"
        "\"plain_write_gbytes_per_second\":%.2f,\"floor_seconds\":%.3f,\"over_floor\":%.2f}\n",
        tamis_context_threads(context), LONG_ROWS, seconds, LONG_ROWS / seconds,
        bytes / seconds * 1e-9, bytes / write_s * 1e-9, floor, seconds / floor);
}

/* Bytes are those of the finished file, columns of examples and outputs included. */
static void factors(const tamis_model *model, tamis_context *context, const tamis_data *data,
                    const char *path, double peak)
{
    tamis_error err = {0};
    tamis_gradient_params params = {
        .path = path, .form = TAMIS_FORM_FACTORS, .dtype = TAMIS_BF16, .force = true};
    struct stat st;
    double seconds = 1e30, write_s = 1e30;
    for (int r = 0; r < REPEATS + 2; r++) {
        double start = now();
        check(tamis_gradients(model, context, data, &params, &err), &err);
        double took = now() - start;
        if (stat(path, &st)) exit(EXIT_FAILURE);
        unlink(path);
        double plain = plain_write(path, (double)st.st_size);
        if (took < seconds) seconds = took;
        if (plain < write_s) write_s = plain;
    }
    double products = ROWS * 2.0 * (FORWARD + BACKWARD) / peak, floor = products + write_s;
    printf("{\"bench\":\"grad\",\"what\":\"factors\",\"dtype\":\"bf16\",\"threads\":%u,\"rows\":%d,"
           "\"seconds\":%.3f,\"examples_per_second\":%.0f,\"bytes_per_example\":%.0f,"
           "\"products_seconds\":%.3f,\"plain_write_seconds\":%.3f,\"floor_seconds\":%.3f,"
           "\"over_floor\":%.2f}\n",
           tamis_context_threads(context), ROWS, seconds, ROWS / seconds, (double)st.st_size / ROWS,
           products, write_s, floor, seconds / floor);
}

int main(int argc, char **argv)
{
    tamis_error err = {0};
    tamis_context *context = NULL;
    tamis_context_params settings = {.threads = argc > 2 ? (unsigned)atoi(argv[2]) : 0};
    setvbuf(stdout, NULL, _IOLBF, 0);
    char path[4096];
    snprintf(path, sizeof path, "%s/bench_grad.%ld.h5", argc > 1 ? argv[1] : ".", (long)getpid());
    check(tamis_context_create(&context, &settings, &err), &err);
    tamis_data data = random_data();
    double peak = sgemm_peak(tamis_context_threads(context));
    tamis_model *model = train(context, &data, peak);
    last_layer(model, context, &data, path, peak);
    whole_rows(model, context, &data, path, peak);
    factors(model, context, &data, path, peak);
    tamis_model_free(&model);
    free(data.x);
    free(data.label);
    tamis_context_destroy(&context);
    return EXIT_SUCCESS;
}
