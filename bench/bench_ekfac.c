/* Scores by curvature of two stores of factors, of the shape of an MLP 784-512-256-10 on images:
 * exact, by low rank, and lists in two stages; beside what a user has otherwise, one call of
 * cblas_sgemm for each query and layer with all threads, and whole gradients through the engine.
 * The floor is operations over the rate of cblas_sgemm on large matrices, measured in this run;
 * "cpu_ratio" is the same of processor time, for busy machines. The stores are random: gradients
 * fall off along the eigenvectors as those of images do, and queries resemble rows.
 *
 * With files instead, "found" is the share of the exact lists that two stages find on them.
 *
 * One JSON object a line. Usage: bench_ekfac [ROWS QUERIES [TRAIN.h5 QUERY.h5 CURVATURE.h5]]
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <cblas.h>
#include <math.h>
#include <unistd.h>

#include "machine.h"

#include "base/mem.h"
#include "base/rng.h"
#include "linalg/blas.h"
#include "linalg/lapack.h"
#include "score/ekfac.h"
#include "score/ekfac_factors.h"
#include "score/output.h"

enum { LAYERS = 3, INPUTS = 785 + 513 + 257, OUTPUTS = 512 + 256 + 10, SIZE = 2048, TOP = 100 };

static const tamis_layer layers[LAYERS] = {{.name = "layers.0", .out = 512, .in = 784, .bias = 1},
                                           {.name = "layers.1", .out = 256, .in = 512, .bias = 1},
                                           {.name = "layers.2", .out = 10, .in = 256, .bias = 1}};

static tamis_context *context;
static tamis_error err;
static double peak;     /* of cblas_sgemm, operations a second */
static double cpu_peak; /* the same a second of all processors' time, for busy machines */

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check(tamis_status status)
{
    if (status == TAMIS_OK) return;
    fprintf(stderr, "bench_ekfac: %s\n", err.message);
    exit(EXIT_FAILURE);
}

static void *need(void *memory)
{
    if (memory) return memory;
    fprintf(stderr, "bench_ekfac: out of memory\n");
    exit(EXIT_FAILURE);
}

/* --- stores and spectra ----------------------------------------------------------------------- */

/* Size of gradients along an eigenvector, the largest last, as eigenvalues come. */
static double falloff(uint64_t i, uint64_t n)
{
    return pow((double)(n - i), -0.75);
}

/* A row of either side: noise of these sizes, and half of what row `like` has. */
static void fill(float *out, uint64_t n, uint64_t item, uint64_t like)
{
    gsl_rng *rng = need(tamis__rng_create()), *other = need(tamis__rng_create());
    tamis__rng_key(rng, 1, TAMIS__STREAM_TEST, item);
    tamis__rng_key(other, 1, TAMIS__STREAM_TEST, like);
    for (uint64_t i = 0; i < n; i++)
        out[i] = (float)(falloff(i, n) *
                         (gsl_rng_uniform(rng) + 0.5 * gsl_rng_uniform(other) - 0.75));
    gsl_rng_free(rng);
    gsl_rng_free(other);
}

static void write_store(const char *path, uint64_t rows, uint64_t first)
{
    tamis_checkpoint checkpoint = {.step = 1, .learning_rate = 1.0};
    tamis_store_spec spec = {.path = path,
                             .dtype = TAMIS_BF16,
                             .rows = rows,
                             .layer = layers,
                             .layers = LAYERS,
                             .checkpoint = &checkpoint,
                             .checkpoints = 1,
                             .force = true,
                             .form = TAMIS_FORM_FACTORS};
    tamis_store_writer *writer = NULL;
    tamis_examples none = {0};
    float *input = need(tamis__malloc(INPUTS, sizeof *input));
    float *output = need(tamis__malloc(OUTPUTS, sizeof *output));
    const float *const inputs[1] = {input}, *const outputs[1] = {output};
    check(tamis_store_writer_open(&writer, context, &spec, &err));
    for (uint64_t r = 0; r < rows; r++) {
        uint64_t offset[2] = {r, r + 1}, item = (first + r) * 2 * LAYERS, like = r % 1000;
        float *a = input, *g = output;
        for (uint64_t l = 0; l < LAYERS; l++) {
            uint64_t in = layers[l].in + layers[l].bias;
            fill(a, in, item + 2 * l, (1000000000 + like * LAYERS + l) * 2);
            fill(g, layers[l].out, item + 2 * l + 1, (1000000000 + like * LAYERS + l) * 2 + 1);
            a[in - 1] = 1.0f;
            a += in;
            g += layers[l].out;
        }
        check(tamis_store_writer_append_factors(writer, 1, offset, inputs, outputs, &none, NULL,
                                                NULL, NULL, &err));
    }
    check(tamis_store_writer_commit(&writer, &err));
    free(input);
    free(output);
}

static tamis_store *open_store(const char *path)
{
    tamis_store *store = NULL;
    check(tamis_store_open(&store, context, path, &err));
    return store;
}

/* Eigenvectors of a matrix that is nearly diagonal: a rotation that leaves the sizes about where
 * they are. */
static tamis__basis make_basis(uint64_t n, uint64_t item)
{
    gsl_rng *rng = need(tamis__rng_create());
    tamis__basis b = {.n = n, .blocks = 1};
    b.first = need(tamis__calloc(2, sizeof *b.first));
    b.vectors = need(tamis__calloc(1, sizeof *b.vectors));
    b.values = need(tamis__calloc(n, sizeof *b.values));
    double *m = b.vectors[0] = need(tamis__calloc(n * n, sizeof *m));
    b.first[1] = n;
    tamis__rng_key(rng, 2, TAMIS__STREAM_TEST, item);
    for (uint64_t i = 0; i < n; i++) {
        for (uint64_t j = 0; j < i; j++)
            m[i * n + j] = 0.02 * falloff(j, n) * falloff(i, n) * (gsl_rng_uniform(rng) - 0.5);
        m[i * n + i] = falloff(i, n) * falloff(i, n);
    }
    check(tamis__symmetric_eigen(n, m, n, true, b.values, &err));
    gsl_rng_free(rng);
    return b;
}

static void make_spectrum(tamis__spectrum *s, uint64_t l)
{
    gsl_rng *rng = need(tamis__rng_create());
    *s = (tamis__spectrum){
        .layer = layers[l], .out = layers[l].out, .in = layers[l].in + layers[l].bias};
    s->output = make_basis(s->out, 2 * l);
    s->input = make_basis(s->in, 2 * l + 1);
    s->lambda = need(tamis__malloc(s->out * s->in, sizeof *s->lambda));
    tamis__rng_key(rng, 3, TAMIS__STREAM_TEST, l);
    for (uint64_t i = 0; i < s->out; i++)
        for (uint64_t j = 0; j < s->in; j++)
            s->lambda[i * s->in + j] = pow(falloff(i, s->out) * falloff(j, s->in), 2) * 0.05 *
                                       exp(gsl_rng_uniform(rng));
    check(tamis__spectrum_damp(s, (tamis__damping){0.1, true}, &err));
    gsl_rng_free(rng);
}

static tamis__spectrum *load_spectra(const char *path, uint32_t n)
{
    tamis_curvature *curvature = NULL;
    tamis__spectrum *s = need(tamis__calloc(n, sizeof *s));
    check(tamis_curvature_open(&curvature, context, path, &err));
    for (uint32_t l = 0; l < n; l++)
        check(tamis__spectrum_load(&s[l], curvature, l, TAMIS_CURVATURE_EKFAC,
                                   (tamis__damping){0.1, true}, &err));
    tamis_curvature_close(&curvature);
    return s;
}

/* --- the floor -------------------------------------------------------------------------------- */

static void measure_peak(void)
{
    float *a = need(tamis__aligned((size_t)SIZE * SIZE, sizeof *a));
    float *b = need(tamis__aligned((size_t)SIZE * SIZE, sizeof *b));
    float *c = need(tamis__aligned((size_t)SIZE * SIZE, sizeof *c));
    for (size_t i = 0; i < (size_t)SIZE * SIZE; i++) a[i] = b[i] = (float)(i % 97) / 97.0f;
    for (int repeat = 0; repeat < 7; repeat++) {
        double start = now(), cpu = cpu_now(), work = 2.0 * SIZE * SIZE * SIZE;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, SIZE, SIZE, SIZE, 1.0f, a, SIZE, b,
                    SIZE, 0.0f, c, SIZE);
        peak = fmax(peak, work / (now() - start));
        cpu_peak = fmax(cpu_peak, work / (cpu_now() - cpu));
    }
    free(a);
    free(b);
    free(c);
}

/* Operations a pair of examples of one token. */
static double operations(const tamis_store *store, const tamis__ekfac_job *job)
{
    double sum = 0;
    const tamis_store_info *info = tamis_store_info_get(store);
    for (uint32_t l = 0; l < info->layers; l++) {
        tamis__factor_layer layer;
        tamis__factor_layer_init(&layer, &job->spectrum[l], l, job->spectral_rank, job->query_rank);
        tamis__term_kind kind = tamis__factor_layer_kind(&layer, 1);
        uint64_t terms = tamis__factor_layer_terms(&layer, kind, 1);
        sum += 2.0 * (double)terms *
               (double)(kind == TAMIS__TERMS_EXACT ? layer.x : layer.x + layer.y);
    }
    return sum;
}

/* --- cases ------------------------------------------------------------------------------------ */

typedef struct stores {
    tamis_store *train, *query;
    uint64_t rows, queries;
    double exact; /* seconds */
    double cpu;   /* seconds of all processors, of the last case */
} stores;

static double score(stores *s, tamis__ekfac_job *job, uint64_t top, tamis__score_stages *stages)
{
    tamis_score_params params = {
        .train = s->train, .query = s->query, .path = "scores.h5", .top = top, .force = true};
    tamis__score_output output = {.params = &params};
    tamis__score_call call = {.context = context,
                              .train = s->train,
                              .query = s->query,
                              .top = top,
                              .seed = 1,
                              .output = &output};
    tamis_scores_spec spec = {
        .path = params.path, .rows = s->rows, .queries = s->queries, .force = true};
    job->call = &call;
    double start = now(), cpu = cpu_now();
    check(tamis__score_output_open(&output, context, &spec, &err));
    check(tamis__ekfac_factors(job, &err));
    check(tamis__score_output_commit(&output, &err));
    double seconds = now() - start;
    s->cpu = cpu_now() - cpu;
    *stages = output.stages;
    tamis__score_output_fini(&output);
    return seconds;
}

static void report(const stores *s, const char *name, uint64_t rank, double flops, double seconds)
{
    double all = flops * (double)s->rows * (double)s->queries;
    printf("{\"bench\":\"ekfac\",\"case\":\"%s\",\"rank\":%llu,\"rows\":%llu,\"queries\":%llu,"
           "\"seconds\":%.2f,\"gflops\":%.1f,\"floor_seconds\":%.2f,\"ratio\":%.2f,"
           "\"cpu_ratio\":%.2f,\"of_exact\":%.3f}\n",
           name, (unsigned long long)rank, (unsigned long long)s->rows,
           (unsigned long long)s->queries, seconds, 1e-9 * all / seconds, all / peak,
           seconds / (all / peak), s->cpu / (all / cpu_peak),
           s->exact > 0 ? seconds / s->exact : 1.0);
    fflush(stdout);
}

static void measure_rank(stores *s, const tamis__ekfac_job *job, const char *name)
{
    tamis__ekfac_job own = *job;
    tamis__score_stages stages;
    double seconds = score(s, &own, TOP, &stages);
    if (!own.spectral_rank && !own.query_rank) s->exact = seconds;
    report(s, name, own.spectral_rank + own.query_rank, operations(s->train, &own), seconds);
}

static void measure_stages(stores *s, const tamis__ekfac_job *job, uint64_t rank, uint64_t rescore)
{
    tamis__ekfac_job own = *job;
    tamis__score_stages stages;
    own.spectral_rank = rank;
    own.rescore = rescore;
    own.sample = 20;
    double seconds = score(s, &own, TOP, &stages);
    printf("{\"bench\":\"ekfac\",\"case\":\"two stages\",\"rank\":%llu,\"rescore\":%llu,"
           "\"rescored\":%llu,\"seconds\":%.2f,\"of_exact\":%.3f,\"found\":%.4f,\"found_least\":"
           "%.4f}\n",
           (unsigned long long)rank, (unsigned long long)rescore,
           (unsigned long long)stages.rescored, seconds, seconds / s->exact, stages.recall_mean,
           stages.recall_min);
    fflush(stdout);
}

/* The alternative: all rows in memory, in the eigenbasis; for each query and layer its weights, a
 * product by BLAS, and a sum over the outputs. On a few queries, taken for all. */
static void measure_blas(stores *s, const tamis__ekfac_job *job)
{
    enum { SOME = 8 };
    double seconds = 0, flops = 0, cpu = 0;
    for (uint32_t l = 0; l < tamis_store_info_get(s->train)->layers; l++) {
        const tamis__spectrum *sp = &job->spectrum[l];
        size_t in = sp->in, out = sp->out, rows = s->rows;
        float *a = need(tamis__aligned(rows * in, sizeof *a)),
              *w = need(tamis__aligned(in * out, 4));
        float *g = need(tamis__aligned(rows * out, sizeof *g));
        float *c = need(tamis__aligned(rows * out, sizeof *c));
        check(tamis_store_read_factors(s->train, 0, l, 0, rows, a, in, g, out, &err));
        double start = now(), cpu_start = cpu_now();
        for (int q = 0; q < SOME; q++) {
            for (size_t i = 0; i < out; i++)
                for (size_t j = 0; j < in; j++)
                    w[i * in + j] = g[i] * a[j] * (float)sp->inverse[i * in + j];
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)rows, (blasint)out,
                        (blasint)in, 1.0f, a, (blasint)in, w, (blasint)in, 0.0f, c, (blasint)out);
            for (size_t r = 0; r < rows; r++)
                keep_float = cblas_sdot((blasint)out, c + r * out, 1, g + r * out, 1);
        }
        seconds += (now() - start) / SOME;
        cpu += (cpu_now() - cpu_start) / SOME;
        flops += 2.0 * (double)(in * out);
        free(a), free(g), free(c), free(w);
    }
    s->cpu = cpu * (double)s->queries;
    report(s, "a call of cblas_sgemm a query", 0, flops, seconds * (double)s->queries);
}

static tamis_status look(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                         uint64_t queries, const float *values, size_t stride, tamis_error *e)
{
    (void)arg, (void)first_row, (void)rows, (void)first_query, (void)queries, (void)stride, (void)e;
    keep_float = values[0];
    return TAMIS_OK;
}

/* Whole gradients through the engine, which multiplies factors out on the way: what a score of
 * queries that are preconditioned already takes. On a few rows and queries, taken for all. */
static void measure_engine(stores *s, const tamis__ekfac_job *job)
{
    enum { SOME_ROWS = 1024, SOME_QUERIES = 64 };
    static const double weight[1] = {1.0};
    write_store("few.h5", SOME_ROWS, 0);
    write_store("some.h5", SOME_QUERIES, SOME_ROWS);
    tamis_store *few = open_store("few.h5"), *some = open_store("some.h5");
    tamis__store_queries queries = {0};
    check(tamis__queries_of_store(&queries, some, false, &err));
    tamis__product product = {.context = context,
                              .train = few,
                              .queries = &queries.queries,
                              .weight = weight,
                              .panel = TAMIS__PANEL_EXACT,
                              .sink = {.put = look}};
    double start = now(), cpu = cpu_now();
    check(tamis__product_run(&product, NULL, &err));
    double share = (double)s->rows / SOME_ROWS * (double)s->queries / SOME_QUERIES;
    double seconds = (now() - start) * share;
    s->cpu = (cpu_now() - cpu) * share;
    report(s, "whole gradients through the engine", 0, operations(s->train, job), seconds);
    tamis__store_queries_fini(&queries);
    tamis_store_close(&few);
    tamis_store_close(&some);
    unlink("few.h5"), unlink("some.h5");
}

static void measure_all(stores *s, tamis__ekfac_job *job, bool files)
{
    measure_blas(s, job);
    if (!files) measure_engine(s, job);
    measure_rank(s, job, "exact");
    for (uint64_t rank = 8; rank <= 32; rank *= 2) {
        job->spectral_rank = rank;
        measure_rank(s, job, "spectral rank");
        job->spectral_rank = 0;
    }
    job->query_rank = 16;
    measure_rank(s, job, "query rank");
    job->query_rank = 0;
    for (uint64_t rank = 8; rank <= 32; rank *= 2)
        for (uint64_t rescore = 2; rescore <= 8; rescore *= 2)
            measure_stages(s, job, rank, rescore);
}

int main(int argc, char **argv)
{
    stores s = {.rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 6000,
                .queries = argc > 2 ? strtoull(argv[2], NULL, 10) : 200};
    tamis_context_params params = {.memory = UINT64_C(2) << 30};
    tamis__ekfac_job job = {.kind = TAMIS_CURVATURE_EKFAC};
    char directory[] = "/tmp/bench-ekfac-XXXXXX";
    check(tamis_context_create(&context, &params, &err));
    bool files = argc > 5;
    if (!files && (!mkdtemp(directory) || chdir(directory))) return EXIT_FAILURE;
    if (!files) write_store("train.h5", s.rows, 0), write_store("query.h5", s.queries, s.rows);
    s.train = open_store(files ? argv[3] : "train.h5");
    s.query = open_store(files ? argv[4] : "query.h5");
    s.rows = tamis_store_info_get(s.train)->rows;
    s.queries = tamis_store_info_get(s.query)->rows;
    uint32_t n = tamis_store_info_get(s.train)->layers;
    if (files) {
        job.spectrum = load_spectra(argv[5], n);
    } else {
        job.spectrum = need(tamis__calloc(n, sizeof *job.spectrum));
        for (uint32_t l = 0; l < n; l++) make_spectrum(&job.spectrum[l], l);
    }
    measure_peak();
    printf("{\"bench\":\"ekfac\",\"threads\":%u,\"sgemm_gflops\":%.1f,\"register_gflops\":%.1f}\n",
           tamis_context_threads(context), 1e-9 * peak,
           1e-9 *
               machine_rate(tamis_context_threads(context), tamis_context_cpu(context), NULL, 0));
    measure_all(&s, &job, files);
    for (uint32_t l = 0; l < n; l++) tamis__spectrum_fini(&job.spectrum[l]);
    free(job.spectrum);
    tamis_store_close(&s.train);
    tamis_store_close(&s.query);
    tamis_context_destroy(&context);
    unlink("scores.h5");
    if (files) return EXIT_SUCCESS;
    unlink("train.h5"), unlink("query.h5");
    if (chdir("/") == 0) rmdir(directory);
    return EXIT_SUCCESS;
}
