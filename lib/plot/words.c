/* Width of texts, and lines that fit.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "plot/words.h"

#include <string.h>

#include "store/utf8.h"

static const char ellipsis[] = "\xE2\x80\xA6", unknown[] = "\xEF\xBF\xBD";

/* One character as it will be shown; `next` is what follows it in the text. */
typedef struct letter {
    const char *bytes, *next;
    size_t size;
} letter;

static letter first_letter(const char *text)
{
    size_t size = tamis__utf8_sequence(text, strlen(text));
    letter l = {text, text + (size ? size : 1), size};
    unsigned char c = (unsigned char)text[0];
    if (size == 1 && (c < 0x20 || c == 0x7F))
        l.bytes = " ";
    else if (size == 0 || (size == 2 && c == 0xC2 && (unsigned char)text[1] < 0xA0) ||
             (size == 3 && !memcmp(text, "\xEF\xBF", 2) && (unsigned char)text[2] >= 0xBE))
        l = (letter){unknown, l.next, sizeof unknown - 1};
    return l;
}

/* Widths of DejaVu Sans, which is among the widest, in parts of the font's size. */
static double letter_width(const letter *l)
{
    unsigned char c = (unsigned char)l->bytes[0];
    if (c >= 0xE2) return 1.0;
    if (c >= 0x80) return 0.68;
    if (strchr("ijl.,:;'| !I", c)) return 0.36;
    if (strchr("frt()[]/\\-\"", c)) return 0.43;
    if (strchr("mwMW@%", c)) return 0.98;
    if (strchr("+=<>#~_", c) || (c >= 'A' && c <= 'Z')) return 0.78;
    return 0.64;
}

double tamis__words_width(const char *text, double size)
{
    double width = 0;
    while (*text) {
        letter l = first_letter(text);
        width += letter_width(&l);
        text = l.next;
    }
    return width * size;
}

static bool is_space(const letter *l)
{
    return l->size == 1 && l->bytes[0] == ' ';
}

/* Where the line that begins at `text` ends: at the last space, or behind the last of some signs,
 * before it is too wide, else within a word; NULL when all of the rest fits. */
static const char *line_end(const char *text, double width, bool *ret_cut)
{
    double used = 0;
    size_t bytes = 0;
    const char *last = NULL, *start = text;
    while (*text) {
        letter l = first_letter(text);
        if (is_space(&l)) last = text;
        used += letter_width(&l);
        bytes += l.size;
        if ((used > width || bytes + sizeof ellipsis > TAMIS__WORDS_SIZE) && text > start) {
            if (last && last > start) return last;
            *ret_cut = true;
            return text;
        }
        text = l.next;
        if (l.size == 1 && strchr(",:;/_-", l.bytes[0])) last = text;
    }
    return NULL;
}

static void copy_line(const char *text, const char *end, char *ret_line)
{
    size_t used = 0;
    while (*text && text != end && used + 4 < TAMIS__WORDS_SIZE) {
        letter l = first_letter(text);
        memcpy(ret_line + used, l.bytes, l.size);
        used += l.size;
        text = l.next;
    }
    while (used > 0 && ret_line[used - 1] == ' ') used--;
    ret_line[used] = '\0';
}

/* The last line, when more than fits it is left. */
static void copy_cut(const char *text, double width, char *ret_line)
{
    double used = 1.0;
    const char *end = text;
    size_t bytes = sizeof ellipsis;
    while (*end) {
        letter l = first_letter(end);
        used += letter_width(&l);
        bytes += l.size;
        if (used > width || bytes + 4 > TAMIS__WORDS_SIZE) break;
        end = l.next;
    }
    if (end == text)
        ret_line[0] = '\0';
    else
        copy_line(text, end, ret_line);
    memcpy(ret_line + strlen(ret_line), ellipsis, sizeof ellipsis);
}

unsigned tamis__words_wrap(const char *text, double width, double size, unsigned lines,
                           char ret_line[][TAMIS__WORDS_SIZE], bool *ret_cut)
{
    unsigned n = 0;
    bool cut = false;
    width /= size;
    for (; text && n < lines; n++) {
        for (letter l = first_letter(text); *text && is_space(&l); l = first_letter(text))
            text = l.next;
        if (!*text) break;
        const char *end = line_end(text, width, &cut);
        if (end && n + 1 == lines) {
            cut = true;
            copy_cut(text, width, ret_line[n]);
        } else {
            copy_line(text, end, ret_line[n]);
        }
        text = end;
    }
    if (ret_cut) *ret_cut = cut;
    return n;
}
