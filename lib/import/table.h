/* A tamis_data in the making: what every reader does with labels, ids, groups and values.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_IMPORT_TABLE_H
#define TAMIS_IMPORT_TABLE_H

#include <stdbool.h>

#include "import/source.h"
#include "import/texts.h"

enum { TAMIS__TABLE_LABEL = 1u << 0, TAMIS__TABLE_ID = 1u << 1, TAMIS__TABLE_GROUP = 1u << 2 };

typedef struct tamis__table {
    const tamis__source *source;
    const tamis_data_options *options;
    tamis_data *data; /* x, digest and the index arrays are allocated by start() */
    tamis__names classes, groups;
    tamis__ids ids;
} tamis__table;

/* Allocate for this many rows; `parts` says which columns will be filled in. Errors: SHAPE (no
 * rows, no columns), NOMEM (over the context's limit), ARG (the fixed class list is wrong). */
tamis_status tamis__table_start(tamis__table *table, uint64_t rows, uint64_t columns,
                                unsigned parts, tamis_error *err);

/* The class, group or id of a row; ids come in row order. Messages lack the place: the caller puts
 * it before them. */
tamis_status tamis__table_label(tamis__table *table, uint64_t row, const char *text, size_t size,
                                tamis_error *err);
tamis_status tamis__table_label_number(tamis__table *table, uint64_t row, int64_t number,
                                       tamis_error *err);
tamis_status tamis__table_group(tamis__table *table, uint64_t row, const char *text, size_t size,
                                tamis_error *err);
tamis_status tamis__table_id(tamis__table *table, const char *text, size_t size, tamis_error *err);

/* A feature to store: false when it is not finite as a float. */
bool tamis__table_value(float *out, double value);

/* NUMERIC naming row and column unless all of rows first .. first+rows-1 are finite. */
tamis_status tamis__table_check_finite(const tamis__table *table, uint64_t first, uint64_t rows,
                                       tamis_error *err);

/* Progress of a reader, and cancellation. */
tamis_status tamis__table_progress(const tamis__table *table, uint64_t row, tamis_error *err);

/* Number the classes and groups in their order, and hand the data over. */
tamis_status tamis__table_finish(tamis__table *table, tamis_data **ret_data, tamis_error *err);
/* Frees what was not handed over; accepts a zeroed struct. */
void tamis__table_fini(tamis__table *table);

#endif
