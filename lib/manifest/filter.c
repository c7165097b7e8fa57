/* Copying the records of a text file to one of two outputs, or only comparing them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/filter.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/error.h"

/* Input bytes between two progress reports. */
#define PROGRESS_BYTES ((size_t)16 << 20)
/* How far the content is looked at to tell what it is. */
#define GUESS_BYTES ((size_t)4096)

/* The first record that is not the one that was scored. */
typedef struct mismatch {
    bool found;
    uint64_t row, line;
} mismatch;

typedef struct filter {
    const tamis__manifest_job *job;
    tamis__input input;
    /* Neighbouring records for the same output, not written yet: one call writes them all. */
    const unsigned char *run;
    size_t run_size;
    bool run_kept;
    const char *line_end; /* of the record before: the file's own style */
    mismatch mismatch;
    size_t reported;
} filter;

static tamis_status write_to(const filter *f, bool kept, const void *bytes, size_t size,
                             tamis_error *err)
{
    tamis__output *output = kept ? f->job->kept : f->job->dropped;
    return output && size ? tamis__output_write(output, bytes, size, err) : TAMIS_OK;
}

static tamis_status end_run(filter *f, tamis_error *err)
{
    size_t size = f->run_size;
    f->run_size = 0;
    return write_to(f, f->run_kept, f->run, size, err);
}

static bool is_complete(const tamis__record *record)
{
    return record->span > record->size;
}

/* What to put behind a last record without a line end. After a carriage return a lone line feed
 * would turn it into a part of the line end. */
static const char *completion(const filter *f, const tamis__record *record)
{
    bool carriage_return = record->size && record->data[record->size - 1] == '\r';
    return carriage_return ? "\r\n" : f->line_end;
}

static void note_line_end(filter *f, const tamis__record *record)
{
    if (is_complete(record)) f->line_end = record->span - record->size == 2 ? "\r\n" : "\n";
}

static tamis_status copy_header(filter *f, const tamis__record *record, tamis_error *err)
{
    for (int kept = 0; kept < 2; kept++) {
        TAMIS_TRY(write_to(f, kept, record->data, record->span, err));
        if (is_complete(record)) continue;
        const char *end = completion(f, record);
        TAMIS_TRY(write_to(f, kept, end, strlen(end), err));
    }
    return TAMIS_OK;
}

static tamis_status copy_record(filter *f, const tamis__record *record, bool kept, tamis_error *err)
{
    if (f->run_size && (kept != f->run_kept || record->data != f->run + f->run_size))
        TAMIS_TRY(end_run(f, err));
    if (!f->run_size) f->run = record->data;
    f->run_kept = kept;
    f->run_size += record->span;
    if (is_complete(record)) return TAMIS_OK;
    const char *end = completion(f, record);
    TAMIS_TRY(end_run(f, err));
    return write_to(f, kept, end, strlen(end), err);
}

static bool is_the_one(const tamis__manifest_job *job, const tamis__record *record, uint64_t row)
{
    if (!job->check_digests) return true;
    uint64_t wanted = job->selection->examples.digest[row];
    return wanted == 0 || tamis__record_digest(record) == wanted;
}

/* After a mismatch nothing more is written, but records are still counted: a differing count tells
 * the user more than a differing record. */
static tamis_status take_record(filter *f, const tamis__record *record, tamis_error *err)
{
    const tamis_selection *selection = f->job->selection;
    uint64_t row = (uint64_t)record->number;
    if (record->number < 0) return copy_header(f, record, err);
    if (row >= selection->rows || f->mismatch.found) return TAMIS_OK;
    if (!is_the_one(f->job, record, row)) {
        f->mismatch = (mismatch){.found = true, .row = row, .line = record->line};
        return TAMIS_OK;
    }
    return copy_record(f, record, selection->keep[row] != 0, err);
}

static tamis_status report(filter *f, size_t done, tamis_error *err)
{
    if (done - f->reported < PROGRESS_BYTES && done < f->input.size) return TAMIS_OK;
    f->reported = done;
    const char *phase = f->job->kept ? "filtering" : "comparing records";
    return tamis__progress(f->job->context, phase, done, f->input.size, "bytes", NULL, err);
}

static tamis_status copy_all(filter *f, tamis__records_kind kind, uint64_t *ret_records,
                             tamis_error *err)
{
    tamis__records records;
    tamis__record record;
    *ret_records = 0;
    f->line_end = "\n";
    size_t bom = tamis__records_bom(f->input.data, f->input.size);
    TAMIS_TRY(write_to(f, true, f->input.data, bom, err));
    TAMIS_TRY(write_to(f, false, f->input.data, bom, err));
    tamis__records_init(&records, kind, f->input.data, f->input.size);
    for (;;) {
        TAMIS_TRY(tamis__records_next(&records, f->job->input, &record, err));
        if (!record.data) break;
        note_line_end(f, &record);
        TAMIS_TRY(take_record(f, &record, err));
        if (record.number >= 0) *ret_records = (uint64_t)record.number + 1;
        TAMIS_TRY(report(f, (size_t)(record.data - f->input.data) + record.span, err));
    }
    return end_run(f, err);
}

/* ", id 'x'" when the row has an id of its own. */
static void id_text(const tamis_examples *examples, uint64_t row, char *buffer, size_t size)
{
    buffer[0] = '\0';
    if (examples->id_text)
        snprintf(buffer, size, ", id '%.100s'", examples->id_text[row]);
    else if (examples->id_number)
        snprintf(buffer, size, ", id %" PRIu64, examples->id_number[row]);
}

static tamis_status check_count(const filter *f, uint64_t records, tamis_error *err)
{
    uint64_t rows = f->job->selection->rows;
    char place[160] = "";
    if (records == rows) return TAMIS_OK;
    if (f->mismatch.found)
        snprintf(place, sizeof place,
                 " (the first that differs is row %" PRIu64 " on line %" PRIu64 ")",
                 f->mismatch.row, f->mismatch.line);
    return tamis__fail(err, TAMIS_ERR_SHAPE,
                       "'%s' has %" PRIu64 " records, the selection %" PRIu64
                       " candidates%s: give the file that the gradients were made from",
                       f->job->input, records, rows, place);
}

static tamis_status check_digests(const filter *f, tamis_error *err)
{
    char id[128];
    if (!f->mismatch.found) return TAMIS_OK;
    id_text(&f->job->selection->examples, f->mismatch.row, id, sizeof id);
    return tamis__fail(
        err, TAMIS_ERR_FORMAT,
        "'%s' line %" PRIu64 ": the record of row %" PRIu64 "%s is not the one that was selected "
        "from: the file was changed or reordered, or is another file; give the file that the "
        "gradients were made from",
        f->job->input, f->mismatch.line, f->mismatch.row, id);
}

static tamis_status check_plain(const filter *f, tamis_error *err)
{
    const unsigned char *data = f->input.data;
    bool gzip = f->input.size > 2 && data[0] == 0x1f && data[1] == 0x8b;
    bool zstd = f->input.size > 4 && !memcmp(data, "\x28\xb5\x2f\xfd", 4);
    if (!gzip && !zstd) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_UNSUPPORTED, "'%s' is compressed: decompress it first (%s)",
                       f->job->input, gzip ? "gzip -dk" : "zstd -dk");
}

/* The kind of records that the content looks like: lines that open an object or an array are JSON,
 * a first line with more tabs than commas is TSV. */
static tamis_status guess_kind(const filter *f, tamis__records_kind *ret_kind, tamis_error *err)
{
    size_t bom = tamis__records_bom(f->input.data, f->input.size), tabs = 0, commas = 0;
    const unsigned char *data = f->input.data + bom;
    size_t size = f->input.size - bom < GUESS_BYTES ? f->input.size - bom : GUESS_BYTES, at = 0;
    if (memchr(data, '\0', size))
        return tamis__fail(err, TAMIS_ERR_UNSUPPORTED,
                           "'%s' is no text and has no records to compare with the selection: "
                           "give a CSV, TSV or JSON Lines file, or none",
                           f->job->input);
    while (at < size && memchr(" \t\r\n", data[at], 4)) at++;
    *ret_kind = TAMIS__RECORDS_JSONL;
    if (at < size && (data[at] == '{' || data[at] == '[')) return TAMIS_OK;
    for (; at < size && data[at] != '\n'; at++) {
        tabs += data[at] == '\t';
        commas += data[at] == ',';
    }
    *ret_kind = tabs > commas ? TAMIS__RECORDS_TSV : TAMIS__RECORDS_CSV;
    return TAMIS_OK;
}

/* `kind` NULL = by the content. */
static tamis_status filter_input(const tamis__manifest_job *job, const tamis__records_kind *kind,
                                 tamis_manifest_result *result, tamis_error *err)
{
    filter f = {.job = job};
    uint64_t records = 0;
    tamis__records_kind guess = kind ? *kind : TAMIS__RECORDS_CSV;
    TAMIS_TRY(tamis__input_open(&f.input, job->context, job->input, err));
    tamis__input_sequential(&f.input);
    tamis_status status = check_plain(&f, err);
    if (status == TAMIS_OK && !kind) status = guess_kind(&f, &guess, err);
    if (status == TAMIS_OK) status = copy_all(&f, guess, &records, err);
    if (status == TAMIS_OK) status = check_count(&f, records, err);
    if (status == TAMIS_OK) status = check_digests(&f, err);
    if (status == TAMIS_OK) {
        result->records = records;
        result->bytes_in = f.input.size;
    }
    tamis__input_close(&f.input);
    return status;
}

tamis_status tamis__filter_records(const tamis__manifest_job *job, tamis__records_kind kind,
                                   tamis_manifest_result *result, tamis_error *err)
{
    return filter_input(job, &kind, result, err);
}

tamis_status tamis__filter_by_content(const tamis__manifest_job *job, tamis_manifest_result *result,
                                      tamis_error *err)
{
    return filter_input(job, NULL, result, err);
}
