/* How far two files of scores agree, query by query.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "evaluate/scores.h"
#include "evaluate/statistics.h"

#define NOWHERE UINT32_MAX

/* One of the two files, and what was read of it for the queries at hand. */
typedef struct side {
    const tamis_scores *scores;
    uint64_t listed; /* places of its lists; 0 = a matrix */
    float *column;   /* [rows, tile] of a matrix, [tile, listed] scores of lists */
    uint64_t *row;   /* [tile, listed] of lists */
} side;

/* A thread's own. */
typedef struct scratch {
    double *value[2];   /* [rows] each */
    double *rank;       /* [2 rows] */
    uint32_t *order[2]; /* [rows] each: from the first on */
    uint32_t *place;    /* [rows] in the second file; NOWHERE outside its first rows */
} scratch;

typedef struct comparing {
    tamis_context *context;
    const tamis_overlap_params *params;
    uint64_t rows, queries, most_k, first, tile; /* most_k: the largest k */
    side side[2];
    scratch *scratch; /* [threads] */
    tamis_overlap *out;
} comparing;

/* --- one query -------------------------------------------------------------------------------- */

static tamis_status too_few(const comparing *c, const side *s, uint64_t query, uint64_t there,
                            tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_SHAPE,
                       "'%s': query %" PRIu64 " has %" PRIu64 " rows with a score, fewer than k = "
                       "%" PRIu64,
                       tamis_scores_path(s->scores), query, there, c->most_k);
}

/* The first rows of a matrix's column into `order`, its values into `value`; rows without a score
 * are NaN and come last. */
static tamis_status order_column(const comparing *c, const side *s, uint64_t query, double *value,
                                 uint32_t *order, tamis_error *err)
{
    /* Sorted ascending, the best must be the lowest. */
    float sign = c->params->end == TAMIS_SCORES_TOP ? -1.0f : 1.0f;
    uint64_t scored = 0;
    for (uint64_t i = 0; i < c->rows; i++) {
        float v = s->column[i * c->tile + (query - c->first)];
        value[i] = isnan(v) ? HUGE_VAL : (double)(sign * v);
        scored += !isnan(v);
    }
    if (scored < c->most_k) return too_few(c, s, query, scored, err);
    tamis__sort_items(value, c->rows, order);
    for (uint64_t i = 0; i < c->rows; i++)
        if (isnan(s->column[i * c->tile + (query - c->first)])) value[i] = (double)NAN;
    return TAMIS_OK;
}

static tamis_status order_list(const comparing *c, const side *s, uint64_t query, uint32_t *order,
                               tamis_error *err)
{
    const uint64_t *row = s->row + (query - c->first) * s->listed;
    for (uint64_t i = 0; i < c->most_k; i++) {
        if (row[i] == TAMIS_SCORES_NO_ROW) return too_few(c, s, query, i, err);
        order[i] = (uint32_t)row[i];
    }
    return TAMIS_OK;
}

/* Rows that both have among their first k, at every k. */
static void count_common(const comparing *c, const scratch *w, double *ret_overlap)
{
    for (uint64_t i = 0; i < c->most_k; i++) w->place[w->order[1][i]] = (uint32_t)i;
    for (uint32_t p = 0; p < c->params->points; p++) {
        uint64_t k = c->params->k[p], both = 0;
        for (uint64_t i = 0; i < k; i++) both += w->place[w->order[0][i]] < k;
        ret_overlap[p] = (double)both / (double)k;
    }
    for (uint64_t i = 0; i < c->most_k; i++) w->place[w->order[1][i]] = NOWHERE;
}

/* Over the rows with a score in both. */
static double rank_correlation(const comparing *c, const scratch *w)
{
    uint64_t n = 0;
    double one;
    for (uint64_t i = 0; i < c->rows; i++) {
        if (isnan(w->value[0][i]) || isnan(w->value[1][i])) continue;
        w->value[0][n] = w->value[0][i];
        w->value[1][n++] = w->value[1][i];
    }
    tamis__sort_items(w->value[0], n, w->order[0]);
    tamis__sort_items(w->value[1], n, w->order[1]);
    const tamis__two_columns pair = {w->value[0], w->value[1], w->order[0], w->order[1], n};
    (void)tamis__spearman(&pair, NULL, w->rank, &one);
    return one;
}

static tamis_status compare_query(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                  tamis_error *err)
{
    (void)slot;
    const comparing *c = arg;
    const scratch *w = &c->scratch[worker];
    uint64_t query = c->first + item;
    for (int i = 0; i < 2; i++) {
        const side *s = &c->side[i];
        TAMIS_TRY(s->listed ? order_list(c, s, query, w->order[i], err)
                            : order_column(c, s, query, w->value[i], w->order[i], err));
    }
    count_common(c, w, c->out->query_overlap + query * c->params->points);
    if (c->out->ranked) c->out->query_spearman[query] = rank_correlation(c, w);
    return TAMIS_OK;
}

/* --- all queries ------------------------------------------------------------------------------ */

static tamis_status read_side(const comparing *c, const side *s, uint64_t queries, tamis_error *err)
{
    if (s->listed)
        return tamis_scores_read_list(s->scores, c->params->end, c->first, queries, s->row,
                                      s->column, err);
    TAMIS_TRY(tamis_scores_read(s->scores, 0, c->rows, c->first, queries, s->column,
                                (size_t)c->tile, err));
    for (uint64_t i = 0; i < c->rows; i++)
        for (uint64_t q = 0; q < queries; q++)
            if (isinf(s->column[i * c->tile + q]))
                return tamis__fail(err, TAMIS_ERR_NUMERIC,
                                   "'%s': row %" PRIu64 ": the score of query %" PRIu64
                                   " is not finite: run 'tamis inspect' on it",
                                   tamis_scores_path(s->scores), i, c->first + q);
    return TAMIS_OK;
}

static tamis_status compare_all(comparing *c, tamis_error *err)
{
    tamis__pipeline pipeline = {.arg = c, .work = compare_query};
    for (c->first = 0; c->first < c->queries; c->first += pipeline.items) {
        uint64_t left = c->queries - c->first;
        pipeline.items = left < c->tile ? left : c->tile;
        for (int i = 0; i < 2; i++) TAMIS_TRY(read_side(c, &c->side[i], pipeline.items, err));
        TAMIS_TRY(tamis__pool_run(c->context->pool, &pipeline, err));
        TAMIS_TRY(tamis__progress(c->context, "comparing", c->first + pipeline.items, c->queries,
                                  "queries", NULL, err));
    }
    return TAMIS_OK;
}

static bool make_scratch(scratch *w, uint64_t rows)
{
    for (int i = 0; i < 2; i++) {
        w->value[i] = tamis__malloc((size_t)rows, sizeof(double));
        w->order[i] = tamis__malloc((size_t)rows, sizeof(uint32_t));
    }
    w->rank = tamis__malloc((size_t)rows, 2 * sizeof(double));
    w->place = tamis__malloc((size_t)rows, sizeof(uint32_t));
    for (uint64_t i = 0; w->place && i < rows; i++) w->place[i] = NOWHERE;
    return w->value[0] && w->value[1] && w->order[0] && w->order[1] && w->rank && w->place;
}

static void free_buffers(comparing *c)
{
    for (unsigned t = 0; c->scratch && t < tamis_context_threads(c->context); t++) {
        scratch *w = &c->scratch[t];
        for (int i = 0; i < 2; i++) {
            free(w->value[i]);
            free(w->order[i]);
        }
        free(w->rank);
        free(w->place);
    }
    free(c->scratch);
    for (int i = 0; i < 2; i++) {
        free(c->side[i].column);
        free(c->side[i].row);
    }
}

/* As many queries at once as half of the memory holds. */
static tamis_status make_buffers(comparing *c, tamis_error *err)
{
    unsigned threads = tamis_context_threads(c->context);
    uint64_t each = 0, own = threads * c->rows * 44, room = c->context->memory / 2;
    for (int i = 0; i < 2; i++)
        each += c->side[i].listed ? 12 * c->side[i].listed : sizeof(float) * c->rows;
    TAMIS_TRY(tamis__memory_check(c->context, own + each, "comparing scores", err));
    c->tile = room / each > 0 ? room / each : 1;
    if (c->tile > c->queries) c->tile = c->queries;
    bool made = (c->scratch = tamis__calloc(threads, sizeof *c->scratch)) != NULL;
    for (unsigned t = 0; made && t < threads; t++) made = make_scratch(&c->scratch[t], c->rows);
    for (int i = 0; made && i < 2; i++) {
        side *s = &c->side[i];
        s->column = tamis__malloc((size_t)(c->tile * (s->listed ? s->listed : c->rows)),
                                  sizeof *s->column);
        s->row = tamis__malloc((size_t)(c->tile * s->listed), sizeof *s->row);
        made = s->column && s->row;
    }
    return made ? TAMIS_OK : tamis__fail_memory(err, "comparing scores", own + c->tile * each);
}

/* --- means ------------------------------------------------------------------------------------ */

/* Of a resample of queries: overlap, then Jaccard, at every k, then Spearman. */
static void statistic(const void *arg, const double *weight, void *scratch_, double *ret_values)
{
    const tamis_overlap *o = arg;
    double total = 0;
    (void)scratch_;
    for (uint32_t p = 0; p < 2 * o->points + 1; p++) ret_values[p] = 0;
    for (uint64_t q = 0; q < o->queries; q++) {
        double w = weight ? weight[q] : 1.0;
        total += w;
        for (uint32_t p = 0; p < o->points; p++) {
            double overlap = o->query_overlap[q * o->points + p];
            ret_values[p] += w * overlap;
            ret_values[o->points + p] += w * overlap / (2 - overlap);
        }
        if (o->ranked) ret_values[2 * o->points] += w * o->query_spearman[q];
    }
    for (uint32_t p = 0; p < 2 * o->points + 1; p++) ret_values[p] /= total;
}

static tamis_status estimate(tamis_overlap *o, const tamis_overlap_params *params,
                             const tamis_bootstrap *bootstrap, const double *value,
                             const double *draw, tamis_error *err)
{
    size_t stride = 2 * (size_t)o->points + 1;
    for (uint32_t p = 0; p < o->points; p++) {
        o->point[p].k = params->k[p];
        TAMIS_TRY(
            tamis__estimate(value[p], draw + p, stride, bootstrap, &o->point[p].overlap, err));
        TAMIS_TRY(tamis__estimate(value[o->points + p], draw + o->points + p, stride, bootstrap,
                                  &o->point[p].jaccard, err));
    }
    return tamis__estimate(o->ranked ? value[stride - 1] : (double)NAN, draw + stride - 1, stride,
                           bootstrap, &o->spearman, err);
}

static tamis_status summarise(tamis_overlap *o, tamis_context *context,
                              const tamis_overlap_params *params, tamis_error *err)
{
    tamis_bootstrap bootstrap = params->bootstrap;
    if (o->queries < 2) bootstrap.draws = 0;
    tamis__resampling resampling = {.arg = o,
                                    .statistic = statistic,
                                    .items = o->queries,
                                    .values = 2 * (uint64_t)o->points + 1,
                                    .bootstrap = &bootstrap};
    double *value = tamis__calloc((size_t)((bootstrap.draws + 1) * resampling.values),
                                  sizeof *value);
    if (!value) return tamis__fail_memory(err, "draws", bootstrap.draws * resampling.values * 8);
    double *draw = value + resampling.values;
    statistic(o, NULL, NULL, value);
    tamis_status status = tamis__resample(context, &resampling, draw, err);
    if (status == TAMIS_OK) status = estimate(o, params, &bootstrap, value, draw, err);
    free(value);
    return status;
}

/* --- all -------------------------------------------------------------------------------------- */

static tamis_status check_k(const tamis_overlap_params *params, uint64_t rows, tamis_error *err)
{
    if (params->points == 0) return tamis__fail(err, TAMIS_ERR_ARG, "no k is given");
    for (uint32_t p = 0; p < params->points; p++) {
        if (params->k[p] < 1 || params->k[p] > rows)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "k = %" PRIu64 " is out of range: there are %" PRIu64 " rows",
                               params->k[p], rows);
        if (p > 0 && params->k[p] <= params->k[p - 1])
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "k must ascend: %" PRIu64 " does not come after %" PRIu64,
                               params->k[p], params->k[p - 1]);
    }
    return TAMIS_OK;
}

/* Does the file have rows enough at this end? */
static tamis_status check_side(side *s, const tamis_overlap_params *params, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(s->scores);
    uint64_t most = params->k[params->points - 1];
    if (info->top == 0) return TAMIS_OK;
    s->listed = params->end == TAMIS_SCORES_TOP ? info->top : info->bottom;
    if (s->listed >= most) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "'%s' holds the %s %" PRIu64 " rows of each query, fewer than k = %" PRIu64
                       ": score with a longer list",
                       tamis_scores_path(s->scores),
                       params->end == TAMIS_SCORES_TOP ? "top" : "bottom", s->listed, most);
}

static tamis_status compare(comparing *c, tamis_overlap *o, tamis_error *err)
{
    o->query_overlap = tamis__calloc((size_t)(c->queries * o->points), sizeof(double));
    o->query_spearman = o->ranked ? tamis__calloc((size_t)c->queries, sizeof(double)) : NULL;
    o->point = tamis__calloc(o->points, sizeof *o->point);
    if (!o->query_overlap || (o->ranked && !o->query_spearman) || !o->point)
        return tamis__fail_memory(err, "overlaps", c->queries * (o->points + 1) * 8);
    tamis_status status = make_buffers(c, err);
    if (status == TAMIS_OK) status = compare_all(c, err);
    free_buffers(c);
    return status == TAMIS_OK ? summarise(o, c->context, c->params, err) : status;
}

tamis_status tamis_evaluate_overlap(tamis_overlap *ret_overlap, tamis_context *context,
                                    const tamis_scores *a, const tamis_scores *b,
                                    const tamis_overlap_params *params, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(a);
    tamis_overlap o = {.rows = info->rows, .queries = info->queries, .points = params->points};
    comparing c = {.context = context,
                   .params = params,
                   .rows = info->rows,
                   .queries = info->queries,
                   .side = {{.scores = a}, {.scores = b}},
                   .out = &o};
    TAMIS_TRY(tamis__bootstrap_check(&params->bootstrap, err));
    TAMIS_TRY(tamis__need_shape(b, info->rows, info->queries, "other scores", err));
    if (c.rows >= NOWHERE)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s' has %" PRIu64 " rows: fewer than 2^32 can be compared",
                           tamis_scores_path(a), c.rows);
    TAMIS_TRY(check_k(params, c.rows, err));
    for (int i = 0; i < 2; i++) TAMIS_TRY(check_side(&c.side[i], params, err));
    c.most_k = params->k[params->points - 1];
    o.ranked = !c.side[0].listed && !c.side[1].listed;
    tamis_status status = compare(&c, &o, err);
    if (status == TAMIS_OK)
        *ret_overlap = o;
    else
        tamis_overlap_free(&o);
    return status;
}

void tamis_overlap_free(tamis_overlap *overlap)
{
    free(overlap->point);
    free(overlap->query_overlap);
    free(overlap->query_spearman);
    *overlap = (tamis_overlap){0};
}
