/* Several Kaldi data directories read as one, and the part of it that belongs to some of its
 * utterances.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_KALDI_SET_H
#define TAMIS_MANIFEST_KALDI_SET_H

#include <tamis/selection.h>

#include "manifest/kaldi_dir.h"

/* Zero-initialise. */
typedef struct tamis__kaldi_set {
    const tamis_context *context;
    size_t n;                         /* directories */
    tamis__kaldi_dir *dir;            /* [n]; the rows of one follow those of the one before */
    uint64_t rows, bytes;             /* of all */
    bool written[TAMIS__KALDI_FILES]; /* by tamis__kaldi_join() */
} tamis__kaldi_set;

/* Open and check `n` directories, at least one. Rows are the lines of the file `listing` of each
 * (NULL: as the first directory has it, utt2spk, without one segments, without one text). The
 * caller closes, also after an error. Errors: those of tamis__kaldi_open(); FORMAT (two directories
 * have an utterance of one name). */
tamis_status tamis__kaldi_set_open(tamis__kaldi_set *set, const tamis_context *context,
                                   const char *const *path, size_t n, const char *listing,
                                   tamis_error *err);
void tamis__kaldi_set_close(tamis__kaldi_set *set);

const tamis__name *tamis__kaldi_utterance(const tamis__kaldi_set *set, uint64_t row);

/* Compare with the selection: as many rows, and the same ids where it has any. Errors: SHAPE,
 * FORMAT. */
tamis_status tamis__kaldi_compare(const tamis__kaldi_set *set, const tamis_selection *selection,
                                  bool *ret_ids, tamis_error *err);

/* Find which files the directories have together, before anything is written of them. A file that
 * some lack is left out, with a warning. But segments are made of utt2dur where others have them,
 * utt2uniq of the utterances' names, and frame_shift holds for all. Errors: FORMAT (utt2spk or
 * utt2dur is not there, frame_shifts that differ, a line of utt2dur that is none), NOMEM. */
tamis_status tamis__kaldi_join(tamis__kaldi_set *set, tamis_error *err);

/* Where files go. `open` makes one; it is committed when it is whole. */
typedef struct tamis__kaldi_sink {
    void *arg;
    tamis_status (*open)(void *arg, const char *name, tamis__output *ret_output, tamis_error *err);
} tamis__kaldi_sink;

/* Write the files of the rows with part[row] == wanted: lines byte for byte, a missing last line
 * feed completed, spk2utt made anew. `sink` NULL: only check and count. Errors: FORMAT (a recording
 * that is not in wav.scp; a recording or speaker of which two directories say different things),
 * NOMEM, IO. Logs a warning for each file that lacks some of the names.
 * Complexity: O(bytes + rows log rows). */
tamis_status tamis__kaldi_write(const tamis__kaldi_set *set, const uint16_t *part, uint16_t wanted,
                                const tamis__kaldi_sink *sink, uint64_t *ret_records,
                                uint64_t *ret_bytes, tamis_error *err);

#endif
