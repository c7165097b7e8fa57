/* k-center, farthest first.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "cluster/k_center.h"

#include <math.h>

enum { BLOCK = 256 };

/* Distances to one more pick. Returns the farthest point, which is not a pick. */
static uint64_t come_near(const tamis__k_center *k, uint64_t pick)
{
    uint64_t best = 0;
    double most = -1;
    for (uint64_t c = 0; c < k->columns; c++)
        k->centre[c] = (double)k->point[pick * k->columns + c];
    k->near[pick] = -1;
    for (uint64_t first = 0; first < k->n; first += BLOCK) {
        uint64_t rows = k->n - first < BLOCK ? k->n - first : BLOCK;
        double dot[BLOCK] = {0};
        k->dots->floats(dot, 1, k->centre, 0, k->point + first * k->columns, k->columns, rows,
                        k->columns);
        for (uint64_t i = first; i < first + rows; i++) {
            double own = k->square[i] + k->square[pick], d = own - 2 * dot[i - first];
            if (d < 1e-13 * own) d = 0; /* equal points, but for rounding */
            if (d < k->near[i]) k->near[i] = d;
            if (k->near[i] > most) most = k->near[i], best = i;
        }
    }
    return best;
}

void tamis__k_center_find(const tamis__k_center *k, uint64_t given, uint64_t wanted,
                          uint64_t *order)
{
    for (uint64_t i = 0; i < k->n; i++) k->near[i] = (double)INFINITY;
    for (uint64_t at = 0; at < wanted; at++) {
        uint64_t next = come_near(k, order[at]);
        if (at + 1 >= given && at + 1 < wanted) order[at + 1] = next;
    }
}
