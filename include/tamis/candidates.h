/* tamis - candidates: the training rows that are worth scoring for each query, found by their texts
 * or read from a list.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CANDIDATES_H
#define TAMIS_CANDIDATES_H

#include <tamis/score.h>

TAMIS_BEGIN

/** Texts to compare, and how. Zero-initialise.
 *
 *  A text is cut into terms: runs of ASCII letters, ASCII digits and bytes from 0x80 on (so any
 *  word of UTF-8 that is not ASCII), ASCII letters in lower case; everything else separates. Terms
 *  are told apart by a 64-bit digest. A query's terms count as often as they stand in it. With C
 *  training texts, n(t) of which hold the term t,
 *
 *      IDF(t) = log((C - n(t) + 0.5) / (n(t) + 0.5) + 1)
 *      tf-idf:  score(q, d) = sum over the terms t of q that d holds of IDF(t)
 *      bm25:    score(q, d) = sum over the same of IDF(t) (k1 + 1) f / (f + k1 (1 - b + b |d| / avg))
 *
 *  where f is how often t stands in d, |d| how many terms d has, and avg the mean of |d|. tf-idf is
 *  the filter of Grosse et al. 2023, Studying Large Language Model Generalization with Influence
 *  Functions, equations 28 and 29, where a term exists in a text or does not; bm25 is that of
 *  Robertson and Zaragoza 2009, The Probabilistic Relevance Framework. */
typedef struct tamis_candidates_params {
    const char
        *manifest; /**< texts of the training rows, one record a row in their order: JSON Lines,
                               CSV or TSV by the ending, also with .gz behind it; required */
    const char *query_manifest; /**< the same of the queries; required */
    const char
        *field; /**< comma-separated columns or keys that hold the text, which are joined; of a
                            JSON value that is no text, all texts within; required */
    const char *query_field; /**< the same in the query manifest; NULL = field */
    const char *method;      /**< "tf-idf" or "bm25[:k1=1.5,b=0.75]"; NULL = "tf-idf" */
    uint64_t k;              /**< most candidates of a query, > 0 */
    tamis_store *train; /**< its rows and the record digests that it knows are compared with the
                                  manifest; NULL = not compared */
    tamis_store *query; /**< the same of the query manifest */
} tamis_candidates_params;

/** What was found. */
typedef struct tamis_candidates_report {
    uint64_t rows, queries; /**< texts */
    uint64_t terms;         /**< different terms of the queries */
    uint64_t pairs;         /**< candidates of all queries */
    uint64_t empty;         /**< queries without any */
    uint64_t bytes;         /**< of the training texts' file */
} tamis_candidates_report;

/** The `k` best training rows of each query by score, ties to the lower row. Rows that share no
 *  term with a query are not among its candidates; a query that has none is warned of. The same
 *  result for any number of threads. Free with tamis_candidates_free(). ret_report may be NULL.
 *  Texts are read twice and not kept: memory is that of the queries' terms and of queries * k
 *  places.
 *  Errors: ARG (no such method, parameter or field, k is 0, an ending that is not known), SHAPE (a
 *  manifest has another number of records than its store), FORMAT (a record is malformed or lacks a
 *  field, or is not the one that the store was made from: names line), IO, NOMEM, CANCELLED.
 *  Complexity: reading the texts, and for each term of a training text the number of queries that
 *  hold it. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_candidates_from_texts(
    tamis_context *context, const tamis_candidates_params *params,
    tamis_candidates **ret_candidates, tamis_candidates_report *ret_report, tamis_error *err);

/** Read candidates from a text file. Each line is an id of the training store, then the rows are
 *  meant for all queries; or each is an id of the query store, a tab, and an id of the training
 *  store, then queries that are not named have no candidates. Blank lines are skipped, repeated
 *  ones count once. Ids are row numbers in a store that has none. `query` may be NULL when no line
 *  has a tab. Free with tamis_candidates_free().
 *  Errors: FORMAT (an id that the store has not, or has twice; lines of both kinds: names line),
 *  IO, NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_candidates_read(
    tamis_context *context, const char *path, const tamis_store *train, const tamis_store *query,
    tamis_candidates **ret_candidates, tamis_error *err);

/** Free and set to NULL. Accepts NULL and a pointer to NULL. */
TAMIS_API void tamis_candidates_free(tamis_candidates **candidates);

TAMIS_END

#endif
