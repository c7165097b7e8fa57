/* tamis diff: how two selections differ.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdlib.h>

#include "select.h"

/* Rows that people are shown of each side. */
#define SHOWN 10

/* Rows of both whose ranks differ most. */
#define MOVERS 5

typedef struct diff_args {
    common_args common;
    const char *a, *b;
} diff_args;

#define AT(field) offsetof(diff_args, field)

static const operand operands[] = {
    {.name = "A.h5", .help = "a selection", .min = 1, .max = 1, .at = AT(a), .file = true},
    {.name = "B.h5",
     .help = "another one of the same candidates",
     .min = 1,
     .max = 1,
     .at = AT(b),
     .file = true},
};

static void list_rows(report *r, const char *key, const char *title, const tamis_selection *sel,
                      const tamis_selection *other, const uint64_t *row, uint64_t n)
{
    char id[4096];
    if (r->machine) json_put_array(&r->j, key);
    if (n > 0)
        report_line(r, "\n%s: %" PRIu64 " rows, in the order in which they were chosen", title, n);
    for (uint64_t i = 0; i < n; i++) {
        select_id(sel, row[i], id, sizeof id);
        if (r->machine) json_put_text(&r->j, NULL, id);
        if (i < SHOWN)
            report_line(r, "  %-16s rank %" PRIu64 ", in the other %" PRIu64, id,
                        sel->rank[row[i]] + 1, other->rank[row[i]] + 1);
    }
    if (n > SHOWN) report_line(r, "  ... and %" PRIu64 " more (--json has all)", n - SHOWN);
    if (r->machine) json_close(&r->j);
}

/* Rows whose ranks are farthest apart; none where all ranks are the same. */
static void list_movers(report *r, const tamis_selection *a, const tamis_selection *b,
                        const uint64_t *row)
{
    char id[4096];
    if (r->machine) json_put_array(&r->j, "moved");
    for (uint64_t i = 0; i < a->rows && i < MOVERS; i++) {
        if (a->rank[row[i]] == b->rank[row[i]]) break;
        if (i == 0) report_line(r, "\nfarthest moved");
        select_id(a, row[i], id, sizeof id);
        report_line(r, "  %-16s rank %" PRIu64 " in A, %" PRIu64 " in B", id, a->rank[row[i]] + 1,
                    b->rank[row[i]] + 1);
        if (!r->machine) continue;
        json_put_object(&r->j, NULL);
        json_put_text(&r->j, "id", id);
        json_put_uint(&r->j, "rank_a", a->rank[row[i]]);
        json_put_uint(&r->j, "rank_b", b->rank[row[i]]);
        json_close(&r->j);
    }
    if (r->machine) json_close(&r->j);
}

typedef struct tally {
    uint64_t rows, a, b;
} tally;

/* [n + 1] by group, the last for rows in none; NULL when memory runs out. */
static tally *count_groups(const int32_t *group, uint32_t n, const tamis_selection *a,
                           const tamis_selection *b)
{
    tally *table = calloc((size_t)n + 1, sizeof *table);
    for (uint64_t row = 0; table && row < a->rows; row++) {
        tally *t = &table[group[row] < 0 ? n : (uint32_t)group[row]];
        t->rows++;
        t->a += a->keep[row] != 0;
        t->b += b->keep[row] != 0;
    }
    return table;
}

/* `name` is NULL for rows in no group. */
static void list_group(report *r, const char *name, const tally *t)
{
    if (t->rows == 0) return;
    report_line(r, "%-16s %10" PRIu64 " %10" PRIu64 " %10" PRIu64, name ? name : "(none)", t->rows,
                t->a, t->b);
    if (!r->machine) return;
    json_put_object(&r->j, NULL);
    json_put_text(&r->j, "name", name);
    json_put_uint(&r->j, "rows", t->rows);
    json_put_uint(&r->j, "kept_a", t->a);
    json_put_uint(&r->j, "kept_b", t->b);
    json_close(&r->j);
}

/* Kept rows of each group, or label where there are no groups, in both. */
static tamis_status group_shift(report *r, const tamis_selection *a, const tamis_selection *b,
                                tamis_error *err)
{
    const tamis_examples *e = &a->examples;
    const int32_t *group = e->group ? e->group : e->label;
    const char *const *name = e->group ? e->group_name : e->class_name;
    uint32_t named = e->group ? e->groups : e->classes, n = 0;
    for (uint64_t row = 0; group && row < a->rows; row++)
        if (group[row] >= 0 && (uint32_t)group[row] >= n) n = (uint32_t)group[row] + 1;
    if (n == 0) return TAMIS_OK;
    tally *table = count_groups(group, n, a, b);
    if (!table) return fail_memory(err);
    report_line(r, "\n%-16s %10s %10s %10s", e->group ? "group" : "label", "rows", "in A", "in B");
    if (r->machine) json_put_array(&r->j, "groups");
    for (uint32_t g = 0; g < n; g++) {
        char text[24];
        snprintf(text, sizeof text, "%" PRIu32, g);
        list_group(r, name && g < named ? name[g] : text, &table[g]);
    }
    list_group(r, NULL, &table[n]);
    if (r->machine) json_close(&r->j);
    free(table);
    return TAMIS_OK;
}

static tamis_status report_diff(const session *s, const tamis_selection *a,
                                const tamis_selection *b, const tamis_selection_diff *d,
                                tamis_error *err)
{
    report r;
    report_begin(&r, s);
    report_text(&r, "selector_a", a->selector);
    report_text(&r, "selector_b", b->selector);
    report_count(&r, "rows", d->rows);
    report_count(&r, "kept_a", d->kept_a);
    report_count(&r, "kept_b", d->kept_b);
    report_count(&r, "both", d->both);
    report_real(&r, "jaccard", d->jaccard, 4);
    report_real(&r, "spearman", d->spearman, 4);
    list_rows(&r, "only_a", "only in A", a, b, d->only_a, d->kept_a - d->both);
    list_rows(&r, "only_b", "only in B", b, a, d->only_b, d->kept_b - d->both);
    list_movers(&r, a, b, d->moved);
    TRY(group_shift(&r, a, b, err));
    report_end(&r);
    return TAMIS_OK;
}

static tamis_status compare(session *s, const diff_args *args, tamis_selection **a,
                            tamis_selection **b, tamis_selection_diff *d, tamis_error *err)
{
    TRY(tamis_selection_load(a, s->context, args->a, err));
    TRY(tamis_selection_load(b, s->context, args->b, err));
    TRY(tamis_selection_compare(*a, *b, d, err));
    return report_diff(s, *a, *b, d, err);
}

static tamis_status run(session *s, const void *cookie, tamis_error *err)
{
    tamis_selection *a = NULL, *b = NULL;
    tamis_selection_diff d = {0};
    tamis_status status = compare(s, cookie, &a, &b, &d, err);
    tamis_selection_diff_fini(&d);
    tamis_selection_free(&a);
    tamis_selection_free(&b);
    return status;
}

const command cmd_diff = {
    .name = "diff",
    .group = "Helpers",
    .summary = "compare two selections of the same candidates",
    .synopsis = "A.h5 B.h5 [OPTIONS]",
    .description = "How many examples both keep, how alike their ranks are (Spearman, over all "
                   "candidates) and which moved farthest, which "
                   "examples only one of them keeps, and what that means for groups. 'tamis select "
                   "diff A.h5 B.h5' is "
                   "the same.",
    .examples = "tamis diff top.h5 bids.h5",
    .operands = operands,
    .n_operands = LEN(operands),
    .common = COMMON_READS,
    .args_size = sizeof(diff_args),
    .run = run,
};
