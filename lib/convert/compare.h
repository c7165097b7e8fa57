/* What the comparisons with the source share.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CONVERT_COMPARE_H
#define TAMIS_CONVERT_COMPARE_H

#include "convert/job.h"

/* Queries; rows of a pool item; columns at a time; bytes that a touch may map around it. */
enum {
    TAMIS__COMPARE_QUERIES = 16,
    TAMIS__COMPARE_ROWS = 64,
    TAMIS__COMPARE_TILE = 2048,
    TAMIS__COMPARE_AROUND = 2 << 20
};

/* Evenly spaced rows, and as evenly spaced ones of them as queries. */
typedef struct tamis__sample {
    const tamis__convert_job *job;
    uint64_t rows, queries;
} tamis__sample;

/* The source row of a sampled one: floor(i * all / rows), without overflow. */
uint64_t tamis__sample_row(const tamis__sample *s, uint64_t i);

/* all[q] += the dot product of `columns` floats with query q of tile [columns, queries], and so
 * part[q], unless it is NULL. */
void tamis__compare_add(const float *values, uint64_t columns, const double *tile, double *all,
                        double *part);

/* Dot products [rows, queries] of the source's whitened rows as they are before they are rounded to
 * the stored type: of all their coordinates, and of those that stayed. Both begin with zeros. */
tamis_status tamis__compare_whitened(const tamis__sample *s, double *all, double *part,
                                     tamis_error *err);

#endif
