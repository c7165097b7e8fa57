/* task-max: the best mean over the queries of a group.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "select/queries.h"
#include "select/row_values.h"

/* Groups are up to so many without memory of their own. */
#define FEW 256

static double best_mean(const void *arg, const double *score, uint64_t queries)
{
    (void)queries;
    const tamis__view *view = arg;
    double few[FEW];
    uint64_t groups = tamis__view_columns(view);
    double *mean = groups > FEW ? tamis__malloc((size_t)groups, sizeof *mean) : few;
    if (!mean) return (double)NAN;
    tamis__view_row(view, score, mean);
    double max = tamis__row_max(NULL, mean, groups);
    if (mean != few) free(mean);
    return max;
}

static tamis_status choose(void *state, const tamis__candidates *c, tamis_selection *selection,
                           tamis_error *err)
{
    (void)state;
    tamis__view view = {0};
    TAMIS_TRY(tamis__need_query_groups(c, "task-max", err));
    TAMIS_TRY(tamis__view_init(&view, c->matrix, c->query_group, TAMIS__GROUP_MEAN, err));
    tamis_status status = tamis__pick_by_row_value(c, best_mean, &view, "best mean of a group",
                                                   selection, err);
    tamis__view_fini(&view);
    return status;
}

const tamis__selector_class tamis__selector_task_max = {
    .abi = TAMIS__SELECTOR_ABI,
    .info = {.name = "task-max",
             .summary = "keep the rows with the highest mean over the queries of any group",
             .citation =
                 "Xia et al. 2024, LESS, arXiv 2402.04333: max over groups of the mean over "
                 "a group's queries of A(row, q)",
             .flags = TAMIS_SELECTOR_MATRIX | TAMIS_SELECTOR_LISTS | TAMIS_SELECTOR_COSTS |
                      TAMIS_SELECTOR_QUERY_GROUPS},
    .select = choose,
};
