/* JSON Lines in blocks.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/blocks.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"

/* Small enough for a core's cache, so that the digest finds there what the search for line ends has
 * read. */
#define BLOCK_BYTES ((size_t)1 << 20)

typedef struct found {
    const unsigned char *data;
    size_t size;
    uint64_t line; /* from 1, within the block */
    uint64_t digest;
    bool ended; /* by LF */
    bool crlf;  /* and a CR before it */
} found;

typedef struct block {
    const unsigned char *begin, *end; /* whole lines */
    found *record;
    size_t n, room;
    uint64_t lines;
} block;

typedef struct job {
    const tamis__blocks *blocks;
    block *slot;
    size_t cursor; /* the next block begins here */
    uint64_t line, number;
} job;

/* Lines that begin before the end of the item's piece of the file. A line longer than a piece
 * leaves the next ones empty. */
static tamis_status produce(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)err;
    job *j = arg;
    const tamis__blocks *all = j->blocks;
    block *b = &j->slot[slot];
    size_t stop = (size_t)(item + 1) * BLOCK_BYTES, end = j->cursor;
    if (stop > all->size) stop = all->size;
    if (end < stop) {
        const unsigned char *newline = memchr(all->data + stop - 1, '\n', all->size - (stop - 1));
        end = newline ? (size_t)(newline - all->data) + 1 : all->size;
    }
    b->begin = all->data + j->cursor;
    b->end = all->data + end;
    j->cursor = end;
    return TAMIS_OK;
}

static tamis_status enlarge(block *b, tamis_error *err)
{
    if (b->n < b->room) return TAMIS_OK;
    size_t room = b->room ? 2 * b->room : 1024;
    found *grown = tamis__realloc(b->record, room, sizeof *grown);
    if (!grown) return tamis__fail_memory(err, "records of a block", room * sizeof *grown);
    b->record = grown;
    b->room = room;
    return TAMIS_OK;
}

static tamis_status work(void *arg, uint64_t item, unsigned slot, unsigned worker, tamis_error *err)
{
    (void)item, (void)worker;
    job *j = arg;
    block *b = &j->slot[slot];
    tamis__records records;
    tamis__record record;
    b->n = 0;
    tamis__records_init(&records, TAMIS__RECORDS_JSONL, b->begin, (size_t)(b->end - b->begin));
    records.at = b->begin; /* three bytes that look like a byte order mark are none here */
    for (;;) {
        TAMIS_TRY(tamis__records_next(&records, "", &record, err));
        if (!record.data) break;
        TAMIS_TRY(enlarge(b, err));
        b->record[b->n++] = (found){
            .data = record.data,
            .size = record.size,
            .line = record.line,
            .digest = j->blocks->digests ? tamis__record_digest(&record) : 0,
            .ended = record.span > record.size,
            .crlf = record.span == record.size + 2,
        };
    }
    b->lines = record.line - 1;
    return TAMIS_OK;
}

static tamis_status consume(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)item;
    job *j = arg;
    const block *b = &j->slot[slot];
    for (size_t i = 0; i < b->n; i++) {
        const found *f = &b->record[i];
        tamis__record record = {.data = f->data,
                                .size = f->size,
                                .span = f->size + f->ended + f->crlf,
                                .line = j->line + f->line,
                                .number = (int64_t)j->number++};
        TAMIS_TRY(j->blocks->record(j->blocks->arg, &record, f->digest, err));
    }
    j->line += b->lines;
    if (b->begin == b->end) return TAMIS_OK;
    return j->blocks->done(j->blocks->arg, (size_t)(b->end - j->blocks->data), err);
}

static tamis_status run(tamis__pool *pool, const tamis__blocks *blocks, tamis_error *err)
{
    job j = {.blocks = blocks, .cursor = blocks->first};
    tamis__pipeline pipeline = {.arg = &j,
                                .items = (blocks->size + BLOCK_BYTES - 1) / BLOCK_BYTES,
                                .produce = produce,
                                .work = work,
                                .consume = consume};
    unsigned slots = tamis__pool_slots(pool, &pipeline);
    j.slot = tamis__calloc(slots, sizeof *j.slot);
    if (!j.slot) return tamis__fail_memory(err, "blocks", slots * sizeof *j.slot);
    tamis_status status = tamis__pool_run(pool, &pipeline, err);
    for (unsigned i = 0; i < slots; i++) free(j.slot[i].record);
    free(j.slot);
    return status;
}

tamis_status tamis__blocks_run(const tamis_context *context, const tamis__blocks *blocks,
                               tamis_error *err)
{
    if (context) return run(context->pool, blocks, err);
    tamis__pool *pool = NULL;
    TAMIS_TRY(tamis__pool_create(&pool, 1, err));
    tamis_status status = run(pool, blocks, err);
    tamis__pool_destroy(&pool);
    return status;
}
