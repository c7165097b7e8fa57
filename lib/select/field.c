/* Fields of text records.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "select/field.h"

#include <inttypes.h>
#include <math.h>
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
    const char *field;
    int64_t at; /* CSV: which field it is */
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

static tamis_status read_header(reading *r, const tamis__record *record, tamis_error *err)
{
    tamis__field field;
    r->at = -1;
    tamis__fields_start(&r->fields, r->kind == TAMIS__RECORDS_TSV ? '\t' : ',', record->data,
                        record->size);
    for (int64_t i = 0; r->fields.more; i++) {
        TAMIS_TRY(tamis__fields_next(&r->fields, &field, err));
        if (field.size == strlen(r->field) && !memcmp(field.text, r->field, field.size)) r->at = i;
    }
    if (r->at >= 0) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' has no column '%s' in its header",
                       r->source->path, r->field);
}

static tamis_status read_csv(reading *r, const tamis__record *record, double *ret_value,
                             tamis_error *err)
{
    tamis__field field = {0};
    tamis__fields_start(&r->fields, r->kind == TAMIS__RECORDS_TSV ? '\t' : ',', record->data,
                        record->size);
    for (int64_t i = 0; i <= r->at; i++) {
        if (!r->fields.more) return TAMIS_OK;
        TAMIS_TRY(tamis__fields_next(&r->fields, &field, err));
    }
    if (field.size == 0 || tamis__parse_double(field.text, field.size, ret_value)) return TAMIS_OK;
    return no_number(r, record, field.text, field.size, err);
}

static tamis_status read_json(const reading *r, const tamis__record *record, double *ret_value,
                              tamis_error *err)
{
    json_error_t why;
    json_t *object = json_loadb((const char *)record->data, record->size, 0, &why);
    if (!json_is_object(object)) {
        json_decref(object);
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' line %" PRIu64 ": it is no JSON object",
                           r->source->path, record->line);
    }
    const json_t *value = json_object_get(object, r->field);
    tamis_status status = TAMIS_OK;
    if (json_is_number(value))
        *ret_value = json_number_value(value);
    else if (json_is_boolean(value))
        *ret_value = json_is_true(value) ? 1 : 0;
    else if (value && !json_is_null(value))
        status = no_number(r, record, "no number", 9, err);
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

static tamis_status read_all(reading *r, tamis_error *err)
{
    tamis__records records;
    tamis__record record;
    tamis__records_init(&records, r->kind, r->source->bytes, r->source->size);
    for (;;) {
        double value = (double)NAN;
        TAMIS_TRY(tamis__records_next(&records, r->source->path, &record, err));
        if (!record.data) return TAMIS_OK;
        if (record.number < 0) {
            TAMIS_TRY(read_header(r, &record, err));
            continue;
        }
        TAMIS_TRY(r->kind == TAMIS__RECORDS_JSONL ? read_json(r, &record, &value, err)
                                                  : read_csv(r, &record, &value, err));
        TAMIS_TRY(add(r, value, err));
    }
}

tamis_status tamis__field_numbers(const tamis__source *source, tamis__records_kind kind,
                                  const char *field, double **ret_value, uint64_t *ret_rows,
                                  tamis_error *err)
{
    reading r = {.source = source, .kind = kind, .field = field};
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
