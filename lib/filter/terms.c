/* Terms of texts, and those of the queries.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "filter/terms.h"

#include <stdlib.h>

#include "base/context.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/mem.h"

/* --- cutting ---------------------------------------------------------------------------------- */

/* Is it part of a term? */
static bool is_letter(unsigned char c)
{
    return c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
}

bool tamis__cut_next(tamis__cut *cut, uint64_t *ret_term)
{
    char *at = cut->at;
    while (at < cut->end && !is_letter((unsigned char)*at)) at++;
    char *start = at;
    for (; at < cut->end && is_letter((unsigned char)*at); at++)
        if (*at >= 'A' && *at <= 'Z') *at = (char)(*at + ('a' - 'A'));
    cut->at = at;
    if (at == start) return false;
    *ret_term = tamis__digest(start, (size_t)(at - start));
    return true;
}

/* --- the table -------------------------------------------------------------------------------- */

static uint64_t slot_of(const tamis__terms *terms, uint64_t term)
{
    uint64_t mask = terms->slots - 1, at = term & mask;
    while (terms->number[at] && terms->key[at] != term) at = (at + 1) & mask;
    return at;
}

uint32_t tamis__terms_find(const tamis__terms *terms, uint64_t term)
{
    return terms->slots ? terms->number[slot_of(terms, term)] - 1 : TAMIS__NO_TERM;
}

uint64_t tamis__terms_bytes(const tamis__terms *terms)
{
    uint64_t postings = terms->first ? terms->first[terms->count] : 0;
    return terms->slots * (sizeof *terms->key + sizeof *terms->number) +
           terms->count * sizeof *terms->first + postings * sizeof *terms->posting;
}

static tamis_status enlarge(tamis__terms *terms, const tamis_context *context, tamis_error *err)
{
    tamis__terms larger = *terms;
    larger.slots = terms->slots ? 2 * terms->slots : 1024;
    uint64_t bytes = larger.slots * (sizeof *larger.key + sizeof *larger.number);
    TAMIS_TRY(tamis__memory_check(context, bytes + bytes / 2, "the terms of the queries", err));
    larger.key = tamis__calloc(larger.slots, sizeof *larger.key);
    larger.number = tamis__calloc(larger.slots, sizeof *larger.number);
    if (!larger.key || !larger.number) {
        free(larger.key);
        free(larger.number);
        return tamis__fail_memory(err, "the terms of the queries", bytes);
    }
    for (uint64_t i = 0; i < terms->slots; i++) {
        if (!terms->number[i]) continue;
        uint64_t at = slot_of(&larger, terms->key[i]);
        larger.key[at] = terms->key[i];
        larger.number[at] = terms->number[i];
    }
    free(terms->key);
    free(terms->number);
    *terms = larger;
    return TAMIS_OK;
}

static tamis_status add_term(tamis__terms *terms, const tamis_context *context, uint64_t term,
                             uint32_t *ret_number, tamis_error *err)
{
    if (2 * ((uint64_t)terms->count + 1) > terms->slots) TAMIS_TRY(enlarge(terms, context, err));
    uint64_t at = slot_of(terms, term);
    if (!terms->number[at]) {
        if (terms->count == TAMIS__NO_TERM - 1)
            return tamis__fail(err, TAMIS_ERR_UNSUPPORTED, "the queries have over %u terms",
                               TAMIS__NO_TERM - 1);
        terms->key[at] = term;
        terms->number[at] = ++terms->count;
    }
    *ret_number = terms->number[at] - 1;
    return TAMIS_OK;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* A term of a query, as they are met. */
typedef struct met {
    uint32_t term, query, count;
} met;

typedef struct reading {
    tamis__terms *terms;
    const tamis__corpus *corpus;
    met *list;
    uint64_t used, room;
} reading;

static int by_term(const void *left, const void *right)
{
    const met *a = left, *b = right;
    if (a->term != b->term) return a->term < b->term ? -1 : 1;
    return a->query < b->query ? -1 : a->query > b->query;
}

static tamis_status append(reading *r, met m, tamis_error *err)
{
    if (r->used == r->room) {
        uint64_t room = r->room ? 2 * r->room : 1024;
        TAMIS_TRY(tamis__memory_check(r->corpus->context,
                                      room * sizeof *r->list + tamis__terms_bytes(r->terms),
                                      "the terms of the queries", err));
        met *grown = tamis__realloc(r->list, room, sizeof *grown);
        if (!grown)
            return tamis__fail_memory(err, "the terms of the queries", room * sizeof *grown);
        r->list = grown;
        r->room = room;
    }
    r->list[r->used++] = m;
    return TAMIS_OK;
}

/* Terms of one query, each once with its count. */
static tamis_status read_query(reading *r, uint32_t query, tamis__text *text, tamis_error *err)
{
    uint64_t start = r->used, n = start, term;
    tamis__cut cut = tamis__cut_start(text);
    while (tamis__cut_next(&cut, &term)) {
        met m = {.query = query, .count = 1};
        TAMIS_TRY(add_term(r->terms, r->corpus->context, term, &m.term, err));
        TAMIS_TRY(append(r, m, err));
    }
    if (r->used > start) qsort(r->list + start, r->used - start, sizeof *r->list, by_term);
    for (uint64_t i = start; i < r->used; i++) {
        if (n > start && r->list[n - 1].term == r->list[i].term)
            r->list[n - 1].count++;
        else
            r->list[n++] = r->list[i];
    }
    r->used = n;
    return TAMIS_OK;
}

/* Postings in the order of their terms. */
static tamis_status arrange(reading *r, tamis_error *err)
{
    tamis__terms *t = r->terms;
    t->first = tamis__calloc((uint64_t)t->count + 1, sizeof *t->first);
    t->posting = tamis__malloc(r->used, sizeof *t->posting);
    if (!t->first || !t->posting)
        return tamis__fail_memory(err, "the terms of the queries", r->used * sizeof *t->posting);
    if (r->used > 0) qsort(r->list, r->used, sizeof *r->list, by_term);
    for (uint64_t i = 0; i < r->used; i++) {
        t->posting[i] = (tamis__posting){r->list[i].query, r->list[i].count};
        t->first[r->list[i].term + 1]++;
    }
    for (uint32_t i = 0; i < t->count; i++) t->first[i + 1] += t->first[i];
    return TAMIS_OK;
}

static tamis_status read_all(reading *r, tamis__corpus *corpus, tamis__text *text, tamis_error *err)
{
    if (corpus->rows > UINT32_MAX)
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED, "'%s' has over %u queries", corpus->path,
                           UINT32_MAX);
    r->terms->queries = corpus->rows;
    for (uint32_t query = 0;; query++) {
        tamis__record record;
        uint64_t n;
        TAMIS_TRY(tamis__corpus_next(corpus, 1, &record, &n, err));
        if (n == 0) return arrange(r, err);
        TAMIS_TRY(tamis__corpus_text(corpus, &record, text, err));
        TAMIS_TRY(read_query(r, query, text, err));
    }
}

tamis_status tamis__terms_read(tamis__terms *ret_terms, tamis__corpus *corpus, tamis_error *err)
{
    tamis__terms terms = {0};
    tamis__text text = {0};
    reading r = {.terms = &terms, .corpus = corpus};
    tamis_status status = read_all(&r, corpus, &text, err);
    tamis__text_fini(&text);
    free(r.list);
    if (status == TAMIS_OK)
        *ret_terms = terms;
    else
        tamis__terms_fini(&terms);
    return status;
}

void tamis__terms_fini(tamis__terms *terms)
{
    free(terms->first);
    free(terms->posting);
    free(terms->key);
    free(terms->number);
    *terms = (tamis__terms){0};
}
