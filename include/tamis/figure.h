/* tamis - figures: curves with their intervals, as SVG or PNG.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_FIGURE_H
#define TAMIS_FIGURE_H

#include <stdbool.h>
#include <tamis/context.h>

TAMIS_BEGIN

/** A curve. Arrays belong to the caller and are only read. */
typedef struct tamis_curve {
    const char *name;         /**< for the legend; UTF-8 */
    uint64_t points;          /**< entries of the arrays, > 0 */
    const double *x, *y;      /**< [points]; finite, x ascending. x NULL = 0, 1, 2 ... */
    const double *low, *high; /**< [points] interval, drawn as a band (or as error bars when
                                   `markers`); NULL = none */
    bool markers;             /**< points instead of a line */
} tamis_curve;

/** A figure. Zero-initialise. */
typedef struct tamis_figure {
    const char *title, *x_label, *y_label; /**< UTF-8; NULL = none */
    const tamis_curve *curve;              /**< [curves] */
    uint32_t curves;                       /**< entries of curve, 1 .. 16 */
    const char *const
        *category;       /**< [categories] names of x = 0, 1, 2 ...; bars are then drawn, side
                                      by side for several curves, with their intervals */
    uint32_t categories; /**< entries of category; 0 = x is a number */
    bool log_x, log_y;   /**< decimal logarithmic axes; values must be > 0 */
    bool level;          /**< draw the horizontal line y = `level_at`, e.g. of chance */
    double level_at;
} tamis_figure;

/** Draw into `path`, which ends in .svg or .png and is written atomically. The same figure gives
 *  the same bytes. Errors: ARG (another ending; no curve; a value that is not finite or, on a
 *  logarithmic axis, not positive: names curve and point), IO (exists without force, cannot write),
 *  UNSUPPORTED (a driver of the plotting library is not installed: names the package), NOMEM. */
TAMIS_API TAMIS_NODISCARD tamis_status tamis_figure_draw(tamis_context *context,
                                                         const tamis_figure *figure,
                                                         const char *path, bool force,
                                                         tamis_error *err);

TAMIS_END

#endif
