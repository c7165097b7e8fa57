/* Kept rows split over several outputs.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_SPLITS_H
#define TAMIS_MANIFEST_SPLITS_H

#include <tamis/manifest.h>

/* Names, shares and the output's name. Errors: ARG. */
tamis_status tamis__splits_check(const tamis_manifest_params *params, tamis_error *err);

/* Set part [rows] of kept rows to the split's number. Row by row: a seeded draw, split i gets its
 * share by largest remainder. By group: groups in a seeded order, each to the split that is
 * furthest below its share. Errors: ARG (by group without groups or labels), NOMEM. */
tamis_status tamis__split_rows(const tamis_manifest_params *params, uint16_t *part,
                               tamis_error *err);

#endif
