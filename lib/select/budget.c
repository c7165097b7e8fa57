/* Budgets: how many rows to keep.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/select.h>

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

static tamis_status percentage(const char *text, uint64_t rows, uint64_t *ret_count,
                               tamis_error *err)
{
    double percent;
    if (!tamis__parse_double(text, strlen(text) - 1, &percent) || !isfinite(percent))
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "budget '%s' is not a percentage: write a number and one %%, such as 5%%", text);
    if (percent <= 0 || percent > 100)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "budget '%s' is out of range: more than 0%% and at most 100%%", text);
    /* Multiplied first: percent * rows is a whole number wherever the tie of rounding half up is
     * real. */
    double exact = percent * (double)rows / 100.0, whole = floor(exact);
    if (exact - whole >= 0.5) whole += 1;
    if (whole < 1)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "budget '%s' of %" PRIu64 " rows is not one row: ask for more", text,
                           rows);
    *ret_count = whole >= (double)rows ? rows : (uint64_t)whole;
    return TAMIS_OK;
}

tamis_status tamis_budget_parse(const char *text, uint64_t rows, uint64_t *ret_count,
                                tamis_error *err)
{
    size_t size = text ? strlen(text) : 0;
    uint64_t count;
    int64_t any;
    if (rows == 0) return tamis__fail(err, TAMIS_ERR_ARG, "there are no rows to take a budget of");
    if (size == 0)
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "the budget is empty: write a number of rows (1000) or a percentage (5%%)");
    if (text[size - 1] == '%') return percentage(text, rows, ret_count, err);
    if (!tamis__parse_uint64(text, size, &count)) {
        if (tamis__parse_int64(text, size, &any) && any < 0)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "budget '%s' is negative: at least one row is kept", text);
        return tamis__fail(
            err, TAMIS_ERR_ARG,
            "budget '%s' is neither a whole number of rows (1000) nor a percentage (5%%)", text);
    }
    if (count == 0)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "budget '%s' would keep nothing: at least one row is kept", text);
    if (count > rows)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "budget '%s' is more than the %" PRIu64 " rows there are", text, rows);
    *ret_count = count;
    return TAMIS_OK;
}
