/* A document as text for a terminal or as roff for man: the same calls make both.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_DOC_H
#define TAMIS_CLI_DOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef struct doc {
    FILE *file;
    bool roff;
} doc;

/* `title` in sentence case. */
void doc_heading(doc *d, const char *title);
/* Text may hold several paragraphs, parted by an empty line. */
void doc_text(doc *d, const char *text);
/* A term (what to write), its value (may be NULL) and what it means. */
void doc_item(doc *d, const char *term, const char *value, const char *text);
/* An item whose term is short: on one line where there is room. */
void doc_entry(doc *d, const char *term, const char *text);
/* An item under the last item. */
void doc_subitem(doc *d, const char *term, const char *text);
/* Lines to be typed; those that start with '#' say what they do. */
void doc_examples(doc *d, const char *lines);
/* A line as it stands. */
void doc_line(doc *d, const char *line);

/* Text in lines of at most 80 columns, each after `indent` spaces; the first starts at column
 * `column`. */
void doc_wrap(FILE *file, const char *text, size_t indent, size_t column);

#endif
