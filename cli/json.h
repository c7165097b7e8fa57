/* JSON as it is written: one value after the other, no tree.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_JSON_H
#define TAMIS_CLI_JSON_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { JSON_DEPTH = 16 };

/* A writer. Names start with json_put_, since Jansson, which the library links, has json_object()
 * and the like. `key` below is NULL inside an array and at the top. */
typedef struct json {
    FILE *file;
    unsigned depth;
    char close[JSON_DEPTH]; /* what ends each open object or array */
    bool filled[JSON_DEPTH];
} json;

void json_begin(json *j, FILE *file);
/* Ends the line. Everything must be closed. */
void json_end(json *j);

void json_put_object(json *j, const char *key);
void json_put_array(json *j, const char *key);
void json_close(json *j);

/* Bytes that are not UTF-8 become U+FFFD; NULL becomes null. */
void json_put_text(json *j, const char *key, const char *value);
void json_put_uint(json *j, const char *key, uint64_t value);
void json_put_int(json *j, const char *key, int64_t value);
/* The shortest text that reads back to the same double; null when not finite. */
void json_put_real(json *j, const char *key, double value);
/* The same for a value that was a float. */
void json_put_float(json *j, const char *key, float value);
void json_put_bool(json *j, const char *key, bool value);
void json_put_null(json *j, const char *key);
/* JSON text of another writer, put in as it is; as a string when it is not valid JSON. */
void json_put_raw(json *j, const char *key, const char *text);

/* Is the whole text one JSON value? At most 64 levels deep. */
bool json_valid(const char *text);

#endif
