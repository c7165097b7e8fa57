/* Bars with intervals, side by side: for figures of studies whose numbers a script has put
 * together.
 * Usage: draw_bars OUT.svg|OUT.png TITLE X-LABEL Y-LABEL <ROWS. A row is a bar: curve, category,
 * height, low and high end of its interval, with tabs between them; curves and categories are drawn
 * in the order in which they come, and every curve needs every category.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tamis/context.h>
#include <tamis/figure.h>

enum { CURVES = 16, CATEGORIES = 16, NAME = 64 };

typedef struct bars {
    char curve[CURVES][NAME], category[CATEGORIES][NAME];
    uint32_t curves, categories;
    double value[3][CURVES][CATEGORIES]; /* height, low, high */
    bool has[CURVES][CATEGORIES];
} bars;

/* Where the name stands, put at the end when it is new; `most` when there is no room. */
static uint32_t place_of(char (*names)[NAME], uint32_t *n, uint32_t most, const char *name)
{
    uint32_t i = 0;
    while (i < *n && strcmp(names[i], name) != 0) i++;
    if (i == *n && i < most) {
        snprintf(names[i], NAME, "%s", name);
        ++*n;
    }
    return i;
}

static bool read_bars(bars *b)
{
    char line[512], curve[NAME], category[NAME];
    double value[3];
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%63[^\t]\t%63[^\t]\t%lf\t%lf\t%lf", curve, category, &value[0], &value[1],
                   &value[2]) != 5)
            return false;
        uint32_t i = place_of(b->curve, &b->curves, CURVES, curve),
                 k = place_of(b->category, &b->categories, CATEGORIES, category);
        if (i == CURVES || k == CATEGORIES) return false;
        for (int v = 0; v < 3; v++) b->value[v][i][k] = value[v];
        b->has[i][k] = true;
    }
    for (uint32_t i = 0; i < b->curves; i++)
        for (uint32_t k = 0; k < b->categories; k++)
            if (!b->has[i][k]) return false;
    return b->curves > 0;
}

/* `text`: path, title, labels of x and y. */
static int draw(const bars *b, char **text)
{
    tamis_curve curve[CURVES];
    const char *category[CATEGORIES];
    tamis_error err = {0};
    tamis_context *context = NULL;
    for (uint32_t i = 0; i < b->curves; i++)
        curve[i] = (tamis_curve){.name = b->curve[i],
                                 .points = b->categories,
                                 .y = b->value[0][i],
                                 .low = b->value[1][i],
                                 .high = b->value[2][i]};
    for (uint32_t k = 0; k < b->categories; k++) category[k] = b->category[k];
    const tamis_figure figure = {.title = text[1],
                                 .x_label = text[2],
                                 .y_label = text[3],
                                 .curve = curve,
                                 .curves = b->curves,
                                 .category = category,
                                 .categories = b->categories};
    const tamis_context_params params = {.threads = 1};
    tamis_status status = tamis_context_create(&context, &params, &err);
    if (status == TAMIS_OK) status = tamis_figure_draw(context, &figure, text[0], true, &err);
    tamis_context_destroy(&context);
    if (status != TAMIS_OK) fprintf(stderr, "draw_bars: %s\n", err.message);
    return status == TAMIS_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    static bars b;
    if (argc != 5) {
        fprintf(stderr, "usage: draw_bars OUT TITLE X-LABEL Y-LABEL <ROWS\n");
        return 2;
    }
    if (!read_bars(&b)) {
        fprintf(stderr, "draw_bars: a row is no bar, a bar is missing, or there are too many\n");
        return 3;
    }
    return draw(&b, argv + 1);
}
