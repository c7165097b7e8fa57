/* What a selector chooses from, and what of it is owned.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_GATHER_H
#define TAMIS_SELECT_GATHER_H

#include "select/queries.h"
#include "select/rules.h"

typedef struct tamis__gathered {
    tamis__candidates candidates; /* the caller sets context, seed, source and rows */
    tamis__groups group;
    tamis__rules rules;
    tamis__query_scores queries;
    double *value;
    char name[96];
} tamis__gathered;

/* Everything that the class looks at. The caller calls tamis__gathered_fini(), also after an error;
 * do not copy the struct. Errors: as tamis_select(). */
tamis_status tamis__gather(tamis__gathered *gathered, const tamis__selector_class *class,
                           tamis_error *err);
void tamis__gathered_fini(tamis__gathered *gathered);

#endif
