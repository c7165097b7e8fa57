/* HDF5: lock, messages, files, groups and attributes.
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
/* An attribute lives in an object header message of at most 64 KiB; longer text goes to the heap. */
#define ATTRIBUTE_MAX ((size_t)60000)

const char *tamis__h5_version(void)
{
    /* HDF5 stops a program that runs with another version than it was compiled with. */
    return &H5_VERS_INFO[sizeof "HDF5 library version: " - 1];
}

/* --- lock, silence, messages ------------------------------------------------------------------ */

/* The library's state is the process's, so its lock is too. Recursive: calls nest. */
static pthread_mutex_t h5_mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

/* A file that cannot be flushed (a full disk) stays half open, and HDF5's own clean-up at exit then
 * crashes on it. Files of this room are all closed explicitly, so that clean-up is not needed. Has
 * no effect when the application started HDF5 before. */
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
    if (tamis__fault_io()) return tamis__fail_errno(err, "cannot write '%s'", h5->path);
    h5->sink->fd = open(h5->part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (h5->sink->fd < 0) return tamis__fail_errno(err, "cannot write '%s'", h5->path);
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
    if (!h5.path || !h5.part || !h5.sink) {
        free(h5.path);
        free(h5.part);
        free(h5.sink);
        return tamis__fail_memory(err, "a file name", strlen(path));
    }
    snprintf(h5.kind, sizeof h5.kind, "%s", kind);
    h5.sink->fd = -1;
    h5.version = version;
    tamis__temporary(context, h5.part, true);
    tamis__h5_enter(&scope);
    tamis_status status = create_file(&h5, err);
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
    int fd = h5->sink->fd;
    h5->sink->fd = -1;
    if (close(fd) && !h5->sink->error) h5->sink->error = errno;
    return tamis__h5_written(h5, err);
}

tamis_status tamis__h5_commit(tamis__h5 *h5, bool force, tamis_error *err)
{
    tamis__h5_scope scope;
    tamis__h5_enter(&scope);
    tamis_status status = finish_file(h5, err);
    tamis__h5_leave(&scope);
    if (status == TAMIS_OK) {
        status = tamis__output_publish(h5->context, h5->part, h5->path, force, err);
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

/* --- writing attributes ----------------------------------------------------------------------- */

static tamis_status put(const tamis__h5 *h5, const char *object, const char *name, hid_t file_type,
                        hid_t memory_type, const void *value, tamis_error *err)
{
    tamis__h5_scope scope;
    tamis_status status = TAMIS_OK;
    if (tamis__fault_io()) return tamis__fail_errno(err, "cannot write '%s'", h5->path);
    tamis__h5_enter(&scope);
    hid_t space = H5Screate(H5S_SCALAR), attribute = -1;
    if (space >= 0)
        attribute = H5Acreate_by_name(h5->file, object, name, file_type, space, H5P_DEFAULT,
                                      H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0 || H5Awrite(attribute, memory_type, value) < 0)
        status = tamis__h5_fail(err, TAMIS_ERR_IO, "cannot write '%s': attribute %s", h5->path,
                                name);
    if (attribute >= 0) H5Aclose(attribute);
    if (space >= 0) H5Sclose(space);
    tamis__h5_leave(&scope);
    return status;
}

tamis_status tamis__h5_put_u64(const tamis__h5 *h5, const char *object, const char *name,
                               uint64_t value, tamis_error *err)
{
    return put(h5, object, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, &value, err);
}

tamis_status tamis__h5_put_u32(const tamis__h5 *h5, const char *object, const char *name,
                               uint32_t value, tamis_error *err)
{
    return put(h5, object, name, H5T_STD_U32LE, H5T_NATIVE_UINT32, &value, err);
}

tamis_status tamis__h5_put_f64(const tamis__h5 *h5, const char *object, const char *name,
                               double value, tamis_error *err)
{
    return put(h5, object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value, err);
}

tamis_status tamis__h5_put_text(const tamis__h5 *h5, const char *object, const char *name,
                                const char *value, tamis_error *err)
{
    tamis__h5_scope scope;
    tamis_status status;
    size_t size = strlen(value);
    bool fixed = size <= ATTRIBUTE_MAX;
    tamis__h5_enter(&scope);
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0 || H5Tset_size(type, fixed ? (size ? size : 1) : H5T_VARIABLE) < 0 ||
        H5Tset_cset(type, H5T_CSET_UTF8) < 0 ||
        H5Tset_strpad(type, fixed ? H5T_STR_NULLPAD : H5T_STR_NULLTERM) < 0)
        status = tamis__h5_fail(err, TAMIS_ERR_IO, "cannot write '%s': attribute %s", h5->path,
                                name);
    else
        status = put(h5, object, name, type, type, fixed ? (const void *)value : &value, err);
    if (type >= 0) H5Tclose(type);
    tamis__h5_leave(&scope);
    return status;
}

/* --- reading attributes ----------------------------------------------------------------------- */

typedef struct attribute {
    hid_t id, type;
    H5T_class_t class;
    size_t size;
} attribute;

static void attribute_close(attribute *a)
{
    if (a->type >= 0) H5Tclose(a->type);
    if (a->id >= 0) H5Aclose(a->id);
}

/* Open an attribute that holds one value. Inside enter/leave. */
static tamis_status attribute_open(attribute *ret, const tamis__h5 *h5, const char *object,
                                   const char *name, tamis_error *err)
{
    attribute a = {.id = -1, .type = -1};
    if (!tamis__h5_has_attribute(h5, object, name))
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s' has no attribute %s of %s", h5->path, name,
                           object);
    a.id = H5Aopen_by_name(h5->file, object, name, H5P_DEFAULT, H5P_DEFAULT);
    if (a.id >= 0) a.type = H5Aget_type(a.id);
    hid_t space = a.id >= 0 ? H5Aget_space(a.id) : -1;
    hssize_t values = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
    if (space >= 0) H5Sclose(space);
    if (a.type < 0 || values != 1 || H5Aget_storage_size(a.id) > h5->size) {
        attribute_close(&a);
        return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': attribute %s of %s is not a single value",
                           h5->path, name, object);
    }
    a.class = H5Tget_class(a.type);
    a.size = H5Tget_size(a.type);
    *ret = a;
    return TAMIS_OK;
}

static tamis_status wrong_type(const tamis__h5 *h5, const char *object, const char *name,
                               const char *wanted, tamis_error *err)
{
    return tamis__fail(err, TAMIS_ERR_FORMAT, "'%s': attribute %s of %s is not %s", h5->path, name,
                       object, wanted);
}

tamis_status tamis__h5_get_u64(const tamis__h5 *h5, const char *object, const char *name,
                               uint64_t *ret_value, tamis_error *err)
{
    tamis__h5_scope scope;
    attribute a;
    int64_t with_sign = 0;
    uint64_t value = 0;
    tamis__h5_enter(&scope);
    tamis_status status = attribute_open(&a, h5, object, name, err);
    if (status == TAMIS_OK) {
        bool is_signed = H5Tget_sign(a.type) == H5T_SGN_2;
        herr_t done = -1;
        if (a.class == H5T_INTEGER && a.size <= 8)
            done = is_signed ? H5Aread(a.id, H5T_NATIVE_INT64, &with_sign)
                             : H5Aread(a.id, H5T_NATIVE_UINT64, &value);
        if (done < 0 || with_sign < 0)
            status = wrong_type(h5, object, name, "a whole number of at least 0", err);
        if (is_signed) value = (uint64_t)with_sign;
        attribute_close(&a);
    }
    tamis__h5_leave(&scope);
    if (status == TAMIS_OK) *ret_value = value;
    return status;
}

tamis_status tamis__h5_get_f64(const tamis__h5 *h5, const char *object, const char *name,
                               double *ret_value, tamis_error *err)
{
    tamis__h5_scope scope;
    attribute a;
    double value = 0;
    tamis__h5_enter(&scope);
    tamis_status status = attribute_open(&a, h5, object, name, err);
    if (status == TAMIS_OK) {
        if ((a.class != H5T_INTEGER && a.class != H5T_FLOAT) ||
            H5Aread(a.id, H5T_NATIVE_DOUBLE, &value) < 0)
            status = wrong_type(h5, object, name, "a number", err);
        attribute_close(&a);
    }
    tamis__h5_leave(&scope);
    if (status == TAMIS_OK) *ret_value = value;
    return status;
}

static tamis_status read_text(const attribute *a, char **ret_value, const char *name,
                              tamis_error *err)
{
    char *heap = NULL;
    if (H5Tis_variable_str(a->type) > 0) {
        if (H5Aread(a->id, a->type, &heap) < 0)
            return tamis__h5_fail(err, TAMIS_ERR_FORMAT, "attribute %s cannot be read", name);
        *ret_value = tamis__strdup(heap ? heap : "");
        if (heap) H5free_memory(heap);
        return *ret_value ? TAMIS_OK : tamis__fail_memory(err, name, a->size);
    }
    char *text = tamis__calloc(a->size + 1, 1);
    if (!text) return tamis__fail_memory(err, name, a->size);
    if (H5Aread(a->id, a->type, text) < 0) {
        free(text);
        return tamis__h5_fail(err, TAMIS_ERR_FORMAT, "attribute %s cannot be read", name);
    }
    *ret_value = text;
    return TAMIS_OK;
}

tamis_status tamis__h5_get_text(const tamis__h5 *h5, const char *object, const char *name,
                                char **ret_value, tamis_error *err)
{
    tamis__h5_scope scope;
    attribute a;
    char *value = NULL;
    tamis__h5_enter(&scope);
    tamis_status status = attribute_open(&a, h5, object, name, err);
    if (status == TAMIS_OK) {
        status = a.class == H5T_STRING ? read_text(&a, &value, name, err)
                                       : wrong_type(h5, object, name, "text", err);
        attribute_close(&a);
    }
    tamis__h5_leave(&scope);
    if (status == TAMIS_OK) *ret_value = value;
    return status;
}
