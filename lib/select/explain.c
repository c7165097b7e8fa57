/* Why a row is in a selection, and how two selections differ.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/selection.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/correlation.h"
#include "base/error.h"
#include "base/mem.h"

/* --- one row ---------------------------------------------------------------------------------- */

static float border_of(const tamis_selection *s)
{
    uint64_t last = TAMIS_NO_ROW;
    for (uint64_t row = 0; row < s->rows; row++)
        if (s->keep[row] && (last == TAMIS_NO_ROW || s->rank[row] > s->rank[last])) last = row;
    return last == TAMIS_NO_ROW ? NAN : s->score[last];
}

static void find_group(const tamis_selection *s, uint64_t row, tamis_explanation *e)
{
    const int32_t *group = s->examples.group ? s->examples.group : s->examples.label;
    e->group = group ? group[row] : -1;
    for (uint64_t i = 0; i < s->rows && e->group >= 0; i++) {
        if (group[i] != e->group) continue;
        e->group_rows++;
        e->group_kept += s->keep[i] != 0;
    }
}

static void find_twin(const tamis_selection *s, uint64_t row, tamis_explanation *e)
{
    const uint64_t *digest = s->examples.digest;
    e->twin = TAMIS_NO_ROW;
    for (uint64_t i = 0; digest && digest[row] && i < s->rows && !e->twin_kept; i++) {
        if (i == row || digest[i] != digest[row]) continue;
        if (e->twin == TAMIS_NO_ROW || s->keep[i]) e->twin = i;
        e->twin_kept = s->keep[i] != 0;
    }
}

tamis_status tamis_selection_explain(const tamis_selection *s, uint64_t row,
                                     tamis_explanation *ret_explanation, tamis_error *err)
{
    if (row >= s->rows)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "there is no row %" PRIu64 ": the selection has %" PRIu64, row, s->rows);
    tamis_explanation e = {.keep = s->keep[row] != 0,
                           .rank = s->rank[row],
                           .score = s->score[row],
                           .weight = s->weight[row],
                           .border = border_of(s)};
    uint16_t reason = s->reason[row];
    e.reason = reason < s->reasons ? s->reason_text[reason] : "";
    find_group(s, row, &e);
    find_twin(s, row, &e);
    *ret_explanation = e;
    return TAMIS_OK;
}

/* --- two selections --------------------------------------------------------------------------- */

static bool same_id(const tamis_examples *a, const tamis_examples *b, uint64_t row)
{
    if (!a->id_text != !b->id_text) return false;
    if (a->id_text) return !strcmp(a->id_text[row], b->id_text[row]);
    uint64_t x = a->id_number ? a->id_number[row] : row;
    uint64_t y = b->id_number ? b->id_number[row] : row;
    return x == y;
}

/* An unknown digest says nothing. */
static bool same_digest(const tamis_examples *a, const tamis_examples *b, uint64_t row)
{
    if (!a->digest || !b->digest || !a->digest[row] || !b->digest[row]) return true;
    return a->digest[row] == b->digest[row];
}

static tamis_status check_same(const tamis_selection *a, const tamis_selection *b, tamis_error *err)
{
    if (a->rows != b->rows)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "the selections are of %" PRIu64 " and of %" PRIu64
                           " candidates: compare selections of the same ones",
                           a->rows, b->rows);
    for (uint64_t row = 0; row < a->rows; row++)
        if (!same_id(&a->examples, &b->examples, row) ||
            !same_digest(&a->examples, &b->examples, row))
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "the selections are of other candidates: row %" PRIu64
                               " is not the same in both",
                               row);
    return TAMIS_OK;
}

static tamis_status rank_correlation(const tamis_selection *a, const tamis_selection *b,
                                     double *ret_spearman, tamis_error *err)
{
    double *x = tamis__malloc((size_t)a->rows, 2 * sizeof *x), *y = x ? x + a->rows : NULL;
    if (!x) return tamis__fail_memory(err, "ranks", a->rows * 2 * sizeof *x);
    for (uint64_t row = 0; row < a->rows; row++) {
        x[row] = (double)a->rank[row];
        y[row] = (double)b->rank[row];
    }
    if (!tamis__correlation(x, y, NULL, a->rows, ret_spearman)) *ret_spearman = (double)NAN;
    free(x);
    return TAMIS_OK;
}

static int by_rank(const void *left, const void *right, void *arg)
{
    const tamis_selection *s = arg;
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (s->rank[a] > s->rank[b]) - (s->rank[a] < s->rank[b]);
}

/* Rows that the first keeps and the second does not. */
static tamis_status only_first(const tamis_selection *a, const tamis_selection *b, uint64_t n,
                               uint64_t **ret_rows, tamis_error *err)
{
    uint64_t *list = tamis__malloc((size_t)n, sizeof *list), at = 0;
    if (!list) return tamis__fail_memory(err, "a list of rows", n * sizeof *list);
    for (uint64_t row = 0; row < a->rows; row++)
        if (a->keep[row] && !b->keep[row]) list[at++] = row;
    qsort_r(list, (size_t)n, sizeof *list, by_rank, (void *)(uintptr_t)a);
    *ret_rows = list;
    return TAMIS_OK;
}

typedef struct ranks {
    const uint64_t *a, *b;
} ranks;

static int by_distance(const void *left, const void *right, void *arg)
{
    const ranks *r = arg;
    uint64_t x = *(const uint64_t *)left, y = *(const uint64_t *)right;
    uint64_t far_x = r->a[x] > r->b[x] ? r->a[x] - r->b[x] : r->b[x] - r->a[x];
    uint64_t far_y = r->a[y] > r->b[y] ? r->a[y] - r->b[y] : r->b[y] - r->a[y];
    if (far_x != far_y) return far_x > far_y ? -1 : 1;
    return (x > y) - (x < y);
}

static tamis_status farthest_first(const tamis_selection *a, const tamis_selection *b,
                                   uint64_t **ret_rows, tamis_error *err)
{
    uint64_t *list = tamis__malloc((size_t)a->rows, sizeof *list);
    ranks r = {a->rank, b->rank};
    if (!list) return tamis__fail_memory(err, "a list of rows", a->rows * sizeof *list);
    for (uint64_t row = 0; row < a->rows; row++) list[row] = row;
    qsort_r(list, (size_t)a->rows, sizeof *list, by_distance, &r);
    *ret_rows = list;
    return TAMIS_OK;
}

tamis_status tamis_selection_compare(const tamis_selection *a, const tamis_selection *b,
                                     tamis_selection_diff *ret_diff, tamis_error *err)
{
    TAMIS_TRY(check_same(a, b, err));
    tamis_selection_diff d = {.rows = a->rows};
    for (uint64_t row = 0; row < a->rows; row++) {
        d.kept_a += a->keep[row] != 0;
        d.kept_b += b->keep[row] != 0;
        d.both += a->keep[row] && b->keep[row];
    }
    uint64_t either = d.kept_a + d.kept_b - d.both;
    d.jaccard = either ? (double)d.both / (double)either : 1;
    tamis_status status = rank_correlation(a, b, &d.spearman, err);
    if (status == TAMIS_OK) status = only_first(a, b, d.kept_a - d.both, &d.only_a, err);
    if (status == TAMIS_OK) status = only_first(b, a, d.kept_b - d.both, &d.only_b, err);
    if (status == TAMIS_OK) status = farthest_first(a, b, &d.moved, err);
    if (status == TAMIS_OK)
        *ret_diff = d;
    else
        tamis_selection_diff_fini(&d);
    return status;
}

void tamis_selection_diff_fini(tamis_selection_diff *diff)
{
    free(diff->only_a);
    free(diff->only_b);
    free(diff->moved);
    *diff = (tamis_selection_diff){0};
}
