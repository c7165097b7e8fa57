/* Terms of texts, and those of the queries with the queries that hold them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_FILTER_TERMS_H
#define TAMIS_FILTER_TERMS_H

#include <stdbool.h>

#include "filter/corpus.h"

/* --- cutting ---------------------------------------------------------------------------------- */

/* Terms left in a text, whose ASCII letters are made lower case on the way. */
typedef struct tamis__cut {
    char *at, *end;
} tamis__cut;

static inline tamis__cut tamis__cut_start(tamis__text *text)
{
    return (tamis__cut){text->bytes, text->bytes + text->size};
}

/* The digest of the next term; false when there is none. */
bool tamis__cut_next(tamis__cut *cut, uint64_t *ret_term);

/* --- the terms of the queries ----------------------------------------------------------------- */

typedef struct tamis__posting {
    uint32_t query, count; /* how often the term stands in the query */
} tamis__posting;

typedef struct tamis__terms {
    uint64_t queries;
    uint32_t count;          /* different terms */
    uint64_t *first;         /* [count + 1] where a term's postings start */
    tamis__posting *posting; /* [first[count]] queries ascending */
    uint64_t *key;           /* [slots] digests */
    uint32_t *number;        /* [slots] number of the term + 1; 0 = free */
    uint64_t slots;          /* a power of two */
} tamis__terms;

#define TAMIS__NO_TERM UINT32_MAX

/* Of all records of a corpus, from where it is. Errors: as tamis__corpus_text(), NOMEM (also when
 * they do not fit the memory limit). */
tamis_status tamis__terms_read(tamis__terms *ret_terms, tamis__corpus *corpus, tamis_error *err);
void tamis__terms_fini(tamis__terms *terms);

/* The number of a term, or TAMIS__NO_TERM when no query holds it. */
uint32_t tamis__terms_find(const tamis__terms *terms, uint64_t term);

/* What they take of the memory limit. */
uint64_t tamis__terms_bytes(const tamis__terms *terms);

#endif
