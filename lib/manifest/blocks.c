/* Records in blocks.
 *
 * A block begins behind a line feed, which of CSV may be within quotes: nobody knows before all
 * blocks in front of it were read. So it is read as if it began outside of quotes, and then as if
 * within, until a record ends where one ends of the first reading: from there on both are the same.
 * A quote opens a field only at its beginning, and most often the first quote or two bring the
 * readings together. Which of them is right is known when blocks are given, in their order.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "manifest/blocks.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "manifest/threads.h"

/* Small enough for a core's cache, so that the digest finds there what the search for line ends has
 * read. */
#define BLOCK_BYTES ((size_t)1 << 20)

#define NEVER SIZE_MAX

typedef struct found {
    const unsigned char *data;
    size_t size;
    uint64_t line; /* from 1, within the block */
    uint64_t digest;
    bool ended; /* by LF */
    bool crlf;  /* and a CR before it */
} found;

/* A record that the block does not end, since it ends within quotes. */
typedef struct unended {
    const unsigned char *data; /* NULL = none */
    uint64_t line, quote;      /* of the record, and of the quote that is open */
} unended;

typedef struct reading {
    found *record; /* within: the first is the end of a record of earlier blocks */
    size_t n, room;
    size_t joins; /* within: behind these come the records outside from this one on, or NEVER */
    bool whole;   /* within: the block ends no record, and `open` has at most a quote */
    unended open;
} reading;

typedef struct block {
    const unsigned char *begin, *end; /* whole lines */
    const unsigned char *quote;       /* the first one of CSV and TSV, or end */
    reading outside, within;
    uint64_t lines;
} block;

typedef struct job {
    const tamis__blocks *blocks;
    block *slot;
    size_t cursor; /* the next block begins here */
    uint64_t line;
    int64_t number;
    unended open; /* when the block at hand begins */
} job;

static size_t block_bytes(const tamis__blocks *blocks)
{
    return blocks->block ? blocks->block : BLOCK_BYTES;
}

/* Lines that begin before the end of the item's piece of the file. A line longer than a piece
 * leaves the next ones empty. */
static tamis_status produce(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)err;
    job *j = arg;
    const tamis__blocks *all = j->blocks;
    block *b = &j->slot[slot];
    size_t stop = (size_t)(item + 1) * block_bytes(all), end = j->cursor;
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

static tamis_status enlarge(reading *r, tamis_error *err)
{
    if (r->n < r->room) return TAMIS_OK;
    size_t room = r->room ? 2 * r->room : 1024;
    found *grown = tamis__realloc(r->record, room, sizeof *grown);
    if (!grown) return tamis__fail_memory(err, "records of a block", room * sizeof *grown);
    r->record = grown;
    r->room = room;
    return TAMIS_OK;
}

static tamis_status add(reading *r, const tamis__record *record, bool digest, tamis_error *err)
{
    TAMIS_TRY(enlarge(r, err));
    r->record[r->n++] = (found){
        .data = record->data,
        .size = record->size,
        .line = record->line,
        .digest = digest ? tamis__record_digest(record) : 0,
        .ended = record->span > record->size,
        .crlf = record->span == record->size + 2,
    };
    return TAMIS_OK;
}

static const unsigned char *end_of(const found *f)
{
    return f->data + f->size + f->ended + f->crlf;
}

static tamis__records records_of(const tamis__blocks *blocks, const block *b)
{
    tamis__records records;
    tamis__records_init(&records, blocks->kind, b->begin, (size_t)(b->end - b->begin));
    records.at = b->begin;    /* three bytes that look like a byte order mark are none here */
    records.quote = b->quote; /* neither reading need look for it again */
    return records;
}

static tamis_status read_outside(const tamis__blocks *blocks, block *b, tamis_error *err)
{
    reading *r = &b->outside;
    tamis__records records = records_of(blocks, b);
    tamis__record record;
    uint64_t quote;
    r->n = 0;
    r->open = (unended){NULL, 0, 0};
    for (;;) {
        if (!tamis__records_piece(&records, false, &record, &quote)) {
            r->open = (unended){record.data, record.line, quote};
            break;
        }
        if (!record.data) break;
        TAMIS_TRY(add(r, &record, blocks->digests, err));
    }
    b->lines = records.line - 1;
    return TAMIS_OK;
}

static tamis_status read_within(const tamis__blocks *blocks, block *b, tamis_error *err)
{
    const reading *other = &b->outside;
    reading *r = &b->within;
    tamis__records records = records_of(blocks, b);
    tamis__record record;
    uint64_t quote;
    size_t k = 0;
    r->n = 0;
    r->joins = NEVER;
    r->whole = true;
    r->open = (unended){NULL, 0, 0};
    if (b->quote == b->end) return TAMIS_OK;
    for (bool first = true;; first = r->whole = false) {
        if (!tamis__records_piece(&records, first, &record, &quote)) {
            r->open = (unended){first ? NULL : record.data, record.line, quote};
            return TAMIS_OK;
        }
        if (!record.data) return TAMIS_OK;
        TAMIS_TRY(add(r, &record, blocks->digests && !first, err));
        const unsigned char *end = end_of(&r->record[r->n - 1]);
        while (k < other->n && end_of(&other->record[k]) < end) k++;
        if (k == other->n || end_of(&other->record[k]) != end) continue;
        r->whole = false;
        r->joins = k + 1;
        return TAMIS_OK;
    }
}

static tamis_status work(void *arg, uint64_t item, unsigned slot, unsigned worker, tamis_error *err)
{
    (void)item, (void)worker;
    const job *j = arg;
    block *b = &j->slot[slot];
    bool quotes = j->blocks->kind != TAMIS__RECORDS_JSONL;
    b->quote = quotes ? memchr(b->begin, '"', (size_t)(b->end - b->begin)) : NULL;
    if (!b->quote) b->quote = b->end;
    TAMIS_TRY(read_outside(j->blocks, b, err));
    return quotes && b->begin != b->end && b->begin > j->blocks->data + j->blocks->first
               ? read_within(j->blocks, b, err)
               : TAMIS_OK;
}

static tamis_status give(job *j, const found *f, tamis_error *err)
{
    tamis__record record = {.data = f->data,
                            .size = f->size,
                            .span = f->size + f->ended + f->crlf,
                            .line = j->line + f->line,
                            .number = j->number++};
    return j->blocks->record(j->blocks->arg, &record, f->digest, err);
}

/* A record that began in an earlier block ends with `end`. */
static tamis_status give_long(job *j, const found *end, tamis_error *err)
{
    tamis__record record = {.data = j->open.data,
                            .size = (size_t)(end->data + end->size - j->open.data),
                            .line = j->open.line,
                            .number = j->number++};
    record.span = record.size + end->ended + end->crlf;
    j->open.data = NULL;
    uint64_t digest = j->blocks->digests ? tamis__record_digest(&record) : 0;
    return j->blocks->record(j->blocks->arg, &record, digest, err);
}

static tamis_status give_block(job *j, const block *b, tamis_error *err)
{
    const reading *r = &b->outside;
    size_t from = 0;
    if (j->open.data) {
        r = &b->within;
        if (r->whole && r->open.quote) j->open.quote = j->line + r->open.quote;
        if (r->whole) return TAMIS_OK;
        TAMIS_TRY(give_long(j, &r->record[0], err));
        for (size_t i = 1; i < r->n; i++) TAMIS_TRY(give(j, &r->record[i], err));
        from = r->joins == NEVER ? r->n : r->joins;
        if (r->joins != NEVER) r = &b->outside;
    }
    for (size_t i = from; i < r->n; i++) TAMIS_TRY(give(j, &r->record[i], err));
    if (r->open.data)
        j->open = (unended){r->open.data, j->line + r->open.line, j->line + r->open.quote};
    return TAMIS_OK;
}

static tamis_status consume(void *arg, uint64_t item, unsigned slot, tamis_error *err)
{
    (void)item;
    job *j = arg;
    const block *b = &j->slot[slot];
    if (b->begin == b->end) return TAMIS_OK;
    TAMIS_TRY(give_block(j, b, err));
    j->line += b->lines;
    return j->blocks->done(j->blocks->arg, (size_t)(b->end - j->blocks->data), err);
}

tamis_status tamis__blocks_run(const tamis_context *context, const tamis__blocks *blocks,
                               tamis_error *err)
{
    job j = {.blocks = blocks,
             .cursor = blocks->first,
             .number = blocks->kind == TAMIS__RECORDS_JSONL ? 0 : -1};
    tamis__pipeline pipeline = {.arg = &j,
                                .items = (blocks->size + block_bytes(blocks) - 1) /
                                         block_bytes(blocks),
                                .slots = 2 * tamis__threads_of(context),
                                .produce = produce,
                                .work = work,
                                .consume = consume};
    j.slot = tamis__calloc(pipeline.slots, sizeof *j.slot);
    if (!j.slot) return tamis__fail_memory(err, "blocks", pipeline.slots * sizeof *j.slot);
    tamis_status status = tamis__threads_run(context, &pipeline, err);
    for (unsigned i = 0; i < pipeline.slots; i++) {
        free(j.slot[i].outside.record);
        free(j.slot[i].within.record);
    }
    free(j.slot);
    if (status == TAMIS_OK && j.open.data)
        return tamis__records_unclosed(blocks->path, j.open.quote, err);
    return status;
}
