/* Who picked a row is its reason.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "select/find_id.h"
#include "select/heads.h"

/* A column has a reason of its own up to so many of them. */
#define NAMED 1000

/* "query 7", by its id where it has one; "group math" */
static void name_column(const tamis__heads *h, uint32_t column, char *text, size_t size)
{
    char id[160];
    const tamis_select_params *source = h->picks->from->source;
    const tamis__groups *group = h->view.group;
    if (group && group->name) {
        snprintf(text, size, "group %.128s", group->name[column]);
    } else if (group) {
        snprintf(text, size, "group %" PRIu32, column);
    } else {
        tamis__id_text(source && source->scores ? &tamis_scores_info_get(source->scores)->query
                                                : NULL,
                       column, id, sizeof id);
        snprintf(text, size, "query %s", id);
    }
}

/* Rows that had to be kept are told that already. */
static tamis_status explain(const tamis__heads *h, const uint32_t *picker, const char *how,
                            uint32_t *known, tamis_selection *selection, tamis_error *err)
{
    char name[192], text[384];
    const tamis__picks *p = h->picks;
    for (uint64_t i = 0; i < p->n; i++) {
        uint64_t row = p->row[i];
        uint32_t column = picker[i];
        if (p->from->standing && p->from->standing[row] == TAMIS__MUST_KEEP) continue;
        if (known[column] == 0) {
            uint16_t reason = 0;
            name_column(h, column, name, sizeof name);
            snprintf(text, sizeof text, "picked by %s%s (%" PRIu64 " of %" PRIu64 ")", name, how,
                     p->n, p->from->rows);
            TAMIS_TRY(tamis_selection_reason(selection, text, &reason, err));
            known[column] = reason + 1u;
        }
        selection->reason[row] = (uint16_t)(known[column] - 1);
    }
    return TAMIS_OK;
}

tamis_status tamis__heads_give(const tamis__heads *h, const uint32_t *picker, const char *how,
                               const double *value, const char *dropped, tamis_selection *selection,
                               tamis_error *err)
{
    char kept[256];
    const tamis__picks *p = h->picks;
    bool named = h->columns <= NAMED;
    snprintf(kept, sizeof kept, "picked by a %s%s (%" PRIu64 " of %" PRIu64 ")",
             h->view.group ? "group" : "query", how, p->n, p->from->rows);
    TAMIS_TRY(tamis__picks_give(p, value, named ? NULL : kept, dropped, selection, err));
    if (!named) return TAMIS_OK;
    uint32_t *known = tamis__calloc((size_t)h->columns, sizeof *known);
    if (!known) return tamis__fail_memory(err, "reasons", h->columns * sizeof *known);
    tamis_status status = explain(h, picker, how, known, selection, err);
    free(known);
    return status;
}
