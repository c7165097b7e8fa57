/* How far whitened rows are apart.
 *
 *     z = L^-1 (sum over checkpoints of x_k - mean),   u = z / |z|
 *     distance: -sqrt(|2 - 2 <u_i, u_q>|) = -|u_i - u_q|,   without unit -|z_i - z_q|
 *     cosine:    <u_i, u_q>
 *
 * Unit rows need every row's triangular solve for its norm, so rows are whitened as the engine asks
 * for a block of them, in double, and multiplied as floats. Solving for the queries instead,
 * <x - mean, L^-T u_q>, would save no solve, and would lose the factor's condition in digits.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "curvature/whitening.h"
#include "linalg/blas.h"
#include "score/output.h"
#include "score/registry.h"

enum { METRIC, UNIT };
enum { DISTANCE, COSINE };

static const char *const metrics[] = {"distance", "cosine", NULL};

static const tamis_param_desc params[] = {
    {.name = "metric",
     .help = "minus the distance, so that larger is nearer, or the cosine, of whitened rows",
     .type = TAMIS_PARAM_CHOICE,
     .choices = metrics},
    {.name = "unit",
     .help = "distance: of unit rows; false: of whitened rows as they are",
     .type = TAMIS_PARAM_BOOLEAN,
     .fallback = 1},
};

/* --- rows ------------------------------------------------------------------------------------- */

typedef struct maker {
    const tamis__score_call *call;
    tamis__whitening whitening;
    bool unit;
    uint64_t columns;
    unsigned workers;
    tamis__feature_scratch *scratch; /* [worker] */
} maker;

/* As many rows from `first` on as are scored, or as are not. */
static uint64_t run_of(const unsigned char *skip, uint64_t first, uint64_t rows)
{
    uint64_t n = 1, most = rows < TAMIS__FEATURE_ROWS ? rows : TAMIS__FEATURE_ROWS;
    while (n < most && (!skip || skip[first + n] == skip[first])) n++;
    return n;
}

static double square_of(const float *row, uint64_t columns)
{
    double sum = 0;
    for (uint64_t c = 0; c < columns; c++) sum += (double)row[c] * (double)row[c];
    return sum;
}

/* The square is that of the rounded row, as the product is; that of a unit row is 1 by definition,
 * a zero row's too. */
static void give_row(const maker *m, const double *from, float *out, double *square)
{
    for (uint64_t c = 0; c < m->columns; c++) out[c] = (float)from[c];
    *square = m->unit ? 1.0 : square_of(out, m->columns);
}

static tamis_status make(void *arg, uint64_t first, uint64_t rows, unsigned worker, float *out,
                         double *square, tamis_error *err)
{
    const maker *m = arg;
    const unsigned char *skip = tamis__score_skipped(m->call);
    tamis__feature_scratch *s = &m->scratch[worker];
    for (uint64_t i = 0, n = 0; i < rows; i += n) {
        n = run_of(skip, first + i, rows - i);
        bool skipped = skip && skip[first + i];
        if (!skipped)
            TAMIS_TRY(
                tamis__features_some(m->call->train, &m->whitening, m->unit, first + i, n, s, err));
        for (uint64_t r = 0; r < n; r++) {
            float *to = out + (i + r) * m->columns;
            if (!skipped) give_row(m, s->values + r * m->columns, to, &square[i + r]);
            for (uint64_t c = 0; skipped && c < m->columns; c++) to[c] = 0.0f;
            if (skipped) square[i + r] = 0.0;
        }
    }
    return TAMIS_OK;
}

static tamis_status open_maker(maker *m, tamis_error *err)
{
    const tamis__score_call *call = m->call;
    m->columns = tamis_store_info_get(call->train)->columns;
    m->workers = tamis_context_threads(call->context);
    TAMIS_TRY(tamis__memory_check(call->context,
                                  tamis__whitening_bytes(call->curvature) +
                                      m->workers * tamis__feature_scratch_bytes(m->columns),
                                  "whitening rows", err));
    TAMIS_TRY(tamis__whitening_load(&m->whitening, call->curvature, err));
    m->scratch = tamis__calloc(m->workers, sizeof *m->scratch);
    if (!m->scratch) return tamis__fail_memory(err, "rows", m->workers * sizeof *m->scratch);
    for (unsigned w = 0; w < m->workers; w++)
        TAMIS_TRY(tamis__feature_scratch_init(&m->scratch[w], m->columns, err));
    return TAMIS_OK;
}

static void close_maker(maker *m)
{
    for (unsigned w = 0; m->scratch && w < m->workers; w++)
        tamis__feature_scratch_fini(&m->scratch[w]);
    free(m->scratch);
    tamis__whitening_fini(&m->whitening);
}

/* --- the run ---------------------------------------------------------------------------------- */

static tamis_status prepare(const maker *m, tamis__held_queries *held, double *square,
                            tamis_error *err)
{
    TAMIS_TRY(tamis__features(m->call->context, m->call->query, &m->whitening, m->unit, 0,
                              held->rows, held->values[0], err));
    for (uint64_t q = 0; q < held->rows; q++)
        square[q] = m->unit ? 1.0 : square_of(held->values[0] + q * m->columns, m->columns);
    return tamis__held_queries_ready(held, m->call->context, "a whitened query", err);
}

static tamis_status multiply(maker *m, tamis__held_queries *held, double *square, tamis_error *err)
{
    const tamis__score_call *call = m->call;
    bool cosine = call->values[METRIC].number > 0;
    const tamis__row_maker rows = {.arg = m, .make = make};
    TAMIS_TRY(prepare(m, held, square, err));
    call->weight[0] = 1.0;
    tamis__product product = {.queries = &held->queries,
                              .weight = call->weight,
                              .bound = cosine ? 1.0 : 0.0,
                              .maker = &rows,
                              .query_square = cosine ? NULL : square,
                              .reserved = tamis__whitening_bytes(call->curvature) +
                                          m->workers * tamis__feature_scratch_bytes(m->columns)};
    tamis__blas_begin();
    tamis_status status = tamis__score_product(call, &product, err);
    tamis__blas_end();
    return status;
}

static tamis_status run(const tamis__score_call *call, tamis_error *err)
{
    maker m = {.call = call, .unit = call->values[UNIT].number > 0};
    tamis__held_queries held = {0};
    uint64_t queries = tamis_store_info_get(call->query)->rows;
    TAMIS_TRY(tamis__score_rows(call, false, err));
    double *square = tamis__malloc(queries, sizeof *square);
    if (!square) return tamis__fail_memory(err, "queries", queries * sizeof *square);
    tamis_status status = open_maker(&m, err);
    if (status == TAMIS_OK)
        status = tamis__held_queries_init(&held, call->context, 1, queries, m.columns, err);
    if (status == TAMIS_OK) status = multiply(&m, &held, square, err);
    tamis__held_queries_fini(&held);
    close_maker(&m);
    free(square);
    return status;
}

/* A distance is not linear in its query. */
static tamis_status check(const tamis__score_call *call, tamis_examples *ret_columns,
                          uint64_t *ret_n, tamis_error *err)
{
    (void)ret_columns, (void)ret_n;
    bool cosine = call->values[METRIC].number > 0, unit = call->values[UNIT].number > 0;
    tamis_reduce reduce = call->output->params->reduce;
    if (cosine && !unit)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "whitened-distance: a cosine is of unit rows: leave out unit=false");
    if (cosine || reduce == TAMIS_REDUCE_NONE || reduce == TAMIS_REDUCE_MAX) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "whitened-distance: a mean of distances is not the distance from a mean: "
                       "reduce by max, or take metric=cosine");
}

const tamis__scorer_class tamis__scorer_whitened_distance = {
    .info = {.name = "whitened-distance",
             .summary = "nearness of whitened gradients: minus their distance, or their cosine",
             .citation = "Feng, Nie, Liu and Alahi, TAROT: Targeted Data Selection via Optimal "
                         "Transport, ICML 2025: whitened feature distance",
             .flags = TAMIS_SCORER_CURVATURE | TAMIS_SCORER_WHITENING,
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .columns = check,
    .run = run,
};
