/* Samples on their way into the files of a directory.
 *
 * Several files are open at once. Their samples are one text for each, which is cut into pieces
 * that threads gather and write where they belong, in any order; a file whose sum is wanted is one
 * thread's for a while, since sums are taken in order.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/shards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/md5_sum.h"
#include "base/mem.h"
#include "manifest/source.h"
#include "manifest/threads.h"

/* Bytes of a piece: small enough for a core's cache, large enough for the system. */
#define PIECE_BYTES ((size_t)1 << 20)
/* Pieces of a file that one thread does one after another where sums are taken. */
#define ROUND 16

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

/* So many bytes of one shard. */
typedef struct piece {
    uint64_t shard, turn; /* the turn-th of its shard */
    uint64_t first;       /* row in the list in which it begins */
    uint64_t skip;        /* bytes of that row's sample that are in the piece before */
    uint64_t rows;        /* rows that begin in it */
    uint64_t at;          /* where it belongs in the file */
    size_t bytes;
} piece;

/* A shard whose file is open. */
typedef struct open_shard {
    tamis__output output;
    uint64_t head; /* bytes before the samples */
    tamis__md5 md5;
} open_shard;

typedef struct writer {
    tamis__shards *shards;
    const tamis__samples *samples;
    const tamis__manifest_job *job;
    const tamis__tree *tree;
    const tamis__shard_form *form;
    uint64_t first, end; /* shards of this batch */
    open_shard *open;    /* those of the batch */
    piece *piece;        /* [pieces] */
    uint64_t pieces, room;
    unsigned char *buffer; /* [slots] of PIECE_BYTES each */
    uint64_t *item;        /* [items + 1] where an item's pieces begin */
    uint64_t base;         /* the first item of this round */
    uint64_t items, done;  /* done: rows so far */
    tamis__held held;
} writer;

static tamis_status add_piece(writer *w, const piece *p, tamis_error *err)
{
    if (w->pieces == w->room) {
        uint64_t room = w->room ? 2 * w->room : 256;
        piece *grown = tamis__realloc(w->piece, (size_t)room, sizeof *grown);
        if (!grown) return tamis__fail_memory(err, "pieces of shards", room * sizeof *grown);
        w->piece = grown;
        w->room = room;
    }
    w->piece[w->pieces++] = *p;
    return TAMIS_OK;
}

/* Pieces end at multiples of their size in the file: copying to whole pages is half as dear. */
static tamis_status cut_shard(writer *w, uint64_t k, uint64_t head, tamis_error *err)
{
    const tamis__shard *shard = &w->shards->of[k];
    piece p = {.shard = k, .first = shard->first, .at = head};
    for (uint64_t i = shard->first; i < shard->first + shard->n; i++) {
        uint64_t left = w->samples->of[w->shards->row[i]].bytes, size = left;
        p.rows++;
        while (left > 0) {
            size_t free = PIECE_BYTES - (size_t)(p.at % PIECE_BYTES) - p.bytes;
            size_t n = left < free ? (size_t)left : free;
            p.bytes += n;
            left -= n;
            if (n < free) continue;
            TAMIS_TRY(add_piece(w, &p, err));
            p = (piece){.shard = k,
                        .turn = p.turn + 1,
                        .at = p.at + p.bytes,
                        .first = left ? i : i + 1,
                        .skip = left ? size - left : 0};
        }
    }
    return p.rows || p.bytes ? add_piece(w, &p, err) : TAMIS_OK;
}

/* Files take turns, so that threads write to different ones: the system lets one write to a file at
 * a time. */
static int by_turn(const void *a, const void *b)
{
    const piece *x = a, *y = b;
    if (x->turn != y->turn) return x->turn < y->turn ? -1 : 1;
    return x->shard < y->shard ? -1 : x->shard > y->shard;
}

static int by_round(const void *a, const void *b)
{
    const piece *x = a, *y = b;
    uint64_t i = x->turn / ROUND, j = y->turn / ROUND;
    if (i != j) return i < j ? -1 : 1;
    if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
    return x->turn < y->turn ? -1 : x->turn > y->turn;
}

static bool goes_with(const writer *w, const piece *p)
{
    return w->form->md5 && p->shard == p[-1].shard && p->turn / ROUND == p[-1].turn / ROUND;
}

/* A piece is an item of work; with sums, the pieces of a file that belong to a round. */
static tamis_status make_items(writer *w, tamis_error *err)
{
    qsort(w->piece, (size_t)w->pieces, sizeof *w->piece, w->form->md5 ? by_round : by_turn);
    free(w->item);
    w->item = tamis__malloc((size_t)w->pieces + 1, sizeof *w->item);
    if (!w->item) return tamis__fail_memory(err, "pieces of shards", w->pieces * 8);
    w->items = 0;
    for (uint64_t i = 0; i < w->pieces; i++)
        if (i == 0 || !goes_with(w, &w->piece[i])) w->item[w->items++] = i;
    w->item[w->items] = w->pieces;
    return TAMIS_OK;
}

/* --- the work --------------------------------------------------------------------------------- */

/* The piece's bytes, from wherever they are mapped. */
static void gather(const writer *w, const piece *p, unsigned char *to)
{
    uint64_t skip = p->skip;
    size_t used = 0;
    for (uint64_t i = p->first; used < p->bytes; i++) {
        const tamis__sample *sample = &w->samples->of[w->shards->row[i]];
        const tamis__chunk *chunk = w->samples->chunk + sample->first;
        for (uint64_t k = 0; k < sample->chunks && used < p->bytes; k++) {
            size_t from = skip < chunk[k].size ? (size_t)skip : chunk[k].size;
            size_t size = chunk[k].size - from, free = p->bytes - used;
            if (size > free) size = free;
            memcpy(to + used, chunk[k].data + from, size);
            used += size;
            skip -= from;
        }
    }
}

static tamis_status copy_piece(const writer *w, const piece *p, unsigned char *buffer,
                               tamis_error *err)
{
    open_shard *open = &w->open[p->shard - w->first];
    uint64_t begin = p->first + (p->skip > 0);
    if (w->tree) gather(w, p, buffer + p->at % PIECE_BYTES); /* first: then it is in the cache */
    for (uint64_t i = begin; i < begin + p->rows && w->form->check; i++)
        TAMIS_TRY(w->form->check(w->form->arg, w->shards->row[i], err));
    if (!w->tree) return TAMIS_OK;
    buffer += p->at % PIECE_BYTES;
    if (w->form->md5) tamis__md5_add(&open->md5, buffer, p->bytes);
    return tamis__output_put_at(&open->output, buffer, p->bytes, p->at, err);
}

static tamis_status copy_item(void *arg, uint64_t item, unsigned slot, unsigned worker,
                              tamis_error *err)
{
    (void)worker;
    const writer *w = arg;
    unsigned char *buffer = w->buffer ? w->buffer + slot * PIECE_BYTES : NULL;
    item += w->base;
    for (uint64_t i = w->item[item]; i < w->item[item + 1]; i++)
        TAMIS_TRY(copy_piece(w, &w->piece[i], buffer, err));
    return TAMIS_OK;
}

static tamis_status end_item(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)slot;
    writer *w = arg;
    bool full = false;
    item += w->base;
    for (uint64_t i = w->item[item]; i < w->item[item + 1]; i++) {
        const piece *p = &w->piece[i];
        uint64_t begin = p->first + (p->skip > 0);
        for (uint64_t k = 0; k < p->rows; k++)
            full |= tamis__held_add(&w->held, w->samples, w->shards->row[begin + k]);
        w->done += p->rows;
    }
    TAMIS_TRY(tamis__held_check(&w->held, w->samples, err));
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
    tamis__md5_start(&open->md5);
    TAMIS_TRY(tamis__tree_file(w->tree, shard->name, &open->output, err));
    if (w->form->head)
        TAMIS_TRY(
            w->form->head(w->form->arg, shard, w->shards->row + shard->first, &open->output, err));
    open->head = open->output.written;
    return tamis__output_finish(&open->output, err);
}

static tamis_status end_file(const writer *w, uint64_t k, tamis_error *err)
{
    static const unsigned char zero[4096];
    open_shard *open = &w->open[k - w->first];
    tamis__shard *shard = &w->shards->of[k];
    uint64_t at = open->head + shard->bytes;
    size_t left = w->form->tail ? w->form->tail(shard) : 0;
    while (left > 0) {
        size_t size = left < sizeof zero ? left : sizeof zero;
        TAMIS_TRY(tamis__output_put_at(&open->output, zero, size, at, err));
        if (w->form->md5) tamis__md5_add(&open->md5, zero, size);
        at += size;
        left -= size;
    }
    if (w->form->md5) tamis__md5_end(&open->md5, shard->md5);
    return TAMIS_OK;
}

/* Without sums all items are one round. */
static tamis_status copy_round(writer *w, tamis_error *err)
{
    uint64_t end = w->base, round = w->piece[w->item[end]].turn / ROUND;
    while (end < w->items && (!w->form->md5 || w->piece[w->item[end]].turn / ROUND == round)) end++;
    tamis__pipeline copy = {.arg = w,
                            .items = end - w->base,
                            .slots = 2 * tamis__threads_of(w->job->context),
                            .work = copy_item,
                            .consume = end_item};
    TAMIS_TRY(tamis__threads_run(w->job->context, &copy, err));
    w->base = end;
    return TAMIS_OK;
}

static tamis_status copy_batch(writer *w, tamis_error *err)
{
    w->pieces = 0;
    for (uint64_t k = w->first; k < w->end; k++) {
        if (w->tree) TAMIS_TRY(open_file(w, k, err));
        TAMIS_TRY(cut_shard(w, k, w->open[k - w->first].head, err));
    }
    TAMIS_TRY(make_items(w, err));
    for (w->base = 0; w->base < w->items;) TAMIS_TRY(copy_round(w, err));
    for (uint64_t k = w->first; w->tree && k < w->end; k++) TAMIS_TRY(end_file(w, k, err));
    return TAMIS_OK;
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
    uint64_t batch = threads < shards->n ? threads : shards->n ? shards->n : 1;
    writer w = {.shards = shards, .samples = samples, .job = job, .tree = tree, .form = form};
    TAMIS_TRY(tamis__samples_unchanged(samples, err));
    w.held.most = tamis__manifest_held(job->context);
    size_t slots = 2 * (size_t)threads;
    w.open = tamis__calloc((size_t)batch, sizeof *w.open);
    w.buffer = tree ? tamis__aligned(slots, PIECE_BYTES) : NULL;
    tamis_status status = w.open && (w.buffer || !tree)
                              ? TAMIS_OK
                              : tamis__fail_memory(err, "copying samples", slots * PIECE_BYTES);
    for (uint64_t k = 0; k < shards->n && status == TAMIS_OK; k = w.end) {
        w.first = k;
        w.end = k + batch < shards->n ? k + batch : shards->n;
        status = write_batch(&w, err);
    }
    if (status == TAMIS_OK) status = tamis__samples_unchanged(samples, err);
    free(w.open);
    free(w.buffer);
    free(w.piece);
    free(w.item);
    return status;
}
