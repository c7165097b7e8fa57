/* A directory of files that appears whole at commit or not at all.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BASE_TREE_H
#define TAMIS_BASE_TREE_H

#include "base/file.h"

typedef struct tamis__tree {
    const tamis_context *context;
    char *path, *part; /* written as "<path>.part" until it is whole */
    int fd;            /* of the directory: it holds the lock */
    bool force;
} tamis__tree;

/* Make "<path>.part", empty: what a killed run left there is removed. Errors: IO (exists without force, a
 * file is in the way, another run is writing it, cannot create), NOMEM. */
tamis_status tamis__tree_open(tamis__tree *ret_tree, const tamis_context *context, const char *path,
                              bool force, tamis_error *err);

/* A new file in it; the caller commits it before the tree. `name` may hold one directory ("a/b"), which
 * is made. */
tamis_status tamis__tree_file(const tamis__tree *tree, const char *name, tamis__output *ret_output,
                              tamis_error *err);

/* The path of a name in it, while it is being written. Allocated; NULL when out of memory. */
char *tamis__tree_path(const tamis__tree *tree, const char *name);

/* Sync and rename into place; with force an old directory gives way in the same step, and is then removed.
 * Closes in every case. */
tamis_status tamis__tree_commit(tamis__tree *tree, tamis_error *err);

/* Remove and close. Harmless on a zeroed or committed struct. */
void tamis__tree_abort(tamis__tree *tree);

/* Remove a directory with the files and directories in it; what is no longer there is fine. */
void tamis__tree_remove(const char *path);

#endif
