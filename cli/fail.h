/* Errors and small helpers shared by the commands.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_CLI_FAIL_H
#define TAMIS_CLI_FAIL_H

#include <tamis/common.h>

#define TRY(call)                                                                                  \
    do {                                                                                           \
        tamis_status try_status_ = (call);                                                         \
        if (try_status_ != TAMIS_OK) return try_status_;                                           \
    } while (0)

/* Fill in the error, made one line, and return the status. */
tamis_status fail(tamis_error *err, tamis_status status, const char *format, ...)
    TAMIS_PRINTF(3, 4);

/* The same with TAMIS_ERR_IO and ": <reason of errno>" appended. */
tamis_status fail_errno(tamis_error *err, const char *format, ...) TAMIS_PRINTF(2, 3);

tamis_status fail_memory(tamis_error *err);

/* Monotonic time in seconds. */
double seconds(void);

/* "12.3 MiB" into `buffer`, which is returned. */
const char *bytes_text(double bytes, char *buffer, size_t size);

/* "1,797" into `buffer`, which is returned. */
const char *count_text(uint64_t n, char *buffer, size_t size);

#endif
