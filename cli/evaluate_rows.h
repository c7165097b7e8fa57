/* Scores against what single rows do, row by row: what `loo` and `pbrf` share.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_EVALUATE_ROWS_H
#define TAMIS_CLI_EVALUATE_ROWS_H

#include "evaluate.h"

typedef struct row_scores {
    score_names names;
    size_t n; /* files of scores */
    tamis_loo loo[MAX_SCORES];
    uint64_t *row; /* [rows] those that are looked at, ascending */
    uint64_t rows;
    table summary; /* columns as EVALUATE_ROWS_COLUMNS */
} row_scores;

/* Columns of the summary; `rare` are the flags of the count of constant queries. */
#define EVALUATE_ROWS_COLUMNS(rare)                                                                \
    {"scores", COLUMN_TEXT, 0}, {"scorer", COLUMN_TEXT, 32}, ESTIMATE_COLUMNS("pearson", 4),       \
        ESTIMATE_COLUMNS("spearman", 4), {"constant", COLUMN_COUNT, rare},                         \
        ESTIMATE_COLUMNS("difference", 4)

/* Before the work: files that do not fit the data are told at once. */
tamis_status evaluate_rows_check(session *s, const evaluate_args *args, const retraining *of,
                                 tamis_error *err);

/* Those of --rows, or `drawn` of the `all` rows by the seed. */
tamis_status evaluate_rows_choose(session *s, const evaluate_args *args, uint64_t all,
                                  uint64_t drawn, row_scores *r, tamis_error *err);

/* Fill the summary. Differences to the first file are of Pearson's correlation, or of
 * Spearman's. */
tamis_status evaluate_rows_table(const evaluate_args *args, row_scores *r, bool pearson,
                                 tamis_error *err);

/* A bar for each file, both correlations side by side, and --csv. */
tamis_status evaluate_rows_bars(session *s, const evaluate_args *args, const row_scores *r,
                                const char *title, tamis_error *err);

void evaluate_rows_free(row_scores *r);

#endif
