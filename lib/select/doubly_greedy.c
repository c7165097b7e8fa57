/* doubly-greedy: keep the rows nearest to any query, whichever it is.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/row_values.h"

static tamis_status choose(void *state, const tamis__candidates *c, tamis_selection *selection,
                           tamis_error *err)
{
    (void)state;
    return tamis__pick_by_row_value(c, tamis__row_max, NULL, "largest score", selection, err);
}

const tamis__selector_class tamis__selector_doubly_greedy = {
    .abi = TAMIS__SELECTOR_ABI,
    .info = {.name = "doubly-greedy",
             .summary = "keep the rows nearest to any query, whichever it is",
             .citation = "Targeted Instruction Selection 2026, arXiv 2602.14696: top k by max over "
                         "queries, which is instance-max under the name of that paper",
             .flags = TAMIS_SELECTOR_MATRIX | TAMIS_SELECTOR_LISTS | TAMIS_SELECTOR_COSTS},
    .select = choose,
};
