/* For each query, or group of queries, the best row that is still to be had.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/heads.h"

#include <math.h>
#include <stdlib.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"

/* Lists begin with a few times as many rows as a query would pick if all picked equally often. */
#define SHARES   4
#define SHORTEST 64

static uint64_t shorter(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* As many rows as can still be picked, at most: a list of them cannot run out. With costs of 0
 * there is no telling but by the free rows. */
static uint64_t longest(const tamis__heads *h)
{
    const tamis__picks *p = h->picks;
    uint64_t most = p->free_rows;
    if (!p->from->cost) most = shorter(most, p->left > 0 ? (uint64_t)p->left : 0);
    return most > 0 ? most : 1;
}

static tamis_status make(tamis__heads *h, tamis_error *err)
{
    const tamis__candidates *from = h->picks->from;
    uint8_t *skip = tamis__malloc((size_t)from->rows, 1);
    if (!skip) return tamis__fail_memory(err, "the best rows of each query", from->rows);
    for (uint64_t row = 0; row < from->rows; row++)
        skip[row] = h->picks->taken[row] != TAMIS__PICK_OPEN || !tamis__picks_free(from, row);
    h->k = shorter(h->k, longest(h));
    h->all = h->k >= longest(h);
    free(h->list);
    h->list = NULL;
    tamis_status status = tamis__query_matrix_best(&h->view, from->context, skip, h->k, &h->list,
                                                   err);
    free(skip);
    if (status != TAMIS_OK) return status;
    h->made++;
    for (uint64_t j = 0; j < h->columns; j++) h->at[j] = 0;
    return TAMIS_OK;
}

/* Go to the next row that fits; false = the list ran out and there may be more. */
static bool settle(tamis__heads *h, uint64_t column)
{
    const tamis__best *list = h->list + column * h->k;
    uint64_t at = h->at[column];
    while (at < h->k && list[at].row != UINT64_MAX && !tamis__picks_fits(h->picks, list[at].row)) {
        if (h->picks->taken[list[at].row] == TAMIS__PICK_OPEN)
            h->picks->taken[list[at].row] = TAMIS__PASSED_OVER;
        at++;
    }
    h->at[column] = at;
    bool there = at < h->k && list[at].row != UINT64_MAX;
    h->value[column] = there ? list[at].value : (double)NAN;
    return at < h->k || h->all;
}

tamis_status tamis__heads_advance(tamis__heads *h, tamis_error *err)
{
    /* When nothing fits any more no row is passed over for another one. */
    if (tamis__picks_done(h->picks)) return TAMIS_OK;
    for (uint64_t j = 0; j < h->columns;) {
        if (settle(h, j)) {
            j++;
            continue;
        }
        h->k = shorter(2 * h->k, tamis__query_matrix_room(&h->view, h->picks->from->context));
        TAMIS_TRY(make(h, err));
        j = 0;
    }
    return TAMIS_OK;
}

tamis_status tamis__heads_init(tamis__heads *ret_heads, tamis__picks *picks,
                               const tamis__groups *group, tamis__group_score score,
                               tamis_error *err)
{
    tamis__heads h = {.picks = picks};
    TAMIS_TRY(tamis__view_init(&h.view, picks->from->matrix, group, score, err));
    h.columns = tamis__view_columns(&h.view);
    h.k = SHARES * (longest(&h) / h.columns) + SHORTEST;
    h.k = shorter(h.k, tamis__query_matrix_room(&h.view, picks->from->context));
    h.at = tamis__calloc((size_t)h.columns, sizeof *h.at);
    h.value = tamis__calloc((size_t)h.columns, sizeof *h.value);
    tamis_status status = h.at && h.value ? make(&h, err)
                                          : tamis__fail_memory(err, "the best rows of each query",
                                                               h.columns * 2 * sizeof *h.at);
    if (status == TAMIS_OK) status = tamis__heads_advance(&h, err);
    if (status == TAMIS_OK)
        *ret_heads = h;
    else
        tamis__heads_fini(&h);
    return status;
}

void tamis__heads_fini(tamis__heads *heads)
{
    tamis__view_fini(&heads->view);
    free(heads->list);
    free(heads->at);
    free(heads->value);
    *heads = (tamis__heads){0};
}
