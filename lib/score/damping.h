/* How the damping of a curvature is given to a scorer.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORE_DAMPING_H
#define TAMIS_SCORE_DAMPING_H

#include <tamis/param.h>

#include "curvature/spectrum.h"

/* The choices of `damping-unit`, in this order. */
enum { TAMIS__DAMPING_RELATIVE, TAMIS__DAMPING_ABSOLUTE };
extern const char *const tamis__damping_units[];

/* Two rows of a parameter table. */
#define TAMIS__DAMPING_PARAMS                                                                      \
    {.name = "damping",                                                                            \
     .help = "added to every eigenvalue of the curvature",                                         \
     .type = TAMIS_PARAM_REAL,                                                                     \
     .max = 1e30,                                                                                  \
     .fallback = 0.1},                                                                             \
    {                                                                                              \
        .name = "damping-unit", .help = "of damping: a layer's mean eigenvalue, or 1",             \
        .type = TAMIS_PARAM_CHOICE, .choices = tamis__damping_units                                \
    }

/* From the values of these two rows. */
static inline tamis__damping tamis__damping_of(const tamis_param_value value[2])
{
    return (tamis__damping){.value = value[0].number,
                            .relative = value[1].number == TAMIS__DAMPING_RELATIVE};
}

#endif
