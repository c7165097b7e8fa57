/* Selection: bids on a large matrix, through a scores file as the program does it, and each of its
 * steps alone; beside the floor, and the plain scan. One JSON object a line; "ratio" is the time
 * over the floor's.
 *
 * The floor reads the scores from the file's pages once, sums over them once to find the best rows
 * of each query, and reads and adds up a row of scores for every pick.
 *
 * Arguments: rows (288000), queries (350), picks (28800), memory limit in MiB (1024).
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <sys/resource.h>
#include <tamis/tamis.h>

#include "base/rng.h"
#include "machine.h"
#include "select/matrix.h"

static tamis_error err;

static void need(tamis_status status)
{
    if (status == TAMIS_OK) return;
    fprintf(stderr, "bench_select: %s\n", err.message);
    exit(EXIT_FAILURE);
}

static void *need_memory(void *memory)
{
    if (memory) return memory;
    fprintf(stderr, "bench_select: out of memory\n");
    exit(EXIT_FAILURE);
}

typedef struct sizes {
    uint64_t rows, queries, picks;
} sizes;

/* Queries of a few topics, so that columns have something in common. */
static void write_scores(tamis_context *context, const char *path, sizes z, float *score)
{
    enum { TOPICS = 7 };
    gsl_rng *rng = need_memory(tamis__rng_create());
    tamis_scores_writer *writer = NULL;
    tamis_scores_spec spec = {.path = path, .rows = z.rows, .queries = z.queries, .force = true};
    for (uint64_t row = 0; row < z.rows; row++) {
        double topic[TOPICS];
        tamis__rng_key(rng, 1, TAMIS__STREAM_TEST, row);
        for (int t = 0; t < TOPICS; t++) topic[t] = gsl_rng_uniform(rng) - 0.5;
        uint64_t state = gsl_rng_get(rng) | 1;
        for (uint64_t q = 0; q < z.queries; q++) {
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            double noise = (double)(state >> 40) / (double)(1 << 24) - 0.5;
            score[row * z.queries + q] = (float)(topic[q % TOPICS] + noise);
        }
    }
    need(tamis_scores_writer_open(&writer, context, &spec, &err));
    need(tamis_scores_writer_put(writer, 0, z.rows, 0, z.queries, score, (size_t)z.queries, &err));
    need(tamis_scores_writer_commit(&writer, &err));
    gsl_rng_free(rng);
}

static tamis_selection *choose(tamis_context *context, const char *path, const char *selector,
                               uint64_t picks, double *ret_seconds)
{
    char budget[32];
    tamis_selection *selection = NULL;
    tamis_scores *scores = NULL;
    snprintf(budget, sizeof budget, "%llu", (unsigned long long)picks);
    double start = now();
    need(tamis_scores_open(&scores, context, path, &err));
    tamis_select_params params = {.selector = selector, .scores = scores, .budget = budget};
    need(tamis_select(&selection, context, &params, &err));
    tamis_scores_close(&scores);
    *ret_seconds = now() - start;
    return selection;
}

/* The rule as it is written: every row and query is looked at for every pick. */
static double plain_scan(const double *a, sizes z, uint64_t picks, const tamis_selection *s)
{
    uint8_t *used = need_memory(calloc(z.rows, 1));
    double *mean = need_memory(calloc(z.queries, sizeof *mean));
    double *sum = need_memory(calloc(z.queries, sizeof *sum)), start = now();
    for (uint64_t b = 0; b < picks; b++) {
        uint64_t best = 0;
        double most = -HUGE_VAL;
        for (uint64_t q = 0; q < z.queries; q++) mean[q] = b ? sum[q] / (double)b : 0;
        for (uint64_t i = 0; i < z.rows; i++) {
            double utility = -HUGE_VAL;
            if (used[i]) continue;
            for (uint64_t q = 0; q < z.queries; q++) {
                double x = a[i * z.queries + q] - mean[q];
                utility = x > utility ? x : utility;
            }
            if (utility > most) {
                most = utility;
                best = i;
            }
        }
        used[best] = 1;
        for (uint64_t q = 0; q < z.queries; q++) sum[q] += a[best * z.queries + q];
        if (s && s->rank[best] != b) {
            fprintf(stderr, "bench_select: the plain scan picks another row\n");
            exit(EXIT_FAILURE);
        }
    }
    double seconds = now() - start;
    free(used);
    free(mean);
    free(sum);
    return seconds;
}

/* The same picks at a small size, and what the scan would take at the large one. */
static void against_scan(tamis_context *context, sizes large)
{
    sizes z = {large.rows / 15 + 1, large.queries, 60};
    float *score = need_memory(malloc(z.rows * z.queries * sizeof *score));
    double *a = need_memory(malloc(z.rows * z.queries * sizeof *a)), seconds;
    tamis_scores *scores = NULL;
    tamis__query_matrix *matrix = NULL;
    write_scores(context, "bench-small.h5", z, score);
    tamis_selection *s = choose(context, "bench-small.h5", "bids", z.picks, &seconds);
    need(tamis_scores_open(&scores, context, "bench-small.h5", &err));
    need(tamis__query_matrix_open(&matrix, context, scores, TAMIS_NORMALISE_ZSCORE, NULL, NULL,
                                  &err));
    need(tamis__query_matrix_read(matrix, 0, z.rows, a, &err));
    double scan = plain_scan(a, z, z.picks, s) / (double)z.picks;
    double whole = scan * (double)large.rows / (double)z.rows * (double)large.picks;
    printf("{\"bench\": \"select plain scan\", \"rows\": %llu, \"queries\": %llu, "
           "\"seconds_per_1000_picks\": %.3f, \"extrapolated_seconds\": %.0f}\n",
           (unsigned long long)z.rows, (unsigned long long)z.queries, 1000 * scan, whole);
    tamis__query_matrix_close(&matrix);
    tamis_scores_close(&scores);
    tamis_selection_free(&s);
    free(score);
    free(a);
    remove("bench-small.h5");
}

static double floor_of(tamis_context *context, sizes z, const float *score)
{
    size_t bytes = (size_t)(z.rows * z.queries) * sizeof *score;
    double rate = machine_rate(tamis_context_threads(context), 0, score, bytes);
    /* Once read and written as it is copied out of the file's pages, once summed over. */
    return (3 * (double)bytes + (double)(z.picks * z.queries) * sizeof *score) / rate;
}

int main(int argc, char **argv)
{
    sizes z = {argc > 1 ? strtoull(argv[1], NULL, 10) : 288000,
               argc > 2 ? strtoull(argv[2], NULL, 10) : 350,
               argc > 3 ? strtoull(argv[3], NULL, 10) : 28800};
    uint64_t memory = (argc > 4 ? strtoull(argv[4], NULL, 10) : 1024) << 20;
    static const char *const selectors[] = {"bids", "round-robin", "task-max", "sum"};
    tamis_context *context = NULL;
    tamis_context_params params = {.memory = memory};
    struct rusage usage;
    need(tamis_context_create(&context, &params, &err));
    float *score = need_memory(malloc(z.rows * z.queries * sizeof *score));
    write_scores(context, "bench-select.h5", z, score);
    double floor = floor_of(context, z, score);
    free(score);
    for (size_t k = 0; k < sizeof selectors / sizeof *selectors; k++) {
        double best = HUGE_VAL;
        for (int repeat = 0; repeat < 3; repeat++) {
            double seconds;
            tamis_selection *s = choose(context, "bench-select.h5", selectors[k], z.picks,
                                        &seconds);
            best = seconds < best ? seconds : best;
            tamis_selection_free(&s);
        }
        getrusage(RUSAGE_SELF, &usage);
        printf("{\"bench\": \"select %s\", \"rows\": %llu, \"queries\": %llu, \"picks\": %llu, "
               "\"threads\": %u, \"seconds\": %.3f, \"floor\": %.3f, \"ratio\": %.2f, "
               "\"peak_mib\": %ld}\n",
               selectors[k], (unsigned long long)z.rows, (unsigned long long)z.queries,
               (unsigned long long)z.picks, tamis_context_threads(context), best, floor,
               best / floor, usage.ru_maxrss / 1024);
        fflush(stdout);
    }
    remove("bench-select.h5");
    against_scan(context, z);
    tamis_context_destroy(&context);
    return EXIT_SUCCESS;
}
