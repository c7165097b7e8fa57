/* bids: the query, or group of queries, that the rows picked so far serve worst picks next.
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
#include "select/values.h"

/* Picks between two reports of progress. */
#define REPORT 256

static const char *const by_names[] = {"query", "group", NULL};
static const tamis_param_desc params[] = {
    {.name = "by",
     .help = "what is balanced: every query, or every group of queries by the mean of its scores",
     .type = TAMIS_PARAM_CHOICE,
     .choices = by_names},
};

typedef struct bids {
    bool group;
} bids;

static tamis_status init(void *state, const tamis_param_value *param, tamis_error *err)
{
    (void)err;
    *(bids *)state = (bids){param[0].number > 0};
    return TAMIS_OK;
}

/* Columns are queries, or groups with the mean over their queries. A row's utility is the largest
 * of A(row, q) - mean of A(picked, q) over columns q. Of one column the best row is always that at
 * the head of its list: so the largest of all is that of some head. */
typedef struct balance {
    tamis__picks *picks;
    tamis__heads heads;
    const tamis__query_matrix *matrix;
    uint64_t columns;
    double *sum;      /* [columns] over picked rows; a pair without a score adds 0 */
    double *gain;     /* [columns] of its head */
    double *score;    /* [queries] of the row picked last */
    double *value;    /* [columns] of that row */
    uint32_t *picker; /* [rows] the column that made each pick */
} balance;

static tamis_status count_in(balance *b, uint64_t row, tamis_error *err)
{
    TAMIS_TRY(tamis__query_matrix_read(b->matrix, row, 1, b->score, err));
    tamis__view_row(&b->heads.view, b->score, b->value);
    for (uint64_t q = 0; q < b->columns; q++)
        if (!isnan(b->value[q])) b->sum[q] += b->value[q];
    return TAMIS_OK;
}

/* The lowest row among the heads that gain most, and the first column that wants it; UINT64_MAX
 * when no head is left. */
static uint64_t most_wanted(const balance *b, uint32_t *ret_column)
{
    const double *value = b->heads.value;
    double best = -HUGE_VAL, n = b->picks->n ? (double)b->picks->n : 1.0;
    uint64_t row = UINT64_MAX;
    for (uint64_t q = 0; q < b->columns; q++) {
        b->gain[q] = value[q] - b->sum[q] / n; /* NaN where no row is left */
        best = b->gain[q] > best ? b->gain[q] : best;
    }
    for (uint64_t q = 0; q < b->columns; q++) {
        if (!(b->gain[q] >= best)) continue;
        uint64_t head = tamis__heads_row(&b->heads, q);
        if (head < row) *ret_column = (uint32_t)q;
        row = head < row ? head : row;
    }
    return row;
}

static tamis_status pick_all(balance *b, tamis_error *err)
{
    tamis__picks *p = b->picks;
    while (!tamis__picks_done(p)) {
        uint64_t row = most_wanted(b, &b->picker[p->n]);
        if (row == UINT64_MAX) break;
        tamis__picks_add(p, row);
        TAMIS_TRY(count_in(b, row, err));
        TAMIS_TRY(tamis__heads_advance(&b->heads, err));
        if (p->n % REPORT == 0)
            TAMIS_TRY(tamis__progress(p->from->context, "balancing", p->n, p->from->budget, "rows",
                                      NULL, err));
    }
    return TAMIS_OK;
}

static tamis_status prepare(balance *b, const tamis__groups *group, tamis_error *err)
{
    uint64_t queries = tamis__query_matrix_queries(b->matrix);
    TAMIS_TRY(tamis__heads_init(&b->heads, b->picks, group, TAMIS__GROUP_MEAN, err));
    b->columns = b->heads.columns;
    b->sum = tamis__calloc((size_t)b->columns, 3 * sizeof *b->sum);
    b->score = tamis__calloc((size_t)queries, sizeof *b->score);
    b->picker = tamis__calloc((size_t)b->picks->from->rows, sizeof *b->picker);
    if (!b->sum || !b->score || !b->picker)
        return tamis__fail_memory(err, "balancing",
                                  (3 * b->columns + queries) * sizeof *b->sum +
                                      b->picks->from->rows * sizeof *b->picker);
    b->gain = b->sum + b->columns;
    b->value = b->sum + 2 * b->columns;
    for (uint64_t i = 0; i < b->picks->n; i++) TAMIS_TRY(count_in(b, b->picks->row[i], err));
    return TAMIS_OK;
}

/* Means over infinite scores are none. */
static double largest(const void *arg, const double *score, uint64_t queries)
{
    (void)arg;
    double max = -HUGE_VAL;
    for (uint64_t q = 0; q < queries; q++) {
        if (isinf(score[q])) return HUGE_VAL;
        if (score[q] > max) max = score[q];
    }
    return max;
}

static tamis_status check_finite(const double *value, uint64_t rows, tamis_error *err)
{
    for (uint64_t row = 0; row < rows; row++)
        if (isinf(value[row]))
            return tamis__fail(err, TAMIS_ERR_NUMERIC,
                               "row %" PRIu64 ": a score is infinite, and bids takes means of "
                               "scores: normalise by rank, or leave the row out",
                               row);
    return TAMIS_OK;
}

static tamis_status balance_all(const tamis__candidates *c, bool group, tamis_selection *selection,
                                tamis_error *err)
{
    char dropped[256];
    double *value = NULL;
    tamis__picks picks = {0};
    balance b = {.picks = &picks, .matrix = c->matrix};
    TAMIS_TRY(tamis__query_matrix_reduce(c->matrix, c->context, largest, NULL, &value, err));
    tamis_status status = check_finite(value, c->rows, err);
    if (status == TAMIS_OK) status = tamis__picks_init(&picks, c, err);
    if (status == TAMIS_OK) status = prepare(&b, group ? c->query_group : NULL, err);
    if (status == TAMIS_OK) status = pick_all(&b, err);
    if (status == TAMIS_OK) {
        for (uint64_t row = 0; row < c->rows; row++)
            selection->score[row] = tamis__narrow(value[row]);
        snprintf(dropped, sizeof dropped, "no %s served worst picked it within %.32s",
                 by_names[group], c->budget_text);
        status = tamis__heads_give(&b.heads, b.picker, " when served worst", value, dropped,
                                   selection, err);
    }
    tamis__heads_fini(&b.heads);
    tamis__picks_fini(&picks);
    free(b.sum);
    free(b.score);
    free(b.picker);
    free(value);
    return status;
}

static tamis_status choose(void *state, const tamis__candidates *c, tamis_selection *selection,
                           tamis_error *err)
{
    tamis__grouped grouped = {0};
    bool group = ((const bids *)state)->group;
    if (!group && c->source && c->source->query_group)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "bids: groups of queries are of by=group: say that, or leave them out");
    if (!group) return balance_all(c, false, selection, err);
    TAMIS_TRY(tamis__grouped_init(&grouped, c, "bids:by=group", true, err));
    tamis_status status = balance_all(&grouped.candidates, true, selection, err);
    if (status == TAMIS_OK) status = tamis__grouped_explain(&grouped, selection, err);
    tamis__grouped_fini(&grouped);
    return status;
}

const tamis__selector_class tamis__selector_bids = {
    .abi = TAMIS__SELECTOR_ABI,
    .info = {.name = "bids",
             .summary = "balance queries: the one served worst so far picks the next row",
             .citation = "Dai et al. 2025, BIDS, arXiv 2501.12147: normalised by query, then "
                         "argmax over rows of max_q(A(row, q) - mean of A(picked, q))",
             .flags = TAMIS_SELECTOR_MATRIX | TAMIS_SELECTOR_ZSCORE | TAMIS_SELECTOR_LISTS |
                      TAMIS_SELECTOR_COSTS | TAMIS_SELECTOR_QUERY_GROUPS,
             .params = params,
             .n_params = sizeof params / sizeof *params},
    .state_size = sizeof(bids),
    .init = init,
    .select = choose,
};
