/* Labels and groups before and after a selection.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "tallies.h"

#include <inttypes.h>
#include <stdlib.h>

#define MAX_LINES 20

typedef struct tally {
    int32_t value;
    uint64_t before, after;
} tally;

typedef struct marked {
    int32_t value;
    uint8_t kept;
} marked;

static int by_value(const void *a, const void *b)
{
    int32_t x = ((const marked *)a)->value, y = ((const marked *)b)->value;
    return (x > y) - (x < y);
}

/* Distinct values in ascending order, allocated; NULL when memory runs out. */
static tally *count_values(const int32_t *value, const uint8_t *keep, uint64_t rows, size_t *ret_n)
{
    marked *sorted = calloc(rows ? rows : 1, sizeof *sorted);
    if (!sorted) return NULL;
    size_t n = 0;
    for (uint64_t i = 0; i < rows; i++) sorted[i] = (marked){value[i], keep[i]};
    qsort(sorted, rows, sizeof *sorted, by_value);
    for (uint64_t i = 0; i < rows; i++) n += i == 0 || sorted[i].value != sorted[i - 1].value;
    tally *table = calloc(n ? n : 1, sizeof *table);
    size_t at = 0;
    for (uint64_t i = 0; table && i < rows; i++) {
        if (i && sorted[i].value != sorted[i - 1].value) at++;
        table[at].value = sorted[i].value;
        table[at].before++;
        table[at].after += sorted[i].kept;
    }
    free(sorted);
    *ret_n = n;
    return table;
}

typedef struct column {
    const char *title, *plural;
    const int32_t *value;
    const char *const *name; /* NULL = numbers */
    uint32_t names;
} column;

static const char *name_of(const column *c, int32_t value, char *buffer, size_t size)
{
    if (c->name && value >= 0 && (uint32_t)value < c->names) return c->name[value];
    snprintf(buffer, size, "%" PRId32, value);
    return buffer;
}

static void human_tallies(report *r, const column *c, const tally *table, size_t n)
{
    char number[16];
    size_t shown = n < MAX_LINES ? n : MAX_LINES;
    report_line(r, "\n%-16s %10s %10s %8s", c->title, "before", "after", "kept");
    for (size_t i = 0; i < shown; i++)
        report_line(r, "%-16s %10" PRIu64 " %10" PRIu64 " %7.1f%%",
                    name_of(c, table[i].value, number, sizeof number), table[i].before,
                    table[i].after, 100.0 * (double)table[i].after / (double)table[i].before);
    if (shown < n) report_line(r, "... and %zu more (--json has all)", n - shown);
}

static void json_tallies(json *j, const column *c, const tally *table, size_t n)
{
    char number[16];
    json_put_array(j, c->plural);
    for (size_t i = 0; i < n; i++) {
        json_put_object(j, NULL);
        json_put_int(j, "value", table[i].value);
        if (c->name) json_put_text(j, "name", name_of(c, table[i].value, number, sizeof number));
        json_put_uint(j, "before", table[i].before);
        json_put_uint(j, "after", table[i].after);
        json_close(j);
    }
    json_close(j);
}

static tamis_status report_column(report *r, const column *c, const tamis_selection *sel,
                                  tamis_error *err)
{
    size_t n;
    if (!c->value || (!r->human && !r->machine)) return TAMIS_OK;
    tally *table = count_values(c->value, sel->keep, sel->rows, &n);
    if (!table) return fail_memory(err);
    if (r->human) human_tallies(r, c, table, n);
    if (r->machine) json_tallies(&r->j, c, table, n);
    free(table);
    return TAMIS_OK;
}

tamis_status tallies_report(report *r, const tamis_selection *sel, tamis_error *err)
{
    const tamis_examples *e = &sel->examples;
    column labels = {.title = "label",
                     .plural = "labels",
                     .value = e->label,
                     .name = e->class_name,
                     .names = e->classes};
    column groups = {.title = "group",
                     .plural = "groups",
                     .value = e->group,
                     .name = e->group_name,
                     .names = e->groups};
    TRY(report_column(r, &labels, sel, err));
    return report_column(r, &groups, sel, err);
}
