/* A table of results: aligned for people, JSON, CSV.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_TABLE_H
#define TAMIS_CLI_TABLE_H

#include "report.h"

typedef enum column_type {
    COLUMN_TEXT,
    COLUMN_COUNT,
    COLUMN_REAL, /* NaN: empty, null */
    COLUMN_SHARE /* a number in 0..1; a percentage for people */
} column_type;

/* People see spaces for underscores in names, the ends of an interval ("x_low" and "x_high" after
 * "x") as one column, and no column that is empty throughout. */
typedef struct table_column {
    const char *name; /* key in JSON and CSV */
    column_type type;
    int decimals; /* for people; RARE: counts that are 0 throughout are not shown either. Of a text:
                     at most so many characters, 0 = all */
} table_column;

enum { RARE = -1 };

/* The member that goes with the column's type. Texts must live as long as the table. */
typedef union cell {
    const char *text;
    uint64_t count;
    double real;
} cell;

typedef struct table {
    const table_column *column;
    size_t columns, rows, room;
    cell *cell; /* [rows, columns] */
} table;

/* A new row; *ret_cells [columns] is valid until the next one. NOMEM. */
tamis_status table_add(table *t, cell **ret_cells, tamis_error *err);
void table_free(table *t);

/* Into a report: an array `key` of objects, or aligned columns below an empty line. */
void report_table(report *r, const char *key, const table *t);

/* To a file that appears when whole. IO, NOMEM. */
tamis_status table_write_csv(const table *t, const char *path, tamis_error *err);

#endif
