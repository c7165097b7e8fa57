/* Rows as CSV and as JSON Lines.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "export/source.h"
#include "store/utf8.h"

static tamis_status put(tamis__output *output, const char *text, tamis_error *err)
{
    return tamis__output_write(output, text, strlen(text), err);
}

/* snprintf would be most of the time a table takes. */
static tamis_status put_count(tamis__output *output, uint64_t value, tamis_error *err)
{
    char text[TAMIS__NUMBER_SIZE];
    size_t at = sizeof text;
    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return tamis__output_write(output, text + at, sizeof text - at, err);
}

static tamis_status put_int(tamis__output *output, int32_t value, tamis_error *err)
{
    if (value < 0) TAMIS_TRY(put(output, "-", err));
    return put_count(output, (uint64_t)(value < 0 ? -(int64_t)value : value), err);
}

/* The name of a label or group that has one, or NULL. */
static const char *name_of(const tamis_examples *e, const tamis__field *field, uint64_t row)
{
    bool label = field->type == TAMIS__FIELD_LABEL;
    const char *const *name = label ? e->class_name : e->group_name;
    uint32_t names = label ? e->classes : e->groups;
    int32_t value = ((const int32_t *)field->values)[row];
    return name && value >= 0 && (uint32_t)value < names ? name[value] : NULL;
}

/* The text of a field that is one, or NULL. */
static const char *text_of(const tamis__export_source *s, const tamis__field *field, uint64_t row)
{
    const tamis_examples *e = field->of ? field->of : s->examples;
    if (field->type == TAMIS__FIELD_ID)
        return e->id_text ? e->id_text[field->at ? field->at[row] : row] : NULL;
    if (field->type == TAMIS__FIELD_WHICH)
        return ((const uint8_t *)field->values)[row] ? "bottom" : "top";
    if (field->type == TAMIS__FIELD_REASON) {
        uint16_t reason = s->selection->reason[row];
        return reason < s->selection->reasons ? s->selection->reason_text[reason] : "";
    }
    if (field->type == TAMIS__FIELD_LABEL || field->type == TAMIS__FIELD_GROUP)
        return name_of(e, field, row);
    return NULL;
}

static uint64_t id_of(const tamis__export_source *s, const tamis__field *field, uint64_t row)
{
    const tamis_examples *e = field->of ? field->of : s->examples;
    if (field->at) row = field->at[row];
    return e->id_number ? e->id_number[row] : row;
}

/* Whole numbers, written alike in both formats. */
static tamis_status put_number(const tamis__export_source *s, const tamis__field *field,
                               uint64_t row, tamis__output *output, tamis_error *err)
{
    switch (field->type) {
    case TAMIS__FIELD_ID: return put_count(output, id_of(s, field, row), err);
    case TAMIS__FIELD_COUNT: return put_count(output, ((const uint64_t *)field->values)[row], err);
    case TAMIS__FIELD_LENGTH: return put_count(output, ((const uint32_t *)field->values)[row], err);
    case TAMIS__FIELD_LABEL:
    case TAMIS__FIELD_GROUP: return put_int(output, ((const int32_t *)field->values)[row], err);
    default: return put_count(output, row, err);
    }
}

static tamis_status put_digest(const tamis__field *field, uint64_t row, const char *quote,
                               tamis__output *output, tamis_error *err)
{
    uint64_t digest = ((const uint64_t *)field->values)[row];
    return tamis__output_printf(output, err, "%s%016" PRIx64 "%s", quote, digest, quote);
}

static bool no_group(const tamis__field *field, uint64_t row)
{
    return field->type == TAMIS__FIELD_GROUP && ((const int32_t *)field->values)[row] < 0;
}

/* --- CSV -------------------------------------------------------------------------------------- */

static tamis_status csv_float(float value, tamis__output *output, tamis_error *err)
{
    char text[TAMIS__NUMBER_SIZE];
    /* Weights and flags: the digits are the shortest text, without a search for it. */
    if (value >= 1.0f && value < 1e5f && value == floorf(value))
        return put_count(output, (uint64_t)value, err);
    size_t size = tamis__format_float(text, value);
    return tamis__output_write(output, text, size, err);
}

static tamis_status csv_double(double value, tamis__output *output, tamis_error *err)
{
    char text[TAMIS__NUMBER_SIZE];
    size_t size = tamis__format_double(text, value);
    return tamis__output_write(output, text, size, err);
}

/* A matrix's columns are called by the ids of the queries, or numbered. */
static tamis_status csv_matrix_header(const tamis__export_source *s, const char *name,
                                      tamis__output *output, tamis_error *err)
{
    const tamis_examples *query = s->scores ? &tamis_scores_info_get(s->scores)->query : NULL;
    if (s->one_column) return put(output, name, err);
    for (uint64_t j = 0; j < s->columns; j++) {
        if (j) TAMIS_TRY(put(output, ",", err));
        if (query && query->id_text) {
            TAMIS_TRY(tamis__output_csv(output, query->id_text[j], err));
            continue;
        }
        uint64_t number = query && query->id_number ? query->id_number[j] : j;
        TAMIS_TRY(tamis__output_printf(output, err, "%s_%" PRIu64, query ? "query" : name, number));
    }
    return TAMIS_OK;
}

tamis_status tamis__csv_header(const tamis__export_source *source, tamis__output *output,
                               tamis_error *err)
{
    for (size_t f = 0; f < source->fields; f++) {
        const tamis__field *field = &source->field[f];
        if (f) TAMIS_TRY(put(output, ",", err));
        TAMIS_TRY(field->type == TAMIS__FIELD_MATRIX
                      ? csv_matrix_header(source, field->name, output, err)
                      : put(output, field->name, err));
    }
    return put(output, "\n", err);
}

static tamis_status csv_matrix(const float *matrix, uint64_t columns, tamis__output *output,
                               tamis_error *err)
{
    for (uint64_t j = 0; j < columns; j++) {
        if (j) TAMIS_TRY(put(output, ",", err));
        TAMIS_TRY(csv_float(matrix[j], output, err));
    }
    return TAMIS_OK;
}

static tamis_status csv_field(const tamis__export_source *s, const tamis__field *field,
                              uint64_t row, const float *matrix, tamis__output *output,
                              tamis_error *err)
{
    const char *text = text_of(s, field, row);
    if (text) return tamis__output_csv(output, text, err);
    if (no_group(field, row)) return TAMIS_OK;
    switch (field->type) {
    case TAMIS__FIELD_MATRIX: return csv_matrix(matrix, s->columns, output, err);
    case TAMIS__FIELD_FLOAT: return csv_float(((const float *)field->values)[row], output, err);
    case TAMIS__FIELD_DOUBLE: return csv_double(((const double *)field->values)[row], output, err);
    case TAMIS__FIELD_BOOL:
        return put(output, ((const uint8_t *)field->values)[row] ? "1" : "0", err);
    case TAMIS__FIELD_DIGEST: return put_digest(field, row, "", output, err);
    default: return put_number(s, field, row, output, err);
    }
}

tamis_status tamis__csv_row(const tamis__export_source *source, uint64_t row, const float *matrix,
                            tamis__output *output, tamis_error *err)
{
    for (size_t f = 0; f < source->fields; f++) {
        if (f) TAMIS_TRY(put(output, ",", err));
        TAMIS_TRY(csv_field(source, &source->field[f], row, matrix, output, err));
    }
    return put(output, "\n", err);
}

/* --- JSON Lines ------------------------------------------------------------------------------- */

static tamis_status json_escape(unsigned char c, tamis__output *output, tamis_error *err)
{
    switch (c) {
    case '"': return put(output, "\\\"", err);
    case '\\': return put(output, "\\\\", err);
    case '\n': return put(output, "\\n", err);
    case '\r': return put(output, "\\r", err);
    case '\t': return put(output, "\\t", err);
    default: return tamis__output_printf(output, err, "\\u%04x", c);
    }
}

/* Bytes at the start of `text` that JSON takes as they are. */
static size_t plain_run(const char *text, size_t size)
{
    size_t run = 0;
    while (run < size) {
        unsigned char c = (unsigned char)text[run];
        size_t length = tamis__utf8_sequence(text + run, size - run);
        if (c < 0x20 || c == '"' || c == '\\' || length == 0) break;
        run += length;
    }
    return run;
}

/* Ids are what their source made them: bytes that are no UTF-8 become U+FFFD, so that the line is
 * JSON. */
static tamis_status json_text(const char *text, tamis__output *output, tamis_error *err)
{
    size_t size = strlen(text);
    TAMIS_TRY(put(output, "\"", err));
    while (size > 0) {
        size_t run = plain_run(text, size);
        if (run > 0) {
            TAMIS_TRY(tamis__output_write(output, text, run, err));
        } else {
            unsigned char c = (unsigned char)*text;
            TAMIS_TRY(c < 0x80 ? json_escape(c, output, err) : put(output, "\xef\xbf\xbd", err));
            run = 1;
        }
        text += run;
        size -= run;
    }
    return put(output, "\"", err);
}

static tamis_status json_float(float value, tamis__output *output, tamis_error *err)
{
    return isfinite(value) ? csv_float(value, output, err) : put(output, "null", err);
}

static tamis_status json_double(double value, tamis__output *output, tamis_error *err)
{
    return isfinite(value) ? csv_double(value, output, err) : put(output, "null", err);
}

static tamis_status json_matrix(const tamis__export_source *s, const float *matrix,
                                tamis__output *output, tamis_error *err)
{
    if (s->one_column) return json_float(matrix[0], output, err);
    TAMIS_TRY(put(output, "[", err));
    for (uint64_t j = 0; j < s->columns; j++) {
        if (j) TAMIS_TRY(put(output, ",", err));
        TAMIS_TRY(json_float(matrix[j], output, err));
    }
    return put(output, "]", err);
}

static tamis_status json_field(const tamis__export_source *s, const tamis__field *field,
                               uint64_t row, const float *matrix, tamis__output *output,
                               tamis_error *err)
{
    const char *text = text_of(s, field, row);
    if (text) return json_text(text, output, err);
    if (no_group(field, row)) return put(output, "null", err);
    switch (field->type) {
    case TAMIS__FIELD_MATRIX: return json_matrix(s, matrix, output, err);
    case TAMIS__FIELD_FLOAT: return json_float(((const float *)field->values)[row], output, err);
    case TAMIS__FIELD_DOUBLE: return json_double(((const double *)field->values)[row], output, err);
    case TAMIS__FIELD_BOOL:
        return put(output, ((const uint8_t *)field->values)[row] ? "true" : "false", err);
    case TAMIS__FIELD_DIGEST: return put_digest(field, row, "\"", output, err);
    default: return put_number(s, field, row, output, err);
    }
}

tamis_status tamis__jsonl_row(const tamis__export_source *source, uint64_t row, const float *matrix,
                              tamis__output *output, tamis_error *err)
{
    for (size_t f = 0; f < source->fields; f++) {
        const tamis__field *field = &source->field[f];
        TAMIS_TRY(put(output, f ? ",\"" : "{\"", err));
        TAMIS_TRY(put(output, field->name, err));
        TAMIS_TRY(put(output, "\":", err));
        TAMIS_TRY(json_field(source, field, row, matrix, output, err));
    }
    return put(output, "}\n", err);
}
