/* JSON as it is written: one value after the other, no tree.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "json.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define VALID_DEPTH 64

/* Length of the UTF-8 sequence at `s`, 0 when it is none (overlong, surrogate, cut off, >
 * U+10FFFF). */
static size_t utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80) return 1;
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)) return 0;
    if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) return 0;
    return n;
}

static void write_string(FILE *file, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    putc('"', file);
    while (*s) {
        size_t n = utf8_length(s);
        if (n == 0) {
            fputs("\\ufffd", file);
            n = 1;
        } else if (*s == '"' || *s == '\\') {
            fprintf(file, "\\%c", *s);
        } else if (*s == '\n') {
            fputs("\\n", file);
        } else if (*s == '\t') {
            fputs("\\t", file);
        } else if (*s < 0x20 || *s == 0x7f) {
            fprintf(file, "\\u%04x", *s);
        } else {
            fwrite(s, 1, n, file);
        }
        s += n;
    }
    putc('"', file);
}

static void start(json *j, const char *key)
{
    if (j->depth) {
        if (j->filled[j->depth - 1]) putc(',', j->file);
        j->filled[j->depth - 1] = true;
    }
    if (!key) return;
    write_string(j->file, key);
    putc(':', j->file);
}

static void open_level(json *j, const char *key, char first, char last)
{
    start(j, key);
    assert(j->depth < JSON_DEPTH);
    putc(first, j->file);
    j->close[j->depth] = last;
    j->filled[j->depth] = false;
    j->depth++;
}

void json_begin(json *j, FILE *file)
{
    *j = (json){.file = file};
}

void json_end(json *j)
{
    assert(j->depth == 0);
    putc('\n', j->file);
    fflush(j->file);
}

void json_put_object(json *j, const char *key)
{
    open_level(j, key, '{', '}');
}

void json_put_array(json *j, const char *key)
{
    open_level(j, key, '[', ']');
}

void json_close(json *j)
{
    assert(j->depth > 0);
    putc(j->close[--j->depth], j->file);
}

void json_put_text(json *j, const char *key, const char *value)
{
    start(j, key);
    if (value)
        write_string(j->file, value);
    else
        fputs("null", j->file);
}

void json_put_uint(json *j, const char *key, uint64_t value)
{
    start(j, key);
    fprintf(j->file, "%" PRIu64, value);
}

void json_put_int(json *j, const char *key, int64_t value)
{
    start(j, key);
    fprintf(j->file, "%" PRId64, value);
}

void json_put_null(json *j, const char *key)
{
    start(j, key);
    fputs("null", j->file);
}

void json_put_real(json *j, const char *key, double value)
{
    char text[40];
    if (!isfinite(value)) {
        json_put_null(j, key);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    start(j, key);
    fputs(text, j->file);
}

void json_put_float(json *j, const char *key, float value)
{
    char text[40];
    if (!isfinite(value)) {
        json_put_null(j, key);
        return;
    }
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) break;
    }
    start(j, key);
    fputs(text, j->file);
}

void json_put_bool(json *j, const char *key, bool value)
{
    start(j, key);
    fputs(value ? "true" : "false", j->file);
}

void json_put_raw(json *j, const char *key, const char *text)
{
    if (!text || !json_valid(text)) {
        json_put_text(j, key, text);
        return;
    }
    start(j, key);
    for (; *text; text++)
        if (*text != '\n' && *text != '\r') putc(*text, j->file);
}

/* --- validation: RFC 8259 as a recursive descent ---------------------------------------------- */

static const char *skip_space(const char *s)
{
    return s + strspn(s, " \t\r\n");
}

static const char *skip_string(const char *s)
{
    if (*s++ != '"') return NULL;
    while (*s != '"') {
        size_t n = utf8_length((const unsigned char *)s);
        if ((unsigned char)*s < 0x20 || n == 0) return NULL;
        if (*s == '\\') {
            s++;
            if (*s == 'u' && strspn(s + 1, "0123456789abcdefABCDEF") < 4) return NULL;
            if (!*s || !strchr("\"\\/bfnrtu", *s)) return NULL;
            n = *s == 'u' ? 5 : 1;
        }
        s += n;
    }
    return s + 1;
}

static const char *skip_digits(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n ? s + n : NULL;
}

static const char *skip_number(const char *s)
{
    if (*s == '-') s++;
    s = *s == '0' ? s + 1 : skip_digits(s);
    if (s && *s == '.') s = skip_digits(s + 1);
    if (s && (*s == 'e' || *s == 'E')) {
        s++;
        if (*s == '+' || *s == '-') s++;
        s = skip_digits(s);
    }
    return s;
}

static const char *skip_value(const char *s, unsigned depth);

static const char *skip_members(const char *s, char last, unsigned depth)
{
    s = skip_space(s + 1);
    if (*s == last) return s + 1;
    for (;;) {
        if (last == '}') {
            s = skip_string(s);
            if (!s) return NULL;
            s = skip_space(s);
            if (*s++ != ':') return NULL;
        }
        s = skip_value(s, depth + 1);
        if (!s) return NULL;
        if (*s == last) return s + 1;
        if (*s != ',') return NULL;
        s = skip_space(s + 1);
    }
}

/* Past the value and the space after it, or NULL. */
static const char *skip_value(const char *s, unsigned depth)
{
    static const char *const words[] = {"true", "false", "null"};
    if (depth > VALID_DEPTH) return NULL;
    s = skip_space(s);
    const char *end = NULL;
    if (*s == '{' || *s == '[')
        end = skip_members(s, *s == '{' ? '}' : ']', depth);
    else if (*s == '"')
        end = skip_string(s);
    else if (*s == '-' || (*s >= '0' && *s <= '9'))
        end = skip_number(s);
    for (size_t i = 0; !end && i < 3; i++)
        if (!strncmp(s, words[i], strlen(words[i]))) end = s + strlen(words[i]);
    return end ? skip_space(end) : NULL;
}

bool json_valid(const char *text)
{
    const char *end = skip_value(text, 0);
    return end && !*end;
}
