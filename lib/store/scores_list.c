/* Lists of rows for each query, and what they must be.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/scores_list.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

const char *tamis__list_name(tamis_scores_list which)
{
    return which == TAMIS_SCORES_TOP ? "top" : "bottom";
}

/* --- datasets --------------------------------------------------------------------------------- */

typedef struct names {
    const char *group;
    char row[16], score[16];
} names;

static names names_of(tamis_scores_list which)
{
    names n = {.group = tamis__list_name(which)};
    snprintf(n.row, sizeof n.row, "%s/row", n.group);
    snprintf(n.score, sizeof n.score, "%s/score", n.group);
    return n;
}

tamis_status tamis__lists_create(tamis__lists *lists, const tamis__h5 *h5, tamis_scores_list which,
                                 uint64_t queries, uint64_t places, tamis_error *err)
{
    names n = names_of(which);
    lists->places = places;
    if (places == 0) return TAMIS_OK;
    TAMIS_TRY(tamis__h5_group(h5, n.group, err));
    TAMIS_TRY(tamis__h5_array_create(h5, n.row, TAMIS__H5_U64, queries, places, &lists->row, err));
    return tamis__h5_array_create(h5, n.score, TAMIS__H5_F32, queries, places, &lists->score, err);
}

tamis_status tamis__lists_open(tamis__lists *lists, const tamis__h5 *h5, tamis_scores_list which,
                               uint64_t *ret_queries, tamis_error *err)
{
    names n = names_of(which);
    uint64_t shape[2];
    if (!tamis__h5_has(h5, n.group)) return TAMIS_OK;
    TAMIS_TRY(tamis__h5_shape(h5, n.row, 2, shape, err));
    if (shape[0] == 0 || shape[1] == 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s': dataset '%s' is empty [%" PRIu64 ", %" PRIu64 "]", h5->path,
                           n.row, shape[0], shape[1]);
    TAMIS_TRY(tamis__h5_array_open(h5, n.row, TAMIS__H5_U64, shape[0], shape[1], &lists->row, err));
    TAMIS_TRY(
        tamis__h5_array_open(h5, n.score, TAMIS__H5_F32, shape[0], shape[1], &lists->score, err));
    lists->places = shape[1];
    *ret_queries = shape[0];
    return TAMIS_OK;
}

void tamis__lists_close(tamis__lists *lists)
{
    tamis__h5_array_close(&lists->row);
    tamis__h5_array_close(&lists->score);
}

/* --- check ------------------------------------------------------------------------------------ */

typedef struct check {
    const tamis__list_block *block;
    uint64_t query; /* of the file */
    const uint64_t *row;
    const float *score;
    uint64_t *sorted; /* [places] */
    tamis_status fault;
} check;

static tamis_status wrong(const check *c, uint64_t place, tamis_error *err, const char *what)
{
    return tamis__fail(err, c->fault,
                       "'%s': query %" PRIu64 ", place %" PRIu64 " of its %s list: %s",
                       c->block->path, c->query, place, tamis__list_name(c->block->which), what);
}

static tamis_status check_padding(const check *c, uint64_t first, tamis_error *err)
{
    for (uint64_t i = first; i < c->block->places; i++) {
        if (c->row[i] != TAMIS_SCORES_NO_ROW)
            return wrong(c, i, err, "a row stands after a place without one");
        if (!isnan(c->score[i])) return wrong(c, i, err, "there is a score, but no row");
    }
    return TAMIS_OK;
}

/* Not after the place before it: a worse score, or the same and a higher row. */
static bool in_order(const check *c, uint64_t i)
{
    float before = c->score[i - 1], here = c->score[i];
    bool top = c->block->which == TAMIS_SCORES_TOP;
    if (before > here) return top;
    if (before < here) return !top;
    return c->row[i - 1] <= c->row[i];
}

static tamis_status check_place(const check *c, uint64_t i, tamis_error *err)
{
    char text[128];
    if (c->row[i] >= c->block->total_rows) {
        snprintf(text, sizeof text, "there is no row %" PRIu64 ": there are %" PRIu64, c->row[i],
                 c->block->total_rows);
        return wrong(c, i, err, text);
    }
    if (!isfinite(c->score[i])) return wrong(c, i, err, "its score is not finite");
    if (i > 0 && !in_order(c, i)) return wrong(c, i, err, "it is not in order");
    return TAMIS_OK;
}

static int ascending(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* Equal rows with unequal scores do not stand side by side. */
static tamis_status check_repeats(const check *c, uint64_t taken, tamis_error *err)
{
    memcpy(c->sorted, c->row, (size_t)taken * sizeof *c->sorted);
    qsort(c->sorted, (size_t)taken, sizeof *c->sorted, ascending);
    for (uint64_t i = 1; i < taken; i++)
        if (c->sorted[i] == c->sorted[i - 1])
            return tamis__fail(
                err, c->fault,
                "'%s': query %" PRIu64 ": row %" PRIu64 " stands twice in its %s list",
                c->block->path, c->query, c->sorted[i], tamis__list_name(c->block->which));
    return TAMIS_OK;
}

static tamis_status check_list(const check *c, uint64_t *taken, tamis_error *err)
{
    uint64_t n = 0;
    for (; n < c->block->places && c->row[n] != TAMIS_SCORES_NO_ROW; n++)
        TAMIS_TRY(check_place(c, n, err));
    TAMIS_TRY(check_padding(c, n, err));
    TAMIS_TRY(check_repeats(c, n, err));
    if (c->block->partial && n <= *taken) return TAMIS_OK;
    if (*taken == UINT64_MAX) *taken = n;
    if (n != *taken)
        return tamis__fail(err, c->fault,
                           "'%s': query %" PRIu64 ": %" PRIu64 " rows stand in its %s list, "
                           "%" PRIu64 " have a place there",
                           c->block->path, c->query, n, tamis__list_name(c->block->which), *taken);
    return TAMIS_OK;
}

tamis_status tamis__lists_check(const tamis__list_block *block, uint64_t taken, uint64_t *ret_taken,
                                tamis_status fault, tamis_error *err)
{
    check c = {.block = block, .fault = fault};
    c.sorted = tamis__malloc((size_t)block->places, sizeof *c.sorted);
    if (!c.sorted)
        return tamis__fail_memory(err, "checking a list", block->places * sizeof *c.sorted);
    tamis_status status = TAMIS_OK;
    for (uint64_t q = 0; q < block->queries && status == TAMIS_OK; q++) {
        c.query = block->first_query + q;
        c.row = block->row + q * block->places;
        c.score = block->score + q * block->places;
        status = check_list(&c, &taken, err);
    }
    free(c.sorted);
    if (status == TAMIS_OK) *ret_taken = taken;
    return status;
}
