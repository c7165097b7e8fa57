/* Column statistics, row maxima, several sinks at once.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "stream/sinks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

/* --- statistics ------------------------------------------------------------------------------- */

tamis_status tamis__statistics_sink_init(tamis__statistics_sink *ret_statistics, uint64_t queries,
                                         tamis_error *err)
{
    tamis__statistics_sink s = {.queries = queries};
    s.count = tamis__calloc(queries, sizeof *s.count);
    s.mean = tamis__calloc(queries, sizeof *s.mean);
    s.deviation = tamis__calloc(queries, sizeof *s.deviation);
    s.block = tamis__calloc(queries, 2 * sizeof *s.block);
    if (!s.count || !s.mean || !s.deviation || !s.block) {
        tamis__statistics_sink_fini(&s);
        return tamis__fail_memory(err, "statistics of columns", queries * 5 * sizeof(double));
    }
    *ret_statistics = s;
    return TAMIS_OK;
}

void tamis__statistics_sink_fini(tamis__statistics_sink *statistics)
{
    free(statistics->count);
    free(statistics->mean);
    free(statistics->deviation);
    free(statistics->block);
    *statistics = (tamis__statistics_sink){0};
}

/* Mean and deviation of columns of a block. A row without a score has none in any of them. */
static uint64_t block_statistics(const float *restrict values, uint64_t rows, uint64_t queries,
                                 size_t stride, double *restrict mean, double *restrict deviation)
{
    uint64_t n = 0;
    memset(mean, 0, queries * sizeof *mean);
    memset(deviation, 0, queries * sizeof *deviation);
    for (uint64_t r = 0; r < rows; r++) {
        if (isnan(values[r * stride])) continue;
        n++;
        for (uint64_t q = 0; q < queries; q++) mean[q] += (double)values[r * stride + q];
    }
    for (uint64_t q = 0; q < queries && n; q++) mean[q] /= (double)n;
    for (uint64_t r = 0; r < rows; r++) {
        if (isnan(values[r * stride])) continue;
        for (uint64_t q = 0; q < queries; q++) {
            double difference = (double)values[r * stride + q] - mean[q];
            deviation[q] += difference * difference;
        }
    }
    return n;
}

static void merge(tamis__statistics_sink *s, uint64_t at, uint64_t n, double mean, double deviation)
{
    if (n == 0) return;
    uint64_t before = s->count[at];
    double difference = mean - s->mean[at], share = (double)n / (double)(before + n);
    s->deviation[at] += deviation + difference * difference * (double)before * share;
    s->mean[at] += difference * share;
    s->count[at] = before + n;
}

static tamis_status put_statistics(void *arg, uint64_t first_row, uint64_t rows,
                                   uint64_t first_query, uint64_t queries, const float *values,
                                   size_t stride, tamis_error *err)
{
    tamis__statistics_sink *s = arg;
    (void)first_row, (void)err;
    double *mean = s->block, *deviation = s->block + s->queries;
    uint64_t n = 0;
    if (!s->partial) n = block_statistics(values, rows, queries, stride, mean, deviation);
    for (uint64_t q = 0; q < queries; q++) {
        if (s->partial) n = block_statistics(values + q, rows, 1, stride, mean + q, deviation + q);
        merge(s, first_query + q, n, mean[q], deviation[q]);
    }
    return TAMIS_OK;
}

tamis__sink tamis__statistics_sink_of(tamis__statistics_sink *statistics)
{
    return (tamis__sink){.arg = statistics, .put = put_statistics};
}

void tamis__statistics_sink_end(tamis__statistics_sink *statistics)
{
    for (uint64_t q = 0; q < statistics->queries; q++) {
        uint64_t n = statistics->count[q];
        statistics->deviation[q] = n ? statistics->deviation[q] / (double)n : (double)NAN;
        if (!n) statistics->mean[q] = (double)NAN;
    }
}

/* --- the largest of a row --------------------------------------------------------------------- */

void tamis__max_sink_init(tamis__max_sink *ret_max, uint64_t rows, uint64_t queries,
                          tamis__sink next)
{
    *ret_max = (tamis__max_sink){.rows = rows, .queries = queries, .next = next};
}

void tamis__max_sink_fini(tamis__max_sink *max)
{
    free(max->most);
    free(max->column);
    *max = (tamis__max_sink){0};
}

static tamis_status make_room(tamis__max_sink *max, uint64_t rows, bool passes, tamis_error *err)
{
    if (passes && !max->most) {
        max->most = tamis__malloc(max->rows, sizeof *max->most);
        if (!max->most) return tamis__fail_memory(err, "maxima", max->rows * sizeof *max->most);
    }
    if (rows <= max->room) return TAMIS_OK;
    float *grown = tamis__realloc(max->column, rows, sizeof *grown);
    if (!grown) return tamis__fail_memory(err, "maxima", rows * sizeof *grown);
    max->column = grown;
    max->room = rows;
    return TAMIS_OK;
}

static tamis_status put_max(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                            uint64_t queries, const float *values, size_t stride, tamis_error *err)
{
    tamis__max_sink *max = arg;
    bool first = first_query == 0, last = first_query + queries == max->queries;
    TAMIS_TRY(make_room(max, rows, !first || !last, err));
    for (uint64_t r = 0; r < rows; r++) {
        const float *row = values + r * stride;
        float most = first ? row[0] : max->most[first_row + r];
        /* NaN only where there is nothing else. */
        for (uint64_t q = 0; q < queries; q++) most = row[q] > most || isnan(most) ? row[q] : most;
        if (!last) max->most[first_row + r] = most;
        max->column[r] = most;
    }
    if (!last) return TAMIS_OK;
    return max->next.put(max->next.arg, first_row, rows, 0, 1, max->column, 1, err);
}

tamis__sink tamis__max_sink_of(tamis__max_sink *max)
{
    return (tamis__sink){.arg = max, .put = put_max};
}

/* --- several ---------------------------------------------------------------------------------- */

void tamis__tee_add(tamis__tee *tee, tamis__sink sink)
{
    if (tee->n < TAMIS__TEE_MOST) tee->sink[tee->n++] = sink;
}

static tamis_status put_all(void *arg, uint64_t first_row, uint64_t rows, uint64_t first_query,
                            uint64_t queries, const float *values, size_t stride, tamis_error *err)
{
    const tamis__tee *tee = arg;
    for (unsigned i = 0; i < tee->n; i++)
        TAMIS_TRY(tee->sink[i].put(tee->sink[i].arg, first_row, rows, first_query, queries, values,
                                   stride, err));
    return TAMIS_OK;
}

tamis__sink tamis__tee_of(tamis__tee *tee)
{
    return (tamis__sink){.arg = tee, .put = put_all};
}
