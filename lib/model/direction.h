/* What a row is: the gradient itself, or the step that an optimizer would make of it.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MODEL_DIRECTION_H
#define TAMIS_MODEL_DIRECTION_H

#include "model/moments.h"

/* Never NULL for a value of the enumeration. */
const char *tamis__direction_name(tamis_direction direction);
const char *tamis__function_name(tamis_function function);

/* Turn n values of a gradient into the direction. `first` and `second` are the moments of the same
 * weights, `step` the steps they are of; all three are not looked at by directions without moments.
 * Worked out in double, each value rounded once; NaN and infinity come out as NaN or infinity. */
void tamis__direction_apply(tamis_direction direction, const tamis__moments *moments,
                            const float *first, const float *second, uint64_t step, float *value,
                            size_t n);

#endif
