/* Drawing a figure: it is checked, laid out, drawn into memory and written.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/figure.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/file.h"
#include "plot/canvas.h"
#include "plot/draw.h"
#include "plot/layout.h"

/* --- checks --------------------------------------------------------------------------------- */

typedef struct place {
    const tamis_curve *curve;
    uint32_t number;
    const char *what; /* the array */
    uint64_t point;
} place;

static tamis_status fail_at(tamis_error *err, const place *at, const char *wrong)
{
    const char *name = at->curve->name ? at->curve->name : "";
    return tamis__fail(err, TAMIS_ERR_ARG, "figure: curve %u '%.100s', point %llu: %s %s",
                       at->number, name, (unsigned long long)at->point, at->what, wrong);
}

static tamis_status check_value(const place *at, double value, bool log, tamis_error *err)
{
    if (!isfinite(value)) return fail_at(err, at, "is not a finite number");
    if (log && value <= 0) return fail_at(err, at, "is not positive, but the axis is logarithmic");
    return TAMIS_OK;
}

static tamis_status check_point(const tamis_figure *figure, place at, tamis_error *err)
{
    const tamis_curve *curve = at.curve;
    const double x = tamis__layout_x(curve, at.point);
    at.what = "x";
    TAMIS_TRY(check_value(&at, x, figure->log_x, err));
    if (at.point > 0 && x < tamis__layout_x(curve, at.point - 1))
        return fail_at(err, &at, "is less than the one before it");
    if (figure->categories && (x < 0 || x >= figure->categories || x != floor(x)))
        return fail_at(err, &at, "is not the number of a category");
    at.what = "y";
    TAMIS_TRY(check_value(&at, curve->y[at.point], figure->log_y, err));
    if (!curve->low) return TAMIS_OK;
    at.what = "low";
    TAMIS_TRY(check_value(&at, curve->low[at.point], figure->log_y, err));
    if (curve->low[at.point] > curve->high[at.point]) return fail_at(err, &at, "is above high");
    at.what = "high";
    return check_value(&at, curve->high[at.point], figure->log_y, err);
}

static tamis_status check_curve(const tamis_figure *figure, uint32_t number, tamis_error *err)
{
    place at = {.curve = &figure->curve[number], .number = number, .what = "y"};
    if (at.curve->points == 0 || !at.curve->y)
        return tamis__fail(err, TAMIS_ERR_ARG, "figure: curve %u has no points", number);
    if (!at.curve->low != !at.curve->high)
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "figure: curve %u has one end of an interval only: give low and high",
                           number);
    for (; at.point < at.curve->points; at.point++) TAMIS_TRY(check_point(figure, at, err));
    return TAMIS_OK;
}

static tamis_status check_figure(const tamis_figure *figure, tamis_error *err)
{
    if (figure->curves == 0 || figure->curves > TAMIS__FIGURE_CURVES)
        return tamis__fail(err, TAMIS_ERR_ARG, "figure: %u curves: it draws 1 to %d",
                           figure->curves, TAMIS__FIGURE_CURVES);
    if (figure->categories && figure->log_x)
        return tamis__fail(err, TAMIS_ERR_ARG, "figure: categories have no logarithm");
    for (uint32_t i = 0; i < figure->curves; i++) TAMIS_TRY(check_curve(figure, i, err));
    if (figure->level && !(isfinite(figure->level_at) && (!figure->log_y || figure->level_at > 0)))
        return tamis__fail(err, TAMIS_ERR_ARG, "figure: the level is not finite%s",
                           figure->log_y ? " or, as a logarithmic axis needs, not positive" : "");
    return TAMIS_OK;
}

/* --- drawing -------------------------------------------------------------------------------- */

static tamis_status choose_kind(const char *path, tamis__canvas_kind *ret_kind, tamis_error *err)
{
    const char *ending = strrchr(path, '.');
    if (ending && !strcasecmp(ending, ".svg"))
        *ret_kind = TAMIS__CANVAS_SVG;
    else if (ending && !strcasecmp(ending, ".png"))
        *ret_kind = TAMIS__CANVAS_PNG;
    else
        return tamis__fail(err, TAMIS_ERR_ARG,
                           "'%s': pictures are drawn as .svg or .png; choose one of these endings",
                           path);
    return TAMIS_OK;
}

static tamis_status draw_bytes(const tamis_figure *figure, tamis__canvas_kind kind,
                               tamis__canvas_bytes *ret_bytes, tamis_error *err)
{
    tamis__layout layout;
    TAMIS_TRY(tamis__layout_make(figure, &layout, err));
    tamis__drawing *drawing = NULL;
    tamis_status status = tamis__drawing_make(figure, &layout, &drawing, err);
    if (status == TAMIS_OK)
        status = tamis__canvas_draw(kind, TAMIS__FIGURE_WIDTH, TAMIS__FIGURE_HEIGHT,
                                    tamis__drawing_draw, drawing, ret_bytes, err);
    tamis__drawing_free(drawing);
    tamis__layout_free(&layout);
    return status;
}

tamis_status tamis_figure_draw(tamis_context *context, const tamis_figure *figure, const char *path,
                               bool force, tamis_error *err)
{
    tamis__canvas_kind kind = TAMIS__CANVAS_SVG;
    tamis__canvas_bytes bytes = {0};
    tamis__output output = {0};
    TAMIS_TRY(choose_kind(path, &kind, err));
    TAMIS_TRY(check_figure(figure, err));
    TAMIS_TRY(tamis__output_check(path, force, true, err));
    tamis_status status = draw_bytes(figure, kind, &bytes, err);
    if (status != TAMIS_OK) return tamis__prefix(err, status, "%s", path);
    status = tamis__output_open(&output, context, path, force, err);
    if (status == TAMIS_OK) {
        status = tamis__output_write(&output, bytes.data, bytes.size, err);
        if (status == TAMIS_OK)
            status = tamis__output_commit(&output, err);
        else
            tamis__output_abort(&output);
    }
    free(bytes.data);
    return status;
}
