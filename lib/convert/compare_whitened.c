/* Dot products of whitened rows that are not rounded, for the comparison with those in a store.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "convert/compare.h"
#include "linalg/blas.h"
#include "store/store_pages.h"

enum { QUERIES = TAMIS__COMPARE_QUERIES, ROWS = TAMIS__COMPARE_ROWS, TILE = TAMIS__COMPARE_TILE };

/* A thread's. */
typedef struct worker {
    tamis__eigen_work eigen;
    float *row;   /* [width]: one layer of a row, all its coordinates */
    float *piece; /* [TILE]: those of a tile that stayed */
    double *tile; /* [TILE, QUERIES] */
} worker;

/* Queries are held a layer at a time, and as many of them as fit. */
typedef struct whitening {
    const tamis__sample *sample;
    tamis__whitener full; /* the job's, but all coordinates stay; borrows what it points to */
    uint64_t width;       /* coordinates of the largest layer */
    unsigned threads;
    worker *worker; /* [threads] */
    uint64_t held;  /* queries at a time */
    float *query;   /* [held, width] */
    uint64_t first; /* query that is held first */
    uint64_t now;   /* queries that are held */
    uint32_t layer;
    double *all, *part; /* [rows, QUERIES] */
} whitening;

/* A row of its own, though rows of factors are stored in groups: its last bits may differ. */
static tamis_status whiten_row(const whitening *w, worker *at, uint64_t i, float *out,
                               tamis_error *err)
{
    const tamis__convert_job *job = w->sample->job;
    const tamis_store_info *info = job->info;
    uint64_t row = info->form == TAMIS_FORM_FULL ? info->columns
                                                 : info->input_columns + info->output_columns;
    uint64_t apart = row * tamis_dtype_size(info->dtype) * (info->rows / w->sample->rows);
    TAMIS_TRY(tamis__whitener_layer(&w->full, &job->eigen, &at->eigen, w->layer,
                                    tamis__sample_row(w->sample, i), 1, out, w->width, err));
    tamis__store_touched(job->store, apart < TAMIS__COMPARE_AROUND ? apart : TAMIS__COMPARE_AROUND);
    return TAMIS_OK;
}

/* Coordinates j .. j + n - 1 of the held queries; kept NULL = all coordinates. */
static void load_tile(const whitening *w, const uint64_t *kept, uint64_t j, uint64_t n,
                      double *tile)
{
    memset(tile, 0, n * QUERIES * sizeof *tile);
    for (uint64_t q = 0; q < w->now; q++) {
        const float *query = w->query + q * w->width;
        for (uint64_t i = 0; i < n; i++)
            tile[i * QUERIES + w->first + q] = (double)query[kept ? kept[j + i] : j + i];
    }
}

static void add_row(const whitening *w, worker *at, const uint64_t *kept, uint64_t count,
                    double *sum)
{
    for (uint64_t j = 0; j < count; j += TILE) {
        uint64_t n = count - j < TILE ? count - j : TILE;
        const float *values = at->row + j;
        load_tile(w, kept, j, n, at->tile);
        if (kept) {
            for (uint64_t i = 0; i < n; i++) at->piece[i] = at->row[kept[j + i]];
            values = at->piece;
        }
        tamis__compare_add(values, n, at->tile, sum, NULL);
    }
}

static tamis_status score_rows(void *arg, uint64_t item, unsigned slot, unsigned thread,
                               tamis_error *err)
{
    (void)slot;
    const whitening *w = arg;
    const tamis__whitener *stayed = w->sample->job->whitener;
    worker *at = &w->worker[thread];
    const uint64_t *kept = stayed->kept[w->layer];
    uint64_t first = item * ROWS, end = first + ROWS, all = w->full.count[w->layer];
    if (end > w->sample->rows) end = w->sample->rows;
    for (uint64_t i = first; i < end; i++) {
        TAMIS_TRY(whiten_row(w, at, i, at->row, err));
        add_row(w, at, NULL, all, w->all + i * QUERIES);
        add_row(w, at, kept, stayed->count[w->layer], w->part + i * QUERIES);
    }
    return TAMIS_OK;
}

/* A layer's products with the held queries. */
static tamis_status score_layer(whitening *w, tamis_error *err)
{
    const tamis__sample *s = w->sample;
    tamis__pipeline rows = {.arg = w, .items = (s->rows + ROWS - 1) / ROWS, .work = score_rows};
    for (uint64_t q = 0; q < w->now; q++)
        TAMIS_TRY(whiten_row(w, &w->worker[0], (w->first + q) * s->rows / s->queries,
                             w->query + q * w->width, err));
    return tamis__pool_run(s->job->context->pool, &rows, err);
}

static tamis_status score(whitening *w, tamis_error *err)
{
    uint64_t queries = w->sample->queries;
    uint32_t layers = w->full.spectra.layers;
    for (w->layer = 0; w->layer < layers; w->layer++) {
        for (w->first = 0; w->first < queries; w->first += w->held) {
            w->now = queries - w->first < w->held ? queries - w->first : w->held;
            TAMIS_TRY(score_layer(w, err));
        }
        TAMIS_TRY(tamis__progress(w->sample->job->context, "whitening a sample", w->layer + 1,
                                  layers, "layers", NULL, err));
    }
    return TAMIS_OK;
}

/* --- memory ----------------------------------------------------------------------------------- */

static tamis_status plan(whitening *w, tamis_error *err)
{
    const tamis__convert_job *job = w->sample->job;
    uint64_t thread = tamis__eigen_work_bytes(&job->eigen) + w->width * sizeof(float) +
                      TILE * (sizeof(float) + QUERIES * sizeof(double));
    uint64_t fixed = job->whitener->bytes + w->threads * thread +
                     3 * w->sample->rows * QUERIES * sizeof(double);
    uint64_t query = w->width * sizeof(float), limit = job->context->memory;
    w->held = w->sample->queries;
    while (w->held > 1 && fixed + w->held * query > limit) w->held = (w->held + 1) / 2;
    return tamis__memory_check(job->context, fixed + w->held * query, "comparing", err);
}

static tamis_status init(whitening *w, tamis_error *err)
{
    const tamis__convert_job *job = w->sample->job;
    uint32_t layers = job->whitener->spectra.layers;
    w->threads = tamis_context_threads(job->context);
    w->full = *job->whitener;
    w->full.kept = tamis__calloc(layers, sizeof *w->full.kept);
    w->full.count = tamis__calloc(layers, sizeof *w->full.count);
    w->worker = tamis__calloc(w->threads, sizeof *w->worker);
    if (!w->full.kept || !w->full.count || !w->worker)
        return tamis__fail_memory(err, "a comparison", layers * sizeof *w->full.kept);
    for (uint32_t l = 0; l < layers; l++) {
        w->full.count[l] = tamis_layer_columns(&w->full.spectra.layer[l].layer);
        if (w->full.count[l] > w->width) w->width = w->full.count[l];
    }
    TAMIS_TRY(plan(w, err));
    w->query = tamis__malloc(w->held * w->width, sizeof *w->query);
    if (!w->query) return tamis__fail_memory(err, "queries", w->held * w->width * sizeof(float));
    for (unsigned i = 0; i < w->threads; i++) {
        worker *at = &w->worker[i];
        at->row = tamis__aligned(w->width, sizeof *at->row);
        at->piece = tamis__aligned(TILE, sizeof *at->piece);
        at->tile = tamis__aligned((size_t)TILE * QUERIES, sizeof *at->tile);
        if (!at->row || !at->piece || !at->tile)
            return tamis__fail_memory(err, "rows", w->width * sizeof(float));
        TAMIS_TRY(tamis__eigen_work_init(&at->eigen, &job->eigen, err));
    }
    return TAMIS_OK;
}

static void fini(whitening *w)
{
    for (unsigned i = 0; w->worker && i < w->threads; i++) {
        free(w->worker[i].row);
        free(w->worker[i].piece);
        free(w->worker[i].tile);
        tamis__eigen_work_fini(&w->worker[i].eigen);
    }
    free(w->worker);
    free(w->query);
    free(w->full.kept);
    free(w->full.count);
}

tamis_status tamis__compare_whitened(const tamis__sample *s, double *all, double *part,
                                     tamis_error *err)
{
    whitening w = {.sample = s, .all = all, .part = part};
    tamis_status status = init(&w, err);
    if (status == TAMIS_OK) {
        tamis__blas_begin();
        status = score(&w, err);
        tamis__blas_end();
    }
    fini(&w);
    return status;
}
