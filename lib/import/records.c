/* Records of a text file, as spans of its bytes.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "import/records.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/digest.h"
#include "base/error.h"

size_t tamis__records_bom(const void *bytes, size_t size)
{
    return size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

void tamis__records_init(tamis__records *records, tamis__records_kind kind, const void *bytes,
                         size_t size)
{
    const unsigned char *start = bytes;
    *records = (tamis__records){.kind = kind,
                                .at = start + tamis__records_bom(bytes, size),
                                .end = start + size,
                                .line = 1,
                                .number = kind == TAMIS__RECORDS_JSONL ? 0 : -1};
}

/* First `byte` in [at, end), or end. */
static const unsigned char *find(const unsigned char *at, const unsigned char *end, int byte)
{
    const unsigned char *found = at < end ? memchr(at, byte, (size_t)(end - at)) : NULL;
    return found ? found : end;
}

/* Searches go on from where the last one ended: each byte is looked at once for line ends and once
 * for quotes, however they are spread. */
static const unsigned char *next_newline(tamis__records *records, const unsigned char *at)
{
    if (!records->newline || records->newline < at) records->newline = find(at, records->end, '\n');
    return records->newline;
}

static const unsigned char *next_quote(tamis__records *records, const unsigned char *at)
{
    if (!records->quote || records->quote < at) records->quote = find(at, records->end, '"');
    return records->quote;
}

static uint64_t count_lines(const unsigned char *at, const unsigned char *end)
{
    uint64_t lines = 0;
    while ((at = find(at, end, '\n')) < end) {
        lines++;
        at++;
    }
    return lines;
}

/* `at` is within quotes: the byte after the quote that closes them, NULL when none does. */
static const unsigned char *skip_quoted(tamis__records *records, const unsigned char *at)
{
    for (;;) {
        at = next_quote(records, at);
        if (at == records->end) return NULL;
        at++;
        if (at == records->end || *at != '"') return at;
        at++;
    }
}

/* The line end (or the end of the buffer) of the record at records->at, which is `within` quotes or
 * not. *ret_lines: the line ends in the record before it. False when quotes are not closed: then
 * *ret_stop is the first byte within them, and *ret_lines the line ends before that. */
static bool find_csv_end(tamis__records *records, bool within, const unsigned char **ret_stop,
                         uint64_t *ret_lines)
{
    unsigned char delimiter = records->kind == TAMIS__RECORDS_TSV ? '\t' : ',';
    const unsigned char *at = records->at, *inside = at;
    for (*ret_lines = 0;; within = false) {
        const unsigned char *stop = next_newline(records, at);
        if (!within) {
            const unsigned char *quote = next_quote(records, at);
            *ret_stop = stop;
            if (quote >= stop) return true;
            at = inside = quote + 1;
            if (quote > records->at && quote[-1] != delimiter) continue;
        }
        at = skip_quoted(records, inside);
        *ret_stop = inside;
        if (!at) return false;
        if (stop < at) *ret_lines += count_lines(inside, at);
    }
}

/* A line that is no record. */
static bool is_blank(const tamis__records *records, const unsigned char *at, size_t size)
{
    if (records->kind != TAMIS__RECORDS_JSONL) return size == 0;
    for (size_t i = 0; i < size; i++)
        if (at[i] != ' ' && at[i] != '\t' && at[i] != '\r') return false;
    return true;
}

bool tamis__records_piece(tamis__records *records, bool within, tamis__record *ret_record,
                          uint64_t *ret_quote)
{
    while (records->at < records->end) {
        const unsigned char *at = records->at, *stop = at;
        uint64_t line = records->line, lines = 0;
        bool closed = true;
        if (records->kind == TAMIS__RECORDS_JSONL)
            stop = find(at, records->end, '\n');
        else
            closed = find_csv_end(records, within, &stop, &lines);
        if (!closed) {
            size_t left = (size_t)(records->end - at);
            *ret_quote = stop == at ? 0 : line + lines;
            *ret_record = (tamis__record){.data = at, .size = left, .span = left, .line = line};
            records->at = records->end;
            records->line += count_lines(at, records->end);
            return false;
        }
        bool ended = stop < records->end;
        size_t size = (size_t)(stop - at), span = size + ended;
        if (ended && size > 0 && stop[-1] == '\r') size--;
        records->at = at + span;
        records->line += lines + ended;
        if (is_blank(records, at, size)) continue;
        *ret_record = (tamis__record){
            .data = at, .size = size, .span = span, .line = line, .number = records->number++};
        return true;
    }
    *ret_record = (tamis__record){.line = records->line, .number = records->number};
    return true;
}

tamis_status tamis__records_unclosed(const char *path, uint64_t line, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s' line %" PRIu64 ": a quote is opened and never closed: double it if it "
                       "is part of the text",
                       path, line);
}

tamis_status tamis__records_next(tamis__records *records, const char *path,
                                 tamis__record *ret_record, tamis_error *err)
{
    uint64_t quote;
    tamis__record record;
    if (!tamis__records_piece(records, false, &record, &quote))
        return tamis__records_unclosed(path, quote, err);
    *ret_record = record;
    return TAMIS_OK;
}

tamis_status tamis__records_count(tamis__records records, const char *path, uint64_t *ret_count,
                                  tamis_error *err)
{
    tamis__record record;
    uint64_t count = 0;
    for (;; count++) {
        TAMIS_TRY(tamis__records_next(&records, path, &record, err));
        if (!record.data) break;
    }
    *ret_count = count;
    return TAMIS_OK;
}

uint64_t tamis__record_digest(const tamis__record *record)
{
    uint64_t digest = tamis__digest(record->data, record->size);
    return digest ? digest : 1;
}

tamis_status tamis__text_encoding_check(const void *bytes, size_t size, const char *path,
                                        tamis_error *err)
{
    if (size >= 2 && (memcmp(bytes, "\xff\xfe", 2) == 0 || memcmp(bytes, "\xfe\xff", 2) == 0))
        return tamis__fail(
            err, TAMIS_ERR_UNSUPPORTED,
            "'%s' starts with the byte order mark of UTF-16: convert it to UTF-8 (iconv -f utf-16)",
            path);
    return TAMIS_OK;
}
