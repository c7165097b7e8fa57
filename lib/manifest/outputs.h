/* All outputs of a run, files and directories, of which all appear or none.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_MANIFEST_OUTPUTS_H
#define TAMIS_MANIFEST_OUTPUTS_H

#include <tamis/manifest.h>

#include "base/file.h"
#include "base/tree.h"

typedef struct tamis__made {
    const char *what;
    char *path;
    bool is_tree, existed;
    tamis__output output;
    tamis__tree tree;
    char md5[37];
    uint64_t bytes;   /* of the file, once it is finished; of a tree as the format says */
    uint64_t records; /* of a file that no part of the plan stands for, as the format says */
} tamis__made;

typedef struct tamis__outputs {
    size_t n, room;
    tamis__made **made; /* in the order in which they are committed */
    size_t inputs;
    const char *const *input; /* [inputs] that no output may replace; the caller's */
} tamis__outputs;

/* One more file, opened. It is compressed when its name ends in .gz or .zst. `what` is static or
 * outlives the result. Errors: ARG (the path of another output), IO, NOMEM. */
tamis_status tamis__outputs_file(tamis__outputs *outputs, const tamis_context *context,
                                 const char *path, const char *what, bool force,
                                 tamis__output **ret_output, tamis_error *err);

/* The same for a file of bytes that already are as they are to be stored. */
tamis_status tamis__outputs_plain(tamis__outputs *outputs, const tamis_context *context,
                                  const char *path, const char *what, bool force,
                                  tamis__output **ret_output, tamis_error *err);

/* Say how many records there are in a file that was opened. */
void tamis__outputs_count(const tamis__outputs *outputs, const tamis__output *output,
                          uint64_t records);

/* One more directory. The caller commits the files in it. One that is there is replaced with
 * `force` if it holds nothing but files of names that `is_ours` knows. Errors: as above, and IO (it
 * holds something else). */
tamis_status tamis__outputs_tree(tamis__outputs *outputs, const tamis_context *context,
                                 const char *path, const char *what, bool force,
                                 bool (*is_ours)(const char *name), tamis__tree **ret_tree,
                                 tamis_error *err);

/* Is it the name of a numbered file, such as "shard.00012.mds": `head`, digits, `tail`? */
bool tamis__is_numbered(const char *name, const char *head, const char *tail);

/* Finish all files, and with `dvc` put "<path>.dvc" beside each, and beside each directory, with
 * its MD5 and size. Errors: IO. */
tamis_status tamis__outputs_finish(tamis__outputs *outputs, const tamis_context *context, bool dvc,
                                   bool force, tamis_error *err);

/* Commit in the order of opening: name the file that others wait for last. When one fails, those
 * committed before it are removed, save where they replaced a file: that content is gone, and a
 * whole new file is better than none. */
tamis_status tamis__outputs_commit(tamis__outputs *outputs, tamis_error *err);

/* Remove what is not committed, and free. Harmless on an empty set. */
void tamis__outputs_close(tamis__outputs *outputs);

/* Is the directory that `path` lies in there, and may files be made in it? Errors: IO. */
tamis_status tamis__outputs_place(const char *path, tamis_error *err);

/* Error (ARG) when writing `path`, a directory if `tree`, would replace an input. Opening checks it
 * too. */
tamis_status tamis__outputs_spare(const tamis__outputs *outputs, const char *path, bool tree,
                                  tamis_error *err);

/* Error (ARG) when two of the files are one, or one is the name that another is written under
 * until it is whole. `path` and `what` have `n` entries; NULL and "-" are skipped. */
tamis_status tamis__outputs_distinct(const char *const *path, const char *const *what, size_t n,
                                     tamis_error *err);

#endif
