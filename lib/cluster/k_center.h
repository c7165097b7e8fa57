/* k-center: points that leave no other point far from all of them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLUSTER_K_CENTER_H
#define TAMIS_CLUSTER_K_CENTER_H

#include <stdint.h>

#include "kernels/row_dots.h"

typedef struct tamis__k_center {
    const tamis__row_dots *dots;
    const float *point;   /* [n, columns] */
    const double *square; /* [n] |x|^2 */
    uint64_t n, columns;
    double *near;   /* [n] work: squared distance to the nearest pick, -1 for picks */
    double *centre; /* [columns] work */
} tamis__k_center;

/* Picks into order [wanted], wanted <= n: the first `given` > 0 are there already, and each of the
 * others is the point that is farthest from those before it; ties go to the lower one. Gonzalez
 * 1985, Clustering to Minimize the Maximum Intercluster Distance, section 3. Complexity: wanted * n
 * * columns. */
void tamis__k_center_find(const tamis__k_center *problem, uint64_t given, uint64_t wanted,
                          uint64_t *order);

#endif
