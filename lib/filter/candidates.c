/* Candidates by the texts of manifests.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/candidates.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "filter/list.h"
#include "filter/weigh.h"

enum { K1, B };

static const tamis_param_desc bm25_params[] = {
    {.name = "k1",
     .help = "how much a repeated term counts: 0 = like a single one",
     .type = TAMIS_PARAM_REAL,
     .min = 0,
     .max = 1e6,
     .fallback = 1.5},
    {.name = "b",
     .help = "how much long texts are held against them: 0 = not at all",
     .type = TAMIS_PARAM_REAL,
     .min = 0,
     .max = 1,
     .fallback = 0.75},
};
enum { BM25_PARAMS = sizeof bm25_params / sizeof *bm25_params };

static tamis_status parse_method(const char *text, tamis__weighing *ret_weighing, tamis_error *err)
{
    static const char *const names[] = {"tf-idf", "bm25"};
    tamis_param_value value[BM25_PARAMS];
    char name[32];
    const char *rest = text + strcspn(text, ":");
    if (*rest) rest++;
    size_t size = strcspn(text, ":");
    if (size >= sizeof name) size = sizeof name - 1;
    memcpy(name, text, size);
    name[size] = '\0';
    if (!strcmp(name, names[0])) {
        *ret_weighing = (tamis__weighing){0};
        return tamis_params_parse(NULL, 0, names[0], rest, value, err);
    }
    if (!strcmp(name, names[1])) {
        TAMIS_TRY(tamis_params_parse(bm25_params, BM25_PARAMS, names[1], rest, value, err));
        *ret_weighing = (tamis__weighing){
            .bm25 = true, .k1 = value[K1].number, .b = value[B].number};
        return TAMIS_OK;
    }
    const char *near = tamis_suggest(name, names, 2);
    return tamis__fail(err, TAMIS_ERR_ARG, "there is no way '%s' to find candidates: %s%s%s", name,
                       near ? "did you mean '" : "tf-idf or bm25", near ? near : "",
                       near ? "'?" : "");
}

static tamis_status check_params(const tamis_candidates_params *params, tamis_error *err)
{
    if (!params->manifest || !params->query_manifest || !params->field)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "candidates by texts need a manifest of the training rows, one of the "
                           "queries, and the field that holds the text");
    if (params->k == 0)
        return tamis__fail(err, TAMIS_ERR_ARG, "0 candidates for each query leave nothing to do");
    return TAMIS_OK;
}

/* --- the lists -------------------------------------------------------------------------------- */

static void warn_empty(const tamis__corpus *query, const tamis_candidates *candidates,
                       tamis_candidates_report *report)
{
    uint64_t first = 0;
    for (uint64_t q = candidates->queries; q-- > 0;) {
        if (candidates->first[q + 1] > candidates->first[q]) continue;
        report->empty++;
        first = q;
    }
    if (report->empty > 0)
        tamis__log(query->context, TAMIS_LOG_WARNING,
                   "'%s': %" PRIu64 " of %" PRIu64 " queries share no term with any training text, "
                   "the first of them in row %" PRIu64 ": they get no candidates",
                   query->path, report->empty, candidates->queries, first);
}

static tamis_status list_pairs(tamis__top_sink *top, tamis__pair *pair, uint64_t *ret_pairs,
                               tamis_error *err)
{
    uint64_t n = 0;
    uint64_t *row = tamis__malloc(top->k, sizeof *row);
    float *score = tamis__malloc(top->k, sizeof *score);
    for (uint64_t q = 0; row && score && q < top->queries; q++) {
        tamis__top_sink_list(top, q, row, score);
        for (uint64_t i = 0; i < top->k && row[i] != UINT64_MAX; i++)
            pair[n++] = (tamis__pair){q, row[i]};
    }
    bool there = row && score;
    free(row);
    free(score);
    *ret_pairs = n;
    return there ? TAMIS_OK : tamis__fail_memory(err, "a list", top->k * sizeof *row);
}

static tamis_status make_lists(tamis__top_sink *top, tamis_candidates **ret_candidates,
                               tamis_error *err)
{
    uint64_t held = 0, pairs = 0;
    for (uint64_t q = 0; q < top->queries; q++) held += top->held[q];
    tamis__pair *pair = tamis__malloc(held, sizeof *pair);
    if (!pair) return tamis__fail_memory(err, "lists of candidates", held * sizeof *pair);
    tamis_status status = list_pairs(top, pair, &pairs, err);
    if (status == TAMIS_OK)
        status = tamis__candidates_make(ret_candidates, top->queries, pair, pairs, err);
    free(pair);
    return status;
}

/* --- all -------------------------------------------------------------------------------------- */

static tamis_status find(const tamis__weighing *how, uint64_t k, const tamis__terms *terms,
                         tamis__corpus *train, tamis_candidates **ret_candidates, tamis_error *err)
{
    tamis__top_sink top;
    uint64_t places = k < train->rows ? k : train->rows;
    /* Twice while lists are made of the heaps: pairs are as large as places. */
    uint64_t bytes = 2 * terms->queries * places * sizeof(tamis__ranked);
    TAMIS_TRY(tamis__top_sink_init(&top, train->context, terms->queries, places, false, err));
    tamis_status status = tamis__weigh(how, terms, train, bytes, &top, err);
    if (status == TAMIS_OK) status = make_lists(&top, ret_candidates, err);
    tamis__top_sink_fini(&top);
    return status;
}

static tamis_status open_both(const tamis_candidates_params *params, tamis_context *context,
                              tamis__corpus *train, tamis__corpus *query, tamis_error *err)
{
    const char *field = params->query_field ? params->query_field : params->field;
    TAMIS_TRY(
        tamis__corpus_open(train, context, params->manifest, params->field, params->train, err));
    TAMIS_TRY(
        tamis__corpus_open(query, context, params->query_manifest, field, params->query, err));
    const tamis__corpus *empty = train->rows == 0 ? train : query->rows == 0 ? query : NULL;
    if (!empty) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' has no records", empty->path);
}

tamis_status tamis_candidates_from_texts(tamis_context *context,
                                         const tamis_candidates_params *params,
                                         tamis_candidates **ret_candidates,
                                         tamis_candidates_report *ret_report, tamis_error *err)
{
    tamis__weighing how;
    tamis__corpus train = {0}, query = {0};
    tamis__terms terms = {0};
    tamis_candidates *candidates = NULL;
    TAMIS_TRY(check_params(params, err));
    TAMIS_TRY(parse_method(params->method ? params->method : "tf-idf", &how, err));
    tamis_status status = open_both(params, context, &train, &query, err);
    if (status == TAMIS_OK) status = tamis__terms_read(&terms, &query, err);
    if (status == TAMIS_OK) status = find(&how, params->k, &terms, &train, &candidates, err);
    if (status == TAMIS_OK) {
        tamis_candidates_report report = {.rows = train.rows,
                                          .queries = query.rows,
                                          .terms = terms.count,
                                          .pairs = candidates->first[query.rows],
                                          .bytes = train.source.size};
        warn_empty(&query, candidates, &report);
        *ret_candidates = candidates;
        if (ret_report) *ret_report = report;
    }
    tamis__terms_fini(&terms);
    tamis__corpus_close(&query);
    tamis__corpus_close(&train);
    return status;
}
