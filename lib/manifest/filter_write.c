/* Records on their way out.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "manifest/filter_state.h"

/* What the system maps around a page that is touched. */
#define AROUND_BYTES ((uint64_t)64 << 10)

/* A dry run has no output, and counts only. */
static tamis_status put(filter *f, uint16_t part, const void *bytes, size_t size, tamis_error *err)
{
    tamis__part *p = &f->job->plan->of[part];
    p->bytes += size;
    return p->output && size ? tamis__output_write(p->output, bytes, size, err) : TAMIS_OK;
}

static tamis_status put_all(filter *f, const void *bytes, size_t size, tamis_error *err)
{
    for (size_t i = 0; i < f->job->plan->parts; i++)
        TAMIS_TRY(put(f, (uint16_t)i, bytes, size, err));
    return TAMIS_OK;
}

tamis_status tamis__filter_bom(filter *f, tamis_error *err)
{
    bool copied = !f->compare && (!f->hooks || !f->hooks->no_bom);
    return copied ? put_all(f, f->source->data, f->source->bom, err) : TAMIS_OK;
}

tamis_status tamis__filter_end_run(filter *f, tamis_error *err)
{
    size_t size = f->run_size;
    f->run_size = 0;
    return size ? put(f, f->run_part, f->run, size, err) : TAMIS_OK;
}

static bool is_complete(const tamis__record *record)
{
    return record->span > record->size;
}

/* What to put behind a last record without a line end. After a carriage return a lone line feed
 * would turn it into a part of the line end. */
static const char *completion(const tamis__manifest_source *source, const tamis__record *record)
{
    bool carriage_return = record->size && record->data[record->size - 1] == '\r';
    return carriage_return ? "\r\n" : source->line_end;
}

static tamis_status keep_header(filter *f, const tamis__record *record, tamis_error *err)
{
    f->header = tamis__malloc(record->size + 1, 1);
    if (!f->header) return tamis__fail_memory(err, "a header", record->size);
    memcpy(f->header, record->data, record->size);
    f->header_size = record->size;
    return TAMIS_OK;
}

tamis_status tamis__filter_header(filter *f, const tamis__record *record, tamis_error *err)
{
    TAMIS_TRY(tamis__filter_find_id(f, record, err));
    if (f->compare) return TAMIS_OK;
    if (f->header) {
        if (f->header_size == record->size && !memcmp(f->header, record->data, record->size))
            return TAMIS_OK;
        return tamis__fail(
            err, TAMIS_ERR_FORMAT,
            "'%s' line 1: its header is not that of '%s': files that go to one output "
            "must have the same",
            f->source->path, f->of[0].path);
    }
    TAMIS_TRY(keep_header(f, record, err));
    TAMIS_TRY(put_all(f, record->data, record->span, err));
    if (is_complete(record)) return TAMIS_OK;
    const char *end = completion(f->source, record);
    return put_all(f, end, strlen(end), err);
}

/* Elements of an array, one a line. */
static tamis_status put_element(filter *f, uint16_t part, const void *bytes, size_t size,
                                tamis_error *err)
{
    tamis__part *p = &f->job->plan->of[part];
    TAMIS_TRY(put(f, part, p->records ? ",\n" : "[\n", 2, err));
    return put(f, part, bytes, size, err);
}

static tamis_status put_line(filter *f, uint16_t part, const tamis__manifest_source *source,
                             const tamis__record *record, tamis_error *err)
{
    if (f->run_size && (part != f->run_part || record->data != f->run + f->run_size))
        TAMIS_TRY(tamis__filter_end_run(f, err));
    if (!f->run_size) f->run = record->data;
    f->run_part = part;
    f->run_size += record->span;
    if (is_complete(record)) return TAMIS_OK;
    const char *end = completion(source, record);
    TAMIS_TRY(tamis__filter_end_run(f, err));
    return put(f, part, end, strlen(end), err);
}

tamis_status tamis__filter_write(filter *f, uint64_t row, uint16_t part,
                                 const tamis__manifest_source *source, const tamis__record *record,
                                 tamis_error *err)
{
    tamis__part *p = &f->job->plan->of[part];
    f->changed.size = 0;
    if (f->hooks && f->hooks->rewrite)
        TAMIS_TRY(f->hooks->rewrite(f->hooks->arg, row, p, record, source->path, &f->changed, err));
    bool changed = f->changed.size > 0;
    const void *bytes = changed ? (const void *)f->changed.data : record->data;
    size_t size = changed ? f->changed.size : record->size;
    tamis_status status;
    if (source->layout == TAMIS__LAYOUT_ARRAY) {
        status = put_element(f, part, bytes, size, err);
    } else if (changed) {
        bool short_of_end = f->hooks->lines && !is_complete(record);
        const char *end = short_of_end ? completion(source, record) : "";
        TAMIS_TRY(tamis__filter_end_run(f, err));
        TAMIS_TRY(put(f, part, bytes, size, err));
        status = put(f, part, end, strlen(end), err);
    } else {
        status = put_line(f, part, source, record, err);
    }
    p->records++;
    return status;
}

/* Records that are written out of order are anywhere in the inputs. */
static void let_go(const filter *f, uint64_t *held)
{
    if (*held < tamis__manifest_held(f->job->context)) return;
    for (size_t i = 0; i < f->sources; i++)
        tamis__manifest_source_release(&f->of[i], 0, f->of[i].size);
    *held = 0;
}

static tamis_status write_part(filter *f, uint16_t which, tamis_error *err)
{
    const tamis__part *part = &f->job->plan->of[which];
    uint64_t held = 0;
    for (uint64_t i = 0; part->row && i < part->n; i++) {
        uint64_t row = part->row[i];
        const record_span *span = &f->spans[row];
        tamis__record record = {
            .data = span->data, .size = span->size, .span = span->span, .number = (int64_t)row};
        TAMIS_TRY(tamis__filter_write(f, row, which, &f->of[span->source], &record, err));
        held += span->size + AROUND_BYTES;
        let_go(f, &held);
        if (i % 65536 == 0)
            TAMIS_TRY(tamis__progress(f->job->context, "writing records", i, part->n, "records",
                                      NULL, err));
    }
    return tamis__filter_end_run(f, err);
}

tamis_status tamis__filter_write_ordered(filter *f, tamis_error *err)
{
    const tamis__plan *plan = f->job->plan;
    for (size_t i = 0; f->spans && i < plan->parts; i++) TAMIS_TRY(write_part(f, (uint16_t)i, err));
    for (size_t i = 0; f->layout == TAMIS__LAYOUT_ARRAY && i < plan->parts; i++)
        TAMIS_TRY(plan->of[i].records ? put(f, (uint16_t)i, "\n]\n", 3, err)
                                      : put(f, (uint16_t)i, "[]\n", 3, err));
    return TAMIS_OK;
}
