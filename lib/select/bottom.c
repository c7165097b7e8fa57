/* bottom: the rows with the lowest values.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "select/registry.h"
#include "select/values.h"

static tamis_status choose(void *state, const tamis__candidates *c, tamis_selection *selection,
                           tamis_error *err)
{
    (void)state;
    char kept[256], dropped[256];
    uint64_t *order = NULL;
    TAMIS_TRY(tamis__order(c->value, c->rows, false, &order, err));
    snprintf(kept, sizeof kept, "in the bottom %.32s (%" PRIu64 " of %" PRIu64 ") by %s",
             c->budget_text, c->budget, c->rows, c->value_name);
    snprintf(dropped, sizeof dropped, "above the bottom %.32s (%" PRIu64 " of %" PRIu64 ") by %s",
             c->budget_text, c->budget, c->rows, c->value_name);
    tamis_status status = tamis__take(selection, order, c->budget, kept, dropped, err);
    free(order);
    return status;
}

const tamis__selector_class tamis__selector_bottom = {
    .abi = TAMIS__SELECTOR_ABI,
    .info = {.name = "bottom",
             .summary = "keep the rows with the lowest values",
             .citation = "ranking; ties go to the lower row"},
    .select = choose,
};
