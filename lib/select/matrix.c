/* Scores of all queries, normalised: opening, reading, one value a row.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "select/matrix_state.h"

/* Scores of a block, at most, and its rows. */
#define BLOCK_SCORES ((uint64_t)1 << 16)
#define BLOCK_ROWS   ((uint64_t)1 << 12)

const uint8_t *tamis__query_matrix_lacking(const tamis__query_matrix *matrix)
{
    return matrix->lacking;
}

uint64_t tamis__query_matrix_rows(const tamis__query_matrix *matrix)
{
    return matrix->rows;
}

uint64_t tamis__query_matrix_queries(const tamis__query_matrix *matrix)
{
    return matrix->queries;
}

uint64_t tamis__query_matrix_block(const tamis__query_matrix *matrix, uint64_t item)
{
    uint64_t left = matrix->rows - item * matrix->block_rows;
    return left < matrix->block_rows ? left : matrix->block_rows;
}

uint64_t tamis__query_matrix_blocks(const tamis__query_matrix *matrix)
{
    return (matrix->rows + matrix->block_rows - 1) / matrix->block_rows;
}

/* --- opening ---------------------------------------------------------------------------------- */

static tamis_status hold(tamis__query_matrix *m, const tamis_context *context, tamis_error *err)
{
    uint64_t bytes = m->rows * m->queries * sizeof *m->held, most = context->memory / 2;
    bool needed = m->normalise == TAMIS_NORMALISE_RANK;
    if (bytes > most && needed)
        return tamis__fail(err, TAMIS_ERR_NOMEM,
                           "ranks of %" PRIu64 " x %" PRIu64 " scores need %" PRIu64
                           " MiB, half of the limit is %" PRIu64
                           " MiB: raise --memory, or normalise otherwise",
                           m->rows, m->queries, (bytes >> 20) + 1, most >> 20);
    if (bytes > most) return TAMIS_OK;
    m->held = tamis__malloc((size_t)(m->rows * m->queries), sizeof *m->held);
    if (!m->held && needed) return tamis__fail_memory(err, "ranks", bytes);
    return TAMIS_OK; /* not held is slower, nothing else */
}

static tamis_status open_into(tamis__query_matrix *m, tamis_context *context, tamis_error *err)
{
    m->lacking = tamis__calloc((size_t)m->rows, 1);
    if (!m->lacking) return tamis__fail_memory(err, "scores", m->rows);
    TAMIS_TRY(hold(m, context, err));
    TAMIS_TRY(tamis__query_matrix_pass(m, context, err));
    return m->normalise == TAMIS_NORMALISE_RANK ? tamis__query_matrix_rank(m, context, err)
                                                : TAMIS_OK;
}

tamis_status tamis__query_matrix_open(tamis__query_matrix **ret_matrix, tamis_context *context,
                                      const tamis_scores *scores, tamis_normalise normalise,
                                      const tamis__groups *group, const uint8_t *standing,
                                      tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(scores);
    bool classes = normalise == TAMIS_NORMALISE_CLASS_ZSCORE;
    if (info->top > 0)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' holds the top %" PRIu64 " rows of each query only, and the score "
                           "of every row is wanted: score without --top",
                           tamis_scores_path(scores), info->top);
    if (classes && !group)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "class-zscore needs groups of candidates: give them, or use zscore");
    tamis__query_matrix *m = tamis__calloc(1, sizeof *m);
    if (!m) return tamis__fail_memory(err, "scores", sizeof *m);
    *m = (tamis__query_matrix){.scores = scores,
                               .normalise = normalise,
                               .group = classes ? group : NULL,
                               .standing = standing,
                               .rows = info->rows,
                               .queries = info->queries,
                               .groups = classes ? (uint64_t)group->groups + 1 : 1};
    m->block_rows = m->queries < BLOCK_SCORES ? BLOCK_SCORES / m->queries : 1;
    if (m->block_rows > BLOCK_ROWS) m->block_rows = BLOCK_ROWS;
    tamis_status status = open_into(m, context, err);
    if (status == TAMIS_OK)
        *ret_matrix = m;
    else
        tamis__query_matrix_close(&m);
    return status;
}

void tamis__query_matrix_close(tamis__query_matrix **matrix)
{
    if (!*matrix) return;
    free((*matrix)->held);
    free((*matrix)->rank);
    free((*matrix)->lacking);
    free((*matrix)->scales.shift);
    free(*matrix);
    *matrix = NULL;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void nothing(double *out, uint64_t queries)
{
    for (uint64_t q = 0; q < queries; q++) out[q] = (double)NAN;
}

static void normal_row(const tamis__query_matrix *m, uint64_t row, const float *restrict score,
                       double *restrict out)
{
    const uint64_t queries = m->queries, at = tamis__query_matrix_group(m, row) * queries;
    const double *restrict shift = m->scales.shift + at, *restrict scale = m->scales.scale + at;
    if (m->normalise == TAMIS_NORMALISE_NONE) {
        for (uint64_t q = 0; q < queries; q++) out[q] = (double)score[q];
    } else if (m->normalise == TAMIS_NORMALISE_SOFTMAX) {
        for (uint64_t q = 0; q < queries; q++) out[q] = exp((double)score[q] - shift[q]) / scale[q];
    } else {
        for (uint64_t q = 0; q < queries; q++) out[q] = ((double)score[q] - shift[q]) / scale[q];
    }
}

static void rank_row(const tamis__query_matrix *m, uint64_t row, double *out)
{
    const uint32_t *rank = m->rank + row * m->queries;
    for (uint64_t q = 0; q < m->queries; q++)
        out[q] = rank[q] == TAMIS__NO_RANK ? (double)NAN : 0.5 * rank[q] / m->scales.scale[q];
}

tamis_status tamis__query_matrix_read(const tamis__query_matrix *m, uint64_t first, uint64_t rows,
                                      double *out, tamis_error *err)
{
    float *read = NULL;
    if (!m->held && !m->rank) {
        read = tamis__malloc((size_t)(rows * m->queries), sizeof *read);
        if (!read)
            return tamis__fail_memory(err, "a block of scores", rows * m->queries * sizeof *read);
        tamis_status status = tamis_scores_read(m->scores, first, rows, 0, m->queries, read,
                                                (size_t)m->queries, err);
        if (status != TAMIS_OK) {
            free(read);
            return status;
        }
    }
    const float *score = read ? read : m->held ? m->held + first * m->queries : NULL;
    for (uint64_t i = 0; i < rows; i++, out += m->queries) {
        if (tamis__query_matrix_barred(m, first + i))
            nothing(out, m->queries);
        else if (m->rank)
            rank_row(m, first + i, out);
        else
            normal_row(m, first + i, score + i * m->queries, out);
    }
    free(read);
    return TAMIS_OK;
}

/* --- one value a row -------------------------------------------------------------------------- */

typedef struct reduction {
    const tamis__query_matrix *matrix;
    tamis_context *context;
    double (*reduce)(const void *arg, const double *score, uint64_t queries);
    const void *arg;
    double *block; /* [slots][block_rows * queries] */
    double *value; /* [rows] */
} reduction;

/* Calls into the file are serialised anyway: what is not held is read on one thread. */
static tamis_status read_block(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    const reduction *r = arg;
    const tamis__query_matrix *m = r->matrix;
    return tamis__query_matrix_read(m, item * m->block_rows, tamis__query_matrix_block(m, item),
                                    r->block + slot * m->block_rows * m->queries, err);
}

static bool no_score(const double *score, uint64_t queries)
{
    for (uint64_t q = 0; q < queries; q++)
        if (!isnan(score[q])) return false;
    return true;
}

static tamis_status reduce_block(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                 tamis_error *err)
{
    (void)worker;
    const reduction *r = arg;
    const tamis__query_matrix *m = r->matrix;
    const double *score = r->block + slot * m->block_rows * m->queries;
    uint64_t first = item * m->block_rows, rows = tamis__query_matrix_block(m, item);
    if (m->held || m->rank) TAMIS_TRY(read_block(arg, item, slot, err));
    for (uint64_t i = 0; i < rows; i++, score += m->queries)
        r->value[first + i] = no_score(score, m->queries) ? (double)NAN
                                                          : r->reduce(r->arg, score, m->queries);
    return TAMIS_OK;
}

static tamis_status report_block(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)slot;
    const reduction *r = arg;
    const tamis__query_matrix *m = r->matrix;
    return tamis__progress(r->context, "judging rows",
                           item * m->block_rows + tamis__query_matrix_block(m, item), m->rows,
                           "rows", NULL, err);
}

tamis_status tamis__query_matrix_reduce(const tamis__query_matrix *m, tamis_context *context,
                                        double (*reduce)(const void *arg, const double *score,
                                                         uint64_t queries),
                                        const void *arg, double **ret_value, tamis_error *err)
{
    reduction r = {.matrix = m, .context = context, .reduce = reduce, .arg = arg};
    tamis__pipeline pipeline = {.arg = &r,
                                .items = tamis__query_matrix_blocks(m),
                                .produce = m->held || m->rank ? NULL : read_block,
                                .work = reduce_block,
                                .consume = report_block};
    unsigned slots = tamis__pool_slots(context->pool, &pipeline);
    uint64_t block = m->block_rows * m->queries * sizeof *r.block;
    r.block = tamis__malloc(slots, (size_t)block);
    r.value = tamis__malloc((size_t)m->rows, sizeof *r.value);
    tamis_status status = r.block && r.value
                              ? tamis__pool_run(context->pool, &pipeline, err)
                              : tamis__fail_memory(err, "one value a row",
                                                   slots * block + m->rows * sizeof *r.value);
    free(r.block);
    if (status == TAMIS_OK)
        *ret_value = r.value;
    else
        free(r.value);
    return status;
}
