/* tamis - values, groups and lists of candidates that stand in files of any kind, for selecting.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_COLUMNS_H
#define TAMIS_COLUMNS_H

#include <tamis/store.h>

TAMIS_BEGIN

/** One value for each of `rows` rows, from "FILE#COLUMN":
 *  - a gradient store: length, loss, margin, norm or self, see tamis_select_params.column;
 *  - a scores file: total, mean or max over its queries, or length; without "#COLUMN" total; a row
 *    without a score is NaN;
 *  - CSV, TSV or JSON Lines (by the name's ending, .gz too): the field of that name in each record,
 *    a number; an empty field, null or a missing one is NaN;
 *  - a .npy array [rows], without "#COLUMN".
 *  The file must have as many rows, which are those of the candidates in their order.
 *  The caller frees *ret_value with free(). Errors: ARG (no column is named, or none of that name),
 *  SHAPE (another number of rows), FORMAT (a field that is no number: names line), IO, NOMEM,
 *  UNSUPPORTED, CANCELLED. Complexity: one pass. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_column_load(tamis_context *context, const char *spec,
                                                         uint64_t rows, double **ret_value,
                                                         tamis_error *err);

/** One value for each of `rows` rows from a CSV, TSV or JSON Lines file, "FILE#COLUMN", whose
 *  records stand in any order: a row's is that of the record that has the row's id in the field
 *  `id_field`; where `examples` (may be NULL) have no ids, its row number. Records with ids of no
 *  row are passed over. The caller frees *ret_value with free(). Errors: as tamis_column_load(),
 *  and UNSUPPORTED (a file of another kind), FORMAT (no such field, a row that no record has, an id
 *  that stands there twice or that several rows have: names the first). Complexity: one pass, a
 *  sort of the ids and a search for each record. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_column_join(tamis_context *context, const char *spec,
                                                         const char *id_field,
                                                         const tamis_examples *examples,
                                                         uint64_t rows, double **ret_value,
                                                         tamis_error *err);

/** Rows by a file of ids, one a line; where `examples` have no ids, of row numbers. Blank lines are
 *  skipped. *ret_row [*ret_n] is ascending; the caller frees it with free(). Errors: FORMAT (an id
 *  that no row has, or several, or that stands in the list twice: names the line), IO, NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_rows_load(tamis_context *context, const char *file,
                                                       const tamis_examples *examples,
                                                       uint64_t rows, uint64_t **ret_row,
                                                       uint64_t *ret_n, tamis_error *err);

/** The row of an id, written as a text; where `examples` have no ids, of a row number. Thread-safe.
 *  Errors: ARG (no row has it, or several do). Complexity: O(rows). */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_row_find(const tamis_examples *examples, uint64_t rows,
                                                      const char *id, uint64_t *ret_row,
                                                      tamis_error *err);

/** Groups of `n` things from a file: a text of one name a line (an empty line = in none), or a .npy
 *  array of integers (negative = in none). Names are numbered in order: numerically when all are
 *  integers, else bytewise. */
typedef struct tamis_group_list {
    int32_t *group;  /**< [n], from 0; -1 = in none */
    char **name;     /**< [groups]; NULL = numbers */
    uint32_t groups; /**< how many */
} tamis_group_list;

/** Load one. Free with tamis_group_list_fini(). Errors: SHAPE (another number of lines), FORMAT,
 *  IO, NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_group_list_load(tamis_group_list *ret_list,
                                                             tamis_context *context,
                                                             const char *file, uint64_t n,
                                                             tamis_error *err);
/** Accepts a zeroed struct. */
TAMIS_API void tamis_group_list_fini(tamis_group_list *list);

TAMIS_END

#endif
