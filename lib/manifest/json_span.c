/* Where the parts of a JSON text lie in its bytes.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/json_span.h"

#include <stdint.h>
#include <string.h>

#include "base/text.h"

static bool bad(tamis__json_walk *walk, size_t at, const char *what)
{
    walk->at = at;
    walk->bad = what;
    return false;
}

static bool is_space(unsigned char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static bool is_digit(unsigned char byte)
{
    return byte >= '0' && byte <= '9';
}

/* -1 at the end of the text. */
static int peek(const tamis__json_walk *walk)
{
    return walk->at < walk->size ? walk->text[walk->at] : -1;
}

static int next_after_space(tamis__json_walk *walk)
{
    while (walk->at < walk->size && is_space(walk->text[walk->at])) walk->at++;
    return peek(walk);
}

/* --- scalars -------------------------------------------------------------------------------- */

static int hex_digit(unsigned char byte)
{
    if (is_digit(byte)) return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
    return -1;
}

static bool skip_escape(tamis__json_walk *walk)
{
    size_t at = walk->at++;
    int kind = peek(walk);
    if (kind < 0) return bad(walk, at, "a string is not closed");
    if (kind != 'u') {
        if (!strchr("\"\\/bfnrt", kind) || !kind) return bad(walk, at, "no such escape");
        walk->at++;
        return true;
    }
    for (size_t i = 1; i <= 4; i++)
        if (walk->at + i >= walk->size || hex_digit(walk->text[walk->at + i]) < 0)
            return bad(walk, at, "\\u needs four hexadecimal digits");
    walk->at += 5;
    return true;
}

static bool skip_string(tamis__json_walk *walk)
{
    size_t start = walk->at++;
    while (walk->at < walk->size) {
        unsigned char byte = walk->text[walk->at];
        if (byte == '"') {
            walk->at++;
            return true;
        }
        if (byte < ' ') return bad(walk, walk->at, "a control character in a string");
        if (byte != '\\')
            walk->at++;
        else if (!skip_escape(walk))
            return false;
    }
    return bad(walk, start, "a string is not closed");
}

static bool skip_digits(tamis__json_walk *walk)
{
    size_t start = walk->at;
    while (walk->at < walk->size && is_digit(walk->text[walk->at])) walk->at++;
    return walk->at > start;
}

static bool skip_word(tamis__json_walk *walk, const char *word)
{
    size_t size = strlen(word);
    if (walk->size - walk->at < size || memcmp(walk->text + walk->at, word, size) != 0)
        return bad(walk, walk->at, "expected a value");
    walk->at += size;
    return true;
}

static bool skip_number(tamis__json_walk *walk)
{
    size_t start = walk->at;
    if (peek(walk) == '-') walk->at++;
    if (peek(walk) == 'I') return skip_word(walk, "Infinity");
    if (peek(walk) == '0')
        walk->at++;
    else if (!skip_digits(walk))
        return bad(walk, start, "expected a value");
    if (peek(walk) == '.') {
        walk->at++;
        if (!skip_digits(walk)) return bad(walk, start, "a number without digits after its point");
    }
    if (peek(walk) == 'e' || peek(walk) == 'E') {
        walk->at++;
        if (peek(walk) == '+' || peek(walk) == '-') walk->at++;
        if (!skip_digits(walk)) return bad(walk, start, "a number without digits in its exponent");
    }
    return true;
}

static bool skip_scalar(tamis__json_walk *walk)
{
    switch (peek(walk)) {
    case '"': return skip_string(walk);
    case 't': return skip_word(walk, "true");
    case 'f': return skip_word(walk, "false");
    case 'n': return skip_word(walk, "null");
    case 'N': return skip_word(walk, "NaN");
    default: return skip_number(walk);
    }
}

/* --- values --------------------------------------------------------------------------------- */

/* `"key" :`, up to the value. */
static bool skip_key(tamis__json_walk *walk, tamis__span *ret_key)
{
    if (next_after_space(walk) != '"') return bad(walk, walk->at, "expected a key in quotes");
    size_t start = walk->at;
    if (!skip_string(walk)) return false;
    *ret_key = (tamis__span){start, walk->at - start};
    if (next_after_space(walk) != ':') return bad(walk, walk->at, "expected ':'");
    walk->at++;
    return true;
}

/* The open brackets, innermost last. */
typedef struct brackets {
    unsigned char open[TAMIS__JSON_DEPTH];
    size_t depth;
} brackets;

static bool enter(tamis__json_walk *walk, brackets *b)
{
    tamis__span key;
    if (b->depth == TAMIS__JSON_DEPTH) return bad(walk, walk->at, "brackets too deep");
    unsigned char open = walk->text[walk->at++];
    unsigned char close = open == '{' ? '}' : ']';
    if (next_after_space(walk) == close) {
        walk->at++;
        return true;
    }
    b->open[b->depth++] = close;
    return open != '{' || skip_key(walk, &key);
}

/* After a value: close what ends here, up to the comma before the next value. */
static bool leave(tamis__json_walk *walk, brackets *b)
{
    tamis__span key;
    while (b->depth) {
        unsigned char close = b->open[b->depth - 1];
        int byte = next_after_space(walk);
        if (byte == ',') {
            walk->at++;
            return close == ']' || skip_key(walk, &key);
        }
        if (byte != close)
            return bad(walk, walk->at,
                       close == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
        walk->at++;
        b->depth--;
    }
    return true;
}

bool tamis__json_skip(tamis__json_walk *walk, tamis__span *ret_value)
{
    brackets b = {.depth = 0};
    next_after_space(walk);
    size_t start = walk->at;
    do {
        int byte = next_after_space(walk);
        size_t depth = b.depth;
        if (byte == '{' || byte == '[') {
            if (!enter(walk, &b)) return false;
            if (b.depth > depth) continue;
        } else if (!skip_scalar(walk)) {
            return false;
        }
        if (!leave(walk, &b)) return false;
    } while (b.depth);
    *ret_value = (tamis__span){start, walk->at - start};
    return true;
}

bool tamis__json_check(const void *text, size_t size, size_t *ret_at, const char **ret_bad)
{
    tamis__json_walk walk = {.text = text, .size = size};
    tamis__span value;
    bool fine = tamis__json_skip(&walk, &value);
    if (fine && next_after_space(&walk) >= 0) fine = bad(&walk, walk.at, "text after the value");
    *ret_at = walk.at;
    *ret_bad = walk.bad;
    return fine;
}

/* --- the object that a text is -------------------------------------------------------------- */

bool tamis__json_open(tamis__json_walk *walk, const void *text, size_t size)
{
    *walk = (tamis__json_walk){.text = text, .size = size, .first = true};
    if (next_after_space(walk) != '{') return bad(walk, walk->at, "expected an object");
    walk->at++;
    return true;
}

static bool end_of_object(tamis__json_walk *walk)
{
    size_t after = ++walk->at;
    if (next_after_space(walk) >= 0) return bad(walk, walk->at, "text after the object");
    walk->at = after;
    return false;
}

bool tamis__json_next(tamis__json_walk *walk, tamis__json_member *ret_member)
{
    tamis__json_member member;
    int byte = next_after_space(walk);
    if (byte == '}') return end_of_object(walk);
    if (!walk->first) {
        if (byte != ',') return bad(walk, walk->at, "expected ',' or '}'");
        walk->at++;
    }
    walk->first = false;
    if (!skip_key(walk, &member.key) || !tamis__json_skip(walk, &member.value)) return false;
    *ret_member = member;
    return true;
}

/* --- strings and truth ---------------------------------------------------------------------- */

static uint32_t four_digits(const unsigned char *at)
{
    uint32_t code = 0;
    for (size_t i = 0; i < 4; i++) code = code << 4 | (uint32_t)hex_digit(at[i]);
    return code;
}

static size_t put_utf8(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(lead[more] | code >> (6 * more));
    for (size_t i = 1; i <= more; i++) out[i] = (char)(0x80 | (code >> (6 * (more - i)) & 0x3f));
    return more + 1;
}

/* The escape at text[*at], a backslash; *at moves behind it. */
static uint32_t read_escape(const unsigned char *text, size_t end, size_t *at)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    unsigned char kind = text[*at + 1];
    const char *found = strchr(from, kind);
    if (kind != 'u') {
        *at += 2;
        return found ? (uint32_t)to[found - from] : kind;
    }
    uint32_t code = four_digits(text + *at + 2);
    *at += 6;
    if (code < 0xd800 || code > 0xdfff) return code;
    if (code > 0xdbff || end - *at < 6 || text[*at] != '\\' || text[*at + 1] != 'u') return 0xfffd;
    uint32_t low = four_digits(text + *at + 2);
    if (low < 0xdc00 || low > 0xdfff) return 0xfffd;
    *at += 6;
    return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
}

size_t tamis__json_string_decode(const unsigned char *text, tamis__span string, char *out)
{
    size_t at = string.first + 1, end = string.first + string.size - 1, used = 0;
    while (at < end) {
        if (text[at] != '\\')
            out[used++] = (char)text[at++];
        else
            used += put_utf8(read_escape(text, end, &at), out + used);
    }
    return used;
}

bool tamis__json_string_is(const unsigned char *text, tamis__span string, const char *name,
                           size_t size)
{
    size_t at = string.first + 1, end = string.first + string.size - 1, done = 0;
    char buffer[4];
    while (at < end) {
        size_t n = 1;
        if (text[at] != '\\')
            buffer[0] = (char)text[at++];
        else
            n = put_utf8(read_escape(text, end, &at), buffer);
        if (size - done < n || memcmp(name + done, buffer, n) != 0) return false;
        done += n;
    }
    return done == size;
}

bool tamis__json_truthy(const unsigned char *text, tamis__span value)
{
    const unsigned char *at = text + value.first;
    double number;
    switch (*at) {
    case 't':
    case 'N':
    case 'I': return true;
    case 'f':
    case 'n': return false;
    case '"': return value.size > 2;
    case '{':
    case '[':
        for (size_t i = 1; i + 1 < value.size; i++)
            if (!is_space(at[i])) return true;
        return false;
    default: return !tamis__parse_double((const char *)at, value.size, &number) || number != 0;
    }
}
