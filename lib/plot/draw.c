/* Drawing: ground, grid, intervals, curves, legend and texts, in this order.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "plot/draw.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "plot/canvas.h"

/* The palette of Okabe and Ito, whose colours stay apart for colour-blind eyes; the darkest first,
 * and grey where it has a yellow that cannot be seen on white. */
static const uint8_t palette[][3] = {{0, 114, 178}, {213, 94, 0},   {0, 158, 115}, {204, 121, 167},
                                     {230, 159, 0}, {86, 180, 233}, {0, 0, 0},     {140, 140, 140}};
enum { COLOURS = sizeof palette / sizeof palette[0] };
static const uint8_t ink[3] = {40, 40, 40}, faint[3] = {225, 225, 225},
                     fainter[3] = {242, 242, 242}, level_ink[3] = {90, 90, 90},
                     black[3] = {0, 0, 0};

/* Curves of up to so many points show each of them. */
enum { SHOWN_POINTS = 40, MARKER_CORNERS = 24 };

/* A curve in pixels. */
typedef struct trace {
    const tamis_curve *curve;
    size_t points;
    double *x, *y;           /* [points] */
    double *low, *high;      /* [points], NULL = none */
    double *edge_x, *edge_y; /* [2 points], around the band */
} trace;

struct tamis__drawing {
    const tamis_figure *figure;
    const tamis__layout *layout;
    trace trace[TAMIS__FIGURE_CURVES];
};

static double pixel_x(const tamis__layout *layout, double value)
{
    return layout->left + tamis__axis_at(&layout->x, value) * (layout->right - layout->left);
}

static double pixel_y(const tamis__layout *layout, double value)
{
    return layout->bottom - tamis__axis_at(&layout->y, value) * (layout->bottom - layout->top);
}

static const uint8_t *colour(size_t curve)
{
    return palette[curve % COLOURS];
}

/* No two of 16 curves have the same colour and the same dashes. */
static unsigned dash(size_t curve)
{
    return (unsigned)(curve + curve / COLOURS) % TAMIS__CANVAS_DASHES;
}

/* --- preparing ------------------------------------------------------------------------------ */

/* One more point of the line, in pixels. */
static void append(const tamis__drawing *d, trace *t, uint64_t point)
{
    const tamis_curve *curve = t->curve;
    t->x[t->points] = pixel_x(d->layout, tamis__layout_x(curve, point));
    t->y[t->points] = pixel_y(d->layout, curve->y[point]);
    if (t->low) {
        t->low[t->points] = pixel_y(d->layout, curve->low[point]);
        t->high[t->points] = pixel_y(d->layout, curve->high[point]);
    }
    t->points++;
}

/* The points begin .. end are within half a pixel's width: first, lowest, highest and last draw the
 * same line as all of them, and the band is theirs together. A curve of a million points would
 * otherwise be a file of as many. */
static void append_column(const tamis__drawing *d, trace *t, uint64_t begin, uint64_t end)
{
    const tamis_curve *curve = t->curve;
    uint64_t least = begin, most = begin;
    size_t first = t->points;
    for (uint64_t i = begin; i < end; i++) {
        if (curve->y[i] < curve->y[least]) least = i;
        if (curve->y[i] > curve->y[most]) most = i;
    }
    const uint64_t kept[] = {begin, least < most ? least : most, least < most ? most : least,
                             end - 1};
    for (size_t k = 0; k < 4; k++)
        if (k == 0 || kept[k] > kept[k - 1]) append(d, t, kept[k]);
    if (!t->low) return;
    double low = -HUGE_VAL, high = HUGE_VAL;
    for (uint64_t i = begin; i < end; i++) {
        low = fmax(low, pixel_y(d->layout, curve->low[i]));
        high = fmin(high, pixel_y(d->layout, curve->high[i]));
    }
    for (size_t k = first; k < t->points; k++) {
        t->low[k] = low;
        t->high[k] = high;
    }
}

static void fill_trace(const tamis__drawing *d, trace *t)
{
    const tamis_curve *curve = t->curve;
    bool thin = !curve->markers && d->figure->categories == 0;
    for (uint64_t begin = 0, end; begin < curve->points; begin = end) {
        double column = floor(2 * pixel_x(d->layout, tamis__layout_x(curve, begin)));
        for (end = begin + 1; thin && end < curve->points; end++)
            if (floor(2 * pixel_x(d->layout, tamis__layout_x(curve, end))) > column) break;
        if (end - begin > 4)
            append_column(d, t, begin, end);
        else
            for (uint64_t i = begin; i < end; i++) append(d, t, i);
    }
    size_t n = t->points;
    for (size_t i = 0; t->low && i < n; i++) {
        t->edge_x[i] = t->edge_x[2 * n - 1 - i] = t->x[i];
        t->edge_y[i] = t->low[i];
        t->edge_y[2 * n - 1 - i] = t->high[i];
    }
}

tamis_status tamis__drawing_make(const tamis_figure *figure, const tamis__layout *layout,
                                 tamis__drawing **ret_drawing, tamis_error *err)
{
    tamis__drawing *d = tamis__calloc(1, sizeof *d);
    if (!d) return tamis__fail_memory(err, "a picture", sizeof *d);
    d->figure = figure;
    d->layout = layout;
    for (uint32_t i = 0; i < figure->curves; i++) {
        trace *t = &d->trace[i];
        size_t n = figure->curve[i].points, arrays = figure->curve[i].low ? 8 : 2;
        t->curve = &figure->curve[i];
        t->x = n > SIZE_MAX / 8 ? NULL : tamis__calloc(arrays * n, sizeof *t->x);
        if (!t->x) {
            tamis__drawing_free(d);
            return tamis__fail_memory(err, "the points of a curve", arrays * n * sizeof *t->x);
        }
        t->y = t->x + n;
        if (t->curve->low) {
            t->low = t->y + n;
            t->high = t->low + n;
            t->edge_x = t->high + n;
            t->edge_y = t->edge_x + 2 * n;
        }
        fill_trace(d, t);
    }
    *ret_drawing = d;
    return TAMIS_OK;
}

void tamis__drawing_free(tamis__drawing *d)
{
    if (!d) return;
    for (size_t i = 0; i < TAMIS__FIGURE_CURVES; i++) free(d->trace[i].x);
    free(d);
}

/* --- pieces --------------------------------------------------------------------------------- */

static void segment(double x0, double y0, double x1, double y1, double width)
{
    tamis__canvas_line(2, (double[]){x0, x1}, (double[]){y0, y1}, width, 0);
}

static void rectangle(double x0, double y0, double x1, double y1)
{
    tamis__canvas_fill(4, (double[]){x0, x1, x1, x0}, (double[]){y0, y0, y1, y1});
}

/* Each curve's own shape: circle, square, triangle, diamond, triangle, cross, pentagon, star. */
static void draw_marker(size_t curve, double at_x, double at_y)
{
    static const struct {
        unsigned corners;
        double start, outer, inner; /* quarter turns; pixels; every second corner, or the same */
    } shape[] = {{20, 0, 4, 4},    {4, 0.5, 5, 5},     {3, 1, 5.5, 5.5}, {4, 0, 5.5, 5.5},
                 {3, 3, 5.5, 5.5}, {8, 0.5, 5.5, 2.2}, {5, 1, 5, 5},     {10, 1, 6, 2.6}};
    double x[MARKER_CORNERS], y[MARKER_CORNERS];
    size_t which = (curve + 3 * (curve / COLOURS)) % (sizeof shape / sizeof shape[0]);
    unsigned n = shape[which].corners;
    for (unsigned i = 0; i < n; i++) {
        double turn = (shape[which].start + 4.0 * i / n) * M_PI_2;
        double radius = i % 2 ? shape[which].inner : shape[which].outer;
        x[i] = at_x + radius * cos(turn);
        y[i] = at_y - radius * sin(turn);
    }
    tamis__canvas_fill(n, x, y);
}

static void draw_error_bar(double x, double low, double high, double cap)
{
    segment(x, low, x, high, 1.3);
    segment(x - cap, low, x + cap, low, 1.3);
    segment(x - cap, high, x + cap, high, 1.3);
}

/* --- ground --------------------------------------------------------------------------------- */

static void draw_grid(const tamis__layout *l, bool minor)
{
    tamis__canvas_colour(minor ? fainter : faint, 1);
    for (unsigned i = 0; i < l->x.ticks; i++) {
        double x = l->left + l->x.tick[i].at * (l->right - l->left);
        if (l->x.tick[i].minor == minor) segment(x, l->top, x, l->bottom, 0.8);
    }
    for (unsigned i = 0; i < l->y.ticks; i++) {
        double y = l->bottom - l->y.tick[i].at * (l->bottom - l->top);
        if (l->y.tick[i].minor == minor) segment(l->left, y, l->right, y, 0.8);
    }
}

static void draw_axes(const tamis_figure *figure, const tamis__layout *l)
{
    tamis__canvas_colour(ink, 1);
    segment(l->left, l->top, l->left, l->bottom, 1);
    segment(l->left, l->bottom, l->right, l->bottom, 1);
    for (unsigned i = 0; i < l->x.ticks; i++) {
        double x = l->left + l->x.tick[i].at * (l->right - l->left);
        segment(x, l->bottom, x, l->bottom + (l->x.tick[i].minor ? 2 : 4), 1);
    }
    for (unsigned i = 0; i < l->y.ticks; i++) {
        double y = l->bottom - l->y.tick[i].at * (l->bottom - l->top);
        segment(l->left - (l->y.tick[i].minor ? 2 : 4), y, l->left, y, 1);
    }
    for (uint32_t i = 0; i < l->shown; i++)
        segment(l->category[i].x, l->bottom, l->category[i].x, l->bottom + 4, 1);
    if (figure->level) {
        double y = pixel_y(l, figure->level_at);
        tamis__canvas_colour(level_ink, 1);
        tamis__canvas_line(2, (double[]){l->left, l->right}, (double[]){y, y}, 1.3, 1);
    }
    /* Bars that go both ways stand on a line. */
    if (figure->categories && !figure->log_y && l->y.low < 0) {
        tamis__canvas_colour(ink, 1);
        segment(l->left, pixel_y(l, 0), l->right, pixel_y(l, 0), 1);
    }
}

/* --- texts ---------------------------------------------------------------------------------- */

static void draw_tick_labels(const tamis__layout *l)
{
    for (unsigned i = 0; i < l->x.ticks; i++)
        tamis__canvas_text(l->left + l->x.tick[i].at * (l->right - l->left), l->bottom + 15,
                           TAMIS__FONT_SMALL, false, 0, 0.5, l->x.tick[i].label);
    for (unsigned i = 0; i < l->y.ticks; i++)
        tamis__canvas_text(l->left - 8, l->bottom - l->y.tick[i].at * (l->bottom - l->top),
                           TAMIS__FONT_SMALL, false, 0, 1, l->y.tick[i].label);
    for (uint32_t i = 0; i < l->shown; i++)
        for (unsigned k = 0; k < l->category[i].lines; k++)
            tamis__canvas_text(l->category[i].x, l->category[i].y + k * TAMIS__LINE_HEIGHT,
                               TAMIS__FONT_SMALL, false, l->degrees, l->degrees == 0 ? 0.5 : 1,
                               l->category[i].line[k]);
}

static void draw_labels(const tamis__layout *l)
{
    double middle = (l->left + l->right) / 2;
    for (unsigned i = 0; i < l->title.lines; i++)
        tamis__canvas_text(TAMIS__FIGURE_WIDTH / 2.0, 26 + i * (TAMIS__FONT_TITLE + 5.0),
                           TAMIS__FONT_TITLE, true, 0, 0.5, l->title.line[i]);
    if (l->x_label.lines)
        tamis__canvas_text(middle, TAMIS__FIGURE_HEIGHT - 18, TAMIS__FONT_LABEL, false, 0, 0.5,
                           l->x_label.line[0]);
    if (l->y_label.lines)
        tamis__canvas_text(20, (l->top + l->bottom) / 2, TAMIS__FONT_LABEL, false, 90, 0.5,
                           l->y_label.line[0]);
}

/* --- curves --------------------------------------------------------------------------------- */

static bool is_bar(const tamis__drawing *d, const trace *t)
{
    return d->figure->categories > 0 && !t->curve->markers;
}

static bool is_line(const tamis__drawing *d, const trace *t)
{
    return d->figure->categories == 0 && !t->curve->markers;
}

static void draw_bands(const tamis__drawing *d)
{
    for (uint32_t i = 0; i < d->figure->curves; i++) {
        const trace *t = &d->trace[i];
        if (!t->low || !is_line(d, t) || t->points < 2) continue;
        tamis__canvas_colour(colour(i), 0.18);
        tamis__canvas_fill(2 * t->points, t->edge_x, t->edge_y);
    }
}

static void draw_line(const trace *t, size_t number)
{
    tamis__canvas_colour(colour(number), 1);
    if (t->points > 1) tamis__canvas_line(t->points, t->x, t->y, 2, dash(number));
    if (t->points <= SHOWN_POINTS)
        for (size_t i = 0; i < t->points; i++) draw_marker(number, t->x[i], t->y[i]);
    if (t->low && t->points == 1) draw_error_bar(t->x[0], t->low[0], t->high[0], 4);
}

/* Bars, or markers where bars would be; in both cases curves are side by side when x are
 * categories. */
static void draw_points(const tamis__drawing *d, const trace *t, size_t number)
{
    const tamis__layout *l = d->layout;
    double slot = (l->right - l->left) / (d->figure->categories ? d->figure->categories : 1);
    double width = d->figure->categories ? 0.8 * slot / d->figure->curves : 0;
    double aside = ((double)number - (d->figure->curves - 1) / 2.0) * width;
    double ground = d->figure->log_y ? l->bottom : pixel_y(l, fmax(l->y.low, 0));
    double cap = width > 0 ? fmin(5, width / 4) : 4;
    for (size_t i = 0; i < t->points; i++) {
        double x = t->x[i] + aside, half = width * 0.46;
        tamis__canvas_colour(colour(number), 1);
        if (is_bar(d, t))
            rectangle(x - half, ground, x + half, t->y[i]);
        else
            draw_marker(number, x, t->y[i]);
        if (!t->low) continue;
        if (is_bar(d, t)) tamis__canvas_colour(black, 0.75);
        draw_error_bar(x, t->low[i], t->high[i], cap);
    }
}

static void draw_legend(const tamis__drawing *d)
{
    for (uint32_t i = 0; i < d->figure->curves; i++) {
        const tamis__label *name = &d->layout->name[i];
        const trace *t = &d->trace[i];
        if (name->lines == 0) continue;
        double right = name->x - 8, left = right - TAMIS__SAMPLE_WIDTH, y = name->y;
        tamis__canvas_colour(colour(i), 1);
        if (is_bar(d, t)) rectangle(left + 12, y - 6, right, y + 6);
        if (is_line(d, t))
            tamis__canvas_line(2, (double[]){left, right}, (double[]){y, y}, 2, dash(i));
        if (t->curve->markers || (is_line(d, t) && t->points <= SHOWN_POINTS))
            draw_marker(i, (left + right) / 2, y);
        tamis__canvas_colour(ink, 1);
        for (unsigned k = 0; k < name->lines; k++)
            tamis__canvas_text(name->x, y + k * TAMIS__LINE_HEIGHT, TAMIS__FONT_SMALL, false, 0, 0,
                               name->line[k]);
    }
}

void tamis__drawing_draw(void *drawing)
{
    const tamis__drawing *d = drawing;
    draw_grid(d->layout, true);
    draw_grid(d->layout, false);
    draw_bands(d);
    for (uint32_t i = 0; i < d->figure->curves; i++) {
        if (is_line(d, &d->trace[i]))
            draw_line(&d->trace[i], i);
        else
            draw_points(d, &d->trace[i], i);
    }
    draw_axes(d->figure, d->layout);
    tamis__canvas_colour(ink, 1);
    draw_tick_labels(d->layout);
    draw_labels(d->layout);
    draw_legend(d);
}
