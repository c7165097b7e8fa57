/* A document as text for a terminal or as roff for man.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "doc.h"

#include <ctype.h>
#include <string.h>

#define WIDTH 80

/* What roff would take for its own: a backslash, a dash that must stay one, a control character at
 * the start of a line. */
static void roff_text(FILE *file, const char *text, size_t size)
{
    bool start = true;
    for (size_t i = 0; i < size; i++) {
        if (start && (text[i] == '.' || text[i] == '\'')) fputs("\\&", file);
        start = text[i] == '\n';
        if (text[i] == '\\')
            fputs("\\e", file);
        else if (text[i] == '-')
            fputs("\\-", file);
        else
            putc(text[i], file);
    }
}

void doc_wrap(FILE *file, const char *text, size_t indent, size_t column)
{
    if (column < indent) column = (size_t)fprintf(file, "%*s", (int)(indent - column), "") + column;
    bool first = true;
    while (*(text += strspn(text, " "))) {
        size_t size = strcspn(text, " ");
        if (!first && column + 1 + size > WIDTH) {
            fprintf(file, "\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        column += (size_t)fprintf(file, "%s%.*s", first ? "" : " ", (int)size, text);
        first = false;
        text += size;
    }
    putc('\n', file);
}

void doc_heading(doc *d, const char *title)
{
    if (!d->roff) {
        fprintf(d->file, "\n%s:\n", title);
        return;
    }
    fputs(".SH ", d->file);
    for (; *title; title++) putc(toupper((unsigned char)*title), d->file);
    putc('\n', d->file);
}

static void paragraph(doc *d, const char *text, size_t size)
{
    char copy[2048];
    if (d->roff) {
        fputs(".PP\n", d->file);
        roff_text(d->file, text, size);
        putc('\n', d->file);
        return;
    }
    snprintf(copy, sizeof copy, "%.*s", (int)size, text);
    doc_wrap(d->file, copy, 0, 0);
}

void doc_text(doc *d, const char *text)
{
    for (;;) {
        const char *end = strstr(text, "\n\n");
        paragraph(d, text, end ? (size_t)(end - text) : strlen(text));
        if (!end) return;
        if (!d->roff) putc('\n', d->file);
        text = end + 2;
    }
}

void doc_item(doc *d, const char *term, const char *value, const char *text)
{
    if (!d->roff) {
        fprintf(d->file, "  %s%s%s\n", term, value ? " " : "", value ? value : "");
        doc_wrap(d->file, text, 10, 0);
        return;
    }
    fputs(".TP\n\\fB", d->file);
    roff_text(d->file, term, strlen(term));
    fputs("\\fR", d->file);
    if (value) {
        fputs(" \\fI", d->file);
        roff_text(d->file, value, strlen(value));
        fputs("\\fR", d->file);
    }
    putc('\n', d->file);
    roff_text(d->file, text, strlen(text));
    putc('\n', d->file);
}

void doc_entry(doc *d, const char *term, const char *text)
{
    if (d->roff)
        doc_item(d, term, NULL, text);
    else
        doc_wrap(d->file, text, 10, (size_t)fprintf(d->file, "  %s", term));
}

void doc_subitem(doc *d, const char *term, const char *text)
{
    if (!d->roff) {
        int width = fprintf(d->file, "          %s  ", term);
        doc_wrap(d->file, text, 26, (size_t)width);
        return;
    }
    fputs(".RS\n", d->file);
    doc_item(d, term, NULL, text);
    fputs(".RE\n", d->file);
}

void doc_line(doc *d, const char *line)
{
    if (!d->roff) {
        fprintf(d->file, "  %s\n", line);
        return;
    }
    roff_text(d->file, line, strlen(line));
    putc('\n', d->file);
}

void doc_examples(doc *d, const char *lines)
{
    while (*lines) {
        size_t size = strcspn(lines, "\n");
        bool comment = *lines == '#';
        const char *text = comment ? lines + 1 + strspn(lines + 1, " ") : lines;
        size_t length = size - (size_t)(text - lines);
        if (!d->roff) {
            fprintf(d->file, comment ? "  # %.*s\n" : "  %.*s\n", (int)length, text);
        } else {
            fputs(comment ? ".PP\n" : ".PP\n.nf\n.RS\n", d->file);
            roff_text(d->file, text, length);
            fputs(comment ? "\n" : "\n.RE\n.fi\n", d->file);
        }
        lines += size + (lines[size] == '\n');
    }
}
