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

/* Bytes of a .bin between two looks at cancellation. */
#define PROGRESS_BYTES ((uint64_t)16 << 20)

/* --- the sequences of rows ------------------------------------------------------------------ */

/* Goes over the rows of a walk that are of the inputs at hand. */
typedef struct steps {
    const tamis__megatron_job *job;
    tamis__walk walk;
    size_t input;              /* of the row */
    const tamis__megatron *to; /* links lead here; NULL = tokens are copied */
    uint64_t low, high;        /* only rows of this range */
    const tamis__megatron *set;
    uint64_t first, end;     /* the row's sequences in the set */
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

/* Rows in order begin with the first that is wanted and need not be looked at to their end. */
static bool next_row(steps *s, uint64_t *ret_row)
{
    bool in_order = !s->walk.plan->of[s->walk.part].row;
    if (in_order && s->walk.next < s->low) s->walk.next = s->low;
    while (tamis__walk_next(&s->walk, ret_row)) {
        if (*ret_row >= s->low && *ret_row < s->high) return true;
        if (in_order) return false;
    }
    return false;
}

/* The input that holds a row, most often the one at hand. */
static size_t find_input(const steps *s, uint64_t row)
{
    const uint64_t *first = s->job->first;
    size_t low = 0, high = s->job->sets;
    if (first[s->input] <= row && row < first[s->input + 1]) return s->input;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        *(first[middle] <= row ? &low : &high) = middle;
    }
    return low;
}

static bool next_step(steps *s)
{
    uint64_t row;
    if (!next_row(s, &row)) return false;
    size_t input = find_input(s, row);
    bool same = s->started && input == s->input;
    const tamis__megatron *set = s->set = &s->job->set[input];
    s->input = input;
    s->started = true;
    row -= s->job->first[input];
    if (s->job->by_document) {
        s->first = tamis__megatron_first(set, row);
        s->end = tamis__megatron_first(set, row + 1);
        s->begins = true;
        return true;
    }
    uint64_t document = find_document(set, same ? s->document : 0, row);
    s->begins = !same || document != s->document || row <= s->last;
    s->document = document;
    s->last = row;
    s->first = row;
    s->end = row + 1;
    return true;
}

/* --- the .bin ------------------------------------------------------------------------------- */

typedef struct counts {
    uint64_t sequences, documents, bytes;
    bool modes;
} counts;

/* Copies have modes where any input has; inputs without are without sequences. */
static bool has_modes(const steps *s)
{
    if (s->to) return s->to->mode != NULL;
    for (size_t i = 0; i < s->job->sets; i++)
        if (s->job->set[i].mode) return true;
    return false;
}

static void count(steps s, counts *ret_counts, tamis__megatron_written *w)
{
    counts c = {.modes = has_modes(&s)};
    uint64_t expected = UINT64_MAX;
    while (next_step(&s)) {
        const tamis__megatron *set = s.set;
        w->records++;
        c.documents += s.begins;
        c.sequences += s.end - s.first;
        for (uint64_t i = s.first; i < s.end; i++) {
            uint64_t at = tamis__megatron_offset(set, i), tokens = tamis__megatron_length(set, i);
            if (s.to && expected != UINT64_MAX && at != expected) w->gaps = set->bin_path;
            w->tokens += tokens;
            expected = at + tokens * set->item;
        }
    }
    c.bytes = w->tokens * s.job->set->item;
    w->bytes = TAMIS__MEGATRON_HEADER + 12 * c.sequences + 8 * (c.documents + 1) +
               (c.modes ? c.sequences : 0) + (s.to ? 0 : c.bytes);
    *ret_counts = c;
}

static tamis_status check_inputs(const tamis__megatron_job *job, tamis_error *err)
{
    for (size_t i = 0; i < job->sets; i++) {
        const tamis__megatron *set = &job->set[i];
        TAMIS_TRY(tamis__watch_check(&set->bin_watch, set->bin_path, err));
        tamis__input_release(&set->bin, 0, set->bin.size);
    }
    return TAMIS_OK;
}

static tamis_status copy_tokens(steps s, tamis__output *output, uint64_t total, tamis_error *err)
{
    tamis__stretch stretch = {.output = output};
    uint64_t done = 0, reported = 0;
    while (next_step(&s)) {
        const tamis__megatron *set = s.set;
        for (uint64_t i = s.first; i < s.end; i++) {
            size_t size = (size_t)tamis__megatron_length(set, i) * set->item;
            TAMIS_TRY(tamis__stretch_add(&stretch, set->bin.data + tamis__megatron_offset(set, i),
                                         size, err));
            done += size;
        }
        if (done - reported < PROGRESS_BYTES) continue;
        reported = done;
        TAMIS_TRY(check_inputs(s.job, err));
        TAMIS_TRY(tamis__progress(s.job->job->context, "copying tokens", done, total, "bytes", NULL,
                                  err));
    }
    TAMIS_TRY(tamis__stretch_end(&stretch, err));
    return check_inputs(s.job, err);
}

/* The output's file, which is empty, gives way to a link of its name that commit puts in place. */
static tamis_status become_link(const steps *s, tamis__output *output, tamis_error *err)
{
    bool hard = s->job->mode == TAMIS__MEGATRON_HARDLINK;
    char *target = realpath(s->to->bin_path, NULL);
    if (!target) return tamis__fail_errno(err, "cannot find '%s'", s->to->bin_path);
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
    if (status == TAMIS_OK) output->stored = s->to->bin.size;
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

typedef enum array { LENGTHS, OFFSETS, MODES } array;

/* Entries of an array of the inputs' indices, as they are. */
static tamis_status copy_array(steps s, array which, tamis__output *output, tamis_error *err)
{
    tamis__stretch stretch = {.output = output};
    size_t item = which == LENGTHS ? 4 : which == OFFSETS ? 8 : 1;
    while (next_step(&s)) {
        const unsigned char *start = which == LENGTHS   ? s.set->length
                                     : which == OFFSETS ? s.set->offset
                                                        : s.set->mode;
        if (s.end == s.first) continue; /* an input without sequences has no modes either */
        TAMIS_TRY(tamis__stretch_add(&stretch, start + item * s.first,
                                     item * (size_t)(s.end - s.first), err));
    }
    return tamis__stretch_end(&stretch, err);
}

static tamis_status put_offsets(steps s, tamis__output *output, tamis_error *err)
{
    uint64_t at = 0;
    if (s.to) return copy_array(s, OFFSETS, output, err);
    while (next_step(&s))
        for (uint64_t i = s.first; i < s.end; i++) {
            TAMIS_TRY(put_u64(output, at, err));
            at += tamis__megatron_length(s.set, i) * s.set->item;
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
    TAMIS_TRY(put_header(s->to ? s->to : s->job->set, c, output, err));
    TAMIS_TRY(copy_array(*s, LENGTHS, output, err));
    TAMIS_TRY(put_offsets(*s, output, err));
    TAMIS_TRY(put_documents(*s, output, err));
    return c->modes ? copy_array(*s, MODES, output, err) : TAMIS_OK;
}

/* --- both ----------------------------------------------------------------------------------- */

/* Is `path` a link, of the kind that is wanted, to the input's .bin? */
static bool is_link(const steps *s, const char *path)
{
    struct stat st, target, bin;
    if (!s->to || lstat(path, &st) || stat(s->to->bin_path, &bin)) return false;
    if (s->job->mode == TAMIS__MEGATRON_HARDLINK)
        return st.st_dev == bin.st_dev && st.st_ino == bin.st_ino;
    return S_ISLNK(st.st_mode) && stat(path, &target) == 0 && target.st_dev == bin.st_dev &&
           target.st_ino == bin.st_ino;
}

/* Links are others' files, but where they are they may be replaced. */
static tamis_status check_other(const char *out, const char *in, tamis_error *err)
{
    struct stat st;
    if (lstat(out, &st) || S_ISLNK(st.st_mode)) return TAMIS_OK;
    char *out_path = realpath(out, NULL), *in_path = realpath(in, NULL);
    bool same = out_path && in_path && !strcmp(out_path, in_path);
    free(out_path);
    free(in_path);
    if (!same) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_ARG,
                       "'%s' would overwrite its own input: name another output", out);
}

/* Neither file is one of the inputs'. */
static tamis_status check_files(const tamis__megatron_job *job, const char *idx, const char *bin,
                                tamis_error *err)
{
    for (size_t i = 0; i < job->sets; i++) {
        TAMIS_TRY(check_other(idx, job->set[i].idx_path, err));
        TAMIS_TRY(check_other(bin, job->set[i].bin_path, err));
    }
    return TAMIS_OK;
}

static tamis_status open_output(const tamis__megatron_job *job, const char *path, const char *what,
                                tamis__output **ret_output, tamis_error *err)
{
    return tamis__outputs_plain(job->job->outputs, job->job->context, path, what,
                                job->job->params->force, ret_output, err);
}

/* A link that is there already stays. The index last: who waits for it finds the tokens. */
static tamis_status put_files(const steps *s, const counts *c, uint64_t records, const char *idx,
                              const char *bin, const char *what, tamis_error *err)
{
    tamis__output *output = NULL;
    const tamis__megatron_job *job = s->job;
    bool there = is_link(s, bin);
    TAMIS_TRY(check_files(job, idx, bin, err));
    if (there) TAMIS_TRY(tamis__output_check(bin, job->job->params->force, false, err));
    if (!there) TAMIS_TRY(open_output(job, bin, "tokens", &output, err));
    tamis__outputs_count(job->job->outputs, output, records);
    if (!s->to)
        TAMIS_TRY(copy_tokens(*s, output, c->bytes, err));
    else if (!there)
        TAMIS_TRY(become_link(s, output, err));
    TAMIS_TRY(open_output(job, idx, what, &output, err));
    tamis__outputs_count(job->job->outputs, output, records);
    return put_index(s, c, output, err);
}

tamis_status tamis__megatron_write(const tamis__megatron_job *job, const tamis__walk *rows,
                                   size_t input, const char *prefix, const char *what,
                                   tamis__megatron_written *ret_written, tamis_error *err)
{
    bool all = input == TAMIS__MEGATRON_ALL;
    steps s = {.job = job,
               .walk = *rows,
               .input = all ? 0 : input,
               .to = job->mode == TAMIS__MEGATRON_COPY ? NULL : &job->set[all ? 0 : input],
               .low = all ? 0 : job->first[input],
               .high = job->first[all ? job->sets : input + 1]};
    tamis__megatron_written written = {0};
    counts c;
    count(s, &c, &written);
    if (!all && written.records == 0) {
        *ret_written = (tamis__megatron_written){0};
        return TAMIS_OK;
    }
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
