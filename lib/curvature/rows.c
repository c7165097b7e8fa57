/* Rows of a store as the sums over rows see them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "curvature/rows.h"

#include <string.h>

#include "base/error.h"

tamis_status tamis__rows_read(const tamis__rows *r, uint64_t first, uint64_t rows, uint64_t at,
                              uint64_t columns, float *scratch, double *ret_values,
                              tamis_error *err)
{
    TAMIS_TRY(tamis_store_read(r->store, r->checkpoint, first, rows, r->first_column + at, columns,
                               scratch, columns, err));
    for (uint64_t i = 0; i < rows; i++) {
        double *out = ret_values + i * columns, scale = r->scale ? r->scale[first + i] : 1.0;
        const float *in = scratch + i * columns;
        if (r->skip && r->skip[first + i])
            memset(out, 0, columns * sizeof *out);
        else
            for (uint64_t c = 0; c < columns; c++) out[c] = (double)in[c] * scale;
    }
    return TAMIS_OK;
}

uint64_t tamis__rows_count(const tamis__rows *r)
{
    uint64_t rows = tamis_store_info_get(r->store)->rows, n = rows;
    for (uint64_t i = 0; r->skip && i < rows; i++) n -= r->skip[i] != 0;
    return n;
}

tamis_status tamis__rows_memory(const tamis__rows *r, uint64_t bytes, const char *what,
                                tamis_error *err)
{
    bytes += r->reserved;
    if (bytes <= tamis_context_memory(r->context)) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_NOMEM,
                       "'%s': %s of %llu columns needs %llu bytes, the limit is %llu: project the "
                       "rows first (tamis convert --project), or raise --memory",
                       tamis_store_path(r->store), what, (unsigned long long)r->columns,
                       (unsigned long long)bytes,
                       (unsigned long long)tamis_context_memory(r->context));
}
