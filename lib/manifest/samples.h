/* Samples of binary data sets: where their bytes lie, whether they are those that were scored, and
 * in which order they are written.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_SAMPLES_H
#define TAMIS_MANIFEST_SAMPLES_H

#include "base/watch.h"
#include "manifest/registry.h"

typedef struct tamis__chunk {
    const unsigned char *data;
    size_t size;
} tamis__chunk;

/* One row: bytes of an input, in one piece or in several. */
typedef struct tamis__sample {
    uint64_t first; /* chunk */
    uint64_t chunks;
    uint64_t bytes;
    size_t source; /* which file it is in */
} tamis__sample;

/* A file that samples lie in. All of it is the caller's, and stays while samples are used. */
typedef struct tamis__samples_input {
    tamis__input bytes;
    tamis__watch watch;
    const char *path;
} tamis__samples_input;

typedef struct tamis__samples {
    uint64_t n, room, chunks, chunk_room, input_room;
    tamis__sample *of;   /* [n] */
    tamis__chunk *chunk; /* [chunks] */
    size_t inputs;
    tamis__samples_input *input; /* [inputs] by the samples' `source` */
} tamis__samples;

/* One more file, which further samples are in. Errors: NOMEM. */
tamis_status tamis__samples_open(tamis__samples *samples, const tamis__samples_input *input,
                                 tamis_error *err);
/* One more sample, in the last file, without bytes. Errors: NOMEM. */
tamis_status tamis__samples_add(tamis__samples *samples, tamis_error *err);
/* More bytes of the last sample. Errors: NOMEM. */
tamis_status tamis__samples_extend(tamis__samples *samples, const unsigned char *data, size_t size,
                                   tamis_error *err);
void tamis__samples_fini(tamis__samples *samples);

/* IO when one of the files is not as it was when it was opened. */
tamis_status tamis__samples_unchanged(const tamis__samples *samples, tamis_error *err);

/* Compare their number with the selection's rows, and their digests (XXH3-64 of a sample's bytes)
 * where it has some, by all threads. `path` is for messages. Errors: SHAPE, FORMAT, NOMEM,
 * CANCELLED. */
tamis_status tamis__samples_compare(const tamis__samples *samples, const tamis__manifest_job *job,
                                    const char *path, tamis_error *err);

typedef tamis_status tamis__sample_fn(void *arg, uint64_t row, tamis_error *err);

/* Pages of the inputs that are mapped because samples were read. Set `most` and zero the rest. */
typedef struct tamis__held {
    const unsigned char *end; /* of the sample before */
    uint64_t bytes, most;     /* most: set by the caller */
    uint64_t unchecked;       /* bytes read since the inputs were looked at */
    size_t first, last;       /* inputs that they are in */
} tamis__held;

/* The sample was read. True when it is time to let go. */
bool tamis__held_add(tamis__held *held, const tamis__samples *samples, uint64_t row);
/* Now and then, of what was added: tamis__samples_unchanged(). */
tamis_status tamis__held_check(tamis__held *held, const tamis__samples *samples, tamis_error *err);
/* They come back when they are touched. */
void tamis__held_release(tamis__held *held, const tamis__samples *samples);

/* Call `put` for each row of a part in the plan's order, as often as the plan says. */
tamis_status tamis__part_each(const tamis__manifest_job *job, size_t part, tamis__sample_fn *put,
                              void *arg, tamis_error *err);

/* Close and put in place, or remove when `status` says that it went wrong; returns the first
 * failure. */
tamis_status tamis__shard_end(tamis__output *output, tamis_status status, tamis_error *err);

/* "<directory>/<name>". Allocated. Errors: NOMEM. */
tamis_status tamis__join_path(const char *directory, const char *name, char **ret_path,
                              tamis_error *err);

#endif
