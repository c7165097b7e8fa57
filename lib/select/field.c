/* Fields of text records.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/field.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "import/fields.h"

bool tamis__field_kind(const char *path, tamis__records_kind *ret_kind)
{
    static const struct {
        const char *ending;
        tamis__records_kind kind;
    } known[] = {{".csv", TAMIS__RECORDS_CSV},
                 {".tsv", TAMIS__RECORDS_TSV},
                 {".jsonl", TAMIS__RECORDS_JSONL},
                 {".ndjson", TAMIS__RECORDS_JSONL}};
    size_t size = strlen(path);
    if (size > 3 && !strcasecmp(path + size - 3, ".gz")) size -= 3;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t n = strlen(known[i].ending);
        if (size <= n || strncasecmp(path + size - n, known[i].ending, n) != 0) continue;
        *ret_kind = known[i].kind;
        return true;
    }
    return false;
}

typedef struct reading {
    const tamis__source *source;
    tamis__records_kind kind;
    const char *field, *id_field;     /* id_field: NULL = records are in the candidates' order */
    int64_t at, id_at, fields_wanted; /* CSV: which fields they are, and how many a record has */
    bool seen;                        /* JSON Lines: some record has the field */
    tamis__id_finder *ids;
    tamis__fields fields;
    double *value;
    uint64_t rows, room;
} reading;

static tamis_status no_number(const reading *r, const tamis__record *record, const char *text,
                              size_t size, tamis_error *err)
{
    char shown[TAMIS__SHOWN_SIZE(40)];
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s' line %" PRIu64 ": '%s' is '%s', which is no number", r->source->path,
                       record->line, r->field, tamis__show(shown, sizeof shown, text, size));
}

static void start(reading *r, const tamis__record *record)
{
    tamis__fields_start(&r->fields, r->kind == TAMIS__RECORDS_TSV ? '\t' : ',', record->data,
                        record->size);
}

static bool is_named(const tamis__field *field, const char *name)
{
    return name && field->size == strlen(name) && !memcmp(field->text, name, field->size);
}

/* Of two columns of one name it would be chance which one is read. */
static tamis_status found_at(const reading *r, const char *name, int64_t at, int64_t *ret_at,
                             tamis_error *err)
{
    if (*ret_at >= 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' has two columns '%s' in its header, %" PRId64 " and %" PRId64
                           ": rename one",
                           r->source->path, name, *ret_at + 1, at + 1);
    *ret_at = at;
    return TAMIS_OK;
}

static tamis_status read_header(reading *r, const tamis__record *record, tamis_error *err)
{
    tamis__field field;
    r->at = r->id_at = -1;
    start(r, record);
    for (int64_t i = 0; r->fields.more; i++) {
        TAMIS_TRY(tamis__fields_next(&r->fields, &field, err));
        if (is_named(&field, r->field)) TAMIS_TRY(found_at(r, r->field, i, &r->at, err));
        if (is_named(&field, r->id_field)) TAMIS_TRY(found_at(r, r->id_field, i, &r->id_at, err));
        r->fields_wanted = i + 1;
    }
    const char *missing = r->at < 0 ? r->field : r->id_field && r->id_at < 0 ? r->id_field : NULL;
    if (!missing) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' has no column '%s' in its header",
                       r->source->path, missing);
}

static tamis_status read_csv(reading *r, const tamis__record *record, double *ret_value,
                             uint64_t *ret_row, tamis_error *err)
{
    tamis__field field = {0};
    int64_t found = 0;
    start(r, record);
    for (int64_t i = 0; r->fields.more; i++, found++) {
        TAMIS_TRY(tamis__fields_next(&r->fields, &field, err));
        if (i == r->id_at)
            TAMIS_TRY(tamis__id_find(r->ids, record->line, field.text, field.size, ret_row, err));
        if (i == r->at && field.size > 0 && !tamis__parse_double(field.text, field.size, ret_value))
            return no_number(r, record, field.text, field.size, err);
    }
    if (found == r->fields_wanted) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s' line %" PRIu64 ": it has %" PRId64 " fields, the header has %" PRId64,
                       r->source->path, record->line, found, r->fields_wanted);
}

static const char *kind_of(const json_t *value)
{
    return json_is_string(value) ? "a text" : json_is_array(value) ? "an array" : "an object";
}

static tamis_status read_json_id(const reading *r, const tamis__record *record,
                                 const json_t *object, uint64_t *ret_row, tamis_error *err)
{
    char number[24];
    const json_t *id = json_object_get(object, r->id_field);
    if (json_is_string(id))
        return tamis__id_find(r->ids, record->line, json_string_value(id), json_string_length(id),
                              ret_row, err);
    if (!json_is_integer(id))
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' line %" PRIu64 ": '%s' is neither a text nor a whole number: the "
                           "record has no id",
                           r->source->path, record->line, r->id_field);
    int size = snprintf(number, sizeof number, "%" PRId64, (int64_t)json_integer_value(id));
    return tamis__id_find(r->ids, record->line, number, (size_t)size, ret_row, err);
}

static tamis_status read_json(reading *r, const tamis__record *record, double *ret_value,
                              uint64_t *ret_row, tamis_error *err)
{
    json_error_t why;
    json_t *object = json_loadb((const char *)record->data, record->size, 0, &why);
    if (!json_is_object(object)) {
        bool parsed = object != NULL;
        char shown[TAMIS__SHOWN_SIZE(80)];
        json_decref(object);
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' line %" PRIu64 ": it is no JSON object%s%s",
                           r->source->path, record->line, parsed ? "" : ": ",
                           parsed ? ""
                                  : tamis__show(shown, sizeof shown, why.text, strlen(why.text)));
    }
    const json_t *value = json_object_get(object, r->field);
    tamis_status status = TAMIS_OK;
    r->seen |= value != NULL;
    if (r->id_field) status = read_json_id(r, record, object, ret_row, err);
    if (json_is_number(value))
        *ret_value = json_number_value(value);
    else if (json_is_boolean(value))
        *ret_value = json_is_true(value) ? 1 : 0;
    else if (status == TAMIS_OK && value && !json_is_null(value))
        status = tamis__fail(err, TAMIS_ERR_FORMAT,
                             "'%s' line %" PRIu64 ": '%s' is %s, which is no number",
                             r->source->path, record->line, r->field, kind_of(value));
    json_decref(object);
    return status;
}

static tamis_status add(reading *r, double value, tamis_error *err)
{
    if (r->rows == r->room) {
        uint64_t room = r->room ? 2 * r->room : 4096;
        double *grown = tamis__realloc(r->value, (size_t)room, sizeof *grown);
        if (!grown) return tamis__fail_memory(err, "one value a row", room * sizeof *grown);
        r->value = grown;
        r->room = room;
    }
    r->value[r->rows++] = value;
    return TAMIS_OK;
}

/* A field that no record has is misspelt. */
static tamis_status check_seen(const reading *r, tamis_error *err)
{
    if (r->kind != TAMIS__RECORDS_JSONL || r->seen) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': no record has a field '%s'", r->source->path,
                       r->field);
}

static tamis_status read_all(reading *r, tamis_error *err)
{
    tamis__records records;
    tamis__record record;
    tamis__records_init(&records, r->kind, r->source->bytes, r->source->size);
    for (;;) {
        double value = (double)NAN;
        uint64_t row = UINT64_MAX;
        TAMIS_TRY(tamis__records_next(&records, r->source->path, &record, err));
        if (!record.data) return check_seen(r, err);
        if (record.number < 0) {
            TAMIS_TRY(read_header(r, &record, err));
            continue;
        }
        TAMIS_TRY(r->kind == TAMIS__RECORDS_JSONL ? read_json(r, &record, &value, &row, err)
                                                  : read_csv(r, &record, &value, &row, err));
        if (!r->id_field)
            TAMIS_TRY(add(r, value, err));
        else if (row != UINT64_MAX)
            r->value[row] = value;
    }
}

tamis_status tamis__field_numbers(const tamis__source *source, tamis__records_kind kind,
                                  const char *field, double **ret_value, uint64_t *ret_rows,
                                  tamis_error *err)
{
    reading r = {.source = source, .kind = kind, .field = field, .id_at = -1};
    tamis_status status = read_all(&r, err);
    tamis__fields_fini(&r.fields);
    if (status != TAMIS_OK) {
        free(r.value);
        return status;
    }
    *ret_value = r.value;
    *ret_rows = r.rows;
    return TAMIS_OK;
}

tamis_status tamis__field_join(const tamis__source *source, tamis__records_kind kind,
                               const char *field, const char *id_field, tamis__id_finder *ids,
                               double *value, tamis_error *err)
{
    char id[TAMIS__SHOWN_SIZE(50)];
    reading r = {.source = source,
                 .kind = kind,
                 .field = field,
                 .id_field = id_field,
                 .ids = ids,
                 .value = value};
    tamis_status status = read_all(&r, err);
    tamis__fields_fini(&r.fields);
    for (uint64_t row = 0; status == TAMIS_OK && row < ids->rows; row++) {
        if (ids->line[row]) continue;
        tamis__id_text(ids->examples, row, id, sizeof id);
        status = tamis__fail(err, TAMIS_ERR_FORMAT,
                             "'%s' has no record whose '%s' is '%s', the id of candidate %" PRIu64,
                             source->path, id_field, id, row);
    }
    return status;
}
