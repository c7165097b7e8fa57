/* round-robin: queries, or groups of them, take their best row in turn.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "select/heads.h"
#include "select/queries.h"
#include "select/row_values.h"
#include "select/values.h"

typedef struct round_robin {
    bool group;
    tamis__group_score best;
} round_robin;

static const char *const by_names[] = {"query", "group", NULL};
static const char *const best_names[] = {"mean", "max", NULL};
static const tamis_param_desc params[] = {
    {.name = "by",
     .help = "who takes a turn: every query, or every group of queries",
     .type = TAMIS_PARAM_CHOICE,
     .choices = by_names},
    {.name = "best",
     .help = "with by=group: the row of the highest mean over its queries, or of the highest "
             "score of any of them",
     .type = TAMIS_PARAM_CHOICE,
     .choices = best_names,
     .fallback = TAMIS__GROUP_MAX},
};

static tamis_status init(void *state, const tamis_param_value *param, tamis_error *err)
{
    round_robin *r = state;
    *r = (round_robin){param[0].number > 0, (tamis__group_score)(int)param[1].number};
    if (param[1].given && !r->group)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "round-robin: best=%s is of groups: say by=group as well",
                           best_names[(int)param[1].number]);
    return TAMIS_OK;
}

static tamis_status take_turns(tamis__picks *picks, tamis__heads *heads, uint32_t *picker,
                               tamis_error *err)
{
    uint64_t without = 0; /* turns that nobody took since the last pick */
    for (uint64_t turn = 0; !tamis__picks_done(picks) && without < heads->columns;
         turn = (turn + 1) % heads->columns) {
        without++;
        if (isnan(heads->value[turn])) continue;
        picker[picks->n] = (uint32_t)turn;
        tamis__picks_add(picks, tamis__heads_row(heads, turn));
        TAMIS_TRY(tamis__heads_advance(heads, err));
        without = 0;
        if (turn == 0)
            TAMIS_TRY(tamis__progress(picks->from->context, "choosing", picks->n,
                                      picks->from->budget, "rows", NULL, err));
    }
    return TAMIS_OK;
}

static tamis_status give(const round_robin *r, const tamis__heads *heads, const uint32_t *picker,
                         tamis_selection *selection, tamis_error *err)
{
    char dropped[256];
    const tamis__candidates *c = heads->picks->from;
    double *value = NULL;
    TAMIS_TRY(tamis__query_matrix_reduce(c->matrix, c->context, tamis__row_max, NULL, &value, err));
    for (uint64_t row = 0; row < c->rows; row++) selection->score[row] = tamis__narrow(value[row]);
    snprintf(dropped, sizeof dropped, "in no %s's turn its best row within %.32s",
             by_names[r->group], c->budget_text);
    tamis_status status = tamis__heads_give(heads, picker, " in its turn", value, dropped,
                                            selection, err);
    free(value);
    return status;
}

static tamis_status go_round(const round_robin *r, const tamis__candidates *c,
                             tamis_selection *selection, tamis_error *err)
{
    tamis__picks picks = {0};
    tamis__heads heads = {0};
    uint32_t *picker = tamis__calloc((size_t)c->rows, sizeof *picker);
    tamis_status status = picker
                              ? tamis__picks_init(&picks, c, err)
                              : tamis__fail_memory(err, "picking rows", c->rows * sizeof *picker);
    if (status == TAMIS_OK)
        status = tamis__heads_init(&heads, &picks, r->group ? c->query_group : NULL, r->best, err);
    if (status == TAMIS_OK) status = take_turns(&picks, &heads, picker, err);
    if (status == TAMIS_OK) status = give(r, &heads, picker, selection, err);
    tamis__heads_fini(&heads);
    tamis__picks_fini(&picks);
    free(picker);
    return status;
}

static tamis_status choose(void *state, const tamis__candidates *c, tamis_selection *selection,
                           tamis_error *err)
{
    const round_robin *r = state;
    tamis__grouped grouped = {0};
    if (!r->group && c->source && c->source->query_group)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "round-robin: groups of queries are of by=group: say that, or leave them "
            "out");
    if (!r->group) return go_round(r, c, selection, err);
    TAMIS_TRY(tamis__grouped_init(&grouped, c, "round-robin:by=group", true, err));
    tamis_status status = go_round(r, &grouped.candidates, selection, err);
    if (status == TAMIS_OK) status = tamis__grouped_explain(&grouped, selection, err);
    tamis__grouped_fini(&grouped);
    return status;
}

const tamis__selector_class tamis__selector_round_robin = {
    .abi = TAMIS__SELECTOR_ABI,
    .info = {.name = "round-robin",
             .summary = "let every query, or group of queries, take its best row in turn",
             .citation = "RDS+ (Ivison et al. 2025, arXiv 2503.01807) and Targeted Instruction "
                         "Selection 2026 (arXiv 2602.14696): in turn the best row not yet taken",
             .flags = TAMIS_SELECTOR_MATRIX | TAMIS_SELECTOR_LISTS | TAMIS_SELECTOR_COSTS |
                      TAMIS_SELECTOR_QUERY_GROUPS,
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .state_size = sizeof(round_robin),
    .init = init,
    .select = choose,
};
