/* Scores of training texts for the queries. The texts are read twice: how many of them hold a term
 * has to be known first. Only terms that a query holds are looked at, and no text is kept.
 *
 * A thread takes a block of records and adds up each text's terms in the order of their numbers, so
 * that a score does not depend on the order of words, and equal texts have equal scores.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "filter/weigh.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"

enum { BLOCK = 256 };

/* Of one thread. */
typedef struct worker {
    tamis__text text;
    uint32_t *found; /* [terms] how often a term stands in the text at hand; all 0 between texts */
    uint64_t *mark;  /* a bit for each term with found > 0 */
    uint64_t *texts; /* [terms] that hold the term, of this thread's */
    uint64_t length; /* terms of this thread's texts */
    double *sum;     /* [queries] */
} worker;

typedef struct slot {
    tamis__record record[BLOCK];
    uint64_t records;
    float *score; /* [BLOCK, queries] */
} slot;

typedef struct weigh {
    const tamis__weighing *how;
    const tamis__terms *terms;
    tamis__corpus *corpus;
    tamis__sink sink;
    unsigned workers, slots;
    worker *worker;
    slot *slot;
    uint64_t words; /* of a worker's marks */
    double *idf;    /* [terms]; NULL in the first pass */
    double average; /* terms of a text */
} weigh;

/* --- a text ----------------------------------------------------------------------------------- */

/* Count the terms of the text at hand that queries hold; returns how many terms it has at all. */
static uint64_t find_terms(const weigh *w, worker *me)
{
    uint64_t length = 0, term;
    tamis__cut cut = tamis__cut_start(&me->text);
    for (; tamis__cut_next(&cut, &term); length++) {
        uint32_t number = tamis__terms_find(w->terms, term);
        if (number == TAMIS__NO_TERM) continue;
        me->found[number]++;
        me->mark[number / 64] |= UINT64_C(1) << number % 64;
    }
    return length;
}

/* The terms of one word of marks, lowest first, which are taken away. */
static bool take_mark(uint64_t *mark, unsigned *ret_bit)
{
    if (!*mark) return false;
    *ret_bit = (unsigned)__builtin_ctzll(*mark);
    *mark &= *mark - 1;
    return true;
}

static void count_text(const weigh *w, worker *me)
{
    unsigned bit;
    me->length += find_terms(w, me);
    for (uint64_t i = 0; i < w->words; i++)
        while (take_mark(&me->mark[i], &bit)) {
            me->texts[i * 64 + bit]++;
            me->found[i * 64 + bit] = 0;
        }
}

/* What a term that stands `found` times in a text of `length` terms counts. */
static double term_weight(const weigh *w, uint64_t term, uint32_t found, uint64_t length)
{
    if (!w->how->bm25) return w->idf[term];
    double k1 = w->how->k1, b = w->how->b, f = found;
    return w->idf[term] * (k1 + 1) * f / (f + k1 * (1 - b + b * (double)length / w->average));
}

static void score_text(const weigh *w, worker *me, float *score)
{
    unsigned bit;
    const tamis__terms *terms = w->terms;
    uint64_t length = find_terms(w, me);
    memset(me->sum, 0, terms->queries * sizeof *me->sum);
    for (uint64_t i = 0; i < w->words; i++)
        while (take_mark(&me->mark[i], &bit)) {
            uint64_t term = i * 64 + bit;
            double weight = term_weight(w, term, me->found[term], length);
            me->found[term] = 0;
            for (uint64_t p = terms->first[term]; p < terms->first[term + 1]; p++)
                me->sum[terms->posting[p].query] += weight * terms->posting[p].count;
        }
    /* Every term counts something, so nothing is shared where the sum is 0. */
    for (uint64_t q = 0; q < terms->queries; q++)
        score[q] = me->sum[q] > 0 ? (float)me->sum[q] : NAN;
}

/* --- blocks ----------------------------------------------------------------------------------- */

static tamis_status read_block(void *arg, uint64_t item, unsigned at, tamis_error *err)
{
    weigh *w = arg;
    (void)item;
    return tamis__corpus_next(w->corpus, BLOCK, w->slot[at].record, &w->slot[at].records, err);
}

static tamis_status work_block(void *arg, uint64_t item, unsigned at, unsigned number,
                               tamis_error *err)
{
    const weigh *w = arg;
    slot *s = &w->slot[at];
    worker *me = &w->worker[number];
    (void)item;
    for (uint64_t i = 0; i < s->records; i++) {
        TAMIS_TRY(tamis__corpus_text(w->corpus, &s->record[i], &me->text, err));
        if (w->idf)
            score_text(w, me, s->score + i * w->terms->queries);
        else
            count_text(w, me);
    }
    return TAMIS_OK;
}

static tamis_status give_block(void *arg, uint64_t item, unsigned at, tamis_error *err)
{
    const weigh *w = arg;
    const slot *s = &w->slot[at];
    uint64_t first = item * BLOCK, queries = w->terms->queries;
    if (w->idf)
        TAMIS_TRY(w->sink.put(w->sink.arg, first, s->records, 0, queries, s->score, queries, err));
    return tamis__progress(w->corpus->context, w->idf ? "comparing texts" : "reading texts",
                           first + s->records, w->corpus->rows, "texts", NULL, err);
}

static tamis_status run_pass(weigh *w, tamis_error *err)
{
    TAMIS_TRY(tamis__corpus_rewind(w->corpus, err));
    tamis__pipeline pass = {.arg = w,
                            .items = (w->corpus->rows + BLOCK - 1) / BLOCK,
                            .slots = w->slots,
                            .produce = read_block,
                            .work = work_block,
                            .consume = give_block};
    return tamis__pool_run(w->corpus->context->pool, &pass, err);
}

/* --- both passes ------------------------------------------------------------------------------ */

/* Whole numbers, so that it does not matter which thread had which text. */
static tamis_status end_count(weigh *w, tamis_error *err)
{
    uint64_t length = 0;
    double texts = (double)w->corpus->rows;
    double *idf = tamis__calloc(w->terms->count, sizeof *idf);
    if (!idf) return tamis__fail_memory(err, "weights of terms", w->terms->count * sizeof *idf);
    for (uint32_t t = 0; t < w->terms->count; t++) {
        uint64_t n = 0;
        for (unsigned i = 0; i < w->workers; i++) n += w->worker[i].texts[t];
        idf[t] = log((texts - (double)n + 0.5) / ((double)n + 0.5) + 1);
    }
    for (unsigned i = 0; i < w->workers; i++) length += w->worker[i].length;
    w->average = length ? (double)length / texts : 1;
    w->idf = idf;
    return TAMIS_OK;
}

static tamis_status allocate(weigh *w, uint64_t reserved, tamis_error *err)
{
    uint64_t terms = w->terms->count, queries = w->terms->queries;
    uint64_t each = terms * (sizeof(uint32_t) + sizeof(uint64_t)) + w->words * sizeof(uint64_t) +
                    queries * sizeof(double);
    uint64_t bytes = w->workers * each +
                     w->slots * (sizeof *w->slot + BLOCK * queries * sizeof(float)) +
                     terms * sizeof(double) + tamis__terms_bytes(w->terms) + w->corpus->source.held;
    TAMIS_TRY(tamis__memory_check(w->corpus->context, bytes + reserved, "comparing texts", err));
    w->worker = tamis__calloc(w->workers, sizeof *w->worker);
    w->slot = tamis__calloc(w->slots, sizeof *w->slot);
    bool there = w->worker && w->slot;
    for (unsigned i = 0; there && i < w->workers; i++) {
        worker *me = &w->worker[i];
        me->found = tamis__calloc(terms, sizeof *me->found);
        me->mark = tamis__calloc(w->words, sizeof *me->mark);
        me->texts = tamis__calloc(terms, sizeof *me->texts);
        me->sum = tamis__calloc(queries, sizeof *me->sum);
        there = me->found && me->mark && me->texts && me->sum;
    }
    for (unsigned i = 0; there && i < w->slots; i++) {
        w->slot[i].score = tamis__malloc(BLOCK * queries, sizeof *w->slot[i].score);
        there = w->slot[i].score != NULL;
    }
    return there ? TAMIS_OK : tamis__fail_memory(err, "comparing texts", bytes);
}

static void fini(weigh *w)
{
    for (unsigned i = 0; w->worker && i < w->workers; i++) {
        tamis__text_fini(&w->worker[i].text);
        free(w->worker[i].found);
        free(w->worker[i].mark);
        free(w->worker[i].texts);
        free(w->worker[i].sum);
    }
    for (unsigned i = 0; w->slot && i < w->slots; i++) free(w->slot[i].score);
    free(w->worker);
    free(w->slot);
    free(w->idf);
}

tamis_status tamis__weigh(const tamis__weighing *weighing, const tamis__terms *terms,
                          tamis__corpus *corpus, uint64_t reserved, tamis__top_sink *top,
                          tamis_error *err)
{
    unsigned threads = tamis_context_threads(corpus->context);
    weigh w = {.how = weighing,
               .terms = terms,
               .corpus = corpus,
               .sink = tamis__top_sink_of(top),
               .workers = threads,
               .slots = 2 * threads,
               .words = ((uint64_t)terms->count + 63) / 64};
    tamis_status status = allocate(&w, reserved, err);
    if (status == TAMIS_OK) status = run_pass(&w, err);
    if (status == TAMIS_OK) status = end_count(&w, err);
    if (status == TAMIS_OK) status = run_pass(&w, err);
    fini(&w);
    return status;
}
