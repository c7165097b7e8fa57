/* A table of results.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "signals.h"

tamis_status table_add(table *t, cell **ret_cells, tamis_error *err)
{
    if (t->rows == t->room) {
        size_t room = 2 * t->room + 16;
        cell *grown = realloc(t->cell, room * t->columns * sizeof *grown);
        if (!grown) return fail_memory(err);
        t->cell = grown;
        t->room = room;
    }
    *ret_cells = t->cell + t->rows++ * t->columns;
    memset(*ret_cells, 0, t->columns * sizeof **ret_cells);
    return TAMIS_OK;
}

void table_free(table *t)
{
    free(t->cell);
    t->cell = NULL;
    t->rows = t->room = 0;
}

/* --- for people ------------------------------------------------------------------------------- */

static void short_text(const char *text, int widest, char *buffer, size_t size)
{
    bool whole = widest <= 0 || strlen(text) <= (size_t)widest;
    snprintf(buffer, size, "%.*s%s", whole ? (int)size : widest - 3, text, whole ? "" : "...");
}

static void cell_text(const table_column *column, const cell *c, char *buffer, size_t size)
{
    switch (column->type) {
    case COLUMN_TEXT: short_text(c->text ? c->text : "-", column->decimals, buffer, size); return;
    case COLUMN_COUNT: count_text(c->count, buffer, size); return;
    case COLUMN_REAL:
        if (isnan(c->real))
            snprintf(buffer, size, "-");
        else
            snprintf(buffer, size, "%.*f", column->decimals, c->real);
        return;
    case COLUMN_SHARE:
        if (isnan(c->real))
            snprintf(buffer, size, "-");
        else
            snprintf(buffer, size, "%.*f%%", column->decimals, 100 * c->real);
        return;
    }
}

static const cell *cell_at(const table *t, size_t row, size_t column)
{
    return &t->cell[row * t->columns + column];
}

static bool ends_in(const char *name, const char *end)
{
    size_t size = strlen(name), n = strlen(end);
    return size > n && !strcmp(name + size - n, end);
}

/* The lower end of an interval whose upper end comes next. */
static bool is_interval(const table *t, size_t column)
{
    return ends_in(t->column[column].name, "_low") && column + 1 < t->columns;
}

static bool is_shown(const table *t, size_t column)
{
    const table_column *c = &t->column[column];
    if (ends_in(c->name, "_high")) return false;
    for (size_t i = 0; i < t->rows; i++) {
        const cell *one = cell_at(t, i, column);
        if (c->type == COLUMN_TEXT    ? one->text != NULL
            : c->type == COLUMN_COUNT ? one->count > 0 || c->decimals != RARE
                                      : !isnan(one->real))
            return true;
    }
    return false;
}

/* `row` counts from 0; SIZE_MAX is the head. */
static void shown_text(const table *t, size_t row, size_t column, char *buffer, size_t size)
{
    char low[64], high[64];
    const table_column *c = &t->column[column];
    if (row == SIZE_MAX) {
        snprintf(buffer, size, "%s", is_interval(t, column) ? "interval" : c->name);
        for (char *at = buffer; *at; at++)
            if (*at == '_') *at = ' ';
    } else if (is_interval(t, column) && !isnan(cell_at(t, row, column)->real)) {
        cell_text(c, cell_at(t, row, column), low, sizeof low);
        cell_text(c + 1, cell_at(t, row, column + 1), high, sizeof high);
        snprintf(buffer, size, "%s to %s", low, high);
    } else {
        cell_text(c, cell_at(t, row, column), buffer, size);
    }
}

static int width_of(const table *t, size_t column)
{
    char text[256];
    shown_text(t, SIZE_MAX, column, text, sizeof text);
    size_t width = strlen(text);
    for (size_t i = 0; i < t->rows; i++) {
        shown_text(t, i, column, text, sizeof text);
        if (strlen(text) > width) width = strlen(text);
    }
    return (int)width;
}

static void print_row(const table *t, size_t row, const int *width, size_t last)
{
    char text[256];
    for (size_t j = 0; j <= last; j++) {
        if (width[j] == 0) continue;
        bool left = t->column[j].type == COLUMN_TEXT;
        shown_text(t, row, j, text, sizeof text);
        /* Texts to the left, numbers to the right; no spaces at the end of a line. */
        printf("%*s%s", left ? (j == last ? 0 : -width[j]) : width[j], text,
               j < last ? "  " : "\n");
    }
}

static void print_table(const table *t)
{
    int width[32] = {0};
    size_t last = 0;
    for (size_t j = 0; j < t->columns && j < LEN(width); j++) {
        if (!is_shown(t, j)) continue;
        width[j] = width_of(t, j);
        last = j;
    }
    putchar('\n');
    print_row(t, SIZE_MAX, width, last);
    for (size_t i = 0; i < t->rows; i++) print_row(t, i, width, last);
}

/* --- for programs ----------------------------------------------------------------------------- */

static void json_table(json *j, const char *key, const table *t)
{
    json_put_array(j, key);
    for (size_t i = 0; i < t->rows; i++) {
        json_put_object(j, NULL);
        for (size_t k = 0; k < t->columns; k++) {
            const cell *c = &t->cell[i * t->columns + k];
            const char *name = t->column[k].name;
            switch (t->column[k].type) {
            case COLUMN_TEXT: json_put_text(j, name, c->text); break;
            case COLUMN_COUNT: json_put_uint(j, name, c->count); break;
            case COLUMN_REAL:
            case COLUMN_SHARE: json_put_real(j, name, c->real); break;
            }
        }
        json_close(j);
    }
    json_close(j);
}

void report_table(report *r, const char *key, const table *t)
{
    if (r->machine) json_table(&r->j, key, t);
    if (r->human && t->rows > 0) print_table(t);
}

/* RFC 4180: quoted where it must be. */
static void csv_text(FILE *file, const char *text)
{
    if (!text) return;
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, file);
        return;
    }
    putc('"', file);
    for (; *text; text++) {
        if (*text == '"') putc('"', file);
        putc(*text, file);
    }
    putc('"', file);
}

static void csv_cell(FILE *file, column_type type, const cell *c)
{
    switch (type) {
    case COLUMN_TEXT: csv_text(file, c->text); return;
    case COLUMN_COUNT: fprintf(file, "%" PRIu64, c->count); return;
    case COLUMN_REAL:
    case COLUMN_SHARE:
        if (!isnan(c->real)) fprintf(file, "%.17g", c->real);
        return;
    }
}

static void csv_table(FILE *file, const table *t)
{
    for (size_t j = 0; j < t->columns; j++) fprintf(file, "%s%s", j ? "," : "", t->column[j].name);
    putc('\n', file);
    for (size_t i = 0; i < t->rows; i++)
        for (size_t j = 0; j < t->columns; j++) {
            if (j) putc(',', file);
            csv_cell(file, t->column[j].type, &t->cell[i * t->columns + j]);
            if (j + 1 == t->columns) putc('\n', file);
        }
}

static tamis_status write_part(const table *t, const char *part, const char *path, tamis_error *err)
{
    FILE *file = fopen(part, "w");
    if (!file) return fail_errno(err, "cannot write '%s'", path);
    signals_temporary(part, true);
    csv_table(file, t);
    bool failed = fflush(file) || ferror(file) || fsync(fileno(file));
    if (fclose(file) || failed || rename(part, path)) {
        tamis_status status = fail_errno(err, "cannot write '%s'", path);
        (void)unlink(part);
        signals_temporary(part, false);
        return status;
    }
    signals_temporary(part, false);
    return TAMIS_OK;
}

tamis_status table_write_csv(const table *t, const char *path, tamis_error *err)
{
    size_t size = strlen(path) + sizeof ".part";
    char *part = malloc(size);
    if (!part) return fail_memory(err);
    snprintf(part, size, "%s.part", path);
    tamis_status status = write_part(t, part, path, err);
    free(part);
    return status;
}
