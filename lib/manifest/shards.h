/* Samples on their way into the files of a directory, by all threads.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_SHARDS_H
#define TAMIS_MANIFEST_SHARDS_H

#include "manifest/samples.h"

typedef struct tamis__shard {
    char name[40];
    uint64_t first, n; /* its rows: those from `first` on in the list of all */
    uint64_t bytes;    /* of its samples */
    char md5[33];      /* of the whole file, where it is wanted; else "" */
} tamis__shard;

/* What a format says of its files. */
typedef struct tamis__shard_form {
    const void *arg; /* handed to the calls; all of these may be NULL */
    bool md5;        /* of each file: nothing stands before the samples */
    /* Write what stands before the samples. */
    tamis_status (*head)(const void *arg, const tamis__shard *shard, const uint64_t *row,
                         tamis__output *output, tamis_error *err);
    /* How many zero bytes stand behind them. */
    size_t (*tail)(const tamis__shard *shard);
    /* Is the sample whole? On any thread, several at once. */
    tamis_status (*check)(const void *arg, uint64_t row, tamis_error *err);
} tamis__shard_form;

/* Which rows are in which file. Zero-initialise. */
typedef struct tamis__shards {
    uint64_t n, room, rows, row_room;
    tamis__shard *of; /* [n] */
    uint64_t *row;    /* [rows] of all files, one after another */
} tamis__shards;

/* One more file, empty. Errors: NOMEM. */
tamis_status tamis__shards_begin(tamis__shards *shards, const char *name, tamis_error *err);
/* One more row in the last file. Errors: NOMEM. */
tamis_status tamis__shards_add(tamis__shards *shards, const tamis__samples *samples, uint64_t row,
                               tamis_error *err);
void tamis__shards_fini(tamis__shards *shards);

/* Write and commit all files; without a tree the samples are only checked. The files are the same
 * for any number of threads, which copy pieces of 1 MiB, or with MD5 a file each.
 * `total` is the number of rows that the progress is of. Errors: IO, NOMEM, CANCELLED, what the
 * calls return for the first row that they refuse. */
tamis_status tamis__shards_write(tamis__shards *shards, const tamis__samples *samples,
                                 const tamis__manifest_job *job, const tamis__tree *tree,
                                 const tamis__shard_form *form, tamis_error *err);

#endif
