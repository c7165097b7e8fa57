/* Errors and small helpers shared by the commands.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "fail.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A control character of a file name must not break the line. */
static void flatten(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = ' ';
}

tamis_status fail(tamis_error *err, tamis_status status, const char *format, ...)
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

tamis_status fail_errno(tamis_error *err, const char *format, ...)
{
    int code = errno;
    if (!err) return TAMIS_ERR_IO;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    size_t used = strlen(err->message);
    snprintf(err->message + used, sizeof err->message - used, ": %s", strerror(code));
    flatten(err->message);
    err->status = TAMIS_ERR_IO;
    err->sys_errno = code;
    return TAMIS_ERR_IO;
}

tamis_status fail_memory(tamis_error *err)
{
    return fail(err, TAMIS_ERR_NOMEM, "out of memory");
}

double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

const char *bytes_text(double bytes, char *buffer, size_t size)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t i = 0;
    while (bytes >= 1024 && i + 1 < sizeof units / sizeof *units) {
        bytes /= 1024;
        i++;
    }
    snprintf(buffer, size, i ? "%.1f %s" : "%.0f %s", bytes, units[i]);
    return buffer;
}

const char *count_text(uint64_t n, char *buffer, size_t size)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, n);
    size_t used = 0;
    for (int i = 0; i < length && used + 2 < size; i++) {
        if (i && (length - i) % 3 == 0) buffer[used++] = ',';
        buffer[used++] = digits[i];
    }
    buffer[used] = '\0';
    return buffer;
}
