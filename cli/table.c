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

/* --- for people ----------------------------------------------------------------------------------- */

static void cell_text(const table_column *column, const cell *c, char *buffer, size_t size)
{
    switch (column->type) {
    case COLUMN_TEXT: snprintf(buffer, size, "%s", c->text ? c->text : "-"); return;
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

static int width_of(const table *t, size_t column)
{
    char text[256];
    size_t width = strlen(t->column[column].name);
    for (size_t i = 0; i < t->rows; i++) {
        cell_text(&t->column[column], &t->cell[i * t->columns + column], text, sizeof text);
        if (strlen(text) > width) width = strlen(text);
    }
    return (int)width;
}

/* Texts to the left, numbers to the right; no spaces at the end of a line. */
static void print_cell(const table *t, size_t column, int width, const char *text)
{
    bool left = t->column[column].type == COLUMN_TEXT, last = column + 1 == t->columns;
    printf("%s%*s", column ? "  " : "", left ? (last ? 0 : -width) : width, text);
}

static void print_table(const table *t)
{
    char text[256];
    putchar('\n');
    for (size_t i = 0; i <= t->rows; i++) {
        for (size_t j = 0; j < t->columns; j++) {
            if (i > 0) {
                cell_text(&t->column[j], &t->cell[(i - 1) * t->columns + j], text, sizeof text);
            } else {
                snprintf(text, sizeof text, "%s", t->column[j].name);
                for (char *c = text; *c; c++)
                    if (*c == '_') *c = ' ';
            }
            print_cell(t, j, width_of(t, j), text);
        }
        putchar('\n');
    }
}

/* --- for programs --------------------------------------------------------------------------------- */

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
    for (size_t j = 0; j < t->columns; j++)
        fprintf(file, "%s%s", j ? "," : "", t->column[j].name);
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
