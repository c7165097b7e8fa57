/* Input files mapped whole, and output files that appear whole or not at all.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/watch.h"

#define BUFFER_SIZE ((size_t)1 << 20)
/* Bytes at least that are worth a call to bring them to the disk. */
#define SYNC_SIZE ((size_t)256 << 10)

/* --- input ---------------------------------------------------------------------------------- */

/* A pipe or terminal: read until it ends, within the memory limit. */
static tamis_status read_whole(tamis__input *ret_input, int fd, uint64_t limit, const char *path,
                               tamis_error *err)
{
    unsigned char *data = NULL;
    size_t size = 0, room = 0;
    for (;;) {
        if (size == room) {
            uint64_t want = room ? 2 * (uint64_t)room : (uint64_t)1 << 16;
            if (want > limit) want = limit;
            unsigned char *grown = want > room ? tamis__realloc(data, (size_t)want, 1) : NULL;
            if (!grown) {
                free(data);
                return tamis__fail(
                    err, TAMIS_ERR_NOMEM,
                    "'%s' is not a regular file and does not fit in memory (%.0f MiB): write "
                    "it to a file first or raise --memory",
                    path, (double)limit / 1048576.0);
            }
            data = grown;
            room = (size_t)want;
        }
        ssize_t got = tamis__fault_io() ? -1 : read(fd, data + size, room - size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            free(data);
            return tamis__fail_errno(err, "cannot read '%s'", path);
        }
        if (got == 0) break;
        size += (size_t)got;
    }
    *ret_input = (tamis__input){.data = data, .size = size};
    return TAMIS_OK;
}

static tamis_status open_fd(tamis__input *ret_input, int fd, uint64_t limit, const char *path,
                            tamis_error *err)
{
    struct stat st;
    if (fstat(fd, &st)) return tamis__fail_errno(err, "cannot read '%s'", path);
    if (S_ISDIR(st.st_mode))
        return tamis__fail(err, TAMIS_ERR_IO, "'%s' is a directory: a file is expected", path);
    if (!S_ISREG(st.st_mode)) return read_whole(ret_input, fd, limit, path, err);
    if (st.st_size == 0) {
        *ret_input = (tamis__input){.data = (const unsigned char *)"", .size = 0, .mapped = true};
        return TAMIS_OK;
    }
    void *data = tamis__fault_io() ? MAP_FAILED
                                   : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) return tamis__fail_errno(err, "cannot map '%s'", path);
    *ret_input = (tamis__input){.data = data, .size = (size_t)st.st_size, .mapped = true};
    return TAMIS_OK;
}

/* A watch is begun before the file is mapped: what changes between the two is seen. */
static tamis_status open_path(tamis__input *ret_input, tamis__watch *ret_watch, bool keep,
                              const tamis_context *context, const char *path, tamis_error *err)
{
    uint64_t limit = context ? context->memory : UINT64_C(1) << 30;
    if (!strcmp(path, "-")) return open_fd(ret_input, STDIN_FILENO, limit, "standard input", err);
    tamis_status status = TAMIS_OK;
    int fd = tamis__fault_io() ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return tamis__fail_errno(err, "cannot open '%s'", path);
    if (ret_watch) status = tamis__watch_begin(ret_watch, fd, keep, path, err);
    if (status == TAMIS_OK) status = open_fd(ret_input, fd, limit, path, err);
    if (status != TAMIS_OK && ret_watch) *ret_watch = (tamis__watch){0};
    if (status != TAMIS_OK || !keep) close(fd);
    return status;
}

tamis_status tamis__input_open(tamis__input *ret_input, const tamis_context *context,
                               const char *path, tamis_error *err)
{
    return open_path(ret_input, NULL, false, context, path, err);
}

tamis_status tamis__input_open_watched(tamis__input *ret_input, tamis__watch *ret_watch, bool keep,
                                       const tamis_context *context, const char *path,
                                       tamis_error *err)
{
    *ret_watch = (tamis__watch){0};
    return open_path(ret_input, ret_watch, keep, context, path, err);
}

void tamis__input_close(tamis__input *input)
{
    if (!input->data) return;
    if (!input->mapped)
        free((void *)(uintptr_t)input->data);
    else if (input->size)
        munmap((void *)(uintptr_t)input->data, input->size);
    *input = (tamis__input){0};
}

void tamis__input_sequential(const tamis__input *input)
{
    if (input->mapped && input->size)
        (void)madvise((void *)(uintptr_t)input->data, input->size, MADV_SEQUENTIAL);
}

void tamis__input_release(const tamis__input *input, size_t first, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)input->data + first;
    if (!input->mapped || size == 0) return;
    size += begin % page;
    (void)madvise((void *)(begin / page * page), size, MADV_DONTNEED);
}

/* --- output --------------------------------------------------------------------------------- */

char *tamis__part_path(const char *path)
{
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/') size--;
    char *part = tamis__malloc(size + sizeof ".part", 1);
    if (!part) return NULL;
    memcpy(part, path, size);
    memcpy(part + size, ".part", sizeof ".part");
    return part;
}

tamis_status tamis__output_check(const char *path, bool force, bool allow_device, tamis_error *err)
{
    struct stat st;
    if (!*path) return tamis__fail(err, TAMIS_ERR_ARG, "the output file has an empty name");
    if (stat(path, &st)) {
        if (errno == ENOENT) return TAMIS_OK;
        return tamis__fail_errno(err, "cannot write '%s'", path);
    }
    if (S_ISDIR(st.st_mode))
        return tamis__fail(err, TAMIS_ERR_IO,
                           "cannot write '%s': it is a directory, name a file in it", path);
    if (!S_ISREG(st.st_mode)) {
        if (allow_device) return TAMIS_OK;
        return tamis__fail(err, TAMIS_ERR_IO, "cannot write '%s': HDF5 needs a regular file", path);
    }
    if (!force)
        return tamis__fail(err, TAMIS_ERR_IO,
                           "'%s' exists: use -f to overwrite it, or another name", path);
    return TAMIS_OK;
}

/* So that the rename itself survives a power cut. */
void tamis__directory_sync(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = NULL;
    if (slash) {
        directory = tamis__strdup(path);
        if (!directory) return;
        directory[slash == path ? 1 : slash - path] = '\0';
    }
    int fd = open(directory ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    free(directory);
}

static int rename_into_place(const char *part, const char *path, bool force)
{
    if (tamis__fault_io()) return -1;
    if (force) return rename(part, path);
    if (renameat2(AT_FDCWD, part, AT_FDCWD, path, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return -1;
    /* A file system without the flag: a new link does not replace either. One without links: the
     * check at the start has to do. */
    if (link(part, path) == 0) return unlink(part);
    return errno == EEXIST ? -1 : rename(part, path);
}

/* `sync_name`: the directory too. */
static tamis_status publish(const tamis_context *context, int fd, const char *part,
                            const char *path, bool force, bool sync_name, tamis_error *err)
{
    tamis_status status = TAMIS_OK;
    if (tamis__fault_io() || fsync(fd)) status = tamis__fail_errno(err, "cannot write '%s'", path);
    if (status == TAMIS_OK && rename_into_place(part, path, force)) {
        status = errno == EEXIST
                     ? tamis__fail(err, TAMIS_ERR_IO,
                                   "'%s' appeared while it was being written: use -f to "
                                   "overwrite it, or another name",
                                   path)
                     : tamis__fail_errno(err, "cannot rename '%s' to '%s'", part, path);
    }
    if (status != TAMIS_OK)
        unlink(part);
    else if (sync_name)
        tamis__directory_sync(path);
    close(fd);
    tamis__temporary(context, part, false);
    return status;
}

tamis_status tamis__output_publish(const tamis_context *context, int fd, const char *part,
                                   const char *path, bool force, tamis_error *err)
{
    return publish(context, fd, part, path, force, true, err);
}

/* Open and lock; false when another run holds the file. Not emptied before it is ours. */
bool tamis__lock_open(const char *part, int *ret_fd)
{
    struct stat mine, there;
    for (;;) {
        int fd = tamis__fault_io() ? -1 : open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        *ret_fd = fd;
        if (fd < 0) return true;
        if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
            close(fd);
            return false;
        }
        /* The run that held it may have renamed it into place meanwhile: then it is not ours. */
        if (fstat(fd, &mine) == 0 && stat(part, &there) == 0 && mine.st_ino == there.st_ino &&
            mine.st_dev == there.st_dev)
            return true;
        close(fd);
    }
}

tamis_status tamis__part_open(const tamis_context *context, const char *part, const char *path,
                              int *ret_fd, tamis_error *err)
{
    int fd = -1;
    if (!tamis__lock_open(part, &fd))
        return tamis__fail(err, TAMIS_ERR_IO,
                           "'%s' is being written by another run: wait for it, or use another name",
                           path);
    if (fd < 0) return tamis__fail_errno(err, "cannot write '%s'", path);
    tamis__temporary(context, part, true);
    /* Cutting an empty file to nothing makes ext4 write it out when it is closed. */
    struct stat st;
    bool empty = fstat(fd, &st) == 0 && st.st_size == 0;
    if (!empty && ftruncate(fd, 0)) {
        tamis_status status = tamis__fail_errno(err, "cannot write '%s'", path);
        close(fd);
        unlink(part);
        tamis__temporary(context, part, false);
        return status;
    }
    *ret_fd = fd;
    return TAMIS_OK;
}

tamis_status tamis__part_remove(const char *part, const char *path, tamis_error *err)
{
    int fd = tamis__fault_io() ? -1 : open(part, O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return TAMIS_OK;
    if (fd < 0) return tamis__fail_errno(err, "cannot remove '%s'", part);
    tamis_status status = TAMIS_OK;
    if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        status = tamis__fail(err, TAMIS_ERR_IO, "'%s' is being written by another run: wait for it",
                             path);
    else if (tamis__fault_io() || unlink(part))
        status = tamis__fail_errno(err, "cannot remove '%s'", part);
    close(fd);
    return status;
}

static tamis_status open_target(tamis__output *output, tamis_error *err)
{
    struct stat st;
    if (!strcmp(output->path, "-")) {
        output->fd = STDOUT_FILENO;
        return TAMIS_OK;
    }
    bool in_place = stat(output->path, &st) == 0 && !S_ISREG(st.st_mode);
    if (in_place) {
        output->fd = open(output->path, O_WRONLY | O_CLOEXEC);
        if (output->fd < 0) return tamis__fail_errno(err, "cannot write '%s'", output->path);
        return TAMIS_OK;
    }
    char *part = tamis__part_path(output->path);
    if (!part) return tamis__fail_memory(err, "a file name", strlen(output->path));
    tamis_status status = tamis__part_open(output->context, part, output->path, &output->fd, err);
    if (status == TAMIS_OK)
        output->part = part; /* from here on ours to remove */
    else
        free(part);
    return status;
}

tamis_status tamis__output_open(tamis__output *ret_output, const tamis_context *context,
                                const char *path, bool force, tamis_error *err)
{
    if (strcmp(path, "-") != 0) TAMIS_TRY(tamis__output_check(path, force, true, err));
    tamis__output output = {.context = context, .fd = -1, .force = force};
    output.path = tamis__strdup(path);
    output.buffer = tamis__malloc(BUFFER_SIZE, 1);
    tamis_status status = output.path && output.buffer
                              ? open_target(&output, err)
                              : tamis__fail_memory(err, "an output buffer", BUFFER_SIZE);
    if (status != TAMIS_OK) {
        tamis__output_abort(&output);
        return status;
    }
    *ret_output = output;
    return TAMIS_OK;
}

static tamis_status fail_write(const tamis__output *output, tamis_error *err)
{
    const char *name = strcmp(output->path, "-") ? output->path : "standard output";
    /* Bytes that are written from where an input is mapped. */
    if (errno == EFAULT)
        return tamis__fail(err, TAMIS_ERR_IO,
                           "cannot write '%s': the input that it is copied from was cut short "
                           "while it was read",
                           name);
    return tamis__fail_errno(err, "cannot write '%s'", name);
}

/* Start to bring bytes to the disk while others are made, so that commit waits for few of them.
 * What goes wrong shows there. */
static void start_sync(const tamis__output *output, uint64_t at, size_t size)
{
    if (output->part && size >= SYNC_SIZE)
        (void)sync_file_range(output->fd, (off_t)at, (off_t)size, SYNC_FILE_RANGE_WRITE);
}

static tamis_status write_fully(tamis__output *output, const unsigned char *bytes, size_t size,
                                tamis_error *err)
{
    size_t left = size;
    while (left > 0) {
        ssize_t put = tamis__fault_io() ? -1 : write(output->fd, bytes, left);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fail_write(output, err);
        bytes += put;
        left -= (size_t)put;
    }
    start_sync(output, output->sent, size);
    output->sent += size;
    return TAMIS_OK;
}

tamis_status tamis__output_put_at(const tamis__output *output, const void *bytes, size_t size,
                                  uint64_t at, tamis_error *err)
{
    const unsigned char *from = bytes;
    for (size_t done = 0; done < size;) {
        off_t next = (off_t)(at + done);
        ssize_t put = tamis__fault_io() ? -1 : pwrite(output->fd, from + done, size - done, next);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fail_write(output, err);
        done += (size_t)put;
    }
    start_sync(output, at, size);
    return TAMIS_OK;
}

static tamis_status flush(tamis__output *output, tamis_error *err)
{
    size_t used = output->used;
    output->used = 0;
    return write_fully(output, output->buffer, used, err);
}

tamis_status tamis__output_write(tamis__output *output, const void *bytes, size_t size,
                                 tamis_error *err)
{
    output->written += size;
    if (output->filter.write)
        return output->filter.write(output->filter.state, output, bytes, size, err);
    return tamis__output_put(output, bytes, size, err);
}

tamis_status tamis__output_put(tamis__output *output, const void *bytes, size_t size,
                               tamis_error *err)
{
    output->stored += size;
    if (size > BUFFER_SIZE - output->used) TAMIS_TRY(flush(output, err));
    if (size >= BUFFER_SIZE) return write_fully(output, bytes, size, err);
    memcpy(output->buffer + output->used, bytes, size);
    output->used += size;
    return TAMIS_OK;
}

tamis_status tamis__output_printf(tamis__output *output, tamis_error *err, const char *format, ...)
{
    char line[4096];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof line)
        return tamis__fail(err, TAMIS_ERR_IO, "a line for '%s' is too long", output->path);
    return tamis__output_write(output, line, (size_t)n, err);
}

tamis_status tamis__output_csv(tamis__output *output, const char *text, tamis_error *err)
{
    if (!strpbrk(text, ",\"\r\n")) return tamis__output_write(output, text, strlen(text), err);
    TAMIS_TRY(tamis__output_write(output, "\"", 1, err));
    for (const char *quote; (quote = strchr(text, '"')); text = quote + 1) {
        TAMIS_TRY(tamis__output_write(output, text, (size_t)(quote - text), err));
        TAMIS_TRY(tamis__output_write(output, "\"\"", 2, err));
    }
    TAMIS_TRY(tamis__output_write(output, text, strlen(text), err));
    return tamis__output_write(output, "\"", 1, err);
}

static void release(tamis__output *output)
{
    if (output->filter.fini) output->filter.fini(output->filter.state);
    free(output->path);
    free(output->part);
    free(output->buffer);
    *output = (tamis__output){.fd = -1};
}

tamis_status tamis__output_finish(tamis__output *output, tamis_error *err)
{
    tamis__output_filter filter = output->filter;
    if (filter.finish) TAMIS_TRY(filter.finish(filter.state, output, err));
    output->filter.finish = NULL;
    return flush(output, err);
}

tamis_status tamis__output_commit(tamis__output *output, tamis_error *err)
{
    tamis_status status = tamis__output_finish(output, err);
    if (status != TAMIS_OK) {
        tamis__output_abort(output);
        return status;
    }
    if (output->part) {
        status = publish(output->context, output->fd, output->part, output->path, output->force,
                         !output->in_tree, err);
    } else if (output->fd != STDOUT_FILENO && close(output->fd)) {
        status = tamis__fail_errno(err, "cannot write '%s'", output->path);
    }
    release(output);
    return status;
}

void tamis__output_abort(tamis__output *output)
{
    if (output->part) {
        unlink(output->part);
        tamis__temporary(output->context, output->part, false);
    }
    if (output->fd > STDERR_FILENO) close(output->fd); /* last: it holds the lock */
    release(output);
}
