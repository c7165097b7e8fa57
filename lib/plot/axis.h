/* An axis: its range, and ticks with their labels.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_PLOT_AXIS_H
#define TAMIS_PLOT_AXIS_H

#include <stdbool.h>
#include <stdint.h>

enum { TAMIS__AXIS_TICKS = 64, TAMIS__AXIS_LABEL = 40 };

/* The value of a tick is digits * 10^exponent: what it is labelled with, exactly. */
typedef struct tamis__tick {
    int64_t digits;
    int exponent;
    double at;  /* place on the axis, 0 to 1 */
    bool minor; /* a line without a label */
    char label[TAMIS__AXIS_LABEL];
} tamis__tick;

typedef struct tamis__axis {
    bool log;
    double low, high; /* of the range: values, or their decimal logarithms */
    int shift;        /* values count times 10^shift, to stay clear of the ends of double */
    unsigned ticks;
    tamis__tick tick[TAMIS__AXIS_TICKS];
} tamis__axis;

/* Room around the values. */
typedef enum tamis__axis_room {
    TAMIS__AXIS_NARROW, /* 2% */
    TAMIS__AXIS_WIDE,   /* 5% */
    TAMIS__AXIS_BARS    /* 5%, and bars stand on zero, which is at the edge or shown */
} tamis__axis_room;

/* Set the range to hold low .. high, which are finite and, on a logarithmic axis, positive. A range
 * of no extent is widened. Where all values are positive the axis does not go below zero. */
void tamis__axis_range(tamis__axis *axis, bool log, double low, double high, tamis__axis_room room);

/* Where a value is: 0 at the low end, 1 at the high end. */
double tamis__axis_at(const tamis__axis *axis, double value);

/* Choose ticks for an axis of `length` pixels, lying or upright; labels in a font of `size` pixels
 * do not touch each other. */
void tamis__axis_set_ticks(tamis__axis *axis, double length, bool upright, double size);

#endif
