/* Newton steps for small problems whose updates creep.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TRANSPORT_NEWTON_H
#define TAMIS_TRANSPORT_NEWTON_H

#include "transport/sinkhorn.h"

/* Points of a side: a step takes n m^2 + m^3 / 3 operations and 16 MiB. */
enum { TAMIS__NEWTON_MOST = 1024 };

/* Is the problem small enough, and balanced? */
bool tamis__newton_fits(const tamis__sinkhorn *sinkhorn);

/* Move both potentials. Errors: NOMEM. */
tamis_status tamis__newton_step(tamis__sinkhorn *sinkhorn, double epsilon, tamis_error *err);

#endif
