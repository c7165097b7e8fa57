/* What is exported, as columns with one value a row, whatever file it comes from.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_EXPORT_SOURCE_H
#define TAMIS_EXPORT_SOURCE_H

#include <tamis/export.h>
#include <tamis/scores.h>
#include <tamis/selection.h>
#include <tamis/store.h>

#include "base/file.h"

typedef enum tamis__field_type {
    TAMIS__FIELD_ROW,    /* the row's number; no values */
    TAMIS__FIELD_ID,     /* from the source's examples; no values */
    TAMIS__FIELD_LABEL,  /* int32, its name in text */
    TAMIS__FIELD_GROUP,  /* the same; negative = none */
    TAMIS__FIELD_LENGTH, /* uint32 */
    TAMIS__FIELD_COUNT,  /* uint64, int64 in npy */
    TAMIS__FIELD_DIGEST, /* uint64, 16 hexadecimal digits in text */
    TAMIS__FIELD_BOOL,   /* uint8 */
    TAMIS__FIELD_FLOAT,  /* float */
    TAMIS__FIELD_DOUBLE, /* double */
    TAMIS__FIELD_MATRIX, /* rows of floats, read by blocks */
    TAMIS__FIELD_WHICH,  /* uint8: "top" or "bottom" */
    TAMIS__FIELD_REASON  /* text of a selection */
} tamis__field_type;

typedef struct tamis__field {
    const char *name;
    tamis__field_type type;
    const void *values;       /* [rows] of the type; NULL where the type needs none */
    const tamis_examples *of; /* whose ids; NULL = those of the rows */
    const uint64_t *at;       /* [rows] which of the ids; NULL = the row's own */
} tamis__field;

/* Entries of lists, one after another. */
typedef struct tamis__entries {
    uint64_t *query, *rank, *row; /* row: TAMIS_SCORES_NO_ROW = the place is not taken */
    float *score;
    uint8_t *which;
} tamis__entries;

#define TAMIS__FIELDS 12

/* Only one of store, scores and selection is set. */
typedef struct tamis__export_source {
    const char *path;
    tamis_store *store;
    tamis_scores *scores;
    tamis_selection *selection;
    const tamis_examples *examples; /* of the rows, which for parts of queries are the queries */
    uint64_t rows;
    tamis__field field[TAMIS__FIELDS]; /* in text, these one after another */
    size_t fields;
    size_t main;    /* the field that npy holds; text has it with the ones that identify the row */
    bool text_only; /* a table: no npy */
    uint64_t columns; /* of the matrix, if there is one */
    bool one_column;  /* a matrix of one column counts as a vector */
    uint32_t checkpoint;
    const uint64_t *taken;  /* [rows] NULL, or rows of text whose value here is TAMIS_SCORES_NO_ROW
                              are left out */
    uint64_t width;         /* npy of a column has rows of so many; 0 = one dimension */
    tamis__entries entries; /* owned */
    float *outputs;         /* loss, margin or probability; owned */
    uint64_t *picked;       /* row numbers; owned. Of factors: the row of each token */
    bool tokens, inputs;    /* the matrix has tokens in its rows: inputs, or output gradients */
} tamis__export_source;

/* Open the file and lay out what is asked for. */
tamis_status tamis__column_source_open(tamis__export_source *ret_source, tamis_context *context,
                                       const tamis_export_params *params, tamis_error *err);
void tamis__column_source_close(tamis__export_source *source);

/* Lists of a scores file: "table", "row" or "score" of them; `list` "top", "bottom" or NULL. */
tamis_status tamis__lay_out_lists(tamis__export_source *source, tamis_context *context,
                                  const char *what, const char *list, tamis_error *err);
void tamis__entries_fini(tamis__entries *entries);
/* "count", "mean" or "variance" of the columns. FORMAT when they are not recorded. */
tamis_status tamis__lay_out_statistics(tamis__export_source *source, const char *what,
                                       tamis_error *err);

/* Rows of the matrix into `out`, packed. */
tamis_status tamis__column_source_block(const tamis__export_source *source, uint64_t first_row,
                                        uint64_t rows, float *out, tamis_error *err);

/* Rows of a block whose matrix part takes about 1 MiB. */
uint64_t tamis__column_source_block_rows(const tamis__export_source *source);

/* --- text ------------------------------------------------------------------------------------- */

tamis_status tamis__csv_header(const tamis__export_source *source, tamis__output *output,
                               tamis_error *err);

/* One row; `matrix` is its part of the matrix, NULL when there is none. */
tamis_status tamis__csv_row(const tamis__export_source *source, uint64_t row, const float *matrix,
                            tamis__output *output, tamis_error *err);
tamis_status tamis__jsonl_row(const tamis__export_source *source, uint64_t row, const float *matrix,
                              tamis__output *output, tamis_error *err);

#endif
