/* JSON Lines: an object a line, features as numeric keys or as one array.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "import/records.h"
#include "import/registry.h"

/* Most memory that a byte of a record takes once parsed: "1," is a value and a pointer to it. */
#define PARSED_BYTES 24

typedef struct jsonl {
    tamis__table *table;
    const char *path;
    tamis__strings features; /* keys of numbers, or the one key of an array */
    bool is_array;
    uint64_t columns;
    unsigned parts;
    tamis__record record; /* being read */
} jsonl;

static tamis_status at_key(const jsonl *j, tamis_status status, const char *key, tamis_error *err)
{
    return tamis__prefix(err, status, "'%s' line %" PRIu64 ", key '%.100s'", j->path,
                         j->record.line, key);
}

/* The record as an object; *ret_object is released by the caller. */
static tamis_status parse_record(const jsonl *j, json_t **ret_object, tamis_error *err)
{
    json_error_t error;
    uint64_t bytes;
    if (__builtin_mul_overflow((uint64_t)j->record.size, (uint64_t)PARSED_BYTES, &bytes))
        bytes = UINT64_MAX;
    tamis_status status = tamis__memory_check(j->table->source->context, bytes, "the record", err);
    if (status != TAMIS_OK)
        return tamis__prefix(err, status, "'%s' line %" PRIu64, j->path, j->record.line);
    json_t *object = json_loadb((const char *)j->record.data, j->record.size,
                                JSON_REJECT_DUPLICATES, &error);
    if (!object)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' line %" PRIu64 ": not valid JSON: %s (at its byte %d)", j->path,
                           j->record.line, error.text, error.position);
    if (!json_is_object(object)) {
        bool array = json_is_array(object);
        json_decref(object);
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' line %" PRIu64 ": %s: JSON Lines has an object {...} a line",
                           j->path, j->record.line, array ? "a JSON array" : "not an object");
    }
    *ret_object = object;
    return TAMIS_OK;
}

/* --- what the keys are for, told by the first record ---------------------------------------- */

/* Error naming the nearest key unless the first record has this one. */
static tamis_status need_key(const jsonl *j, json_t *first, const char *name, tamis_error *err)
{
    tamis__strings keys = {0};
    const char *key;
    json_t *value;
    tamis_status status = TAMIS_OK;
    if (json_object_get(first, name)) return TAMIS_OK;
    json_object_foreach(first, key, value)
    {
        if (status == TAMIS_OK) status = tamis__strings_add(&keys, key, strlen(key), err);
    }
    if (status == TAMIS_OK) status = tamis__no_such_name(&keys, j->path, "key", name, err);
    tamis__strings_fini(&keys);
    return status;
}

static tamis_status assign_part(jsonl *j, json_t *first, const char *name, unsigned part,
                                tamis_error *err)
{
    if (!name) return TAMIS_OK;
    j->parts |= part;
    return need_key(j, first, name, err);
}

static bool same(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

static bool is_feature(const jsonl *j, const tamis__strings *ignored, const char *key)
{
    const tamis_data_options *options = j->table->options;
    return !same(options->label, key) && !same(options->id, key) && !same(options->group, key) &&
           tamis__name_index(ignored, key) < 0;
}

/* No features are named: the single array, else every number. */
static tamis_status find_features(jsonl *j, json_t *first, const tamis__strings *ignored,
                                  tamis_error *err)
{
    const char *key, *array = NULL;
    json_t *value;
    json_object_foreach(first, key, value)
    {
        if (!json_is_array(value) || !is_feature(j, ignored, key)) continue;
        if (array)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "'%s' has the arrays '%.100s' and '%.100s': name the features",
                               j->path, array, key);
        array = key;
    }
    j->is_array = array != NULL;
    if (array) return tamis__strings_add(&j->features, array, strlen(array), err);
    json_object_foreach(first, key, value)
    {
        if (!json_is_number(value) || !is_feature(j, ignored, key)) continue;
        TAMIS_TRY(tamis__strings_add(&j->features, key, strlen(key), err));
    }
    if (j->features.count > 0) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s' line %" PRIu64 ": no key holds a number or an array of numbers",
                       j->path, j->record.line);
}

static tamis_status list_features(jsonl *j, json_t *first, tamis_error *err)
{
    TAMIS_TRY(tamis__name_list(&j->features, j->table->options->features, "features", err));
    for (size_t i = 0; i < j->features.count; i++)
        TAMIS_TRY(need_key(j, first, tamis__strings_at(&j->features, i), err));
    const char *name = tamis__strings_at(&j->features, 0);
    j->is_array = j->features.count == 1 && json_is_array(json_object_get(first, name));
    return TAMIS_OK;
}

/* The keys of a model: numbers, never an array. */
static tamis_status name_features(jsonl *j, json_t *first, const tamis__strings *ignored,
                                  tamis_error *err)
{
    TAMIS_TRY(tamis__feature_list(&j->features, j->table->options, err));
    for (size_t i = 0; i < j->features.count; i++) {
        const char *name = tamis__strings_at(&j->features, i);
        TAMIS_TRY(tamis__feature_missing(need_key(j, first, name, err), err));
        if (!is_feature(j, ignored, name))
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "'%s': key '%.100s' is named as a feature and as something else",
                               j->path, name);
    }
    return TAMIS_OK;
}

/* A model keeps the names: a long one is refused here, not when the model is trained. */
static tamis_status check_names(const jsonl *j, tamis_error *err)
{
    for (size_t i = 0; i < j->features.count; i++) {
        const char *name = tamis__strings_at(&j->features, i);
        if (strlen(name) > TAMIS__TEXT_LIMIT)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s': the key '%.100s...' is longer than %d bytes", j->path, name,
                               TAMIS__TEXT_LIMIT);
    }
    return TAMIS_OK;
}

static tamis_status assign_keys(jsonl *j, json_t *first, tamis_error *err)
{
    const tamis_data_options *options = j->table->options;
    tamis__strings ignored = {0};
    TAMIS_TRY(assign_part(j, first, options->label, TAMIS__TABLE_LABEL, err));
    TAMIS_TRY(assign_part(j, first, options->id, TAMIS__TABLE_ID, err));
    TAMIS_TRY(assign_part(j, first, options->group, TAMIS__TABLE_GROUP, err));
    TAMIS_TRY(tamis__name_list(&ignored, options->ignore, "ignore", err));
    tamis_status status = options->features       ? list_features(j, first, err)
                          : options->feature_name ? name_features(j, first, &ignored, err)
                                                  : find_features(j, first, &ignored, err);
    tamis__strings_fini(&ignored);
    if (status == TAMIS_OK) status = check_names(j, err);
    if (status != TAMIS_OK) return status;
    j->columns = j->features.count;
    if (j->is_array)
        j->columns = json_array_size(json_object_get(first, tamis__strings_at(&j->features, 0)));
    return TAMIS_OK;
}

/* --- rows ----------------------------------------------------------------------------------- */

static tamis_status read_number(const json_t *value, float *out, tamis_error *err)
{
    if (!json_is_number(value))
        return tamis__fail(err, TAMIS_ERR_FORMAT, "%s is not a number",
                           json_is_string(value)                           ? "a text"
                           : json_is_null(value)                           ? "null"
                           : json_is_array(value) || json_is_object(value) ? "a nested value"
                                                                           : "true or false");
    if (!tamis__table_value(out, json_number_value(value)))
        return tamis__fail(err, TAMIS_ERR_NUMERIC, "%g is not finite as a 32-bit float",
                           json_number_value(value));
    return TAMIS_OK;
}

static tamis_status missing(tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_FORMAT, "this record does not have it");
}

static tamis_status read_array(const jsonl *j, const json_t *object, float *out, tamis_error *err)
{
    const char *key = tamis__strings_at(&j->features, 0);
    const json_t *array = json_object_get(object, key);
    if (!array) return at_key(j, missing(err), key, err);
    if (!json_is_array(array) || json_array_size(array) != j->columns) {
        tamis_status status = json_is_array(array)
                                  ? tamis__fail(err, TAMIS_ERR_FORMAT,
                                                "%zu numbers, the first record has %" PRIu64,
                                                json_array_size(array), j->columns)
                                  : tamis__fail(err, TAMIS_ERR_FORMAT, "not an array of numbers");
        return at_key(j, status, key, err);
    }
    for (size_t i = 0; i < j->columns; i++) {
        tamis_status status = read_number(json_array_get(array, i), &out[i], err);
        if (status == TAMIS_OK) continue;
        tamis__prefix(err, status, "element %zu", i);
        return at_key(j, status, key, err);
    }
    return TAMIS_OK;
}

static tamis_status read_keys(const jsonl *j, const json_t *object, float *out, tamis_error *err)
{
    for (size_t i = 0; i < j->columns; i++) {
        const char *key = tamis__strings_at(&j->features, i);
        const json_t *value = json_object_get(object, key);
        tamis_status status = value ? read_number(value, &out[i], err) : missing(err);
        if (status != TAMIS_OK) return at_key(j, status, key, err);
    }
    return TAMIS_OK;
}

/* A label, id or group as text: a string as it is, a whole number in decimal. */
static tamis_status value_text(const json_t *value, char number[TAMIS__NUMBER_SIZE],
                               const char **ret_text, size_t *ret_size, tamis_error *err)
{
    *ret_text = number;
    if (json_is_string(value)) {
        *ret_text = json_string_value(value);
        *ret_size = json_string_length(value);
    } else if (json_is_integer(value)) {
        *ret_size = (size_t)snprintf(number, TAMIS__NUMBER_SIZE, "%" PRId64,
                                     (int64_t)json_integer_value(value));
    } else if (json_is_real(value)) {
        double real = json_real_value(value);
        bool whole = floor(real) == real && fabs(real) < 0x1p53;
        *ret_size = whole ? (size_t)snprintf(number, TAMIS__NUMBER_SIZE, "%.0f", real)
                          : tamis__format_double(number, real);
    } else if (json_is_boolean(value)) {
        *ret_text = json_is_true(value) ? "true" : "false";
        *ret_size = strlen(*ret_text);
    } else {
        return tamis__fail(err, TAMIS_ERR_FORMAT, "text or a number is expected");
    }
    return TAMIS_OK;
}

/* One of label, id and group. */
static tamis_status read_part(const jsonl *j, const json_t *object, uint64_t row, const char *key,
                              unsigned part, tamis_error *err)
{
    char number[TAMIS__NUMBER_SIZE];
    const char *text = NULL;
    size_t size = 0;
    if (!key) return TAMIS_OK;
    const json_t *value = json_object_get(object, key);
    tamis_status status = value ? value_text(value, number, &text, &size, err) : missing(err);
    if (status == TAMIS_OK && part == TAMIS__TABLE_LABEL)
        status = tamis__table_label(j->table, row, text, size, err);
    if (status == TAMIS_OK && part == TAMIS__TABLE_ID)
        status = tamis__table_id(j->table, text, size, err);
    if (status == TAMIS_OK && part == TAMIS__TABLE_GROUP)
        status = tamis__table_group(j->table, row, text, size, err);
    return status == TAMIS_OK ? status : at_key(j, status, key, err);
}

static tamis_status read_object(jsonl *j, const json_t *object, uint64_t row, tamis_error *err)
{
    const tamis_data_options *options = j->table->options;
    tamis_data *data = j->table->data;
    float *out = data->x + row * data->columns;
    TAMIS_TRY(j->is_array ? read_array(j, object, out, err) : read_keys(j, object, out, err));
    TAMIS_TRY(read_part(j, object, row, options->label, TAMIS__TABLE_LABEL, err));
    TAMIS_TRY(read_part(j, object, row, options->id, TAMIS__TABLE_ID, err));
    TAMIS_TRY(read_part(j, object, row, options->group, TAMIS__TABLE_GROUP, err));
    data->digest[row] = tamis__record_digest(&j->record);
    return TAMIS_OK;
}

static tamis_status read_rows(jsonl *j, tamis__records *records, uint64_t rows, tamis_error *err)
{
    tamis_data *data = j->table->data;
    if (!j->is_array && !(data->feature_name = tamis__strings_block(&j->features, NULL)))
        return tamis__fail_memory(err, "key names", j->features.used);
    for (uint64_t row = 0; row < rows; row++) {
        json_t *object = NULL;
        TAMIS_TRY(tamis__table_progress(j->table, row, err));
        TAMIS_TRY(tamis__records_next(records, j->path, &j->record, err));
        TAMIS_TRY(parse_record(j, &object, err));
        tamis_status status = read_object(j, object, row, err);
        json_decref(object);
        if (status != TAMIS_OK) return status;
    }
    return TAMIS_OK;
}

static tamis_status read_all(jsonl *j, tamis_error *err)
{
    const tamis__source *source = j->table->source;
    tamis__records records, rewound;
    json_t *first = NULL;
    uint64_t rows = 0;
    TAMIS_TRY(tamis__text_encoding_check(source->bytes, source->size, j->path, err));
    tamis__records_init(&records, TAMIS__RECORDS_JSONL, source->bytes, source->size);
    rewound = records;
    TAMIS_TRY(tamis__records_next(&records, j->path, &j->record, err));
    if (!j->record.data) return tamis__fail(err, TAMIS_ERR_SHAPE, "'%s' has no rows", j->path);
    TAMIS_TRY(parse_record(j, &first, err));
    tamis_status status = assign_keys(j, first, err);
    json_decref(first);
    if (status != TAMIS_OK) return status;
    TAMIS_TRY(tamis__records_count(rewound, j->path, &rows, err));
    TAMIS_TRY(tamis__table_start(j->table, rows, j->columns, j->parts, err));
    return read_rows(j, &rewound, rows, err);
}

static tamis_status read_jsonl(tamis__table *table, tamis_error *err)
{
    jsonl j = {.table = table, .path = table->source->path};
    tamis_status status = read_all(&j, err);
    tamis__strings_fini(&j.features);
    return status;
}

/* An array is no JSON Lines, but the reader says so better than "cannot tell the format". */
static bool recognise(const unsigned char *bytes, size_t size)
{
    size_t at = tamis__records_bom(bytes, size);
    while (at < size &&
           (bytes[at] == ' ' || bytes[at] == '\t' || bytes[at] == '\r' || bytes[at] == '\n'))
        at++;
    return at < size && (bytes[at] == '{' || bytes[at] == '[');
}

const tamis__reader_class tamis__reader_jsonl = {.name = "jsonl",
                                                 .extensions = ".jsonl .ndjson",
                                                 .recognise = recognise,
                                                 .read = read_jsonl,
                                                 .has_columns = true};
