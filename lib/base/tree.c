/* Directories that appear whole.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *place)
{
    (void)st;
    (void)type;
    (void)place;
    (void)remove(path);
    return 0;
}

void tamis__tree_remove(const char *path)
{
    (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static tamis_status check_target(const char *path, bool force, tamis_error *err)
{
    struct stat st;
    if (!*path || !strcmp(path, "-"))
        return tamis__fail(err, TAMIS_ERR_ARG, "this output is a directory: give it a name");
    if (stat(path, &st)) {
        if (errno == ENOENT) return TAMIS_OK;
        return tamis__fail_errno(err, "cannot write '%s'", path);
    }
    if (!S_ISDIR(st.st_mode))
        return tamis__fail(err, TAMIS_ERR_IO,
                           "'%s' is a file, and this output is a directory: use another name",
                           path);
    if (force) return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_IO, "'%s' exists: use -f to overwrite it, or another name",
                       path);
}

static tamis_status make_part(tamis__tree *tree, tamis_error *err)
{
    if (tamis__fault_io() || (mkdir(tree->part, 0777) && errno != EEXIST))
        return tamis__fail_errno(err, "cannot make '%s'", tree->part);
    tree->fd = open(tree->part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (tree->fd < 0) return tamis__fail_errno(err, "cannot write '%s'", tree->part);
    if (flock(tree->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
        close(tree->fd);
        tree->fd = -1;
        return tamis__fail(err, TAMIS_ERR_IO,
                           "'%s' is being written by another run: wait for it, or use another name",
                           tree->path);
    }
    return TAMIS_OK;
}

/* What a killed run left in the directory, which is ours now. */
static int remove_below(const char *path, const struct stat *st, int type, struct FTW *place)
{
    return place->level > 0 ? remove_entry(path, st, type, place) : 0;
}

static void release(tamis__tree *tree)
{
    if (tree->fd >= 0) close(tree->fd);
    free(tree->path);
    free(tree->part);
    *tree = (tamis__tree){.fd = -1};
}

tamis_status tamis__tree_open(tamis__tree *ret_tree, const tamis_context *context, const char *path,
                              bool force, tamis_error *err)
{
    TAMIS_TRY(check_target(path, force, err));
    tamis__tree tree = {.context = context, .fd = -1, .force = force};
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/') size--;
    tree.path = tamis__strdup(path);
    tree.part = tamis__part_path(path);
    if (tree.path) tree.path[size] = '\0';
    tamis_status status = tree.path && tree.part ? make_part(&tree, err)
                                                 : tamis__fail_memory(err, "a file name", size);
    if (status != TAMIS_OK) {
        release(&tree);
        return status;
    }
    (void)nftw(tree.part, remove_below, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    *ret_tree = tree;
    return TAMIS_OK;
}

char *tamis__tree_path(const tamis__tree *tree, const char *name)
{
    size_t size = strlen(tree->part) + strlen(name) + 2;
    char *path = tamis__malloc(size, 1);
    if (path) snprintf(path, size, "%s/%s", tree->part, name);
    return path;
}

tamis_status tamis__tree_file(const tamis__tree *tree, const char *name, tamis__output *ret_output,
                              tamis_error *err)
{
    char *path = tamis__tree_path(tree, name);
    if (!path) return tamis__fail_memory(err, "a file name", strlen(name));
    const char *slash = strchr(name, '/');
    if (slash) {
        char *end = strrchr(path, '/');
        *end = '\0';
        (void)mkdir(path, 0777); /* when it fails, so does opening the file */
        *end = '/';
    }
    tamis_status status = tamis__output_open(ret_output, tree->context, path, true, err);
    free(path);
    return status;
}

/* False with errno set. The old directory, if there was one, is then at `part`. */
static bool rename_into_place(const tamis__tree *tree, bool *ret_old)
{
    *ret_old = false;
    if (tamis__fault_io()) return false;
    if (renameat2(AT_FDCWD, tree->part, AT_FDCWD, tree->path, RENAME_NOREPLACE) == 0) return true;
    if (errno == EEXIST && tree->force) {
        *ret_old = true;
        return renameat2(AT_FDCWD, tree->part, AT_FDCWD, tree->path, RENAME_EXCHANGE) == 0;
    }
    if (errno != EINVAL && errno != ENOSYS) return false;
    return rename(tree->part, tree->path) == 0; /* replaces nothing but an empty directory */
}

tamis_status tamis__tree_commit(tamis__tree *tree, tamis_error *err)
{
    bool old = false;
    tamis_status status = TAMIS_OK;
    if (tamis__fault_io() || fsync(tree->fd) || !rename_into_place(tree, &old)) {
        status = errno == EEXIST || errno == ENOTEMPTY
                     ? tamis__fail(err, TAMIS_ERR_IO,
                                   "'%s' appeared while it was being written: use -f to overwrite "
                                   "it, or another name",
                                   tree->path)
                     : tamis__fail_errno(err, "cannot write '%s'", tree->path);
        tamis__tree_abort(tree);
        return status;
    }
    tamis__directory_sync(tree->path);
    if (old) tamis__tree_remove(tree->part);
    release(tree);
    return TAMIS_OK;
}

void tamis__tree_abort(tamis__tree *tree)
{
    if (!tree->part) return;
    tamis__tree_remove(tree->part);
    release(tree);
}
