/* A directory of files that appears whole at commit or not at all.
 *
 * It is made as "<path>.part", locked against other runs. A file in it named TAMIS__TREE_MARK says
 * that the directory is ours for as long as it is not whole: what a killed run left is told from a
 * directory of the user's that happens to have this name, which is never touched.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BASE_TREE_H
#define TAMIS_BASE_TREE_H

#include "base/file.h"

#define TAMIS__TREE_MARK ".tamis-part"

typedef struct tamis__tree {
    const tamis_context *context;
    char *path, *part; /* written as "<path>.part" until it is whole */
    int fd;            /* of the directory: it holds the lock */
    bool force;
} tamis__tree;

/* Make "<path>.part", empty: what a killed run left there is removed. Errors: IO (exists without
 * force, a file is in the way, another run is writing it, cannot create), NOMEM. */
tamis_status tamis__tree_open(tamis__tree *ret_tree, const tamis_context *context, const char *path,
                              bool force, tamis_error *err);

/* Error (IO) when the directory that commit is going to replace holds anything but files of which
 * `is_ours` knows the name: force is for the outputs of earlier runs, not for a directory that
 * other files lie in. */
tamis_status tamis__tree_guard(const tamis__tree *tree, bool (*is_ours)(const char *name),
                               tamis_error *err);

/* A new file in it; the caller commits it before the tree. `name` may hold one directory ("a/b"),
 * which is made. */
tamis_status tamis__tree_file(const tamis__tree *tree, const char *name, tamis__output *ret_output,
                              tamis_error *err);

/* Names of the files in it ("a/b" for those in a directory), in the order of their bytes. The array
 * and each name are allocated. Errors: IO, NOMEM. */
tamis_status tamis__tree_list(const tamis__tree *tree, char ***ret_name, size_t *ret_n,
                              tamis_error *err);

/* The path of a name in it, while it is being written. Allocated; NULL when out of memory. */
char *tamis__tree_path(const tamis__tree *tree, const char *name);

/* Sync and rename into place. With force an old directory gives way in the same step, and is then
 * removed. (A file system that cannot exchange two names: it is moved to "<path>.old" first, and
 * back when the step fails.) Closes in every case. */
tamis_status tamis__tree_commit(tamis__tree *tree, tamis_error *err);

/* Remove what was made, and close. Harmless on a zeroed or committed struct. */
void tamis__tree_abort(tamis__tree *tree);

/* Remove a directory with the files and directories in it, links as links. False with errno set
 * when something could not be removed; what is no longer there is fine. */
bool tamis__tree_remove(const char *path);

#endif
