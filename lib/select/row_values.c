/* Rows with the highest values that are made of all of a row's scores.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/row_values.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/error.h"

/* Only a sum of both infinities is none, as rows without any score are not asked about. */
static tamis_status check(const tamis__candidates *c, const double *value, tamis_error *err)
{
    for (uint64_t row = 0; row < c->rows; row++)
        if (isnan(value[row]) && tamis__picks_free(c, row))
            return tamis__fail(err, TAMIS_ERR_NUMERIC,
                               "row %" PRIu64 ": its scores hold both infinities, so their sum is "
                               "not a number: normalise by rank, or leave the row out",
                               row);
    return TAMIS_OK;
}

tamis_status tamis__pick_by_row_value(const tamis__candidates *c, tamis__row_value reduce,
                                      const void *arg, const char *name, tamis_selection *selection,
                                      tamis_error *err)
{
    double *value = NULL;
    TAMIS_TRY(tamis__query_matrix_reduce(c->matrix, c->context, reduce, arg, &value, err));
    tamis_status status = check(c, value, err);
    if (status == TAMIS_OK) status = tamis__pick_by_value(c, value, name, selection, err);
    free(value);
    return status;
}
