/* TAROT: both selectors on a mixture, with rows whitened and as they are, beside their floors. One
 * JSON object a line; "ratio" is the time over the floor's, "processor_ratio" the same of processor
 * time, which other programs on the machine hardly change.
 *
 * The floor of a selection is its arithmetic at the rate of this machine's registers, taken in the
 * same run: for tarot-fixed the products with a triangle of the whitening, in double, and one
 * product of candidates and targets in float; where the whitening is fitted, a product of all rows
 * with themselves too, in double. For tarot-otm moreover an exponential in double, of 16
 * multiplications and additions, for every pair and update that the schedule has, of both sides.
 *
 * Arguments: rows (20000), targets (1000), columns (512), memory limit in MiB (1024), budget in
 * rows (a twentieth of them), 1 = tarot-fixed alone (0).
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <sys/resource.h>
#include <tamis/curvature.h>
#include <tamis/tamis.h>

#include "base/rng.h"
#include "machine.h"

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
                     const float *centre, float *out)
{
    tamis__rng_key(rng, 2, TAMIS__STREAM_TEST, row);
    unsigned mode = (unsigned)gsl_rng_uniform_int(rng, modes);
    for (uint64_t c = 0; c < columns; c++) {
        double deviation = pow(0.01, (double)c / (double)columns);
        double noise = gsl_rng_uniform(rng) + gsl_rng_uniform(rng) + gsl_rng_uniform(rng) - 1.5;
        out[c] = (float)(deviation * ((double)centre[mode * columns + c] + 2 * noise));
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
    const float *gradient[] = {row};
    tamis__rng_key(rng, 1, TAMIS__STREAM_TEST, 0);
    for (uint64_t i = 0; i < MODES * columns; i++) centre[i] = (float)gsl_rng_uniform(rng) - 0.5f;
    need(tamis_store_writer_open(&writer, context, &spec, &err));
    for (uint64_t at = 0, n; at < rows; at += n) {
        n = rows - at < BLOCK ? rows - at : BLOCK;
        for (uint64_t i = 0; i < n; i++)
            fill_row(rng, first + at + i, modes, columns, centre, row + i * columns);
        need(tamis_store_writer_append(writer, n, gradient, &examples, NULL, NULL, NULL, &err));
    }
    need(tamis_store_writer_commit(&writer, &err));
    gsl_rng_free(rng);
    free(centre);
    free(row);
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

static const struct {
    const char *selector;
    bool fixed, given;
} cases[] = {
    {"tarot-fixed:whiten=none", true, false},
    {"tarot-fixed", true, true},
    {"tarot-fixed", true, false},
    {"tarot-otm:whiten=none", false, false},
    {"tarot-otm", false, true},
    {"tarot-otm:compat=tarot-2024-12", false, false},
};

static void run(tamis_context *context, size_t at, const char *budget, int repeats)
{
    spent best = {HUGE_VAL, HUGE_VAL, HUGE_VAL};
    struct rusage usage;
    uint64_t kept = 0;
    for (int k = 0; k < repeats; k++) {
        tamis_selection *s = NULL;
        spent took = choose(context, cases[at].selector, cases[at].fixed ? budget : NULL,
                            cases[at].given ? "bench-whitening.h5" : NULL, &s);
        kept = s->kept;
        if (took.wall < best.wall) best.wall = took.wall;
        if (took.processor < best.processor) best.processor = took.processor;
        if (took.system < best.system) best.system = took.system;
        tamis_selection_free(&s);
    }
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"bench\": \"select %s%s\", \"seconds\": %.3f, \"processor_seconds\": %.3f, "
           "\"system_seconds\": %.3f, \"kept\": %llu, \"peak_mib\": %ld}\n",
           cases[at].selector, cases[at].given ? " --curvature" : "", best.wall, best.processor,
           best.system, (unsigned long long)kept, usage.ru_maxrss / 1024);
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
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
        if (cases[k].fixed || !alone) run(context, k, budget, rows > 100000 ? 1 : 3);
    remove("bench-candidates.h5");
    remove("bench-targets.h5");
    remove("bench-whitening.h5");
    tamis_context_destroy(&context);
    return EXIT_SUCCESS;
}
