/* JSON as it is written: one value after the other, no tree.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_JSON_H
#define TAMIS_CLI_JSON_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Jansson, which the library uses, has functions of these names: a program that exported its own
 * would take their place in there. */
#define json_array  json_put_array
#define json_null   json_put_null
#define json_object json_put_object
#define json_real   json_put_real

enum { JSON_DEPTH = 16 };

/* A writer. `key` below is NULL inside an array and at the top. */
typedef struct json {
    FILE *file;
    unsigned depth;
    char close[JSON_DEPTH]; /* what ends each open object or array */
    bool filled[JSON_DEPTH];
} json;

void json_begin(json *j, FILE *file);
/* Ends the line. Everything must be closed. */
void json_end(json *j);

void json_object(json *j, const char *key);
void json_array(json *j, const char *key);
void json_close(json *j);

/* Bytes that are not UTF-8 become U+FFFD; NULL becomes null. */
void json_text(json *j, const char *key, const char *value);
void json_uint(json *j, const char *key, uint64_t value);
void json_int(json *j, const char *key, int64_t value);
/* The shortest text that reads back to the same double; null when not finite. */
void json_real(json *j, const char *key, double value);
/* The same for a value that was a float. */
void json_float(json *j, const char *key, float value);
void json_bool(json *j, const char *key, bool value);
void json_null(json *j, const char *key);
/* JSON text of another writer, put in as it is; as a string when it is not valid JSON. */
void json_raw(json *j, const char *key, const char *text);

/* Is the whole text one JSON value? At most 64 levels deep. */
bool json_valid(const char *text);

#endif
