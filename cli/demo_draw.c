/* Small pictures in the terminal.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <string.h>

#include "demo.h"

#define MAX_SIDE 14
#define CELL     15 /* columns from picture to picture: five fit in 80 */

/* Mean of a factor x factor block, between 0 and 1. */
static float shade(const demo_picture *picture, unsigned side, unsigned factor, unsigned row,
                   unsigned column, float white)
{
    float sum = 0;
    for (unsigned i = 0; i < factor; i++)
        for (unsigned j = 0; j < factor; j++)
            sum += picture->pixel[(row * factor + i) * side + column * factor + j];
    float value = sum / ((float)(factor * factor) * white);
    return value < 0 ? 0 : value > 1 ? 1 : value;
}

/* One character stands for two pixels, one above the other. Plain text has no greys: a pixel is on
 * from two fifths of white up. */
static void draw_cell(float top, float bottom, bool colour)
{
    static const char *const block[] = {" ", "\u2584", "\u2580", "\u2588"};
    if (colour)
        printf("\033[38;5;%d;48;5;%dm\u2580", 232 + (int)(top * 23), 232 + (int)(bottom * 23));
    else
        fputs(block[2 * (top >= 0.4f) + (bottom >= 0.4f)], stdout);
}

static void draw_line(const demo_picture *picture, unsigned side, unsigned factor, unsigned line,
                      float white, bool colour)
{
    unsigned shown = side / factor;
    for (unsigned column = 0; column < shown; column++) {
        float top = shade(picture, side, factor, 2 * line, column, white);
        float bottom = 2 * line + 1 < shown
                           ? shade(picture, side, factor, 2 * line + 1, column, white)
                           : 0;
        draw_cell(top, bottom, colour);
    }
    if (colour) fputs("\033[0m", stdout);
    printf("%*s", (int)(CELL - shown), "");
}

void demo_draw(const demo_picture *picture, size_t n, unsigned side, float white, bool colour)
{
    unsigned factor = 1;
    while (side / factor > MAX_SIDE) factor *= 2;
    unsigned lines = (side / factor + 1) / 2;
    for (unsigned line = 0; line < lines; line++) {
        fputs("  ", stdout);
        for (size_t i = 0; i < n; i++) draw_line(&picture[i], side, factor, line, white, colour);
        putchar('\n');
    }
    for (unsigned k = 0; k < 3; k++) {
        fputs("  ", stdout);
        for (size_t i = 0; i < n; i++) printf("%-*.*s", CELL, CELL - 1, picture[i].caption[k]);
        putchar('\n');
    }
}
