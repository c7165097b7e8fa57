/* HDF5: lock, messages, files and groups.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/h5.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/mem.h"

/* Objects of this many bytes and more start on a page, so that they can be mapped. */
#define ALIGN_FROM ((hsize_t)64 << 10)
#define ALIGNMENT  ((hsize_t)4096)

const char *tamis__h5_version(void)
{
    /* HDF5 stops a program that runs with another version than it was compiled with. */
    return &H5_VERS_INFO[sizeof "HDF5 library version: " - 1];
}

/* --- lock, silence, messages ------------------------------------------------------------------ */

/* The library's state is the process's, so its lock is too. Recursive: calls nest. */
static pthread_mutex_t h5_mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

/* Reading a damaged file can leave HDF5 with objects that its own clean-up at exit does not survive
 * quietly. This room closes what it opens, so that clean-up is not needed. Without effect when the
 * application started HDF5 before. */
static void no_cleanup_at_exit(void)
{
    (void)H5dont_atexit();
}

void tamis__h5_enter(tamis__h5_scope *ret_scope)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, no_cleanup_at_exit);
    pthread_mutex_lock(&h5_mutex);
    if (H5Eget_auto2(H5E_DEFAULT, &ret_scope->print, &ret_scope->cookie) < 0)
        *ret_scope = (tamis__h5_scope){0};
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

void tamis__h5_leave(const tamis__h5_scope *scope)
{
    (void)H5Eclear2(H5E_DEFAULT);
    (void)H5Eset_auto2(H5E_DEFAULT, scope->print, scope->cookie);
    pthread_mutex_unlock(&h5_mutex);
}

typedef struct reason {
    char text[256];
} reason;

/* The first error met going up is the innermost. Of one that quotes the system's message, with
 * addresses and the time around it, only that message is of use. */
static herr_t note_reason(unsigned n, const H5E_error2_t *error, void *cookie)
{
    static const char quote[] = "error message = '";
    reason *found = cookie;
    if (n != 0 || !error->desc) return 0;
    const char *from = strstr(error->desc, quote);
    const char *text = from ? from + sizeof quote - 1 : error->desc;
    size_t size = from ? strcspn(text, "'") : strlen(text);
    if (size >= sizeof found->text) size = sizeof found->text - 1;
    memcpy(found->text, text, size);
    found->text[size] = '\0';
    return 0;
}

static reason last_reason(void)
{
    reason found = {{0}};
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, note_reason, &found);
    return found;
}

tamis_status tamis__h5_fail(tamis_error *err, tamis_status status, const char *format, ...)
{
    char text[TAMIS_MESSAGE_SIZE];
    reason found = last_reason();
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!found.text[0]) return tamis__fail(err, status, "%s", text);
    return tamis__fail(err, status, "%s: %s", text, found.text);
}

/* --- opening ---------------------------------------------------------------------------------- */

static tamis_status check_regular(const char *path, uint64_t *ret_size, tamis_error *err)
{
    struct stat st;
    int fd = tamis__fault_io() ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return tamis__fail_errno(err, "cannot open '%s'", path);
    int failed = fstat(fd, &st);
    close(fd);
    if (failed) return tamis__fail_errno(err, "cannot read '%s'", path);
    if (S_ISDIR(st.st_mode))
        return tamis__fail(err, TAMIS_ERR_IO, "'%s' is a directory: a file is expected", path);
    if (!S_ISREG(st.st_mode))
        return tamis__fail(err, TAMIS_ERR_IO,
                           "'%s' is not a regular file: HDF5 cannot be read from a pipe", path);
    if (st.st_size == 0) return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' is empty", path);
    *ret_size = (uint64_t)st.st_size;
    return TAMIS_OK;
}

/* No file locks: a file appears whole and is never changed, and some network file systems have
 * none. Strong close: whatever a failure left open goes with the file. */
static hid_t access_list(tamis__h5_sink *sink)
{
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    if (list < 0) return list;
    herr_t bad = H5Pset_fclose_degree(list, H5F_CLOSE_STRONG);
#if H5_VERSION_GE(1, 10, 7)
    if (bad >= 0) bad = H5Pset_file_locking(list, false, true);
#endif
    if (bad >= 0 && sink) bad = H5Pset_alignment(list, ALIGN_FROM, ALIGNMENT);
    if (bad >= 0 && sink) bad = tamis__h5_driver_set(list, sink);
    if (bad >= 0) return list;
    H5Pclose(list);
    return -1;
}

static tamis_status open_file(tamis__h5 *h5, tamis_error *err)
{
    if (H5Fis_hdf5(h5->path) <= 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' is not an HDF5 file", h5->path);
    hid_t list = access_list(NULL);
    if (list < 0) return tamis__h5_fail(err, TAMIS_ERR_NOMEM, "cannot open '%s'", h5->path);
    hid_t file = H5Fopen(h5->path, H5F_ACC_RDONLY, list);
    reason found = file < 0 ? last_reason() : (reason){{0}};
    H5Pclose(list);
    if (file < 0 && strstr(found.text, "truncated"))
        return tamis__fail(
            err, TAMIS_ERR_FORMAT,
            "'%s' is truncated: it has %llu bytes and should have more; copy or write it again",
            h5->path, (unsigned long long)h5->size);
    if (file < 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' is a damaged HDF5 file: %s", h5->path,
                           found.text);
    h5->file = file;
    return TAMIS_OK;
}

static const char *article(const char *kind)
{
    return strchr("aeiou", kind[0]) ? "an" : "a";
}

static tamis_status check_kind(tamis__h5 *h5, const char *kind, uint32_t version, tamis_error *err)
{
    char *found = NULL;
    uint64_t written = 0;
    if (!tamis__h5_has_attribute(h5, "/", "tamis_kind"))
        return tamis__fail(
            err, TAMIS_ERR_FORMAT,
            "'%s' is an HDF5 file, but not one of tamis: it has no attribute tamis_kind", h5->path);
    TAMIS_TRY(tamis__h5_get_text(h5, "/", "tamis_kind", &found, err));
    snprintf(h5->kind, sizeof h5->kind, "%s", found);
    free(found);
    if (kind && strcmp(kind, h5->kind) != 0)
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' is a %s file: %s %s file is expected",
                           h5->path, h5->kind, article(kind), kind);
    TAMIS_TRY(tamis__h5_get_u64(h5, "/", "tamis_version", &written, err));
    if (written > version || written == 0)
        return tamis__fail(
            err, TAMIS_ERR_UNSUPPORTED,
            "'%s' was written by a newer tamis: its format is %llu, this program reads up to "
            "%u; update tamis",
            h5->path, (unsigned long long)written, (unsigned)version);
    h5->version = (uint32_t)written;
    return TAMIS_OK;
}

tamis_status tamis__h5_open(tamis__h5 *ret_h5, const char *path, const char *kind, uint32_t version,
                            tamis_error *err)
{
    tamis__h5 h5 = {0};
    tamis__h5_scope scope;
    TAMIS_TRY(check_regular(path, &h5.size, err));
    h5.path = tamis__strdup(path);
    if (!h5.path) return tamis__fail_memory(err, "a file name", strlen(path));
    tamis__h5_enter(&scope);
    tamis_status status = open_file(&h5, err);
    if (status == TAMIS_OK) status = check_kind(&h5, kind, version, err);
    tamis__h5_leave(&scope);
    if (status != TAMIS_OK)
        tamis__h5_close(&h5);
    else
        *ret_h5 = h5;
    return status;
}

/* --- writing ---------------------------------------------------------------------------------- */

static tamis_status create_file(tamis__h5 *h5, tamis_error *err)
{
    hid_t list = access_list(h5->sink), creation = H5Pcreate(H5P_FILE_CREATE), file = -1;
    if (list >= 0 && creation >= 0 && H5Pset_obj_track_times(creation, false) >= 0)
        file = H5Fcreate(h5->part, H5F_ACC_TRUNC, creation, list);
    tamis_status status = TAMIS_OK;
    if (file < 0)
        status = tamis__h5_fail(err, TAMIS_ERR_IO, "cannot write '%s'", h5->path);
    else
        h5->file = file;
    if (creation >= 0) H5Pclose(creation);
    if (list >= 0) H5Pclose(list);
    return status;
}

tamis_status tamis__h5_create(tamis__h5 *ret_h5, const tamis_context *context, const char *path,
                              const char *kind, uint32_t version, const char *provenance,
                              tamis_error *err)
{
    tamis__h5 h5 = {.context = context,
                    .path = tamis__strdup(path),
                    .part = tamis__part_path(path),
                    .sink = tamis__calloc(1, sizeof(tamis__h5_sink))};
    tamis__h5_scope scope;
    tamis_status status = h5.path && h5.part && h5.sink
                              ? tamis__part_open(context, h5.part, path, &h5.sink->fd, err)
                              : tamis__fail_memory(err, "a file name", strlen(path));
    if (status != TAMIS_OK) {
        /* The temporary file is not there, or another run's. */
        free(h5.path);
        free(h5.part);
        free(h5.sink);
        return status;
    }
    snprintf(h5.kind, sizeof h5.kind, "%s", kind);
    h5.version = version;
    tamis__h5_enter(&scope);
    status = create_file(&h5, err);
    if (status == TAMIS_OK) status = tamis__h5_put_text(&h5, "/", "tamis_kind", kind, err);
    if (status == TAMIS_OK) status = tamis__h5_put_u32(&h5, "/", "tamis_version", version, err);
    if (status == TAMIS_OK)
        status = tamis__h5_put_text(&h5, "/", "provenance", provenance ? provenance : "{}", err);
    tamis__h5_leave(&scope);
    if (status != TAMIS_OK)
        tamis__h5_close(&h5);
    else
        *ret_h5 = h5;
    return status;
}

tamis_status tamis__h5_written(const tamis__h5 *h5, tamis_error *err)
{
    if (!h5->sink || !h5->sink->error) return TAMIS_OK;
    errno = h5->sink->error;
    return tamis__fail_errno(err, "cannot write '%s'", h5->path);
}

/* Whether the bytes got there is known once all are out and the file is closed. */
static tamis_status finish_file(tamis__h5 *h5, tamis_error *err)
{
    if (tamis__fault_io()) return tamis__fail_errno(err, "cannot write '%s'", h5->path);
    if (H5Fflush(h5->file, H5F_SCOPE_LOCAL) < 0)
        return tamis__h5_fail(err, TAMIS_ERR_IO, "cannot write '%s'", h5->path);
    if (H5Fget_obj_count(h5->file, H5F_OBJ_ALL) != 1)
        return tamis__fail(err, TAMIS_ERR_IO, "cannot finish '%s': parts of it are still open",
                           h5->path);
    herr_t closed = H5Fclose(h5->file);
    h5->file = 0;
    if (closed < 0) return tamis__h5_fail(err, TAMIS_ERR_IO, "cannot write '%s'", h5->path);
    return tamis__h5_written(h5, err);
}

tamis_status tamis__h5_commit(tamis__h5 *h5, bool force, tamis_error *err)
{
    tamis__h5_scope scope;
    tamis__h5_enter(&scope);
    tamis_status status = finish_file(h5, err);
    tamis__h5_leave(&scope);
    if (status == TAMIS_OK) {
        int fd = h5->sink->fd;
        h5->sink->fd = -1;
        status = tamis__output_publish(h5->context, fd, h5->part, h5->path, force, err);
        free(h5->part); /* published or removed */
        h5->part = NULL;
    }
    tamis__h5_close(h5);
    return status;
}

void tamis__h5_close(tamis__h5 *h5)
{
    if (h5->file > 0) {
        tamis__h5_scope scope;
        tamis__h5_enter(&scope);
        (void)H5Fclose(h5->file);
        tamis__h5_leave(&scope);
    }
    if (h5->part) {
        unlink(h5->part);
        tamis__temporary(h5->context, h5->part, false);
    }
    if (h5->sink && h5->sink->fd >= 0) close(h5->sink->fd);
    free(h5->sink);
    free(h5->part);
    free(h5->path);
    *h5 = (tamis__h5){0};
}

/* --- groups ----------------------------------------------------------------------------------- */

tamis_status tamis__h5_group(const tamis__h5 *h5, const char *name, tamis_error *err)
{
    tamis__h5_scope scope;
    tamis_status status = TAMIS_OK;
    if (tamis__fault_io()) return tamis__fail_errno(err, "cannot write '%s'", h5->path);
    tamis__h5_enter(&scope);
    hid_t group = -1, list = H5Pcreate(H5P_GROUP_CREATE);
    if (list >= 0 && H5Pset_obj_track_times(list, false) >= 0)
        group = H5Gcreate2(h5->file, name, H5P_DEFAULT, list, H5P_DEFAULT);
    if (group < 0)
        status = tamis__h5_fail(err, TAMIS_ERR_IO, "cannot write '%s': group '%s'", h5->path, name);
    if (group >= 0) H5Gclose(group);
    if (list >= 0) H5Pclose(list);
    tamis__h5_leave(&scope);
    return status;
}

/* H5Lexists() fails, rather than saying no, when an earlier part of the path is missing. */
static bool path_exists(hid_t file, const char *name)
{
    char part[256];
    size_t size = strlen(name);
    if (size == 0 || size >= sizeof part) return false;
    if (!strcmp(name, "/")) return true;
    for (size_t i = 1; i <= size; i++) {
        if (name[i] != '/' && name[i] != '\0') continue;
        memcpy(part, name, i);
        part[i] = '\0';
        if (H5Lexists(file, part, H5P_DEFAULT) <= 0) return false;
    }
    return H5Oexists_by_name(file, name, H5P_DEFAULT) > 0;
}

bool tamis__h5_has(const tamis__h5 *h5, const char *name)
{
    tamis__h5_scope scope;
    tamis__h5_enter(&scope);
    bool there = path_exists(h5->file, name);
    tamis__h5_leave(&scope);
    return there;
}

bool tamis__h5_has_attribute(const tamis__h5 *h5, const char *object, const char *name)
{
    tamis__h5_scope scope;
    tamis__h5_enter(&scope);
    bool there = path_exists(h5->file, object) &&
                 H5Aexists_by_name(h5->file, object, name, H5P_DEFAULT) > 0;
    tamis__h5_leave(&scope);
    return there;
}
