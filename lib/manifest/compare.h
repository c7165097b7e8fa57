/* Are the samples of a binary data set those of the selection?
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_COMPARE_H
#define TAMIS_MANIFEST_COMPARE_H

#include "manifest/registry.h"

/* Zero-initialise and set `job`. */
typedef struct tamis__compare {
    const tamis__manifest_job *job;
    uint64_t rows; /* samples seen so far: the number of the next row */
    bool differs;  /* at this row: */
    uint64_t row;
    const char *path;
    uint64_t number; /* of the sample in that file */
    char *found;     /* its key; NULL = digests differ */
} tamis__compare;

/* The next sample, sample `number` of the file `path` (which outlives the struct). Its digest,
 * XXH3-64 of its bytes, is compared where the selection has one. True when its row is to be
 * written: after a difference, and past the last row, samples are only counted. */
bool tamis__compare_sample(tamis__compare *compare, const void *bytes, size_t size,
                           const char *path, uint64_t number);

/* The same with its key, which must be the row's id. */
bool tamis__compare_key(tamis__compare *compare, const char *key, size_t key_size,
                        const void *bytes, size_t size, const char *path, uint64_t number);

/* All samples were seen. `what` names them in the plural ("samples"). Errors: SHAPE (more or fewer
 * than the selection has rows), FORMAT (one differs: the first is named). */
tamis_status tamis__compare_end(tamis__compare *compare, const char *what, tamis_error *err);

/* Free what a difference left. */
void tamis__compare_fini(tamis__compare *compare);

#endif
