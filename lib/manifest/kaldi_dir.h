/* A Kaldi data directory: what it holds, read and checked.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_KALDI_DIR_H
#define TAMIS_MANIFEST_KALDI_DIR_H

#include "base/file.h"
#include "manifest/kaldi_table.h"

enum { TAMIS__KALDI_FILES = 24 };

/* Zero-initialise. */
typedef struct tamis__kaldi_dir {
    const tamis_context *context;
    const char *path;
    char *file_path[TAMIS__KALDI_FILES]; /* by the list of known files; NULL = not there */
    tamis__input input[TAMIS__KALDI_FILES];
    size_t listing;         /* the file that lists the rows */
    uint64_t rows;          /* utterances */
    uint64_t bytes;         /* size of all files that are read */
    tamis__name *utterance; /* [rows] */
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

/* Field 1 of each row's line in file i, which is there and must have a line for each row, of
 * `least` to `most` fields; `form` shows such a line. `ret_names` NULL: only check. Errors: FORMAT,
 * NOMEM. */
tamis_status tamis__kaldi_column(const tamis__kaldi_dir *dir, size_t i, unsigned least,
                                 unsigned most, const char *form, tamis__name **ret_names,
                                 tamis_error *err);

/* The path of the file that lists the rows. */
static inline const char *tamis__kaldi_listing(const tamis__kaldi_dir *dir)
{
    return dir->file_path[dir->listing];
}

#endif
