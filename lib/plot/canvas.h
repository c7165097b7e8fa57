/* A page of pixels that is drawn on: lines, areas and text, as SVG or PNG in memory.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_PLOT_CANVAS_H
#define TAMIS_PLOT_CANVAS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/context.h"

typedef enum tamis__canvas_kind { TAMIS__CANVAS_SVG, TAMIS__CANVAS_PNG } tamis__canvas_kind;

/* Bytes of a finished picture. */
typedef struct tamis__canvas_bytes {
    unsigned char *data; /* freed by the owner with free() */
    size_t size;
} tamis__canvas_bytes;

/* Lines are solid or one of TAMIS__CANVAS_DASHES - 1 patterns. */
enum { TAMIS__CANVAS_DASHES = 4 };

/* Draws with the functions below. The plotting library may end it anywhere by a jump, so that it
 * must own nothing: whatever it needs is made before and freed after. */
typedef void (*tamis__canvas_fn)(void *cookie);

/* Draw a page of width x height pixels. One page at a time: others wait for their turn.
 * Errors: UNSUPPORTED (the driver is not installed: names the package), IO (the library gave up:
 * its message), NOMEM. */
tamis_status tamis__canvas_draw(tamis__canvas_kind kind, unsigned width, unsigned height,
                                tamis__canvas_fn draw, void *cookie, tamis__canvas_bytes *ret_bytes,
                                tamis_error *err);

/* For `draw` only. Pixels are counted from the upper left corner, angles counter-clockwise. */
void tamis__canvas_colour(const uint8_t rgb[3], double opacity);
void tamis__canvas_line(size_t points, const double *x, const double *y, double width,
                        unsigned dash);
void tamis__canvas_fill(size_t points, const double *x, const double *y);
/* `align` 0: text begins at x, 0.5: is centred, 1: ends there; its middle is at y. `size` is that
 * of the font in pixels. `text` is well-formed UTF-8 without control characters, under 500
 * bytes. */
void tamis__canvas_text(double x, double y, double size, bool bold, double degrees, double align,
                        const char *text);

#endif
