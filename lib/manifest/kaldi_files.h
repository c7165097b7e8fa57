/* Which files of a Kaldi directory are known, and what their lines belong to.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_KALDI_FILES_H
#define TAMIS_MANIFEST_KALDI_FILES_H

#include "manifest/kaldi_dir.h"

enum tamis__kaldi_key {
    TAMIS__KALDI_UTTERANCE,
    TAMIS__KALDI_RECORDING,
    TAMIS__KALDI_SPEAKER,
    TAMIS__KALDI_WHOLE,  /* copied as it is */
    TAMIS__KALDI_REBUILT /* spk2utt: made of utt2spk */
};

extern const struct tamis__kaldi_file {
    const char *name;
    enum tamis__kaldi_key key;
} tamis__kaldi_file[];

extern const size_t tamis__kaldi_files; /* at most TAMIS__KALDI_FILES */

/* Where a name is in the list; tamis__kaldi_files = it is not known. */
size_t tamis__kaldi_index(const char *name);

/* Start reading file i, which is there. */
void tamis__kaldi_table_of(const tamis__kaldi_dir *dir, size_t i, tamis__kaldi_table *table);

#endif
