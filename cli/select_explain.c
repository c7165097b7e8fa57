/* Why rows are in or out of a selection.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>

#include "select.h"

void select_id(const tamis_selection *sel, uint64_t row, char *buffer, size_t size)
{
    const tamis_examples *e = &sel->examples;
    if (e->id_text)
        snprintf(buffer, size, "%s", e->id_text[row]);
    else
        snprintf(buffer, size, "%" PRIu64, e->id_number ? e->id_number[row] : row);
}

tamis_status select_check_ids(const tamis_examples *examples, uint64_t rows, const opt_list *ids,
                              tamis_error *err)
{
    uint64_t row;
    for (size_t i = 0; i < ids->n; i++)
        TRY(tamis_row_find(examples, rows, ids->item[i], &row, err));
    return TAMIS_OK;
}

static void for_machines(json *j, const tamis_selection *sel, uint64_t row,
                         const tamis_explanation *e)
{
    char id[4096];
    select_id(sel, row, id, sizeof id);
    json_put_object(j, NULL);
    json_put_text(j, "id", id);
    json_put_uint(j, "row", row);
    json_put_bool(j, "keep", e->keep);
    json_put_text(j, "reason", e->reason);
    json_put_uint(j, "rank", e->rank);
    json_put_float(j, "score", e->score);
    json_put_float(j, "border", e->border);
    json_put_float(j, "weight", e->weight);
    if (e->group >= 0) {
        json_put_int(j, "group", e->group);
        json_put_uint(j, "group_rows", e->group_rows);
        json_put_uint(j, "group_kept", e->group_kept);
    }
    if (e->twin != TAMIS_NO_ROW) {
        select_id(sel, e->twin, id, sizeof id);
        json_put_text(j, "twin", id);
        json_put_bool(j, "twin_kept", e->twin_kept);
    }
    json_close(j);
}

static void for_people(report *r, const tamis_selection *sel, uint64_t row,
                       const tamis_explanation *e)
{
    char id[128];
    select_id(sel, row, id, sizeof id);
    report_line(r, "\n%s is %s: %s", id, e->keep ? "kept" : "dropped", e->reason);
    report_line(r, "  rank %" PRIu64 " of %" PRIu64 ", %" PRIu64 " are kept", e->rank + 1,
                sel->rows, sel->kept);
    if (!isnan(e->score))
        report_line(r, "  score %.6g, that of the last kept row %.6g", (double)e->score,
                    (double)e->border);
    if (e->weight != 1.0f && e->keep) report_line(r, "  weight %.6g", (double)e->weight);
    if (e->group >= 0)
        report_line(r, "  of its group %" PRIu64 " of %" PRIu64 " rows are kept", e->group_kept,
                    e->group_rows);
    if (e->twin == TAMIS_NO_ROW) return;
    select_id(sel, e->twin, id, sizeof id);
    report_line(r, "  its record is the same as that of %s, which is %s", id,
                e->twin_kept ? "kept" : "dropped");
}

tamis_status select_explain(report *r, const tamis_selection *sel, const opt_list *ids,
                            tamis_error *err)
{
    if (ids->n == 0) return TAMIS_OK;
    if (r->machine) json_put_array(&r->j, "explained");
    for (size_t i = 0; i < ids->n; i++) {
        uint64_t row;
        tamis_explanation e;
        TRY(tamis_row_find(&sel->examples, sel->rows, ids->item[i], &row, err));
        TRY(tamis_selection_explain(sel, row, &e, err));
        if (r->machine) for_machines(&r->j, sel, row, &e);
        if (r->human) for_people(r, sel, row, &e);
    }
    if (r->machine) json_close(&r->j);
    return TAMIS_OK;
}
