/* Subsets of Megatron-LM's data sets.
 *
 * The rows are walked over once for each array of the index, so that nothing of it is held.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/megatron_write.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"
#include "manifest/bytes.h"
#include "manifest/compare.h"

/* Bytes of the .bin between two looks at cancellation. */
#define PROGRESS_BYTES ((uint64_t)16 << 20)

uint64_t tamis__megatron_rows(const tamis__megatron_job *job)
{
    return job->by_document ? job->set->documents : job->set->sequences;
}

/* --- the sequences of rows ------------------------------------------------------------------ */

/* Goes over the rows of a walk. */
typedef struct steps {
    const tamis__megatron_job *job;
    tamis__walk walk;
    uint64_t first, end;     /* the row's sequences */
    uint64_t document, last; /* by sequence: where the last one was */
    bool started, begins;    /* a document begins with this row */
} steps;

/* The document that holds a sequence, most often the one at hand or the next. */
static uint64_t find_document(const tamis__megatron *set, uint64_t near, uint64_t sequence)
{
    uint64_t low = 0, high = set->documents;
    for (uint64_t d = near; d < near + 2 && d < set->documents; d++)
        if (tamis__megatron_first(set, d) <= sequence &&
            sequence < tamis__megatron_first(set, d + 1))
            return d;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (tamis__megatron_first(set, middle) <= sequence)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static bool next_step(steps *s)
{
    uint64_t row;
    const tamis__megatron *set = s->job->set;
    if (!tamis__walk_next(&s->walk, &row)) return false;
    if (s->job->by_document) {
        s->first = tamis__megatron_first(set, row);
        s->end = tamis__megatron_first(set, row + 1);
        s->begins = true;
        return true;
    }
    uint64_t document = find_document(set, s->document, row);
    s->begins = !s->started || document != s->document || row <= s->last;
    s->document = document;
    s->last = row;
    s->started = true;
    s->first = row;
    s->end = row + 1;
    return true;
}

/* --- comparing ------------------------------------------------------------------------------ */

/* The row's bytes; `joined` holds them where they are not in one piece. */
static tamis_status bytes_of(const tamis__megatron *set, uint64_t first, uint64_t end,
                             tamis__bytes *joined, const void **ret_bytes, size_t *ret_size,
                             tamis_error *err)
{
    size_t size = 0;
    const unsigned char *start = NULL;
    bool whole = true;
    for (uint64_t i = first; i < end; i++) {
        const unsigned char *at = set->bin.data + tamis__megatron_offset(set, i);
        if (!start) start = at;
        whole &= at == start + size;
        size += (size_t)tamis__megatron_length(set, i) * set->item;
    }
    joined->size = 0;
    for (uint64_t i = first; i < end && !whole; i++)
        TAMIS_TRY(tamis__bytes_add(joined, set->bin.data + tamis__megatron_offset(set, i),
                                   (size_t)tamis__megatron_length(set, i) * set->item, err));
    *ret_bytes = whole ? (start ? (const void *)start : "") : joined->data;
    *ret_size = size;
    return TAMIS_OK;
}

static tamis_status compare_rows(const tamis__megatron_job *job, tamis__compare *compare,
                                 tamis__bytes *joined, tamis_error *err)
{
    const tamis__megatron *set = job->set;
    uint64_t rows = tamis__megatron_rows(job), done = 0;
    for (uint64_t row = 0; row < rows; row++) {
        const void *bytes = "";
        size_t size = 0;
        uint64_t first = job->by_document ? tamis__megatron_first(set, row) : row;
        uint64_t end = job->by_document ? tamis__megatron_first(set, row + 1) : row + 1;
        if (compare->job->check_digests)
            TAMIS_TRY(bytes_of(set, first, end, joined, &bytes, &size, err));
        (void)tamis__compare_sample(compare, bytes, size, set->idx_path, row);
        done += size;
        if (done < PROGRESS_BYTES) continue;
        done = 0;
        TAMIS_TRY(tamis__watch_check(&set->bin_watch, set->bin_path, err));
        TAMIS_TRY(tamis__progress(job->job->context, "comparing", row, rows, "rows", NULL, err));
        tamis__input_release(&set->bin, 0, set->bin.size);
    }
    return tamis__compare_end(compare, job->by_document ? "documents" : "sequences", err);
}

tamis_status tamis__megatron_compare(const tamis__megatron_job *job, tamis_manifest_result *result,
                                     tamis_error *err)
{
    tamis__compare compare = {.job = job->job};
    tamis__bytes joined = {0};
    tamis_status status = compare_rows(job, &compare, &joined, err);
    tamis__compare_fini(&compare);
    free(joined.data);
    if (status != TAMIS_OK) return status;
    result->records = tamis__megatron_rows(job);
    result->bytes_in = job->set->idx.size + job->set->bin.size;
    result->input_records[0] = result->records;
    return TAMIS_OK;
}

/* --- the .bin ------------------------------------------------------------------------------- */

typedef struct counts {
    uint64_t sequences, documents, bytes;
} counts;

static void count(steps s, counts *ret_counts, tamis__megatron_written *w)
{
    const tamis__megatron *set = s.job->set;
    counts c = {0};
    uint64_t expected = UINT64_MAX;
    while (next_step(&s)) {
        w->records++;
        c.documents += s.begins;
        c.sequences += s.end - s.first;
        for (uint64_t i = s.first; i < s.end; i++) {
            uint64_t at = tamis__megatron_offset(set, i), tokens = tamis__megatron_length(set, i);
            w->gaps |= expected != UINT64_MAX && at != expected;
            w->tokens += tokens;
            expected = at + tokens * set->item;
        }
    }
    c.bytes = w->tokens * set->item;
    w->bytes = TAMIS__MEGATRON_HEADER + 12 * c.sequences + 8 * (c.documents + 1) +
               (set->mode ? c.sequences : 0) + (s.job->mode == TAMIS__MEGATRON_COPY ? c.bytes : 0);
    *ret_counts = c;
}

static tamis_status copy_tokens(steps s, tamis__output *output, uint64_t total, tamis_error *err)
{
    const tamis__megatron *set = s.job->set;
    tamis__stretch stretch = {.output = output};
    uint64_t done = 0, reported = 0;
    while (next_step(&s)) {
        for (uint64_t i = s.first; i < s.end; i++) {
            size_t size = (size_t)tamis__megatron_length(set, i) * set->item;
            TAMIS_TRY(tamis__stretch_add(&stretch, set->bin.data + tamis__megatron_offset(set, i),
                                         size, err));
            done += size;
        }
        if (done - reported < PROGRESS_BYTES) continue;
        reported = done;
        TAMIS_TRY(tamis__watch_check(&set->bin_watch, set->bin_path, err));
        TAMIS_TRY(tamis__progress(s.job->job->context, "copying tokens", done, total, "bytes", NULL,
                                  err));
        tamis__input_release(&set->bin, 0, set->bin.size);
    }
    TAMIS_TRY(tamis__stretch_end(&stretch, err));
    return tamis__watch_check(&set->bin_watch, set->bin_path, err);
}

/* The output's file, which is empty, gives way to a link of its name that commit puts in place. */
static tamis_status become_link(const tamis__megatron_job *job, tamis__output *output,
                                tamis_error *err)
{
    bool hard = job->mode == TAMIS__MEGATRON_HARDLINK;
    char *target = realpath(job->set->bin_path, NULL);
    if (!target) return tamis__fail_errno(err, "cannot find '%s'", job->set->bin_path);
    bool made = !tamis__fault_io() && unlink(output->part) == 0 &&
                (hard ? link(target, output->part) : symlink(target, output->part)) == 0;
    tamis_status status = TAMIS_OK;
    if (!made && hard && errno == EXDEV)
        status = tamis__fail(err, TAMIS_ERR_IO,
                             "'%s' is on another file system than '%s', which a hard link cannot "
                             "lead to: say link=symbolic",
                             output->path, target);
    else if (!made)
        status = tamis__fail_errno(err, "cannot link '%s' to '%s'", output->path, target);
    free(target);
    if (status == TAMIS_OK) output->stored = job->set->bin.size;
    return status;
}

/* --- the .idx ------------------------------------------------------------------------------- */

static tamis_status put_u64(tamis__output *output, uint64_t value, tamis_error *err)
{
    value = htole64(value);
    return tamis__output_write(output, &value, sizeof value, err);
}

static tamis_status put_header(const tamis__megatron *set, const counts *c, tamis__output *output,
                               tamis_error *err)
{
    TAMIS_TRY(tamis__output_write(output, TAMIS__MEGATRON_MAGIC, 9, err));
    TAMIS_TRY(put_u64(output, 1, err));
    TAMIS_TRY(tamis__output_write(output, &set->type, 1, err));
    TAMIS_TRY(put_u64(output, c->sequences, err));
    return put_u64(output, c->documents + 1, err);
}

/* Entries of an array of the input's index, as they are. */
static tamis_status copy_array(steps s, const unsigned char *array, size_t item,
                               tamis__output *output, tamis_error *err)
{
    tamis__stretch stretch = {.output = output};
    while (next_step(&s))
        TAMIS_TRY(tamis__stretch_add(&stretch, array + item * s.first,
                                     item * (size_t)(s.end - s.first), err));
    return tamis__stretch_end(&stretch, err);
}

static tamis_status put_offsets(steps s, tamis__output *output, tamis_error *err)
{
    const tamis__megatron *set = s.job->set;
    uint64_t at = 0;
    if (s.job->mode != TAMIS__MEGATRON_COPY) return copy_array(s, set->offset, 8, output, err);
    while (next_step(&s))
        for (uint64_t i = s.first; i < s.end; i++) {
            TAMIS_TRY(put_u64(output, at, err));
            at += tamis__megatron_length(set, i) * set->item;
        }
    return TAMIS_OK;
}

static tamis_status put_documents(steps s, tamis__output *output, tamis_error *err)
{
    uint64_t sequences = 0;
    while (next_step(&s)) {
        if (s.begins) TAMIS_TRY(put_u64(output, sequences, err));
        sequences += s.end - s.first;
    }
    return put_u64(output, sequences, err);
}

static tamis_status put_index(const steps *s, const counts *c, tamis__output *output,
                              tamis_error *err)
{
    const tamis__megatron *set = s->job->set;
    TAMIS_TRY(put_header(set, c, output, err));
    TAMIS_TRY(copy_array(*s, set->length, 4, output, err));
    TAMIS_TRY(put_offsets(*s, output, err));
    TAMIS_TRY(put_documents(*s, output, err));
    return set->mode ? copy_array(*s, set->mode, 1, output, err) : TAMIS_OK;
}

/* --- both ----------------------------------------------------------------------------------- */

/* Is `path` a link, of the kind that is wanted, to the input's .bin? */
static bool is_link(const tamis__megatron_job *job, const char *path, const struct stat *st,
                    const struct stat *bin)
{
    struct stat target;
    if (job->mode == TAMIS__MEGATRON_HARDLINK)
        return st->st_dev == bin->st_dev && st->st_ino == bin->st_ino;
    return job->mode == TAMIS__MEGATRON_SYMLINK && S_ISLNK(st->st_mode) &&
           stat(path, &target) == 0 && target.st_dev == bin->st_dev && target.st_ino == bin->st_ino;
}

/* Neither file is one of the input's. *ret_there: the link that is to be made is there already. */
static tamis_status check_files(const tamis__megatron_job *job, const char *idx, const char *bin,
                                bool *ret_there, tamis_error *err)
{
    const char *const out[] = {idx, bin}, *const in[] = {job->set->idx_path, job->set->bin_path};
    *ret_there = false;
    for (size_t i = 0; i < 2; i++) {
        struct stat a, b;
        if (lstat(out[i], &a) || stat(in[i], &b)) continue;
        char *out_path = S_ISLNK(a.st_mode) ? NULL : realpath(out[i], NULL);
        char *in_path = realpath(in[i], NULL);
        bool same = out_path && in_path && !strcmp(out_path, in_path);
        free(out_path);
        free(in_path);
        if (same)
            return tamis__fail(err, TAMIS_ERR_ARG,
                               "'%s' would overwrite its own input: name another output", out[i]);
        if (i == 1) *ret_there = is_link(job, bin, &a, &b);
    }
    return TAMIS_OK;
}

static tamis_status open_output(const tamis__megatron_job *job, const char *path, const char *what,
                                tamis__output **ret_output, tamis_error *err)
{
    return tamis__outputs_plain(job->job->outputs, job->job->context, path, what,
                                job->job->params->force, ret_output, err);
}

/* The index last: who waits for it finds the tokens. */
static tamis_status put_files(const steps *s, const counts *c, uint64_t records, const char *idx,
                              const char *bin, const char *what, tamis_error *err)
{
    tamis__output *output = NULL;
    const tamis__megatron_job *job = s->job;
    bool there;
    TAMIS_TRY(check_files(job, idx, bin, &there, err));
    if (there) TAMIS_TRY(tamis__output_check(bin, job->job->params->force, false, err));
    if (!there) TAMIS_TRY(open_output(job, bin, "tokens", &output, err));
    tamis__outputs_count(job->job->outputs, output, records);
    if (job->mode == TAMIS__MEGATRON_COPY)
        TAMIS_TRY(copy_tokens(*s, output, c->bytes, err));
    else if (!there)
        TAMIS_TRY(become_link(job, output, err));
    TAMIS_TRY(open_output(job, idx, what, &output, err));
    tamis__outputs_count(job->job->outputs, output, records);
    return put_index(s, c, output, err);
}

tamis_status tamis__megatron_write(const tamis__megatron_job *job, const tamis__walk *rows,
                                   const char *prefix, const char *what,
                                   tamis__megatron_written *ret_written, tamis_error *err)
{
    steps s = {.job = job, .walk = *rows};
    tamis__megatron_written written = {0};
    counts c;
    count(s, &c, &written);
    if (!job->job->params->dry_run) {
        char *idx = tamis__megatron_path(prefix, ".idx"),
             *bin = tamis__megatron_path(prefix, ".bin");
        tamis_status status = idx && bin ? put_files(&s, &c, written.records, idx, bin, what, err)
                                         : tamis__fail_memory(err, "a file name", strlen(prefix));
        free(idx);
        free(bin);
        TAMIS_TRY(status);
    }
    *ret_written = written;
    return TAMIS_OK;
}
