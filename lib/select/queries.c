/* What the driver gathers for selectors that look at every query's scores.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/queries.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "select/greedy.h"

/* Of arrays that have an entry for each group; lists of its best rows come on top. */
#define BYTES_OF_GROUP UINT64_C(64)

static tamis_status take_groups(tamis__query_scores *s, const tamis_select_params *params,
                                tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(params->scores);
    s->group = (tamis__groups){.n = info->queries};
    if (params->query_group) {
        s->group.groups = params->query_groups;
        s->group.of = params->query_group;
        s->group.name = params->query_group_name;
    } else if (info->query.group && info->query.groups > 0) {
        s->group.groups = info->query.groups;
        s->group.of = info->query.group;
        s->group.name = info->query.group_name;
    } else {
        s->of = tamis__calloc((size_t)info->queries, sizeof *s->of);
        if (!s->of) return tamis__fail_memory(err, "groups of queries", info->queries * 4);
        s->group.groups = 1;
        s->group.of = s->of;
    }
    for (uint64_t q = 0; q < info->queries; q++)
        if (s->group.of[q] >= 0 && (uint32_t)s->group.of[q] >= s->group.groups)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "query %" PRIu64 " is in group %" PRId32 ", and there are %" PRIu32
                               ": number groups from 0",
                               q, s->group.of[q], s->group.groups);
    return TAMIS_OK;
}

static tamis_status open_all(tamis__query_scores *s, tamis_context *context,
                             const tamis_select_params *params, tamis_normalise normalise,
                             const tamis__groups *group, const uint8_t *standing, tamis_error *err)
{
    uint64_t rows = tamis_scores_info_get(params->scores)->rows;
    TAMIS_TRY(take_groups(s, params, err));
    s->standing = tamis__calloc((size_t)rows, 1);
    if (!s->standing) return tamis__fail_memory(err, "candidates", rows);
    if (standing) memcpy(s->standing, standing, (size_t)rows);
    TAMIS_TRY(tamis__query_matrix_open(&s->matrix, context, params->scores, normalise, group,
                                       s->standing, err));
    /* After the pass over the scores, for which they make no difference. */
    const uint8_t *lacking = tamis__query_matrix_lacking(s->matrix);
    for (uint64_t row = 0; row < rows; row++)
        if (lacking[row] && s->standing[row] != TAMIS__MUST_KEEP) s->standing[row] = TAMIS__BARRED;
    return TAMIS_OK;
}

tamis_status tamis__query_scores_open(tamis__query_scores *ret_scores, tamis_context *context,
                                      const tamis_select_params *params, tamis_normalise normalise,
                                      const tamis__groups *group, const uint8_t *standing,
                                      tamis_error *err)
{
    tamis__query_scores s = {0};
    tamis_status status = open_all(&s, context, params, normalise, group, standing, err);
    if (status == TAMIS_OK)
        *ret_scores = s;
    else
        tamis__query_scores_close(&s);
    return status;
}

/* --- groups of queries ------------------------------------------------------------------------ */

static tamis_status check_groups(const tamis__candidates *c, const char *selector, bool asked,
                                 tamis_error *err)
{
    bool any = false;
    TAMIS_TRY(tamis__memory_check(c->context, c->query_group->groups * BYTES_OF_GROUP,
                                  "groups of queries (number them from 0)", err));
    for (uint64_t q = 0; q < c->query_group->n; q++) any |= c->query_group->of[q] >= 0;
    if (!any)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "%s looks at groups of queries, and no query is in one: name some",
                           selector);
    const tamis_examples *query = &tamis_scores_info_get(c->source->scores)->query;
    if (asked && !c->source->query_group && !(query->group && query->groups > 0))
        tamis__log(c->context, TAMIS_LOG_WARNING,
                   "%s: no groups of queries are known, so all queries are one: give them",
                   selector);
    return TAMIS_OK;
}

/* Any number if a query that is in a group has a score, else NaN. */
static double any_grouped(const void *arg, const double *score, uint64_t queries)
{
    const tamis__groups *group = arg;
    for (uint64_t q = 0; q < queries; q++)
        if (group->of[q] >= 0 && !isnan(score[q])) return 0;
    return (double)NAN;
}

static tamis_status check_left(const tamis__candidates *c, tamis_error *err)
{
    uint64_t left = 0;
    for (uint64_t row = 0; row < c->rows; row++)
        left += tamis__picks_free(c, row) || (c->standing && c->standing[row] == TAMIS__MUST_KEEP);
    if (left >= c->budget || (c->cost && left > 0)) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "budget '%s': only %" PRIu64 " rows have a score of a query that is in a "
                       "group: ask for at most that many, or put more queries in groups",
                       c->budget_text, left);
}

tamis_status tamis__grouped_init(tamis__grouped *ret_grouped, const tamis__candidates *candidates,
                                 const char *selector, bool asked, tamis_error *err)
{
    tamis__grouped g = {.candidates = *candidates};
    TAMIS_TRY(check_groups(candidates, selector, asked, err));
    /* Otherwise a row has all scores or none. */
    if (tamis_scores_info_get(candidates->source->scores)->partial) {
        TAMIS_TRY(tamis__query_matrix_reduce(candidates->matrix, candidates->context, any_grouped,
                                             candidates->query_group, &g.value, err));
        g.candidates.value = g.value;
    }
    tamis_status status = check_left(&g.candidates, err);
    if (status == TAMIS_OK)
        *ret_grouped = g;
    else
        tamis__grouped_fini(&g);
    return status;
}

tamis_status tamis__grouped_explain(const tamis__grouped *g, tamis_selection *selection,
                                    tamis_error *err)
{
    bool known = false;
    uint16_t reason = 0;
    const uint8_t *standing = g->candidates.standing;
    for (uint64_t row = 0; row < selection->rows && g->value; row++) {
        if (!isnan(g->value[row]) || (standing && standing[row] != TAMIS__FREE)) continue;
        if (!known)
            TAMIS_TRY(tamis_selection_reason(selection, "no score of a query that is in a group",
                                             &reason, err));
        known = true;
        selection->reason[row] = reason;
    }
    return TAMIS_OK;
}

void tamis__grouped_fini(tamis__grouped *grouped)
{
    free(grouped->value);
    *grouped = (tamis__grouped){0};
}

void tamis__query_scores_close(tamis__query_scores *scores)
{
    tamis__query_matrix_close(&scores->matrix);
    free(scores->of);
    free(scores->standing);
    *scores = (tamis__query_scores){0};
}
