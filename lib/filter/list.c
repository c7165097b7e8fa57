/* Candidates that the library owns.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "filter/list.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"

/* What tamis_candidates_free() gets back is the first member. */
typedef struct owned {
    tamis_candidates candidates;
    uint64_t *first, *row;
} owned;

static int by_query(const void *left, const void *right)
{
    const tamis__pair *a = left, *b = right;
    if (a->query != b->query) return a->query < b->query ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static uint64_t drop_repeats(tamis__pair *pair, uint64_t pairs)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < pairs; i++)
        if (i == 0 || by_query(&pair[i], &pair[i - 1])) pair[n++] = pair[i];
    return n;
}

tamis_status tamis__candidates_make(tamis_candidates **ret_candidates, uint64_t queries,
                                    tamis__pair *pair, uint64_t pairs, tamis_error *err)
{
    if (pairs > 0) qsort(pair, pairs, sizeof *pair, by_query);
    pairs = drop_repeats(pair, pairs);
    owned *o = tamis__calloc(1, sizeof *o);
    if (o) o->first = tamis__calloc(queries + 1, sizeof *o->first);
    if (o) o->row = tamis__malloc(pairs, sizeof *o->row);
    if (!o || !o->first || !o->row) {
        tamis_candidates *made = o ? &o->candidates : NULL;
        tamis_candidates_free(&made);
        return tamis__fail_memory(err, "lists of candidates", pairs * sizeof *o->row);
    }
    for (uint64_t i = 0; i < pairs; i++) {
        o->row[i] = pair[i].row;
        o->first[pair[i].query + 1]++;
    }
    for (uint64_t q = 0; q < queries; q++) o->first[q + 1] += o->first[q];
    o->candidates = (tamis_candidates){.queries = queries, .first = o->first, .row = o->row};
    *ret_candidates = &o->candidates;
    return TAMIS_OK;
}

void tamis_candidates_free(tamis_candidates **candidates)
{
    if (!candidates || !*candidates) return;
    owned *o = (owned *)*candidates;
    free(o->first);
    free(o->row);
    free(o);
    *candidates = NULL;
}
