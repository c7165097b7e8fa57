/* The options that say which training rows are worth scoring.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_CANDIDATE_ARGS_H
#define TAMIS_CLI_CANDIDATE_ARGS_H

#include "report.h"
#include "session.h"

typedef struct candidate_args {
    uint64_t k; /* 0 = not by texts */
    const char *manifest, *query_manifest, *field, *query_field, *method, *ids;
} candidate_args;

/* Rows of an option table; `base` is the offset of the candidate_args in the command's args
 * struct. */
#define CANDIDATE_OPTIONS(base)                                                                    \
    {.name = "candidates",                                                                         \
     .value = "K",                                                                                 \
     .help = "score only the K rows of each query whose texts are most like it",                   \
     .type = OPT_UINT,                                                                             \
     .at = (base) + offsetof(candidate_args, k),                                                   \
     .min = 1,                                                                                     \
     .max = 1e15,                                                                                  \
     .section = "Candidates",                                                                      \
     .more = "Other rows get no score for the query, and rows that are no candidate of any query " \
             "are not read. Texts that share no word with a query are never candidates, so what "  \
             "influences it in other words is not seen."},                                         \
        {.name = "manifest",                                                                       \
         .value = "FILE",                                                                          \
         .help = "texts of the training examples: JSON Lines, CSV or TSV, by the ending",          \
         .type = OPT_STRING,                                                                       \
         .at = (base) + offsetof(candidate_args, manifest),                                        \
         .flags = OPT_FILE,                                                                        \
         .more = "One record for each row of the store, in their order. Records are compared "     \
                 "with those that the store was made from, where it knows them."},                 \
        {.name = "query-manifest",                                                                 \
         .value = "FILE",                                                                          \
         .help = "texts of the queries",                                                           \
         .type = OPT_STRING,                                                                       \
         .at = (base) + offsetof(candidate_args, query_manifest),                                  \
         .flags = OPT_FILE},                                                                       \
        {.name = "text-field",                                                                     \
         .value = "NAMES",                                                                         \
         .help = "columns or keys that hold the text, separated by commas",                        \
         .type = OPT_STRING,                                                                       \
         .at = (base) + offsetof(candidate_args, field),                                           \
         .more = "A JSON value that is no text counts with all texts within it."},                 \
        {.name = "query-text-field",                                                               \
         .value = "NAMES",                                                                         \
         .help = "the same in the query manifest; as --text-field when left out",                  \
         .type = OPT_STRING,                                                                       \
         .at = (base) + offsetof(candidate_args, query_field)},                                    \
        {.name = "candidates-method",                                                              \
         .value = "METHOD",                                                                        \
         .help = "tf-idf, or bm25[:k1=1.5,b=0.75]; tf-idf when left out",                          \
         .type = OPT_STRING,                                                                       \
         .at = (base) + offsetof(candidate_args, method),                                          \
         .more =                                                                                   \
             "tf-idf adds up log((C - n + 0.5) / (n + 0.5) + 1) over the words of the query "      \
             "that a text holds, where n of C texts hold the word. bm25 also counts how often "    \
             "it does, and how long the text is."},                                                \
    {                                                                                              \
        .name = "candidate-ids", .value = "FILE", .help = "score only the rows listed there",      \
        .type = OPT_STRING, .at = (base) + offsetof(candidate_args, ids), .flags = OPT_FILE,       \
        .more = "Each line is an id of the training store, then the rows are meant for every "     \
                "query; or each is an id of the query store, a tab, and an id of the training "    \
                "store."                                                                           \
    }

/* The candidates that the options ask for, or NULL. ret_report is filled in when there are any by
 * texts. */
tamis_status candidate_args_read(session *s, const candidate_args *args, tamis_store *train,
                                 tamis_store *query, tamis_candidates **ret_candidates,
                                 tamis_candidates_report *ret_report, tamis_error *err);

/* What scoring them came to. */
void candidate_args_report(report *r, const candidate_args *args, uint64_t rows_read,
                           const tamis_candidates_report *found);

#endif
