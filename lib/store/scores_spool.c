/* The spool beside a scores file that is to be resumed.
 *
 *     header   magic, version, key, rows, queries, XXH3 of these     each 8 bytes
 *     record   first row, rows, first query, queries                 each 8 bytes
 *              the values, packed                                    rows * queries * 4 bytes
 *              XXH3 of the record                                    8 bytes
 *
 * Numbers are in the machine's order: a spool does not travel. A record's digest begins with the
 * spool's key as seed, so that no record of another spool passes.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/scores_spool.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/scores_file.h"

/* Written and digested at a time. */
#define BLOCK      ((size_t)1 << 20)
#define SYNC_BYTES ((uint64_t)64 << 20)

typedef struct header {
    char magic[8];
    uint64_t version, key, rows, queries, digest;
} header;

typedef struct record {
    uint64_t first_row, rows, first_query, queries;
} record;

static const char magic[8] = {'t', 'a', 'm', 'i', 's', 's', 'p', 'l'};

/* A record's bytes with its head and digest. */
static uint64_t record_size(const record *r)
{
    return sizeof *r + r->rows * r->queries * sizeof(float) + sizeof(uint64_t);
}

/* --- reading and writing at a place ----------------------------------------------------------- */

static tamis_status write_at(const tamis__spool *spool, const void *bytes, size_t size,
                             uint64_t place, tamis_error *err)
{
    const unsigned char *at = bytes;
    while (size > 0) {
        ssize_t put = tamis__fault_io() ? -1 : pwrite(spool->fd, at, size, (off_t)place);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return tamis__fail_errno(err, "cannot write '%s'", spool->path);
        at += put;
        place += (uint64_t)put;
        size -= (size_t)put;
    }
    return TAMIS_OK;
}

static tamis_status read_at(const tamis__spool *spool, void *bytes, size_t size, uint64_t place,
                            tamis_error *err)
{
    unsigned char *at = bytes;
    while (size > 0) {
        ssize_t got = tamis__fault_io() ? -1 : pread(spool->fd, at, size, (off_t)place);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return tamis__fail_errno(err, "cannot read '%s'", spool->path);
        if (got == 0)
            return tamis__fail(err, TAMIS_ERR_IO, "cannot read '%s': it shrank", spool->path);
        at += got;
        place += (uint64_t)got;
        size -= (size_t)got;
    }
    return TAMIS_OK;
}

static tamis_status sync_spool(tamis__spool *spool, tamis_error *err)
{
    if (tamis__fault_io() || fsync(spool->fd))
        return tamis__fail_errno(err, "cannot write '%s'", spool->path);
    spool->unsynced = 0;
    return TAMIS_OK;
}

static tamis_status cut(const tamis__spool *spool, uint64_t size, tamis_error *err)
{
    if (tamis__fault_io() || ftruncate(spool->fd, (off_t)size))
        return tamis__fail_errno(err, "cannot write '%s'", spool->path);
    return TAMIS_OK;
}

/* --- header ----------------------------------------------------------------------------------- */

static header header_of(const tamis__spool *spool)
{
    header h = {.version = 1, .key = spool->key, .rows = spool->rows, .queries = spool->queries};
    memcpy(h.magic, magic, sizeof h.magic);
    h.digest = tamis__digest(&h, offsetof(header, digest));
    return h;
}

static tamis_status start_anew(tamis__spool *spool, tamis_error *err)
{
    header h = header_of(spool);
    TAMIS_TRY(cut(spool, 0, err));
    TAMIS_TRY(write_at(spool, &h, sizeof h, 0, err));
    TAMIS_TRY(sync_spool(spool, err));
    tamis__directory_sync(spool->path);
    spool->size = spool->end = sizeof h;
    return TAMIS_OK;
}

static tamis_status no_spool(const tamis__spool *spool, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "cannot resume: '%s' is no spool of tamis: move it out of the way",
                       spool->path);
}

static tamis_status check_header(tamis__spool *spool, tamis_error *err)
{
    header there, wanted = header_of(spool);
    TAMIS_TRY(read_at(spool, &there, sizeof there, 0, err));
    if (memcmp(there.magic, magic, sizeof magic) != 0 ||
        there.digest != tamis__digest(&there, offsetof(header, digest)))
        return no_spool(spool, err);
    if (there.version != wanted.version)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "cannot resume: '%s' is of another version of tamis: remove it to start "
                           "anew",
                           spool->path);
    if (there.rows != wanted.rows || there.queries != wanted.queries)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "cannot resume: '%s' holds scores of %" PRIu64 " rows and %" PRIu64
                           " queries, now they are %" PRIu64 " and %" PRIu64
                           ": remove it to start anew",
                           spool->path, there.rows, there.queries, wanted.rows, wanted.queries);
    if (there.key != wanted.key)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "cannot resume: '%s' was made otherwise, with other inputs or options: "
                           "remove it to start anew",
                           spool->path);
    spool->end = sizeof there;
    return TAMIS_OK;
}

/* A run that was killed while it wrote the header left a part of it, or nothing. */
static tamis_status check_start(tamis__spool *spool, tamis_error *err)
{
    char start[sizeof magic];
    size_t size = spool->size < sizeof start ? (size_t)spool->size : sizeof start;
    if (spool->size >= sizeof(header)) return check_header(spool, err);
    TAMIS_TRY(read_at(spool, start, size, 0, err));
    if (memcmp(start, magic, size) != 0) return no_spool(spool, err);
    return start_anew(spool, err);
}

/* --- open and close --------------------------------------------------------------------------- */

static char *spool_path(const char *output)
{
    size_t size = strlen(output);
    char *path = tamis__malloc(size + sizeof ".spool", 1);
    if (!path) return NULL;
    memcpy(path, output, size);
    memcpy(path + size, ".spool", sizeof ".spool");
    return path;
}

static tamis_status open_file(tamis__spool *spool, tamis_error *err)
{
    struct stat st;
    if (!tamis__lock_open(spool->path, &spool->fd)) {
        spool->fd = -1;
        return tamis__fail(err, TAMIS_ERR_IO, "'%s' is in use by another run: wait for it",
                           spool->path);
    }
    if (spool->fd < 0) return tamis__fail_errno(err, "cannot open '%s'", spool->path);
    if (fstat(spool->fd, &st)) return tamis__fail_errno(err, "cannot read '%s'", spool->path);
    if (!S_ISREG(st.st_mode)) return no_spool(spool, err);
    spool->size = (uint64_t)st.st_size;
    return TAMIS_OK;
}

static void release(tamis__spool *spool)
{
    if (spool->path && spool->fd >= 0) close(spool->fd);
    free(spool->path);
    free(spool->buffer);
    *spool = (tamis__spool){.fd = -1};
}

tamis_status tamis__spool_open(tamis__spool *ret_spool, const tamis_context *context,
                               const char *output, const char *key, uint64_t rows, uint64_t queries,
                               tamis_error *err)
{
    tamis__spool spool = {.context = context,
                          .path = spool_path(output),
                          .fd = -1,
                          .key = tamis__digest(key, strlen(key)),
                          .rows = rows,
                          .queries = queries,
                          .buffer = tamis__malloc(BLOCK, 1)};
    tamis_status status = spool.path && spool.buffer ? open_file(&spool, err)
                                                     : tamis__fail_memory(err, "a spool", BLOCK);
    bool ours = status == TAMIS_OK && spool.size == 0;
    if (status == TAMIS_OK) status = check_start(&spool, err);
    if (status == TAMIS_OK) {
        *ret_spool = spool;
    } else {
        if (ours) unlink(spool.path); /* made just now */
        release(&spool);
    }
    return status;
}

void tamis__spool_close(tamis__spool *spool, bool keep)
{
    if (!spool->path) return;
    bool empty = spool->records == 0 && spool->size <= sizeof(header);
    if (!keep || empty) {
        if (unlink(spool->path))
            tamis__log(spool->context, TAMIS_LOG_WARNING,
                       "'%s' is not needed any more, but cannot be removed", spool->path);
    } else {
        (void)fsync(spool->fd);
    }
    release(spool); /* last: it holds the lock */
}

/* --- records ---------------------------------------------------------------------------------- */

/* Values of a record as they come, gathered to blocks of fixed size: the digest must not depend on
 * how they lay in memory. */
typedef struct flow {
    tamis__spool *spool;
    uint64_t place, digest;
    size_t used; /* of the buffer */
} flow;

static uint64_t digest_head(const tamis__spool *spool, const record *r)
{
    return tamis__digest_seeded(r, sizeof *r, spool->key);
}

static tamis_status flush(flow *f, tamis_error *err)
{
    f->digest = tamis__digest_seeded(f->spool->buffer, f->used, f->digest);
    TAMIS_TRY(write_at(f->spool, f->spool->buffer, f->used, f->place, err));
    f->place += f->used;
    f->used = 0;
    return TAMIS_OK;
}

static tamis_status pour(flow *f, const void *bytes, size_t size, tamis_error *err)
{
    const unsigned char *at = bytes;
    while (size > 0) {
        size_t n = size < BLOCK - f->used ? size : BLOCK - f->used;
        memcpy(f->spool->buffer + f->used, at, n);
        f->used += n;
        at += n;
        size -= n;
        if (f->used == BLOCK) TAMIS_TRY(flush(f, err));
    }
    return TAMIS_OK;
}

tamis_status tamis__spool_append(tamis__spool *spool, const tamis__h5_part *part,
                                 const float *values, tamis_error *err)
{
    record r = {part->first_row, part->rows, part->first_column, part->columns};
    flow f = {.spool = spool, .place = spool->end + sizeof r, .digest = digest_head(spool, &r)};
    TAMIS_TRY(write_at(spool, &r, sizeof r, spool->end, err));
    for (uint64_t i = 0; i < r.rows; i++)
        TAMIS_TRY(pour(&f, values + i * part->stride, (size_t)r.queries * sizeof *values, err));
    if (f.used > 0) TAMIS_TRY(flush(&f, err));
    TAMIS_TRY(write_at(spool, &f.digest, sizeof f.digest, f.place, err));
    spool->end += record_size(&r);
    spool->records++;
    spool->unsynced += record_size(&r);
    return spool->unsynced < SYNC_BYTES ? TAMIS_OK : sync_spool(spool, err);
}

static uint64_t digest_values(uint64_t digest, const unsigned char *bytes, uint64_t size)
{
    for (uint64_t at = 0; at < size; at += BLOCK)
        digest = tamis__digest_seeded(bytes + at, size - at < BLOCK ? (size_t)(size - at) : BLOCK,
                                      digest);
    return digest;
}

/* Values of a record, and room for the largest so far. */
typedef struct loaded {
    record head;
    float *values;
    uint64_t room;
} loaded;

/* Head and place of the record make sense, so that its size can be counted on. */
static bool plausible(const tamis__spool *spool, const record *r, uint64_t place)
{
    if (r->rows == 0 || r->first_row >= spool->rows || r->rows > spool->rows - r->first_row)
        return false;
    if (r->queries == 0 || r->first_query >= spool->queries ||
        r->queries > spool->queries - r->first_query)
        return false;
    return record_size(r) <= spool->size - place;
}

static tamis_status make_room(const tamis__spool *spool, loaded *l, uint64_t size, tamis_error *err)
{
    if (size <= l->room) return TAMIS_OK;
    TAMIS_TRY(tamis__memory_check(spool->context, size, "resuming", err));
    float *grown = tamis__realloc(l->values, (size_t)size, 1);
    if (!grown) return tamis__fail_memory(err, "resuming", size);
    l->values = grown;
    l->room = size;
    return TAMIS_OK;
}

/* The record at `place`; *ret_whole is false when there is none, or a torn one. */
static tamis_status load(const tamis__spool *spool, uint64_t place, loaded *l, bool *ret_whole,
                         tamis_error *err)
{
    uint64_t digest = 0;
    *ret_whole = false;
    if (spool->size - place < sizeof l->head) return TAMIS_OK;
    TAMIS_TRY(read_at(spool, &l->head, sizeof l->head, place, err));
    if (!plausible(spool, &l->head, place)) return TAMIS_OK;
    uint64_t size = l->head.rows * l->head.queries * sizeof *l->values;
    TAMIS_TRY(make_room(spool, l, size, err));
    TAMIS_TRY(read_at(spool, l->values, (size_t)size, place + sizeof l->head, err));
    TAMIS_TRY(read_at(spool, &digest, sizeof digest, place + sizeof l->head + size, err));
    *ret_whole = digest == digest_values(digest_head(spool, &l->head),
                                         (const unsigned char *)l->values, size);
    return TAMIS_OK;
}

/* Records from the first on, `limit` of them at most, to the sink. */
static tamis_status read_records(const tamis__spool *spool, uint64_t limit, tamis_scores_sink sink,
                                 void *arg, uint64_t *ret_records, uint64_t *ret_end,
                                 tamis_error *err)
{
    loaded l = {0};
    uint64_t records = 0, place = sizeof(header);
    tamis_status status = TAMIS_OK;
    bool whole = true;
    while (records < limit) {
        status = load(spool, place, &l, &whole, err);
        if (status != TAMIS_OK || !whole) break;
        const record *r = &l.head;
        status = sink(arg, r->first_row, r->rows, r->first_query, r->queries, l.values,
                      (size_t)r->queries, err);
        if (status != TAMIS_OK) break;
        place += record_size(r);
        records++;
        status = tamis__progress(spool->context, "resuming", place, spool->size, "bytes", NULL,
                                 err);
        if (status != TAMIS_OK) break;
    }
    free(l.values);
    *ret_records = records;
    *ret_end = place;
    return status;
}

tamis_status tamis__spool_recover(tamis__spool *spool, tamis_scores_sink sink, void *arg,
                                  tamis_error *err)
{
    uint64_t records = 0, end = 0;
    TAMIS_TRY(read_records(spool, UINT64_MAX, sink, arg, &records, &end, err));
    if (end < spool->size) {
        tamis__log(spool->context, TAMIS_LOG_WARNING,
                   "'%s': %" PRIu64 " bytes at its end are no whole block and are done again",
                   spool->path, spool->size - end);
        TAMIS_TRY(cut(spool, end, err));
    }
    spool->end = spool->size = end;
    spool->records = spool->resumed = records;
    return TAMIS_OK;
}

tamis_status tamis__spool_replay(const tamis__spool *spool, tamis_scores_sink sink, void *arg,
                                 tamis_error *err)
{
    uint64_t records = 0, end = 0;
    TAMIS_TRY(read_records(spool, spool->resumed, sink, arg, &records, &end, err));
    if (records == spool->resumed) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s' was changed while it was read: remove it to start anew", spool->path);
}
