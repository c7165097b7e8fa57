/* What selectors and yardsticks share: one value a row, and rows in the order of their values.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_VALUES_H
#define TAMIS_SELECT_VALUES_H

#include <float.h>
#include <math.h>
#include <tamis/select.h>

/* Finite doubles beyond the range of float stay finite. */
static inline float tamis__narrow(double value)
{
    if (isfinite(value) && fabs(value) > (double)FLT_MAX) return value > 0 ? FLT_MAX : -FLT_MAX;
    return (float)value;
}

/* "total", "mean" or "max". */
const char *tamis__aggregate_name(tamis_aggregate by);

/* One value a row of a scores file, accumulated in double over the queries in their order; NaN
 * where the row has no score. In a file with pairs without a score (`partial`) they do not count,
 * neither in a mean. Of a file of lists see tamis__listed(). The caller frees *ret_values with
 * free(). Errors: NUMERIC (a value is not a number, though the row has scores: names row, id and
 * query), FORMAT (other rows without a score than the file says), IO, NOMEM, CANCELLED. */
tamis_status tamis__aggregate(tamis_context *context, const tamis_scores *scores,
                              tamis_aggregate by, double **ret_values, tamis_error *err);

/* One value a row of a file of lists: the largest score in the top lists that hold the row; NaN in
 * none. Errors: ARG (an aggregate that needs every score), FORMAT (a damaged list), IO, NOMEM,
 * CANCELLED. */
tamis_status tamis__listed(tamis_context *context, const tamis_scores *scores, tamis_aggregate by,
                           double **ret_values, tamis_error *err);

/* How many of the values are no NaN. */
uint64_t tamis__count_scored(const double *values, uint64_t rows);

/* One value a row of a gradient store: "length", "loss", "margin", "norm" (of the last checkpoint)
 * or "self". The caller frees *ret_values with free(). Errors: ARG (no such column), FORMAT (the
 * store does not have it), NUMERIC, IO, NOMEM. */
tamis_status tamis__column(tamis_store *store, const char *column, double **ret_values,
                           tamis_error *err);

/* Rows by value, lowest first or highest first, ties by the lower row; NaN last. The caller
 * frees *ret_order with free(). */
tamis_status tamis__order(const double *values, uint64_t rows, bool highest_first,
                          uint64_t **ret_order, tamis_error *err);

/* Take the first `kept` rows of `order`: ranks, keep flags, and the two reasons. */
tamis_status tamis__take(tamis_selection *selection, const uint64_t *order, uint64_t kept,
                         const char *kept_reason, const char *dropped_reason, tamis_error *err);

#endif
