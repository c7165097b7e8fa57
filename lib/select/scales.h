/* What columns of scores are normalised by.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_SELECT_SCALES_H
#define TAMIS_SELECT_SCALES_H

#include <tamis/select.h>

/* Figures of some rows, by column: mean and squares by blocks after Chan, Golub and LeVeque 1983,
 * Algorithms for Computing the Sample Variance, equation 1.5. One allocation, freed through `count`. */
typedef struct tamis__moments {
    uint64_t columns;
    double *count, *mean;     /* [columns]; mean: the sum until tamis__moments_means() */
    double *squares;          /* [columns] of differences from the mean */
    double *lowest, *highest; /* [columns] HUGE_VAL and -HUGE_VAL of nothing */
} tamis__moments;

tamis_status tamis__moments_init(tamis__moments *ret_moments, uint64_t columns, tamis_error *err);
/* Accepts a zeroed struct. */
void tamis__moments_fini(tamis__moments *moments);
uint64_t tamis__moments_bytes(uint64_t columns);
/* Of nothing again. */
void tamis__moments_clear(tamis__moments *moments);

/* Two steps for the same numbers, after a clear: all are counted, then, with the means that there are,
 * all are measured. */
static inline void tamis__moments_count(tamis__moments *m, uint64_t column, double value)
{
    m->count[column] += 1;
    m->mean[column] += value;
    if (value < m->lowest[column]) m->lowest[column] = value;
    if (value > m->highest[column]) m->highest[column] = value;
}

static inline void tamis__moments_measure(tamis__moments *m, uint64_t column, double value)
{
    double difference = value - m->mean[column];
    m->squares[column] += difference * difference;
}

void tamis__moments_means(tamis__moments *moments);

/* The numbers of `more` come after those of `moments`. */
void tamis__moments_add(tamis__moments *moments, const tamis__moments *more);

/* A number becomes (x - shift) / scale; with softmax exp(x - shift) / scale, where scale has yet to
 * become the sum of these over the column; with rank rank / scale. A constant column becomes 0. */
typedef struct tamis__scales {
    double *shift, *scale; /* [columns]; one allocation, freed through `shift` */
} tamis__scales;

/* Errors: NOMEM. */
tamis_status tamis__scales_of(const tamis__moments *moments, tamis_normalise normalise,
                              tamis__scales *ret_scales, tamis_error *err);

#endif
