/* instance-max: keep the rows with the highest score of any query.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/row_values.h"

static tamis_status choose(void *state, const tamis__candidates *c, tamis_selection *selection,
                           tamis_error *err)
{
    (void)state;
    return tamis__pick_by_row_value(c, tamis__row_max, NULL, "largest score", selection, err);
}

const tamis__selector_class tamis__selector_instance_max = {
    .abi = TAMIS__SELECTOR_ABI,
    .info = {.name = "instance-max",
             .summary = "keep the rows with the highest score of any query",
             .citation = "max over queries of A(row, q); a baseline of BIDS, arXiv 2501.12147",
             .flags = TAMIS_SELECTOR_MATRIX | TAMIS_SELECTOR_LISTS | TAMIS_SELECTOR_COSTS},
    .select = choose,
};
