/* What a context holds.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TAMIS_BASE_CONTEXT_H
#define TAMIS_BASE_CONTEXT_H

#include <tamis/context.h>

#include "base/pool.h"

struct tamis_context {
    tamis__pool *pool;
    uint64_t memory;
    unsigned cpu;
    tamis_log_fn log;
    tamis_progress_fn progress;
    tamis_temporary_fn temporary;
    void *cookie;
};

/* One line to the log callback, if there is one. */
void tamis__log(const tamis_context *context, tamis_log_level level, const char *format, ...)
    TAMIS_PRINTF(3, 4);

/* Report progress; TAMIS_ERR_CANCELLED when the callback asks to stop. `note` may be NULL. */
tamis_status tamis__progress(const tamis_context *context, const char *phase, uint64_t done,
                             uint64_t total, const char *unit, const char *note, tamis_error *err);

/* Tell the program about a temporary file. */
void tamis__temporary(const tamis_context *context, const char *path, bool exists);

/* Error unless `bytes` fit the memory limit. */
tamis_status tamis__memory_check(const tamis_context *context, uint64_t bytes, const char *what,
                                 tamis_error *err);

/* TAMIS_CPU_* of this machine. */
unsigned tamis__cpu_detect(void);

#endif
