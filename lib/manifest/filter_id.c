/* Ids in records, and what a file's name says of its records.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "codec/codec.h"
#include "manifest/filter_state.h"
#include "manifest/json_record.h"

static char delimiter_of(const filter *f)
{
    return f->source->kind == TAMIS__RECORDS_TSV ? '\t' : ',';
}

static bool is_json(const filter *f)
{
    return f->layout == TAMIS__LAYOUT_ARRAY || f->source->kind == TAMIS__RECORDS_JSONL;
}

tamis_status tamis__filter_find_id(filter *f, const tamis__record *header, tamis_error *err)
{
    const char *wanted = f->job->params->id_field;
    tamis__field field;
    f->id_field = -1;
    if (!wanted) return TAMIS_OK;
    tamis__fields_start(&f->fields, delimiter_of(f), header->data, header->size);
    for (int64_t i = 0; f->fields.more && f->id_field < 0; i++) {
        TAMIS_TRY(tamis__fields_next(&f->fields, &field, err));
        if (field.size == strlen(wanted) && !memcmp(field.text, wanted, field.size))
            f->id_field = i;
    }
    if (f->id_field >= 0) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s' line %" PRIu64 ": the header has no field '%s' to compare ids with",
                       f->source->path, header->line, wanted);
}

/* Is this the row's id, which is a text, a number, or else the number of the row? */
static bool is_id(const filter *f, uint64_t row, const char *text, size_t size)
{
    const tamis_examples *e = &f->job->selection->examples;
    char number[24];
    const char *wanted = e->id_text ? e->id_text[row] : number;
    if (!e->id_text)
        snprintf(number, sizeof number, "%" PRIu64, e->id_number ? e->id_number[row] : row);
    return strlen(wanted) == size && !memcmp(wanted, text, size);
}

static tamis_status same_csv_id(filter *f, const tamis__record *record, uint64_t row,
                                bool *ret_same, tamis_error *err)
{
    tamis__field field = {0};
    tamis__fields_start(&f->fields, delimiter_of(f), record->data, record->size);
    for (int64_t i = 0; i <= f->id_field; i++) {
        if (!f->fields.more)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s' line %" PRIu64 ": the record has no field '%s'",
                               f->source->path, record->line, f->job->params->id_field);
        TAMIS_TRY(tamis__fields_next(&f->fields, &field, err));
    }
    *ret_same = is_id(f, row, field.text, field.size);
    return TAMIS_OK;
}

tamis_status tamis__filter_same_id(filter *f, const tamis__record *record, uint64_t row,
                                   bool *ret_same, tamis_error *err)
{
    tamis__json_member member;
    const char *name = f->job->params->id_field;
    if (!is_json(f)) return same_csv_id(f, record, row, ret_same, err);
    TAMIS_TRY(tamis__json_record(record, f->source->path, name, &member, NULL, NULL, err));
    if (member.value.size == 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' line %" PRIu64 ": the record has no '%s'",
                           f->source->path, record->line, name);
    const unsigned char *text = record->data + member.value.first;
    if (text[0] != '"') {
        *ret_same = is_id(f, row, (const char *)text, member.value.size);
        return TAMIS_OK;
    }
    f->changed.size = 0;
    TAMIS_TRY(tamis__bytes_add(&f->changed, text, member.value.size, err));
    size_t size = tamis__json_string_decode(record->data, member.value, f->changed.data);
    *ret_same = is_id(f, row, f->changed.data, size);
    return TAMIS_OK;
}

tamis__layout tamis__filter_layout_of(const char *path, tamis__records_kind *ret_kind,
                                      bool *ret_known)
{
    static const struct {
        const char *ending;
        tamis__layout layout;
        tamis__records_kind kind;
    } known[] = {{".csv", TAMIS__LAYOUT_LINES, TAMIS__RECORDS_CSV},
                 {".tsv", TAMIS__LAYOUT_LINES, TAMIS__RECORDS_TSV},
                 {".jsonl", TAMIS__LAYOUT_LINES, TAMIS__RECORDS_JSONL},
                 {".ndjson", TAMIS__LAYOUT_LINES, TAMIS__RECORDS_JSONL},
                 {".json", TAMIS__LAYOUT_ARRAY, TAMIS__RECORDS_JSONL}};
    size_t size;
    (void)tamis__codec_of_name(path, &size);
    *ret_known = false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t ending = strlen(known[i].ending);
        if (size <= ending || strncasecmp(path + size - ending, known[i].ending, ending) != 0)
            continue;
        *ret_known = true;
        *ret_kind = known[i].kind;
        return known[i].layout;
    }
    return TAMIS__LAYOUT_LINES;
}
