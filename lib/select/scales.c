/* What columns of scores are normalised by: means, deviations and extremes.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/scales.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"

uint64_t tamis__spread_bytes(uint64_t columns)
{
    return columns * 5 * sizeof(double);
}

tamis_status tamis__spread_init(tamis__spread *ret_spread, uint64_t columns, tamis_error *err)
{
    double *all = tamis__malloc((size_t)columns, 5 * sizeof *all);
    if (!all) return tamis__fail_memory(err, "means of scores", tamis__spread_bytes(columns));
    *ret_spread = (tamis__spread){.columns = columns,
                                  .count = all,
                                  .mean = all + columns,
                                  .squares = all + 2 * columns,
                                  .lowest = all + 3 * columns,
                                  .highest = all + 4 * columns};
    tamis__spread_clear(ret_spread);
    return TAMIS_OK;
}

void tamis__spread_fini(tamis__spread *spread)
{
    free(spread->count);
    *spread = (tamis__spread){0};
}

void tamis__spread_clear(tamis__spread *m)
{
    for (uint64_t c = 0; c < m->columns; c++) {
        m->count[c] = m->mean[c] = m->squares[c] = 0;
        m->lowest[c] = HUGE_VAL;
        m->highest[c] = -HUGE_VAL;
    }
}

void tamis__spread_means(tamis__spread *m)
{
    for (uint64_t c = 0; c < m->columns; c++)
        if (m->count[c] > 0) m->mean[c] /= m->count[c];
}

void tamis__spread_add(tamis__spread *m, const tamis__spread *more)
{
    for (uint64_t c = 0; c < m->columns; c++) {
        if (more->count[c] <= 0) continue;
        double before = m->count[c], all = before + more->count[c];
        double difference = more->mean[c] - m->mean[c];
        m->mean[c] += difference * (more->count[c] / all);
        m->squares[c] += more->squares[c] +
                         difference * difference * (before * (more->count[c] / all));
        m->count[c] = all;
        if (more->lowest[c] < m->lowest[c]) m->lowest[c] = more->lowest[c];
        if (more->highest[c] > m->highest[c]) m->highest[c] = more->highest[c];
    }
}

static void scale_of(const tamis__spread *m, uint64_t c, tamis_normalise normalise,
                     double *ret_shift, double *ret_scale)
{
    bool constant = !(m->highest[c] > m->lowest[c]);
    double deviation = m->count[c] > 0 ? sqrt(m->squares[c] / m->count[c]) : 0;
    *ret_shift = m->lowest[c];
    *ret_scale = 1;
    switch (normalise) {
    case TAMIS_NORMALISE_ZSCORE:
    case TAMIS_NORMALISE_CLASS_ZSCORE:
        /* Not when differences are so small that their squares vanish. */
        if (constant || deviation <= 0) break;
        *ret_shift = m->mean[c];
        *ret_scale = deviation;
        break;
    case TAMIS_NORMALISE_MINMAX:
        if (!constant) *ret_scale = m->highest[c] - m->lowest[c];
        break;
    case TAMIS_NORMALISE_SOFTMAX: *ret_shift = m->highest[c]; break;
    case TAMIS_NORMALISE_RANK: *ret_scale = m->count[c] > 1 ? m->count[c] - 1 : 1; break;
    case TAMIS_NORMALISE_NONE: break;
    }
}

tamis_status tamis__scales_of(const tamis__spread *spread, tamis_normalise normalise,
                              tamis__scales *ret_scales, tamis_error *err)
{
    double *all = tamis__malloc((size_t)spread->columns, 2 * sizeof *all);
    if (!all) return tamis__fail_memory(err, "scales of scores", spread->columns * 2 * sizeof *all);
    *ret_scales = (tamis__scales){all, all + spread->columns};
    for (uint64_t c = 0; c < spread->columns; c++)
        scale_of(spread, c, normalise, &ret_scales->shift[c], &ret_scales->scale[c]);
    return TAMIS_OK;
}
