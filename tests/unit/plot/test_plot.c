/* Tests of figures: what an SVG holds, that a PNG is drawn on, and what is refused.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <tamis/figure.h>

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <zlib.h>

#include "plot/axis.h"
#include "plot/words.h"
#include "small_files.h"

static tamis_context *context;
static tamis_error err;

static void setup(void)
{
    enter_scratch();
    context = small_context(1);
    err = (tamis_error){0};
}

static void teardown(void)
{
    tamis_context_destroy(&context);
    leave_scratch();
}

/* --- figures -------------------------------------------------------------------------------- */

enum { POINTS = 9 };
static const double x_values[POINTS] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
static const double rising[POINTS] = {-4, -3, -2, -1, 0, 1, 2, 3, 4};
static const double falling[POINTS] = {4, 3, 2, 1, 0, -1, -2, -3, -4};
static const double below[POINTS] = {-5, -4, -3, -2, -1, 0, 1, 2, 3};
static const double above[POINTS] = {-3, -2, -1, 0, 1, 2, 3, 4, 5};

/* Two curves, the first with its interval. */
static tamis_figure two_curves(tamis_curve curve[2])
{
    curve[0] = (tamis_curve){.name = "up & <away>",
                             .points = POINTS,
                             .x = x_values,
                             .y = rising,
                             .low = below,
                             .high = above};
    curve[1] = (tamis_curve){.name = "down #2", .points = POINTS, .x = x_values, .y = falling};
    return (tamis_figure){
        .title = "a title", .x_label = "the x", .y_label = "the y", .curve = curve, .curves = 2};
}

/* --- reading pictures ----------------------------------------------------------------------- */

static void put_utf8(char **to, unsigned long c)
{
    if (c < 0x80) {
        *(*to)++ = (char)c;
    } else if (c < 0x800) {
        *(*to)++ = (char)(0xC0 | c >> 6);
        *(*to)++ = (char)(0x80 | (c & 0x3F));
    } else {
        *(*to)++ = (char)(0xE0 | c >> 12);
        *(*to)++ = (char)(0x80 | (c >> 6 & 0x3F));
        *(*to)++ = (char)(0x80 | (c & 0x3F));
    }
}

/* All texts of an SVG, one a line. The caller frees it. */
static char *svg_texts(const char *path)
{
    char *svg = slurp(path, NULL), *texts = calloc(1, strlen(svg) + 2), *to = texts;
    for (const char *at = svg; (at = strstr(at, "<text")) != NULL;) {
        const char *end = strstr(at, "</text>");
        ck_assert(end != NULL);
        while (at < end)
            if (!strncmp(at, "&#x", 3)) {
                char *next;
                put_utf8(&to, strtoul(at + 3, &next, 16));
                at = next;
            } else {
                at++;
            }
        *to++ = '\n';
    }
    free(svg);
    return texts;
}

static void ck_text(const char *texts, const char *wanted)
{
    char line[500];
    snprintf(line, sizeof line, "\n%s\n", wanted);
    bool first = !strncmp(texts, line + 1, strlen(line + 1));
    ck_assert_msg(first || strstr(texts, line) != NULL, "no text '%s' in:\n%s", wanted, texts);
}

/* The nth polyline of a colour whose points are at least `points`; returns how many it has. */
static size_t svg_line(const char *path, const char *colour, size_t points, double *x, double *y)
{
    char *svg = slurp(path, NULL), stroke[40];
    size_t n = 0;
    snprintf(stroke, sizeof stroke, "stroke=\"%s\"", colour);
    for (const char *at = svg; n < points && (at = strstr(at, stroke)) != NULL; at++) {
        char *next = strstr(at, "points=\"");
        ck_assert(next != NULL);
        next += strlen("points=\"");
        for (n = 0; *next && *next != '"' && n < 100; n++) {
            x[n] = strtod(next, &next);
            y[n] = strtod(next + 1, &next);
            while (*next == ' ' || *next == '\n') next++;
        }
    }
    free(svg);
    return n;
}

typedef struct pixels {
    uint32_t width, height;
    unsigned bytes; /* per pixel */
    unsigned char *data;
} pixels;

static uint32_t big_endian(const unsigned char *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Undo PNG's filters, which predict a byte by those to its left and above. */
static void unfilter(pixels *p, const unsigned char *raw)
{
    size_t row = (size_t)p->width * p->bytes;
    for (size_t y = 0; y < p->height; y++) {
        unsigned filter = raw[y * (row + 1)];
        ck_assert_uint_le(filter, 4);
        for (size_t i = 0; i < row; i++) {
            unsigned char *at = p->data + y * row + i;
            int a = i >= p->bytes ? at[-(int)p->bytes] : 0, b = y ? at[-(long)row] : 0;
            int c = y && i >= p->bytes ? at[-(long)row - (int)p->bytes] : 0;
            int pa = abs(b - c), pb = abs(a - c), pc = abs(a + b - 2 * c);
            int paeth = pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
            int predicted[] = {0, a, b, (a + b) / 2, paeth};
            *at = (unsigned char)(raw[y * (row + 1) + 1 + i] + predicted[filter]);
        }
    }
}

static pixels read_png(const char *path)
{
    size_t size, packed_size = 0;
    unsigned char *png = (unsigned char *)slurp(path, &size), *packed = malloc(size);
    ck_assert(!memcmp(png, "\x89PNG\r\n\x1a\n", 8));
    ck_assert(!memcmp(png + 12, "IHDR", 4));
    pixels p = {.width = big_endian(png + 16), .height = big_endian(png + 20)};
    ck_assert_uint_eq(png[24], 8);
    p.bytes = png[25] == 6 ? 4 : 3;
    for (size_t at = 8; at + 12 <= size; at += 12 + big_endian(png + at)) {
        if (memcmp(png + at + 4, "IDAT", 4) != 0) continue;
        memcpy(packed + packed_size, png + at + 8, big_endian(png + at));
        packed_size += big_endian(png + at);
    }
    uLongf raw_size = ((uLongf)p.width * p.bytes + 1) * p.height;
    unsigned char *raw = malloc(raw_size);
    ck_assert_int_eq(uncompress(raw, &raw_size, packed, packed_size), Z_OK);
    p.data = malloc((size_t)p.width * p.height * p.bytes);
    unfilter(&p, raw);
    free(raw);
    free(packed);
    free(png);
    return p;
}

/* Pixels of a rectangle that are within 40 of a colour, in each of red, green and blue. */
static size_t count_colour(const pixels *p, size_t x0, size_t y0, size_t x1, size_t y1,
                           const int rgb[3])
{
    size_t n = 0;
    for (size_t y = y0; y < y1; y++)
        for (size_t x = x0; x < x1; x++) {
            const unsigned char *at = p->data + (y * p->width + x) * p->bytes;
            n += abs(at[0] - rgb[0]) < 40 && abs(at[1] - rgb[1]) < 40 && abs(at[2] - rgb[2]) < 40;
        }
    return n;
}

/* --- what is drawn -------------------------------------------------------------------------- */

START_TEST(svg_has_the_texts_and_the_curves)
{
    tamis_curve curve[2];
    tamis_figure figure = two_curves(curve);
    double x[100], y[100];
    ck_ok(tamis_figure_draw(context, &figure, "a.svg", false, &err));
    char *texts = svg_texts("a.svg");
    const char *wanted[] = {"a title", "the x", "the y", "up & <away>", "down #2", "0", "8", "-4"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) ck_text(texts, wanted[i]);
    free(texts);
    ck_assert(!exists("a.svg.part"));
    /* The page grows upwards in the file. */
    ck_assert_uint_eq(svg_line("a.svg", "#0072B2", POINTS, x, y), POINTS);
    for (size_t i = 1; i < POINTS; i++) {
        ck_assert_double_eq_tol(x[i] - x[i - 1], (x[8] - x[0]) / 8, 0.03);
        ck_assert_double_eq_tol(y[i] - y[i - 1], (y[8] - y[0]) / 8, 0.03);
    }
    ck_assert(x[8] > x[0] + 600 && y[8] > y[0] + 200);
    ck_assert(x[0] > 0 && x[8] < 900 && y[0] > 0 && y[8] < 540);
}
END_TEST

/* A log axis turns equal ratios into equal distances. */
START_TEST(logarithmic_axes)
{
    const double powers[] = {1e-6, 1e-4, 1e-2, 1, 1e2}, ones[] = {1, 10, 100, 1000, 1e4};
    tamis_curve curve = {.points = 5, .x = powers, .y = ones};
    tamis_figure figure = {.curve = &curve, .curves = 1, .log_x = true, .log_y = true};
    double x[100], y[100];
    ck_ok(tamis_figure_draw(context, &figure, "a.svg", false, &err));
    ck_assert_uint_eq(svg_line("a.svg", "#0072B2", 5, x, y), 5);
    for (size_t i = 1; i < 5; i++) {
        ck_assert_double_eq_tol(x[i] - x[i - 1], (x[4] - x[0]) / 4, 0.03);
        ck_assert_double_eq_tol(y[i] - y[i - 1], (y[4] - y[0]) / 4, 0.03);
    }
    char *texts = svg_texts("a.svg");
    ck_text(texts, "1e-4");
    ck_text(texts, "1000");
    free(texts);
}
END_TEST

START_TEST(png_has_the_size_and_the_colours)
{
    const int white[3] = {255, 255, 255}, blue[3] = {0, 114, 178}, orange[3] = {213, 94, 0},
              dark[3] = {40, 40, 40};
    tamis_curve curve[2];
    tamis_figure figure = two_curves(curve);
    ck_ok(tamis_figure_draw(context, &figure, "a.png", false, &err));
    pixels p = read_png("a.png");
    ck_assert_uint_eq(p.width, 900);
    ck_assert_uint_eq(p.height, 540);
    ck_assert_uint_gt(count_colour(&p, 0, 0, 900, 540, white), 300000);
    ck_assert_uint_gt(count_colour(&p, 0, 0, 900, 540, blue), 1000);
    ck_assert_uint_gt(count_colour(&p, 0, 0, 900, 540, orange), 800);
    /* The title, the label of the x axis, and ticks at the left are there as text. */
    ck_assert_uint_gt(count_colour(&p, 300, 10, 600, 40, dark), 100);
    ck_assert_uint_gt(count_colour(&p, 300, 510, 600, 540, dark), 25);
    ck_assert_uint_gt(count_colour(&p, 30, 80, 60, 480, dark), 50);
    ck_assert_uint_eq(count_colour(&p, 0, 0, 900, 8, white), 900 * 8);
    free(p.data);
}
END_TEST

static const char *const classes[] = {"a name of several words that is rather long for its place",
                                      "b", "c", "d"};

/* Bars stand on zero: the area of each is its height. */
START_TEST(bars_of_categories)
{
    const double up[] = {1, 2, 3, 4}, low[] = {0.5, 1.5, 2.5, 3.5}, high[] = {1.5, 2.5, 3.5, 4.5};
    const int blue[3] = {0, 114, 178}, orange[3] = {213, 94, 0};
    tamis_curve curve[2] = {{.name = "one", .points = 4, .y = up},
                            {.name = "two", .points = 4, .y = up, .low = low, .high = high}};
    tamis_figure figure = {.curve = curve, .curves = 2, .category = classes, .categories = 4};
    ck_ok(tamis_figure_draw(context, &figure, "a.svg", false, &err));
    char *texts = svg_texts("a.svg");
    ck_text(texts, "b");
    ck_text(texts, "two");
    ck_assert(strstr(texts, "a name of several") != NULL);
    free(texts);
    ck_ok(tamis_figure_draw(context, &figure, "a.png", false, &err));
    pixels p = read_png("a.png");
    double area[4];
    for (size_t i = 0; i < 4; i++)
        area[i] = (double)count_colour(&p, 40 + i * 208, 60, 40 + (i + 1) * 208, 520, blue);
    for (size_t i = 1; i < 4; i++)
        ck_assert_double_eq_tol(area[i] / area[0], (double)(i + 1), 0.1 * (double)(i + 1));
    ck_assert_uint_gt(count_colour(&p, 0, 60, 900, 520, orange), 10000);
    free(p.data);
}
END_TEST

START_TEST(same_figure_same_bytes)
{
    tamis_curve curve[2];
    tamis_figure figure = two_curves(curve);
    for (int png = 0; png < 2; png++) {
        const char *first = png ? "a.png" : "a.svg", *second = png ? "b.png" : "b.svg";
        size_t first_size, second_size;
        ck_ok(tamis_figure_draw(context, &figure, first, false, &err));
        ck_ok(tamis_figure_draw(context, &figure, second, false, &err));
        char *a = slurp(first, &first_size), *b = slurp(second, &second_size);
        ck_assert_uint_eq(first_size, second_size);
        ck_assert(!memcmp(a, b, first_size));
        free(a);
        free(b);
    }
}
END_TEST

/* Many points of one column of pixels are drawn as few, with their lowest and highest. */
START_TEST(a_curve_of_very_many_points_is_a_small_file)
{
    enum { MANY = 200000 };
    double *y = malloc(MANY * sizeof *y);
    size_t size;
    for (size_t i = 0; i < MANY; i++) y[i] = i == MANY / 2 ? 100 : (double)(i % 10);
    tamis_curve curve = {.points = MANY, .y = y, .low = y, .high = y};
    tamis_figure figure = {.curve = &curve, .curves = 1};
    ck_ok(tamis_figure_draw(context, &figure, "a.svg", false, &err));
    free(slurp("a.svg", &size));
    ck_assert_uint_lt(size, 500000);
    char *texts = svg_texts("a.svg");
    ck_text(texts, "100");
    ck_text(texts, "200000");
    free(texts);
    free(y);
}
END_TEST

/* A point, no extent, and the ends of what a double holds. */
START_TEST(unusual_values_are_drawn)
{
    static const double values[][2] = {
        {0, 0},           {5, 5},           {-1e-300, 1e-300}, {-1.7e308, 1.7e308},
        {5e-324, 1e-323}, {1e15, 1e15 + 1}, {-7, -6.5}};
    const double *pair = values[_i], zero_one[] = {0, 1};
    for (uint64_t points = 1; points <= 2; points++) {
        tamis_curve curve = {.points = points,
                             .x = zero_one,
                             .y = pair,
                             .markers = points == 1,
                             .low = pair,
                             .high = pair};
        tamis_figure figure = {.curve = &curve, .curves = 1};
        double x[100], y[100];
        ck_ok(tamis_figure_draw(context, &figure, "a.svg", true, &err));
        ck_ok(tamis_figure_draw(context, &figure, "a.png", true, &err));
        curve.x = pair;
        curve.y = zero_one;
        curve.low = curve.high = NULL;
        ck_ok(tamis_figure_draw(context, &figure, "b.svg", true, &err));
        if (points == 1) continue;
        ck_assert_uint_eq(svg_line("b.svg", "#0072B2", 2, x, y), 2);
        ck_assert(x[0] > 0 && x[1] < 900 && (pair[0] == pair[1] || x[1] >= x[0]));
    }
}
END_TEST

START_TEST(hostile_names_are_drawn)
{
    char *endless = malloc(100001);
    memset(endless, 'x', 100000);
    endless[100000] = '\0';
    const char *names[] = {"\x01\x02\n\t", "\xff\xfe\xc3", "#u#d#(2000)", "]]>&amp;<tspan>",
                           endless,        "\xEF\xBF\xBF", "  ",          ""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        tamis_curve curve = {.name = names[i], .points = POINTS, .y = rising};
        tamis_figure figure = {.curve = &curve,
                               .curves = 1,
                               .title = names[i],
                               .x_label = names[i],
                               .y_label = names[i]};
        ck_ok(tamis_figure_draw(context, &figure, "a.svg", true, &err));
        ck_ok(tamis_figure_draw(context, &figure, "a.png", true, &err));
        figure.category = names;
        figure.categories = 8;
        curve.points = 8;
        ck_ok(tamis_figure_draw(context, &figure, "b.svg", true, &err));
        char *svg = slurp("b.svg", NULL);
        ck_assert(!strstr(svg, "&#x1;") && !strstr(svg, "&#xffff;") && !strstr(svg, "&#x2;"));
        free(svg);
    }
    char *texts = svg_texts("b.svg");
    ck_assert(strstr(texts, "\xEF\xBF\xBD") != NULL);
    ck_assert(strstr(texts, "xxx\xE2\x80\xA6\n") != NULL);
    free(texts);
    free(endless);
}
END_TEST

/* --- parts ---------------------------------------------------------------------------------- */

static const char *tick_label(const tamis__axis *axis, double value)
{
    for (unsigned i = 0; i < axis->ticks; i++)
        if (fabs(axis->tick[i].at - tamis__axis_at(axis, value)) < 1e-6 && !axis->tick[i].minor)
            return axis->tick[i].label;
    return "none";
}

START_TEST(ticks_are_where_their_labels_say)
{
    static const struct {
        bool log;
        double low, high;
    } range[] = {{false, 0, 1},       {false, -3, 7},    {false, 0.001, 0.0012}, {false, 1e6, 3e9},
                 {false, 99999, 1e5}, {false, -1e-8, 0}, {false, 12.25, 12.75},  {true, 1e-9, 1e9},
                 {true, 3, 40},       {true, 1.1, 1.9},  {true, 1e-300, 1e300},  {true, 50, 5000}};
    tamis__axis axis;
    unsigned labels = 0;
    double before = -1;
    tamis__axis_range(&axis, range[_i].log, range[_i].low, range[_i].high, TAMIS__AXIS_WIDE);
    ck_assert(tamis__axis_at(&axis, range[_i].low) >= 0);
    ck_assert(tamis__axis_at(&axis, range[_i].high) <= 1);
    tamis__axis_set_ticks(&axis, 700, false, 12);
    for (unsigned i = 0; i < axis.ticks; i++) {
        const tamis__tick *tick = &axis.tick[i];
        ck_assert(tick->at >= 0 && tick->at <= 1);
        if (tick->minor) continue;
        labels++;
        ck_assert_double_eq_tol(tick->at, tamis__axis_at(&axis, strtod(tick->label, NULL)), 1e-6);
        ck_assert((tick->at - before) * 700 > tamis__words_width(tick->label, 12) || labels == 1);
        before = tick->at;
    }
    ck_assert_uint_ge(labels, 3);
    ck_assert_uint_le(labels, 25);
}
END_TEST

START_TEST(labels_are_short)
{
    tamis__axis axis;
    tamis__axis_range(&axis, false, 0, 1, TAMIS__AXIS_WIDE);
    tamis__axis_set_ticks(&axis, 400, true, 12);
    ck_assert_str_eq(tick_label(&axis, 0.2), "0.2");
    tamis__axis_range(&axis, false, 0, 60000, TAMIS__AXIS_WIDE);
    tamis__axis_set_ticks(&axis, 400, true, 12);
    ck_assert_str_eq(tick_label(&axis, 20000), "20000");
    tamis__axis_range(&axis, false, 0, 2.5e-7, TAMIS__AXIS_WIDE);
    tamis__axis_set_ticks(&axis, 400, true, 12);
    ck_assert_str_eq(tick_label(&axis, 1.5e-7), "1.5e-7");
    ck_assert_str_eq(tick_label(&axis, 0), "0");
}
END_TEST

START_TEST(lines_of_words)
{
    char line[3][TAMIS__WORDS_SIZE];
    bool cut;
    double width = tamis__words_width("a long name", 12);
    ck_assert_uint_eq(tamis__words_wrap("a long name", width, 12, 3, line, &cut), 1);
    ck_assert_str_eq(line[0], "a long name");
    ck_assert(!cut);
    ck_assert_uint_eq(tamis__words_wrap("  a long name", width * 0.7, 12, 3, line, &cut), 2);
    ck_assert_str_eq(line[0], "a long");
    ck_assert_str_eq(line[1], "name");
    ck_assert(!cut);
    width = tamis__words_width("damping=0.1", 12);
    ck_assert_uint_eq(tamis__words_wrap("ekfac:damping=0.1", width, 12, 3, line, &cut), 2);
    ck_assert_str_eq(line[0], "ekfac:");
    ck_assert(!cut);
    ck_assert_uint_eq(tamis__words_wrap("abcdefghijklmnopqrstuvwxyz", width, 12, 1, line, &cut), 1);
    ck_assert(strstr(line[0], "\xE2\x80\xA6") != NULL && cut);
    ck_assert(tamis__words_width(line[0], 12) <= width);
    ck_assert_uint_eq(tamis__words_wrap("", width, 12, 3, line, &cut), 0);
    ck_assert_uint_eq(tamis__words_wrap(NULL, width, 12, 3, line, &cut), 0);
}
END_TEST

/* --- failures ------------------------------------------------------------------------------- */

#define refuses(figure, status, text)                                                              \
    ck_fails(tamis_figure_draw(context, &(figure), "a.svg", false, &err), status, text)

START_TEST(wrong_figures_are_refused)
{
    tamis_curve curve[2];
    const tamis_figure good = two_curves(curve);
    double bad[POINTS];
    memcpy(bad, rising, sizeof bad);
    bad[3] = (double)NAN;
    ck_fails(tamis_figure_draw(context, &good, "a.pdf", false, &err), TAMIS_ERR_ARG,
             ".svg or .png");
    ck_fails(tamis_figure_draw(context, &good, "svg", false, &err), TAMIS_ERR_ARG, ".svg or .png");
    tamis_figure figure = good;
    figure.curves = 0;
    refuses(figure, TAMIS_ERR_ARG, "0 curves");
    figure.curves = 17;
    refuses(figure, TAMIS_ERR_ARG, "17 curves");
    figure = good;
    figure.log_y = true;
    refuses(figure, TAMIS_ERR_ARG, "curve 0 'up & <away>', point 0: y is not positive");
    figure = good;
    figure.log_x = true;
    refuses(figure, TAMIS_ERR_ARG, "x is not positive");
    figure = good;
    figure.level = true;
    figure.level_at = HUGE_VAL;
    refuses(figure, TAMIS_ERR_ARG, "level");
    figure.category = classes;
    figure.categories = 4;
    refuses(figure, TAMIS_ERR_ARG, "point 4: x is not the number of a category");
    figure.log_x = true;
    refuses(figure, TAMIS_ERR_ARG, "categories have no logarithm");
    curve[1].y = bad;
    refuses(good, TAMIS_ERR_ARG, "curve 1 'down #2', point 3: y is not a finite number");
    curve[1].y = rising;
    curve[1].x = falling;
    refuses(good, TAMIS_ERR_ARG, "point 1: x is less than the one before it");
    curve[1].x = NULL;
    curve[1].low = below;
    refuses(good, TAMIS_ERR_ARG, "one end");
    curve[1].high = above;
    curve[1].low = bad;
    refuses(good, TAMIS_ERR_ARG, "point 3: low is not a finite number");
    curve[1].low = above;
    curve[1].high = below;
    refuses(good, TAMIS_ERR_ARG, "low is above high");
    curve[1].points = 0;
    refuses(good, TAMIS_ERR_ARG, "curve 1 has no points");
    ck_assert(!exists("a.svg") && !exists("a.svg.part"));
}
END_TEST

START_TEST(nothing_is_overwritten_unasked)
{
    tamis_curve curve[2];
    tamis_figure figure = two_curves(curve);
    spill("a.svg", "mine", 4);
    refuses(figure, TAMIS_ERR_IO, "exists");
    ck_ok(tamis_figure_draw(context, &figure, "a.svg", true, &err));
    size_t size;
    free(slurp("a.svg", &size));
    ck_assert_uint_gt(size, 1000);
    ck_fails(tamis_figure_draw(context, &figure, "absent/a.svg", false, &err), TAMIS_ERR_IO,
             "absent/a.svg");
}
END_TEST

START_TEST(a_failing_disk_or_memory_leaves_nothing)
{
    const char *paths[] = {"a.svg", "a.png"};
    tamis_curve curve[2];
    tamis_figure figure = two_curves(curve);
    figure.category = classes;
    figure.categories = 4;
    curve[0].points = curve[1].points = 4;
    const char *path = paths[_i % 2];
    bool memory = _i >= 2;
    for (long n = 0;; n++) {
        ck_assert_int_lt(n, 200);
        memory ? tamis__fault_memory_after(n) : tamis__fault_io_after(n);
        tamis_status status = tamis_figure_draw(context, &figure, path, false, &err);
        tamis__fault_memory_after(-1);
        tamis__fault_io_after(-1);
        if (status == TAMIS_OK) break;
        ck_assert_int_eq(status, memory ? TAMIS_ERR_NOMEM : TAMIS_ERR_IO);
        ck_assert_uint_gt(strlen(err.message), 10);
        ck_assert(!exists(path));
        ck_assert(!exists("a.svg.part") && !exists("a.png.part"));
    }
    ck_assert(exists(path));
}
END_TEST

/* --- threads and locale --------------------------------------------------------------------- */

typedef struct job {
    const char *path;
    bool up;
    tamis_status status;
} job;

static void *draw_job(void *cookie)
{
    job *j = cookie;
    tamis_error error = {0};
    tamis_context *own = small_context(1);
    tamis_curve curve = {.name = "c", .points = POINTS, .y = j->up ? rising : falling};
    tamis_figure figure = {.curve = &curve, .curves = 1};
    for (int turn = 0; turn < 5 && j->status == TAMIS_OK; turn++)
        j->status = tamis_figure_draw(own, &figure, j->path, true, &error);
    tamis_context_destroy(&own);
    return NULL;
}

START_TEST(threads_draw_at_once)
{
    job alone[] = {{.path = "c.svg", .up = true}, {.path = "d.png", .up = false}};
    job both[] = {{.path = "a.svg", .up = true}, {.path = "b.png", .up = false}};
    pthread_t thread[2];
    for (size_t i = 0; i < 2; i++) draw_job(&alone[i]);
    for (size_t i = 0; i < 2; i++) pthread_create(&thread[i], NULL, draw_job, &both[i]);
    for (size_t i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    for (size_t i = 0; i < 2; i++) {
        size_t alone_size, both_size;
        ck_assert_int_eq(both[i].status, TAMIS_OK);
        ck_assert_int_eq(alone[i].status, TAMIS_OK);
        char *a = slurp(alone[i].path, &alone_size), *b = slurp(both[i].path, &both_size);
        ck_assert_uint_eq(alone_size, both_size);
        ck_assert(!memcmp(a, b, both_size));
        free(a);
        free(b);
    }
}
END_TEST

/* Whatever the program's locale is, and it is left alone. */
START_TEST(numbers_have_points)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "C.UTF-8"};
    size_t i = 0;
    while (i < 3 && !setlocale(LC_ALL, names[i])) i++;
    if (i == 3) setlocale(LC_ALL, names[3]);
    char *before = strdup(setlocale(LC_NUMERIC, NULL));
    const double halves[] = {0.5, 1, 1.5};
    tamis_curve curve = {.points = 3, .x = halves, .y = halves};
    tamis_figure figure = {.curve = &curve, .curves = 1};
    double x[100], y[100];
    ck_ok(tamis_figure_draw(context, &figure, "a.svg", false, &err));
    ck_assert_str_eq(setlocale(LC_NUMERIC, NULL), before);
    setlocale(LC_ALL, "C");
    ck_assert_uint_eq(svg_line("a.svg", "#0072B2", 3, x, y), 3);
    char *texts = svg_texts("a.svg");
    ck_text(texts, "0.6");
    free(texts);
    free(before);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plot");
    TCase *tcase = tcase_create("plot");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, svg_has_the_texts_and_the_curves);
    tcase_add_test(tcase, logarithmic_axes);
    tcase_add_test(tcase, png_has_the_size_and_the_colours);
    tcase_add_test(tcase, bars_of_categories);
    tcase_add_test(tcase, same_figure_same_bytes);
    tcase_add_test(tcase, a_curve_of_very_many_points_is_a_small_file);
    tcase_add_loop_test(tcase, unusual_values_are_drawn, 0, 7);
    tcase_add_test(tcase, hostile_names_are_drawn);
    tcase_add_loop_test(tcase, ticks_are_where_their_labels_say, 0, 12);
    tcase_add_test(tcase, labels_are_short);
    tcase_add_test(tcase, lines_of_words);
    tcase_add_test(tcase, wrong_figures_are_refused);
    tcase_add_test(tcase, nothing_is_overwritten_unasked);
    tcase_add_loop_test(tcase, a_failing_disk_or_memory_leaves_nothing, 0, 4);
    tcase_add_test(tcase, threads_draw_at_once);
    tcase_add_test(tcase, numbers_have_points);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
