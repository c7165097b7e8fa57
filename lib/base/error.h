/* Filling in the caller's error. Every function accepts err = NULL.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BASE_ERROR_H
#define TAMIS_BASE_ERROR_H

#include <tamis/common.h>

/* Set the message and return the status: `return tamis__fail(err, TAMIS_ERR_SHAPE, ...)`. */
tamis_status tamis__fail(tamis_error *err, tamis_status status, const char *format, ...)
    TAMIS_PRINTF(3, 4);

/* Same with TAMIS_ERR_IO, errno kept and ": <strerror>" appended. Call right after the failure. */
tamis_status tamis__fail_errno(tamis_error *err, const char *format, ...) TAMIS_PRINTF(2, 3);

/* Out of memory while wanting `bytes` for `what`. */
tamis_status tamis__fail_memory(tamis_error *err, const char *what, uint64_t bytes);

/* Put "<context>: " before the message that is there; returns err's status (or `status` when err
 * is NULL), so that `return tamis__prefix(err, st, "checkpoint %u", k)` passes a failure on. */
tamis_status tamis__prefix(tamis_error *err, tamis_status status, const char *format, ...)
    TAMIS_PRINTF(3, 4);

#define TAMIS_TRY(expression)                                                                      \
    do {                                                                                           \
        tamis_status try_ = (expression);                                                          \
        if (try_ != TAMIS_OK) return try_;                                                         \
    } while (0)

/* Forward jump only, to clean-up code. */
#define TAMIS_TRY_GOTO(status, expression, label)                                                  \
    do {                                                                                           \
        (status) = (expression);                                                                   \
        if ((status) != TAMIS_OK) goto label;                                                      \
    } while (0)

#endif
