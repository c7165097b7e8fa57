/* Newton steps for problems whose updates creep.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_TRANSPORT_NEWTON_H
#define TAMIS_TRANSPORT_NEWTON_H

#include "transport/sinkhorn.h"

/* Points of the smaller side, at most: with n of the other a step takes n m^2 + m^3 / 3 operations
 * and 13 MB, whatever the memory limit, on which the result must not depend. */
enum { TAMIS__NEWTON_MOST = 1024 };

/* Is the problem small enough, and balanced? */
bool tamis__newton_fits(const tamis__sinkhorn *sinkhorn);

/* Does a step take much longer than a pair of updates? */
bool tamis__newton_dear(const tamis__sinkhorn *sinkhorn);

/* Move both potentials. The same bits for any number of threads. Errors: NOMEM, CANCELLED. */
tamis_status tamis__newton_step(tamis__sinkhorn *sinkhorn, double epsilon, tamis_error *err);

#endif
