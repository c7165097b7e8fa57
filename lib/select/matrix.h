/* Scores of all queries, each query's column normalised.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_MATRIX_H
#define TAMIS_SELECT_MATRIX_H

#include "select/registry.h"

/* Held whole in memory, as floats, when it takes at most half of the context's limit, else read in
 * blocks when it is wanted. What is normalised is worked out in double, column by column, from the
 * scores as they are stored: the same bits however it is held. */
typedef struct tamis__query_matrix tamis__query_matrix;

/* `group` (of candidates; rows in none are a group of their own) is looked at for
 * TAMIS_NORMALISE_CLASS_ZSCORE only. Rows with standing TAMIS__BARRED (NULL = there are none),
 * or without a score, do not count in a column's mean, extremes or ranks; nor does, in a file of
 * candidates only (`partial`), a pair without a score. `scores`, `group` and `standing` must
 * outlive the matrix. Errors: ARG (a file of lists, class-zscore without groups), NUMERIC (a
 * score is not a number, or it is infinite and normalise is neither none nor rank: names row and
 * query), FORMAT (other rows without a score than the file says), NOMEM (also: ranks do not fit
 * half of the limit), IO, CANCELLED. Complexity: a pass over the scores; two for softmax; rank
 * sorts every column. */
tamis_status tamis__query_matrix_open(tamis__query_matrix **ret_matrix, tamis_context *context,
                                      const tamis_scores *scores, tamis_normalise normalise,
                                      const tamis__groups *group, const uint8_t *standing,
                                      tamis_error *err);
/* Accepts a pointer to NULL. */
void tamis__query_matrix_close(tamis__query_matrix **matrix);

/* [rows] 1 = the file has no score of this row. */
const uint8_t *tamis__query_matrix_lacking(const tamis__query_matrix *matrix);

uint64_t tamis__query_matrix_rows(const tamis__query_matrix *matrix);
uint64_t tamis__query_matrix_queries(const tamis__query_matrix *matrix);

/* Normalised scores of rows first .. first + rows - 1 into `out` [rows, queries]; NaN in the
 * whole row where it has no score or is barred, and for a pair without a score. Thread-safe.
 * Errors: IO, NOMEM. */
tamis_status tamis__query_matrix_read(const tamis__query_matrix *matrix, uint64_t first,
                                      uint64_t rows, double *out, tamis_error *err);

/* One value a row of a row's normalised scores: reduce(arg, scores [queries]) -> value, called from
 * several threads. Blocks in parallel, NaN for rows without a score, which are not asked about;
 * ret_value [rows], free with free(). Errors: NOMEM, IO, CANCELLED. */
tamis_status tamis__query_matrix_reduce(const tamis__query_matrix *matrix, tamis_context *context,
                                        double (*reduce)(const void *arg, const double *score,
                                                         uint64_t queries),
                                        const void *arg, double **ret_value, tamis_error *err);

/* --- queries together ------------------------------------------------------------------------- */

/* What a group of queries thinks of a row. */
typedef enum tamis__group_score { TAMIS__GROUP_MEAN, TAMIS__GROUP_MAX } tamis__group_score;

/* Columns that are queries, or groups of queries. */
typedef struct tamis__view {
    const tamis__query_matrix *matrix;
    const tamis__groups *group; /* of queries; NULL = each query is a column */
    tamis__group_score score;   /* with group */
    uint64_t *size;             /* [groups] queries of each, with group */
} tamis__view;

/* `group` NULL = each query is a column. Errors: NOMEM. */
tamis_status tamis__view_init(tamis__view *ret_view, const tamis__query_matrix *matrix,
                              const tamis__groups *group, tamis__group_score score,
                              tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__view_fini(tamis__view *view);

/* queries, or groups. */
uint64_t tamis__view_columns(const tamis__view *view);
/* A row's columns: of scores [queries] into out [columns]. Sums in the order of queries, pairs
 * without a score do not count; NaN for a group where nothing is left, or whose mean is one of both
 * infinities. Without groups a copy. */
void tamis__view_row(const tamis__view *view, const double *score, double *out);

/* A row in a list, best first; row = UINT64_MAX where there are no more. */
typedef struct tamis__best {
    double value;
    uint64_t row;
} tamis__best;

/* The `k` rows with the highest values of each column among those with skip[row] = 0 (NULL =
 * all) and a value, best first, ties to the lower row: ret_best [columns, k]; free with free().
 * All threads. Errors: NOMEM (also: they do not fit the limit, see tamis__query_matrix_room()),
 * IO, CANCELLED. Complexity: a pass over the scores, and k log(k) log(rows / k) for each column. */
tamis_status tamis__query_matrix_best(const tamis__view *view, tamis_context *context,
                                      const uint8_t *skip, uint64_t k, tamis__best **ret_best,
                                      tamis_error *err);
/* The largest k, at least 1, whose lists fit what the matrix leaves of the limit. */
uint64_t tamis__query_matrix_room(const tamis__view *view, const tamis_context *context);

/* --- one column ------------------------------------------------------------------------------- */

/* The same normalisation of one column in place; NaN and barred rows (standing NULL = none) do
 * not count and become NaN. Errors: ARG (class-zscore without groups), NUMERIC (infinite, and
 * normalise is neither none nor rank: names the row), NOMEM. */
tamis_status tamis__normalise(double *value, uint64_t rows, tamis_normalise normalise,
                              const tamis__groups *group, const uint8_t *standing,
                              tamis_error *err);

/* "none", "zscore", ... by tamis_normalise, ended by NULL. */
extern const char *const tamis__normalise_names[];

#endif
