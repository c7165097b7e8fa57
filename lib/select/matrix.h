/* Scores of all queries, each query's column normalised.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_MATRIX_H
#define TAMIS_SELECT_MATRIX_H

#include "select/registry.h"

/* Held whole in memory when it fits the context's limit, else read in blocks when it is wanted. What
 * is normalised is worked out in double, column by column, from the scores as they are stored: the same
 * bits however it is held. */
typedef struct tamis__matrix tamis__matrix;

/* `group` NULL unless normalise is TAMIS_NORMALISE_CLASS_ZSCORE. Rows with standing TAMIS__BARRED, or
 * without a score, do not count in a column's mean, extremes or ranks. Errors: ARG (a file of lists,
 * class-zscore without groups), NUMERIC (a score is not a number: names row and query), NOMEM, IO,
 * CANCELLED. */
tamis_status tamis__matrix_open(tamis__matrix **ret_matrix, tamis_context *context,
                                const tamis_scores *scores, tamis_normalise normalise,
                                const tamis__groups *group, const uint8_t *standing,
                                tamis_error *err);
void tamis__matrix_close(tamis__matrix **matrix);

uint64_t tamis__matrix_rows(const tamis__matrix *matrix);
uint64_t tamis__matrix_queries(const tamis__matrix *matrix);

/* Normalised scores of rows first .. first + rows - 1 into `out` [rows, queries]; NaN in the whole row
 * where it has no score. Thread-safe. */
tamis_status tamis__matrix_read(const tamis__matrix *matrix, uint64_t first, uint64_t rows,
                                double *out, tamis_error *err);

/* The `k` free rows with the highest values of each query, best first, ties to the lower row:
 * ret_row [queries, k], filled up with UINT64_MAX; free with free(). All threads. Errors: NOMEM, IO,
 * CANCELLED. */
tamis_status tamis__matrix_best(const tamis__matrix *matrix, tamis_context *context,
                                const uint8_t *standing, uint64_t k, uint64_t **ret_row,
                                tamis_error *err);

/* One value a row of a row's normalised scores: reduce(arg, scores [queries]) -> value. Blocks in
 * parallel, NaN for rows without a score; ret_value [rows], free with free(). */
tamis_status tamis__matrix_reduce(const tamis__matrix *matrix, tamis_context *context,
                                  double (*reduce)(const void *arg, const double *score,
                                                   uint64_t queries),
                                  const void *arg, double **ret_value, tamis_error *err);

/* The same normalisation of one column in place; NaN and barred rows do not count and become NaN.
 * Errors: ARG (class-zscore without groups), NOMEM. */
tamis_status tamis__normalise(double *value, uint64_t rows, tamis_normalise normalise,
                              const tamis__groups *group, const uint8_t *standing,
                              tamis_error *err);

/* "none", "zscore", ... by tamis_normalise, ended by NULL. */
extern const char *const tamis__normalise_names[];

#endif
