/* Copying records to the outputs they belong to, or only comparing them.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/filter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/mem.h"
#include "manifest/blocks.h"
#include "manifest/filter_state.h"

/* Input bytes between two progress reports, at which mapped pages are let go of. */
#define PROGRESS_BYTES ((size_t)16 << 20)

/* --- is it the record that was scored? -------------------------------------------------------- */

static tamis_status is_the_one(filter *f, const tamis__record *record, uint64_t digest,
                               uint64_t row, bool *ret_same, tamis_error *err)
{
    const tamis__manifest_job *job = f->job;
    *ret_same = true;
    uint64_t wanted = job->check_digests ? job->selection->examples.digest[row] : 0;
    if (wanted != 0) *ret_same = (digest ? digest : tamis__record_digest(record)) == wanted;
    if (*ret_same && job->params->id_field)
        TAMIS_TRY(tamis__filter_same_id(f, record, row, ret_same, err));
    if (*ret_same && f->hooks && f->hooks->check)
        return f->hooks->check(f->hooks->arg, row, record, f->source->path, ret_same, err);
    return TAMIS_OK;
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
    char place[160] = "", more[48] = "";
    if (records == rows) return TAMIS_OK;
    if (f->mismatch.found)
        snprintf(place, sizeof place,
                 " (the first that differs is row %" PRIu64 " on line %" PRIu64 ")",
                 f->mismatch.row, f->mismatch.line);
    if (f->sources > 1) snprintf(more, sizeof more, " and %zu more files", f->sources - 1);
    return tamis__fail(err, TAMIS_ERR_SHAPE,
                       "'%s'%s %s %" PRIu64 " records, the selection %" PRIu64
                       " candidates%s: give the %s that the gradients were made from",
                       f->of[0].path, more, f->sources > 1 ? "have" : "has", records, rows, place,
                       f->sources > 1 ? "files" : "file");
}

static tamis_status check_records(const filter *f, tamis_error *err)
{
    char id[128];
    if (!f->mismatch.found) return TAMIS_OK;
    id_text(&f->job->selection->examples, f->mismatch.row, id, sizeof id);
    return tamis__fail(
        err, TAMIS_ERR_FORMAT,
        "'%s' line %" PRIu64 ": the record of row %" PRIu64 "%s is not the one that was selected "
        "from: the file was changed or reordered, or is another file; give the file that the "
        "gradients were made from",
        f->mismatch.path, f->mismatch.line, f->mismatch.row, id);
}

/* --- one record ------------------------------------------------------------------------------- */

/* Without `spans` records go out as they come. */
static tamis_status take_row(filter *f, const tamis__record *record, uint64_t row, tamis_error *err)
{
    const tamis__plan *plan = f->job->plan;
    uint16_t part = plan->part[row];
    if (f->compare || part == TAMIS__NOWHERE) return TAMIS_OK;
    if (f->spans && !plan->of[part].dropped) {
        f->spans[row] = (record_span){record->data, record->size, record->span, f->source_number};
        return TAMIS_OK;
    }
    for (uint32_t k = tamis__plan_times(plan, row); k > 0; k--)
        TAMIS_TRY(tamis__filter_write(f, row, part, f->source, record, err));
    return TAMIS_OK;
}

/* After a mismatch nothing more is written, but records are still counted: a differing count tells
 * the user more than a differing record. `digest` 0 = not known yet. */
static tamis_status take_record(void *arg, const tamis__record *record, uint64_t digest,
                                tamis_error *err)
{
    filter *f = arg;
    uint64_t row = f->first_row + (uint64_t)record->number;
    bool same;
    if (record->span > record->size)
        f->source->line_end = record->span - record->size == 2 ? "\r\n" : "\n";
    if (record->number >= 0) f->records = (uint64_t)record->number + 1;
    if (record->number < 0) return tamis__filter_header(f, record, err);
    if (row >= f->job->selection->rows || f->mismatch.found) return TAMIS_OK;
    TAMIS_TRY(is_the_one(f, record, digest, row, &same, err));
    if (same) return take_row(f, record, row, err);
    f->mismatch = (mismatch){true, row, record->line, f->source->path};
    return TAMIS_OK;
}

static tamis_status report(void *arg, size_t done, tamis_error *err)
{
    filter *f = arg;
    if (done - f->reported < PROGRESS_BYTES && done < f->source->size) return TAMIS_OK;
    TAMIS_TRY(tamis__manifest_source_check(f->source, err));
    tamis__manifest_source_release(f->source, f->reported, done - f->reported);
    f->reported = done;
    return tamis__progress(f->job->context, f->compare ? "comparing records" : "filtering", done,
                           f->source->size, "bytes", NULL, err);
}

static tamis_status take_lines(filter *f, tamis_error *err)
{
    const tamis__manifest_source *s = f->source;
    tamis__blocks blocks = {.kind = s->kind,
                            .path = s->path,
                            .data = s->data,
                            .size = s->size,
                            .first = s->bom,
                            .digests = f->job->check_digests,
                            .arg = f,
                            .record = take_record,
                            .done = report};
    return tamis__blocks_run(f->job->context, &blocks, err);
}

/* Brackets have to be followed from the start, by one thread. */
static tamis_status take_elements(filter *f, tamis_error *err)
{
    tamis__record record;
    for (;;) {
        TAMIS_TRY(tamis__manifest_source_next(f->source, &record, err));
        if (!record.data) break;
        TAMIS_TRY(take_record(f, &record, 0, err));
        TAMIS_TRY(report(f, (size_t)(record.data - f->source->data) + record.span, err));
    }
    return f->reported < f->source->size ? report(f, f->source->size, err) : TAMIS_OK;
}

static tamis_status take_source(filter *f, tamis_error *err)
{
    const tamis__manifest_source *s = f->source;
    f->records = 0;
    f->reported = 0;
    if (f->source_number == 0 && f->layout == TAMIS__LAYOUT_LINES)
        TAMIS_TRY(tamis__filter_bom(f, err));
    TAMIS_TRY(s->layout == TAMIS__LAYOUT_LINES ? take_lines(f, err) : take_elements(f, err));
    return tamis__filter_end_run(f, err);
}

/* --- all of them ------------------------------------------------------------------------------ */

static tamis_status open_sources(filter *f, tamis_error *err)
{
    const tamis_manifest_params *p = f->job->params;
    f->of = tamis__calloc(p->inputs, sizeof *f->of);
    if (!f->of) return tamis__fail_memory(err, "inputs", p->inputs * sizeof *f->of);
    for (; f->sources < p->inputs; f->sources++)
        TAMIS_TRY(tamis__manifest_source_open(&f->of[f->sources], f->job->context,
                                              p->input[f->sources], f->job->plan->of[0].path, err));
    return TAMIS_OK;
}

static tamis_status want_spans(filter *f, tamis_error *err)
{
    uint64_t rows = f->job->selection->rows, bytes = rows * sizeof *f->spans;
    if (f->compare || f->job->plan->in_order) return TAMIS_OK;
    if (f->job->context)
        TAMIS_TRY(tamis__memory_check(f->job->context, bytes, "an order of records", err));
    f->spans = tamis__calloc((size_t)rows, sizeof *f->spans);
    return f->spans ? TAMIS_OK : tamis__fail_memory(err, "an order of records", bytes);
}

/* What is only compared may be of another kind in each file. */
static tamis_status begin_source(filter *f, tamis__layout layout, tamis__records_kind kind,
                                 tamis_error *err)
{
    bool known = true, either = f->compare || (f->hooks && f->hooks->either);
    if (f->compare) layout = tamis__filter_layout_of(f->source->path, &kind, &known);
    if (layout == TAMIS__LAYOUT_ARRAY && either && !tamis__manifest_source_is_array(f->source))
        layout = TAMIS__LAYOUT_LINES;
    if (!f->compare && f->source_number > 0 && layout != f->layout)
        return tamis__fail(err, TAMIS_ERR_FORMAT,
                           "one of '%s' and '%s' is a JSON array and the other holds lines: files "
                           "that go to one output must be of one kind",
                           f->of[0].path, f->source->path);
    if (!known) TAMIS_TRY(tamis__manifest_source_guess(f->source, &kind, err));
    f->layout = layout;
    return tamis__manifest_source_start(f->source, layout, kind, err);
}

static tamis_status take_all(filter *f, tamis__layout layout, tamis__records_kind kind,
                             tamis_manifest_result *result, tamis_error *err)
{
    TAMIS_TRY(open_sources(f, err));
    TAMIS_TRY(want_spans(f, err));
    for (size_t i = 0; i < f->sources; i++) {
        f->source = &f->of[i];
        f->source_number = i;
        TAMIS_TRY(begin_source(f, layout, kind, err));
        TAMIS_TRY(take_source(f, err));
        if (result->input_records && i < result->inputs) result->input_records[i] = f->records;
        result->bytes_in += f->source->input.size;
        f->first_row += f->records;
    }
    TAMIS_TRY(check_count(f, f->first_row, err));
    TAMIS_TRY(check_records(f, err));
    result->records = f->first_row;
    result->ids_checked |= f->job->params->id_field != NULL;
    if (!f->compare) TAMIS_TRY(tamis__filter_write_ordered(f, err));
    for (size_t i = 0; i < f->sources; i++) TAMIS_TRY(tamis__manifest_source_check(&f->of[i], err));
    return TAMIS_OK;
}

static tamis_status run(filter *f, tamis__layout layout, tamis__records_kind kind,
                        tamis_manifest_result *result, tamis_error *err)
{
    tamis_status status = take_all(f, layout, kind, result, err);
    for (size_t i = 0; i < f->sources; i++) tamis__manifest_source_close(&f->of[i]);
    free(f->of);
    free(f->spans);
    free(f->changed.data);
    free(f->header);
    tamis__fields_fini(&f->fields);
    return status;
}

tamis_status tamis__filter_records(const tamis__manifest_job *job, tamis__layout layout,
                                   tamis__records_kind kind, const tamis__record_hooks *hooks,
                                   tamis_manifest_result *result, tamis_error *err)
{
    filter f = {.job = job, .hooks = hooks};
    return run(&f, layout, kind, result, err);
}

tamis_status tamis__filter_compare(const tamis__manifest_job *job, tamis_manifest_result *result,
                                   tamis_error *err)
{
    filter f = {.job = job, .compare = true};
    return run(&f, TAMIS__LAYOUT_LINES, TAMIS__RECORDS_CSV, result, err);
}
