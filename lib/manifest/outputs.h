/* Several output files of which all appear or none.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_OUTPUTS_H
#define TAMIS_MANIFEST_OUTPUTS_H

#include "base/file.h"

enum { TAMIS__OUTPUTS_MAX = 3 };

typedef struct tamis__outputs {
    size_t n;
    tamis__output output[TAMIS__OUTPUTS_MAX];
    const char *path[TAMIS__OUTPUTS_MAX]; /* the caller's */
    bool existed[TAMIS__OUTPUTS_MAX];
} tamis__outputs;

/* Open one more. Paths must be distinct and outlive the set. */
tamis_status tamis__outputs_add(tamis__outputs *outputs, const tamis_context *context,
                                const char *path, bool force, tamis_error *err);

/* Commit in the order of opening: name the file that others wait for last. When one fails, those
 * committed before it are removed, save where they replaced a file: that content is gone, and a
 * whole new file is better than none. Closes in every case. */
tamis_status tamis__outputs_commit(tamis__outputs *outputs, tamis_error *err);

/* Remove and close. Harmless on an empty set. */
void tamis__outputs_abort(tamis__outputs *outputs);

/* Error (ARG) when two of the files are one, or one is the name that another is written under
 * until it is whole. `path` and `what` have `n` entries; NULL and "-" are skipped. */
tamis_status tamis__outputs_distinct(const char *const *path, const char *const *what, size_t n,
                                     tamis_error *err);

#endif
