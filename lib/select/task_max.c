/* task-max: the best mean over the queries of a group.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "select/queries.h"
#include "select/row_values.h"

/* Groups are up to so many without memory of their own. */
#define FEW 256

/* A group whose scores hold both infinities has no mean: then nor has the row. */
static bool undefined(const tamis__view *view, const double *score, const double *mean,
                      uint64_t queries)
{
    for (uint64_t q = 0; q < queries; q++) {
        int32_t g = view->group->of[q];
        if (g >= 0 && isnan(mean[g]) && !isnan(score[q])) return true;
    }
    return false;
}

/* NaN where no group has a mean. */
static double largest(const double *mean, uint64_t groups)
{
    double max = (double)NAN;
    for (uint64_t g = 0; g < groups; g++)
        if (!isnan(mean[g]) && !(mean[g] <= max)) max = mean[g];
    return max;
}

static double best_mean(const void *arg, const double *score, uint64_t queries)
{
    const tamis__view *view = arg;
    double few[FEW];
    uint64_t groups = tamis__view_columns(view);
    double *mean = groups > FEW ? tamis__malloc((size_t)groups, sizeof *mean) : few;
    if (!mean) return (double)NAN;
    tamis__view_row(view, score, mean);
    double max = undefined(view, score, mean, queries) ? (double)NAN : largest(mean, groups);
    if (mean != few) free(mean);
    return max;
}

static tamis_status choose(void *state, const tamis__candidates *c, tamis_selection *selection,
                           tamis_error *err)
{
    (void)state;
    tamis__view view = {0};
    tamis__grouped grouped = {0};
    TAMIS_TRY(tamis__grouped_init(&grouped, c, "task-max", false, err));
    tamis_status status = tamis__view_init(&view, c->matrix, c->query_group, TAMIS__GROUP_MEAN,
                                           err);
    if (status == TAMIS_OK)
        status = tamis__pick_by_row_value(&grouped.candidates, best_mean, &view,
                                          "best mean of a group", selection, err);
    if (status == TAMIS_OK) status = tamis__grouped_explain(&grouped, selection, err);
    tamis__view_fini(&view);
    tamis__grouped_fini(&grouped);
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
