/* For each query, or group of queries, the best row that is still to be had.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_HEADS_H
#define TAMIS_SELECT_HEADS_H

#include "select/greedy.h"
#include "select/matrix.h"

/* Lists of the best rows, made anew, twice as long, when one runs out: how long they are changes no
 * result. */
typedef struct tamis__heads {
    tamis__picks *picks;
    tamis__view view;
    uint64_t columns, k;
    tamis__best *list; /* [columns, k] */
    uint64_t *at;      /* [columns] */
    double *value;     /* [columns] of the row at the head; NaN = there is none */
    bool all;          /* the lists hold every row that could be picked when they were made */
    uint64_t made;     /* how often lists were made */
} tamis__heads;

/* `group` as in tamis__view. Errors: NOMEM, IO, CANCELLED. */
tamis_status tamis__heads_init(tamis__heads *ret_heads, tamis__picks *picks,
                               const tamis__groups *group, tamis__group_score score,
                               tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__heads_fini(tamis__heads *heads);

/* Every head is a row that fits, or value is NaN: to be called after rows were picked. Rows that no
 * longer fit are marked as passed over. */
tamis_status tamis__heads_advance(tamis__heads *heads, tamis_error *err);
/* The row at a head whose value is not NaN. */
static inline uint64_t tamis__heads_row(const tamis__heads *heads, uint64_t column)
{
    return heads->list[column * heads->k + heads->at[column]].row;
}

/* Gives the picks as tamis__picks_give() does, each row with the column that picked it as its
 * reason: "picked by query 7<how> (3 of 10)". `picker` [picks->n] is that column, of rows that had
 * to be kept anything; `how` is a text such as " when served worst". Errors: NOMEM, ARG (too many
 * reasons). */
tamis_status tamis__heads_give(const tamis__heads *heads, const uint32_t *picker, const char *how,
                               const double *value, const char *dropped, tamis_selection *selection,
                               tamis_error *err);

#endif
