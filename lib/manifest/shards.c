/* Samples on their way into the files of a directory.
 *
 * So many files as there are threads are open at once. Their samples are copied in pieces, which threads
 * gather and write where they belong, in any order; then each thread takes the MD5 of a file.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/shards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/md5_file.h"
#include "base/mem.h"
#include "manifest/threads.h"

/* Bytes gathered before they are written. Small enough for a core's cache, large enough for the system. */
#define PIECE_BYTES ((size_t)1 << 20)
/* A sample that is larger is written in steps of so many bytes. */
#define STEP_BYTES ((size_t)8 << 20)

/* --- which rows ------------------------------------------------------------------------------- */

tamis_status tamis__shards_begin(tamis__shards *shards, const char *name, tamis_error *err)
{
    if (shards->n == shards->room) {
        uint64_t room = shards->room ? 2 * shards->room : 16;
        tamis__shard *grown = tamis__realloc(shards->of, (size_t)room, sizeof *grown);
        if (!grown) return tamis__fail_memory(err, "shards", room * sizeof *grown);
        shards->of = grown;
        shards->room = room;
    }
    tamis__shard *shard = &shards->of[shards->n++];
    *shard = (tamis__shard){.first = shards->rows};
    snprintf(shard->name, sizeof shard->name, "%s", name);
    return TAMIS_OK;
}

tamis_status tamis__shards_add(tamis__shards *shards, const tamis__samples *samples, uint64_t row,
                               tamis_error *err)
{
    if (shards->rows == shards->row_room) {
        uint64_t room = shards->row_room ? 2 * shards->row_room : 256;
        uint64_t *grown = tamis__realloc(shards->row, (size_t)room, sizeof *grown);
        if (!grown) return tamis__fail_memory(err, "the order of samples", room * sizeof *grown);
        shards->row = grown;
        shards->row_room = room;
    }
    shards->row[shards->rows++] = row;
    shards->of[shards->n - 1].n++;
    shards->of[shards->n - 1].bytes += samples->of[row].bytes;
    return TAMIS_OK;
}

void tamis__shards_fini(tamis__shards *shards)
{
    free(shards->of);
    free(shards->row);
    *shards = (tamis__shards){0};
}

/* --- pieces ----------------------------------------------------------------------------------- */

typedef struct piece {
    uint64_t shard, turn; /* the turn-th of its shard */
    uint64_t first, n;    /* rows first .. first + n - 1 of the list */
    uint64_t at, bytes;   /* behind what stands before the samples */
} piece;

/* A shard whose file is open. */
typedef struct open_shard {
    tamis__output output;
    uint64_t head; /* bytes before the samples */
} open_shard;

typedef struct writer {
    tamis__shards *shards;
    const tamis__samples *samples;
    const tamis__manifest_job *job;
    const tamis__tree *tree;
    const tamis__shard_form *form;
    uint64_t first, end; /* shards of this batch */
    open_shard *open;    /* [threads] those of the batch */
    piece *piece;        /* [pieces] */
    uint64_t pieces, room;
    unsigned char *buffer; /* [slots] PIECE_BYTES each */
    uint64_t done;         /* rows so far */
    tamis__held held;
} writer;

static tamis_status add_piece(writer *w, piece p, tamis_error *err)
{
    if (w->pieces == w->room) {
        uint64_t room = w->room ? 2 * w->room : 256;
        piece *grown = tamis__realloc(w->piece, (size_t)room, sizeof *grown);
        if (!grown) return tamis__fail_memory(err, "pieces of shards", room * sizeof *grown);
        w->piece = grown;
        w->room = room;
    }
    w->piece[w->pieces++] = p;
    return TAMIS_OK;
}

static tamis_status cut_shard(writer *w, uint64_t k, tamis_error *err)
{
    const tamis__shard *shard = &w->shards->of[k];
    piece p = {.shard = k, .first = shard->first};
    for (uint64_t i = 0; i < shard->n; i++) {
        uint64_t bytes = w->samples->of[w->shards->row[shard->first + i]].bytes;
        if (p.n && p.bytes + bytes > PIECE_BYTES) {
            TAMIS_TRY(add_piece(w, p, err));
            p = (piece){
                .shard = k, .turn = p.turn + 1, .first = shard->first + i, .at = p.at + p.bytes};
        }
        p.n++;
        p.bytes += bytes;
    }
    return p.n ? add_piece(w, p, err) : TAMIS_OK;
}

static tamis_status write_large(const writer *w, const piece *p, const open_shard *open,
                                tamis_error *err)
{
    const tamis__sample *sample = &w->samples->of[w->shards->row[p->first]];
    uint64_t at = open->head + p->at;
    for (uint64_t i = 0; i < sample->chunks; i++) {
        const tamis__chunk *chunk = &w->samples->chunk[sample->first + i];
        for (size_t done = 0; done < chunk->size;) {
            size_t size = chunk->size - done < STEP_BYTES ? chunk->size - done : STEP_BYTES;
            TAMIS_TRY(tamis__output_put_at(&open->output, chunk->data + done, size, at, err));
            done += size;
            at += size;
        }
    }
    return TAMIS_OK;
}

static tamis_status write_gathered(const writer *w, const piece *p, const open_shard *open,
                                   unsigned char *buffer, tamis_error *err)
{
    size_t used = 0;
    for (uint64_t i = 0; i < p->n; i++) {
        const tamis__sample *sample = &w->samples->of[w->shards->row[p->first + i]];
        const tamis__chunk *chunk = w->samples->chunk + sample->first;
        for (uint64_t k = 0; k < sample->chunks; k++) {
            memcpy(buffer + used, chunk[k].data, chunk[k].size);
            used += chunk[k].size;
        }
    }
    return tamis__output_put_at(&open->output, buffer, used, open->head + p->at, err);
}

static tamis_status copy_piece(void *arg, uint64_t item, unsigned slot, unsigned worker,
                               tamis_error *err)
{
    (void)worker;
    const writer *w = arg;
    const piece *p = &w->piece[item];
    const open_shard *open = &w->open[p->shard - w->first];
    for (uint64_t i = 0; i < p->n && w->form->check; i++)
        TAMIS_TRY(w->form->check(w->form->arg, w->shards->row[p->first + i], err));
    if (!w->tree) return TAMIS_OK;
    return p->bytes > PIECE_BYTES ? write_large(w, p, open, err)
                                  : write_gathered(w, p, open, w->buffer + slot * PIECE_BYTES, err);
}

static tamis_status end_piece(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)slot;
    writer *w = arg;
    const piece *p = &w->piece[item];
    bool full = false;
    for (uint64_t i = 0; i < p->n; i++)
        full |= tamis__held_add(&w->held, w->samples, w->shards->row[p->first + i]);
    w->done += p->n;
    if (!full && w->done < w->shards->rows) return TAMIS_OK;
    tamis__held_release(&w->held, w->samples);
    return tamis__progress(w->job->context, "copying samples", w->done, w->shards->rows, "samples",
                           NULL, err);
}

/* --- files ------------------------------------------------------------------------------------ */

static tamis_status open_file(const writer *w, uint64_t k, tamis_error *err)
{
    open_shard *open = &w->open[k - w->first];
    const tamis__shard *shard = &w->shards->of[k];
    TAMIS_TRY(tamis__tree_file(w->tree, shard->name, &open->output, err));
    if (w->form->head)
        TAMIS_TRY(
            w->form->head(w->form->arg, shard, w->shards->row + shard->first, &open->output, err));
    open->head = open->output.written;
    return tamis__output_finish(&open->output, err);
}

static tamis_status put_tail(const writer *w, uint64_t k, tamis_error *err)
{
    static const unsigned char zero[4096];
    const open_shard *open = &w->open[k - w->first];
    const tamis__shard *shard = &w->shards->of[k];
    uint64_t at = open->head + shard->bytes;
    size_t left = w->form->tail ? w->form->tail(shard) : 0;
    while (left > 0) {
        size_t size = left < sizeof zero ? left : sizeof zero;
        TAMIS_TRY(tamis__output_put_at(&open->output, zero, size, at, err));
        at += size;
        left -= size;
    }
    return TAMIS_OK;
}

static tamis_status sum_file(void *arg, uint64_t item, unsigned slot, unsigned worker,
                             tamis_error *err)
{
    (void)slot, (void)worker;
    const writer *w = arg;
    /* Without a context: progress is the calling thread's. */
    return tamis__md5_file(NULL, w->open[item].output.part, w->shards->of[w->first + item].md5,
                           err);
}

static tamis_status end_sum(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)item, (void)slot;
    const writer *w = arg;
    return tamis__progress(w->job->context, "MD5", w->done, w->shards->rows, "samples", NULL, err);
}

/* Files take turns, so that threads write to different ones: the system lets one write to a file at a
 * time. */
static int by_turn(const void *a, const void *b)
{
    const piece *x = a, *y = b;
    if (x->turn != y->turn) return x->turn < y->turn ? -1 : 1;
    return x->shard < y->shard ? -1 : x->shard > y->shard;
}

static tamis_status copy_batch(writer *w, tamis_error *err)
{
    w->pieces = 0;
    for (uint64_t k = w->first; k < w->end; k++) {
        if (w->tree) TAMIS_TRY(open_file(w, k, err));
        TAMIS_TRY(cut_shard(w, k, err));
    }
    qsort(w->piece, (size_t)w->pieces, sizeof *w->piece, by_turn);
    tamis__pipeline copy = {.arg = w,
                            .items = w->pieces,
                            .slots = 2 * tamis__threads_of(w->job->context),
                            .work = copy_piece,
                            .consume = end_piece};
    TAMIS_TRY(tamis__threads_run(w->job->context, &copy, err));
    for (uint64_t k = w->first; w->tree && k < w->end; k++) TAMIS_TRY(put_tail(w, k, err));
    tamis__pipeline sum = {
        .arg = w, .items = w->end - w->first, .work = sum_file, .consume = end_sum};
    return w->tree && w->form->md5 ? tamis__threads_run(w->job->context, &sum, err) : TAMIS_OK;
}

static tamis_status write_batch(writer *w, tamis_error *err)
{
    tamis_status status = copy_batch(w, err);
    for (uint64_t k = 0; k < w->end - w->first; k++) {
        tamis__output *output = &w->open[k].output;
        if (output->path) status = tamis__shard_end(output, status, err);
        w->open[k] = (open_shard){0};
    }
    return status;
}

tamis_status tamis__shards_write(tamis__shards *shards, const tamis__samples *samples,
                                 const tamis__manifest_job *job, const tamis__tree *tree,
                                 const tamis__shard_form *form, tamis_error *err)
{
    unsigned threads = tamis__threads_of(job->context);
    size_t slots = 2 * (size_t)threads;
    writer w = {.shards = shards, .samples = samples, .job = job, .tree = tree, .form = form};
    w.open = tamis__calloc(threads, sizeof *w.open);
    w.buffer = tree ? tamis__malloc(slots, PIECE_BYTES) : NULL;
    tamis_status status = w.open && (w.buffer || !tree)
                              ? TAMIS_OK
                              : tamis__fail_memory(err, "copying samples", slots * PIECE_BYTES);
    for (uint64_t k = 0; k < shards->n && status == TAMIS_OK; k = w.end) {
        w.first = k;
        w.end = k + threads < shards->n ? k + threads : shards->n;
        status = write_batch(&w, err);
    }
    free(w.open);
    free(w.buffer);
    free(w.piece);
    return status;
}
