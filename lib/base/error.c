/* The caller's error.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *tamis_status_name(tamis_status status)
{
    static const char *const names[] = {
        [TAMIS_OK] = "ok",
        [TAMIS_ERR_NOMEM] = "out of memory",
        [TAMIS_ERR_ARG] = "invalid argument",
        [TAMIS_ERR_IO] = "input/output error",
        [TAMIS_ERR_FORMAT] = "invalid file content",
        [TAMIS_ERR_SHAPE] = "inputs do not fit together",
        [TAMIS_ERR_NUMERIC] = "numerical failure",
        [TAMIS_ERR_UNSUPPORTED] = "not supported",
        [TAMIS_ERR_CANCELLED] = "cancelled",
        [TAMIS_ERR_CHECK] = "check failed",
    };
    size_t i = (size_t)status;
    return i < sizeof names / sizeof *names ? names[i] : "unknown status";
}

const char *tamis_dtype_name(tamis_dtype dtype)
{
    switch (dtype) {
    case TAMIS_F16: return "f16";
    case TAMIS_BF16: return "bf16";
    case TAMIS_I8: return "i8";
    case TAMIS_F32: break;
    }
    return "f32";
}

size_t tamis_dtype_size(tamis_dtype dtype)
{
    switch (dtype) {
    case TAMIS_F16:
    case TAMIS_BF16: return 2;
    case TAMIS_I8: return 1;
    case TAMIS_F32: break;
    }
    return 4;
}

/* One line: a control character from a file's content must not break a log. */
static void flatten(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = ' ';
}

tamis_status tamis__fail(tamis_error *err, tamis_status status, const char *format, ...)
{
    if (!err) return status;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    flatten(err->message);
    err->status = status;
    err->sys_errno = 0;
    return status;
}

tamis_status tamis__fail_errno(tamis_error *err, const char *format, ...)
{
    int code = errno;
    if (!err) return TAMIS_ERR_IO;
    va_list args;
    va_start(args, format);
    int used = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (used < 0) used = 0;
    if ((size_t)used < sizeof err->message) {
        /* The GNU form: thread-safe, unlike strerror(), and never NULL. */
        char buffer[128];
        const char *reason = strerror_r(code, buffer, sizeof buffer);
        snprintf(err->message + used, sizeof err->message - (size_t)used, ": %s", reason);
    }
    flatten(err->message);
    err->status = TAMIS_ERR_IO;
    err->sys_errno = code;
    return TAMIS_ERR_IO;
}

tamis_status tamis__fail_memory(tamis_error *err, const char *what, uint64_t bytes)
{
    return tamis__fail(err, TAMIS_ERR_NOMEM, "out of memory: %.1f MiB wanted for %s",
                       (double)bytes / (1024.0 * 1024.0), what);
}

tamis_status tamis__prefix(tamis_error *err, tamis_status status, const char *format, ...)
{
    if (!err) return status;
    char old[TAMIS_MESSAGE_SIZE];
    memcpy(old, err->message, sizeof old);
    va_list args;
    va_start(args, format);
    int used = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (used < 0) used = 0;
    size_t at = (size_t)used < sizeof err->message - 3 ? (size_t)used : sizeof err->message - 3;
    size_t room = sizeof err->message - at - 3, size = strlen(old);
    if (size > room) size = room;
    memcpy(err->message + at, ": ", 2);
    memcpy(err->message + at + 2, old, size);
    err->message[at + 2 + size] = '\0';
    flatten(err->message);
    return err->status != TAMIS_OK ? err->status : status;
}
