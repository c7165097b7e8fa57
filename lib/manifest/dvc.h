/* What `dvc add` would write beside an output: its MD5 and size.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_DVC_H
#define TAMIS_MANIFEST_DVC_H

#include "manifest/outputs.h"

/* A file in a directory. */
typedef struct tamis__dvc_file {
    char *name;
    char md5[33];
    uint64_t bytes;
} tamis__dvc_file;

/* The MD5 of a directory: that of a list of its files, which are in the order of their names, and
 * ".dir". Errors: NOMEM. */
tamis_status tamis__dvc_directory(const tamis__dvc_file *file, size_t n, char ret_md5[37],
                                  tamis_error *err);

/* One more output, "<path>.dvc" of output i, which is finished but not committed. The files of a
 * directory are summed by all threads. Errors: IO, NOMEM, CANCELLED. */
tamis_status tamis__dvc_write(tamis__outputs *outputs, const tamis_context *context, size_t i,
                              bool force, tamis_error *err);

#endif
