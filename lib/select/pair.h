/* Two stores that are looked at together: candidates and targets.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_PAIR_H
#define TAMIS_SELECT_PAIR_H

#include <tamis/select.h>

/* Do train, query and curvature of the parameters fit together? Errors: SHAPE. */
tamis_status tamis__pair_check(const tamis_select_params *params, tamis_error *err);

#endif
