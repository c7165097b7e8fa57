/* bottom: the rows with the lowest values.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/registry.h"

static tamis_status choose(void *state, const tamis__candidates *c, tamis_selection *selection,
                           tamis_error *err)
{
    (void)state;
    return tamis__take_end(c, false, selection, err);
}

const tamis__selector_class tamis__selector_bottom = {
    .abi = TAMIS__SELECTOR_ABI,
    .info = {.name = "bottom",
             .summary = "keep the rows with the lowest values",
             .citation = "ranking; ties go to the lower row",
             .flags = TAMIS_SELECTOR_LISTS | TAMIS_SELECTOR_COSTS},
    .select = choose,
};
