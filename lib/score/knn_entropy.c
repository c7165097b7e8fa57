/* How sparsely a row's surroundings are populated: the logarithm of the distance to its k-th
 * nearest neighbour among the training rows, which is what the row adds to the nearest-neighbour
 * estimate of their entropy, but for constants.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "cluster/rows.h"
#include "linalg/blas.h"
#include "score/registry.h"
#include "stream/sinks.h"

enum { NEIGHBOURS, METRIC, LOGARITHM, N_PARAMS };
enum { COSINE, EUCLIDEAN };

/* Rows that are compared with all at once: always so many, whatever the memory limit. Lists hold
 * some more than are wanted, since products of floats may put near ones in the wrong order. */
enum { BATCH = 256, SPARE = 4, BLOCK = 65536, PIECE = TAMIS__FEATURE_ROWS };

static const char *const metrics[] = {"cosine", "euclidean", NULL};

static const tamis_param_desc params[N_PARAMS] = {
    {.name = "k",
     .help = "which neighbour counts, from 1",
     .type = TAMIS_PARAM_INTEGER,
     .min = 1,
     .max = 100000,
     .fallback = 5},
    {.name = "metric",
     .help = "distance of unit rows, or of rows as they are",
     .type = TAMIS_PARAM_CHOICE,
     .choices = metrics},
    {.name = "log",
     .help = "the logarithm of the distance; false: the distance",
     .type = TAMIS_PARAM_BOOLEAN,
     .fallback = 1},
};

typedef struct searching {
    tamis__cluster_rows points;
    uint64_t k;      /* which neighbour */
    uint64_t most;   /* of a list */
    uint64_t *row;   /* [n] */
    uint64_t *at;    /* [most] of a list */
    float *near;     /* [most] */
    float *x;        /* [columns] */
    double *centre;  /* [columns] */
    double *exact;   /* [most] */
    double *squares; /* [BATCH] */
    double *value;   /* [n] distances, then scores */
} searching;

/* --- products --------------------------------------------------------------------------------- */

/* The engine goes over rows of the store; those that are skipped are none of the points. */
typedef struct maker {
    const searching *s;
    const unsigned char *skip;
    const uint64_t *before; /* [rows] points before a row; NULL = all rows are points */
} maker;

static tamis_status make(void *arg, uint64_t first, uint64_t rows, unsigned worker, float *out,
                         double *square, tamis_error *err)
{
    const maker *m = arg;
    const tamis__cluster_rows *points = &m->s->points;
    uint64_t p = points->columns, at[PIECE], n;
    for (uint64_t i = 0; i < rows; i += n) {
        const unsigned char *skip = m->skip ? m->skip + first + i : NULL;
        for (n = 0; n < PIECE && i + n < rows && !(skip && skip[n]); n++) {
            at[n] = m->before ? m->before[first + i + n] : first + i + n;
            square[i + n] = points->square[at[n]];
        }
        if (n > 0) {
            TAMIS_TRY(tamis__cluster_rows_take(points, at, n, worker, out + i * p, err));
            continue;
        }
        square[i] = 0;
        for (uint64_t c = 0; c < p; c++) out[i * p + c] = 0;
        n = 1;
    }
    return TAMIS_OK;
}

static tamis_status compare(const tamis__score_call *call, const searching *s, const maker *m,
                            uint64_t first, tamis__held_queries *held, tamis__top_sink *top,
                            tamis_error *err)
{
    uint64_t n = held->rows, *at = s->row + first;
    const tamis__row_maker rows = {.arg = (void *)(uintptr_t)m, .make = make};
    tamis__blas_begin();
    tamis_status status = tamis__cluster_rows_take(&s->points, at, n, 0, held->values[0], err);
    tamis__blas_end();
    TAMIS_TRY(status);
    for (uint64_t q = 0; q < n; q++) s->squares[q] = s->points.square[at[q]];
    TAMIS_TRY(tamis__held_queries_ready(held, call->context, "a row", err));
    call->weight[0] = 1;
    const tamis__product product = {.context = call->context,
                                    .train = call->train,
                                    .queries = &held->queries,
                                    .weight = call->weight,
                                    .maker = &rows,
                                    .query_square = s->squares,
                                    .skip = m->skip,
                                    .panel = TAMIS__PANEL_EXACT,
                                    .reserved = s->points.bytes +
                                                n * s->most * sizeof(tamis__ranked),
                                    .sink = tamis__top_sink_of(top)};
    tamis__blas_begin();
    status = tamis__product_run(&product, NULL, err);
    tamis__blas_end();
    return status;
}

/* --- lists ------------------------------------------------------------------------------------ */

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

/* Of a list that may hold the row itself: the distance to the k-th other, made anew in double. */
static tamis_status measure(const searching *s, const maker *m, uint64_t point, tamis_error *err)
{
    const tamis__cluster_rows *p = &s->points;
    uint64_t n = 0, self = p->row ? p->row[point] : point;
    TAMIS_TRY(tamis__cluster_rows_take(p, &point, 1, 0, s->x, err));
    for (uint64_t c = 0; c < p->columns; c++) s->centre[c] = (double)s->x[c];
    for (uint64_t i = 0; i < s->most && s->at[i] != UINT64_MAX; i++) {
        if (s->at[i] == self) continue;
        uint64_t other = m->before ? m->before[s->at[i]] : s->at[i];
        double dot = 0, own = p->square[point] + p->square[other];
        TAMIS_TRY(tamis__cluster_rows_take(p, &other, 1, 0, s->x, err));
        p->dots.floats(&dot, 1, s->centre, 0, s->x, p->columns, 1, p->columns);
        s->exact[n++] = own - 2 * dot > 1e-13 * own ? sqrt(own - 2 * dot) : 0;
    }
    qsort(s->exact, n, sizeof *s->exact, ascending);
    s->value[point] = s->exact[s->k - 1];
    return TAMIS_OK;
}

static tamis_status do_batch(const tamis__score_call *call, const searching *s, const maker *m,
                             uint64_t first, uint64_t n, tamis_error *err)
{
    tamis__held_queries held = {0};
    tamis__top_sink top = {0};
    TAMIS_TRY(tamis__held_queries_init(&held, call->context, 1, n, s->points.columns, err));
    tamis_status status = tamis__top_sink_init(&top, call->context, n, s->most, false, err);
    if (status == TAMIS_OK) status = compare(call, s, m, first, &held, &top, err);
    tamis__blas_begin();
    for (uint64_t i = 0; i < n && status == TAMIS_OK; i++) {
        tamis__top_sink_list(&top, i, s->at, s->near);
        status = measure(s, m, first + i, err);
    }
    tamis__blas_end();
    tamis__top_sink_fini(&top);
    tamis__held_queries_fini(&held);
    return status;
}

/* Copies of a row are at no distance, whose logarithm is not finite: they get that of the least
 * distance that there is. */
static void take_logarithms(const searching *s)
{
    double least = (double)INFINITY;
    for (uint64_t i = 0; i < s->points.n; i++)
        if (s->value[i] > 0 && s->value[i] < least) least = s->value[i];
    if (least == (double)INFINITY) least = 1;
    for (uint64_t i = 0; i < s->points.n; i++)
        s->value[i] = log(s->value[i] > least ? s->value[i] : least);
}

static tamis_status find(const tamis__score_call *call, const searching *s, const maker *m,
                         tamis_error *err)
{
    uint64_t n = s->points.n;
    for (uint64_t i = 0; i < n; i++) s->row[i] = i;
    for (uint64_t first = 0; first < n; first += BATCH) {
        uint64_t rows = n - first < BATCH ? n - first : BATCH;
        TAMIS_TRY(do_batch(call, s, m, first, rows, err));
        TAMIS_TRY(tamis__progress(call->context, "neighbours", first + rows, n, "rows", NULL, err));
    }
    if (call->values[LOGARITHM].number > 0) take_logarithms(s);
    return TAMIS_OK;
}

static tamis_status put(const tamis__score_call *call, const searching *s, const maker *m,
                        tamis_error *err)
{
    uint64_t rows = tamis_store_info_get(call->train)->rows, at = 0;
    tamis_status status = TAMIS_OK;
    float *scores = tamis__malloc(BLOCK, sizeof *scores);
    if (!scores) return tamis__fail_memory(err, "scores", BLOCK * sizeof *scores);
    for (uint64_t first = 0, n; first < rows && status == TAMIS_OK; first += n) {
        n = rows - first < BLOCK ? rows - first : BLOCK;
        for (uint64_t i = 0; i < n; i++)
            scores[i] = m->skip && m->skip[first + i] ? NAN : (float)s->value[at++];
        status = tamis__score_put(call, first, n, scores, err);
    }
    free(scores);
    return status;
}

/* --- the run ---------------------------------------------------------------------------------- */

/* Which rows are points, and how many are before each. */
static tamis_status list_points(uint64_t rows, const unsigned char *skip, uint64_t *ret_n,
                                uint64_t **ret_row, uint64_t **ret_before, tamis_error *err)
{
    *ret_n = rows;
    if (!skip) return TAMIS_OK;
    *ret_n = 0;
    *ret_row = tamis__malloc(rows, sizeof **ret_row);
    *ret_before = tamis__malloc(rows, sizeof **ret_before);
    if (!*ret_row || !*ret_before) return tamis__fail_memory(err, "rows", rows * sizeof **ret_row);
    for (uint64_t i = 0; i < rows; i++) {
        (*ret_before)[i] = *ret_n;
        if (!skip[i]) (*ret_row)[(*ret_n)++] = i;
    }
    return TAMIS_OK;
}

static tamis_status open_search(searching *s, const tamis__score_call *call, tamis_error *err)
{
    uint64_t n = s->points.n, p = tamis_store_info_get(call->train)->columns;
    if (n <= s->k)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "knn-entropy: %" PRIu64 " rows have no neighbour number %" PRIu64
                           ": take a smaller k",
                           n, s->k);
    TAMIS_TRY(tamis__cluster_rows_open(&s->points, err));
    s->most = s->k + 1 + SPARE;
    if (s->most > n) s->most = n;
    s->row = tamis__malloc(n, sizeof *s->row);
    s->at = tamis__malloc(s->most, sizeof *s->at);
    s->near = tamis__malloc(s->most, sizeof *s->near);
    s->x = tamis__malloc(p, sizeof *s->x);
    s->centre = tamis__malloc(p, sizeof *s->centre);
    s->exact = tamis__malloc(s->most, sizeof *s->exact);
    s->squares = tamis__malloc(BATCH, sizeof *s->squares);
    s->value = tamis__malloc(n, sizeof *s->value);
    if (s->row && s->at && s->near && s->x && s->centre && s->exact && s->squares && s->value)
        return TAMIS_OK;
    return tamis__fail_memory(err, "neighbours", n * sizeof *s->value);
}

static void close_search(searching *s)
{
    tamis__cluster_rows_close(&s->points);
    free(s->row);
    free(s->at);
    free(s->near);
    free(s->x);
    free(s->centre);
    free(s->exact);
    free(s->squares);
    free(s->value);
}

static tamis_status run(const tamis__score_call *call, tamis_error *err)
{
    bool cosine = call->values[METRIC].number == COSINE;
    TAMIS_TRY(tamis__score_rows(call, cosine, err));
    maker m = {.skip = tamis__score_skipped(call)};
    uint64_t *row = NULL, *before = NULL, n = 0;
    tamis_status status = list_points(tamis_store_info_get(call->train)->rows, m.skip, &n, &row,
                                      &before, err);
    searching s = {.points = {.context = call->context,
                              .store = call->train,
                              .unit = cosine,
                              .row = row,
                              .n = n},
                   .k = (uint64_t)call->values[NEIGHBOURS].number};
    m.s = &s;
    m.before = before;
    if (status == TAMIS_OK) status = open_search(&s, call, err);
    if (status == TAMIS_OK) status = find(call, &s, &m, err);
    if (status == TAMIS_OK) status = put(call, &s, &m, err);
    close_search(&s);
    free(row);
    free(before);
    return status;
}

const tamis__scorer_class tamis__scorer_knn_entropy = {
    .info = {.name = "knn-entropy",
             .summary = "how far a row is from its nearest neighbours: text or data diversity",
             .citation = "Kozachenko and Leonenko, Sample Estimate of the Entropy of a Random "
                         "Vector, 1987: a row's term; as in Yang et al., FiFA, 2024",
             .flags = TAMIS_SCORER_NO_QUERY,
             .params = params,
             .n_params = N_PARAMS},
    .run = run,
};
