/* A Kaldi data directory, and the part of it that belongs to some of its utterances.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_KALDI_DIR_H
#define TAMIS_MANIFEST_KALDI_DIR_H

#include <tamis/selection.h>

#include "base/file.h"
#include "manifest/kaldi_table.h"

enum { TAMIS__KALDI_FILES = 24 };

/* Zero-initialise. Fields are private but those that say so. */
typedef struct tamis__kaldi_dir {
    const tamis_context *context;
    const char *path;
    char *file_path[TAMIS__KALDI_FILES]; /* by the list of known files; NULL = not there */
    tamis__input input[TAMIS__KALDI_FILES];
    size_t listing;         /* the file that lists the rows */
    uint64_t rows;          /* public: utterances */
    uint64_t bytes;         /* public: size of all files that are read */
    tamis__name *utterance; /* public: [rows] */
    tamis__name *speaker;   /* [rows]; NULL = there is no utt2spk */
    tamis__name *recording; /* [rows]; the utterance itself where there are no segments */
} tamis__kaldi_dir;

/* Open and check all files. Rows are the lines of `listing` (NULL: utt2spk, without one segments,
 * without one text). The caller closes, also after an error. Errors: IO (no directory, no such
 * file), FORMAT (tamis__kaldi_next(); a line of utt2spk or segments that is none; an utterance that
 * lacks one there), ARG (no known file `listing`), UNSUPPORTED, NOMEM. */
tamis_status tamis__kaldi_open(tamis__kaldi_dir *dir, const tamis_context *context,
                               const char *path, const char *listing, tamis_error *err);
void tamis__kaldi_close(tamis__kaldi_dir *dir);

/* Compare with the selection: as many rows, and the same ids where it has any. Errors: SHAPE,
 * FORMAT. */
tamis_status tamis__kaldi_compare(const tamis__kaldi_dir *dir, const tamis_selection *selection,
                                  bool *ret_ids, tamis_error *err);

/* Where files go. `open` makes one; it is committed when it is whole. */
typedef struct tamis__kaldi_sink {
    void *arg;
    tamis_status (*open)(void *arg, const char *name, tamis__output *ret_output, tamis_error *err);
} tamis__kaldi_sink;

/* Write the files of the rows with part[row] == wanted: lines byte for byte, a missing last line
 * feed completed, spk2utt made anew. `sink` NULL: only check and count. Errors: FORMAT (a recording
 * that is not in wav.scp), NOMEM, IO. Logs a warning for each file that lacks some of the names.
 * Complexity: O(bytes + rows log rows). */
tamis_status tamis__kaldi_write(const tamis__kaldi_dir *dir, const uint16_t *part, uint16_t wanted,
                                const tamis__kaldi_sink *sink, uint64_t *ret_records,
                                uint64_t *ret_bytes, tamis_error *err);

#endif
