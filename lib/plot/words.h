/* Texts in a figure: how wide they are, and lines that fit.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_PLOT_WORDS_H
#define TAMIS_PLOT_WORDS_H

#include <stdbool.h>

/* Room for a line; longer ones are cut. */
enum { TAMIS__WORDS_SIZE = 400 };

/* Width in pixels, in a font of `size` pixels. An estimate that no common sans-serif font exceeds
 * by much: which one an SVG is shown in is not known. */
double tamis__words_width(const char *text, double size);

/* Divide `text` into at most `lines` lines of `width` pixels, at spaces and behind some signs where
 * it can; what does not fit ends in an ellipsis. Bytes that are not UTF-8, and characters that XML
 * has not, become U+FFFD, control characters spaces. Returns how many lines there are: 0 for an
 * empty text or NULL. *ret_cut, unless NULL: a word was cut in two, or something was left out. */
unsigned tamis__words_wrap(const char *text, double width, double size, unsigned lines,
                           char ret_line[][TAMIS__WORDS_SIZE], bool *ret_cut);

#endif
