/* The text of a .npy header: a strict parser of a very small part of Python.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "import/npy_header.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"

typedef struct cursor {
    const char *text;
    size_t at, size;
    size_t offset; /* of the text in the file */
    const char *path;
    tamis_error *err;
} cursor;

static tamis_status fail_at(const cursor *c, const char *wanted)
{
    return tamis__fail(c->err, TAMIS_ERR_FORMAT, "'%s' byte %zu: the .npy header is wrong: %s",
                       c->path, c->offset + c->at, wanted);
}

/* The next byte after spaces, '\0' at the end. */
static char peek(cursor *c)
{
    while (c->at < c->size &&
           (c->text[c->at] == ' ' || c->text[c->at] == '\t' || c->text[c->at] == '\n'))
        c->at++;
    return c->at < c->size ? c->text[c->at] : '\0';
}

static bool take(cursor *c, char wanted)
{
    if (peek(c) != wanted) return false;
    c->at++;
    return true;
}

static tamis_status parse_string(cursor *c, char *ret_text, size_t room)
{
    char quote = peek(c);
    if (quote != '\'' && quote != '"') return fail_at(c, "text in quotes is expected");
    const char *start = c->text + c->at + 1, *stop = memchr(start, quote, c->size - c->at - 1);
    if (!stop) return fail_at(c, "a quote is not closed");
    size_t size = (size_t)(stop - start);
    if (size >= room) return fail_at(c, "a text is too long");
    if (memchr(start, '\\', size) || memchr(start, '\0', size))
        return fail_at(c, "a text has an escape or a zero byte");
    memcpy(ret_text, start, size);
    ret_text[size] = '\0';
    c->at += size + 2;
    return TAMIS_OK;
}

static tamis_status parse_bool(cursor *c, bool *ret_value)
{
    (void)peek(c);
    size_t left = c->size - c->at;
    if (left >= 4 && memcmp(c->text + c->at, "True", 4) == 0) {
        *ret_value = true;
        c->at += 4;
        return TAMIS_OK;
    }
    if (left >= 5 && memcmp(c->text + c->at, "False", 5) == 0) {
        *ret_value = false;
        c->at += 5;
        return TAMIS_OK;
    }
    return fail_at(c, "'fortran_order' is True or False");
}

static tamis_status parse_length(cursor *c, uint64_t *ret_value)
{
    uint64_t value = 0;
    char byte = peek(c);
    if (byte == '-') return fail_at(c, "'shape' has a negative length");
    if (byte < '0' || byte > '9') return fail_at(c, "'shape' is a tuple of whole numbers");
    for (; c->at < c->size && c->text[c->at] >= '0' && c->text[c->at] <= '9'; c->at++) {
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(c->text[c->at] - '0'), &value) ||
            value > INT64_MAX)
            return fail_at(c, "'shape' has a length over 2^63 - 1");
    }
    *ret_value = value;
    return TAMIS_OK;
}

static tamis_status parse_shape(cursor *c, tamis__npy_header *header)
{
    const int most = (int)(sizeof header->shape / sizeof *header->shape);
    header->dims = 0;
    if (!take(c, '(')) return fail_at(c, "'shape' is a tuple of whole numbers");
    while (!take(c, ')')) {
        if (header->dims == most) return fail_at(c, "'shape' has more than 8 dimensions");
        TAMIS_TRY(parse_length(c, &header->shape[header->dims++]));
        bool comma = take(c, ',');
        if (!comma && peek(c) != ')') return fail_at(c, "'shape' needs ',' or ')'");
        /* (3) is a number in Python, (3,) a tuple. */
        if (!comma && header->dims == 1)
            return fail_at(c, "'shape' is a tuple: (3,) has one dimension");
    }
    return TAMIS_OK;
}

static tamis_status parse_descr(cursor *c, tamis__npy_header *header)
{
    if (peek(c) == '[')
        return tamis__fail(c->err, TAMIS_ERR_UNSUPPORTED,
                           "'%s' is a structured array: save one field of it as a plain array",
                           c->path);
    return parse_string(c, header->descr, sizeof header->descr);
}

static const char *const keys[] = {"descr", "fortran_order", "shape"};

/* One "key: value"; `seen` has a bit a key. */
static tamis_status parse_pair(cursor *c, tamis__npy_header *header, unsigned *seen)
{
    char key[32];
    cursor before = *c;
    TAMIS_TRY(parse_string(c, key, sizeof key));
    unsigned which = 0;
    while (which < 3 && strcmp(key, keys[which]) != 0) which++;
    if (which == 3) return fail_at(&before, "a key that is not descr, fortran_order or shape");
    if (*seen & 1u << which) return fail_at(&before, "a key is there twice");
    *seen |= 1u << which;
    if (!take(c, ':')) return fail_at(c, "':' is expected");
    if (which == 0) return parse_descr(c, header);
    if (which == 1) return parse_bool(c, &header->fortran);
    return parse_shape(c, header);
}

tamis_status tamis__npy_header_parse(tamis__npy_header *ret_header, const char *text, size_t size,
                                     size_t offset, const char *path, tamis_error *err)
{
    cursor c = {.text = text, .size = size, .offset = offset, .path = path, .err = err};
    tamis__npy_header header = {0};
    unsigned seen = 0;
    if (!take(&c, '{')) return fail_at(&c, "it does not start with '{'");
    while (!take(&c, '}')) {
        TAMIS_TRY(parse_pair(&c, &header, &seen));
        if (!take(&c, ',') && peek(&c) != '}') return fail_at(&c, "',' or '}' is expected");
    }
    if (peek(&c) != '\0' || c.at != c.size) return fail_at(&c, "there is something after '}'");
    for (unsigned i = 0; i < 3; i++)
        if (!(seen & 1u << i))
            return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': the .npy header has no key '%s'", path,
                               keys[i]);
    *ret_header = header;
    return TAMIS_OK;
}
