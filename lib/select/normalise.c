/* One column of values, normalised.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/correlation.h"
#include "base/error.h"
#include "base/mem.h"
#include "select/matrix.h"
#include "select/scales.h"

const char *const tamis__normalise_names[] = {
    [TAMIS_NORMALISE_NONE] = "none",          [TAMIS_NORMALISE_ZSCORE] = "zscore",
    [TAMIS_NORMALISE_MINMAX] = "minmax",      [TAMIS_NORMALISE_RANK] = "rank",
    [TAMIS_NORMALISE_SOFTMAX] = "softmax",    [TAMIS_NORMALISE_CLASS_ZSCORE] = "class-zscore",
    [TAMIS_NORMALISE_CLASS_ZSCORE + 1] = NULL};

/* Rows in no group are a group of their own, the last one. */
static uint64_t group_of(const tamis__groups *group, uint64_t row)
{
    if (!group) return 0;
    return group->of[row] < 0 ? group->groups : (uint64_t)group->of[row];
}

static tamis_status check_finite(const double *value, uint64_t rows, tamis_normalise normalise,
                                 tamis_error *err)
{
    for (uint64_t row = 0; row < rows; row++)
        if (isinf(value[row]))
            return tamis__fail(err, TAMIS_ERR_NUMERIC,
                               "row %" PRIu64 ": its value is infinite, which %s cannot scale: "
                               "normalise by rank, or leave the row out",
                               row, tamis__normalise_names[normalise]);
    return TAMIS_OK;
}

static tamis_status by_rank(double *value, uint64_t rows, tamis_error *err)
{
    uint64_t n = 0;
    double *some = tamis__malloc((size_t)rows, 2 * sizeof *some);
    uint32_t *order = tamis__malloc((size_t)rows, sizeof *order);
    if (!some || !order) {
        free(some);
        free(order);
        return tamis__fail_memory(err, "ranks", rows * (2 * sizeof *some + sizeof *order));
    }
    double *rank = some + rows;
    for (uint64_t row = 0; row < rows; row++)
        if (!isnan(value[row])) some[n++] = value[row];
    tamis__sort_items(some, n, order);
    tamis__midranks(some, order, NULL, n, rank);
    n = n > 1 ? n - 1 : 1;
    for (uint64_t row = 0, i = 0; row < rows; row++)
        if (!isnan(value[row])) value[row] = (rank[i++] - 1) / (double)n;
    free(some);
    free(order);
    return TAMIS_OK;
}

static void measure(tamis__spread *m, const double *value, uint64_t rows,
                    const tamis__groups *group)
{
    for (uint64_t row = 0; row < rows; row++)
        if (!isnan(value[row])) tamis__spread_count(m, group_of(group, row), value[row]);
    tamis__spread_means(m);
    for (uint64_t row = 0; row < rows; row++)
        if (!isnan(value[row])) tamis__spread_measure(m, group_of(group, row), value[row]);
}

static void apply(const tamis__scales *s, double *value, uint64_t rows, tamis_normalise normalise,
                  const tamis__groups *group)
{
    if (normalise == TAMIS_NORMALISE_SOFTMAX) {
        s->scale[0] = 0;
        for (uint64_t row = 0; row < rows; row++)
            if (!isnan(value[row])) s->scale[0] += exp(value[row] - s->shift[0]);
    }
    for (uint64_t row = 0; row < rows; row++) {
        uint64_t g = group_of(group, row);
        double moved = value[row] - s->shift[g];
        value[row] = (normalise == TAMIS_NORMALISE_SOFTMAX ? exp(moved) : moved) / s->scale[g];
    }
}

tamis_status tamis__normalise(double *value, uint64_t rows, tamis_normalise normalise,
                              const tamis__groups *group, const uint8_t *standing, tamis_error *err)
{
    tamis__spread spread = {0};
    tamis__scales scales = {0};
    bool classes = normalise == TAMIS_NORMALISE_CLASS_ZSCORE;
    if (classes && !group)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "class-zscore needs groups of candidates: give them, or use zscore");
    for (uint64_t row = 0; row < rows && standing; row++)
        if (standing[row] == TAMIS__BARRED) value[row] = (double)NAN;
    if (normalise == TAMIS_NORMALISE_NONE) return TAMIS_OK;
    if (normalise == TAMIS_NORMALISE_RANK) return by_rank(value, rows, err);
    TAMIS_TRY(check_finite(value, rows, normalise, err));
    if (!classes) group = NULL;
    TAMIS_TRY(tamis__spread_init(&spread, group ? (uint64_t)group->groups + 1 : 1, err));
    measure(&spread, value, rows, group);
    tamis_status status = tamis__scales_of(&spread, normalise, &scales, err);
    if (status == TAMIS_OK) apply(&scales, value, rows, normalise, group);
    tamis__spread_fini(&spread);
    free(scales.shift);
    return status;
}
