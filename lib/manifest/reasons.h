/* The table that says why each dropped row was dropped.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_REASONS_H
#define TAMIS_MANIFEST_REASONS_H

#include <tamis/selection.h>

#include "base/file.h"

/* CSV with the columns row, id, score, rank, reason; one record for each dropped row, ascending. */
tamis_status tamis__reasons_write(const tamis_selection *selection, tamis__output *output,
                                  tamis_error *err);

#endif
