/* How many near-duplicates a candidate has: a kernel density at the rows that stand in lists.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "linalg/blas.h"
#include "select/rules.h"
#include "select/tsds.h"
#include "stream/sinks.h"

/* Rows of a product. Always so many, whatever the memory limit: how many there are is part of a
 * product's last bits. */
enum { BATCH = 256 };

typedef struct kernel {
    tamis__tarot *tarot;
    double scale;    /* 1 / sigma^2 */
    float threshold; /* rows of lower cosines count for nothing */
    uint64_t most;
    uint64_t *row; /* [most] of a list */
    float *cosine; /* [most] */
} kernel;

/* Of a list, nearest first. A row without a direction is no neighbour even of its own. */
static double density_of(const kernel *k)
{
    double sum = 0;
    for (uint64_t i = 0; i < k->most && k->row[i] != UINT64_MAX; i++) {
        double distance = tamis__tsds_distance(k->cosine[i]);
        double share = 1.0 - distance * distance * k->scale;
        if (share <= 0) break;
        sum += share;
    }
    return sum > 1.0 ? sum : 1.0;
}

static tamis_status take_queries(kernel *k, const uint64_t *row, tamis__held_queries *held,
                                 tamis_error *err)
{
    tamis__blas_begin();
    tamis_status status = tamis__tarot_take(k->tarot, row, held->rows, held->values[0], err);
    tamis__blas_end();
    if (status != TAMIS_OK) return status;
    return tamis__held_queries_ready(held, k->tarot->context, "a candidate", err);
}

/* Few rows are near to any: the others do not even enter a list. */
static tamis_status multiply(kernel *k, const tamis__queries *queries, tamis__top_sink *top,
                             tamis_error *err)
{
    for (uint64_t i = 0; i < queries->rows; i++) top->threshold[i] = k->threshold;
    return tamis__tarot_multiply(k->tarot, queries, queries->rows * k->most * sizeof *top->heap,
                                 tamis__top_sink_of(top), err);
}

static tamis_status do_batch(kernel *k, const uint64_t *row, uint64_t n, double *density,
                             tamis_error *err)
{
    tamis__tarot *t = k->tarot;
    tamis__held_queries held = {0};
    tamis__top_sink top = {0};
    TAMIS_TRY(tamis__held_queries_init(&held, t->context, 1, n, t->columns, err));
    tamis_status status = take_queries(k, row, &held, err);
    if (status == TAMIS_OK) status = tamis__top_sink_init(&top, t->context, n, k->most, false, err);
    if (status == TAMIS_OK) status = multiply(k, &held.queries, &top, err);
    for (uint64_t i = 0; i < n && status == TAMIS_OK; i++) {
        tamis__top_sink_list(&top, i, k->row, k->cosine);
        density[row[i]] = density_of(k);
    }
    tamis__top_sink_fini(&top);
    tamis__held_queries_fini(&held);
    return status;
}

/* Rows among the first k of a list that have no density yet, ascending. */
static uint64_t find_missing(const tamis__tarot *t, uint64_t k, const double *density,
                             uint8_t *listed, uint64_t *row)
{
    uint64_t n = 0;
    for (uint64_t j = 0; j < t->m; j++)
        for (uint64_t i = 0; i < k; i++) listed[t->row[j * t->k + i]] = 1;
    for (uint64_t i = 0; i < t->n; i++)
        if (listed[i] && density[i] == 0) row[n++] = i;
    return n;
}

tamis_status tamis__tsds_densities(tamis__tarot *t, const tamis__tsds_kernel *by, uint64_t listed_k,
                                   double *density, tamis_error *err)
{
    double square = by->sigma * by->sigma;
    kernel k = {.tarot = t,
                .scale = 1.0 / square,
                /* A hair lower, for what rounding does to either side. */
                .threshold = (float)(1.0 - square / 2) - 1e-6f,
                .most = by->most < t->n ? by->most : t->n};
    uint8_t *listed = tamis__calloc(t->n, sizeof *listed);
    uint64_t *row = tamis__malloc(t->n, sizeof *row);
    k.row = tamis__malloc(k.most, sizeof *k.row);
    k.cosine = tamis__malloc(k.most, sizeof *k.cosine);
    tamis_status status = listed && row && k.row && k.cosine
                              ? TAMIS_OK
                              : tamis__fail_memory(err, "densities", t->n * (sizeof *row + 1));
    uint64_t n = status == TAMIS_OK ? find_missing(t, listed_k, density, listed, row) : 0;
    for (uint64_t first = 0; first < n && status == TAMIS_OK; first += BATCH) {
        uint64_t rows = n - first < BATCH ? n - first : BATCH;
        status = do_batch(&k, row + first, rows, density, err);
        if (status == TAMIS_OK)
            status = tamis__progress(t->context, "densities", first + rows, n, "rows", NULL, err);
    }
    free(listed);
    free(row);
    free(k.row);
    free(k.cosine);
    return status;
}
