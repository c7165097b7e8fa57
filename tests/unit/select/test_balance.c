/* Selectors that look at every query's scores, against the published picks and against plain loops.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <tamis/select.h>

#include "base/rng.h"
#include "select/matrix.h"
#include "select/registry.h"
#include "small_files.h"

static tamis_error err;

static tamis_context *context_of(unsigned threads, uint64_t memory)
{
    tamis_context *context = NULL;
    tamis_context_params params = {.threads = threads, .memory = memory};
    ck_ok(tamis_context_create(&context, &params, &err));
    return context;
}

/* --- plain loops ------------------------------------------------------------------------------ */

enum { MOST_ROWS = 2500, MOST_QUERIES = 40 };

typedef struct table {
    const char *name;
    uint64_t rows, queries;
    const int32_t *group; /* [queries]; NULL = one group */
    uint32_t groups;
    float raw[MOST_ROWS * MOST_QUERIES];
    double a[MOST_ROWS * MOST_QUERIES]; /* normalised */
    bool none[MOST_ROWS];               /* no score */
} table;

static void plain_normalise(table *t, bool zscore)
{
    for (uint64_t q = 0; q < t->queries; q++) {
        double n = 0, sum = 0, squares = 0, low = HUGE_VAL, high = -HUGE_VAL;
        for (uint64_t i = 0; i < t->rows; i++) {
            double x = (double)t->raw[i * t->queries + q];
            if (t->none[i]) continue;
            n++;
            sum += x;
            low = fmin(low, x);
            high = fmax(high, x);
        }
        for (uint64_t i = 0; i < t->rows; i++)
            if (!t->none[i]) squares += pow((double)t->raw[i * t->queries + q] - sum / n, 2);
        for (uint64_t i = 0; i < t->rows; i++) {
            double x = (double)t->raw[i * t->queries + q];
            t->a[i * t->queries + q] = !zscore      ? x
                                       : low < high ? (x - sum / n) / sqrt(squares / n)
                                                    : 0;
        }
    }
}

/* Rows with the largest value, picked one by one by a scan. */
static void plain_top(const table *t, const double *value, uint64_t budget, uint64_t *pick)
{
    bool used[MOST_ROWS] = {false};
    for (uint64_t b = 0; b < budget; b++) {
        uint64_t best = UINT64_MAX;
        for (uint64_t i = 0; i < t->rows; i++)
            if (!used[i] && !t->none[i] && (best == UINT64_MAX || value[i] > value[best])) best = i;
        used[best] = true;
        pick[b] = best;
    }
}

/* What a group thinks of a row. */
static double plain_group(const table *t, uint64_t row, uint32_t g, bool mean)
{
    double sum = 0, n = 0, max = -HUGE_VAL;
    for (uint64_t q = 0; q < t->queries; q++) {
        if (t->group && t->group[q] != (int32_t)g) continue;
        sum += t->a[row * t->queries + q];
        max = fmax(max, t->a[row * t->queries + q]);
        n++;
    }
    return mean ? sum / n : max;
}

/* by: false = queries, true = groups by mean. */
static void plain_bids(const table *t, bool by, uint64_t budget, uint64_t *pick)
{
    bool used[MOST_ROWS] = {false};
    uint64_t columns = !by ? t->queries : t->group ? t->groups : 1;
    double sum[MOST_QUERIES] = {0};
    for (uint64_t b = 0; b < budget; b++) {
        uint64_t best = UINT64_MAX;
        double most = 0;
        for (uint64_t i = 0; i < t->rows; i++) {
            double utility = -HUGE_VAL;
            if (used[i] || t->none[i]) continue;
            for (uint64_t q = 0; q < columns; q++) {
                double a = by ? plain_group(t, i, (uint32_t)q, true) : t->a[i * t->queries + q];
                utility = fmax(utility, a - sum[q] / (b ? (double)b : 1.0));
            }
            if (best != UINT64_MAX && utility <= most) continue;
            best = i;
            most = utility;
        }
        used[best] = true;
        pick[b] = best;
        for (uint64_t q = 0; q < columns; q++)
            sum[q] += by ? plain_group(t, best, (uint32_t)q, true) : t->a[best * t->queries + q];
    }
}

/* by: 0 = queries, 1 = groups by mean, 2 = groups by max. */
static void plain_round_robin(const table *t, int by, uint64_t budget, uint64_t *pick)
{
    bool used[MOST_ROWS] = {false};
    uint64_t turns = by == 0 ? t->queries : t->group ? t->groups : 1;
    for (uint64_t b = 0; b < budget; b++) {
        uint64_t best = UINT64_MAX, turn = b % turns;
        double most = 0;
        for (uint64_t i = 0; i < t->rows; i++) {
            double value = by == 0 ? t->a[i * t->queries + turn]
                                   : plain_group(t, i, (uint32_t)turn, by == 1);
            if (used[i] || t->none[i] || (best != UINT64_MAX && value <= most)) continue;
            best = i;
            most = value;
        }
        used[best] = true;
        pick[b] = best;
    }
}

static void plain_values(const table *t, const char *selector, double *value)
{
    uint32_t groups = t->group ? t->groups : 1;
    for (uint64_t i = 0; i < t->rows; i++) {
        double sum = 0, max = -HUGE_VAL, task = -HUGE_VAL;
        for (uint64_t q = 0; q < t->queries; q++) {
            sum += t->a[i * t->queries + q];
            max = fmax(max, t->a[i * t->queries + q]);
        }
        for (uint32_t g = 0; g < groups; g++) task = fmax(task, plain_group(t, i, g, true));
        value[i] = !strcmp(selector, "sum") ? sum : !strcmp(selector, "task-max") ? task : max;
    }
}

static void plain(const table *t, const char *selector, uint64_t budget, uint64_t *pick)
{
    double value[MOST_ROWS];
    if (!strncmp(selector, "bids", 4))
        plain_bids(t, strchr(selector, ':') != NULL, budget, pick);
    else if (!strncmp(selector, "round-robin", 11))
        plain_round_robin(t,
                          !strchr(selector, ':')     ? 0
                          : strstr(selector, "mean") ? 1
                                                     : 2,
                          budget, pick);
    else {
        plain_values(t, selector, value);
        plain_top(t, value, budget, pick);
    }
}

/* --- the library ------------------------------------------------------------------------------ */

static tamis_selection *choose(tamis_context *context, const table *t, const char *selector,
                               const char *budget, tamis_normalise normalise)
{
    tamis_scores *scores = NULL;
    tamis_selection *selection = NULL;
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    tamis_select_params params = {.selector = selector,
                                  .scores = scores,
                                  .budget = budget,
                                  .normalise = normalise,
                                  .normalise_given = true};
    /* The others would refuse them. */
    if (!strncmp(selector, "task-max", 8) || strstr(selector, "by=group")) {
        params.query_group = t->group;
        params.query_groups = t->groups;
    }
    tamis_status status = tamis_select(&selection, context, &params, &err);
    ck_assert_msg(status == TAMIS_OK, "%s of %s: %s", selector, t->name, err.message);
    tamis_scores_close(&scores);
    return selection;
}

static void ck_picks(const tamis_selection *s, const uint64_t *pick, uint64_t n, const char *what,
                     const char *name)
{
    ck_assert_uint_eq(s->kept, n);
    for (uint64_t i = 0; i < n; i++)
        ck_assert_msg(s->rank[pick[i]] == i && s->keep[pick[i]],
                      "%s of %s: pick %d should be row %d, which has rank %d", what, name, (int)i,
                      (int)pick[i], (int)s->rank[pick[i]]);
    bool seen[MOST_ROWS] = {false};
    for (uint64_t i = 0; i < s->rows; i++) {
        ck_assert(s->rank[i] < s->rows && !seen[s->rank[i]]);
        seen[s->rank[i]] = true;
        ck_assert_uint_eq(s->keep[i], s->rank[i] < n);
    }
}

static void ck_same(const tamis_selection *a, const tamis_selection *b)
{
    ck_assert_mem_eq(a->rank, b->rank, a->rows * sizeof *a->rank);
    ck_assert_mem_eq(a->keep, b->keep, a->rows);
    ck_assert_mem_eq(a->score, b->score, a->rows * sizeof *a->score);
    ck_assert_mem_eq(a->weight, b->weight, a->rows * sizeof *a->weight);
    for (uint64_t i = 0; i < a->rows; i++)
        ck_assert_str_eq(a->reason_text[a->reason[i]], b->reason_text[b->reason[i]]);
}

static const char *const selectors[] = {"bids",
                                        "bids:by=group",
                                        "task-max",
                                        "round-robin",
                                        "round-robin:by=group,best=mean",
                                        "round-robin:by=group,best=max",
                                        "doubly-greedy",
                                        "sum",
                                        "instance-max"};
#define SELECTORS (sizeof selectors / sizeof *selectors)

/* --- the published picks ---------------------------------------------------------------------- */

static void *read_npy(const char *name, size_t *ret_bytes)
{
    char path[256];
    size_t size;
    snprintf(path, sizeof path, "reference/%s.npy", name);
    char *bytes = slurp(test_data(path), &size);
    size_t header = 10 + (size_t)(unsigned char)bytes[8] + 256 * (size_t)(unsigned char)bytes[9];
    *ret_bytes = size - header;
    memmove(bytes, bytes + header, size - header);
    return bytes;
}

static table *reference_table(void)
{
    size_t bytes;
    table *t = calloc(1, sizeof *t);
    float *raw = read_npy("bids/A_raw", &bytes);
    ck_assert_uint_eq(bytes, 500 * 35 * sizeof *raw);
    memcpy(t->raw, raw, bytes);
    free(raw);
    t->name = "the reference";
    t->rows = 500;
    t->queries = 35;
    t->groups = 7;
    t->group = read_npy("bids/task_of_val", &bytes);
    return t;
}

typedef struct reference {
    const char *file, *selector;
    tamis_normalise normalise;
} reference;

static const reference references[] = {
    {"bids/bids_selected_75", "bids", TAMIS_NORMALISE_ZSCORE},
    {"bids/less_taskmax_75", "task-max", TAMIS_NORMALISE_NONE},
    {"bids/instance_max_75", "instance-max", TAMIS_NORMALISE_NONE},
    {"bids/instance_max_75", "doubly-greedy", TAMIS_NORMALISE_NONE},
    {"bids/sum_75", "sum", TAMIS_NORMALISE_NONE},
    {"bids/norm_max_75", "instance-max", TAMIS_NORMALISE_ZSCORE},
};

START_TEST(picks_what_was_published)
{
    const reference *r = &references[_i];
    size_t bytes;
    uint64_t pick[75];
    table *t = reference_table();
    tamis_context *context = small_context(2);
    int32_t *wanted = read_npy(r->file, &bytes);
    ck_assert_uint_eq(bytes, 75 * sizeof *wanted);
    for (int i = 0; i < 75; i++) pick[i] = (uint64_t)wanted[i];
    small_scores(context, "s.h5", t->rows, t->queries, t->raw, NULL, NULL);
    tamis_selection *s = choose(context, t, r->selector, "15%", r->normalise);
    ck_picks(s, pick, 75, r->selector, t->name);
    tamis_selection_free(&s);
    free(wanted);
    free((void *)(uintptr_t)t->group);
    free(t);
    tamis_context_destroy(&context);
}
END_TEST

START_TEST(normalises_as_published)
{
    size_t bytes;
    table *t = reference_table();
    tamis_context *context = small_context(2);
    tamis_scores *scores = NULL;
    tamis__query_matrix *m = NULL;
    double *wanted = read_npy("bids/A_norm", &bytes);
    small_scores(context, "s.h5", t->rows, t->queries, t->raw, NULL, NULL);
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    ck_ok(tamis__query_matrix_open(&m, context, scores, TAMIS_NORMALISE_ZSCORE, NULL, NULL, &err));
    ck_ok(tamis__query_matrix_read(m, 0, t->rows, t->a, &err));
    for (uint64_t i = 0; i < t->rows * t->queries; i++)
        ck_assert_double_eq_tol(t->a[i], wanted[i], 1e-12);
    tamis__query_matrix_close(&m);
    tamis_scores_close(&scores);
    free(wanted);
    free((void *)(uintptr_t)t->group);
    free(t);
    tamis_context_destroy(&context);
}
END_TEST

/* --- the lists of LESS ------------------------------------------------------------------------ */

enum { DOLLY = 30, COT = 25, VALIDATION = 18, FEATURES = 512 };

static double cosine(const float *x, const float *y)
{
    double xy = 0, xx = 0, yy = 0;
    for (int f = 0; f < FEATURES; f++) {
        xy += (double)x[f] * (double)y[f];
        xx += (double)x[f] * (double)x[f];
        yy += (double)y[f] * (double)y[f];
    }
    return xy / fmax(sqrt(xx), 1e-12) / fmax(sqrt(yy), 1e-12);
}

/* What one checkpoint adds to the scores of a file's rows, which begin at row `first`. */
static void add_checkpoint(double *score, const char *name, uint64_t first, uint64_t rows,
                           const char *checkpoint, double weight)
{
    char path[64];
    size_t bytes;
    snprintf(path, sizeof path, "less/train_%s_%s", name, checkpoint);
    float *train = read_npy(path, &bytes);
    ck_assert_uint_eq(bytes, rows * FEATURES * sizeof *train);
    snprintf(path, sizeof path, "less/val_tydiqa_%s", checkpoint);
    float *query = read_npy(path, &bytes);
    ck_assert_uint_eq(bytes, VALIDATION * FEATURES * sizeof *query);
    for (uint64_t i = 0; i < rows; i++)
        for (uint64_t q = 0; q < VALIDATION; q++)
            score[(first + i) * VALIDATION + q] += weight * cosine(train + i * FEATURES,
                                                                   query + q * FEATURES);
    free(train);
    free(query);
}

/* A matrix of weighted cosines, task-max over subtasks of two: the order of sorted_correct.csv. */
START_TEST(orders_as_less_does)
{
    static table t;
    static double score[(DOLLY + COT) * VALIDATION];
    static const char *const checkpoint[] = {"105", "211"};
    const double rate[] = {1.6877e-05, 1.2859e-05};
    int32_t subtask[VALIDATION];
    char *text = slurp(test_data("reference/less/sorted_correct.csv"), NULL), *line, *rest = NULL;
    tamis_context *context = small_context(2);
    for (int k = 0; k < 2; k++) {
        double weight = rate[k] / (rate[0] + rate[1]);
        add_checkpoint(score, "dolly", 0, DOLLY, checkpoint[k], weight);
        add_checkpoint(score, "cot", DOLLY, COT, checkpoint[k], weight);
    }
    for (int q = 0; q < VALIDATION; q++) subtask[q] = q / 2;
    t.name = "the LESS reference";
    t.rows = DOLLY + COT;
    t.queries = VALIDATION;
    t.groups = VALIDATION / 2;
    t.group = subtask;
    for (uint64_t i = 0; i < t.rows * t.queries; i++) t.raw[i] = (float)score[i];
    small_scores(context, "s.h5", t.rows, t.queries, t.raw, NULL, NULL);
    tamis_selection *s = choose(context, &t, "task-max", "20%", TAMIS_NORMALISE_NONE);
    ck_assert_uint_eq(s->kept, 11);
    strtok_r(text, "\n", &rest);
    for (uint64_t place = 0; place < t.rows; place++) {
        char name[16];
        unsigned index;
        line = strtok_r(NULL, "\n", &rest);
        ck_assert(line && sscanf(line, "%15[a-z], %u", name, &index) == 2);
        uint64_t row = index + (strcmp(name, "cot") ? 0 : DOLLY);
        ck_assert_uint_eq(s->rank[row], place);
        ck_assert_uint_eq(s->keep[row], place < 11);
    }
    tamis_selection_free(&s);
    free(text);
    tamis_context_destroy(&context);
}
END_TEST

/* bids normalises by zscore unless told otherwise. */
START_TEST(bids_normalises_by_itself)
{
    table *t = reference_table();
    tamis_context *context = small_context(1);
    tamis_scores *scores = NULL;
    tamis_selection *plain_one = NULL;
    small_scores(context, "s.h5", t->rows, t->queries, t->raw, NULL, NULL);
    tamis_selection *zscore = choose(context, t, "bids", "75", TAMIS_NORMALISE_ZSCORE);
    tamis_selection *none = choose(context, t, "bids", "75", TAMIS_NORMALISE_NONE);
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    tamis_select_params params = {.selector = "bids", .scores = scores, .budget = "75"};
    ck_ok(tamis_select(&plain_one, context, &params, &err));
    ck_same(plain_one, zscore);
    ck_assert(memcmp(none->keep, zscore->keep, 500) != 0);
    tamis_scores_close(&scores);
    tamis_selection_free(&zscore);
    tamis_selection_free(&none);
    tamis_selection_free(&plain_one);
    free((void *)(uintptr_t)t->group);
    free(t);
    tamis_context_destroy(&context);
}
END_TEST

/* --- hostile matrices ------------------------------------------------------------------------- */

static const int32_t uneven[] = {0, 1, 1, 1, 2, 2, 0, 1, 1, 2, 2, 2};
static const int32_t singles[] = {0, 1, 2, 3, 4, 5};

static void fill(table *t, gsl_rng *rng, int kind)
{
    static const char *const names[] = {"random",     "ties",         "constant", "duplicates",
                                        "minus zero", "some missing", "one row",  "one query",
                                        "blocks",     "alike"};
    *t = (table){.name = names[kind], .rows = 60, .queries = 12, .group = uneven, .groups = 3};
    if (kind == 4) t->queries = 6, t->group = singles, t->groups = 6;
    if (kind == 6) t->rows = 1;
    if (kind == 7) t->queries = 1, t->group = NULL, t->groups = 0;
    if (kind == 8) t->rows = 2400;
    if (kind == 9) t->rows = 900;
    for (uint64_t i = 0; i < t->rows; i++) {
        double shared = gsl_rng_uniform(rng);
        t->none[i] = kind == 5 && i % 7 == 2;
        for (uint64_t q = 0; q < t->queries; q++) {
            double x = gsl_rng_uniform(rng) - 0.5;
            if (kind == 1 || kind == 4) x = floor(x * 4);
            if (kind == 4 && x == 0) x = i % 2 ? -0.0 : 0.0;
            if (kind == 2) x = q % 2 ? 3 : x;
            if (kind == 3 && i >= 20) x = (double)t->raw[(i % 20) * t->queries + q];
            if (kind == 9) x = shared * (double)(q + 1);
            t->raw[i * t->queries + q] = t->none[i] ? NAN : (float)x;
        }
    }
}

enum { KINDS = 10 };

START_TEST(as_plain_loops)
{
    static table t;
    static uint64_t pick[MOST_ROWS];
    gsl_rng *rng = tamis__rng_create();
    tamis_context *context = small_context(2);
    tamis__rng_key(rng, 5, TAMIS__STREAM_TEST, (uint64_t)_i);
    fill(&t, rng, _i);
    small_scores(context, "s.h5", t.rows, t.queries, t.raw, NULL, NULL);
    uint64_t scored = 0;
    for (uint64_t i = 0; i < t.rows; i++) scored += !t.none[i];
    const uint64_t budgets[] = {1, scored / 3 > 0 ? scored / 3 : 1, scored};
    for (int zscore = 0; zscore < 2; zscore++) {
        plain_normalise(&t, zscore);
        for (size_t k = 0; k < SELECTORS; k++)
            for (int b = 0; b < 3; b++) {
                char text[32];
                if (t.rows > 1000 && b == 2) continue;
                snprintf(text, sizeof text, "%d", (int)budgets[b]);
                tamis_selection *s = choose(context, &t, selectors[k], text,
                                            zscore ? TAMIS_NORMALISE_ZSCORE : TAMIS_NORMALISE_NONE);
                plain(&t, selectors[k], budgets[b], pick);
                ck_picks(s, pick, budgets[b], selectors[k], t.name);
                for (uint64_t i = 0; i < t.rows; i++)
                    ck_assert_int_eq(!strncmp(s->reason_text[s->reason[i]], "no score: ", 10),
                                     t.none[i]);
                tamis_selection_free(&s);
            }
    }
    tamis_context_destroy(&context);
    gsl_rng_free(rng);
}
END_TEST

/* Threads, and memory too small to hold the scores or long lists, change no bit. */
START_TEST(same_bits_however_it_is_run)
{
    static table t;
    gsl_rng *rng = tamis__rng_create();
    tamis_context *context = context_of(1, 0);
    tamis__rng_key(rng, 6, TAMIS__STREAM_TEST, 0);
    fill(&t, rng, _i ? 9 : 8);
    small_scores(context, "s.h5", t.rows, t.queries, t.raw, NULL, NULL);
    const tamis_normalise kinds[] = {TAMIS_NORMALISE_ZSCORE, TAMIS_NORMALISE_MINMAX,
                                     TAMIS_NORMALISE_SOFTMAX, TAMIS_NORMALISE_NONE};
    for (size_t k = 0; k < SELECTORS; k++)
        for (int n = 0; n < 4; n++) {
            tamis_selection *one = choose(context, &t, selectors[k], "700", kinds[n]);
            for (unsigned threads = 1; threads <= 3; threads++) {
                tamis_context *other = context_of(threads, threads == 1 ? 40000 : 60000);
                tamis_selection *s = choose(other, &t, selectors[k], "700", kinds[n]);
                ck_same(one, s);
                tamis_selection_free(&s);
                tamis_context_destroy(&other);
                other = context_of(threads, 0);
                s = choose(other, &t, selectors[k], "700", kinds[n]);
                ck_same(one, s);
                tamis_selection_free(&s);
                tamis_context_destroy(&other);
            }
            tamis_selection_free(&one);
        }
    tamis_context_destroy(&context);
    gsl_rng_free(rng);
}
END_TEST

/* --- each normalisation ----------------------------------------------------------------------- */

static double plain_one(const table *t, uint64_t row, uint64_t q, tamis_normalise kind)
{
    double x = (double)t->raw[row * t->queries + q], low = HUGE_VAL, high = -HUGE_VAL;
    double below = 0, tied = 0, n = 0, exponentials = 0;
    for (uint64_t i = 0; i < t->rows; i++) {
        double y = (double)t->raw[i * t->queries + q];
        if (t->none[i]) continue;
        low = fmin(low, y);
        high = fmax(high, y);
        below += y < x;
        tied += y == x;
        n++;
    }
    for (uint64_t i = 0; i < t->rows; i++)
        if (!t->none[i]) exponentials += exp((double)t->raw[i * t->queries + q] - high);
    switch (kind) {
    case TAMIS_NORMALISE_MINMAX: return high > low ? (x - low) / (high - low) : 0;
    case TAMIS_NORMALISE_RANK: return n > 1 ? (below + (tied - 1) / 2) / (n - 1) : 0;
    case TAMIS_NORMALISE_SOFTMAX: return exp(x - high) / exponentials;
    default: return x;
    }
}

/* Of the matrix and of one column, which have ways of their own. */
START_TEST(normalises_as_plain_loops)
{
    static table t;
    gsl_rng *rng = tamis__rng_create();
    tamis_context *context = small_context(2);
    tamis_scores *scores = NULL;
    fill(&t, rng, _i);
    small_scores(context, "s.h5", t.rows, t.queries, t.raw, NULL, NULL);
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    const tamis_normalise kinds[] = {TAMIS_NORMALISE_NONE, TAMIS_NORMALISE_MINMAX,
                                     TAMIS_NORMALISE_RANK, TAMIS_NORMALISE_SOFTMAX};
    for (int k = 0; k < 4; k++) {
        tamis__query_matrix *m = NULL;
        double column[MOST_ROWS];
        ck_ok(tamis__query_matrix_open(&m, context, scores, kinds[k], NULL, NULL, &err));
        ck_ok(tamis__query_matrix_read(m, 0, t.rows, t.a, &err));
        for (uint64_t q = 0; q < t.queries; q++) {
            for (uint64_t i = 0; i < t.rows; i++) column[i] = (double)t.raw[i * t.queries + q];
            ck_ok(tamis__normalise(column, t.rows, kinds[k], NULL, NULL, &err));
            for (uint64_t i = 0; i < t.rows; i++) {
                double found = t.a[i * t.queries + q];
                ck_assert_int_eq(isnan(found) != 0, t.none[i]);
                ck_assert_int_eq(isnan(column[i]) != 0, t.none[i]);
                if (t.none[i]) continue;
                ck_assert_double_eq_tol(found, plain_one(&t, i, q, kinds[k]), 1e-12);
                ck_assert_double_eq_tol(column[i], found, 1e-14);
            }
        }
        tamis__query_matrix_close(&m);
    }
    tamis_scores_close(&scores);
    tamis_context_destroy(&context);
    gsl_rng_free(rng);
}
END_TEST

/* --- lists, costs and partial files ----------------------------------------------------------- */

typedef struct restricted {
    const table *t;
    const uint8_t *standing;
    const double *cost; /* [rows] */
    double allowance;
} restricted;

static void run_class(const tamis__selector_class *class, tamis_context *context,
                      const restricted *r, tamis_selection *s)
{
    tamis_scores *scores = NULL;
    tamis__query_matrix *m = NULL;
    int32_t zero[MOST_QUERIES] = {0};
    tamis_param_value value[TAMIS__SELECTOR_PARAMS];
    void *state = calloc(1, class->state_size + 1);
    ck_ok(tamis_scores_open(&scores, context, "s.h5", &err));
    ck_ok(tamis__query_matrix_open(&m, context, scores, TAMIS_NORMALISE_NONE, NULL, r->standing,
                                   &err));
    tamis__groups group = {r->t->queries, r->t->group ? r->t->groups : 1,
                           r->t->group ? r->t->group : zero, NULL};
    tamis__candidates c = {.context = context,
                           .rows = r->t->rows,
                           .value_name = "score",
                           .budget = r->t->rows,
                           .budget_text = "some",
                           .standing = r->standing,
                           .cost = r->cost,
                           .allowance = r->allowance,
                           .matrix = m,
                           .query_group = &group};
    ck_ok(tamis_params_parse(class->info.params, class->info.n_params, class->info.name, NULL,
                             value, &err));
    if (class->init) ck_ok(class->init(state, value, &err));
    ck_ok(class->select(state, &c, s, &err));
    free(state);
    tamis__query_matrix_close(&m);
    tamis_scores_close(&scores);
}

/* bids and round-robin with costs and rows that must be kept or dropped: their own order, and what
 * does not fit is passed over. */
static uint64_t plain_restricted(const restricted *r, bool bids, uint64_t *pick)
{
    const table *t = r->t;
    bool used[MOST_ROWS] = {false};
    double sum[MOST_QUERIES] = {0}, left = r->allowance;
    uint64_t n = 0, turn = 0;
    for (uint64_t i = 0; i < t->rows; i++)
        if (r->standing[i] == TAMIS__MUST_KEEP) pick[n++] = i;
    for (uint64_t k = 0;; k++) {
        if (k >= n) {
            uint64_t best = UINT64_MAX;
            double most = 0;
            for (uint64_t i = 0; i < t->rows; i++) {
                double worth = bids ? -HUGE_VAL : t->a[i * t->queries + turn % t->queries];
                if (used[i] || r->standing[i] || r->cost[i] > left) continue;
                for (uint64_t q = 0; q < t->queries && bids; q++)
                    worth = fmax(worth, t->a[i * t->queries + q] - sum[q] / (n ? (double)n : 1));
                if (best != UINT64_MAX && worth <= most) continue;
                best = i;
                most = worth;
            }
            if (best == UINT64_MAX) return n;
            turn++;
            pick[n++] = best;
        }
        used[pick[k]] = true;
        left -= r->cost[pick[k]];
        for (uint64_t q = 0; q < t->queries; q++) sum[q] += t->a[pick[k] * t->queries + q];
    }
}

START_TEST(heeds_lists_and_costs)
{
    static table t;
    static uint64_t pick[MOST_ROWS];
    gsl_rng *rng = tamis__rng_create();
    tamis_context *context = small_context(2);
    uint8_t standing[60];
    double cost[60];
    tamis__rng_key(rng, 9, TAMIS__STREAM_TEST, (uint64_t)_i);
    fill(&t, rng, _i % 2);
    small_scores(context, "s.h5", t.rows, t.queries, t.raw, NULL, NULL);
    plain_normalise(&t, false);
    for (uint64_t i = 0; i < t.rows; i++) {
        standing[i] = i % 11 == 3 ? TAMIS__MUST_KEEP : i % 5 == 1 ? TAMIS__BARRED : TAMIS__FREE;
        cost[i] = (double)gsl_rng_uniform_int(rng, 6);
    }
    restricted r = {&t, standing, cost, 40};
    for (int bids = 0; bids < 2; bids++) {
        tamis_selection *s = NULL;
        ck_ok(tamis_selection_create(&s, t.rows, NULL, &err));
        run_class(bids ? &tamis__selector_bids : &tamis__selector_round_robin, context, &r, s);
        uint64_t n = plain_restricted(&r, bids, pick);
        for (uint64_t i = 0; i < t.rows; i++) s->kept += s->keep[i];
        ck_picks(s, pick, n, bids ? "bids" : "round-robin", t.name);
        for (uint64_t i = 0; i < t.rows; i++) {
            const char *text = s->reason_text[s->reason[i]];
            if (standing[i] == TAMIS__MUST_KEEP) ck_assert_str_eq(text, "must be kept");
        }
        tamis_selection_free(&s);
    }
    tamis_context_destroy(&context);
    gsl_rng_free(rng);
}
END_TEST

/* --- errors ----------------------------------------------------------------------------------- */

static tamis_status try_one(tamis_context *context, const char *selector, tamis_normalise normalise)
{
    tamis_scores *scores = NULL;
    tamis_selection *s = NULL;
    tamis_status status = tamis_scores_open(&scores, context, "s.h5", &err);
    tamis_select_params params = {
        .selector = selector, .scores = scores, .budget = "2", .normalise = normalise};
    if (status == TAMIS_OK) status = tamis_select(&s, context, &params, &err);
    tamis_scores_close(&scores);
    tamis_selection_free(&s);
    return status;
}

START_TEST(refuses_scores_that_are_no_numbers)
{
    tamis_context *context = small_context(2);
    float values[] = {1, 2, 3, NAN, 5, 6};
    foreign_scores(context, "s.h5", 3, 2, values, NULL, NULL);
    for (size_t k = 0; k < SELECTORS; k++)
        ck_fails(try_one(context, selectors[k], TAMIS_NORMALISE_NONE), TAMIS_ERR_NUMERIC,
                 "row 1 (id 1): the score of query 1 is not a number");
    values[3] = INFINITY;
    small_scores(context, "s.h5", 3, 2, values, NULL, NULL);
    ck_fails(try_one(context, "bids", TAMIS_NORMALISE_NONE), TAMIS_ERR_NUMERIC,
             "row 1 (id 1): the score of query 1 is infinite, which zscore cannot scale");
    ck_ok(try_one(context, "bids", TAMIS_NORMALISE_RANK));
    ck_ok(try_one(context, "instance-max", TAMIS_NORMALISE_NONE));
    ck_ok(try_one(context, "round-robin", TAMIS_NORMALISE_NONE));
    values[2] = -INFINITY;
    small_scores(context, "s.h5", 3, 2, values, NULL, NULL);
    ck_fails(try_one(context, "sum", TAMIS_NORMALISE_NONE), TAMIS_ERR_NUMERIC,
             "row 1: its scores hold both infinities");
    ck_fails(try_one(context, "sum", TAMIS_NORMALISE_CLASS_ZSCORE), TAMIS_ERR_ARG,
             "class-zscore needs groups of candidates");
    const uint64_t row[] = {1, 0};
    const float score[] = {3, 2};
    small_lists(context, "s.h5", 4, 1, 2, row, score, 0, NULL, NULL);
    ck_fails(try_one(context, "bids", TAMIS_NORMALISE_NONE), TAMIS_ERR_ARG,
             "holds the top 2 rows of each query only");
    tamis_context_destroy(&context);
}
END_TEST

/* Each allocation fails once. */
START_TEST(survives_failing_memory)
{
    static table t;
    gsl_rng *rng = tamis__rng_create();
    tamis_context *context = small_context(2);
    fill(&t, rng, 0);
    small_scores(context, "s.h5", t.rows, t.queries, t.raw, NULL, NULL);
    for (size_t k = 0; k < SELECTORS; k++) {
        tamis_status status = TAMIS_ERR_NOMEM;
        for (long n = 0; status != TAMIS_OK; n++) {
            ck_assert_int_lt(n, 500);
            tamis__fault_memory_after(n);
            err.message[0] = '\0';
            status = try_one(context, selectors[k],
                             k % 2 ? TAMIS_NORMALISE_RANK : TAMIS_NORMALISE_SOFTMAX);
            tamis__fault_memory_after(-1);
            if (status == TAMIS_OK) break;
            ck_assert_int_eq(status, TAMIS_ERR_NOMEM);
            ck_assert(err.message[0]);
        }
    }
    tamis_context_destroy(&context);
    gsl_rng_free(rng);
}
END_TEST

START_TEST(respects_the_memory_limit)
{
    static table t;
    gsl_rng *rng = tamis__rng_create();
    tamis_context *context = context_of(1, 20000);
    fill(&t, rng, 8);
    small_scores(context, "s.h5", t.rows, t.queries, t.raw, NULL, NULL);
    ck_fails(try_one(context, "sum", TAMIS_NORMALISE_RANK), TAMIS_ERR_NOMEM,
             "ranks of 2400 x 12 scores need");
    ck_ok(try_one(context, "sum", TAMIS_NORMALISE_ZSCORE));
    tamis_context_destroy(&context);
    gsl_rng_free(rng);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("balance");
    TCase *t = tcase_create("balance");
    tcase_add_checked_fixture(t, enter_scratch, leave_scratch);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, picks_what_was_published, 0, 6);
    tcase_add_test(t, normalises_as_published);
    tcase_add_test(t, orders_as_less_does);
    tcase_add_test(t, bids_normalises_by_itself);
    tcase_add_loop_test(t, as_plain_loops, 0, KINDS);
    tcase_add_loop_test(t, same_bits_however_it_is_run, 0, 2);
    tcase_add_loop_test(t, normalises_as_plain_loops, 0, KINDS - 2);
    tcase_add_loop_test(t, heeds_lists_and_costs, 0, 6);
    tcase_add_test(t, refuses_scores_that_are_no_numbers);
    tcase_add_test(t, survives_failing_memory);
    tcase_add_test(t, respects_the_memory_limit);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return run_suite(suite());
}
