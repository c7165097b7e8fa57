/* Where everything of a figure goes.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_PLOT_LAYOUT_H
#define TAMIS_PLOT_LAYOUT_H

#include <tamis/figure.h>

#include "plot/axis.h"
#include "plot/words.h"

/* In pixels. */
enum { TAMIS__FIGURE_WIDTH = 900, TAMIS__FIGURE_HEIGHT = 540, TAMIS__FIGURE_CURVES = 16 };
enum { TAMIS__FONT_TITLE = 17, TAMIS__FONT_LABEL = 14, TAMIS__FONT_SMALL = 12 };
/* A line of text of TAMIS__FONT_SMALL, and the sample of a curve before its name. */
enum { TAMIS__LINE_HEIGHT = 16, TAMIS__SAMPLE_WIDTH = 34 };

typedef struct tamis__label {
    double x, y; /* of the first line's left end, or of a category's anchor */
    unsigned lines;
    char line[3][TAMIS__WORDS_SIZE];
} tamis__label;

typedef struct tamis__layout {
    double left, right, top, bottom; /* of the area of the curves; y grows downwards */
    tamis__axis x, y;
    tamis__label title, x_label, y_label;
    tamis__label name[TAMIS__FIGURE_CURVES]; /* the legend; no lines = not in it */
    bool legend_right;                       /* beside the curves, not above them */
    double degrees;                          /* by which category names are turned */
    uint32_t stride, shown; /* every stride-th category is named: `shown` of them */
    tamis__label *category; /* [shown] */
} tamis__layout;

/* Lay out a checked figure. Free with tamis__layout_free(). Errors: NOMEM. */
tamis_status tamis__layout_make(const tamis_figure *figure, tamis__layout *ret_layout,
                                tamis_error *err);
void tamis__layout_free(tamis__layout *layout);

/* x of a curve's point: its number when the curve has none. */
double tamis__layout_x(const tamis_curve *curve, uint64_t point);

#endif
