/* Input files that must not change while they are mapped.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/watch.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

tamis_status tamis__watch_begin(tamis__watch *ret_watch, int fd, bool keep, const char *path,
                                tamis_error *err)
{
    struct stat st;
    if (tamis__fault_io() || fstat(fd, &st))
        return tamis__fail_errno(err, "cannot read '%s'", path);
    *ret_watch = (tamis__watch){.watching = S_ISREG(st.st_mode),
                                .kept = keep,
                                .fd = fd,
                                .device = (uint64_t)st.st_dev,
                                .inode = (uint64_t)st.st_ino,
                                .size = (uint64_t)st.st_size,
                                .seconds = st.st_mtim.tv_sec,
                                .nanoseconds = st.st_mtim.tv_nsec};
    return TAMIS_OK;
}

/* What the file is like now; false when it is out of sight, and then nothing can be said. */
static bool look(const tamis__watch *watch, const char *path, struct stat *ret_st)
{
    if (watch->kept) return fstat(watch->fd, ret_st) == 0;
    return stat(path, ret_st) == 0 && (uint64_t)ret_st->st_dev == watch->device &&
           (uint64_t)ret_st->st_ino == watch->inode;
}

tamis_status tamis__watch_check(const tamis__watch *watch, const char *path, tamis_error *err)
{
    struct stat st;
    if (!watch->watching || !look(watch, path, &st)) return TAMIS_OK;
    if ((uint64_t)st.st_size != watch->size)
        return tamis__fail(
            err, TAMIS_ERR_IO,
            "'%s' was changed while it was read: it had %llu bytes and has %llu now; "
            "run the command again once it is whole",
            path, (unsigned long long)watch->size, (unsigned long long)st.st_size);
    if (st.st_mtim.tv_sec == watch->seconds && st.st_mtim.tv_nsec == watch->nanoseconds)
        return TAMIS_OK;
    return tamis__fail(err, TAMIS_ERR_IO,
                       "'%s' was changed while it was read: it was written to meanwhile; run the "
                       "command again once it is whole",
                       path);
}

void tamis__watch_end(tamis__watch *watch)
{
    if (watch->kept) close(watch->fd);
    *watch = (tamis__watch){0};
}
