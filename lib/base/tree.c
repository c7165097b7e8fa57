/* Directories that appear whole.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/context.h"
#include "base/error.h"
#include "base/mem.h"

/* Directories within directories that are removed; each holds a descriptor meanwhile. */
#define MAX_DEPTH 64

/* --- removing ------------------------------------------------------------------------------- */

static bool is_dots(const char *name)
{
    return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static bool remove_below(int fd, const char *spare, int depth);

static bool remove_one(int fd, const char *name, int depth)
{
    if (unlinkat(fd, name, 0) == 0 || errno == ENOENT) return true;
    if (errno != EISDIR && errno != EPERM) return false;
    if (depth == MAX_DEPTH) {
        errno = ELOOP;
        return false;
    }
    int inner = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (inner < 0) return errno == ENOENT;
    if (!remove_below(inner, NULL, depth + 1)) return false;
    return unlinkat(fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

/* Everything in the directory but `spare` (NULL = nothing is). Takes the descriptor over. */
static bool remove_below(int fd, const char *spare, int depth)
{
    bool done = true, found = true;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return false;
    }
    /* Until a look finds nothing: names that move up while others go could be passed over. */
    for (; done && found; rewinddir(dir)) {
        found = false;
        for (struct dirent *e; done && (e = readdir(dir));) {
            if (is_dots(e->d_name) || (spare && !strcmp(e->d_name, spare))) continue;
            found = true;
            done = remove_one(dirfd(dir), e->d_name, depth);
        }
    }
    int saved = errno;
    closedir(dir);
    errno = saved;
    return done;
}

bool tamis__tree_remove(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP)) return unlink(path) == 0; /* a link */
    if (fd < 0) return errno == ENOENT;
    if (!remove_below(fd, TAMIS__TREE_MARK, 0)) return false;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        (void)unlinkat(fd, TAMIS__TREE_MARK, 0); /* last of all */
        close(fd);
    }
    return rmdir(path) == 0 || errno == ENOENT;
}

/* --- opening -------------------------------------------------------------------------------- */

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

/* Is `fd` still what lies at `path`? Another run may have renamed it into place meanwhile. */
static bool is_there(int fd, const char *path)
{
    struct stat mine, there;
    return fstat(fd, &mine) == 0 && lstat(path, &there) == 0 && mine.st_ino == there.st_ino &&
           mine.st_dev == there.st_dev;
}

/* Make the directory or open what is left of it, and lock it. */
static tamis_status lock_part(tamis__tree *tree, bool *ret_made, tamis_error *err)
{
    for (;;) {
        bool made = !tamis__fault_io() && mkdir(tree->part, 0777) == 0;
        if (!made && errno != EEXIST) return tamis__fail_errno(err, "cannot make '%s'", tree->part);
        *ret_made |= made;
        tree->fd = open(tree->part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (tree->fd < 0 && errno == ENOENT) continue;
        if (tree->fd < 0) return tamis__fail_errno(err, "cannot write '%s'", tree->part);
        if (flock(tree->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
            return tamis__fail(err, TAMIS_ERR_IO,
                               "'%s' is being written by another run: wait for it, or use another "
                               "name",
                               tree->path);
        if (is_there(tree->fd, tree->part)) return TAMIS_OK;
        close(tree->fd);
    }
}

/* Does the directory hold nothing? -1 with errno set when it cannot be read. */
static int is_empty(int fd)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    if (!dir) {
        if (copy >= 0) close(copy);
        return -1;
    }
    bool empty = true;
    for (struct dirent *e; empty && (e = readdir(dir));) empty = is_dots(e->d_name);
    closedir(dir);
    return empty;
}

/* The directory is locked: mark it, or empty it when it is marked already. */
static tamis_status claim_part(const tamis__tree *tree, tamis_error *err)
{
    struct stat st;
    bool marked = fstatat(tree->fd, TAMIS__TREE_MARK, &st, AT_SYMLINK_NOFOLLOW) == 0;
    int empty = marked ? 1 : is_empty(tree->fd);
    if (empty == 0)
        return tamis__fail(err, TAMIS_ERR_IO,
                           "'%s' is the name under which '%s' is written until it is whole, and "
                           "holds files of something else: move it",
                           tree->part, tree->path);
    if (marked) {
        int copy = openat(tree->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (copy >= 0 && remove_below(copy, TAMIS__TREE_MARK, 0) && !tamis__fault_io())
            return TAMIS_OK;
        return tamis__fail_errno(err, "cannot remove what a killed run left in '%s'", tree->part);
    }
    int mark = empty < 0 || tamis__fault_io()
                   ? -1
                   : openat(tree->fd, TAMIS__TREE_MARK, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                            0666);
    if (mark < 0) return tamis__fail_errno(err, "cannot write '%s'", tree->part);
    close(mark);
    return TAMIS_OK;
}

static void release(tamis__tree *tree)
{
    if (tree->fd >= 0) close(tree->fd); /* last: it holds the lock */
    free(tree->path);
    free(tree->part);
    *tree = (tamis__tree){.fd = -1};
}

tamis_status tamis__tree_open(tamis__tree *ret_tree, const tamis_context *context, const char *path,
                              bool force, tamis_error *err)
{
    TAMIS_TRY(check_target(path, force, err));
    tamis__tree tree = {.context = context, .fd = -1, .force = force};
    bool made = false;
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/') size--;
    tree.path = tamis__strdup(path);
    tree.part = tamis__part_path(path);
    if (tree.path) tree.path[size] = '\0';
    tamis_status status = tree.path && tree.part ? lock_part(&tree, &made, err)
                                                 : tamis__fail_memory(err, "a file name", size);
    if (status == TAMIS_OK) {
        status = claim_part(&tree, err);
        if (status != TAMIS_OK && made) (void)rmdir(tree.part);
    }
    if (status != TAMIS_OK) {
        release(&tree);
        return status;
    }
    *ret_tree = tree;
    return TAMIS_OK;
}

tamis_status tamis__tree_guard(const tamis__tree *tree, bool (*is_ours)(const char *name),
                               tamis_error *err)
{
    tamis_status status = TAMIS_OK;
    DIR *dir = opendir(tree->path);
    if (!dir) {
        if (errno == ENOENT) return TAMIS_OK;
        return tamis__fail_errno(err, "cannot read '%s'", tree->path);
    }
    for (struct dirent *e; status == TAMIS_OK && (e = readdir(dir));) {
        struct stat st;
        if (is_dots(e->d_name)) continue;
        bool file = fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                    !S_ISDIR(st.st_mode);
        if (file && is_ours(e->d_name)) continue;
        status = tamis__fail(err, TAMIS_ERR_IO,
                             "'%s' holds '%s', which is no output of this format, and is not "
                             "replaced: use another name, or move that",
                             tree->path, e->d_name);
    }
    closedir(dir);
    return status;
}

/* --- files ---------------------------------------------------------------------------------- */

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
    if (strchr(name, '/')) {
        char *end = strrchr(path, '/');
        *end = '\0';
        (void)mkdir(path, 0777); /* when it fails, so does opening the file */
        *end = '/';
    }
    tamis_status status = tamis__output_open(ret_output, tree->context, path, true, err);
    if (status == TAMIS_OK) ret_output->in_tree = !strchr(name, '/');
    free(path);
    return status;
}

typedef struct names {
    char **of;
    size_t n, room;
} names;

/* "directory/name", or the name alone where `directory` is empty. */
static tamis_status add_name(names *all, const char *directory, const char *name, tamis_error *err)
{
    size_t size = strlen(directory) + strlen(name) + 2;
    if (all->n == all->room) {
        size_t room = all->room ? 2 * all->room : 16;
        char **grown = tamis__realloc(all->of, room, sizeof *grown);
        if (!grown) return tamis__fail_memory(err, "names of files", room * sizeof *grown);
        all->of = grown;
        all->room = room;
    }
    char *text = tamis__malloc(size, 1);
    if (!text) return tamis__fail_memory(err, "a file name", size);
    snprintf(text, size, "%s%s%s", directory, *directory ? "/" : "", name);
    all->of[all->n++] = text;
    return TAMIS_OK;
}

static tamis_status list_in(const tamis__tree *tree, const char *directory, names *all,
                            tamis_error *err)
{
    char *path = tamis__tree_path(tree, directory);
    if (!path) return tamis__fail_memory(err, "a file name", strlen(directory));
    DIR *dir = tamis__fault_io() ? NULL : opendir(path);
    tamis_status status = dir ? TAMIS_OK : tamis__fail_errno(err, "cannot read '%s'", path);
    for (struct dirent *e; status == TAMIS_OK && (e = readdir(dir));) {
        struct stat st;
        if (is_dots(e->d_name) || !strcmp(e->d_name, TAMIS__TREE_MARK)) continue;
        if (fstatat(dirfd(dir), e->d_name, &st, 0))
            status = tamis__fail_errno(err, "cannot read '%s/%s'", path, e->d_name);
        else if (S_ISDIR(st.st_mode) && !*directory)
            status = list_in(tree, e->d_name, all, err);
        else
            status = add_name(all, directory, e->d_name, err);
    }
    if (dir) closedir(dir);
    free(path);
    return status;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

tamis_status tamis__tree_list(const tamis__tree *tree, char ***ret_name, size_t *ret_n,
                              tamis_error *err)
{
    names all = {0};
    tamis_status status = list_in(tree, "", &all, err);
    if (status != TAMIS_OK) {
        for (size_t i = 0; i < all.n; i++) free(all.of[i]);
        free(all.of);
        return status;
    }
    if (all.n) qsort(all.of, all.n, sizeof *all.of, by_bytes);
    *ret_name = all.of;
    *ret_n = all.n;
    return TAMIS_OK;
}

/* --- the end -------------------------------------------------------------------------------- */

/* Is the directory one that a run was about to remove? */
static bool is_marked(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool found = fd >= 0 && fstatat(fd, TAMIS__TREE_MARK, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (fd >= 0) close(fd);
    return found;
}

/* Where two names cannot be exchanged. Nothing is lost in between: the old directory is
 * "<path>.old", which is only overwritten when it is what a run did not get to remove. */
static bool replace_in_steps(const tamis__tree *tree, const char *old)
{
    struct stat st;
    if (lstat(tree->path, &st)) return rename(tree->part, tree->path) == 0;
    if (is_marked(old) && !tamis__tree_remove(old)) return false;
    if (lstat(old, &st) == 0) {
        errno = ENOTEMPTY;
        return false;
    }
    if (rename(tree->path, old)) return false;
    if (!tamis__fault_io() && rename(tree->part, tree->path) == 0) return true;
    int saved = errno;
    (void)rename(old, tree->path);
    errno = saved;
    return false;
}

/* False with errno set. *ret_aside is where the old directory, if there was one, is now. */
static bool rename_into_place(const tamis__tree *tree, const char *old, const char **ret_aside)
{
    *ret_aside = NULL;
    if (tamis__fault_io()) return false;
    if (renameat2(AT_FDCWD, tree->part, AT_FDCWD, tree->path, RENAME_NOREPLACE) == 0) return true;
    if (errno == EEXIST && tree->force) {
        *ret_aside = tree->part;
        if (renameat2(AT_FDCWD, tree->part, AT_FDCWD, tree->path, RENAME_EXCHANGE) == 0)
            return true;
    }
    if (errno != EINVAL && errno != ENOSYS) return false;
    *ret_aside = old;
    if (tree->force) return replace_in_steps(tree, old);
    return rename(tree->part, tree->path) == 0; /* replaces nothing but an empty directory */
}

/* What was replaced is marked before it is removed, so that a run that is killed meanwhile leaves
 * what the next one may remove. `fd` (-1: there was no directory) holds its lock. */
static void remove_old(const tamis__tree *tree, int fd, const char *aside)
{
    int mark = fd < 0 ? -1 : openat(fd, TAMIS__TREE_MARK, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (mark >= 0) close(mark);
    if (tamis__fault_io() || !tamis__tree_remove(aside))
        tamis__log(tree->context, TAMIS_LOG_WARNING,
                   "'%s' is written, but what it replaces could not be removed and is now '%s'",
                   tree->path, aside);
}

static tamis_status put_in_place(const tamis__tree *tree, const char *old, tamis_error *err)
{
    const char *aside = NULL;
    int fd = open(tree->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) (void)flock(fd, LOCK_EX | LOCK_NB);
    bool done = rename_into_place(tree, old, &aside);
    tamis_status status = TAMIS_OK;
    if (!done)
        status = tree->force || (errno != EEXIST && errno != ENOTEMPTY)
                     ? tamis__fail_errno(err, "cannot rename '%s' to '%s'", tree->part, tree->path)
                     : tamis__fail(err, TAMIS_ERR_IO,
                                   "'%s' appeared while it was being written: use -f to overwrite "
                                   "it, or another name",
                                   tree->path);
    else
        tamis__directory_sync(tree->path);
    if (done && aside) remove_old(tree, fd, aside);
    if (fd >= 0) close(fd);
    return status;
}

/* The mark goes last, so that a directory without it is one whose files are all there. */
tamis_status tamis__tree_commit(tamis__tree *tree, tamis_error *err)
{
    tamis_status status = TAMIS_OK;
    size_t size = strlen(tree->path) + sizeof ".old";
    char *old = tamis__malloc(size, 1);
    if (!old)
        status = tamis__fail_memory(err, "a file name", size);
    else if (snprintf(old, size, "%s.old", tree->path) < 0 || tamis__fault_io() ||
             unlinkat(tree->fd, TAMIS__TREE_MARK, 0) || fsync(tree->fd))
        status = tamis__fail_errno(err, "cannot write '%s'", tree->path);
    if (status == TAMIS_OK) status = put_in_place(tree, old, err);
    free(old);
    if (status == TAMIS_OK)
        release(tree);
    else
        tamis__tree_abort(tree);
    return status;
}

void tamis__tree_abort(tamis__tree *tree)
{
    if (!tree->part) return;
    (void)tamis__tree_remove(tree->part);
    release(tree);
}
