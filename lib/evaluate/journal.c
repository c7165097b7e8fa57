/* The file of runs.
 *
 *     header   magic, version, key, queries, XXH3 of these      each 8 bytes
 *     record   run                                              8 bytes
 *              loss, margin                                     8 bytes a query each
 *              correct                                          1 byte a query
 *              XXH3 of the record                               8 bytes
 *
 * The key is a digest of data, queries and training parameters, the run one of the subset and the
 * seed. Numbers are in the machine's order. A record's digest has the file's key as seed, so that
 * no record of another file passes.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "evaluate/journal.h"

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

/* Records between two syncs: a sync takes as long as a small training. */
#define SYNC_RECORDS 16

typedef struct header {
    char magic[8];
    uint64_t version, key, queries, digest;
} header;

static const char magic[8] = {'t', 'a', 'm', 'i', 's', 'r', 'u', 'n'};

static size_t values_size(const tamis__journal *j)
{
    return (size_t)j->queries * (2 * sizeof(double) + 1);
}

static size_t record_size(const tamis__journal *j)
{
    return 2 * sizeof(uint64_t) + values_size(j);
}

static tamis_status write_at(const tamis__journal *j, const void *bytes, size_t size,
                             uint64_t place, tamis_error *err)
{
    const unsigned char *at = bytes;
    while (size > 0) {
        ssize_t put = tamis__fault_io() ? -1 : pwrite(j->fd, at, size, (off_t)place);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return tamis__fail_errno(err, "cannot write '%s'", j->path);
        at += put;
        place += (uint64_t)put;
        size -= (size_t)put;
    }
    return TAMIS_OK;
}

static tamis_status read_at(const tamis__journal *j, void *bytes, size_t size, uint64_t place,
                            tamis_error *err)
{
    unsigned char *at = bytes;
    while (size > 0) {
        ssize_t got = tamis__fault_io() ? -1 : pread(j->fd, at, size, (off_t)place);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return tamis__fail_errno(err, "cannot read '%s'", j->path);
        if (got == 0) return tamis__fail(err, TAMIS_ERR_IO, "cannot read '%s': it shrank", j->path);
        at += got;
        place += (uint64_t)got;
        size -= (size_t)got;
    }
    return TAMIS_OK;
}

static tamis_status sync_journal(tamis__journal *j, tamis_error *err)
{
    j->unsynced = 0;
    if (!tamis__fault_io() && fsync(j->fd) == 0) return TAMIS_OK;
    return tamis__fail_errno(err, "cannot write '%s'", j->path);
}

static tamis_status cut(const tamis__journal *j, uint64_t size, tamis_error *err)
{
    if (!tamis__fault_io() && ftruncate(j->fd, (off_t)size) == 0) return TAMIS_OK;
    return tamis__fail_errno(err, "cannot write '%s'", j->path);
}

/* --- header ----------------------------------------------------------------------------------- */

static tamis_status no_journal(const tamis__journal *j, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_FORMAT,
                       "'%s' is no file of runs: name another one with --runs", j->path);
}

static tamis_status start_anew(tamis__journal *j, tamis_error *err)
{
    header h = {.version = 1, .key = j->key, .queries = j->queries};
    memcpy(h.magic, magic, sizeof h.magic);
    h.digest = tamis__digest(&h, offsetof(header, digest));
    TAMIS_TRY(cut(j, 0, err));
    TAMIS_TRY(write_at(j, &h, sizeof h, 0, err));
    TAMIS_TRY(sync_journal(j, err));
    tamis__directory_sync(j->path);
    j->size = j->end = sizeof h;
    return TAMIS_OK;
}

static tamis_status check_header(tamis__journal *j, tamis_error *err)
{
    header h;
    TAMIS_TRY(read_at(j, &h, sizeof h, 0, err));
    if (memcmp(h.magic, magic, sizeof magic) != 0 ||
        h.digest != tamis__digest(&h, offsetof(header, digest)))
        return no_journal(j, err);
    if (h.version != 1)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' is of another version of tamis: name another file of runs",
                           j->path);
    if (h.queries != j->queries)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' holds runs for %" PRIu64 " queries, now there are %" PRIu64
                           ": name another file of runs",
                           j->path, h.queries, j->queries);
    if (h.key != j->key)
        return tamis__fail(err, TAMIS_ERR_SHAPE,
                           "'%s' holds runs on other data or with other training parameters: name "
                           "another file of runs",
                           j->path);
    j->end = sizeof h;
    return TAMIS_OK;
}

/* A command that was killed while it wrote the header left a part of it, or nothing. */
static tamis_status check_start(tamis__journal *j, tamis_error *err)
{
    char start[sizeof magic];
    size_t size = j->size < sizeof start ? (size_t)j->size : sizeof start;
    if (j->size >= sizeof(header)) return check_header(j, err);
    TAMIS_TRY(read_at(j, start, size, 0, err));
    return memcmp(start, magic, size) ? no_journal(j, err) : start_anew(j, err);
}

static tamis_status open_file(tamis__journal *j, tamis_error *err)
{
    struct stat st;
    if (!tamis__lock_open(j->path, &j->fd)) {
        j->fd = -1;
        return tamis__fail(err, TAMIS_ERR_IO, "'%s' is in use by another run: wait for it",
                           j->path);
    }
    if (j->fd < 0) return tamis__fail_errno(err, "cannot open '%s'", j->path);
    if (fstat(j->fd, &st)) return tamis__fail_errno(err, "cannot read '%s'", j->path);
    if (!S_ISREG(st.st_mode)) return no_journal(j, err);
    j->size = (uint64_t)st.st_size;
    return TAMIS_OK;
}

tamis_status tamis__journal_open(tamis__journal *ret_journal, const tamis_context *context,
                                 const char *path, uint64_t key, uint64_t queries, tamis_error *err)
{
    tamis__journal j = {.context = context, .path = path, .fd = -1, .key = key, .queries = queries};
    j.record = tamis__malloc(record_size(&j), 1);
    tamis_status status = j.record ? open_file(&j, err)
                                   : tamis__fail_memory(err, "a run", record_size(&j));
    bool ours = status == TAMIS_OK && j.size == 0;
    if (status == TAMIS_OK) status = check_start(&j, err);
    if (status == TAMIS_OK) {
        *ret_journal = j;
        return TAMIS_OK;
    }
    if (ours) unlink(path); /* made just now */
    if (j.fd >= 0) close(j.fd);
    free(j.record);
    return status;
}

void tamis__journal_close(tamis__journal *journal)
{
    if (!journal->path) return;
    if (journal->end <= sizeof(header))
        (void)unlink(journal->path); /* no run came about */
    else if (journal->unsynced > 0)
        (void)fsync(journal->fd);
    free(journal->record);
    close(journal->fd);
    *journal = (tamis__journal){0};
}

/* --- records ---------------------------------------------------------------------------------- */

/* Where the values are in a record; its first 8 bytes are the run. */
static tamis__run_values values_in(const tamis__journal *j)
{
    unsigned char *at = j->record + sizeof(uint64_t);
    size_t column = (size_t)j->queries * sizeof(double);
    return (tamis__run_values){(double *)(void *)at, (double *)(void *)(at + column),
                               at + 2 * column};
}

static uint64_t digest_of(const tamis__journal *j)
{
    return tamis__digest_seeded(j->record, sizeof(uint64_t) + values_size(j), j->key);
}

tamis_status tamis__journal_recover(tamis__journal *journal, tamis__journal_sink sink, void *arg,
                                    tamis_error *err)
{
    tamis__journal *j = journal;
    size_t size = record_size(j);
    while (j->size - j->end >= size) {
        uint64_t run, digest;
        TAMIS_TRY(read_at(j, j->record, size, j->end, err));
        memcpy(&digest, j->record + size - sizeof digest, sizeof digest);
        if (digest != digest_of(j)) break;
        memcpy(&run, j->record, sizeof run);
        tamis__run_values values = values_in(j);
        sink(arg, run, &values);
        j->end += size;
        TAMIS_TRY(tamis__progress(j->context, "reading runs", j->end, j->size, "bytes", NULL, err));
    }
    if (j->end == j->size) return TAMIS_OK;
    tamis__log(j->context, TAMIS_LOG_WARNING,
               "'%s': %" PRIu64 " bytes at its end are no whole run and are done again", j->path,
               j->size - j->end);
    TAMIS_TRY(cut(j, j->end, err));
    j->size = j->end;
    return TAMIS_OK;
}

tamis_status tamis__journal_add(tamis__journal *journal, uint64_t run,
                                const tamis__run_values *values, tamis_error *err)
{
    tamis__journal *j = journal;
    size_t size = record_size(j), column = (size_t)j->queries * sizeof(double);
    tamis__run_values into = values_in(j);
    memcpy(j->record, &run, sizeof run);
    memcpy(into.loss, values->loss, column);
    memcpy(into.margin, values->margin, column);
    memcpy(into.correct, values->correct, (size_t)j->queries);
    uint64_t digest = digest_of(j);
    memcpy(j->record + size - sizeof digest, &digest, sizeof digest);
    TAMIS_TRY(write_at(j, j->record, size, j->end, err));
    j->end += size;
    j->size = j->end;
    return ++j->unsynced < SYNC_RECORDS ? TAMIS_OK : sync_journal(j, err);
}
