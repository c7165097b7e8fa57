/* The texts of a manifest: fields of CSV, TSV and JSON Lines.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "filter/corpus.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/context.h"
#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "import/registry.h"

/* Most memory that a byte of a record takes once parsed, as the reader of JSON Lines has it. */
#define PARSED_BYTES 24
/* Mapped bytes behind the scan. */
#define BEHIND ((size_t)16 << 20)

/* --- opening ---------------------------------------------------------------------------------- */

static bool ends_with(const char *path, size_t size, const char *ending)
{
    size_t n = strlen(ending);
    return size > n && !strncasecmp(path + size - n, ending, n);
}

static tamis_status find_kind(tamis__corpus *corpus, tamis_error *err)
{
    const char *path = corpus->path;
    size_t size = strlen(path);
    if (ends_with(path, size, ".gz")) size -= 3;
    corpus->kind = TAMIS__RECORDS_JSONL;
    if (ends_with(path, size, ".jsonl") || ends_with(path, size, ".ndjson")) return TAMIS_OK;
    corpus->kind = ends_with(path, size, ".csv") ? TAMIS__RECORDS_CSV : TAMIS__RECORDS_TSV;
    if (corpus->kind == TAMIS__RECORDS_CSV || ends_with(path, size, ".tsv")) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "'%s': texts are read from JSON Lines, CSV or TSV: give a file that ends in "
                       ".jsonl, .ndjson, .csv or .tsv",
                       path);
}

static char delimiter(const tamis__corpus *corpus)
{
    return corpus->kind == TAMIS__RECORDS_TSV ? '\t' : ',';
}

/* Which columns the fields are, by the header. */
static tamis_status find_columns(tamis__corpus *corpus, const tamis__record *header,
                                 tamis_error *err)
{
    tamis__strings names = {0};
    tamis__fields fields = {0};
    tamis_status status = TAMIS_OK;
    tamis__fields_start(&fields, delimiter(corpus), header->data, header->size);
    while (fields.more && status == TAMIS_OK) {
        tamis__field field;
        status = tamis__fields_next(&fields, &field, err);
        if (status != TAMIS_OK) status = tamis__prefix(err, status, "'%s' line 1", corpus->path);
        if (status == TAMIS_OK) status = tamis__strings_add(&names, field.text, field.size, err);
    }
    for (size_t i = 0; i < corpus->field.count && status == TAMIS_OK; i++) {
        const char *name = tamis__strings_at(&corpus->field, i);
        ptrdiff_t at = tamis__name_index(&names, name);
        if (at < 0) status = tamis__no_such_name(&names, corpus->path, "column", name, err);
        corpus->column[i] = (uint64_t)at;
    }
    tamis__fields_fini(&fields);
    tamis__strings_fini(&names);
    return status;
}

tamis_status tamis__corpus_rewind(tamis__corpus *corpus, tamis_error *err)
{
    tamis__record header;
    corpus->released = 0;
    tamis__records_init(&corpus->records, corpus->kind, corpus->source.bytes, corpus->source.size);
    if (corpus->kind == TAMIS__RECORDS_JSONL) return TAMIS_OK;
    TAMIS_TRY(tamis__records_next(&corpus->records, corpus->path, &header, err));
    if (header.data) return find_columns(corpus, &header, err);
    return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' is empty: its first line names the columns",
                       corpus->path);
}

/* The count is that of the store, or is counted. */
static tamis_status count_rows(tamis__corpus *corpus, tamis_error *err)
{
    TAMIS_TRY(tamis__records_count(corpus->records, corpus->path, &corpus->rows, err));
    tamis__input_release(&corpus->source.input, 0, corpus->source.input.size);
    if (!corpus->store) return TAMIS_OK;
    uint64_t rows = tamis_store_info_get(corpus->store)->rows;
    if (rows == corpus->rows) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_SHAPE,
                       "'%s' has %" PRIu64 " records, '%s' %" PRIu64
                       " rows: give the file that the gradients were made from",
                       corpus->path, corpus->rows, tamis_store_path(corpus->store), rows);
}

static tamis_status open_corpus(tamis__corpus *corpus, const char *field, tamis_error *err)
{
    TAMIS_TRY(find_kind(corpus, err));
    TAMIS_TRY(tamis__name_list(&corpus->field, field, "text field", err));
    if (corpus->field.count == 0 || !*tamis__strings_at(&corpus->field, 0))
        return tamis__fail(err, TAMIS_ERR_ARG, "'%s': no field is named that holds the text",
                           corpus->path);
    corpus->column = tamis__calloc(corpus->field.count, sizeof *corpus->column);
    if (!corpus->column) return tamis__fail_memory(err, "fields", corpus->field.count);
    TAMIS_TRY(tamis__source_open(&corpus->source, corpus->context, corpus->path, err));
    TAMIS_TRY(
        tamis__text_encoding_check(corpus->source.bytes, corpus->source.size, corpus->path, err));
    TAMIS_TRY(tamis__corpus_rewind(corpus, err));
    return count_rows(corpus, err);
}

tamis_status tamis__corpus_open(tamis__corpus *ret_corpus, tamis_context *context, const char *path,
                                const char *field, const tamis_store *store, tamis_error *err)
{
    *ret_corpus = (tamis__corpus){.path = path, .context = context, .store = store};
    tamis_status status = open_corpus(ret_corpus, field, err);
    if (status != TAMIS_OK) tamis__corpus_close(ret_corpus);
    return status;
}

void tamis__corpus_close(tamis__corpus *corpus)
{
    if (corpus->source.bytes) tamis__source_close(&corpus->source);
    tamis__strings_fini(&corpus->field);
    free(corpus->column);
    *corpus = (tamis__corpus){0};
}

/* --- records ---------------------------------------------------------------------------------- */

tamis_status tamis__corpus_next(tamis__corpus *corpus, uint64_t most, tamis__record *ret_record,
                                uint64_t *ret_records, tamis_error *err)
{
    uint64_t n = 0;
    size_t at = (size_t)(corpus->records.at - corpus->source.bytes);
    /* What threads still work on comes back when they touch it. */
    if (corpus->source.input.mapped && at - corpus->released > BEHIND) {
        tamis__input_release(&corpus->source.input, corpus->released, at - corpus->released);
        corpus->released = at;
    }
    for (; n < most; n++) {
        TAMIS_TRY(tamis__records_next(&corpus->records, corpus->path, &ret_record[n], err));
        if (!ret_record[n].data) break;
    }
    *ret_records = n;
    return TAMIS_OK;
}

/* --- a record's text -------------------------------------------------------------------------- */

static tamis_status add(tamis__text *text, const char *bytes, size_t size, tamis_error *err)
{
    if (size + 1 > text->room - text->size) {
        size_t room = 2 * (text->size + size + 1);
        char *grown = tamis__realloc(text->bytes, room, 1);
        if (!grown) return tamis__fail_memory(err, "a text", room);
        text->bytes = grown;
        text->room = room;
    }
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
    text->bytes[text->size++] = '\n';
    return TAMIS_OK;
}

static tamis_status take_csv(const tamis__corpus *corpus, const tamis__record *record,
                             tamis__text *text, tamis_error *err)
{
    uint64_t found = 0, wanted = corpus->field.count;
    tamis__fields_start(&text->fields, delimiter(corpus), record->data, record->size);
    for (uint64_t column = 0; text->fields.more && found < wanted; column++) {
        tamis__field field;
        tamis_status status = tamis__fields_next(&text->fields, &field, err);
        if (status != TAMIS_OK)
            return tamis__prefix(err, status, "'%s' line %" PRIu64, corpus->path, record->line);
        for (uint64_t i = 0; i < wanted; i++) {
            if (corpus->column[i] != column) continue;
            found++;
            TAMIS_TRY(add(text, field.text, field.size, err));
        }
    }
    if (found == wanted) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s' line %" PRIu64 ": fewer fields than the header has columns",
                       corpus->path, record->line);
}

/* The texts within a value, in their order. As deep as the parser goes, which has a limit. */
static tamis_status take_value(const json_t *value, tamis__text *text, tamis_error *err)
{
    size_t i;
    const char *key;
    json_t *item;
    if (json_is_string(value))
        return add(text, json_string_value(value), json_string_length(value), err);
    if (json_is_array(value))
        json_array_foreach(value, i, item) TAMIS_TRY(take_value(item, text, err));
    if (json_is_object(value))
        json_object_foreach((json_t *)(uintptr_t)value, key, item)
            TAMIS_TRY(take_value(item, text, err));
    return TAMIS_OK;
}

static tamis_status take_keys(const tamis__corpus *corpus, const tamis__record *record,
                              const json_t *object, tamis__text *text, tamis_error *err)
{
    for (size_t i = 0; i < corpus->field.count; i++) {
        const char *key = tamis__strings_at(&corpus->field, i);
        const json_t *value = json_object_get(object, key);
        if (!value)
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s' line %" PRIu64 ": no key '%.100s', which is to hold the text",
                               corpus->path, record->line, key);
        TAMIS_TRY(take_value(value, text, err));
    }
    return TAMIS_OK;
}

static tamis_status take_json(const tamis__corpus *corpus, const tamis__record *record,
                              tamis__text *text, tamis_error *err)
{
    json_error_t error;
    uint64_t bytes = (uint64_t)record->size * PARSED_BYTES;
    tamis_status status = tamis__memory_check(corpus->context, bytes, "the record", err);
    if (status != TAMIS_OK)
        return tamis__prefix(err, status, "'%s' line %" PRIu64, corpus->path, record->line);
    json_t *object = json_loadb((const char *)record->data, record->size, JSON_ALLOW_NUL, &error);
    if (!object)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "'%s' line %" PRIu64 ": not valid JSON: %s (at its byte %d)",
                           corpus->path, record->line, error.text, error.position);
    if (json_is_object(object))
        status = take_keys(corpus, record, object, text, err);
    else
        status = tamis__fail(err, TAMIS_ERR_FORMAT,
                             "'%s' line %" PRIu64 ": not an object: JSON Lines has an object {...} "
                             "a line",
                             corpus->path, record->line);
    json_decref(object);
    return status;
}

static tamis_status check_digest(const tamis__corpus *corpus, const tamis__record *record,
                                 tamis_error *err)
{
    char id[256];
    uint64_t row = (uint64_t)record->number;
    const uint64_t *digest = corpus->store ? tamis_store_examples(corpus->store)->digest : NULL;
    if (!digest || digest[row] == 0 || digest[row] == tamis__record_digest(record)) return TAMIS_OK;
    tamis_store_id(corpus->store, row, id, sizeof id);
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s' line %" PRIu64 ": the record of row %" PRIu64
                       " (id %s) is not the one "
                       "that '%s' was made from: the file was changed or reordered, or is another "
                       "file",
                       corpus->path, record->line, row, id, tamis_store_path(corpus->store));
}

tamis_status tamis__corpus_text(const tamis__corpus *corpus, const tamis__record *record,
                                tamis__text *text, tamis_error *err)
{
    text->size = 0;
    TAMIS_TRY(check_digest(corpus, record, err));
    if (corpus->kind == TAMIS__RECORDS_JSONL) return take_json(corpus, record, text, err);
    return take_csv(corpus, record, text, err);
}

void tamis__text_fini(tamis__text *text)
{
    free(text->bytes);
    tamis__fields_fini(&text->fields);
    *text = (tamis__text){0};
}
