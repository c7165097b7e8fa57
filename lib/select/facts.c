/* What a selector found on its way becomes part of the selection.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/facts.h"

#include <stdlib.h>

#include "base/error.h"

tamis_status tamis__selection_facts(tamis_selection *selection, json_t *facts, tamis_error *err)
{
    char *text = facts ? json_dumps(facts, JSON_COMPACT) : NULL;
    json_decref(facts);
    if (!text) return tamis__fail_memory(err, "a selection's provenance", 0);
    free(selection->provenance);
    selection->provenance = text;
    return TAMIS_OK;
}
