/* Laying out what scores files hold besides a matrix: lists of rows for each query, and the
 * statistics of the columns.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "export/source.h"

static tamis__field *add(tamis__export_source *s, const char *name, tamis__field_type type,
                         const void *values)
{
    tamis__field *field = &s->field[s->fields++];
    *field = (tamis__field){.name = name, .type = type, .values = values};
    return field;
}

/* --- entries of lists ------------------------------------------------------------------------- */

/* One after another: the top lists of all queries, then the bottom lists. */
static tamis_status make_room(tamis__entries *e, tamis_context *context, uint64_t n,
                              tamis_error *err)
{
    uint64_t bytes = n * (3 * sizeof(uint64_t) + sizeof(float) + 1);
    TAMIS_TRY(tamis__memory_check(context, bytes, "exporting lists", err));
    e->query = tamis__malloc((size_t)n, sizeof *e->query);
    e->rank = tamis__malloc((size_t)n, sizeof *e->rank);
    e->row = tamis__malloc((size_t)n, sizeof *e->row);
    e->score = tamis__malloc((size_t)n, sizeof *e->score);
    e->which = tamis__malloc((size_t)n, 1);
    if (e->query && e->rank && e->row && e->score && e->which) return TAMIS_OK;
    return tamis__fail_memory(err, "exporting lists", bytes);
}

static tamis_status read_lists(tamis__export_source *s, tamis_scores_list which, uint64_t places,
                               tamis_error *err)
{
    tamis__entries *e = &s->entries;
    uint64_t queries = tamis_scores_info_get(s->scores)->queries, first = s->rows;
    if (places == 0) return TAMIS_OK;
    TAMIS_TRY(tamis_scores_read_list(s->scores, which, 0, queries, e->row + first, e->score + first,
                                     err));
    for (uint64_t q = 0; q < queries; q++)
        for (uint64_t i = 0; i < places; i++) {
            uint64_t at = first + q * places + i;
            e->query[at] = q;
            e->rank[at] = i + 1;
            e->which[at] = which == TAMIS_SCORES_BOTTOM;
        }
    s->rows += queries * places;
    return TAMIS_OK;
}

/* Which ends, as places for each; 0 = not wanted. */
static tamis_status choose_ends(const tamis__export_source *s, const char *what, const char *list,
                                uint64_t ret_places[2], tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(s->scores);
    bool both = !list && !strcmp(what, "table");
    bool top = both || !list || !strcmp(list, "top"), bottom = list && !strcmp(list, "bottom");
    if (!top && !bottom)
        return tamis__fail(err, TAMIS_ERR_ARG, "there is no list '%s': it is top or bottom", list);
    if (bottom && info->bottom == 0)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s' has no bottom lists: score with --bottom to have them", s->path);
    ret_places[0] = top ? info->top : 0;
    ret_places[1] = both || bottom ? info->bottom : 0;
    return TAMIS_OK;
}

static void add_query(tamis__export_source *s)
{
    add(s, "query", TAMIS__FIELD_COUNT, s->entries.query);
    tamis__field *id = add(s, "query-id", TAMIS__FIELD_ID, NULL);
    id->of = &tamis_scores_info_get(s->scores)->query;
    id->at = s->entries.query;
    add(s, "rank", TAMIS__FIELD_COUNT, s->entries.rank);
}

tamis_status tamis__lay_out_lists(tamis__export_source *s, tamis_context *context, const char *what,
                                  const char *list, tamis_error *err)
{
    tamis__entries *e = &s->entries;
    uint64_t places[2] = {0, 0};
    TAMIS_TRY(choose_ends(s, what, list, places, err));
    uint64_t queries = tamis_scores_info_get(s->scores)->queries;
    TAMIS_TRY(make_room(e, context, queries * (places[0] + places[1]), err));
    s->rows = 0;
    TAMIS_TRY(read_lists(s, TAMIS_SCORES_TOP, places[0], err));
    TAMIS_TRY(read_lists(s, TAMIS_SCORES_BOTTOM, places[1], err));
    s->taken = e->row;
    s->width = places[0] > 0 ? places[0] : places[1];
    s->text_only = !strcmp(what, "table");
    add_query(s);
    s->main = s->fields;
    if (strcmp(what, "score") != 0) {
        add(s, "row", TAMIS__FIELD_COUNT, e->row);
        add(s, "id", TAMIS__FIELD_ID, NULL)->at = e->row;
    }
    if (strcmp(what, "row") != 0) add(s, "score", TAMIS__FIELD_FLOAT, e->score);
    if (s->text_only) add(s, "which", TAMIS__FIELD_WHICH, e->which);
    return TAMIS_OK;
}

void tamis__entries_fini(tamis__entries *entries)
{
    free(entries->query);
    free(entries->rank);
    free(entries->row);
    free(entries->score);
    free(entries->which);
}

/* --- statistics ------------------------------------------------------------------------------- */

tamis_status tamis__lay_out_statistics(tamis__export_source *s, const char *what, tamis_error *err)
{
    const tamis_scores_info *info = tamis_scores_info_get(s->scores);
    if (!info->column_count)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' has no statistics recorded", s->path);
    s->examples = &info->query;
    s->rows = info->queries;
    add(s, "query", TAMIS__FIELD_ROW, NULL);
    add(s, "query-id", TAMIS__FIELD_ID, NULL);
    s->main = s->fields;
    if (!strcmp(what, "count"))
        add(s, what, TAMIS__FIELD_COUNT, info->column_count);
    else
        add(s, what, TAMIS__FIELD_DOUBLE,
            !strcmp(what, "mean") ? info->column_mean : info->column_variance);
    return TAMIS_OK;
}
