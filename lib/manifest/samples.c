/* Samples of binary data sets.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/samples.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/mem.h"
#include "manifest/source.h"
#include "manifest/threads.h"

/* Samples that a thread compares before it asks for more. */
#define BLOCK ((uint64_t)64)
/* Bytes to read before inputs are looked at again: so many, and more for each, since a look is a
 * system call. */
#define CHECK_BYTES       ((uint64_t)16 << 20)
#define CHECK_INPUT_BYTES ((uint64_t)64 << 10)
/* What the system maps around a page that is touched. */
#define AROUND_BYTES ((uintptr_t)64 << 10)

static tamis_status enlarge(void **array, uint64_t n, uint64_t *room, size_t size, tamis_error *err)
{
    if (n < *room) return TAMIS_OK;
    uint64_t larger = *room ? 2 * *room : 64;
    void *grown = tamis__realloc(*array, (size_t)larger, size);
    if (!grown) return tamis__fail_memory(err, "samples", larger * size);
    *array = grown;
    *room = larger;
    return TAMIS_OK;
}

tamis_status tamis__samples_open(tamis__samples *samples, const tamis__samples_input *input,
                                 tamis_error *err)
{
    void *array = samples->input;
    TAMIS_TRY(enlarge(&array, samples->inputs, &samples->input_room, sizeof *samples->input, err));
    samples->input = array;
    samples->input[samples->inputs++] = *input;
    return TAMIS_OK;
}

tamis_status tamis__samples_add(tamis__samples *samples, tamis_error *err)
{
    void *array = samples->of;
    TAMIS_TRY(enlarge(&array, samples->n, &samples->room, sizeof *samples->of, err));
    samples->of = array;
    samples->of[samples->n++] = (tamis__sample){.first = samples->chunks,
                                                .source = samples->inputs - 1};
    return TAMIS_OK;
}

tamis_status tamis__samples_extend(tamis__samples *samples, const unsigned char *data, size_t size,
                                   tamis_error *err)
{
    tamis__sample *last = &samples->of[samples->n - 1];
    tamis__chunk *before = last->chunks ? &samples->chunk[samples->chunks - 1] : NULL;
    last->bytes += size;
    if (before && before->data + before->size == data) {
        before->size += size;
        return TAMIS_OK;
    }
    void *array = samples->chunk;
    TAMIS_TRY(enlarge(&array, samples->chunks, &samples->chunk_room, sizeof *samples->chunk, err));
    samples->chunk = array;
    samples->chunk[samples->chunks++] = (tamis__chunk){data, size};
    last->chunks++;
    return TAMIS_OK;
}

void tamis__samples_fini(tamis__samples *samples)
{
    free(samples->of);
    free(samples->chunk);
    free(samples->input);
    *samples = (tamis__samples){0};
}

tamis_status tamis__samples_unchanged(const tamis__samples *samples, tamis_error *err)
{
    for (size_t i = 0; i < samples->inputs; i++)
        TAMIS_TRY(tamis__watch_check(&samples->input[i].watch, samples->input[i].path, err));
    return TAMIS_OK;
}

static tamis_status digest_of(const tamis__samples *samples, uint64_t row, uint64_t *ret_digest,
                              tamis_error *err)
{
    const tamis__sample *s = &samples->of[row];
    const tamis__chunk *chunk = samples->chunk + s->first;
    if (s->chunks < 2) {
        *ret_digest = s->chunks ? tamis__digest(chunk->data, chunk->size) : tamis__digest("", 0);
        return TAMIS_OK;
    }
    unsigned char *whole = tamis__malloc((size_t)s->bytes, 1), *to = whole;
    if (!whole) return tamis__fail_memory(err, "a sample", s->bytes);
    for (uint64_t i = 0; i < s->chunks; i++) {
        memcpy(to, chunk[i].data, chunk[i].size);
        to += chunk[i].size;
    }
    *ret_digest = tamis__digest(whole, (size_t)s->bytes);
    free(whole);
    return TAMIS_OK;
}

/* --- mapped pages ----------------------------------------------------------------------------- */

bool tamis__held_add(tamis__held *held, const tamis__samples *samples, uint64_t row)
{
    const tamis__sample *s = &samples->of[row];
    const unsigned char *data = s->chunks ? samples->chunk[s->first].data : held->end;
    uintptr_t gap = (uintptr_t)data - (uintptr_t)held->end;
    if (held->bytes == 0) held->first = held->last = s->source;
    if (s->source < held->first) held->first = s->source;
    if (s->source > held->last) held->last = s->source;
    held->unchecked += s->bytes;
    held->bytes += s->bytes + (gap < AROUND_BYTES ? gap : AROUND_BYTES);
    held->end = data + s->bytes;
    return held->bytes >= held->most;
}

void tamis__held_release(tamis__held *held, const tamis__samples *samples)
{
    for (size_t i = held->first; i <= held->last && i < samples->inputs; i++)
        tamis__input_release(&samples->input[i].bytes, 0, samples->input[i].bytes.size);
    held->bytes = 0;
}

tamis_status tamis__held_check(tamis__held *held, const tamis__samples *samples, tamis_error *err)
{
    if (held->unchecked < CHECK_BYTES + samples->inputs * CHECK_INPUT_BYTES) return TAMIS_OK;
    held->unchecked = 0;
    return tamis__samples_unchanged(samples, err);
}

/* --- comparing -------------------------------------------------------------------------------- */

typedef struct comparison {
    const tamis__samples *samples;
    const tamis__manifest_job *job;
    const char *path;
    tamis__held held;
} comparison;

static tamis_status compare_block(void *arg, uint64_t item, unsigned slot, unsigned worker,
                                  tamis_error *err)
{
    (void)slot, (void)worker;
    const comparison *c = arg;
    const uint64_t *digest = c->job->selection->examples.digest;
    for (uint64_t row = item * BLOCK; row < (item + 1) * BLOCK && row < c->samples->n; row++) {
        uint64_t found = 0;
        if (!digest[row]) continue;
        TAMIS_TRY(digest_of(c->samples, row, &found, err));
        if (found != digest[row])
            return tamis__fail(err, TAMIS_ERR_FORMAT,
                               "'%s' sample %" PRIu64
                               " is not the one that was scored (its digest differs): use the data "
                               "that the gradients were made from",
                               c->path, row);
    }
    return TAMIS_OK;
}

static tamis_status end_block(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)slot;
    comparison *c = arg;
    bool full = false;
    uint64_t row = item * BLOCK;
    for (; row < (item + 1) * BLOCK && row < c->samples->n; row++)
        full |= tamis__held_add(&c->held, c->samples, row);
    TAMIS_TRY(tamis__held_check(&c->held, c->samples, err));
    if (!full && row < c->samples->n) return TAMIS_OK;
    tamis__held_release(&c->held, c->samples);
    return tamis__progress(c->job->context, "comparing samples", row, c->samples->n, "samples",
                           NULL, err);
}

tamis_status tamis__samples_compare(const tamis__samples *samples, const tamis__manifest_job *job,
                                    const char *path, tamis_error *err)
{
    const tamis_selection *selection = job->selection;
    comparison c = {.samples = samples, .job = job, .path = path};
    c.held.most = tamis__manifest_held(job->context);
    tamis__pipeline pipeline = {.arg = &c,
                                .items = (samples->n + BLOCK - 1) / BLOCK,
                                .work = compare_block,
                                .consume = end_block};
    if (samples->n != selection->rows)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s'%s %" PRIu64 " samples, the selection %" PRIu64
                           " rows: use the data that the gradients were made from",
                           path, job->params->inputs > 1 ? " and the inputs after it have" : " has",
                           samples->n, selection->rows);
    return job->check_digests ? tamis__threads_run(job->context, &pipeline, err) : TAMIS_OK;
}

/* --- in order --------------------------------------------------------------------------------- */

tamis_status tamis__part_each(const tamis__manifest_job *job, size_t part, tamis__sample_fn *put,
                              void *arg, tamis_error *err)
{
    const tamis__plan *plan = job->plan;
    const tamis__part *p = &plan->of[part];
    if (p->row) {
        for (uint64_t i = 0; i < p->n; i++) TAMIS_TRY(put(arg, p->row[i], err));
        return TAMIS_OK;
    }
    for (uint64_t row = 0; row < plan->rows; row++)
        for (uint32_t k = 0; plan->part[row] == part && k < tamis__plan_times(plan, row); k++)
            TAMIS_TRY(put(arg, row, err));
    return TAMIS_OK;
}

tamis_status tamis__shard_end(tamis__output *output, tamis_status status, tamis_error *err)
{
    if (status == TAMIS_OK) return tamis__output_commit(output, err);
    tamis__output_abort(output);
    return status;
}

tamis_status tamis__join_path(const char *directory, const char *name, char **ret_path,
                              tamis_error *err)
{
    size_t size = strlen(directory) + strlen(name) + 2;
    char *path = tamis__malloc(size, 1);
    if (!path) return tamis__fail_memory(err, "a file name", size);
    snprintf(path, size, "%s/%s", directory, name);
    *ret_path = path;
    return TAMIS_OK;
}
