/* What a matrix of normalised scores is made of.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_MATRIX_STATE_H
#define TAMIS_SELECT_MATRIX_STATE_H

#include "base/context.h"
#include "select/matrix.h"
#include "select/scales.h"

/* Of a pair without a score, in ranks. */
#define TAMIS__NO_RANK UINT32_MAX

struct tamis__query_matrix {
    const tamis_scores *scores;
    tamis_normalise normalise;
    const tamis__groups *group; /* of candidates, with class-zscore; else NULL */
    const uint8_t *standing;
    uint64_t rows, queries;
    uint64_t groups;     /* of scales; 1 without groups */
    uint64_t block_rows; /* of a block, in which everything is read and added up */
    float *held;         /* [rows, queries]; NULL = read when wanted */
    uint32_t
        *rank; /* [rows, queries] twice the mean rank, in the memory of `held`, which is NULL */
    uint8_t *lacking;     /* [rows] 1 = no score at all */
    tamis__scales scales; /* [groups, queries] */
};

/* Rows of a block, and whether there is such a row at all. */
uint64_t tamis__query_matrix_block(const tamis__query_matrix *matrix, uint64_t item);
uint64_t tamis__query_matrix_blocks(const tamis__query_matrix *matrix);

/* Figures of all columns and the check of all scores, in one pass; scores become held on the way.
 * In matrix_pass.c. */
tamis_status tamis__query_matrix_pass(tamis__query_matrix *matrix, tamis_context *context,
                                      tamis_error *err);
/* Held scores become ranks. In matrix_rank.c. */
tamis_status tamis__query_matrix_rank(tamis__query_matrix *matrix, tamis_context *context,
                                      tamis_error *err);

/* Which group's scales are a row's. */
static inline uint64_t tamis__query_matrix_group(const tamis__query_matrix *m, uint64_t row)
{
    if (!m->group) return 0;
    return m->group->of[row] < 0 ? m->group->groups : (uint64_t)m->group->of[row];
}

static inline bool tamis__query_matrix_barred(const tamis__query_matrix *m, uint64_t row)
{
    return m->standing && m->standing[row] == TAMIS__BARRED;
}

#endif
