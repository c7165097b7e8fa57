/* The queries of a pass, packed for the multiplier; and how much packing costs in exactness.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "stream/state.h"

/* Pairs of row and query on which a panel's error is measured, and the most values that are looked
 * at for that. */
enum { SAMPLE_PAIRS = 1024, SAMPLE_ROWS = 64, SAMPLE_LEAST = 8 };
#define SAMPLE_WORK (UINT64_C(1) << 25)

/* --- packing ---------------------------------------------------------------------------------- */

/* Power of two that brings a query's values near 1, so that products of small gradients do not fall
 * below the smallest float. Exact, so it changes nothing else. */
static int query_exponent(float norm)
{
    int exponent = norm > 0.0f ? ilogbf(norm) : 0;
    return exponent < -126 ? -126 : exponent > 126 ? 126 : exponent;
}

static double query_factor(const tamis__engine *e, uint32_t k, uint64_t query)
{
    double factor = ldexp(1.0, query_exponent(e->queries->norm[k][query]));
    return e->product->query_scale ? factor * e->product->query_scale[k][query] : factor;
}

/* Queries first .. of a step of columns, near 1, into `out` without gaps. */
static tamis_status read_queries(const tamis__engine *e, uint32_t k, uint64_t first, uint64_t n,
                                 uint64_t column, uint64_t columns, float *out, tamis_error *err)
{
    TAMIS_TRY(e->queries->read(e->queries->arg, k, first, n, e->first_column + column, columns, out,
                               columns, err));
    for (uint64_t j = 0; j < n; j++) {
        int exponent = query_exponent(e->queries->norm[k][first + j]);
        float *row = out + j * columns;
        e->kernels.scale_f32(row, row, ldexpf(1.0f, -exponent), columns);
    }
    return TAMIS_OK;
}

/* `n` queries evenly spaced from `first` on, of a range, if they are not there by themselves. */
static tamis_status prepare(const tamis__engine *e, uint64_t first, uint64_t n, uint64_t range,
                            tamis_error *err)
{
    if (!e->queries->prepare) return TAMIS_OK;
    uint64_t *query = tamis__malloc(n, sizeof *query);
    if (!query) return tamis__fail_memory(err, "a list of queries", n * sizeof *query);
    for (uint64_t j = 0; j < n; j++) query[j] = first + j * range / n;
    tamis_status status = e->queries->prepare(e->queries->arg, query, n, err);
    free(query);
    return status;
}

/* One step of one tile of one checkpoint. */
static tamis_status fill_item(void *arg, uint64_t item, unsigned slot, unsigned worker,
                              tamis_error *err)
{
    (void)slot;
    const tamis__engine *e = arg;
    uint64_t step = item % e->steps, tile = item / e->steps % e->tiles;
    uint32_t k = (uint32_t)(item / e->steps / e->tiles);
    uint64_t first = tile * e->mul->tile, column = step * e->mul->step;
    if (e->product->weight[k] == 0.0) return TAMIS_OK;
    uint64_t n = tamis__smaller(e->mul->tile, e->width - first);
    uint64_t columns = tamis__smaller(e->mul->step, e->columns - column);
    float *wide = e->scratch + (size_t)worker * e->mul->tile * e->mul->step;
    TAMIS_TRY(read_queries(e, k, e->first_query + first, n, column, columns, wide, err));
    unsigned char *panel = e->panel + ((k * e->tiles + tile) * e->steps + step) * e->panel_bytes;
    e->mul->pack(panel, wide, columns, n, e->mul->width(n), columns);
    for (uint64_t j = 0; j < n && step == 0; j++)
        e->factor[k * e->capacity + first + j] = query_factor(e, k, e->first_query + first + j);
    return TAMIS_OK;
}

tamis_status tamis__panel_fill(tamis__engine *e, tamis_error *err)
{
    memset(e->factor, 0, e->train->checkpoints * e->capacity * sizeof *e->factor);
    TAMIS_TRY(prepare(e, e->first_query, e->width, e->width, err));
    tamis__pipeline fill = {.arg = e,
                            .items = e->train->checkpoints * e->tiles * e->steps,
                            .slots = e->slots,
                            .work = fill_item};
    return tamis__pool_run(e->product->context->pool, &fill, err);
}

/* --- the error of a panel --------------------------------------------------------------------- */

typedef struct sample {
    uint64_t rows, queries;
    const tamis__multiplier *mul;
    double *exact, *panel; /* [rows, queries]: scores in double, and by the multiplier */
    double *sum;           /* [tile] */
    float *row, *query;    /* [step], [tile, step] */
    void *packed;
} sample;

static void sample_fini(sample *s)
{
    free(s->exact);
    free(s->panel);
    free(s->sum);
    free(s->row);
    free(s->query);
    free(s->packed);
}

static tamis_status sample_init(sample *s, const tamis__engine *e, const tamis__multiplier *mul,
                                tamis_error *err)
{
    s->mul = mul;
    s->queries = tamis__smaller(e->queries->rows, mul->tile);
    s->rows = tamis__smaller(SAMPLE_PAIRS / s->queries, SAMPLE_ROWS);
    s->rows = tamis__smaller(s->rows, e->train->rows);
    uint64_t values = e->columns * e->train->checkpoints;
    while (s->rows * s->queries * values > SAMPLE_WORK) {
        if (s->rows <= SAMPLE_LEAST && s->queries <= SAMPLE_LEAST) break;
        *(s->rows > s->queries ? &s->rows : &s->queries) /= 2;
    }
    s->exact = tamis__calloc(s->rows * s->queries, sizeof *s->exact);
    s->panel = tamis__calloc(s->rows * s->queries, sizeof *s->panel);
    s->sum = tamis__calloc(mul->tile, sizeof *s->sum);
    s->row = tamis__calloc(mul->step, sizeof *s->row);
    s->query = tamis__calloc((size_t)mul->tile * mul->step, sizeof *s->query);
    s->packed = tamis__aligned(mul->size(mul->width(mul->tile), mul->step), 1);
    if (s->exact && s->panel && s->sum && s->row && s->query && s->packed) return TAMIS_OK;
    return tamis__fail_memory(err, "a sample of scores", s->rows * s->queries * sizeof *s->exact);
}

/* Eight interleaved sums in double. */
static double dot(const float *x, const float *y, uint64_t n)
{
    double part[8] = {0};
    uint64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (uint64_t j = 0; j < 8; j++) part[j] += (double)x[i + j] * (double)y[i + j];
    for (; i < n; i++) part[0] += (double)x[i] * (double)y[i];
    return ((part[0] + part[1]) + (part[2] + part[3])) +
           ((part[4] + part[5]) + (part[6] + part[7]));
}

/* What a row's products at a checkpoint count for; 0 for a row that has no score. */
static double row_weight(const tamis__engine *e, uint32_t k, uint64_t row)
{
    const tamis__product *p = e->product;
    double divisor = p->row_divisor ? (double)p->row_divisor[k][row] : 1.0;
    if ((p->skip && p->skip[row]) || !(divisor > 0.0)) return 0.0;
    double weight = p->weight[k] / divisor;
    return p->row_multiplier ? weight * (double)p->row_multiplier[row] : weight;
}

/* One step of columns of one row, against all the sample's queries. */
static tamis_status add_row(const tamis__engine *e, sample *s, uint32_t k, uint64_t i,
                            uint64_t column, uint64_t columns, tamis_error *err)
{
    uint64_t row = i * e->train->rows / s->rows;
    double weight = row_weight(e, k, row), scale = e->scale ? (double)e->scale[k][row] : 1.0;
    tamis__run run;
    if (weight == 0.0) return TAMIS_OK;
    TAMIS_TRY(tamis_store_read(e->product->train, k, row, 1, e->first_column + column, columns,
                               s->row, columns, err));
    TAMIS_TRY(tamis__rows_run(e, k, row, 1, e->first_column + column, columns, 0, &run, err));
    memset(s->sum, 0, s->mul->tile * sizeof *s->sum);
    s->mul->add(s->sum, s->mul->tile, run.rows, run.row_bytes, 1, s->packed,
                s->mul->width(s->queries), columns);
    for (uint64_t j = 0; j < s->queries; j++) {
        uint64_t query = j * e->queries->rows / s->queries;
        double factor = weight * query_factor(e, k, query);
        s->exact[i * s->queries + j] += factor * dot(s->row, s->query + j * columns, columns);
        s->panel[i * s->queries + j] += factor * scale * s->sum[j];
    }
    return TAMIS_OK;
}

static tamis_status add_step(const tamis__engine *e, sample *s, uint32_t k, uint64_t column,
                             uint64_t columns, tamis_error *err)
{
    for (uint64_t j = 0; j < s->queries; j++)
        TAMIS_TRY(read_queries(e, k, j * e->queries->rows / s->queries, 1, column, columns,
                               s->query + j * columns, err));
    s->mul->pack(s->packed, s->query, columns, s->queries, s->mul->width(s->queries), columns);
    for (uint64_t i = 0; i < s->rows; i++) TAMIS_TRY(add_row(e, s, k, i, column, columns, err));
    return TAMIS_OK;
}

/* NaN when the sample tells nothing: a score is not a number, or all of them are 0. */
static double worst(const sample *s)
{
    double largest = 0, difference = 0;
    for (uint64_t i = 0; i < s->rows * s->queries; i++) {
        double here = fabs(s->exact[i] - s->panel[i]);
        if (isnan(here)) return (double)NAN;
        largest = fmax(largest, fabs(s->exact[i]));
        difference = fmax(difference, here);
    }
    return largest > 0 ? difference / largest : (double)NAN;
}

static tamis_status measure(tamis__engine *e, const tamis__multiplier *mul, double *ret_error,
                            tamis_error *err)
{
    sample s = {0};
    tamis_status status = sample_init(&s, e, mul, err);
    if (status == TAMIS_OK) status = prepare(e, 0, s.queries, e->queries->rows, err);
    for (uint32_t k = 0; k < e->train->checkpoints; k++) {
        if (e->product->weight[k] == 0.0) continue;
        for (uint64_t c = 0; c < e->columns && status == TAMIS_OK; c += mul->step)
            status = add_step(e, &s, k, c, tamis__smaller(mul->step, e->columns - c), err);
    }
    if (status == TAMIS_OK) *ret_error = worst(&s);
    sample_fini(&s);
    return status;
}

/* --- the choice ------------------------------------------------------------------------------- */

tamis_status tamis__panel_choose(tamis__engine *e, tamis__product_report *report, tamis_error *err)
{
    const tamis__product *p = e->product;
    tamis__product_wish wish = {.dtype = e->dtype,
                                .cpu = tamis_context_cpu(p->context),
                                .exact = p->panel == TAMIS__PANEL_EXACT || p->maker,
                                .queries = e->queries->rows};
    double error = 0, allowed = p->panel_error > 0 ? p->panel_error : 1e-3;
    e->mul = tamis__multiplier_choose(&wish);
    *report = (tamis__product_report){0};
    if (e->mul->rounds) TAMIS_TRY(measure(e, e->mul, &error, err));
    /* Not <=: an error that is not a number is too large. */
    if (e->mul->rounds && p->panel == TAMIS__PANEL_AUTO && !(error <= allowed)) {
        report->rejected = isnan(error) ? 0 : error;
        wish.exact = true;
        e->mul = tamis__multiplier_choose(&wish);
        error = 0;
    }
    if (isnan(error)) error = 0; /* nothing was seen, and the panel was asked for */
    report->kernel = e->mul->name;
    report->panel = e->mul->panel;
    report->error = error;
    return TAMIS_OK;
}
