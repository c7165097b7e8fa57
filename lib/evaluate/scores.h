/* What yardsticks share in reading scores.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_EVALUATE_SCORES_H
#define TAMIS_EVALUATE_SCORES_H

#include <tamis/evaluate.h>

/* ARG when the file holds lists: a list tells the order of its rows and nothing of all others. */
tamis_status tamis__need_matrix(const tamis_scores *scores, tamis_error *err);

/* ARG also when rows have a score for some queries only: what each query says of all rows is not
 * known then. Yardsticks that only rank rows take the scores that there are. */
tamis_status tamis__need_all_pairs(const tamis_scores *scores, tamis_error *err);

/* SHAPE unless the scores are of `rows` training rows and `queries` queries (0 = any), which are
 * those of `what`. */
tamis_status tamis__need_shape(const tamis_scores *scores, uint64_t rows, uint64_t queries,
                               const char *what, tamis_error *err);

/* False when the row has no score; NUMERIC (names row and query) when it has some, but one of them
 * is not a number or is infinite. */
tamis_status tamis__check_row(const tamis_scores *scores, uint64_t row, const float *score,
                              bool *ret_scored, tamis_error *err);

/* Sum of the scores of each subset's rows, [subsets, queries], in double and in row order; rows
 * without a score count as 0, and are counted. */
tamis_status tamis__subset_sums(tamis_context *context, const tamis_scores *scores,
                                const tamis_subsets *subsets, double *ret_sums,
                                uint64_t *ret_skipped, tamis_error *err);

#endif
