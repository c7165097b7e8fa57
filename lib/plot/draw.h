/* A laid out figure on the canvas.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_PLOT_DRAW_H
#define TAMIS_PLOT_DRAW_H

#include "plot/layout.h"

/* Everything that drawing needs, so that drawing itself allocates nothing. */
typedef struct tamis__drawing tamis__drawing;

/* `figure` and `layout` must live as long as it does. Errors: NOMEM. */
tamis_status tamis__drawing_make(const tamis_figure *figure, const tamis__layout *layout,
                                 tamis__drawing **ret_drawing, tamis_error *err);
void tamis__drawing_free(tamis__drawing *drawing);

/* A tamis__canvas_fn whose cookie is a drawing. */
void tamis__drawing_draw(void *drawing);

#endif
