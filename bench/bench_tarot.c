/* TAROT: both selectors on a mixture, with rows whitened and as they are, beside their floors and
 * what BLAS and plain loops take. One JSON object a line; "ratio" is the time over the floor's,
 * "processor_ratio" that of processor time over what all processors have meanwhile.
 *
 * Arguments: rows (20000), targets (1000), columns (512), memory limit in MiB (1024), budget in
 * rows (a twentieth of them), 1 = tarot-fixed alone (0).
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <sys/resource.h>
#include <tamis/curvature.h>
#include <tamis/tamis.h>

#include "base/json.h"
#include "base/rng.h"
#include "linalg/blas.h"
#include "machine.h"

/* Of the schedule, with its first and its last, between rows of whitened mixtures. */
enum { STEPS = 14 };

enum { MODES = 20, BLOCK = 4096 };

static tamis_error err;

static void need(tamis_status status)
{
    if (status == TAMIS_OK) return;
    fprintf(stderr, "bench_tarot: %s\n", err.message);
    exit(EXIT_FAILURE);
}

static void *need_memory(void *memory)
{
    if (memory) return memory;
    fprintf(stderr, "bench_tarot: out of memory\n");
    exit(EXIT_FAILURE);
}

/* --- rows ------------------------------------------------------------------------------------- */

/* Around the centre of a mode; columns' deviations fall from 1 to 0.01. */
static void fill_row(gsl_rng *rng, uint64_t row, unsigned modes, uint64_t columns,
                     const float *centre, const float *deviation, float *out)
{
    tamis__rng_key(rng, 2, TAMIS__STREAM_TEST, row);
    const float *mode = centre + gsl_rng_uniform_int(rng, modes) * columns;
    uint64_t state = gsl_rng_get(rng) | 1;
    for (uint64_t c = 0; c < columns; c++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t three = (state >> 43) + (state >> 22 & 0x1fffff) + (state >> 1 & 0x1fffff);
        out[c] = deviation[c] * (mode[c] + (float)three * 0x1p-20f - 3.0f);
    }
}

/* Rows first .. first + rows - 1 of the mixture's first `modes` modes. */
static void write_store(tamis_context *context, const char *path, uint64_t first, uint64_t rows,
                        uint64_t columns, unsigned modes)
{
    const tamis_layer layer = {.name = "row", .out = 1, .in = (uint32_t)columns};
    const tamis_checkpoint checkpoint = {.step = 1, .learning_rate = 1.0};
    const tamis_store_spec spec = {.path = path,
                                   .rows = rows,
                                   .layer = &layer,
                                   .layers = 1,
                                   .checkpoint = &checkpoint,
                                   .checkpoints = 1,
                                   .force = true};
    const tamis_examples examples = {0};
    tamis_store_writer *writer = NULL;
    gsl_rng *rng = need_memory(tamis__rng_create());
    float *centre = need_memory(malloc(MODES * columns * sizeof *centre));
    float *row = need_memory(malloc(BLOCK * columns * sizeof *row));
    float *deviation = need_memory(malloc(columns * sizeof *deviation));
    const float *gradient[] = {row};
    tamis__rng_key(rng, 1, TAMIS__STREAM_TEST, 0);
    for (uint64_t i = 0; i < MODES * columns; i++) centre[i] = (float)gsl_rng_uniform(rng) - 0.5f;
    for (uint64_t c = 0; c < columns; c++)
        deviation[c] = (float)pow(0.01, (double)c / (double)columns);
    need(tamis_store_writer_open(&writer, context, &spec, &err));
    for (uint64_t at = 0, n; at < rows; at += n) {
        n = rows - at < BLOCK ? rows - at : BLOCK;
        for (uint64_t i = 0; i < n; i++)
            fill_row(rng, first + at + i, modes, columns, centre, deviation, row + i * columns);
        need(tamis_store_writer_append(writer, n, gradient, &examples, NULL, NULL, NULL, &err));
    }
    need(tamis_store_writer_commit(&writer, &err));
    gsl_rng_free(rng);
    free(centre);
    free(row);
    free(deviation);
}

/* --- a selection ------------------------------------------------------------------------------ */

typedef struct spent {
    double wall, processor, system;
} spent;

static spent since(const spent *start)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    double system = (double)u.ru_stime.tv_sec + 1e-6 * (double)u.ru_stime.tv_usec;
    double user = (double)u.ru_utime.tv_sec + 1e-6 * (double)u.ru_utime.tv_usec;
    spent now_is = {now(), user + system, system};
    if (!start) return now_is;
    return (spent){now_is.wall - start->wall, now_is.processor - start->processor,
                   now_is.system - start->system};
}

static spent choose(tamis_context *context, const char *selector, const char *budget,
                    const char *curvature, tamis_selection **ret)
{
    tamis_store *train = NULL, *query = NULL;
    tamis_curvature *whitening = NULL;
    spent start = since(NULL);
    need(tamis_store_open(&train, context, "bench-candidates.h5", &err));
    need(tamis_store_open(&query, context, "bench-targets.h5", &err));
    if (curvature) need(tamis_curvature_open(&whitening, context, curvature, &err));
    const tamis_select_params params = {.selector = selector,
                                        .train = train,
                                        .query = query,
                                        .curvature = whitening,
                                        .budget = budget};
    need(tamis_select(ret, context, &params, &err));
    tamis_curvature_close(&whitening);
    tamis_store_close(&train);
    tamis_store_close(&query);
    return since(&start);
}

/* --- the floor -------------------------------------------------------------------------------- */

/* Arithmetic at the rate of registers, taken in the same run: products of candidates and targets in
 * float; where rows are whitened, solutions with a triangle in double, and where it is fitted half
 * a product of all rows with themselves; for tarot-otm, costs of the kept, and two exponents and
 * two exponentials in float, 36 operations, for every cost and step of the schedule. */

typedef struct sizes {
    uint64_t n, m, p;
    double rate; /* operations a second on floats, of all threads */
    unsigned threads;
} sizes;

/* Costs times steps of the schedule that a selection went through, of all folds. */
static double steps_of(const tamis_selection *s, const sizes *z)
{
    json_t *all = json_loads(s->provenance, 0, NULL), *fold, *size;
    const json_t *folds = json_object_get(json_object_get(all, "found"), "folds");
    size_t i, j;
    double sum = 0;
    json_array_foreach(folds, i, fold) json_array_foreach(json_object_get(fold, "sizes"), j, size)
        sum += json_number_value(size);
    double judges = (double)z->m * (1.0 - 1.0 / (double)json_array_size(folds));
    json_decref(all);
    return sum * judges * STEPS;
}

static const struct {
    const char *selector;
    bool fixed, given;
    int triangles; /* passes of all rows with a triangle of columns: solutions, and the fit */
} cases[] = {
    {"tarot-fixed:whiten=none", true, false, 0},
    {"tarot-fixed", true, true, 1},
    {"tarot-fixed", true, false, 2},
    {"tarot-otm:whiten=none", false, false, 0},
    {"tarot-otm", false, true, 1},
    {"tarot-otm:compat=tarot-2024-12", false, false, 3},
};

static double floor_of(size_t at, const tamis_selection *s, const sizes *z)
{
    double n = (double)z->n, m = (double)z->m, p = (double)z->p;
    double sum = 2 * n * m * p + 2 * (double)cases[at].triangles * (n + m) * p * p;
    if (!cases[at].fixed) sum += 2 * (double)s->kept * m * p + 36 * steps_of(s, z);
    return sum / z->rate;
}

/* --- the alternative -------------------------------------------------------------------------- */

/* What the released code does: scores by BLAS, the 2,000 best sorted for each target; a product
 * with a square matrix to whiten; for tarot-otm a plain loop of exponentials, timed on one step and
 * one thread, and extrapolated. */

static int descending(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;
    return (a < b) - (a > b);
}

/* The k largest of n come first. */
static void select_largest(float *x, size_t n, size_t k)
{
    size_t low = 0, high = n;
    while (high - low > 1) {
        float pivot = x[low + (high - low) / 2];
        size_t i = low, j = high - 1;
        for (;; i++, j--) {
            while (x[i] > pivot) i++;
            while (x[j] < pivot) j--;
            if (i >= j) break;
            float held = x[i];
            x[i] = x[j];
            x[j] = held;
        }
        if (i <= low) i = low + 1;
        if (k < i)
            high = i;
        else
            low = i;
    }
}

/* Scores of all pairs by BLAS on all threads, and the sorted best of each target. */
static double plain_fixed(const sizes *z, bool whiten)
{
    size_t n = z->n, m = z->m, p = z->p, k = n < 2000 ? n : 2000;
    float *x = need_memory(malloc((n + m) * p * sizeof *x));
    float *score = need_memory(malloc(n * m * sizeof *score));
    double *wide = need_memory(malloc((n + m) * p * sizeof *wide));
    double *white = need_memory(malloc((n + m) * p * sizeof *white));
    double *square = need_memory(calloc(p * p, sizeof *square));
    for (size_t i = 0; i < (n + m) * p; i++) wide[i] = (double)(i * 2654435761u % 1000) - 500.0;
    for (size_t i = 0; i < p * p; i++) square[i] = (double)(i % 7);
    memset(white, 0, (n + m) * p * sizeof *white);
    memset(score, 0, n * m * sizeof *score);
    double start = now();
    if (whiten)
        need(tamis__dgemm(false, false, n + m, p, p, 1.0, wide, p, square, p, 0.0, white, p, &err));
    for (size_t i = 0; i < n + m; i++) {
        const double *row = (whiten ? white : wide) + i * p;
        double norm = 0;
        for (size_t c = 0; c < p; c++) norm += row[c] * row[c];
        for (size_t c = 0; c < p; c++) x[i * p + c] = (float)(row[c] / sqrt(norm));
    }
    need(tamis__sgemm(false, true, m, n, p, 1.0f, x + n * p, p, x, p, 0.0f, score, n, &err));
    for (size_t j = 0; j < m; j++) {
        select_largest(score + j * n, n, k);
        qsort(score + j * n, k, sizeof *score, descending);
    }
    double seconds = now() - start;
    free(x), free(score), free(wide), free(white), free(square);
    return seconds;
}

/* A step of the schedule for both sides as it is written down: seconds for a cost, on one
 * thread. */
static double plain_step(void)
{
    enum { N = 1000, M = 900 };
    float *cost = need_memory(malloc(N * M * sizeof *cost)), h[M], column[N], sum = 0;
    for (int i = 0; i < N * M; i++) cost[i] = 1.0f + (float)((unsigned)i * 7919u % 1000) * 1e-3f;
    for (int j = 0; j < M; j++) h[j] = -6.8f;
    for (int i = 0; i < N; i++) column[i] = -6.9f;
    double start = now();
    for (int i = 0; i < N; i++) {
        float top = -HUGE_VALF, part = 0;
        for (int j = 0; j < M; j++) top = fmaxf(top, h[j] - cost[i * M + j] * 4);
        for (int j = 0; j < M; j++) part += expf(h[j] - cost[i * M + j] * 4 - top);
        sum += top + logf(part);
    }
    for (int j = 0; j < M; j++) {
        float top = -HUGE_VALF, part = 0;
        for (int i = 0; i < N; i++) top = fmaxf(top, column[i] - cost[i * M + j] * 4);
        for (int i = 0; i < N; i++) part += expf(column[i] - cost[i * M + j] * 4 - top);
        sum += top + logf(part);
    }
    double seconds = now() - start;
    keep_float = sum;
    free(cost);
    return seconds / (N * M);
}

/* --- runs ------------------------------------------------------------------------------------- */

typedef struct result {
    spent took;
    double floor, steps;
    uint64_t kept;
    long peak; /* MiB, before an alternative takes any */
} result;

static result run(tamis_context *context, size_t at, const char *budget, const sizes *z)
{
    result r = {.took = {HUGE_VAL, HUGE_VAL, HUGE_VAL}};
    struct rusage usage;
    tamis_selection *s = NULL;
    for (int k = 0; k < (z->n > 100000 ? 1 : 3); k++) {
        tamis_selection_free(&s);
        spent took = choose(context, cases[at].selector, cases[at].fixed ? budget : NULL,
                            cases[at].given ? "bench-whitening.h5" : NULL, &s);
        if (took.wall < r.took.wall) r.took.wall = took.wall;
        if (took.processor < r.took.processor) r.took.processor = took.processor;
        if (took.system < r.took.system) r.took.system = took.system;
    }
    getrusage(RUSAGE_SELF, &usage);
    r.peak = usage.ru_maxrss / 1024;
    r.kept = s->kept;
    r.steps = cases[at].fixed ? 0 : steps_of(s, z);
    r.floor = floor_of(at, s, z);
    tamis_selection_free(&s);
    return r;
}

static void print(size_t at, const result *r, const sizes *z)
{
    printf("{\"bench\": \"select %s%s\", \"rows\": %llu, \"targets\": %llu, \"columns\": %llu, "
           "\"seconds\": %.3f, \"processor_seconds\": %.3f, \"system_seconds\": %.3f, "
           "\"floor\": %.3f, \"ratio\": %.2f, \"processor_ratio\": %.2f, \"kept\": %llu, "
           "\"peak_mib\": %ld",
           cases[at].selector, cases[at].given ? " --curvature" : "", (unsigned long long)z->n,
           (unsigned long long)z->m, (unsigned long long)z->p, r->took.wall, r->took.processor,
           r->took.system, r->floor, r->took.wall / r->floor,
           r->took.processor / r->floor / z->threads, (unsigned long long)r->kept, r->peak);
    if (z->n <= 100000) {
        double plain = plain_fixed(z, cases[at].triangles > 0);
        if (!cases[at].fixed) plain += plain_step() * r->steps / z->threads;
        printf(", \"alternative_seconds\": %.2f", plain);
    }
    printf("}\n");
    fflush(stdout);
}

static void fit(tamis_context *context)
{
    tamis_store *train = NULL, *query = NULL;
    need(tamis_store_open(&train, context, "bench-candidates.h5", &err));
    need(tamis_store_open(&query, context, "bench-targets.h5", &err));
    tamis_store *const with[] = {query};
    const tamis_fit_curvature_params params = {.kind = TAMIS_CURVATURE_WHITEN,
                                               .train = train,
                                               .with = with,
                                               .n_with = 1,
                                               .until = TAMIS_STAGE_FINAL,
                                               .path = "bench-whitening.h5",
                                               .force = true};
    need(tamis_fit_curvature(context, &params, &err));
    tamis_store_close(&train);
    tamis_store_close(&query);
}

static uint64_t argument(int argc, char **argv, int i, uint64_t fallback)
{
    return argc > i ? strtoull(argv[i], NULL, 10) : fallback;
}

int main(int argc, char **argv)
{
    uint64_t rows = argument(argc, argv, 1, 20000), targets = argument(argc, argv, 2, 1000),
             columns = argument(argc, argv, 3, 512), memory = argument(argc, argv, 4, 1024) << 20;
    uint64_t picks = argument(argc, argv, 5, rows / 20), alone = argument(argc, argv, 6, 0);
    tamis_context *context = NULL;
    tamis_context_params params = {.memory = memory};
    char budget[32];
    snprintf(budget, sizeof budget, "%llu", (unsigned long long)picks);
    need(tamis_context_create(&context, &params, &err));
    write_store(context, "bench-candidates.h5", 0, rows, columns, MODES);
    write_store(context, "bench-targets.h5", UINT64_C(1) << 40, targets, columns, 2);
    fit(context);
    sizes z = {rows, targets, columns, 0, tamis_context_threads(context)};
    z.rate = machine_rate(z.threads, tamis_context_cpu(context), NULL, 0);
    result results[sizeof cases / sizeof *cases];
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
        if (cases[k].fixed || !alone) results[k] = run(context, k, budget, &z);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
        if (cases[k].fixed || !alone) print(k, &results[k], &z);
    remove("bench-candidates.h5");
    remove("bench-targets.h5");
    remove("bench-whitening.h5");
    tamis_context_destroy(&context);
    return EXIT_SUCCESS;
}
