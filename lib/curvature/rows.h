/* Rows of a store as the sums over rows see them: a range of columns, in double, some left out.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CURVATURE_ROWS_H
#define TAMIS_CURVATURE_ROWS_H

#include <tamis/store.h>

typedef struct tamis__rows {
    tamis_context *context;
    tamis_store *store;
    uint32_t checkpoint;
    uint64_t first_column, columns;
    const unsigned char *skip; /* [rows of the store], 1 = counts as zeros; NULL = none */
    const double *scale;       /* [rows of the store]: rows are multiplied by it; NULL = 1 */
    uint64_t reserved;         /* bytes of the memory limit that are taken otherwise */
    const char *phase;         /* of progress */
} tamis__rows;

/* Rows first .. first + rows - 1, columns at .. at + columns - 1 of the range, without gaps.
 * `scratch` [rows, columns]. Callable from several threads at once. */
tamis_status tamis__rows_read(const tamis__rows *r, uint64_t first, uint64_t rows, uint64_t at,
                              uint64_t columns, float *scratch, double *ret_values,
                              tamis_error *err);

/* Rows that are not skipped. */
uint64_t tamis__rows_count(const tamis__rows *r);

/* Error unless `bytes`, which grow with the columns, fit what `reserved` leaves of the memory
 * limit: names them and says to project the rows. `what` is "the second moment". */
tamis_status tamis__rows_memory(const tamis__rows *r, uint64_t bytes, const char *what,
                                tamis_error *err);

/* Whole range of a layer. */
static inline void tamis__rows_layer(tamis__rows *r, uint32_t layer)
{
    const tamis_layer *l = &tamis_store_info_get(r->store)->layer[layer];
    r->first_column = l->first_column;
    r->columns = tamis_layer_columns(l);
}

#endif
