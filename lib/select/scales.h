/* What columns of scores are normalised by.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_SCALES_H
#define TAMIS_SELECT_SCALES_H

#include <tamis/select.h>

/* Figures of some rows, by column: mean and squares by blocks after Chan, Golub and LeVeque
 * 1983, Algorithms for Computing the Sample Variance, equation 1.5. One allocation, freed
 * through `count`. */
typedef struct tamis__spread {
    uint64_t columns;
    double *count, *mean;     /* [columns]; mean: the sum until tamis__spread_means() */
    double *squares;          /* [columns] of differences from the mean */
    double *lowest, *highest; /* [columns] HUGE_VAL and -HUGE_VAL of nothing */
} tamis__spread;

tamis_status tamis__spread_init(tamis__spread *ret_spread, uint64_t columns, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__spread_fini(tamis__spread *spread);
uint64_t tamis__spread_bytes(uint64_t columns);
/* Of nothing again. */
void tamis__spread_clear(tamis__spread *spread);

/* Two steps for the same numbers, after a clear: all are counted, then, with the means that there
 * are, all are measured. */
static inline void tamis__spread_count(tamis__spread *m, uint64_t column, double value)
{
    m->count[column] += 1;
    m->mean[column] += value;
    if (value < m->lowest[column]) m->lowest[column] = value;
    if (value > m->highest[column]) m->highest[column] = value;
}

static inline void tamis__spread_measure(tamis__spread *m, uint64_t column, double value)
{
    double difference = value - m->mean[column];
    m->squares[column] += difference * difference;
}

void tamis__spread_means(tamis__spread *spread);

/* The numbers of `more` come after those of `spread`. */
void tamis__spread_add(tamis__spread *spread, const tamis__spread *more);

/* A number becomes (x - shift) / scale; with softmax exp(x - shift) / scale, where scale has yet to
 * become the sum of these over the column; with rank rank / scale. A constant column becomes 0. */
typedef struct tamis__scales {
    double *shift, *scale; /* [columns]; one allocation, freed through `shift` */
} tamis__scales;

/* Errors: NOMEM. */
tamis_status tamis__scales_of(const tamis__spread *spread, tamis_normalise normalise,
                              tamis__scales *ret_scales, tamis_error *err);

#endif
