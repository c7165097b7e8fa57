/* The Cholesky factor of a damped second moment.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SCORE_DAMPED_GRAM_H
#define TAMIS_SCORE_DAMPED_GRAM_H

#include "curvature/rows.h"
#include "curvature/spectrum.h"

/* L [columns, columns] of a curvature of kind gram for rows of so many columns, which is added to
 * what they have reserved. Free with free(). Errors: ARG (another kind), NUMERIC (not positive
 * definite), NOMEM (also the memory limit). */
tamis_status tamis__damped_gram(tamis__rows *rows, const tamis_curvature *curvature,
                                tamis__damping damping, double **ret_factor, tamis_error *err);

#endif
