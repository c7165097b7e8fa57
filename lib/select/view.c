/* Columns that are queries, or groups of queries.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "select/matrix_state.h"

tamis_status tamis__view_init(tamis__view *ret_view, const tamis__query_matrix *matrix,
                              const tamis__groups *group, tamis__group_score score,
                              tamis_error *err)
{
    uint64_t *size = NULL;
    if (group) {
        size = tamis__calloc(group->groups, sizeof *size);
        if (!size) return tamis__fail_memory(err, "groups of queries", group->groups * 8);
        for (uint64_t q = 0; q < matrix->queries; q++)
            if (group->of[q] >= 0) size[group->of[q]]++;
    }
    *ret_view = (tamis__view){matrix, group, score, size};
    return TAMIS_OK;
}

void tamis__view_fini(tamis__view *view)
{
    free(view->size);
    *view = (tamis__view){0};
}

uint64_t tamis__view_columns(const tamis__view *view)
{
    return view->group ? view->group->groups : view->matrix->queries;
}

/* How many queries of a group have a score of this row. */
static uint64_t present(const tamis__view *view, uint32_t g, const double *score)
{
    uint64_t n = 0;
    for (uint64_t q = 0; q < view->matrix->queries; q++)
        n += view->group->of[q] == (int32_t)g && !isnan(score[q]);
    return n;
}

/* Where scores hold both infinities, which is no reason to begin anew. */
static bool undefined(const tamis__view *view, uint32_t g, const double *score)
{
    bool up = false, down = false;
    for (uint64_t q = 0; q < view->matrix->queries; q++) {
        if (view->group->of[q] != (int32_t)g || !isinf(score[q])) continue;
        up |= score[q] > 0;
        down |= score[q] < 0;
    }
    return up && down;
}

void tamis__view_row(const tamis__view *view, const double *score, double *out)
{
    const tamis__groups *group = view->group;
    const uint64_t queries = view->matrix->queries;
    bool holes = false, infinite = false;
    if (!group) {
        memcpy(out, score, (size_t)queries * sizeof *out);
        return;
    }
    for (uint32_t g = 0; g < group->groups; g++) out[g] = (double)NAN;
    for (uint64_t q = 0; q < queries; q++) {
        holes |= isnan(score[q]) != 0;
        infinite |= isinf(score[q]) != 0;
        if (isnan(score[q]) || group->of[q] < 0) continue;
        double *value = &out[group->of[q]];
        if (isnan(*value))
            *value = score[q];
        else if (view->score == TAMIS__GROUP_MEAN)
            *value += score[q];
        else if (score[q] > *value)
            *value = score[q];
    }
    if (view->score == TAMIS__GROUP_MAX) return;
    for (uint32_t g = 0; g < group->groups; g++)
        if (!isnan(out[g])) out[g] /= (double)(holes ? present(view, g, score) : view->size[g]);
    for (uint32_t g = 0; infinite && g < group->groups; g++)
        if (undefined(view, g, score)) out[g] = (double)NAN;
}
