/* How well dot products in the new store agree with those in the source, or with those of its
 * whitened rows: evenly spaced rows against a few of them as queries.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/correlation.h"
#include "base/error.h"
#include "base/mem.h"
#include "convert/compare.h"
#include "store/store_pages.h"

enum { QUERIES = TAMIS__COMPARE_QUERIES, ROWS = TAMIS__COMPARE_ROWS, TILE = TAMIS__COMPARE_TILE };
enum { AROUND = TAMIS__COMPARE_AROUND };

/* A store's dot products: of all of it, and of the part that stayed. */
typedef struct side {
    tamis_store *store;
    const tamis__choice *checkpoints, *layers; /* of the part; NULL = all */
    double *all, *part;                        /* [rows, QUERIES]; part NULL = not wanted */
} side;

typedef struct comparison {
    tamis__sample sample;
    bool factors;    /* both stores hold factors, of so few tokens that their products cost less */
    side *now;       /* the side being computed */
    double *scratch; /* [threads] of scratch_doubles */
} comparison;

/* A tile of the queries in double, [TILE, QUERIES], and one row of floats. */
enum { SCRATCH = TILE * QUERIES + TILE / 2 };

uint64_t tamis__sample_row(const tamis__sample *s, uint64_t i)
{
    uint64_t all = s->job->info->rows;
    return i * (all / s->rows) + i * (all % s->rows) / s->rows;
}

static bool chosen(const tamis__choice *choice, uint32_t item)
{
    if (!choice) return true;
    for (uint32_t i = 0; i < choice->items; i++)
        if (choice->item[i] == item) return true;
    return false;
}

/* --- dot products ----------------------------------------------------------------------------- */

/* A piece of one row. The rows are far apart, and a system with large pages maps as much as 2 MiB
 * around what is touched. */
static tamis_status read_piece(const comparison *c, uint32_t checkpoint, uint64_t i,
                               uint64_t column, uint64_t columns, float *values, tamis_error *err)
{
    const tamis_store_info *info = tamis_store_info_get(c->now->store);
    uint64_t row = info->form == TAMIS_FORM_FULL ? info->columns
                                                 : info->input_columns + info->output_columns;
    uint64_t apart = row * tamis_dtype_size(info->dtype) * (info->rows / c->sample.rows);
    TAMIS_TRY(tamis_store_read(c->now->store, checkpoint, tamis__sample_row(&c->sample, i), 1,
                               column, columns, values, columns, err));
    tamis__store_touched(c->now->store, apart < AROUND ? apart : AROUND);
    return TAMIS_OK;
}

static tamis_status load_queries(const comparison *c, uint32_t checkpoint, uint64_t column,
                                 uint64_t columns, double *tile, float *values, tamis_error *err)
{
    memset(tile, 0, columns * QUERIES * sizeof *tile);
    for (uint64_t q = 0; q < c->sample.queries; q++) {
        TAMIS_TRY(read_piece(c, checkpoint, q * c->sample.rows / c->sample.queries, column, columns,
                             values, err));
        for (uint64_t j = 0; j < columns; j++) tile[j * QUERIES + q] = (double)values[j];
    }
    return TAMIS_OK;
}

/* Products of floats are exact in double. A few queries at a time, so that the sums stay in
 * registers. */
void tamis__compare_add(const float *values, uint64_t columns, const double *tile, double *all,
                        double *part)
{
    for (int q = 0; q < QUERIES; q += 4, tile += 4) {
        double a = 0, b = 0, c = 0, d = 0;
        const double *queries = tile;
        for (uint64_t j = 0; j < columns; j++, queries += QUERIES) {
            double x = (double)values[j];
            a += x * queries[0];
            b += x * queries[1];
            c += x * queries[2];
            d += x * queries[3];
        }
        const double sum[4] = {a, b, c, d};
        for (int i = 0; i < 4; i++) {
            all[q + i] += sum[i];
            if (part) part[q + i] += sum[i];
        }
    }
}

static tamis_status add_tile(const comparison *c, uint64_t first, uint64_t rows,
                             uint32_t checkpoint, uint64_t column, uint64_t columns, bool stayed,
                             double *tile, tamis_error *err)
{
    float *values = (float *)(void *)(tile + TILE * QUERIES);
    TAMIS_TRY(load_queries(c, checkpoint, column, columns, tile, values, err));
    for (uint64_t i = first; i < first + rows; i++) {
        TAMIS_TRY(read_piece(c, checkpoint, i, column, columns, values, err));
        tamis__compare_add(values, columns, tile, c->now->all + i * QUERIES,
                           stayed && c->now->part ? c->now->part + i * QUERIES : NULL);
    }
    return TAMIS_OK;
}

static tamis_status add_layer(const comparison *c, uint64_t first, uint64_t rows,
                              uint32_t checkpoint, uint32_t layer, double *tile, tamis_error *err)
{
    const tamis_layer *l = &tamis_store_info_get(c->now->store)->layer[layer];
    bool stayed = chosen(c->now->checkpoints, checkpoint) && chosen(c->now->layers, layer);
    uint64_t width = tamis_layer_columns(l);
    for (uint64_t j = 0; j < width; j += TILE) {
        uint64_t n = width - j < TILE ? width - j : TILE;
        TAMIS_TRY(add_tile(c, first, rows, checkpoint, l->first_column + j, n, stayed, tile, err));
    }
    return TAMIS_OK;
}

/* --- dot products of factors ------------------------------------------------------------------ */

/* A row's factors of a layer, tokens packed. */
typedef struct row_factors {
    uint64_t tokens;
    float *input, *output;
} row_factors;

static tamis_status load_factors(const comparison *c, uint32_t checkpoint, uint32_t layer,
                                 uint64_t i, row_factors *ret, tamis_error *err)
{
    tamis_store *store = c->now->store;
    const tamis_layer *l = &tamis_store_info_get(store)->layer[layer];
    size_t in = (size_t)(l->in + l->bias), out = (size_t)l->out;
    const uint64_t *offset = NULL;
    uint64_t row = tamis__sample_row(&c->sample, i);
    TAMIS_TRY(tamis_store_tokens(store, checkpoint, &offset, err));
    uint64_t tokens = offset[row + 1] - offset[row];
    float *memory = tamis__malloc(tokens * (in + out) + 1, sizeof *memory);
    if (!memory) return tamis__fail_memory(err, "factors", tokens * (in + out) * sizeof *memory);
    tamis_status status = tamis_store_read_factors(store, checkpoint, layer, offset[row], tokens,
                                                   memory, in, memory + tokens * in, out, err);
    if (status != TAMIS_OK) {
        free(memory);
        return status;
    }
    tamis__store_touched(store, AROUND); /* rows are far apart: see read_piece() */
    *ret = (row_factors){tokens, memory, memory + tokens * in};
    return TAMIS_OK;
}

static double product(const float *x, const float *y, uint64_t n)
{
    double part[8] = {0};
    uint64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (unsigned j = 0; j < 8; j++) part[j] += (double)x[i + j] * (double)y[i + j];
    for (; i < n; i++) part[0] += (double)x[i] * (double)y[i];
    return ((part[0] + part[1]) + (part[2] + part[3])) +
           ((part[4] + part[5]) + (part[6] + part[7]));
}

/* <sum_t g_t a_t^T, sum_u h_u b_u^T> = sum_{t,u} <a_t, b_u> <g_t, h_u>. */
static double factor_product(const tamis_layer *l, const row_factors *x, const row_factors *y)
{
    uint64_t in = l->in + l->bias, out = l->out;
    double sum = 0;
    for (uint64_t t = 0; t < x->tokens; t++)
        for (uint64_t u = 0; u < y->tokens; u++)
            sum += product(x->input + t * in, y->input + u * in, in) *
                   product(x->output + t * out, y->output + u * out, out);
    return sum;
}

static tamis_status add_factors(const comparison *c, uint64_t first, uint64_t rows,
                                uint32_t checkpoint, uint32_t layer, tamis_error *err)
{
    const tamis_layer *l = &tamis_store_info_get(c->now->store)->layer[layer];
    bool stayed = chosen(c->now->checkpoints, checkpoint) && chosen(c->now->layers, layer);
    row_factors query[QUERIES] = {{0}}, row = {0};
    tamis_status status = TAMIS_OK;
    for (uint64_t q = 0; q < c->sample.queries && status == TAMIS_OK; q++)
        status = load_factors(c, checkpoint, layer, q * c->sample.rows / c->sample.queries,
                              &query[q], err);
    for (uint64_t i = first; i < first + rows && status == TAMIS_OK; i++) {
        status = load_factors(c, checkpoint, layer, i, &row, err);
        for (uint64_t q = 0; q < c->sample.queries && status == TAMIS_OK; q++) {
            double score = factor_product(l, &row, &query[q]);
            c->now->all[i * QUERIES + q] += score;
            if (stayed && c->now->part) c->now->part[i * QUERIES + q] += score;
        }
        if (status == TAMIS_OK) free(row.input);
    }
    for (uint64_t q = 0; q < c->sample.queries; q++) free(query[q].input);
    return status;
}

/* Both stores, or none: products of factors are not rounded to rows of floats on the way. */
static tamis_status choose_factors(comparison *c, const tamis_store *made, tamis_error *err)
{
    const tamis_store_info *info = c->sample.job->info;
    uint64_t most = 1, pair = info->input_columns + info->output_columns;
    if (info->form != TAMIS_FORM_FACTORS) return TAMIS_OK;
    if (tamis_store_info_get(made)->form != TAMIS_FORM_FACTORS) return TAMIS_OK;
    for (uint32_t k = 0; k < info->checkpoints; k++) {
        const uint64_t *offset = NULL;
        TAMIS_TRY(tamis_store_tokens(c->sample.job->store, k, &offset, err));
        for (uint64_t i = 0; i < info->rows; i++)
            if (offset[i + 1] - offset[i] > most) most = offset[i + 1] - offset[i];
    }
    c->factors = most <= info->columns / pair / most;
    return TAMIS_OK;
}

static tamis_status score_rows(void *arg, uint64_t item, unsigned slot, unsigned worker,
                               tamis_error *err)
{
    (void)slot;
    const comparison *c = arg;
    const tamis_store_info *info = tamis_store_info_get(c->now->store);
    double *tile = c->scratch + (size_t)worker * SCRATCH;
    uint64_t first = item * ROWS,
             rows = c->sample.rows - first < ROWS ? c->sample.rows - first : ROWS;
    for (uint32_t k = 0; k < info->checkpoints; k++)
        for (uint32_t l = 0; l < info->layers; l++)
            TAMIS_TRY(c->factors ? add_factors(c, first, rows, k, l, err)
                                 : add_layer(c, first, rows, k, l, tile, err));
    return TAMIS_OK;
}

static tamis_status tell(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)slot;
    const comparison *c = arg;
    uint64_t done = (item + 1) * ROWS < c->sample.rows ? (item + 1) * ROWS : c->sample.rows;
    return tamis__progress(c->sample.job->context, "comparing", done, c->sample.rows, "rows", NULL,
                           err);
}

static tamis_status score(comparison *c, side *now, tamis_error *err)
{
    tamis__pipeline rows = {
        .arg = c, .items = (c->sample.rows + ROWS - 1) / ROWS, .work = score_rows, .consume = tell};
    c->now = now;
    return tamis__pool_run(c->sample.job->context->pool, &rows, err);
}

/* --- agreement -------------------------------------------------------------------------------- */

/* Of column q; `values`, `ranks` and `order` have room for two columns. Columns that are constant
 * agree with each other and with nothing else. */
static double column_spearman(const double *source, const double *made, uint64_t q, uint64_t n,
                              double *values, double *ranks, uint32_t *order)
{
    const tamis__two_columns pair = {values, values + n, order, order + n, n};
    double spearman;
    for (uint64_t i = 0; i < n; i++) {
        values[i] = source[i * QUERIES + q];
        values[n + i] = made[i * QUERIES + q];
    }
    tamis__sort_items(pair.x, n, order);
    tamis__sort_items(pair.y, n, order + n);
    if (tamis__spearman(&pair, NULL, ranks, &spearman)) return spearman;
    bool source_constant = pair.x[order[0]] == pair.x[order[n - 1]];
    return source_constant == (pair.y[order[n]] == pair.y[order[2 * n - 1]]) ? 1 : 0;
}

static tamis_status agree(const comparison *c, const double *source, const double *made,
                          tamis_agreement *ret_agreement, tamis_error *err)
{
    uint64_t rows = c->sample.rows;
    uint32_t *order = tamis__malloc(2 * rows, sizeof *order);
    double *ranks = tamis__malloc(4 * rows, sizeof *ranks);
    tamis_agreement sum = {.least_spearman = 1};
    double difference = 0, largest = 0;
    bool enough = order && ranks;
    for (uint64_t q = 0; enough && q < c->sample.queries; q++) {
        double spearman = column_spearman(source, made, q, rows, ranks + 2 * rows, ranks, order);
        sum.mean_spearman += spearman / (double)c->sample.queries;
        sum.least_spearman = fmin(sum.least_spearman, spearman);
    }
    for (uint64_t i = 0; i < rows * QUERIES; i++) {
        difference = fmax(difference, fabs(made[i] - source[i]));
        largest = fmax(largest, fabs(source[i]));
    }
    free(order);
    free(ranks);
    if (!enough) return tamis__fail_memory(err, "ranks", 4 * rows * sizeof *ranks);
    sum.largest_difference = difference > 0 ? difference / largest : 0;
    *ret_agreement = sum;
    return TAMIS_OK;
}

/* --- the whole -------------------------------------------------------------------------------- */

static tamis_status compare(comparison *c, tamis_store *made, double *scores,
                            tamis_convert_report *report, tamis_error *err)
{
    const tamis__convert_job *job = c->sample.job;
    size_t size = c->sample.rows * QUERIES;
    side source = {.store = job->store,
                   .checkpoints = &job->checkpoints,
                   .layers = &job->layers,
                   .all = scores,
                   .part = scores + size};
    side output = {.store = made, .all = scores + 2 * size};
    TAMIS_TRY(choose_factors(c, made, err));
    if (job->whitener)
        TAMIS_TRY(tamis__compare_whitened(&c->sample, source.all, source.part, err));
    else
        TAMIS_TRY(score(c, &source, err));
    TAMIS_TRY(score(c, &output, err));
    TAMIS_TRY(agree(c, source.part, output.all, &report->kept, err));
    TAMIS_TRY(agree(c, source.all, output.all, &report->full, err));
    report->sample_rows = c->sample.rows;
    report->sample_queries = c->sample.queries;
    return TAMIS_OK;
}

tamis_status tamis__convert_compare(const tamis__convert_job *job, tamis_convert_report *report,
                                    tamis_error *err)
{
    comparison c = {.sample = {.job = job, .rows = job->params->sample}};
    tamis__sample *s = &c.sample;
    if (s->rows > job->info->rows) s->rows = job->info->rows;
    s->queries = s->rows < QUERIES ? s->rows : QUERIES;
    unsigned threads = tamis_context_threads(job->context);
    uint64_t doubles = 3 * s->rows * QUERIES + (uint64_t)threads * SCRATCH + 5 * s->rows;
    TAMIS_TRY(tamis__memory_check(job->context, doubles * sizeof(double), "comparing", err));
    tamis_store *made = NULL;
    double *scores = tamis__calloc(3 * s->rows * QUERIES, sizeof *scores);
    c.scratch = tamis__aligned(threads, SCRATCH * sizeof *c.scratch);
    tamis_status status = TAMIS_OK;
    if (!scores || !c.scratch)
        status = tamis__fail_memory(err, "a comparison", doubles * sizeof(double));
    if (status == TAMIS_OK) status = tamis_store_open(&made, job->context, job->params->path, err);
    if (status == TAMIS_OK) status = compare(&c, made, scores, report, err);
    tamis_store_close(&made);
    free(scores);
    free(c.scratch);
    return status;
}
