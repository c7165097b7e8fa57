/* Where the parts of a JSON text lie in its bytes, so that it can be changed in one place and stay
 * as it is in all others.
 *
 * A value is what RFC 8259 says, with two exceptions: NaN, Infinity and -Infinity, which Python
 * writes and reads, are numbers; and bytes above 127 pass as they are, UTF-8 or not. Brackets may
 * be TAMIS__JSON_DEPTH deep. Nothing is allocated.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_JSON_SPAN_H
#define TAMIS_MANIFEST_JSON_SPAN_H

#include <stdbool.h>
#include <stddef.h>

enum { TAMIS__JSON_DEPTH = 512 };

/* Bytes [first, first + size) of the text. */
typedef struct tamis__span {
    size_t first, size;
} tamis__span;

/* A walk over the members of the object that a text is. Fields are private but `bad`, which after
 * false from open or next says what is wrong ("expected ':'") at byte `at`; NULL = no more
 * members. */
typedef struct tamis__json_walk {
    const unsigned char *text;
    size_t size, at;
    const char *bad;
    bool first;
} tamis__json_walk;

typedef struct tamis__json_member {
    tamis__span key;   /* with its quotes */
    tamis__span value; /* without spaces around it */
} tamis__json_member;

/* Start before the first member. False when the text does not begin with an object. */
bool tamis__json_open(tamis__json_walk *walk, const void *text, size_t size);

/* The next member. False at the end, with walk->bad NULL when the object is closed at byte
 * walk->at - 1 and nothing but spaces follows. Complexity: each byte is looked at once. */
bool tamis__json_next(tamis__json_walk *walk, tamis__json_member *ret_member);

/* Skip one value and the spaces before it. False with bad and at set. */
bool tamis__json_skip(tamis__json_walk *walk, tamis__span *ret_value);

/* True when the text is one JSON value; else what is wrong, at which byte. */
bool tamis__json_check(const void *text, size_t size, size_t *ret_at, const char **ret_bad);

/* Is this string, with its quotes, once its escapes are resolved, the bytes name[0 .. size)? */
bool tamis__json_string_is(const unsigned char *text, tamis__span string, const char *name,
                           size_t size);

/* Resolve escapes into out[0 .. string.size); the number of bytes, never more than the string has.
 * A lone surrogate becomes U+FFFD. The string has been checked by the scanner. */
size_t tamis__json_string_decode(const unsigned char *text, tamis__span string, char *out);

/* What Python takes for true: all but false, null, zero and what is empty. */
bool tamis__json_truthy(const unsigned char *text, tamis__span value);

#endif
