/* Where everything of a figure goes. Nothing is put over the curves: a legend of short names goes
 * above them, a longer one beside them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "plot/layout.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"

enum { EDGE = 14, GAP = 8, TICK_ROOM = 8, LEGEND_WIDTH = 190, NAME_WIDTH = 190 };
static const double sine_45 = 0.70710678118654752;

double tamis__layout_x(const tamis_curve *curve, uint64_t point)
{
    return curve->x ? curve->x[point] : (double)point;
}

/* --- ranges --------------------------------------------------------------------------------- */

static void widen(double *low, double *high, double value)
{
    if (value < *low) *low = value;
    if (value > *high) *high = value;
}

static bool has_bars(const tamis_figure *figure)
{
    for (uint32_t i = 0; i < figure->curves; i++)
        if (!figure->curve[i].markers) return figure->categories > 0;
    return false;
}

static void set_ranges(const tamis_figure *figure, tamis__layout *layout)
{
    double x[2] = {HUGE_VAL, -HUGE_VAL}, y[2] = {HUGE_VAL, -HUGE_VAL};
    for (uint32_t i = 0; i < figure->curves; i++) {
        const tamis_curve *curve = &figure->curve[i];
        for (uint64_t k = 0; k < curve->points; k++) {
            widen(&x[0], &x[1], tamis__layout_x(curve, k));
            widen(&y[0], &y[1], curve->y[k]);
            if (curve->low) widen(&y[0], &y[1], curve->low[k]);
            if (curve->high) widen(&y[0], &y[1], curve->high[k]);
        }
    }
    if (figure->level) widen(&y[0], &y[1], figure->level_at);
    tamis__axis_range(&layout->y, figure->log_y, y[0], y[1],
                      has_bars(figure) ? TAMIS__AXIS_BARS : TAMIS__AXIS_WIDE);
    if (figure->categories)
        layout->x = (tamis__axis){.low = -0.5, .high = figure->categories - 0.5};
    else
        tamis__axis_range(&layout->x, figure->log_x, x[0], x[1], TAMIS__AXIS_NARROW);
}

/* --- texts ---------------------------------------------------------------------------------- */

static void set_label(tamis__label *label, const char *text, double width, double size,
                      unsigned lines)
{
    label->lines = tamis__words_wrap(text, width, size, lines, label->line, NULL);
}

static double label_width(const tamis__label *label)
{
    double width = 0;
    for (unsigned i = 0; i < label->lines; i++)
        width = fmax(width, tamis__words_width(label->line[i], TAMIS__FONT_SMALL));
    return width;
}

/* Of an entry of `lines` lines in a legend beside the curves. */
static double entry_height(unsigned lines)
{
    return lines ? lines * TAMIS__LINE_HEIGHT + GAP / 2.0 : 0;
}

/* In two lines each, or in one where the page has no room for that. */
static void set_names(const tamis_figure *figure, tamis__layout *layout)
{
    double room = TAMIS__FIGURE_HEIGHT - EDGE - layout->top;
    for (unsigned lines = 2; lines > 0; lines--) {
        double height = 0;
        for (uint32_t i = 0; i < figure->curves; i++) {
            set_label(&layout->name[i], figure->curve[i].name, LEGEND_WIDTH, TAMIS__FONT_SMALL,
                      lines);
            height += entry_height(layout->name[i].lines);
        }
        if (height <= room) break;
    }
}

/* In one row above the curves when all fit there, else one below the other on the right. Takes its
 * room from `layout`. */
static void set_legend(const tamis_figure *figure, tamis__layout *layout)
{
    double row = 0, widest = 0;
    unsigned named = 0;
    set_names(figure, layout);
    for (uint32_t i = 0; i < figure->curves; i++) {
        tamis__label *name = &layout->name[i];
        if (name->lines == 0) continue;
        double width = label_width(name);
        widest = fmax(widest, width);
        row += TAMIS__SAMPLE_WIDTH + GAP + width + 2 * EDGE;
        named++;
        if (name->lines > 1) layout->legend_right = true;
    }
    if (named == 0) return;
    if (row > TAMIS__FIGURE_WIDTH - 100) layout->legend_right = true;
    if (layout->legend_right)
        layout->right -= widest + TAMIS__SAMPLE_WIDTH + GAP + EDGE;
    else
        layout->top += TAMIS__LINE_HEIGHT + GAP;
}

/* Once the area of the curves is known. */
static void place_legend(const tamis_figure *figure, tamis__layout *layout)
{
    double x = layout->left, y = layout->top - GAP - TAMIS__LINE_HEIGHT / 2.0;
    if (layout->legend_right) {
        x = layout->right + EDGE;
        y = layout->top + TAMIS__LINE_HEIGHT / 2.0;
    }
    for (uint32_t i = 0; i < figure->curves; i++) {
        tamis__label *name = &layout->name[i];
        if (name->lines == 0) continue;
        name->x = x + TAMIS__SAMPLE_WIDTH + GAP;
        name->y = y;
        if (layout->legend_right)
            y += entry_height(name->lines);
        else
            x = name->x + label_width(name) + 2 * EDGE;
    }
}

/* --- categories ----------------------------------------------------------------------------- */

static double slot(const tamis_figure *figure, const tamis__layout *layout)
{
    return (layout->right - layout->left) / figure->categories;
}

/* True when every name fits the slot in three lines without cutting a word. */
static bool words_fit(const tamis_figure *figure, const tamis__layout *layout, double width)
{
    for (uint32_t i = 0; i < layout->shown; i++) {
        tamis__label *label = &layout->category[i];
        bool cut = false;
        label->lines = tamis__words_wrap(figure->category[i], width, TAMIS__FONT_SMALL, 3,
                                         label->line, &cut);
        if (cut) return false;
    }
    return true;
}

/* Upright in up to three lines, turned by half a right angle, or turned upright and not all of
 * them: what fits first. Takes room at the bottom and, for turned names, at the left. */
static tamis_status set_categories(const tamis_figure *figure, tamis__layout *layout,
                                   tamis_error *err)
{
    const double line = TAMIS__LINE_HEIGHT;
    layout->stride = 1 + (uint32_t)(line / slot(figure, layout));
    layout->shown = (figure->categories + layout->stride - 1) / layout->stride;
    layout->category = tamis__calloc(layout->shown, sizeof *layout->category);
    if (!layout->category)
        return tamis__fail_memory(err, "a picture", layout->shown * sizeof *layout->category);
    double longest = 0;
    if (layout->stride == 1 && words_fit(figure, layout, slot(figure, layout) - GAP)) {
        unsigned lines = 1;
        for (uint32_t i = 0; i < layout->shown; i++)
            if (layout->category[i].lines > lines) lines = layout->category[i].lines;
        layout->bottom -= (lines - 1) * line;
    } else {
        layout->degrees = slot(figure, layout) < 1.5 * line ? 90 : 45;
        for (uint32_t i = 0; i < layout->shown; i++) {
            tamis__label *label = &layout->category[i];
            set_label(label, figure->category[i * layout->stride], NAME_WIDTH, TAMIS__FONT_SMALL,
                      1);
            longest = fmax(longest, label_width(label));
        }
        double down = layout->degrees == 90 ? longest : (longest + line) * sine_45;
        layout->bottom -= down - line / 2;
        if (layout->degrees < 90)
            layout->left = fmax(layout->left, down + EDGE - slot(figure, layout) / 2);
    }
    return TAMIS_OK;
}

static void place_categories(const tamis_figure *figure, tamis__layout *layout)
{
    for (uint32_t i = 0; i < layout->shown; i++) {
        double at = i * layout->stride + 0.5;
        layout->category[i].x = layout->left + at * slot(figure, layout);
        layout->category[i].y = layout->bottom + TICK_ROOM +
                                (layout->degrees == 0 ? TAMIS__LINE_HEIGHT / 2.0 : 0);
    }
}

/* --- all ------------------------------------------------------------------------------------ */

static double widest_tick(const tamis__axis *axis)
{
    double width = 0;
    for (unsigned i = 0; i < axis->ticks; i++)
        width = fmax(width, tamis__words_width(axis->tick[i].label, TAMIS__FONT_SMALL));
    return width;
}

/* What stands above and below the curves, then how wide the labels of the y axis are. */
static void set_margins(const tamis_figure *figure, tamis__layout *layout)
{
    const double width = TAMIS__FIGURE_WIDTH - 4 * EDGE;
    *layout = (tamis__layout){.top = EDGE + 2,
                              .left = EDGE,
                              .right = TAMIS__FIGURE_WIDTH - 2 * EDGE,
                              .bottom = TAMIS__FIGURE_HEIGHT - EDGE};
    set_label(&layout->title, figure->title, width, TAMIS__FONT_TITLE * 1.1, 2);
    set_label(&layout->x_label, figure->x_label, width, TAMIS__FONT_LABEL, 1);
    set_label(&layout->y_label, figure->y_label, TAMIS__FIGURE_HEIGHT - 4 * EDGE, TAMIS__FONT_LABEL,
              1);
    layout->top += layout->title.lines * (TAMIS__FONT_TITLE + 5) + (layout->title.lines ? GAP : 0);
    layout->bottom -= TAMIS__LINE_HEIGHT + TICK_ROOM;
    if (layout->x_label.lines) layout->bottom -= TAMIS__FONT_LABEL + GAP;
    if (layout->y_label.lines) layout->left += TAMIS__FONT_LABEL + GAP;
    set_legend(figure, layout);
    set_ranges(figure, layout);
    tamis__axis_set_ticks(&layout->y, layout->bottom - layout->top, true, TAMIS__FONT_SMALL);
    layout->left += widest_tick(&layout->y) + TICK_ROOM + 2;
}

tamis_status tamis__layout_make(const tamis_figure *figure, tamis__layout *ret_layout,
                                tamis_error *err)
{
    tamis__layout *layout = ret_layout;
    set_margins(figure, layout);
    if (figure->categories) {
        TAMIS_TRY(set_categories(figure, layout, err));
        place_categories(figure, layout);
        /* Room at the bottom is now less. */
        tamis__axis_set_ticks(&layout->y, layout->bottom - layout->top, true, TAMIS__FONT_SMALL);
    } else {
        tamis__axis_set_ticks(&layout->x, layout->right - layout->left, false, TAMIS__FONT_SMALL);
    }
    place_legend(figure, layout);
    return TAMIS_OK;
}

void tamis__layout_free(tamis__layout *layout)
{
    free(layout->category);
    layout->category = NULL;
}
