/* One pass over all scores: they are checked, measured by column, and held if they are to be.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "select/matrix_state.h"

typedef struct pass {
    tamis__query_matrix *matrix;
    tamis_context *context;
    float *buffer;         /* [slots][block_rows * queries]; NULL when scores are held */
    tamis__spread *spread; /* [slots], of a block */
    tamis__spread all;
    double *sum; /* [slots][queries] of exponentials, in the second pass of softmax */
} pass;

static float *block_of(const pass *p, uint64_t item, unsigned slot)
{
    const tamis__query_matrix *m = p->matrix;
    if (m->held) return m->held + item * m->block_rows * m->queries;
    return p->buffer + slot * m->block_rows * m->queries;
}

static tamis_status read_block(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    const pass *p = arg;
    const tamis__query_matrix *m = p->matrix;
    return tamis_scores_read(m->scores, item * m->block_rows, tamis__query_matrix_block(m, item), 0,
                             m->queries, block_of(p, item, slot), (size_t)m->queries, err);
}

/* --- checks ----------------------------------------------------------------------------------- */

static tamis_status refuse(const tamis__query_matrix *m, uint64_t row, uint64_t query,
                           bool infinite, tamis_error *err)
{
    const tamis_examples *examples = &tamis_scores_info_get(m->scores)->examples;
    char id[128];
    if (examples->id_text)
        snprintf(id, sizeof id, "%s", examples->id_text[row]);
    else
        snprintf(id, sizeof id, "%" PRIu64, examples->id_number ? examples->id_number[row] : row);
    if (infinite)
        return tamis__fail(err, TAMIS_ERR_NUMERIC,
                           "'%s': row %" PRIu64 " (id %s): the score of query %" PRIu64
                           " is infinite, which %s cannot scale: normalise by rank, or leave the "
                           "row out",
                           tamis_scores_path(m->scores), row, id, query,
                           tamis__normalise_names[m->normalise]);
    return tamis__fail(err, TAMIS_ERR_NUMERIC,
                       "'%s': row %" PRIu64 " (id %s): the score of query %" PRIu64
                       " is not a number: run 'tamis inspect' on it and on the stores it was made "
                       "from",
                       tamis_scores_path(m->scores), row, id, query);
}

static tamis_status check_row(const tamis__query_matrix *m, uint64_t row, const float *score,
                              uint64_t *ret_scores, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(m->scores);
    bool finite = m->normalise != TAMIS_NORMALISE_NONE && m->normalise != TAMIS_NORMALISE_RANK;
    uint64_t scores = 0, hole = 0;
    for (uint64_t q = 0; q < m->queries; q++) {
        if (!isnan(score[q]))
            scores++;
        else
            hole = q;
    }
    *ret_scores = scores;
    if (tamis__query_matrix_barred(m, row)) return TAMIS_OK;
    bool may_lack = info->partial || (scores == 0 && info->skipped > 0);
    if (scores < m->queries && !may_lack) return refuse(m, row, hole, false, err);
    for (uint64_t q = 0; q < m->queries && finite; q++)
        if (isinf(score[q])) return refuse(m, row, q, true, err);
    return TAMIS_OK;
}

static tamis_status check_skipped(const pass *p, tamis_error *err)
{
    const tamis__query_matrix *m = p->matrix;
    uint64_t said = tamis_scores_info_get(m->scores)->skipped, found = 0;
    for (uint64_t row = 0; row < m->rows; row++) found += m->lacking[row];
    if (found == said) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s' says that %" PRIu64 " rows have no score, but %" PRIu64
                       " have none: run 'tamis inspect' on it",
                       tamis_scores_path(m->scores), said, found);
}

/* --- figures ---------------------------------------------------------------------------------- */

static void count_row(tamis__spread *spread, uint64_t at, const float *score, uint64_t queries)
{
    for (uint64_t q = 0; q < queries; q++)
        if (!isnan(score[q])) tamis__spread_count(spread, at + q, (double)score[q]);
}

static void measure_row(tamis__spread *spread, uint64_t at, const float *score, uint64_t queries)
{
    for (uint64_t q = 0; q < queries; q++)
        if (!isnan(score[q])) tamis__spread_measure(spread, at + q, (double)score[q]);
}

static tamis_status measure_block(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                  tamis_error *err)
{
    (void)worker;
    const pass *p = arg;
    const tamis__query_matrix *m = p->matrix;
    const float *score = block_of(p, item, slot);
    tamis__spread *spread = &p->spread[slot];
    uint64_t first = item * m->block_rows, rows = tamis__query_matrix_block(m, item);
    tamis__spread_clear(spread);
    for (uint64_t i = 0; i < rows; i++) {
        uint64_t scores = 0;
        TAMIS_TRY(check_row(m, first + i, score + i * m->queries, &scores, err));
        m->lacking[first + i] = scores == 0;
        if (!tamis__query_matrix_barred(m, first + i))
            count_row(spread, tamis__query_matrix_group(m, first + i) * m->queries,
                      score + i * m->queries, m->queries);
    }
    tamis__spread_means(spread);
    for (uint64_t i = 0; i < rows; i++)
        if (!tamis__query_matrix_barred(m, first + i))
            measure_row(spread, tamis__query_matrix_group(m, first + i) * m->queries,
                        score + i * m->queries, m->queries);
    return TAMIS_OK;
}

static tamis_status report(const pass *p, uint64_t item, tamis_error *err)
{
    const tamis__query_matrix *m = p->matrix;
    return tamis__progress(p->context, "reading scores",
                           item * m->block_rows + tamis__query_matrix_block(m, item), m->rows,
                           "rows", NULL, err);
}

static tamis_status add_block(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    pass *p = arg;
    tamis__spread_add(&p->all, &p->spread[slot]);
    return report(p, item, err);
}

/* --- softmax: the sums of exponentials -------------------------------------------------------- */

static tamis_status sum_block(void *arg, uint64_t item, unsigned slot, unsigned worker,
                              tamis_error *err)
{
    (void)worker;
    (void)err;
    const pass *p = arg;
    const tamis__query_matrix *m = p->matrix;
    const float *score = block_of(p, item, slot);
    double *sum = p->sum + slot * m->queries;
    uint64_t first = item * m->block_rows, rows = tamis__query_matrix_block(m, item);
    for (uint64_t q = 0; q < m->queries; q++) sum[q] = 0;
    for (uint64_t i = 0; i < rows; i++, score += m->queries)
        for (uint64_t q = 0; q < m->queries && !tamis__query_matrix_barred(m, first + i); q++)
            if (!isnan(score[q])) sum[q] += exp((double)score[q] - m->scales.shift[q]);
    return TAMIS_OK;
}

static tamis_status add_sums(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    const pass *p = arg;
    const tamis__query_matrix *m = p->matrix;
    for (uint64_t q = 0; q < m->queries; q++) m->scales.scale[q] += p->sum[slot * m->queries + q];
    return report(p, item, err);
}

static tamis_status sum_exponentials(pass *p, tamis__pipeline pipeline, unsigned slots,
                                     tamis_error *err)
{
    const tamis__query_matrix *m = p->matrix;
    p->sum = tamis__malloc(slots, (size_t)m->queries * sizeof *p->sum);
    if (!p->sum) return tamis__fail_memory(err, "softmax", slots * m->queries * sizeof *p->sum);
    for (uint64_t q = 0; q < m->queries; q++) m->scales.scale[q] = 0;
    if (m->held) pipeline.produce = NULL;
    pipeline.work = sum_block;
    pipeline.consume = add_sums;
    tamis_status status = tamis__pool_run(p->context->pool, &pipeline, err);
    for (uint64_t q = 0; q < m->queries; q++)
        if (m->scales.scale[q] <= 0) m->scales.scale[q] = 1; /* no row has a score */
    free(p->sum);
    return status;
}

/* --- all -------------------------------------------------------------------------------------- */

static tamis_status prepare(pass *p, unsigned slots, tamis_error *err)
{
    const tamis__query_matrix *m = p->matrix;
    uint64_t columns = m->groups * m->queries, block = m->block_rows * m->queries;
    uint64_t bytes = slots * tamis__spread_bytes(columns);
    TAMIS_TRY(tamis__memory_check(p->context, bytes, "normalising scores", err));
    p->spread = tamis__calloc(slots, sizeof *p->spread);
    if (!m->held) p->buffer = tamis__malloc(slots, (size_t)block * sizeof *p->buffer);
    if (!p->spread || (!m->held && !p->buffer))
        return tamis__fail_memory(err, "normalising scores", bytes);
    for (unsigned i = 0; i < slots; i++) TAMIS_TRY(tamis__spread_init(&p->spread[i], columns, err));
    return tamis__spread_init(&p->all, columns, err);
}

static tamis_status run(pass *p, tamis__pipeline pipeline, unsigned slots, tamis_error *err)
{
    tamis__query_matrix *m = p->matrix;
    TAMIS_TRY(prepare(p, slots, err));
    pipeline.arg = p;
    TAMIS_TRY(tamis__pool_run(p->context->pool, &pipeline, err));
    TAMIS_TRY(check_skipped(p, err));
    TAMIS_TRY(tamis__scales_of(&p->all, m->normalise, &m->scales, err));
    if (m->normalise == TAMIS_NORMALISE_SOFTMAX) return sum_exponentials(p, pipeline, slots, err);
    return TAMIS_OK;
}

tamis_status tamis__query_matrix_pass(tamis__query_matrix *m, tamis_context *context,
                                      tamis_error *err)
{
    pass p = {.matrix = m, .context = context};
    tamis__pipeline pipeline = {.items = tamis__query_matrix_blocks(m),
                                .produce = read_block,
                                .work = measure_block,
                                .consume = add_block};
    unsigned slots = tamis__pool_slots(context->pool, &pipeline);
    tamis_status status = run(&p, pipeline, slots, err);
    for (unsigned i = 0; i < slots && p.spread; i++) tamis__spread_fini(&p.spread[i]);
    tamis__spread_fini(&p.all);
    free(p.spread);
    free(p.buffer);
    return status;
}
