/* What a selector found on its way.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_FACTS_H
#define TAMIS_SELECT_FACTS_H

#include <tamis/selection.h>

#include "base/json.h"

/* What was found on the way becomes part of the provenance. Takes `facts` over, NULL = out of
 * memory. */
tamis_status tamis__selection_facts(tamis_selection *selection, json_t *facts, tamis_error *err);

#endif
