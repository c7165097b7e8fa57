/* Do two names mean one file?
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The length without slashes at the end. */
static size_t trimmed(const char *path)
{
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/') size--;
    return size;
}

/* The directory that holds `path`, allocated, and the name in it. */
static char *split(const char *path, const char **ret_name, size_t *ret_size)
{
    size_t size = trimmed(path), slash = size;
    while (slash > 0 && path[slash - 1] != '/') slash--;
    *ret_name = path + slash;
    *ret_size = size - slash;
    if (slash == 0) return strdup(".");
    return strndup(path, slash > 1 ? slash - 1 : 1);
}

static bool same_inode(const char *a, const char *b)
{
    struct stat one, two;
    return stat(a, &one) == 0 && stat(b, &two) == 0 && one.st_dev == two.st_dev &&
           one.st_ino == two.st_ino;
}

static bool touches(const char *output, const char *other)
{
    const char *name, *other_name;
    size_t size, other_size;
    if (same_inode(output, other)) return true;
    char *parent = split(output, &name, &size),
         *other_parent = split(other, &other_name, &other_size);
    bool same = parent && other_parent && size == other_size && !memcmp(name, other_name, size) &&
                same_inode(parent, other_parent);
    bool inside = other_parent && same_inode(output, other_parent);
    free(parent);
    free(other_parent);
    return same || inside;
}

bool paths_collide(const char *output, const char *other)
{
    struct stat st;
    char *part;
    /* A device or a pipe is written in place, and may well be named twice. */
    if (stat(output, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) return false;
    if (touches(output, other)) return true;
    if (asprintf(&part, "%.*s.part", (int)trimmed(output), output) < 0) return false;
    bool found = touches(part, other);
    free(part);
    return found;
}

tamis_status paths_check_directory(const char *path, tamis_error *err)
{
    const char *name;
    size_t size;
    struct stat st;
    char *directory = split(path, &name, &size);
    if (!directory) return fail_memory(err);
    tamis_status status = TAMIS_OK;
    if (stat(directory, &st))
        status = fail_errno(err, "cannot write '%s': directory '%s'", path, directory);
    else if (!S_ISDIR(st.st_mode))
        status = fail(err, TAMIS_ERR_IO, "cannot write '%s': '%s' is not a directory", path,
                      directory);
    else if (access(directory, W_OK | X_OK))
        status = fail_errno(err, "cannot write '%s'", path);
    free(directory);
    return status;
}
